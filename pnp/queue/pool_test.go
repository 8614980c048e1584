// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/pnp/devtest"
)

// watchdog fails what never ends; nothing passes because of it.
const watchdog = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stickyCalls are calls that keep their slots until the test lets them return.
type stickyCalls struct {
	begun   chan struct{}
	release chan struct{}
}

func newStickyCalls() *stickyCalls {
	return &stickyCalls{make(chan struct{}, 10_000), make(chan struct{})}
}

func (c *stickyCalls) f() {
	c.begun <- struct{}{}
	<-c.release
}

func waitIdle(t *testing.T, p *Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	defer cancel()
	require.NoError(t, p.Wait(ctx))
	require.Zero(t, p.Running())
	require.Empty(t, p.ready)
}

// TestADeviceHasItsShare: a device gets its share of the slots, and its other calls
// wait.
func TestADeviceHasItsShare(t *testing.T) {
	p := NewPool(100, 3, nil)
	s, c := p.NewShare(), newStickyCalls()
	for range 10 {
		s.Start(c.f)
	}
	for range 3 {
		<-c.begun
	}
	require.Equal(t, 3, p.Running())
	other := make(chan struct{})
	p.NewShare().Start(func() { close(other) })
	<-other // one dead device does not starve another
	close(c.release)
	waitIdle(t, p)
	require.Len(t, c.begun, 7)
}

// TestBeyondTheTotalEachDeviceHasOne: many devices that hang do not stop a device
// that works.
func TestBeyondTheTotalEachDeviceHasOne(t *testing.T) {
	p := NewPool(4, 2, nil)
	c := newStickyCalls()
	for range 5 {
		s := p.NewShare()
		s.Start(c.f)
		s.Start(c.f)
	}
	for range 4 + 3 { // two devices with two, three with one
		<-c.begun
	}
	require.Equal(t, 7, p.Running())
	done := make(chan struct{})
	p.NewShare().Start(func() { close(done) })
	<-done
	close(c.release)
	waitIdle(t, p)
	require.Len(t, c.begun, 3)
}

// TestDevicesTakeTurns: devices take turns when slots become free.
func TestDevicesTakeTurns(t *testing.T) {
	p := NewPool(1, 1, nil)
	first, c := p.NewShare(), newStickyCalls()
	first.Start(c.f)
	<-c.begun
	var mu sync.Mutex
	var order []string
	note := func(what string) func() {
		return func() {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
	}
	for range 3 {
		first.Start(note("first"))
	}
	close(c.release)
	waitIdle(t, p)
	require.Equal(t, []string{"first", "first", "first"}, order)

	a, b := p.NewShare(), p.NewShare()
	hold := newStickyCalls()
	a.Start(hold.f)
	b.Start(hold.f) // its one slot beyond the total
	<-hold.begun
	<-hold.begun
	order = nil
	for range 3 {
		a.Start(note("a"))
	}
	b.Start(note("b"))
	hold.release <- struct{}{}
	hold.release <- struct{}{}
	waitIdle(t, p)
	require.Len(t, order, 4)
}

func TestWithdraw(t *testing.T) {
	p := NewPool(10, 1, nil)
	s, c := p.NewShare(), newStickyCalls()
	began := s.Start(c.f)
	waits := s.Start(func() { t.Error("called though it was withdrawn") })
	<-c.begun
	require.False(t, began(), "it has begun")
	require.True(t, waits())
	require.False(t, waits(), "twice")
	close(c.release)
	waitIdle(t, p)
	require.False(t, began(), "it has ended")
}

func TestWaitGivesUp(t *testing.T) {
	p := NewPool(10, 1, nil)
	c := newStickyCalls()
	p.NewShare().Start(c.f)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, p.Wait(ctx), context.Canceled)
	close(c.release)
	waitIdle(t, p)
}

// TestPanicKeepsTheSlots: a call that panics gives its slot back.
func TestPanicKeepsTheSlots(t *testing.T) {
	p := NewPool(1, 1, nil)
	s := p.NewShare()
	for range 10 {
		s.Start(func() { panic("a bug in a device") })
	}
	done := make(chan struct{})
	s.Start(func() { close(done) })
	<-done
	waitIdle(t, p)
}

// TestManyCalls starts calls from many goroutines; never more than a share run at a
// time.
func TestManyCalls(t *testing.T) {
	p := NewPool(8, 3, nil)
	var callers sync.WaitGroup
	var calls atomic.Int64
	for range 6 {
		s := p.NewShare()
		var running atomic.Int32
		for range 4 {
			callers.Add(1)
			go func() {
				defer callers.Done()
				for range 500 {
					withdraw := s.Start(func() {
						if n := running.Add(1); n > 3 {
							t.Errorf("%d calls of one device at a time", n)
						}
						calls.Add(1)
						running.Add(-1)
					})
					if calls.Load()%7 == 0 && withdraw() {
						calls.Add(1)
					}
				}
			}()
		}
	}
	callers.Wait()
	waitIdle(t, p)
	require.EqualValues(t, 6*4*500, calls.Load())
}

// TestThreadsOfStuckCallsEnd: the threads of stuck calls end with the calls, although
// the runtime would keep them.
func TestThreadsOfStuckCallsEnd(t *testing.T) {
	p := NewPool(1000, 1000, nil)
	before := devtest.Threads(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	s := p.NewShare()
	fd := int(r.Fd()) // blocks from now on
	const n = 200
	for range n {
		s.Start(func() { _, _ = readBlocking(fd) })
	}
	require.Eventually(t, func() bool { return devtest.Threads(t) >= before+n-10 }, watchdog, time.Millisecond)
	time.Sleep(stuck) // only calls that took this long end their thread
	w.Close()
	waitIdle(t, p)
	require.Eventually(t, func() bool { return devtest.Threads(t) < before+n/4 }, watchdog, time.Millisecond,
		"%d threads before, %d now", before, devtest.Threads(t))
}
