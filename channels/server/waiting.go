// SPDX-License-Identifier: Apache-2.0

package server

import "sync"

// eventOverhead is what an event takes beside its data, at least.
const eventOverhead = 64

// waiting counts the bytes of the events that wait, for all readers of a session. Nobody
// tells when a reader takes an event: so the queues are looked at when bytes are short.
type waiting struct {
	events, limit int // Limits.Events and Limits.EventMemory

	mu     sync.Mutex
	taken  int
	queues map[waiter]struct{} // that have taken bytes
}

// waiter is an eventQueue. w.mu is held during calls.
type waiter interface {
	settle()
	discardUnasked()
}

// take reports whether there was room for n bytes more. w.mu is held.
func (w *waiting) take(n int) bool {
	if w.taken+n > w.limit {
		for q := range w.queues {
			q.settle()
		}
	}
	if w.taken+n > w.limit {
		for q := range w.queues {
			q.discardUnasked()
		}
	}
	if w.taken+n > w.limit {
		return false
	}
	w.taken += n
	return true
}

// eventQueue is a channel of limited room, made when it is first used. What it still has
// when it is closed is its reader's, and no longer counts.
type eventQueue[T any] struct {
	w       *waiting
	dropped quiet

	// w.mu guards these.
	ch     chan T
	sizes  []int // of the events that are in ch, and of those that were taken from it since
	asked  bool  // somebody has asked for the channel
	closed bool
}

func newEventQueue[T any](w *waiting) eventQueue[T] { return eventQueue[T]{w: w} }

func (q *eventQueue[T]) channel() <-chan T {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	q.asked = true
	return q.make()
}

func (q *eventQueue[T]) isRead() bool {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	return q.asked
}

func (q *eventQueue[T]) make() chan T {
	if q.ch == nil {
		q.ch = make(chan T, q.w.events)
		if q.closed {
			close(q.ch)
		}
	}
	return q.ch
}

// put reports whether there was room for ev, which has size bytes of data.
func (q *eventQueue[T]) put(ev T, size int) bool {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if q.closed {
		return true
	}
	q.settle()
	size += eventOverhead
	if len(q.sizes) == q.w.events || !q.w.take(size) {
		return false
	}
	q.make() <- ev // has room: only put makes it fuller
	q.sizes = append(q.sizes, size)
	q.w.queues[q] = struct{}{}
	return true
}

// settle gives back what readers have taken.
func (q *eventQueue[T]) settle() { q.giveBack(len(q.sizes) - len(q.ch)) }

// giveBack gives back the n oldest events.
func (q *eventQueue[T]) giveBack(n int) {
	for _, size := range q.sizes[:n] {
		q.w.taken -= size
	}
	q.sizes = q.sizes[n:]
	if len(q.sizes) == 0 {
		delete(q.w.queues, q)
	}
}

// discardUnasked implements waiter: what nobody has asked for makes room for what somebody
// may read.
func (q *eventQueue[T]) discardUnasked() {
	if q.asked {
		return
	}
	for len(q.ch) > 0 {
		<-q.ch
	}
	q.settle()
}

func (q *eventQueue[T]) close() {
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	q.giveBack(len(q.sizes))
	if q.ch != nil {
		close(q.ch)
	}
}
