// SPDX-License-Identifier: Apache-2.0

package char

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// handle is one open, with a lane for each direction.
type handle struct {
	dev         *Device
	fd          int      // for system calls that do not wait for the poller
	file        *os.File // owns fd
	conn        syscall.RawConn
	class       class
	wake        int // of class threads: an eventfd that ends waiting, or else -1; guarded by q
	read, write bool
	terminal    *devnode.Terminal // nil if it is not one
	grant       *devnode.Grant

	q             *queue.Queue
	reads, writes *queue.Lane
	controls      *queue.Lane

	// late is the data that was read for a request that had been cancelled
	// meanwhile, in the buffer of holding unless that is nil. The next reads get
	// it.
	late    []byte
	holding *pnp.Request

	// writing is the write that Do has begun with unless it was cancelled, and queued how much of it the
	// driver has. inDriver is set while the device may not have all of that.
	writing  *queue.Item
	queued   int
	inDriver bool
	// These tell whether the device may be going: readable says that there was something
	// to read when the driver took the last of a write, and failing that a read has
	// failed since.
	readable, failing bool
}

// leaving is how long the kernel may take to notice that a device has gone whose transfers
// end.
const leaving = 100 * time.Millisecond

// closeLimit is how long closing waits for a transfer that is under way.
const closeLimit = 5 * time.Second

// busyLimit is how long an open waits for closing, which takes that long unless a
// driver hangs.
const busyLimit = closeLimit + 5*time.Second

// newHandle makes the handle of an opened node. It owns the descriptor, even if it
// fails.
func newHandle(d *Device, n devnode.Node, c class, r pnp.OpenRequest) (*handle, error) {
	h := &handle{dev: d, fd: n.FD, class: c, wake: -1, read: n.Read, write: n.Write, q: queue.New(d.path, r.Workers, d.log)}
	// Without either it is an O_PATH descriptor, which no request uses.
	usable := n.Read || n.Write
	if usable && (!h.polls() || c == threads) {
		if err := unix.SetNonblock(n.FD, false); err != nil {
			unix.Close(n.FD)
			return nil, err
		}
	}
	h.file = os.NewFile(uintptr(n.FD), d.path) // asks the poller if it is non-blocking
	if err := h.prepare(&n, r, usable); err != nil {
		if usable {
			err = devnode.Failure(n.FD, err)
		}
		h.closeWake()
		h.file.Close()
		return nil, err
	}
	return h, nil
}

func (h *handle) prepare(n *devnode.Node, r pnp.OpenRequest, usable bool) error {
	if usable && h.class == threads {
		if err := h.prepareThreads(); err != nil {
			return err
		}
	} else if usable && h.polls() && errors.Is(h.file.SetDeadline(time.Time{}), os.ErrNoDeadline) {
		// epoll refuses the node, so the only way to wait for it is to block.
		h.class = blocking
		if err := unix.SetNonblock(h.fd, false); err != nil {
			return err
		}
	}
	var err error
	if h.conn, err = h.file.SyscallConn(); err != nil {
		return err
	}
	if h.grant, err = n.Share(r.Share); err != nil {
		return err
	}
	if usable { // last, so that nothing has to undo it
		if h.terminal, err = makeRaw(n); err != nil {
			h.grant.Release()
			return fmt.Errorf("set raw mode: %w", err)
		}
	}
	h.reads, h.writes = h.lane(pnp.OpRead), h.lane(pnp.OpWrite)
	h.controls = h.q.Add(queue.Lane{Width: controlWidth, Do: h.ioctl})
	return nil
}

// prepareThreads prepares for waiting in threads.
func (h *handle) prepareThreads() error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(h.fd, true); err != nil { // the poller has not noticed
		unix.Close(wake)
		return err
	}
	h.wake = wake
	return nil
}

// interrupt ends the waits.
func (h *handle) interrupt() {
	// It fails for nodes that are not in the poller.
	_ = h.file.SetDeadline(time.Unix(1, 0))
	h.q.Lock()
	defer h.q.Unlock()
	if h.wake >= 0 {
		// It fails only if it has been written to before.
		_, _ = unix.Write(h.wake, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

// closeWake closes what interrupt uses.
func (h *handle) closeWake() {
	h.q.Lock()
	defer h.q.Unlock()
	if h.wake >= 0 {
		unix.Close(h.wake)
		h.wake = -1
	}
}

// makeRaw makes a terminal raw; nil if the node is not one.
func makeRaw(n *devnode.Node) (*devnode.Terminal, error) {
	t, err := devnode.EnterTerminal(n, func(now unix.Termios) error {
		if raw := devnode.Raw(now); raw != now {
			return devnode.SetTermios(n.FD, raw)
		}
		return nil
	})
	if err != nil && !errors.Is(err, unix.EIO) { // EIO: a terminal that was hung up
		return nil, nil
	}
	return t, err
}

// lane makes the lane of a direction.
func (h *handle) lane(op pnp.Op) *queue.Lane {
	l := queue.Lane{
		Try: func(it *queue.Item) { h.try(op, it) },
		Do:  func(it *queue.Item) (pnp.HRESULT, int) { return h.do(op, it) },
	}
	if op == pnp.OpRead {
		l.Late = h.keep
	}
	if h.polls() {
		l.Await = func() error { return h.await(op) }
	}
	return h.q.Add(l)
}

// Submit implements pnp.Handle.
func (h *handle) Submit(r *pnp.Request) {
	l := h.reads
	if r.Op == pnp.OpWrite {
		l = h.writes
	}
	switch {
	case r.Op == pnp.OpIOControl:
		h.control(r)
	case r.Op == pnp.OpRead && !h.read, r.Op == pnp.OpWrite && !h.write:
		r.Complete(pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Buffer()) == 0:
		h.q.Answer(r, pnp.S_OK, 0)
	default:
		l.Submit(r)
	}
}

// Cancel implements pnp.Handle. A cancelled read loses nothing: data that arrives for
// it later goes to the next read. The count of a cancelled write is what was written;
// if it is in the driver, more may be written later.
func (h *handle) Cancel(r *pnp.Request) {
	it := h.q.Cancel(r)
	h.q.Lock()
	defer h.q.Unlock()
	if it != nil && it == h.writing {
		h.writing, h.inDriver = nil, false
	}
}

// Close implements pnp.Handle.
func (h *handle) Close(released func()) {
	h.grant.Closing(busyLimit)
	h.q.Close(h.close, released)
	h.q.Lock()
	h.forget()
	h.q.Unlock()
	h.interrupt()
}

// finish waits until the device has what its driver has queued.
func (h *handle) finish() {
	h.q.Lock()
	waits := h.inDriver
	h.q.Unlock()
	if waits && !devnode.AwaitWritable(h.fd, h.dev.closeLimit) {
		h.dev.log.Warn("data may be lost: the device did not take it before it was closed")
	}
}

// close restores the terminal and closes the node.
func (h *handle) close() {
	defer h.grant.Release() // the next open finds the node closed
	h.closeWake()
	h.finish()
	if h.terminal != nil {
		err := h.terminal.Leave(h.fd, func(saved unix.Termios) error { return devnode.SetTermios(h.fd, saved) }, nil)
		if err != nil && !devnode.HungUp(h.fd) {
			h.dev.log.Warn("restoring the terminal failed", "err", err)
		}
	}
	if err := h.file.Close(); err != nil {
		h.dev.log.Warn("closing failed", "err", err)
	}
}
