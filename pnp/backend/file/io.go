// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// try does the request if that cannot block. If it does not, it may have written to
// Out, whose contents are undefined until the request is complete.
func (h *handle) try(it *queue.Item) {
	r := it.R
	hr, done := h.check(r)
	n := 0
	switch {
	case done || r.Op == pnp.OpIOControl:
	case h.memory:
		hr, n = h.transfer(r.Op, r.Buffer(), r.Offset)
		done = true
	case r.Op == pnp.OpRead && h.noWait:
		hr, n, done = h.readCached(r)
	}
	if done {
		h.q.Finish(it, hr, n)
	}
}

// readCached reads what is in the page cache, if all of it is.
func (h *handle) readCached(r *pnp.Request) (hr pnp.HRESULT, n int, done bool) {
	out := within(r.Out, r.Offset)
	for n < len(out) {
		k, err := unix.Preadv2(h.fd, [][]byte{out[n:]}, int64(r.Offset)+int64(n), unix.RWF_NOWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EINVAL:
			h.noWait = false // not supported here
			return 0, 0, false
		case err != nil:
			// EAGAIN: not in the cache. do reports any other error.
			return 0, 0, false
		case k == 0:
			hr, n = readResult(n, nil)
			return hr, n, true
		default:
			n += k
		}
	}
	hr, n = readResult(n, nil)
	return hr, n, true
}

func (h *handle) do(it *queue.Item) (pnp.HRESULT, int) {
	if it.R.Op == pnp.OpIOControl {
		return h.control(it.R)
	}
	return h.transfer(it.R.Op, it.R.Buffer(), it.R.Offset)
}

// within cuts b at the largest offset that a file can have.
func within(b []byte, offset uint64) []byte {
	return b[:min(uint64(len(b)), math.MaxInt64-offset)]
}

// transfer reads or writes b at offset, up to an error or the end. It returns the
// result and the number of bytes that were moved.
func (h *handle) transfer(op pnp.Op, b []byte, offset uint64) (pnp.HRESULT, int) {
	move, result := unix.Pread, readResult
	if op == pnp.OpWrite {
		move, result = unix.Pwrite, writeResult
	}
	b = within(b, offset)
	if len(b) == 0 {
		return result(0, nil)
	}
	n := 0
	for n < len(b) {
		k, err := move(h.fd, b[n:], int64(offset)+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil && h.block:
			return result(n, devnode.Failure(h.fd, err))
		case err != nil || k == 0:
			return result(n, err)
		default:
			n += k
		}
	}
	return pnp.S_OK, n
}

// readResult is the result of a read that ended early, after n bytes: by err or at
// the end. The data before an error is delivered; the next read returns the error.
func readResult(n int, err error) (pnp.HRESULT, int) {
	switch {
	case n > 0:
		return pnp.S_OK, n
	case err != nil:
		return pnp.HRESULTOf(err), 0
	}
	return pnp.ERROR_HANDLE_EOF, 0
}

// writeResult is readResult for a write. A block device returns ENOSPC at its end.
func writeResult(n int, err error) (pnp.HRESULT, int) {
	switch {
	case n > 0:
		return pnp.S_OK, n
	case errors.Is(err, unix.EROFS):
		// The device became read-only while it was open (C-38).
		return pnp.ERROR_ACCESS_DENIED, 0
	case err != nil:
		return pnp.HRESULTOf(err), 0
	}
	return pnp.ERROR_DISK_FULL, 0
}
