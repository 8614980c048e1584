// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// readBlocking reads from a descriptor that blocks.
func readBlocking(fd int) (int, error) { return unix.Read(fd, make([]byte, 1)) }

// asked is a request and its result.
type asked struct {
	*pnp.Request
	done, freed chan struct{}
	hr          pnp.HRESULT
	n           int
}

func ask(n int) *asked {
	a := &asked{Request: &pnp.Request{Op: pnp.OpRead, Out: make([]byte, n)}, done: make(chan struct{}), freed: make(chan struct{})}
	a.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) {
		a.hr, a.n = hr, n
		close(a.done)
	})
	a.OnFree(func(*pnp.Request) { close(a.freed) })
	return a
}

// ends waits for the result and checks it.
func (a *asked) ends(t *testing.T, hr pnp.HRESULT, n int) {
	t.Helper()
	select {
	case <-a.done:
	case <-time.After(watchdog):
		t.Fatal("never completed")
	}
	require.Equal(t, hr.Name(), a.hr.Name())
	require.Equal(t, n, a.n)
}

func (a *asked) isFree() bool {
	select {
	case <-a.freed:
		return true
	default:
		return false
	}
}

// closed closes the queue and waits until it is released.
func closed(t *testing.T, q *Queue, node func()) {
	t.Helper()
	released := make(chan struct{})
	q.Close(node, func() { close(released) })
	select {
	case <-released:
	case <-time.After(watchdog):
		t.Fatal("never released")
	}
}

// TestOrder: a lane of width 1 serves in the order of arrival.
func TestOrder(t *testing.T) {
	q := New("test", nil, nil)
	order := make(chan *pnp.Request, 100)
	l := q.Add(Lane{Do: func(it *Item) (pnp.HRESULT, int) {
		order <- it.R
		runtime.Gosched()
		return pnp.S_OK, 1
	}})
	var all []*asked
	for range 100 {
		a := ask(1)
		all = append(all, a)
		l.Submit(a.Request)
	}
	for _, a := range all {
		a.ends(t, pnp.S_OK, 1)
		require.Same(t, a.Request, <-order)
	}
	closed(t, q, nil)
}

// TestWidth: as many calls as the width run at a time, and no more.
func TestWidth(t *testing.T) {
	q := New("test", nil, nil)
	c := newStickyCalls()
	l := q.Add(Lane{Width: 4, Do: func(*Item) (pnp.HRESULT, int) { c.f(); return pnp.S_OK, 0 }})
	var all []*asked
	for range 20 {
		a := ask(1)
		all = append(all, a)
		l.Submit(a.Request)
	}
	for range 4 {
		<-c.begun
	}
	q.Lock()
	require.Equal(t, 4, l.running)
	require.Equal(t, 4, l.calls)
	q.Unlock()
	close(c.release)
	for _, a := range all {
		a.ends(t, pnp.S_OK, 0)
	}
	closed(t, q, nil)
}

// TestCancelWhileTheDriverHasIt: the request completes at once, and the driver keeps
// the buffers until the call returns.
func TestCancelWhileTheDriverHasIt(t *testing.T) {
	q := New("test", nil, nil)
	c := newStickyCalls()
	l := q.Add(Lane{Do: func(it *Item) (pnp.HRESULT, int) {
		c.f()
		it.R.Out[0] = 1
		return pnp.S_OK, 1
	}})
	stuck, waits := ask(1), ask(1)
	l.Submit(stuck.Request)
	<-c.begun
	l.Submit(waits.Request)
	require.NotNil(t, q.Cancel(stuck.Request))
	stuck.ends(t, pnp.ERROR_OPERATION_ABORTED, 0)
	require.False(t, stuck.isFree())
	require.NotNil(t, q.Cancel(waits.Request))
	waits.ends(t, pnp.ERROR_OPERATION_ABORTED, 0)
	require.True(t, waits.isFree())
	require.Nil(t, q.Cancel(waits.Request), "twice")
	close(c.release)
	<-stuck.freed
	closed(t, q, nil)
}

// TestLate: a lane can keep the data that arrives for a cancelled request, in that
// request's buffer.
func TestLate(t *testing.T) {
	q := New("test", nil, nil)
	c := newStickyCalls()
	var kept *Item
	l := q.Add(Lane{
		Do:   func(*Item) (pnp.HRESULT, int) { c.f(); return pnp.S_OK, 1 },
		Late: func(it *Item, _ pnp.HRESULT, n int) bool { kept = it; return n > 0 },
	})
	a := ask(1)
	l.Submit(a.Request)
	<-c.begun
	q.Cancel(a.Request)
	close(c.release)
	require.Eventually(t, func() bool { q.Lock(); defer q.Unlock(); return kept != nil }, watchdog, time.Millisecond)
	require.False(t, a.isFree())
	kept.R.Release()
	require.True(t, a.isFree())
	closed(t, q, nil)
}

// TestParked: without Do, requests wait for Kick and Finish, and a cancelled one has
// the count of what was moved.
func TestParked(t *testing.T) {
	q := New("test", nil, nil)
	have := 0
	l := q.Add(Lane{Try: func(it *Item) {
		it.N += min(have, len(it.R.Out)-it.N)
		have = 0
		if it.N == len(it.R.Out) {
			q.Finish(it, pnp.S_OK, it.N)
		}
	}})
	a, b := ask(4), ask(4)
	l.Submit(a.Request)
	l.Submit(b.Request)
	feed := func(n int) {
		q.Lock()
		have = n
		l.Kick()
		q.Unlock()
	}
	feed(3)
	require.False(t, a.Completed())
	feed(1)
	a.ends(t, pnp.S_OK, 4)
	feed(2)
	require.False(t, b.Completed())
	require.Equal(t, 2, q.Cancel(b.Request).N)
	b.ends(t, pnp.ERROR_OPERATION_ABORTED, 2)
	closed(t, q, nil)
}

// TestOnEnd: OnEnd is called once, however the request ends.
func TestOnEnd(t *testing.T) {
	q := New("test", nil, nil)
	l := q.Add(Lane{})
	ends := 0
	for range 3 {
		a := ask(1)
		q.Lock()
		it := l.Put(a.Request)
		it.OnEnd = func() { ends++ }
		q.Unlock()
		switch ends {
		case 0:
			q.Cancel(a.Request)
		case 1:
			q.Lock()
			require.True(t, q.Finish(it, pnp.S_OK, 0))
			require.False(t, q.Finish(it, pnp.S_OK, 0))
			q.Unlock()
		case 2:
			closed(t, q, nil)
		}
		<-a.done
	}
	require.Equal(t, 3, ends)
}

// TestAwait: a lane waits for the device without a slot, again and again.
func TestAwait(t *testing.T) {
	p := NewPool(1, 1, nil)
	q := New("test", p.NewShare(), nil)
	ready, rounds := make(chan error), 0
	l := q.Add(Lane{
		Await: func() error { return <-ready },
		Do: func(it *Item) (pnp.HRESULT, int) {
			if rounds++; rounds < 3 {
				return NotReady, 0
			}
			return pnp.S_OK, 1
		},
	})
	a, b := ask(1), ask(1)
	l.Submit(a.Request)
	l.Submit(b.Request)
	for range 3 {
		require.Eventually(t, func() bool { return p.Running() == 0 }, watchdog, time.Millisecond)
		ready <- nil
	}
	a.ends(t, pnp.S_OK, 1)
	b.ends(t, pnp.S_OK, 1)
	c := ask(1)
	rounds = 0
	l.Submit(c.Request)
	ready <- errors.New("the poller failed")
	c.ends(t, pnp.E_FAIL, 0)
	closed(t, q, nil)
}

// TestReleasedLast: the node is closed once nobody uses it, and then the handle is
// released.
func TestReleasedLast(t *testing.T) {
	q := New("test", nil, nil)
	c := newStickyCalls()
	l := q.Add(Lane{Do: func(*Item) (pnp.HRESULT, int) { c.f(); return pnp.S_OK, 0 }})
	a := ask(1)
	l.Submit(a.Request)
	<-c.begun
	require.True(t, q.Enter())
	var node atomic.Bool
	released := make(chan struct{})
	q.Close(func() { node.Store(true) }, func() { close(released) })
	a.ends(t, pnp.ERROR_OPERATION_ABORTED, 0)
	require.False(t, q.Enter())
	late := ask(1)
	l.Submit(late.Request)
	late.ends(t, pnp.ERROR_OPERATION_ABORTED, 0)
	close(c.release)
	<-a.freed
	require.False(t, node.Load(), "closed while somebody uses it")
	q.Leave()
	<-released
	require.True(t, node.Load())
}

// TestEndIsFinal: requests that arrive after End have its result, until Close.
func TestEndIsFinal(t *testing.T) {
	q := New("test", nil, nil)
	l := q.Add(Lane{})
	a := ask(1)
	l.Submit(a.Request)
	q.Lock()
	q.End(pnp.ERROR_DEVICE_NOT_CONNECTED)
	q.End(pnp.ERROR_BUSY)
	q.Unlock()
	a.ends(t, pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
	b := ask(1)
	l.Submit(b.Request)
	b.ends(t, pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
	closed(t, q, nil)
	c := ask(1)
	l.Submit(c.Request)
	c.ends(t, pnp.ERROR_OPERATION_ABORTED, 0)
}

// TestWaitingCallsAreTakenBack: closing a handle withdraws its calls that wait for a
// slot, so they do not pile up behind a device that hangs.
func TestWaitingCallsAreTakenBack(t *testing.T) {
	p := NewPool(10, 2, nil)
	s, c := p.NewShare(), newStickyCalls()
	for i := range 100 {
		q := New(fmt.Sprint(i), s, nil)
		l := q.Add(Lane{Width: 4, Do: func(*Item) (pnp.HRESULT, int) { c.f(); return pnp.S_OK, 0 }})
		for range 8 {
			l.Submit(ask(1).Request)
		}
		q.Close(nil, func() {})
	}
	p.mu.Lock()
	require.Empty(t, s.waiting)
	p.mu.Unlock()
	close(c.release)
	waitIdle(t, p)
}

func TestPanics(t *testing.T) {
	for _, lane := range []Lane{
		{Try: func(*Item) { panic("Try") }},
		{Do: func(*Item) (pnp.HRESULT, int) { panic("Do") }},
		{Await: func() error { panic("Await") }, Do: func(*Item) (pnp.HRESULT, int) { return pnp.S_OK, 0 }},
	} {
		q := New("test", nil, nil)
		l := q.Add(lane)
		for range 2 {
			a := ask(1)
			l.Submit(a.Request)
			a.ends(t, pnp.E_UNEXPECTED, 0)
		}
		closed(t, q, func() { panic("closing") })
	}
}

// TestAnyOrder does everything at once: each request is completed exactly once (a
// second time would panic) and freed, and the handle is released.
func TestAnyOrder(t *testing.T) {
	p := NewPool(6, 3, nil)
	for range 200 {
		q := New("test", p.NewShare(), nil)
		lanes := []*Lane{
			q.Add(Lane{Width: 1 + rand.IntN(3), Do: func(*Item) (pnp.HRESULT, int) { runtime.Gosched(); return pnp.S_OK, 0 }}),
			q.Add(Lane{
				Await: func() error { runtime.Gosched(); return nil },
				Do: func(*Item) (pnp.HRESULT, int) {
					if rand.IntN(3) == 0 {
						return NotReady, 0
					}
					return pnp.S_OK, 0
				},
			}),
			q.Add(Lane{}),
		}
		var all []*asked
		var others sync.WaitGroup
		for range 30 {
			a := ask(1)
			all = append(all, a)
			lanes[rand.IntN(3)].Submit(a.Request)
			if rand.IntN(2) == 0 {
				others.Add(1)
				go func() { defer others.Done(); q.Cancel(a.Request) }()
			}
		}
		closed(t, q, func() {})
		others.Wait()
		for _, a := range all {
			<-a.done
			<-a.freed
		}
	}
	waitIdle(t, p)
}
