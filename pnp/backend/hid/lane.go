// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"slices"
	"sync"

	"freerdp-pnpdr/pnp"
)

// lane does requests that may block in the kernel, in the order of their
// arrival, on at most one goroutine.
type lane struct {
	h *handle

	mu      sync.Mutex
	queue   []*job
	running bool // there is a worker
	closed  bool
}

// job is a request in a lane.
type job struct {
	r *pnp.Request
	// do performs the request without touching it: it may have been
	// completed meanwhile. It returns the result, the count, and what is to
	// be copied to Out.
	do func() (pnp.HRESULT, int, []byte)
}

// submit queues r.
func (l *lane) submit(r *pnp.Request, do func() (pnp.HRESULT, int, []byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || r.Cancelled() { // before it came here
		l.settle(r, pnp.ERROR_OPERATION_ABORTED, 0, nil)
		return
	}
	l.queue = append(l.queue, &job{r, do})
	if !l.running {
		l.running = true
		l.h.users.Add(1)
		go l.work()
	}
}

// cancel takes r out of the lane and reports whether it was there.
func (l *lane) cancel(r *pnp.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.queue, func(j *job) bool { return j.r == r })
	if at < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, at, at+1)
	return true
}

// close returns what is to be cancelled. Nothing begins after it.
func (l *lane) close() []*pnp.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pending []*pnp.Request
	for _, j := range l.queue {
		pending = append(pending, j.r)
	}
	l.queue, l.closed = nil, true
	return pending
}

// work does what is queued until there is nothing left.
func (l *lane) work() {
	defer l.h.leave()
	defer pnp.Guard(l.h.dev.log, "serving "+l.h.dev.path, l.abandon)
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		j := l.queue[0]
		hr, n, out := l.do(j)
		if len(l.queue) == 0 || l.queue[0] != j {
			continue // cancelled meanwhile
		}
		l.queue = slices.Delete(l.queue, 0, 1)
		l.settle(j.r, hr, n, out)
	}
	l.running = false
}

// do is j.do, or what is left of it after a panic. The caller holds mu, which do
// gives up meanwhile.
func (l *lane) do(j *job) (hr pnp.HRESULT, n int, out []byte) {
	l.mu.Unlock()
	defer l.mu.Lock()
	defer pnp.Guard(l.h.dev.log, "serving "+l.h.dev.path, func() { hr, n, out = pnp.E_UNEXPECTED, 0, nil })
	return j.do()
}

// settle completes r, which is not in the queue. The caller holds mu, which
// settle gives up meanwhile.
func (l *lane) settle(r *pnp.Request, hr pnp.HRESULT, n int, out []byte) {
	l.mu.Unlock()
	defer l.mu.Lock()
	copy(r.Out, out)
	l.h.complete(r, hr, n)
}

// abandon ends the lane after a panic of its worker.
func (l *lane) abandon() {
	pending := l.close()
	l.mu.Lock()
	l.running = false
	l.mu.Unlock()
	for _, r := range pending {
		l.h.complete(r, pnp.E_UNEXPECTED, 0)
	}
}
