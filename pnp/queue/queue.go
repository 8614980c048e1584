// SPDX-License-Identifier: Apache-2.0

// Package queue holds the requests of a handle from arrival to completion. All
// devices share it. It keeps requests in order, cancels them, closes the handle and
// completes each request exactly once. It also bounds the calls that may block: each
// runs in a slot of the session's Pool.
//
// A device makes a Queue for each handle, and in it a Lane for each sequence of
// requests that it keeps in order, for example one for reads and one for writes. A
// lane's functions serve its requests:
//
//   - Try does what cannot block: it uses memory, the page cache or a driver that is
//     known to honour O_NONBLOCK. It runs in Submit, on the transport's thread.
//   - Do does what may block. It runs in a slot of the session's pool and holds no
//     lock. The request's buffers stay valid even if the request is cancelled
//     meanwhile.
//   - Await waits until the device is ready for Do, which returns NotReady if the
//     device was not ready after all. Await takes no slot: it waits in the runtime's
//     poller or on a channel.
//   - Without Do, a request waits in the lane until the device ends it with Finish,
//     or until Kick calls Try again.
//
// # Locking
//
// A Queue is a lock. It also guards the device's own data that the functions of its
// lanes use. Unlock completes requests, after it has released the lock.
package queue

import (
	"io"
	"iter"
	"log/slog"
	"slices"
	"sync"

	"freerdp-pnpdr/pnp"
)

// Queue holds the requests of one handle. New makes one.
type Queue struct {
	name    string // of the device, for the log
	log     *slog.Logger
	workers pnp.Workers

	mu       sync.Mutex
	finished []finished // Unlock completes these
	lanes    []*Lane
	// end is the result of requests that arrive now; S_OK while the handle is
	// in use.
	end pnp.HRESULT
	// users counts the calls that use the node, and the open handle itself. The
	// node is closed when it drops to 0.
	users    int
	closing  func()
	released func()
	last     func() // released, once Unlock has to call it
}

// finished is a result that Unlock is about to deliver.
type finished struct {
	r  *pnp.Request
	hr pnp.HRESULT
	n  int
}

// New makes the queue of a handle. Calls that may block run on workers; nil sets no
// bound. Messages to log contain name, the device's. log may be nil.
func New(name string, workers pnp.Workers, log *slog.Logger) *Queue {
	if workers == nil {
		workers = Unbounded{}
	}
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Queue{name: name, log: log, workers: workers, users: 1}
}

// Lock locks the queue, and with it the device's own data.
func (q *Queue) Lock() { q.mu.Lock() }

// Unlock unlocks the queue and then completes the requests that were finished
// meanwhile.
func (q *Queue) Unlock() {
	list, last := q.finished, q.last
	q.finished, q.last = nil, nil
	q.mu.Unlock()
	for _, f := range list {
		q.complete(f)
	}
	if last != nil {
		last()
	}
}

// complete recovers from a panic, which would keep the other requests from
// completing.
func (q *Queue) complete(f finished) {
	defer pnp.Guard(q.log, "completing a request for "+q.name, nil)
	f.r.Complete(f.hr, f.n)
}

// Lane is a sequence of requests that are served in the order of arrival.
type Lane struct {
	// Width is how many calls of Do run at a time; 0 means 1. If it is more than
	// one, Try gets each request on arrival, even if others wait.
	Width int
	// Try, if any, does as much of the request as it can without blocking. It
	// either ends the request with Finish or leaves it. The queue is locked.
	Try func(it *Item)
	// Do, if any, does the rest of the request, and may block. It returns the
	// result, with a count that includes it.N, or NotReady. The queue is not
	// locked.
	Do func(it *Item) (hr pnp.HRESULT, n int)
	// Await, if any, waits until the device seems ready for Do. It is for lanes
	// of Width 1. Closing the handle must end it with an error.
	Await func() error
	// Late, if any, gets the result of Do for a request that has ended meanwhile.
	// If it returns true, it keeps the request's buffers and has to release
	// them. The queue is locked.
	Late func(it *Item, hr pnp.HRESULT, n int) (kept bool)

	q       *Queue
	items   []*Item // those that have not ended, in order
	calls   int     // calls of Do that have a slot or wait for one
	running int     // calls of Do that have begun
	// withdraw takes back the call that waits for a slot.
	withdraw func() bool
	awaiting bool // a goroutine runs Await
}

// NotReady is a result of Do: it wants to be called again after another Await.
// NotReady never reaches the wire.
const NotReady pnp.HRESULT = 0xFFFFFFFF

// Item is a request in a lane. The queue's lock guards its fields.
type Item struct {
	R *pnp.Request
	// N is the number of bytes moved so far. It is the count of a request that
	// is cancelled.
	N int
	// OnEnd, if any, is called when the request ends, with the queue locked.
	OnEnd func()

	lane  *Lane
	begun bool // Do has begun with it
	ended bool
}

// Ended reports whether the request has a result. The queue is locked.
func (it *Item) Ended() bool { return it.ended }

// Add adds a lane. Call it before the first request arrives.
func (q *Queue) Add(l Lane) *Lane {
	l.q = q
	l.Width = max(l.Width, 1)
	q.lanes = append(q.lanes, &l)
	return &l
}

// Submit takes a request. Try does it at once if it can; otherwise it waits for its
// turn.
func (l *Lane) Submit(r *pnp.Request) {
	l.q.Lock()
	defer l.q.Unlock()
	l.Put(r)
}

// Put is like Submit, but the caller has locked the queue.
func (l *Lane) Put(r *pnp.Request) *Item {
	q := l.q
	it := &Item{R: r, lane: l}
	if q.end != pnp.S_OK {
		it.ended = true
		q.finished = append(q.finished, finished{r, q.end, 0})
		return it
	}
	first := len(l.items) == 0 && l.running == 0
	l.items = append(l.items, it)
	if l.Try != nil && (first || l.Width > 1) {
		l.try(it)
	}
	l.start()
	return it
}

// Answer completes a request that is in no lane: with hr and n, or with the result
// of End if that was called.
func (q *Queue) Answer(r *pnp.Request, hr pnp.HRESULT, n int) {
	q.Lock()
	defer q.Unlock()
	q.AnswerLocked(r, hr, n)
}

// AnswerLocked is like Answer, but the caller has locked the queue.
func (q *Queue) AnswerLocked(r *pnp.Request, hr pnp.HRESULT, n int) {
	if q.end != pnp.S_OK {
		hr, n = q.end, 0
	}
	q.finished = append(q.finished, finished{r, hr, n})
}

// try calls l.Try. If that panics, the request fails.
func (l *Lane) try(it *Item) {
	defer pnp.Guard(l.q.log, "serving "+l.q.name, func() { l.q.Finish(it, pnp.E_UNEXPECTED, it.N) })
	l.Try(it)
}

// Kick calls Try for the requests that wait, in order, until it leaves one. The
// queue is locked.
func (l *Lane) Kick() {
	for it := l.First(); it != nil && !it.begun; {
		l.try(it)
		next := l.First()
		if next == it {
			return
		}
		it = next
	}
}

// First returns the first request that has not ended, nil if there is none. The
// queue is locked.
func (l *Lane) First() *Item {
	if len(l.items) == 0 {
		return nil
	}
	return l.items[0]
}

// All returns the requests that have not ended, in order. The queue is locked.
func (l *Lane) All() iter.Seq[*Item] { return slices.Values(l.items) }

// Len returns how many requests have not ended. The queue is locked.
func (l *Lane) Len() int { return len(l.items) }

// Finish ends a request; Unlock delivers the result. Finish returns false if the
// request has ended already. The queue is locked.
func (q *Queue) Finish(it *Item, hr pnp.HRESULT, n int) bool {
	if it.ended {
		return false
	}
	it.ended = true
	if it.OnEnd != nil {
		it.OnEnd()
	}
	it.lane.remove(it)
	q.finished = append(q.finished, finished{it.R, hr, n})
	return true
}

// remove removes a request that has not ended.
func (l *Lane) remove(it *Item) {
	if l.items[0] == it {
		l.items[0] = nil
		l.items = l.items[1:]
	} else {
		i := slices.Index(l.items, it)
		l.items = slices.Delete(l.items, i, i+1)
	}
	if len(l.items) == 0 {
		l.items = nil
	}
}

// Move puts a request at the end of another lane of the queue. If Do has begun with
// it, the result of Do is dropped. A request that has ended does not move. The queue
// is locked.
func (it *Item) Move(to *Lane) {
	if it.ended {
		return
	}
	it.lane.remove(it)
	it.lane, it.begun = to, false
	to.items = append(to.items, it)
	to.start()
}

// Cancel ends r with ERROR_OPERATION_ABORTED and returns its item, or nil if r is
// not in the queue. A call of Do for r goes on; its result is dropped.
func (q *Queue) Cancel(r *pnp.Request) *Item {
	q.Lock()
	defer q.Unlock()
	for _, l := range q.lanes {
		if i := slices.IndexFunc(l.items, func(it *Item) bool { return it.R == r }); i >= 0 {
			it := l.items[i]
			q.Finish(it, pnp.ERROR_OPERATION_ABORTED, it.N)
			return it
		}
	}
	return nil
}

// Abort ends all requests in the lane. The queue is locked.
func (l *Lane) Abort(hr pnp.HRESULT) {
	for len(l.items) > 0 {
		l.q.Finish(l.items[0], hr, l.items[0].N)
	}
}

// End ends all requests in the queue with hr, and every request that arrives later
// with the result of the first End. The queue is locked.
func (q *Queue) End(hr pnp.HRESULT) {
	if q.end == pnp.S_OK {
		q.end = hr
	}
	for _, l := range q.lanes {
		l.Abort(q.end)
		if l.withdraw != nil && l.withdraw() {
			l.calls--
			l.withdraw = nil
			q.LeaveLocked()
		}
	}
}

// Ended returns the result of requests that arrive now; S_OK before End. The queue
// is locked.
func (q *Queue) Ended() pnp.HRESULT { return q.end }

// Close ends all requests with ERROR_OPERATION_ABORTED. When no call uses the node
// any more, it calls node, in a slot, which restores and closes the node, and then
// released. node may be nil.
func (q *Queue) Close(node, released func()) {
	q.Lock()
	defer q.Unlock()
	q.closing, q.released = node, released
	if q.end != pnp.S_OK {
		q.end = pnp.ERROR_OPERATION_ABORTED
	}
	q.End(pnp.ERROR_OPERATION_ABORTED)
	q.LeaveLocked()
}

// Enter keeps the node open until Leave is called, for uses outside of Try and Do.
// It returns false if the handle is closed.
func (q *Queue) Enter() bool {
	q.Lock()
	defer q.Unlock()
	return q.EnterLocked()
}

// EnterLocked is like Enter, but the caller has locked the queue.
func (q *Queue) EnterLocked() bool {
	if q.released != nil {
		return false
	}
	q.users++
	return true
}

// Leave ends a use of the node that Enter began.
func (q *Queue) Leave() {
	q.Lock()
	defer q.Unlock()
	q.LeaveLocked()
}

// LeaveLocked is like Leave, but the caller has locked the queue.
func (q *Queue) LeaveLocked() {
	q.users--
	if q.users > 0 {
		return
	}
	if q.closing == nil {
		q.last = q.released
		return
	}
	q.workers.Start(func() {
		defer q.released()
		defer pnp.Guard(q.log, "closing "+q.name, nil)
		q.closing()
	})
}
