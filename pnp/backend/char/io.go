// SPDX-License-Identifier: Apache-2.0

package char

import (
	"errors"

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
		var hr pnp.HRESULT
		if hr, it.N = h.move(op, it.R.Buffer(), it.N, nil); hr != queue.NotReady {
			h.q.Finish(it, hr, it.N)
		}
	}
}

// do is the rest of a request. It may block.
func (h *handle) do(op pnp.Op, it *queue.Item) (pnp.HRESULT, int) {
	h.q.Lock()
	n := it.N
	if op == pnp.OpRead && len(h.late) > 0 {
		h.try(op, it) // data that arrived for an earlier read
		h.q.Unlock()
		return pnp.S_OK, 0
	}
	h.q.Unlock()
	return h.move(op, it.R.Buffer(), n, func(n int) {
		h.q.Lock()
		defer h.q.Unlock()
		it.N = n
	})
}

// move reads once, or writes b from n on until the node takes no more. It calls moved,
// if any, after each step.
func (h *handle) move(op pnp.Op, b []byte, n int, moved func(n int)) (pnp.HRESULT, int) {
	for {
		k, err := h.call(op, b[n:])
		n += k
		switch {
		case err == unix.EAGAIN && h.class == pollable:
			return queue.NotReady, n
		case err != nil || k == 0:
			return h.result(op, err), n
		case op == pnp.OpRead || n == len(b):
			return pnp.S_OK, n
		}
		if moved != nil {
			moved(n)
		}
	}
}

// keep keeps the data that was read for a request that had been cancelled meanwhile.
// The queue is locked.
func (h *handle) keep(it *queue.Item, hr pnp.HRESULT, n int) bool {
	if hr.Failed() || n == 0 || h.q.Ended() != pnp.S_OK {
		return false
	}
	h.forget()
	h.late, h.holding = it.R.Out[:n], it.R
	h.reads.Kick()
	return true
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
	return wait(func(uintptr) bool {
		p := []unix.PollFd{{Fd: int32(h.fd), Events: events}}
		n, err := unix.Poll(p, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
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

// result is the result of a request if the device returned err, or 0 bytes.
func (h *handle) result(op pnp.Op, err error) pnp.HRESULT {
	// A terminal that hung up reads end of file, and a HID device that was
	// unplugged EIO. Both also have other reasons, so ask for the hangup.
	switch {
	case devnode.HungUp(h.fd):
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	case errors.Is(err, unix.ECONNABORTED): // its server in user space ended
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	case err != nil:
		return pnp.HRESULTOf(err)
	case op == pnp.OpWrite:
		return pnp.ERROR_IO_DEVICE
	}
	return pnp.ERROR_HANDLE_EOF
}
