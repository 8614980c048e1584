// SPDX-License-Identifier: Apache-2.0

// Package queue holds the requests of a handle from their arrival to their
// completion. It is what all devices share: the order of requests, cancelling,
// closing, and that each request is completed exactly once; and the bounded
// pool of slots that whatever may block runs in.
//
// A device makes a Queue for each handle and in it a Lane for each order that
// it keeps: one for reads and one for writes, say. What a lane does with a
// request is said by its functions:
//
//   - Try does what cannot block: memory, the page cache, a driver that is known
//     to keep its word. It runs in Submit, on the transport's thread.
//   - Do does what may block. It runs in a slot of the session's pool, with
//     no lock held and with the request's buffers, which stay valid even if
//     the request is cancelled meanwhile.
//   - Await waits until the device is ready for Do, which then says NotReady if
//     it was not. It takes no slot: a goroutine in the runtime's poller holds
//     up nobody.
//   - Without Do a request waits in the lane until the device ends it by Finish,
//     or until Kick has Try look at it again.
//
// # Locking
//
// A Queue is a lock, which also guards whatever of the device's own the lane's
// functions use. Requests are completed by Unlock, once no lock is held.
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
	name    string // of what is served, for the log
	log     *slog.Logger
	workers pnp.Workers

	mu       sync.Mutex
	finished []finished // to be completed by Unlock
	lanes    []*Lane
	// end is what requests that come now fail with; S_OK while the handle is
	// in use.
	end pnp.HRESULT
	// users are the calls that use the node, and the open handle itself. The
	// last one to leave has the node closed.
	users    int
	closing  func()
	released func()
	last     func() // released, for Unlock to call
}

// finished is a result that is about to be told.
type finished struct {
	r  *pnp.Request
	hr pnp.HRESULT
	n  int
}

// New makes the queue of a handle. What may block runs on workers, without a bound
// if they are nil. name is what is served, for messages to log, which may be nil.
func New(name string, workers pnp.Workers, log *slog.Logger) *Queue {
	if workers == nil {
		workers = Unbounded{}
	}
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Queue{name: name, log: log, workers: workers, users: 1}
}

// Lock takes the queue, and with it the device's own data.
func (q *Queue) Lock() { q.mu.Lock() }

// Unlock releases the queue and then completes what was finished under it.
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

// complete lets no panic out: it would keep the requests behind from completing.
func (q *Queue) complete(f finished) {
	defer pnp.Guard(q.log, "completing a request for "+q.name, nil)
	f.r.Complete(f.hr, f.n)
}

// Lane is requests that are served in the order of their arrival.
type Lane struct {
	// Width is how many requests Do has at a time; 0 is 1. If it is more than
	// one, Try is asked for each request as it comes, whatever waits.
	Width int
	// Try, if any, does as much of the request as cannot block. It has the
	// queue locked and either ends the request by Finish or leaves it.
	Try func(it *Item)
	// Do, if any, does the request, or the rest of it, and may block. It
	// returns the result, whose count includes it.N, or NotReady. The queue is
	// not locked.
	Do func(it *Item) (hr pnp.HRESULT, n int)
	// Await, if any, waits until Do is worth a call, for a lane of Width 1.
	// Closing the handle must end it with an error.
	Await func() error
	// Late, if any, is told what Do returned for a request that had been ended
	// meanwhile, with the queue locked. If it returns true it has kept the
	// request's buffers, and releases them.
	Late func(it *Item, hr pnp.HRESULT, n int) (kept bool)

	q       *Queue
	items   []*Item // those that have not ended, in order
	calls   int     // Do's that have or wait for a slot
	running int     // Do's that have begun
	// withdraw takes back the call that waits for a slot.
	withdraw func() bool
	awaiting bool // there is a goroutine in Await
}

// NotReady is what Do returns to be called again after another Await. It never
// reaches the wire.
const NotReady pnp.HRESULT = 0xFFFFFFFF

// Item is a request in a lane. The queue's lock guards its fields.
type Item struct {
	R *pnp.Request
	// N is the number of bytes that were moved so far. A request that is
	// cancelled tells it.
	N int
	// OnEnd, if any, is called when the request ends, with the queue locked.
	OnEnd func()

	lane  *Lane
	begun bool // Do has it
	ended bool
}

// Ended reports whether the request has its result. The queue is locked.
func (it *Item) Ended() bool { return it.ended }

// Add makes a lane. It is done before the first request.
func (q *Queue) Add(l Lane) *Lane {
	l.q = q
	l.Width = max(l.Width, 1)
	q.lanes = append(q.lanes, &l)
	return &l
}

// Submit takes a request: it is done at once if that cannot block, and else in
// its turn.
func (l *Lane) Submit(r *pnp.Request) {
	l.q.Lock()
	defer l.q.Unlock()
	l.Put(r)
}

// Put is Submit for a caller that has locked the queue.
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

// Answer completes a request that waits for nothing with hr, or as one that came
// after the end.
func (q *Queue) Answer(r *pnp.Request, hr pnp.HRESULT, n int) {
	q.Lock()
	defer q.Unlock()
	q.AnswerLocked(r, hr, n)
}

// AnswerLocked is Answer for a caller that has locked the queue.
func (q *Queue) AnswerLocked(r *pnp.Request, hr pnp.HRESULT, n int) {
	if q.end != pnp.S_OK {
		hr, n = q.end, 0
	}
	q.finished = append(q.finished, finished{r, hr, n})
}

// try is l.Try; after a panic the request fails.
func (l *Lane) try(it *Item) {
	defer pnp.Guard(l.q.log, "serving "+l.q.name, func() { l.q.Finish(it, pnp.E_UNEXPECTED, it.N) })
	l.Try(it)
}

// Kick has Try look at what waits, in order, until it leaves one. The queue is
// locked.
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

// First returns the request whose turn it is, nil if there is none. The queue is
// locked.
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

// Finish ends a request with its result, which Unlock tells. It returns false if
// the request has ended already. The queue is locked.
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

// remove takes out a request that has not ended.
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

// Move has a request wait in another lane of the queue, behind what is there. If
// Do has it, what Do returns is dropped. A request that has ended does not move.
// The queue is locked.
func (it *Item) Move(to *Lane) {
	if it.ended {
		return
	}
	it.lane.remove(it)
	it.lane, it.begun = to, false
	to.items = append(to.items, it)
	to.start()
}

// Cancel ends r with ERROR_OPERATION_ABORTED if it is in the queue, and returns
// its item; nil if it is not. What Do is at goes on.
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

// Abort ends everything that is in the lane. The queue is locked.
func (l *Lane) Abort(hr pnp.HRESULT) {
	for len(l.items) > 0 {
		l.q.Finish(l.items[0], hr, l.items[0].N)
	}
}

// End ends everything that is in the queue with hr, and whatever comes later. Only
// the first End counts for that. The queue is locked.
func (q *Queue) End(hr pnp.HRESULT) {
	if q.end == pnp.S_OK {
		q.end = hr
	}
	for _, l := range q.lanes {
		l.Abort(q.end)
		if l.withdraw != nil && l.withdraw() {
			l.calls--
			l.withdraw = nil
			q.leave()
		}
	}
}

// Ended returns what requests that come now fail with; S_OK if they do not. The
// queue is locked.
func (q *Queue) Ended() pnp.HRESULT { return q.end }

// Close ends everything with ERROR_OPERATION_ABORTED. Once no call uses the node
// any more, node is called in a slot, to restore and close it, and then
// released. node may be nil.
func (q *Queue) Close(node, released func()) {
	q.Lock()
	defer q.Unlock()
	q.closing, q.released = node, released
	if q.end != pnp.S_OK {
		q.end = pnp.ERROR_OPERATION_ABORTED
	}
	q.End(pnp.ERROR_OPERATION_ABORTED)
	q.leave()
}

// Enter begins a use of the node outside of Try and Do, which Leave ends. It
// returns false once the handle is closed.
func (q *Queue) Enter() bool {
	q.Lock()
	defer q.Unlock()
	return q.EnterLocked()
}

// EnterLocked is Enter for a caller that has locked the queue.
func (q *Queue) EnterLocked() bool {
	if q.released != nil {
		return false
	}
	q.users++
	return true
}

// Leave ends what Enter began.
func (q *Queue) Leave() {
	q.Lock()
	defer q.Unlock()
	q.leave()
}

// leave ends a use of the node. The queue is locked.
func (q *Queue) leave() {
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
