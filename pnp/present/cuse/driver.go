// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/internal/port"
)

// driver does what a tty driver of the kernel and its line discipline do. A line is what
// it has while the terminal is open.
type driver struct {
	opener *port.Opener
	log    *slog.Logger
	uid    uint32 // who may open the terminal, besides root
	// notify wakes those that poll, by the number that they gave.
	notify func(kh uint64)
	limit  time.Duration // see closingLimit

	mu      sync.Mutex
	changed sync.Cond // told of every change of all below, and of lines
	closed  bool
	line    *line // the one that an open joins or waits for; nil if it makes one
	files   map[uint64]*file
	last    uint64              // the number of the last file
	termios unix.Termios        // the settings, which outlive a line
	rs485   bool                // RTS follows the output; outlives a line, too
	size    [8]byte             // struct winsize
	pollers map[uint64]struct{} // who polls
	active  sync.WaitGroup      // of lines
}

// file is an open terminal of a program.
type file struct {
	l  *line
	kh uint64 // by which it polls
}

func newDriver(d *present.Device, uid uint32) *driver {
	v := &driver{
		opener: port.NewOpener(d), log: d.Log, uid: uid, notify: func(uint64) {}, limit: closingLimit,
		files: make(map[uint64]*file), termios: port.InitialTermios(), pollers: make(map[uint64]struct{}),
	}
	v.changed.L = &v.mu
	return v
}

// close ends everything, and returns when no goroutine is left.
func (v *driver) close() {
	v.mu.Lock()
	v.closed = true
	l := v.line
	v.change()
	v.mu.Unlock()
	if l != nil {
		l.end(unix.ENODEV)
	}
	v.active.Wait()
}

// change wakes those that wait. v.mu is held.
func (v *driver) change() {
	v.changed.Broadcast()
	for kh := range v.pollers {
		v.notify(kh)
	}
	clear(v.pollers)
}

// wait waits until is returns true, with v.mu held. It fails with EINTR if ctx ends first.
func (v *driver) wait(ctx context.Context, is func() bool) error {
	for !is() {
		if err := v.sleep(ctx, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits for a change, at most until then unless that is zero, with v.mu held. It
// fails with EINTR if ctx ends first.
func (v *driver) sleep(ctx context.Context, until time.Time) error {
	wake := func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.changed.Broadcast()
	}
	defer context.AfterFunc(ctx, wake)()
	if ctx.Err() != nil {
		return unix.EINTR
	}
	if !until.IsZero() {
		t := time.AfterFunc(time.Until(until), wake)
		defer t.Stop()
	}
	v.changed.Wait()
	return nil
}

// errnoOf returns what a program is told of err.
func errnoOf(err error) unix.Errno { return present.Errno(err) }

// handle implements handler.
func (v *driver) handle(ctx context.Context, r *request) ([]byte, error) {
	switch r.op {
	case opOpen:
		return v.open(ctx, r)
	case opRead:
		return v.read(ctx, r)
	case opWrite:
		return v.write(ctx, r)
	case opIoctl:
		return v.ioctl(ctx, r)
	}
	return v.poll(r)
}

// open opens the port at the client if it is the first.
func (v *driver) open(ctx context.Context, r *request) ([]byte, error) {
	if r.uid != v.uid && r.uid != 0 {
		return nil, unix.EACCES
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// While the line is closing, an open waits, as with a driver of the kernel.
	if err := v.wait(ctx, func() bool { return v.closed || v.line == nil || !v.line.closing }); err != nil {
		return nil, err
	}
	if v.closed {
		return nil, unix.ENODEV
	}
	l := v.line
	if l == nil {
		l = newLine(v)
		v.line = l
		v.active.Add(1)
		go l.run()
	}
	if l.exclusive && r.uid != 0 {
		return nil, unix.EBUSY
	}
	l.users++
	err := v.wait(ctx, func() bool { return l.open || l.ended })
	if err == nil && l.ended {
		err = l.err
	}
	if err != nil {
		l.leave()
		return nil, err
	}
	v.last++
	v.files[v.last] = &file{l: l}
	return appendTo(nil, openOut{FH: v.last}), nil
}

// release implements handler.
func (v *driver) release(fh uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f := v.files[fh]
	if f == nil {
		return
	}
	delete(v.files, fh)
	delete(v.pollers, f.kh)
	f.l.leave()
}

// of returns the line of a file. v.mu is held.
func (v *driver) of(fh uint64) (*line, error) {
	f := v.files[fh]
	if f == nil {
		return nil, unix.EBADF
	}
	return f.l, nil
}

func (v *driver) read(ctx context.Context, r *request) ([]byte, error) {
	in, _, err := split[transferIn](r.body)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l, err := v.of(in.FH)
	if err != nil {
		return nil, err
	}
	return l.read(ctx, int(min(in.Size, maxTransfer)), in.Flags&unix.O_NONBLOCK != 0)
}

func (v *driver) write(ctx context.Context, r *request) ([]byte, error) {
	in, data, err := split[transferIn](r.body)
	if err != nil {
		return nil, err
	}
	if int(in.Size) != len(data) {
		return nil, unix.EPROTO
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l, err := v.of(in.FH)
	if err != nil {
		return nil, err
	}
	n, err := l.write(ctx, data, in.Flags&unix.O_NONBLOCK != 0)
	if n == 0 && err != nil {
		return nil, err
	}
	return appendTo(nil, writeOut{Size: uint32(n)}), nil
}

func (v *driver) poll(r *request) ([]byte, error) {
	in, _, err := split[pollIn](r.body)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l, err := v.of(in.FH)
	if err != nil {
		return nil, err
	}
	if in.Flags&scheduleNotify != 0 {
		v.files[in.FH].kh = in.KH
		v.pollers[in.KH] = struct{}{}
	}
	const normalIn, normalOut = 0x40, 0x100 // POLLRDNORM, POLLWRNORM
	events := uint32(0)
	if l.readable() {
		events |= unix.POLLIN | normalIn
	}
	if l.ended || l.room() >= outputLimit/2 {
		events |= unix.POLLOUT | normalOut
	}
	if l.ended {
		events |= unix.POLLERR | unix.POLLHUP
	}
	return appendTo(nil, pollOut{Events: events}), nil
}
