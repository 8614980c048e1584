// SPDX-License-Identifier: Apache-2.0

package file

import (
	"math"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// maxWorkers bounds the goroutines of one handle that are in the kernel. On a
// disk that answers it is the depth of its queue; on one that does not (a dead
// network file system) it is how many threads can be stuck: requests beyond it
// wait, and can be cancelled while they do.
const maxWorkers = 16

// handle is one open. A request that may wait for the disk is done by a worker
// with a buffer of its own, so that Cancel and Close can complete it while the
// kernel is not done with it: a read of a disk cannot be interrupted.
type handle struct {
	dev         *Device
	fd          int
	read, write bool
	memory      bool // see inMemory
	grant       *devnode.Grant

	mu     sync.Mutex
	noWait bool                  // RWF_NOWAIT is worth a try
	jobs   map[*pnp.Request]*job // every request accepted and not completed
	queue  []*job                // those that no worker has begun
	// users are the workers, the Try in progress and the open handle itself.
	// The last one to leave closes fd.
	users   int
	workers int
	closed  bool
}

// job is a request in a handle's hands. Its fields are guarded by handle.mu.
type job struct {
	r *pnp.Request
	// held is set while a goroutine uses the request's buffers. It never
	// waits meanwhile, and completes a cancelled request itself.
	held      bool
	cancelled bool
}

func newHandle(d *Device, n devnode.Node, g *devnode.Grant) *handle {
	return &handle{
		dev: d, fd: n.FD, read: n.Read, write: n.Write, grant: g,
		memory: inMemory(n), noWait: true,
		jobs: make(map[*pnp.Request]*job), users: 1,
	}
}

// check returns the result of a request that need not reach the kernel.
func (h *handle) check(r *pnp.Request) (hr pnp.HRESULT, done bool) {
	length := len(r.Out)
	switch r.Op {
	case pnp.OpRead:
		if !h.read {
			return pnp.ERROR_ACCESS_DENIED, true
		}
	case pnp.OpWrite:
		if !h.write {
			return pnp.ERROR_ACCESS_DENIED, true
		}
		length = len(r.In)
	default:
		return pnp.ERROR_INVALID_FUNCTION, true
	}
	if r.Offset > math.MaxInt64 { // C-19
		return pnp.ERROR_INVALID_PARAMETER, true
	}
	if length > 0 {
		return pnp.S_OK, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return pnp.ERROR_OPERATION_ABORTED, true
	}
	return pnp.S_OK, true
}

// Try implements pnp.Handle: it reads what is in the page cache, and reads and
// writes files that live in memory. The rest is for Do.
func (h *handle) Try(r *pnp.Request) bool {
	if hr, done := h.check(r); done {
		r.Complete(hr, 0)
		return true
	}
	j, ok := h.begin(r, true)
	if !ok {
		return true
	}
	hr, n, done := h.quick(r)
	if cancelled := h.end(j); !done && cancelled {
		hr, n, done = pnp.ERROR_OPERATION_ABORTED, 0, true
	}
	if done {
		r.Complete(hr, n)
	}
	return done
}

// Do implements pnp.Handle. It does not wait: a worker completes r.
func (h *handle) Do(r *pnp.Request) {
	if hr, done := h.check(r); done {
		r.Complete(hr, 0)
		return
	}
	h.begin(r, false)
}

// Cancel implements pnp.Handle: r completes at once. A read or write that the
// kernel is at goes on there, and a write may still take effect.
func (h *handle) Cancel(r *pnp.Request) {
	h.mu.Lock()
	j := h.jobs[r]
	switch {
	case j == nil: // done, or still to be given to Do, which sees it
	case j.held:
		j.cancelled = true
	default:
		h.drop(j)
		defer r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
	h.mu.Unlock()
}

// Close implements pnp.Handle.
func (h *handle) Close() {
	h.grant.Release()
	h.mu.Lock()
	h.closed = true
	h.queue = nil
	var pending []*pnp.Request
	for r, j := range h.jobs {
		if j.held {
			j.cancelled = true
			continue
		}
		pending = append(pending, r)
		delete(h.jobs, r)
	}
	stuck := h.workers
	h.leave()
	h.mu.Unlock()
	if stuck > 0 {
		h.dev.log.Debug("closing waits for the kernel", "requests", stuck)
	}
	for _, r := range pending {
		h.abort(r)
	}
}

// abort lets no panic out: it would keep the requests behind r from completing.
func (h *handle) abort(r *pnp.Request) {
	defer pnp.Guard(h.dev.log, "completing a request", nil)
	r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
}

// begin enters r: held by the caller, who calls end, or for a worker to do. It
// completes r instead, and returns false, if the handle is closed or r was
// cancelled before it came here.
func (h *handle) begin(r *pnp.Request, held bool) (*job, bool) {
	h.mu.Lock()
	if h.closed || r.Cancelled() {
		h.mu.Unlock()
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
		return nil, false
	}
	j := &job{r: r, held: held}
	h.jobs[r] = j
	if held {
		h.users++
	} else {
		h.queue = append(h.queue, j)
		if h.workers < maxWorkers {
			h.workers++
			h.users++
			go h.work()
		}
	}
	h.mu.Unlock()
	return j, true
}

// end takes a held job out and reports whether it was cancelled meanwhile.
func (h *handle) end(j *job) (cancelled bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.jobs, j.r)
	h.leave()
	return j.cancelled
}

// drop takes out a job that is not held. The caller holds mu.
func (h *handle) drop(j *job) {
	delete(h.jobs, j.r)
	if i := slices.Index(h.queue, j); i >= 0 {
		h.queue = slices.Delete(h.queue, i, i+1)
	}
}

// leave gives up one use of fd. The caller holds mu. Closing may wait (for a
// file system in user space to flush), which no caller of the handle may.
func (h *handle) leave() {
	h.users--
	if h.users == 0 {
		// Last: from here on nobody has fd, and nobody can get it.
		go func() {
			defer pnp.Guard(h.dev.log, "closing a handle", nil)
			if err := unix.Close(h.fd); err != nil {
				h.dev.log.Warn("closing failed; written data may be lost", "err", err)
			}
		}()
	}
}
