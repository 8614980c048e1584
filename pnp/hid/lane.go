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
	if l.closed || r.Cancelled() { // before it came here
		l.mu.Unlock()
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
		return
	}
	l.queue = append(l.queue, &job{r, do})
	if !l.running {
		l.running = true
		l.h.users.Add(1)
		go l.work()
	}
	l.mu.Unlock()
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
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		j := l.queue[0]
		l.mu.Unlock()
		hr, n, out := j.do()
		l.mu.Lock()
		if len(l.queue) == 0 || l.queue[0] != j {
			continue // cancelled meanwhile
		}
		l.queue = slices.Delete(l.queue, 0, 1)
		l.mu.Unlock()
		copy(j.r.Out, out)
		j.r.Complete(hr, n)
		l.mu.Lock()
	}
	l.running = false
}
