// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/queue"
)

// slots is how many slots a device gets in these tests, as in a session.
const slots = 32

// session is a pool that counts threads, goroutines and handles.
type session struct {
	t                   *testing.T
	pool                *queue.Pool
	share               *queue.Share
	threads, goroutines int // before the test
	left                int // handles not yet released
	released            chan struct{}
}

func newSession(t *testing.T) *session {
	p := queue.NewPool(256, slots, nil)
	return &session{
		t: t, pool: p, share: p.NewShare(),
		threads: devtest.Threads(t), goroutines: runtime.NumGoroutine(),
		released: make(chan struct{}, 2000),
	}
}

func (s *session) open(d pnp.Device) pnp.Handle {
	s.t.Helper()
	r := acceptance.ReadWrite
	r.Workers = s.share
	h, err := d.Open(r)
	require.NoError(s.t, err)
	return h
}

// close closes h without waiting for its release.
func (s *session) close(h pnp.Handle) {
	s.left++
	h.Close(func() { s.released <- struct{}{} })
}

// bounded checks that there are no more threads and goroutines than the slots and
// open handles account for, plus some for the runtime and the tests' driver.
// Goroutines of a closed handle may take a moment to end.
func (s *session) bounded(open int) {
	s.t.Helper()
	const spare = 16
	require.LessOrEqual(s.t, s.pool.Running(), slots)
	// On a busy machine, short calls of the tests' driver take threads of their own, too.
	// Without the bound, hundreds are stuck.
	require.LessOrEqual(s.t, devtest.Threads(s.t), s.threads+2*slots+spare)
	s.until(func() bool { return runtime.NumGoroutine() <= s.goroutines+slots+open+spare }, "goroutines are left")
}

// until waits for a condition without starting a goroutine.
func (s *session) until(is func() bool, otherwise string) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			require.Fail(s.t, otherwise, "%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// over waits until all handles are released, all slots are free, and all goroutines
// have ended.
func (s *session) over() {
	s.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	for ; s.left > 0; s.left-- {
		select {
		case <-s.released:
		case <-ctx.Done():
			require.Fail(s.t, "some handles were not released", "%d of them", s.left)
		}
	}
	require.NoError(s.t, s.pool.Wait(ctx))
	s.until(func() bool { return runtime.NumGoroutine() <= s.goroutines }, "goroutines are left")
}

// TestManyHandles opens handles one after the other and closes each with reads
// pending.
func TestManyHandles(t *testing.T) {
	f := newFake(t, bytewise)
	d := f.device(false)
	for _, handles := range []int{600, 2000} {
		s := newSession(t)
		for range handles {
			h := s.open(d)
			var reads []<-chan ending
			for range 16 {
				reads = append(reads, start(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 2)}))
			}
			s.close(h)
			for _, done := range reads {
				require.Equal(t, ending{pnp.ERROR_OPERATION_ABORTED, 0}, within(done))
			}
			s.bounded(0)
		}
		s.over()
		f.await("all nodes are closed", func() bool { return len(f.queues) == 0 })
	}
}

// TestInputMemory has many handles whose reports nobody reads. The queues of a device
// share its memory, keep the newest reports, and give back their part when they are
// closed.
func TestInputMemory(t *testing.T) {
	const length = 4000
	f := newMemoryFake(t, large)
	d := f.device(false)
	report := make([]byte, length)
	feed := func(handles []pnp.Handle, n int) {
		for range n {
			report[0]++
			f.feed(report...)
			for _, h := range handles {
				in, q := &h.(*handle).input, h.(*handle).q
				require.Eventually(t, func() bool {
					q.Lock()
					defer q.Unlock()
					return len(in.reports) > 0 && in.reports[len(in.reports)-1][1] == report[0]
				}, 20*time.Second, 100*time.Microsecond)
			}
		}
	}
	// held returns the number of reports in the queue of h, and their bytes.
	held := func(h pnp.Handle) (reports, bytes int) {
		in, q := &h.(*handle).input, h.(*handle).q
		q.Lock()
		defer q.Unlock()
		for _, r := range in.reports {
			bytes += len(r)
		}
		require.Equal(t, bytes+len(in.reports)*reportOverhead, in.bytes)
		return len(in.reports), bytes
	}
	open := func() pnp.Handle {
		h, err := d.Open(acceptance.ReadWrite)
		require.NoError(t, err)
		return h
	}
	first := open()
	hr, _ := control(first, IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS, []byte{0, 2, 0, 0}, 0)
	require.Equal(t, "S_OK", hr)
	handles := []pnp.Handle{first}
	feed(handles, 300)
	n, _ := held(first)
	require.Equal(t, inputBytes/(1+length+reportOverhead), n, "one handle has it all")

	for range 299 {
		handles = append(handles, open())
	}
	feed(handles, 3)
	all := 0
	for _, h := range handles {
		n, bytes := held(h)
		require.Equal(t, 1, n, "each handle keeps the newest report")
		all += bytes
	}
	require.LessOrEqual(t, all, max(inputBytes, 300*(1+length)))

	first.Close(func() {})
	n, bytes := held(first)
	require.Zero(t, n+bytes)
	for _, h := range handles[11:] {
		h.Close(func() {})
	}
	feed(handles[1:11], 40)
	n, _ = held(handles[1])
	require.Equal(t, inputBytes/10/(1+length+reportOverhead), n, "ten handles share it")

	// Pending reads do not depend on the memory that is left.
	done := start(handles[1], &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 1+length)})
	require.Equal(t, ending{pnp.S_OK, 1 + length}, within(done))
	for _, h := range handles[1:11] {
		h.Close(func() {})
	}
	require.Zero(t, d.queues.Load())
}

// TestManyHandlesStuck uses a driver that does not answer writes or feature requests.
// A device gets its slots and no more, however many handles want one, and gives them
// all back once the driver answers.
func TestManyHandlesStuck(t *testing.T) {
	f := newFake(t, withoutIDs)
	f.hold()
	d := f.device(false)
	s := newSession(t)
	var handles []pnp.Handle
	var pending []<-chan ending
	for range 40 {
		h := s.open(d)
		handles = append(handles, h)
		for range 4 {
			pending = append(pending,
				start(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 7)}),
				start(h, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, Out: make([]byte, 5)}),
				start(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 9)}))
		}
	}
	f.stuck(slots)
	require.Equal(t, slots, s.pool.Running())
	s.bounded(len(handles)) // each has a goroutine in the poller, but no thread
	for _, h := range handles {
		s.close(h)
	}
	for _, done := range pending {
		require.Equal(t, ending{pnp.ERROR_OPERATION_ABORTED, 0}, within(done))
	}
	require.Equal(t, slots, s.pool.Running(), "a stuck call keeps its slot after its handle is closed")
	f.stuck(slots)
	s.bounded(0)
	require.Empty(t, s.released, "there is no slot to close a node in")
	time.Sleep(200 * time.Millisecond) // until the pool considers the calls stuck
	stuck := devtest.Threads(t)
	f.release()
	s.over()
	// Calls to a node in memory block no threads.
	limit := max(stuck-slots/2, s.threads+slots/2)
	s.until(func() bool { return devtest.Threads(t) <= limit }, "threads that were stuck stay")
	f.await("all nodes are closed", func() bool { return len(f.queues) == 0 })
}

// TestInputWithinMemory has several devices of a session whose reports nobody reads.
// Together they keep no more than the session's memory, each handle at least its newest
// report, and a handle for which there is no room is not opened.
func TestInputWithinMemory(t *testing.T) {
	const length = 4000
	const each = 2*(1+length) + reportOverhead // what a handle takes at least
	const limit = 10*each + each/2
	r := acceptance.ReadWrite
	r.Memory = pnp.NewMemory(limit)
	var fakes []*fake
	var handles []pnp.Handle
	for i := range 5 {
		f := newMemoryFake(t, large)
		d := f.device(false)
		fakes = append(fakes, f)
		for range 2 {
			h, err := d.Open(r)
			require.NoError(t, err)
			handles = append(handles, h)
		}
		if i == 4 {
			_, err := d.Open(r)
			require.Equal(t, pnp.ERROR_NO_SYSTEM_RESOURCES, pnp.HRESULTOf(err))
			require.EqualValues(t, 2, d.queues.Load())
			info := r
			info.Access = 0
			h, err := d.Open(info)
			require.NoError(t, err, "it reads no reports")
			h.Close(func() {})
		}
	}
	last := newMemoryFake(t, large).device(false)
	exclusive := r
	exclusive.Share = 0
	for range 2 {
		_, err := last.Open(exclusive)
		require.Equal(t, pnp.ERROR_NO_SYSTEM_RESOURCES, pnp.HRESULTOf(err), "an open that failed keeps the device")
	}
	// feed sends a report and waits until each handle has it, and checks the memory.
	newest := byte(0)
	feed := func() {
		newest++
		report := make([]byte, length)
		report[0] = newest
		for _, f := range fakes {
			f.feed(report...)
		}
		kept := 0
		for _, h := range handles {
			in, q := &h.(*handle).input, h.(*handle).q
			require.Eventually(t, func() bool {
				q.Lock()
				defer q.Unlock()
				return len(in.reports) > 0 && in.reports[len(in.reports)-1][1] == newest
			}, 20*time.Second, 100*time.Microsecond)
			q.Lock()
			require.GreaterOrEqual(t, in.taken, len(in.buffer)+in.bytes)
			kept += in.taken
			q.Unlock()
		}
		require.EqualValues(t, kept, r.Memory.Taken())
		require.LessOrEqual(t, kept, limit)
	}
	for range 40 {
		feed()
	}
	handles[0].Close(func() {})
	handles = handles[1:]
	for range 40 {
		feed()
	}
	most := 0
	for _, h := range handles {
		h.(*handle).q.Lock()
		most = max(most, len(h.(*handle).input.reports))
		h.(*handle).q.Unlock()
	}
	require.Greater(t, most, 1, "what was given back is not used")
	// Reading, flushing and closing give the memory back.
	before := r.Memory.Taken()
	for _, h := range handles {
		done := start(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 1+length)})
		require.Equal(t, pnp.S_OK, within(done).hr)
		hr, _ := control(h, IOCTL_HID_FLUSH_QUEUE, nil, 0)
		require.Equal(t, "S_OK", hr)
	}
	require.Less(t, r.Memory.Taken(), before)
	require.EqualValues(t, len(handles)*each, r.Memory.Taken())
	for _, h := range handles {
		h.Close(func() {})
	}
	require.Zero(t, r.Memory.Taken())
}
