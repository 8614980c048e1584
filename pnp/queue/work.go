// SPDX-License-Identifier: Apache-2.0

package queue

import "freerdp-pnpdr/pnp"

// start asks for a slot for the requests that wait, or waits for the device first.
// The queue is locked.
//
// At most one call of a lane waits for a slot, however many requests wait.
func (l *Lane) start() {
	switch {
	case l.Do == nil || l.withdraw != nil || l.awaiting || l.calls >= l.Width || l.next() == nil:
	case l.Await != nil:
		l.awaiting = true
		l.q.users++
		go l.await()
	default:
		l.call()
	}
}

// call asks for a slot. The queue is locked.
func (l *Lane) call() {
	l.calls++
	l.q.users++
	l.withdraw = l.q.workers.Start(l.work)
}

// next returns the first request that Do has not begun with. The queue is locked.
func (l *Lane) next() *Item {
	for _, it := range l.items {
		if !it.begun {
			return it
		}
	}
	return nil
}

// await waits for the device and then asks for a slot.
func (l *Lane) await() {
	q := l.q
	err := l.ready()
	q.Lock()
	defer q.Unlock()
	defer q.LeaveLocked()
	l.awaiting = false
	switch {
	case len(l.items) == 0:
	case err != nil: // the poller failed
		l.Abort(pnp.HRESULTOf(err))
	default:
		l.call()
	}
}

// ready calls l.Await. A panic is an error.
func (l *Lane) ready() (err error) {
	defer pnp.Guard(l.q.log, "waiting for "+l.q.name, func() { err = pnp.E_UNEXPECTED })
	return l.Await()
}

// work runs in a slot: it serves the requests that wait, one after the other.
func (l *Lane) work() {
	q := l.q
	q.Lock()
	defer q.Unlock()
	defer q.LeaveLocked()
	l.withdraw = nil
	for it := l.next(); it != nil; it = l.next() {
		if !l.serve(it) {
			break
		}
	}
	l.calls--
	l.start()
}

// serve does one request. It returns false if the device is not ready for it. The
// queue is locked; serve unlocks it meanwhile.
func (l *Lane) serve(it *Item) bool {
	q := l.q
	it.begun = true
	it.R.Hold()
	l.running++
	l.start() // for the next request
	q.Unlock()
	hr, n := l.do(it)
	q.Lock()
	l.running--
	ready, kept := true, false
	if it.lane == l { // not moved
		it.begun = false
		ready = hr != NotReady
		if ready && !q.Finish(it, hr, n) && l.Late != nil {
			kept = l.Late(it, hr, n)
		}
	}
	q.Unlock()
	if !kept {
		it.R.Release()
	}
	q.Lock()
	return ready
}

// do calls l.Do. If that panics, the request fails.
func (l *Lane) do(it *Item) (hr pnp.HRESULT, n int) {
	defer pnp.Guard(l.q.log, "serving "+l.q.name, func() { hr, n = pnp.E_UNEXPECTED, 0 })
	return l.Do(it)
}
