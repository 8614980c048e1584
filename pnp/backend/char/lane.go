// SPDX-License-Identifier: Apache-2.0

package char

import (
	"bytes"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// lane is one direction of a handle: its requests in the order of their
// arrival, and at most one goroutine that does them. The goroutine uses buffers
// of its own, so a request can be completed while the kernel is at it.
type lane struct {
	h  *handle
	op pnp.Op
	// wait calls f whenever the node may be ready, until f returns true; it
	// fails once the handle is closing. Only for pollable nodes.
	wait func(f func(fd uintptr) bool) error

	mu    sync.Mutex
	queue []*item
	// late is data that was read for a request that was cancelled
	// meanwhile. It goes to the next ones.
	late    []byte
	running bool // there is a worker
	busy    bool // the worker is at the device
	closed  bool
}

// item is a request in a lane.
type item struct {
	r   *pnp.Request
	n   int    // bytes written
	own []byte // what remains to be written, from the worker's first touch on
}

// submit does r, if that cannot wait, or queues it.
func (l *lane) submit(r *pnp.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := &item{r: r}
	if l.closed || r.Cancelled() {
		l.settle(i, pnp.ERROR_OPERATION_ABORTED)
		return
	}
	if len(l.queue) == 0 && !l.busy {
		if hr, done := l.inline(i); done {
			l.settle(i, hr)
			return
		}
	}
	l.queue = append(l.queue, i)
	if !l.running {
		l.running = true
		l.h.users.Add(1)
		go l.work()
	}
}

// inline does as much of i as can be done at once and reports whether that was
// all. The caller holds mu: the calls do not wait, and Cancel finds the request
// either untouched or settled.
func (l *lane) inline(i *item) (hr pnp.HRESULT, done bool) {
	if l.op == pnp.OpRead && len(l.late) > 0 {
		l.takeLate(i)
		return pnp.S_OK, true
	}
	b := i.r.Buffer()
	if !l.h.inline(l.op, len(b)) {
		return 0, false
	}
	for {
		n, err := l.h.do(l.op, b[i.n:])
		i.n += n
		switch {
		case err == unix.EAGAIN:
			return 0, false
		case err != nil || n == 0:
			return l.h.result(l.op, err), true
		case l.op == pnp.OpRead || i.n == len(b):
			return pnp.S_OK, true
		}
	}
}

func (l *lane) takeLate(i *item) {
	i.n = copy(i.r.Out, l.late)
	l.late = l.late[i.n:]
}

// settle completes i, which is not in the queue, with hr. The caller holds mu,
// which settle gives up meanwhile.
func (l *lane) settle(i *item, hr pnp.HRESULT) {
	l.mu.Unlock()
	defer l.mu.Lock()
	l.h.complete(i.r, hr, i.n)
}

// pop takes the first item out of the queue and settles it.
func (l *lane) pop(hr pnp.HRESULT) {
	i := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	l.settle(i, hr)
}

func (l *lane) cancel(r *pnp.Request) {
	l.mu.Lock()
	at := slices.IndexFunc(l.queue, func(i *item) bool { return i.r == r })
	if at < 0 { // done, or still to come here, where it is seen
		l.mu.Unlock()
		return
	}
	n := l.queue[at].n
	l.queue = slices.Delete(l.queue, at, at+1)
	l.mu.Unlock()
	l.h.complete(r, pnp.ERROR_OPERATION_ABORTED, n)
}

// close returns what is to be cancelled. Nothing begins after it.
func (l *lane) close() []*item {
	l.mu.Lock()
	defer l.mu.Unlock()
	pending := l.queue
	l.queue, l.late, l.closed = nil, nil, true
	return pending
}

func (l *lane) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// work does what is queued until there is nothing left.
func (l *lane) work() {
	defer l.h.leave()
	defer pnp.Guard(l.h.dev.log, "serving "+l.h.dev.path, l.abandon)
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		if l.h.class != pollable {
			l.advance()
			continue
		}
		if err := l.await(); err != nil && len(l.queue) > 0 {
			// Not closing, or the queue were empty: the poller failed.
			l.pop(l.h.result(l.op, err))
		}
	}
	l.running = false
}

// await does what is queued whenever the node is ready. The caller holds mu,
// which await gives up meanwhile.
func (l *lane) await() error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return l.wait(func(uintptr) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for len(l.queue) > 0 {
			if again := l.advance(); !again {
				return false
			}
		}
		return true
	})
}

// abandon ends the lane after a panic of its worker.
func (l *lane) abandon() {
	l.mu.Lock()
	pending := l.queue
	l.queue, l.late, l.closed, l.running = nil, nil, true, false
	l.mu.Unlock()
	for _, i := range pending {
		l.h.complete(i.r, pnp.E_UNEXPECTED, i.n)
	}
}

// advance moves data once for the first request in the queue. It returns false
// if the device is not ready. The caller holds mu, which advance gives up while
// it is at the device.
func (l *lane) advance() bool {
	i := l.queue[0]
	if l.op == pnp.OpRead && len(l.late) > 0 {
		l.takeLate(i)
		l.pop(pnp.S_OK)
		return true
	}
	if i.own == nil {
		if l.op == pnp.OpWrite {
			i.own = bytes.Clone(i.r.In[i.n:])
		} else {
			i.own = make([]byte, len(i.r.Out))
		}
	}
	own := i.own
	n, hr, notReady := l.move(own)
	switch {
	case notReady:
		return false
	case l.op == pnp.OpRead && n > 0:
		// For i, if it is still the first.
		if !l.closed {
			l.late = own[:n]
			i.own = nil
		}
	case len(l.queue) == 0 || l.queue[0] != i:
		// Cancelled meanwhile, with its result.
	case hr.Failed():
		l.pop(hr)
	default:
		i.n += n
		i.own = own[n:]
		if len(i.own) == 0 {
			l.pop(pnp.S_OK)
		}
	}
	return true
}

// move reads or writes b once. The caller holds mu, which move gives up
// meanwhile.
func (l *lane) move(b []byte) (n int, hr pnp.HRESULT, notReady bool) {
	l.busy = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.busy = false
	}()
	n, err := l.h.do(l.op, b)
	switch {
	case err == unix.EAGAIN && l.h.class == pollable:
		return n, pnp.S_OK, true
	case err != nil || n == 0:
		return n, l.h.result(l.op, err), false
	}
	return n, pnp.S_OK, false
}
