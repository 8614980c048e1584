// SPDX-License-Identifier: Apache-2.0

// Package loopback is the "Ts Fake Device" of [MS-RDPEPNP] 4.2: a device made of
// memory. Users check their setup with it without hardware; tests and benchmarks use
// it, too.
package loopback

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// Size of the store that all handles of a device share, in bytes.
const Size = 1 << 20

// The IoCodes of the device. Any other fails with ERROR_INVALID_FUNCTION.
const (
	// IOCTL_ECHO returns DataIn cut to cbOut.
	IOCTL_ECHO = 0x00222440
	// IOCTL_RAISE_EVENT takes a GUID and a payload and raises that custom
	// event on every open handle of the device.
	IOCTL_RAISE_EVENT = 0x00222444
	// IOCTL_WAIT takes a little-endian u32, a time in milliseconds, and
	// completes after that time; with Forever it waits until it is cancelled.
	IOCTL_WAIT = 0x00222448

	Forever = 0xFFFFFFFF
)

// DefaultDescription returns the description of example 4.2.
func DefaultDescription() pnp.Description {
	return pnp.Description{
		Name:        "Ts Fake Device",
		HardwareIDs: []string{`WUDF\LB`},
		Interfaces:  []pnp.GUID{pnp.MustGUID("{2B4A9C46-658D-4AF2-A91D-1E691861706C}")},
	}
}

// Device is the loopback device. It never blocks.
type Device struct {
	description pnp.Description

	mu    sync.RWMutex
	store [Size]byte
	sink  func(pnp.Event)
}

// New makes a device whose store is zero.
func New(d pnp.Description) *Device { return &Device{description: d} }

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.description }

// Notify implements pnp.EventSource.
func (d *Device) Notify(sink func(pnp.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sink = sink
}

// Open implements pnp.Device. It always succeeds at once.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h := &handle{d: d, q: queue.New(d.description.Name, r.Workers, nil)}
	h.waiting = h.q.Add(queue.Lane{})
	return h, nil
}

type handle struct {
	d       *Device
	closed  atomic.Bool
	q       *queue.Queue
	waiting *queue.Lane // IOCTL_WAIT
}

// Submit implements pnp.Handle.
func (h *handle) Submit(r *pnp.Request) {
	if h.closed.Load() {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
		return
	}
	switch r.Op {
	case pnp.OpRead:
		h.d.read(r)
	case pnp.OpWrite:
		h.d.write(r)
	case pnp.OpIOControl:
		h.ioControl(r)
	}
}

func (d *Device) read(r *pnp.Request) {
	if r.Offset >= Size && len(r.Out) > 0 {
		r.Complete(pnp.ERROR_HANDLE_EOF, 0)
		return
	}
	d.mu.RLock()
	n := copy(r.Out, d.store[min(r.Offset, Size):])
	d.mu.RUnlock()
	r.Complete(pnp.S_OK, n)
}

func (d *Device) write(r *pnp.Request) {
	if r.Offset >= Size && len(r.In) > 0 {
		r.Complete(pnp.ERROR_DISK_FULL, 0)
		return
	}
	d.mu.Lock()
	n := copy(d.store[min(r.Offset, Size):], r.In)
	d.mu.Unlock()
	r.Complete(pnp.S_OK, n)
}

func (h *handle) ioControl(r *pnp.Request) {
	switch r.Code {
	case IOCTL_ECHO:
		r.Complete(pnp.S_OK, copy(r.Out, r.In))
	case IOCTL_RAISE_EVENT:
		if len(r.In) < 16 {
			r.Complete(pnp.ERROR_INVALID_PARAMETER, 0)
			return
		}
		h.d.mu.RLock()
		sink := h.d.sink
		h.d.mu.RUnlock()
		if sink != nil {
			sink(pnp.Event{GUID: pnp.GUID(r.In[:16]), Data: r.In[16:]})
		}
		r.Complete(pnp.S_OK, 0)
	case IOCTL_WAIT:
		if len(r.In) < 4 {
			r.Complete(pnp.ERROR_INVALID_PARAMETER, 0)
			return
		}
		h.wait(r, binary.LittleEndian.Uint32(r.In))
	default:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
	}
}

func (h *handle) wait(r *pnp.Request, ms uint32) {
	h.q.Lock()
	defer h.q.Unlock()
	it := h.waiting.Put(r)
	if ms == Forever || it.Ended() {
		return
	}
	timer := time.AfterFunc(time.Duration(ms)*time.Millisecond, func() {
		h.q.Lock()
		defer h.q.Unlock()
		h.q.Finish(it, pnp.S_OK, 0)
	})
	it.OnEnd = func() { timer.Stop() }
}

// Cancel implements pnp.Handle.
func (h *handle) Cancel(r *pnp.Request) { h.q.Cancel(r) }

// Close implements pnp.Handle.
func (h *handle) Close(released func()) {
	h.closed.Store(true)
	h.q.Close(nil, released)
}
