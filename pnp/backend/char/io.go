// SPDX-License-Identifier: Apache-2.0

package char

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// quick is the most that Submit reads from an instant node, in bytes: it never waits,
// but random bytes take their time.
const quick = 64 << 10

// inline reports whether Submit may ask the driver for n bytes. Many drivers that
// accept O_NONBLOCK wait all the same: usbtmc in a read, hidraw in a write. Terminals
// do not.
func (h *handle) inline(n int) bool {
	return h.terminal != nil && h.class == pollable || h.class == instant && n <= quick
}

// try does as much of a request as can be done at once. The queue is locked.
func (h *handle) try(op pnp.Op, it *queue.Item) {
	switch {
	case op == pnp.OpRead && len(h.late) > 0:
		n := copy(it.R.Out, h.late)
		if h.late = h.late[n:]; len(h.late) == 0 {
			h.forget()
		}
		h.q.Finish(it, pnp.S_OK, n)
	case h.inline(len(it.R.Buffer())):
		n, err := h.move(op, it.R.Buffer()[it.N:], nil)
		it.N += n
		switch {
		case err == unix.EAGAIN, devnode.MayBeGone(err): // to find that out takes time
		default:
			h.q.Finish(it, h.result(op, it.N, err), it.N)
		}
	}
}

// do is the rest of a request. It may block.
func (h *handle) do(op pnp.Op, it *queue.Item) (pnp.HRESULT, int) {
	if op == pnp.OpWrite {
		return h.doWrite(it)
	}
	h.q.Lock()
	if len(h.late) > 0 {
		h.try(op, it) // data that arrived for an earlier read
		h.q.Unlock()
		return pnp.S_OK, 0
	}
	h.q.Unlock()
	n, err := h.move(op, it.R.Out, nil)
	if err != nil && err != unix.EAGAIN {
		h.q.Lock()
		h.failing = true
		h.q.Unlock()
	}
	return h.result(op, n, err), n
}

// doWrite writes the rest of a request. If the driver only queues data, doWrite runs
// once more when the driver is ready again, which says that the device has the data.
func (h *handle) doWrite(it *queue.Item) (pnp.HRESULT, int) {
	gone := h.queues() && h.gone()
	h.q.Lock()
	if it.Ended() {
		h.q.Unlock()
		return pnp.ERROR_OPERATION_ABORTED, it.N
	}
	if h.writing != it {
		h.writing, h.queued = it, it.N
	}
	if !gone {
		it.N, h.inDriver = h.queued, false
	}
	done := it.N // the device has these
	n := h.queued
	h.q.Unlock()
	switch {
	case gone:
		return pnp.ERROR_DEVICE_NOT_CONNECTED, done
	case n == len(it.R.In):
		return pnp.S_OK, n
	}
	readable := h.isUSB() && devnode.Readable(h.fd)
	_, err := h.move(pnp.OpWrite, it.R.In[n:], func(k int) {
		h.q.Lock()
		defer h.q.Unlock()
		h.readable, h.failing = readable, false
		done = n // it was ready for more
		n += k
		h.took(it, done, n)
	})
	switch {
	case h.queues() && (err == nil && n == len(it.R.In)):
		return queue.NotReady, 0
	case h.queues():
		n = done // the rest may be lost
	}
	return h.result(pnp.OpWrite, n, err), n
}

// gone reports whether the device has gone. When a USB device goes, its transfers end
// before the kernel notices, and a driver that queues does not say how. But then a read
// that it has under way fails, too, and looks as if there were something to read.
func (h *handle) gone() bool {
	if devnode.HungUp(h.fd) {
		return true
	}
	readable := h.isUSB() && devnode.Readable(h.fd)
	h.q.Lock()
	suspicious := h.inDriver && (h.failing || readable && !h.readable)
	h.q.Unlock()
	return suspicious && devnode.HungUpWithin(h.fd, leaving)
}

// isUSB reports whether the node moves USB transfers.
func (h *handle) isUSB() bool { return h.class == transfers || h.class == threads }

// took records that the driver has n bytes of a request, and the device done of them
// at least. The queue is locked.
func (h *handle) took(it *queue.Item, done, n int) {
	if it.N = n; h.queues() {
		it.N = done
	}
	if h.writing == it { // not cancelled: then nobody wants the data
		h.queued, h.inDriver = n, h.queues()
	}
}

// queues reports whether the driver may only queue what it is given to write. A
// terminal's driver does, too, but sends it when the node is closed.
func (h *handle) queues() bool { return h.polls() && h.terminal == nil }

// polls reports whether the node is waited for, so that calls of the driver do not.
func (h *handle) polls() bool {
	return h.class == pollable || h.class == transfers || h.class == threads
}

// move reads once, or writes b until the node takes no more. It calls moved, if any,
// with the count of each step. EAGAIN says that the node is not ready.
func (h *handle) move(op pnp.Op, b []byte, moved func(n int)) (n int, err error) {
	for {
		k, err := h.call(op, b[n:])
		n += k
		if moved != nil && k > 0 {
			moved(k)
		}
		if err != nil || k == 0 || op == pnp.OpRead || n == len(b) {
			return n, err
		}
	}
}

// copied is the most late data that a handle keeps outside of a request's buffer, in
// bytes.
const copied = 4 << 10

// keep keeps the data that was read for a request that had been cancelled meanwhile.
// The queue is locked.
func (h *handle) keep(it *queue.Item, hr pnp.HRESULT, n int) (kept bool) {
	if hr.Failed() || n == 0 || h.q.Ended() != pnp.S_OK {
		return false
	}
	h.forget()
	// The buffer of the request counts as long as it is held, as what the server
	// asked for. For a few bytes that would keep too much.
	if kept = n > copied; kept {
		h.late, h.holding = it.R.Out[:n], it.R
	} else {
		h.late = bytes.Clone(it.R.Out[:n])
	}
	h.reads.Kick()
	return kept
}

// forget releases the data that was kept. The queue is locked.
func (h *handle) forget() {
	if h.holding != nil {
		h.holding.Release()
	}
	h.late, h.holding = nil, nil
}

// await waits until the node seems to be ready.
func (h *handle) await(op pnp.Op) error {
	wait, events := h.conn.Read, int16(unix.POLLIN)
	if op == pnp.OpWrite {
		wait, events = h.conn.Write, unix.POLLOUT
	}
	if h.class == threads {
		return h.awaitInThread(events)
	}
	return wait(func(uintptr) bool {
		p := []unix.PollFd{{Fd: int32(h.fd), Events: events}}
		n, err := unix.Poll(p, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// awaitInThread waits until one of the events has come, or the handle is closed.
func (h *handle) awaitInThread(events int16) error {
	p := []unix.PollFd{{Fd: int32(h.fd), Events: events}, {Fd: int32(h.wake), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(p, -1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case p[1].Revents != 0:
			return os.ErrClosed
		default:
			return nil
		}
	}
}

// call is one system call for reading or writing b.
func (h *handle) call(op pnp.Op, b []byte) (int, error) {
	f := unix.Read
	if op == pnp.OpWrite {
		f = unix.Write
	}
	for {
		n, err := f(h.fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// result is the result of a request for which the device returned n bytes, or err.
func (h *handle) result(op pnp.Op, n int, err error) pnp.HRESULT {
	switch {
	case err == unix.EAGAIN && h.polls():
		return queue.NotReady
	case err == nil && n > 0:
		return pnp.S_OK
	case devnode.HungUp(h.fd): // a terminal that hung up reads end of file
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	case errors.Is(err, unix.ECONNABORTED): // its server in user space ended
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	case err != nil:
		return pnp.HRESULTOf(devnode.Failure(h.fd, err))
	case op == pnp.OpWrite:
		return pnp.ERROR_IO_DEVICE
	case h.isUSB(), h.class == messages:
		return pnp.S_OK
	}
	return pnp.ERROR_HANDLE_EOF
}
