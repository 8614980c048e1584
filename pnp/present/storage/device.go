// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/image"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/fusefs"
	"freerdp-pnpdr/pnp/present/ptp"
)

// idleTime is how long the device stays open when nobody uses it: while it is open, the
// client's own desktop cannot use it.
const idleTime = 20 * time.Second

// answerTime is how long the device may take for each transfer, and the client to open it.
var answerTime = 30 * time.Second

// device is the camera, with a PTP session while somebody uses it.
type device struct {
	remote *present.Device
	ctx    context.Context // ends with the presentation
	cancel context.CancelFunc

	opening turn // for opening a session

	mu      sync.Mutex
	link    *link
	users   int
	idle    *time.Timer
	suspect bool // the last session was left in an unknown state
	files   int  // that are open
	state   state

	names names
}

// link is a handle with its session.
type link struct {
	handle  *present.Handle
	session *ptp.Session
	forget  func() bool   // the handle is not closed at the end any more
	heard   chan struct{} // closed when nobody listens to the handle any more
}

func newDevice(remote *present.Device) *device {
	d := &device{remote: remote, opening: newTurn()}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// use calls f with a session. Errors become errnos.
func (d *device) use(ctx context.Context, f func(context.Context, *ptp.Session) error) syscall.Errno {
	ctx, cancel := d.patiently(ctx)
	defer cancel()
	s, err := d.enter(ctx)
	if err == nil {
		err = f(ctx, s)
		d.leave(err)
	}
	return d.errno(err)
}

// patiently returns a context for a call of a program's, which ends with the program and
// with the device.
func (d *device) patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	stop := func() {}
	if c, ok := fuse.FromContext(ctx); ok {
		ctx, stop = fusefs.WhileRunning(ctx, c.Pid)
	}
	ctx, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(d.ctx, cancel)
	return ctx, func() { forget(); cancel(); stop() }
}

// enter returns the session, which it opens if there is none.
func (d *device) enter(ctx context.Context) (*ptp.Session, error) {
	if err := d.opening.take(ctx); err != nil {
		return nil, err
	}
	defer d.opening.give()
	d.mu.Lock()
	if d.idle != nil {
		d.idle.Stop()
	}
	l, suspect := d.link, d.suspect
	d.users++
	d.mu.Unlock()
	if l != nil {
		return l.session, nil
	}
	l, err := d.open(ctx, suspect)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && d.ctx.Err() != nil { // nobody would close it
		go l.close()
		err = unix.ENODEV
	}
	if err != nil {
		d.users--
		return nil, err
	}
	d.link, d.suspect = l, false
	// Nobody has listened meanwhile, and numbers may mean other objects in a new session.
	d.state.lists++
	d.state.objects++
	return l.session, nil
}

func (d *device) open(ctx context.Context, suspect bool) (*link, error) {
	soon, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	h, err := d.remote.Open(soon, server.OpenOptions{})
	if err != nil {
		return nil, err
	}
	// That ends a transaction, which nothing else does before the device answers.
	forget := context.AfterFunc(d.ctx, func() { h.Close() })
	if suspect {
		reset(ctx, h)
	}
	s, err := ptp.Open(ctx, h, answerTime)
	if err != nil {
		forget()
		h.Close()
		return nil, err
	}
	l := &link{handle: h, session: s, forget: forget, heard: make(chan struct{})}
	go func() {
		defer close(l.heard)
		for e := range h.Events() {
			d.event(e.Data)
		}
	}()
	return l, nil
}

// reset asks the device to drop what a broken session has left.
func reset(ctx context.Context, h *present.Handle) {
	const deviceReset = 0x66
	block := make([]byte, 24) // IO_BLOCK_EX of 64 bits
	block[20] = deviceReset
	_, _ = h.IOControl(ctx, image.IOCTL_SEND_USB_REQUEST_PTP, block, nil)
	all := binary.LittleEndian.AppendUint32(nil, image.ALL_PIPE)
	_, _ = h.IOControl(ctx, image.IOCTL_RESET_PIPE, all, nil)
}

// leave ends a use. A session that is broken is given up; another is closed some time after
// the last use.
func (d *device) leave(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users--
	if l := d.link; l != nil && l.session.Broken() {
		d.remote.Log.Warn("talking to the device failed; it is tried anew", "err", err)
		d.link, d.suspect = nil, true
		go l.close()
	}
	if d.users == 0 && d.link != nil {
		l := d.link
		d.idle = time.AfterFunc(idleTime, func() { d.closeIdle(l) })
	}
}

func (d *device) closeIdle(l *link) {
	// The next session must not begin before: the device has one pipe for both.
	if d.opening.take(d.ctx) != nil {
		return
	}
	defer d.opening.give()
	d.mu.Lock()
	idle := d.users == 0 && d.link == l
	if idle {
		d.link = nil
	}
	d.mu.Unlock()
	if idle {
		ctx, cancel := context.WithTimeout(d.ctx, 5*time.Second)
		defer cancel()
		_ = l.session.Close(ctx)
		l.close()
	}
}

func (l *link) close() {
	l.forget()
	l.handle.Close()
	<-l.heard
}

// end closes the device for good. It does not wait for the client.
func (d *device) end() {
	d.cancel()
	d.mu.Lock()
	l := d.link
	d.link = nil
	if d.idle != nil {
		d.idle.Stop()
	}
	d.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// event takes what the device reports, a container of PTP. Most events are about objects
// that come and go.
func (d *device) event(data []byte) {
	const objectInfoChanged = 0x4007
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.lists++
	if len(data) >= 8 && binary.LittleEndian.Uint16(data[6:]) == objectInfoChanged {
		d.state.objects++
	}
}

// state counts what may have changed: which objects there are, and what is said of them.
type state struct{ lists, objects int }

// now returns the state, which is another when something may have changed.
func (d *device) now() state {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// touch says that the contents have changed.
func (d *device) touch() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.lists++
}

// errno returns what a program is told.
func (d *device) errno(err error) syscall.Errno {
	var response ptp.Response
	switch {
	case err == nil:
		return 0
	case d.ctx.Err() != nil:
		return unix.ENODEV
	case !errors.As(err, &response):
		return present.Errno(err)
	}
	switch response {
	case ptp.StoreFull:
		return unix.ENOSPC
	case ptp.WriteProtected, ptp.StoreReadOnly:
		return unix.EROFS
	case ptp.AccessDenied:
		return unix.EACCES
	case ptp.InvalidObjectHandle:
		return unix.ENOENT
	case ptp.DeviceBusy:
		return unix.EBUSY
	case ptp.OperationNotSupported:
		return unix.EOPNOTSUPP
	}
	return unix.EIO
}
