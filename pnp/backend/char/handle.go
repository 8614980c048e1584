// SPDX-License-Identifier: Apache-2.0

package char

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// handle is one open: two lanes, one for each direction, with at most one
// goroutine each.
//
// Shutdown: Close empties the lanes and wakes their workers; the last of the
// workers and Close to be through starts the goroutine that restores the
// terminal and closes the descriptor. A worker that is stuck in the kernel is
// through when the driver lets it go; until then it keeps the descriptor.
type handle struct {
	dev         *Device
	fd          int      // for system calls that do not wait for the poller
	file        *os.File // owns fd
	class       class
	read, write bool
	tty         *tty // nil if it is no terminal
	grant       *devnode.Grant

	reads, writes lane
	// users are the workers and the open handle itself.
	users atomic.Int32
}

// newHandle makes the handle of an opened node, whose descriptor it owns even
// if it fails.
func newHandle(d *Device, n devnode.Node, c class, r pnp.OpenRequest) (*handle, error) {
	h := &handle{dev: d, fd: n.FD, class: c, read: n.Read, write: n.Write}
	// Without reading and writing it is an O_PATH descriptor, which no
	// request gets to.
	usable := n.Read || n.Write
	if usable && c != pollable {
		if err := unix.SetNonblock(n.FD, false); err != nil {
			unix.Close(n.FD)
			return nil, err
		}
	}
	h.file = os.NewFile(uintptr(n.FD), d.path) // asks the poller if it is non-blocking
	if err := h.prepare(r, usable); err != nil {
		h.file.Close()
		return nil, err
	}
	return h, nil
}

func (h *handle) prepare(r pnp.OpenRequest, usable bool) error {
	if r.Disposition == pnp.CREATE_NEW {
		return pnp.ERROR_FILE_EXISTS
	}
	if usable && h.class == pollable && errors.Is(h.file.SetDeadline(time.Time{}), os.ErrNoDeadline) {
		// epoll refuses the node: the one way to wait for it is to block.
		h.class = blocking
		if err := unix.SetNonblock(h.fd, false); err != nil {
			return err
		}
	}
	conn, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	h.reads = lane{h: h, op: pnp.OpRead, wait: conn.Read}
	h.writes = lane{h: h, op: pnp.OpWrite, wait: conn.Write}
	h.users.Store(1)
	if h.grant, err = h.dev.share.Open(h.read, h.write, r.Share); err != nil {
		return err
	}
	if usable { // last: nothing that fails after it has to undo it
		if h.tty, err = h.dev.raw.enter(h.fd); err != nil {
			h.grant.Release()
			return fmt.Errorf("set raw mode: %w", err)
		}
	}
	return nil
}

// Try implements pnp.Handle. It takes every request: what cannot wait is done,
// the rest is queued.
func (h *handle) Try(r *pnp.Request) bool {
	h.Do(r)
	return true
}

// Do implements pnp.Handle. It does not wait.
func (h *handle) Do(r *pnp.Request) {
	var l *lane
	var granted bool
	switch r.Op {
	case pnp.OpRead:
		l, granted = &h.reads, h.read
	case pnp.OpWrite:
		l, granted = &h.writes, h.write
	default:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
		return
	}
	switch {
	case !granted:
		r.Complete(pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Buffer()) == 0 && !l.isClosed():
		r.Complete(pnp.S_OK, 0)
	default:
		l.submit(r)
	}
}

// Cancel implements pnp.Handle. A cancelled read loses nothing: what arrives
// for it later goes to the next read. A cancelled write tells how much of it
// was written; where the driver is at it just then, more may follow.
func (h *handle) Cancel(r *pnp.Request) {
	switch r.Op {
	case pnp.OpRead:
		h.reads.cancel(r)
	case pnp.OpWrite:
		h.writes.cancel(r)
	}
}

// Close implements pnp.Handle.
func (h *handle) Close() {
	h.grant.Release()
	pending := append(h.reads.close(), h.writes.close()...)
	// Wakes the workers that wait in the poller. It fails where there is
	// none, and there nobody waits in it.
	_ = h.file.SetDeadline(time.Unix(1, 0))
	h.leave()
	for _, i := range pending {
		h.complete(i.r, pnp.ERROR_OPERATION_ABORTED, i.n)
	}
}

// complete lets no panic out: it would keep the requests behind r from
// completing.
func (h *handle) complete(r *pnp.Request, hr pnp.HRESULT, n int) {
	defer pnp.Guard(h.dev.log, "completing a request for "+h.dev.path, nil)
	r.Complete(hr, n)
}

// leave ends one use of the descriptor. Closing may wait (a serial port drains
// what it has to send), which no caller of the handle may.
func (h *handle) leave() {
	if h.users.Add(-1) > 0 {
		return
	}
	go func() {
		defer pnp.Guard(h.dev.log, "closing "+h.dev.path, nil)
		h.dev.raw.leave(h.fd, h.tty)
		if err := h.file.Close(); err != nil {
			h.dev.log.Warn("closing failed", "err", err)
		}
	}()
}

// inline reports whether an operation may be done on the channel's goroutine.
func (h *handle) inline(op pnp.Op, size int) bool {
	switch {
	case h.class == instant:
		// Never waits, but random bytes take their time.
		const quick = 64 << 10
		return size <= quick
	case op == pnp.OpRead:
		return h.class == pollable
	}
	// Drivers that honour O_NONBLOCK for reading need not do so for writing:
	// hidraw sends the report and waits for the bus. Terminals do.
	return h.class == pollable && h.tty != nil
}

// do is one system call for reading or writing b.
func (h *handle) do(op pnp.Op, b []byte) (int, error) {
	call := unix.Read
	if op == pnp.OpWrite {
		call = unix.Write
	}
	for {
		n, err := call(h.fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// result is what a request ends with when the device gave err, or nothing.
func (h *handle) result(op pnp.Op, err error) pnp.HRESULT {
	// A terminal whose other end hung up reads end of file and a HID device
	// that was unplugged EIO, as others do when they merely fail; the hangup
	// tells which.
	p := []unix.PollFd{{Fd: int32(h.fd)}}
	if _, perr := unix.Poll(p, 0); perr == nil && p[0].Revents&unix.POLLHUP != 0 {
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	}
	switch {
	case errors.Is(err, unix.ECONNABORTED): // its server in user space ended
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	case err != nil:
		return pnp.HRESULTOf(err)
	case op == pnp.OpWrite:
		return pnp.ERROR_IO_DEVICE
	}
	return pnp.ERROR_HANDLE_EOF
}
