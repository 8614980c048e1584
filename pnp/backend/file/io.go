// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"math"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// quick does r if that cannot wait. When it reports false it may have left
// something in r.Out, whose contents are undefined until r is complete.
func (h *handle) quick(r *pnp.Request) (hr pnp.HRESULT, n int, done bool) {
	if h.memory {
		hr, n = transfer(h.fd, r.Op, r.Buffer(), r.Offset)
		return hr, n, true
	}
	h.mu.Lock()
	noWait := h.noWait
	h.mu.Unlock()
	if r.Op != pnp.OpRead || !noWait {
		return 0, 0, false
	}
	out := within(r.Out, r.Offset)
	for n < len(out) {
		k, err := unix.Preadv2(h.fd, [][]byte{out[n:]}, int64(r.Offset)+int64(n), unix.RWF_NOWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EOPNOTSUPP || err == unix.ENOSYS || err == unix.EINVAL:
			// It will not do better the next time.
			h.mu.Lock()
			h.noWait = false
			h.mu.Unlock()
			return 0, 0, false
		case err != nil:
			// EAGAIN: not in the cache. Anything else is for Do to report.
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

// work does queued jobs until there are none.
func (h *handle) work() {
	defer pnp.Guard(h.dev.log, "serving requests", nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() {
		h.workers--
		h.leave()
	}()
	for len(h.queue) > 0 {
		j := h.queue[0]
		h.queue[0] = nil
		h.queue = h.queue[1:]
		h.runGuarded(j)
	}
}

// runGuarded is run, which a panic does not keep from completing the job. The
// caller holds mu, which runGuarded gives up meanwhile.
func (h *handle) runGuarded(j *job) {
	h.mu.Unlock()
	defer h.mu.Lock()
	defer pnp.Guard(h.dev.log, "serving a request", func() {
		h.mu.Lock()
		if h.jobs[j.r] == j {
			delete(h.jobs, j.r)
		}
		h.mu.Unlock()
		j.r.Complete(pnp.E_UNEXPECTED, 0)
	})
	h.run(j)
}

// run does one job through a buffer of the worker's own and completes it,
// unless Cancel or Close did that meanwhile.
func (h *handle) run(j *job) {
	r := j.r
	size := len(r.Buffer())
	b := getBuffer(size)
	defer putBuffer(b)
	own := (*b)[:size]

	if r.Op == pnp.OpWrite && !h.hold(j, func() { copy(own, r.In) }) {
		return
	}
	hr, n := transfer(h.fd, r.Op, own, r.Offset)
	if r.Op == pnp.OpRead && !h.hold(j, func() { copy(r.Out, own[:n]) }) {
		return
	}
	h.mu.Lock()
	if h.jobs[r] == j {
		delete(h.jobs, r)
	}
	h.mu.Unlock()
	// If Cancel came in between it completes r or has done so: either result
	// is true, and the buffers are no longer in use.
	r.Complete(hr, n)
}

// hold calls f, which uses the buffers of j's request, and reports whether the
// job is still to be done. A request that was cancelled before or meanwhile is
// complete when hold returns false.
func (h *handle) hold(j *job, f func()) bool {
	h.mu.Lock()
	if h.jobs[j.r] != j {
		h.mu.Unlock()
		return false
	}
	j.held = true
	h.mu.Unlock()
	f()
	h.mu.Lock()
	j.held = false
	cancelled := j.cancelled
	if cancelled {
		delete(h.jobs, j.r)
	}
	h.mu.Unlock()
	if cancelled {
		j.r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
	return !cancelled
}

// within cuts b to what lies below the largest offset that a file can have.
func within(b []byte, offset uint64) []byte {
	return b[:min(uint64(len(b)), math.MaxInt64-offset)]
}

// transfer reads or writes all of b at offset, or up to an error or the end. It
// returns the result of the whole and the number of bytes that were moved.
func transfer(fd int, op pnp.Op, b []byte, offset uint64) (pnp.HRESULT, int) {
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
		k, err := move(fd, b[n:], int64(offset)+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil || k == 0:
			return result(n, err)
		default:
			n += k
		}
	}
	return pnp.S_OK, n
}

// readResult is the result of a read that ended early, after n bytes: by err or
// at the end. What was read before an error is delivered; the error comes back
// when the rest is asked for.
func readResult(n int, err error) (pnp.HRESULT, int) {
	switch {
	case n > 0:
		return pnp.S_OK, n
	case err != nil:
		return pnp.HRESULTOf(err), 0
	}
	return pnp.ERROR_HANDLE_EOF, 0
}

// writeResult is readResult for a write. The end of a block device answers
// ENOSPC.
func writeResult(n int, err error) (pnp.HRESULT, int) {
	switch {
	case n > 0:
		return pnp.S_OK, n
	case errors.Is(err, unix.EROFS):
		// A device that became read-only while open; C-38 names the result.
		return pnp.ERROR_ACCESS_DENIED, 0
	case err != nil:
		return pnp.HRESULTOf(err), 0
	}
	return pnp.ERROR_DISK_FULL, 0
}

// buffers keeps the workers' buffers, up to maxKept bytes each.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const maxKept = 1 << 20

func getBuffer(size int) *[]byte {
	b := buffers.Get().(*[]byte)
	if cap(*b) < size {
		*b = make([]byte, size)
	}
	return b
}

func putBuffer(b *[]byte) {
	if cap(*b) <= maxKept {
		buffers.Put(b)
	}
}
