// SPDX-License-Identifier: Apache-2.0

package present

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// Device is a redirected device that is being presented. Its methods may be called from
// any goroutine.
type Device struct {
	// Kind is the row of the table that the device is presented by.
	Kind *Kind
	// Name is the name of the device's folder, which no other device has.
	Name string
	// Dir is the path of that folder. It exists, and only the session's user may
	// look into it.
	Dir string
	// Log names the device in each line.
	Log *slog.Logger
	// Options is what the user wishes.
	Options Options

	remote *server.Device
	stats  stats

	mu        sync.Mutex
	listeners int
	unlisten  func() // ends what listen began
}

// NewDevice returns the device that presents remote.
func NewDevice(remote *server.Device, kind *Kind, name, dir string, log *slog.Logger, opt Options) *Device {
	return &Device{Kind: kind, Name: name, Dir: dir, Log: log, Options: opt, remote: remote}
}

// Description returns the client's description, which must not be changed.
func (d *Device) Description() *pnp.Description { return d.remote.Description() }

// ID returns the number by which the client knows the device while it is there.
func (d *Device) ID() uint32 { return d.remote.ID() }

// Gone is closed when the device has gone.
func (d *Device) Gone() <-chan struct{} { return d.remote.Gone() }

// Open opens a handle of the device. See server.Device.Open. The transport may have room
// for a few handles only (14 under xrdp), so a presenter opens one when a program uses
// the device, and closes it after the last.
func (d *Device) Open(ctx context.Context, opt server.OpenOptions) (*Handle, error) {
	h, err := d.remote.Open(ctx, opt)
	d.stats.opening(err)
	if err != nil {
		if ctx.Err() == nil {
			d.Log.Warn("device cannot be opened", "err", err)
		}
		return nil, err
	}
	d.Log.Info("device is opened")
	return &Handle{Handle: h, stats: &d.stats}, nil
}

// Handle is an open handle of a device. See server.Handle for its methods.
type Handle struct {
	*server.Handle
	stats *stats
	once  sync.Once
}

// Close closes the handle. See server.Handle.Close.
func (h *Handle) Close() error {
	h.once.Do(h.stats.closed)
	return h.Handle.Close()
}

// ReadAt reads. See server.Handle.ReadAt.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off uint64) (int, error) {
	begun := h.stats.begin()
	n, err := h.Handle.ReadAt(ctx, p, off)
	h.stats.read.end(begun, n, err)
	return n, err
}

// WriteAt writes. See server.Handle.WriteAt.
func (h *Handle) WriteAt(ctx context.Context, p []byte, off uint64) (int, error) {
	begun := h.stats.begin()
	n, err := h.Handle.WriteAt(ctx, p, off)
	h.stats.write.end(begun, n, err)
	return n, err
}

// IOControl sends a control code. See server.Handle.IOControl.
func (h *Handle) IOControl(ctx context.Context, code uint32, in, out []byte) (int, error) {
	begun := h.stats.begin()
	n, err := h.Handle.IOControl(ctx, code, in, out)
	h.stats.control.end(begun, len(in)+n, err)
	return n, err
}

// Start sends a request. See server.Handle.Start.
func (h *Handle) Start(r server.Request) (cancel func(), err error) {
	begun, done, stats := h.stats.begin(), r.Done, &h.stats.read
	switch r.Op {
	case pnp.OpWrite:
		stats = &h.stats.write
	case pnp.OpIOControl:
		stats = &h.stats.control
	}
	sent := 0
	if r.Op == pnp.OpIOControl {
		sent = len(r.In)
	}
	r.Done = func(n int, err error) {
		stats.end(begun, sent+n, err)
		done(n, err)
	}
	return h.Handle.Start(r)
}

// Events returns the custom events of the device, each of them once. The channel is
// bounded, and closed by cancel and when the device has gone. See server.Device.Events.
//
// A client sends events to open handles only. So while somebody listens, the device is
// kept open for this, unless its kind is Exclusive: then events come while somebody
// else has it open. It is also like this while the device cannot be opened, which is tried
// again from time to time.
func (d *Device) Events() (events <-chan server.CustomEvent, cancel func()) {
	events, stop := d.remote.Events()
	if !d.Kind.Exclusive {
		d.listen()
	}
	return events, sync.OnceFunc(func() {
		stop()
		if !d.Kind.Exclusive {
			d.ignore()
		}
	})
}

// fileReadAttributes is the access to a device that is neither read nor written.
const fileReadAttributes = 0x80

// listenPause is how long listen waits before it opens the device again, longestPause how
// long at most after many times.
const (
	listenPause  = time.Second
	longestPause = time.Minute
)

// listen keeps a handle open while somebody listens: another one, if the client ends it or
// did not let it be opened.
func (d *Device) listen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners++
	if d.listeners > 1 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause := listenPause; ; pause = min(2*pause, longestPause) {
			h, err := d.Open(ctx, server.OpenOptions{Access: fileReadAttributes})
			if err == nil { // or else Open has logged it
				select {
				case <-ctx.Done():
				case <-h.Done():
				}
				h.Close()
			}
			select {
			case <-ctx.Done():
				return
			case <-d.Gone():
				return
			case <-time.After(pause):
			}
		}
	}()
	d.unlisten = func() {
		cancel()
		<-done
	}
}

// ignore is called once for each call of listen.
func (d *Device) ignore() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners--
	if d.listeners == 0 {
		d.unlisten()
	}
}
