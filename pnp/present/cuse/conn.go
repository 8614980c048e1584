// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// maxPending is how many system calls of programs may wait at a time.
const maxPending = 1024

// handler carries out the requests of one device.
type handler interface {
	// handle carries out a request and returns the body of its reply. It runs on a
	// goroutine of its own. If ctx ends, the program was interrupted, or the device
	// goes: handle then returns soon, whatever the client does, since the program
	// can not even be killed before.
	handle(ctx context.Context, r *request) ([]byte, error)
	// release is told of the last close of a file. It does not block.
	release(fh uint64)
}

// request is what a program does.
type request struct {
	op       uint32
	uid, pid uint32
	body     []byte
}

// conn is the connection with the kernel for one device. Its goroutine serve ends when
// the connection is closed.
type conn struct {
	f   *os.File
	log *slog.Logger
	h   handler

	done chan struct{} // closed when no goroutine is left

	mu      sync.Mutex
	closed  bool
	pending map[uint64]context.CancelFunc
	active  sync.WaitGroup
}

// connect makes a device of that name. It fails if there is one already.
func connect(f *os.File, name string, h handler, log *slog.Logger) (*conn, error) {
	c := &conn{f: f, log: log, h: h, done: make(chan struct{}), pending: make(map[uint64]context.CancelFunc)}
	b := make([]byte, maxMessage)
	head, _, err := c.read(b)
	if err != nil {
		return nil, err
	}
	if head.Opcode != opInit {
		return nil, fmt.Errorf("request %d in place of CUSE_INIT: %w", head.Opcode, unix.EPROTO)
	}
	out := appendTo(nil, initOut{
		Major: major, Minor: minor, Flags: unrestrictedIoctl, MaxRead: maxTransfer, MaxWrite: maxTransfer,
	})
	if err := c.reply(head.Unique, 0, append(out, "DEVNAME="+name+"\x00"...)); err != nil {
		return nil, err
	}
	if err := c.tryRead(b); err != nil {
		return nil, err
	}
	go c.serve(b)
	return c, nil
}

// tryRead finds out whether the kernel has made the device: it tells of a failure by
// ending the connection before its write returns.
func (c *conn) tryRead(b []byte) error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	n := 0
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, failed = unix.Read(int(fd), b)
		return true
	})
	switch {
	case err != nil:
		return err
	case failed == unix.EAGAIN || failed == unix.EINTR || failed == unix.ENOENT:
		return nil
	case failed == unix.ENODEV:
		return errTaken
	case failed != nil:
		return failed
	}
	// A program was fast.
	head, body, err := split[inHeader](b[:n])
	if err != nil {
		return err
	}
	c.take(head, body)
	return nil
}

// errTaken says that the kernel has not made the device.
var errTaken = errors.New("the name is taken")

// read reads one request.
func (c *conn) read(b []byte) (inHeader, []byte, error) {
	for {
		n, err := c.f.Read(b)
		// A request that was interrupted before it was read is gone.
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return inHeader{}, nil, err
		}
		head, body, err := split[inHeader](b[:n])
		if err == nil && int(head.Len) != n {
			err = unix.EPROTO
		}
		return head, body, err
	}
}

// reply sends the reply to a request, or a notification.
func (c *conn) reply(unique uint64, code int32, body []byte) error {
	var h outHeader
	b := appendTo(make([]byte, 0, 16+len(body)), h)
	b = append(b, body...)
	h = outHeader{Len: uint32(len(b)), Error: code, Unique: unique}
	copy(b, appendTo(nil, h))
	_, err := c.f.Write(b)
	return err
}

// notify wakes those that poll.
func (c *conn) notify(kh uint64) { _ = c.reply(0, notifyPoll, appendTo(nil, kh)) }

// Close removes the device. Pending calls of programs return before, later ones fail. It
// returns when no goroutine is left.
func (c *conn) Close() {
	c.mu.Lock()
	c.closed = true
	for _, cancel := range c.pending {
		cancel()
	}
	c.mu.Unlock()
	c.active.Wait()
	c.f.Close()
	<-c.done
}

// serve takes requests until the connection ends.
func (c *conn) serve(b []byte) {
	defer close(c.done)
	for {
		head, body, err := c.read(b)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.ENODEV) {
				c.log.Warn("the connection to /dev/cuse has ended", "err", err)
			}
			return
		}
		c.take(head, body)
	}
}

func (c *conn) take(head inHeader, body []byte) {
	switch head.Opcode {
	case opInterrupt:
		if in, _, err := split[interruptIn](body); err == nil {
			c.interrupt(in.Unique)
		}
	case opRelease:
		if in, _, err := split[releaseIn](body); err == nil {
			c.h.release(in.FH)
		}
		_ = c.reply(head.Unique, 0, nil)
	case opOpen, opRead, opWrite, opIoctl, opPoll:
		c.begin(head, append([]byte(nil), body...))
	default:
		_ = c.reply(head.Unique, -int32(unix.ENOSYS), nil)
	}
}

// interrupt ends the wait of a program.
func (c *conn) interrupt(unique uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.pending[unique]; cancel != nil {
		cancel()
	}
}

// begin carries out a request on a goroutine of its own.
func (c *conn) begin(head inHeader, body []byte) {
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	full := len(c.pending) >= maxPending
	if !full && !c.closed {
		c.pending[head.Unique] = cancel
		c.active.Add(1)
	}
	closed := c.closed
	c.mu.Unlock()
	if full || closed {
		cancel()
		errno := unix.ENOMEM
		if closed {
			errno = unix.ENODEV
		}
		_ = c.reply(head.Unique, -int32(errno), nil)
		return
	}
	go func() {
		defer c.active.Done()
		err := error(unix.EIO) // of a panic
		var out []byte
		defer func() {
			c.mu.Lock()
			delete(c.pending, head.Unique)
			c.mu.Unlock()
			cancel()
			code := int32(0)
			if err != nil {
				code, out = -int32(errnoOf(err)), nil
			}
			_ = c.reply(head.Unique, code, out)
		}()
		defer pnp.Guard(c.log, "serving a program at the terminal", nil)
		out, err = c.h.handle(ctx, &request{op: head.Opcode, uid: head.UID, pid: head.PID, body: body})
	}()
}
