// SPDX-License-Identifier: Apache-2.0

package ahead

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

var errBroken = errors.New("broken")

// readAll reads the file as a program does, n bytes at a time, up to limit.
func readAll(t *testing.T, r *Reader, n, limit int) []byte {
	t.Helper()
	var all []byte
	for len(all) < limit {
		p := make([]byte, n)
		k, err := r.ReadAt(bg, p, uint64(len(all)))
		all = append(all, p[:k]...)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	return all
}

// TestReadsAhead: the kernel alone has two requests of 128 KiB under way. Read-ahead is to be
// ten times as fast where only the round trip counts, so there have to be 20 as long as
// these.
func TestReadsAhead(t *testing.T) {
	r := newRemote(32 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	const reached = 4 << 20
	r.hold = func(s span) bool { return s.off >= reached }
	done := make(chan []byte)
	go func() { done <- readAll(t, reader, 128<<10, len(r.data)) }()
	r.await(t, "reading ahead", func() bool {
		n := 0
		for _, s := range r.reads {
			if s.off >= reached {
				n += s.size
			}
		}
		return n >= 20*128<<10 && r.inFlight == n/(128<<10)
	})
	r.set(func() { r.hold = nil })
	assert.True(t, bytes.Equal(r.data, <-done))
	assert.LessOrEqual(t, r.total(), len(r.data)+128<<10, "nothing is read twice")
	assert.LessOrEqual(t, f.budget.left.Load(), int64(32<<20))
}

// TestReadsOvertake: the kernel's reads do not arrive in order.
func TestReadsOvertake(t *testing.T) {
	r := newRemote(8 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	got := make([]byte, len(r.data))
	const n = 128 << 10
	var order []int
	for i := 0; i < len(got)/n; i++ {
		order = append(order, i)
	}
	for i := 2; i+1 < len(order); i += 3 {
		order[i], order[i+1] = order[i+1], order[i]
	}
	for _, i := range order {
		k, err := reader.ReadAt(bg, got[i*n:][:n], uint64(i*n))
		require.NoError(t, err)
		require.Equal(t, n, k)
	}
	require.True(t, bytes.Equal(r.data, got))
	assert.Less(t, r.total(), len(r.data)+1<<20, "what was read ahead is used")
	assert.EqualValues(t, maxWindow, reader.window)
}

// TestWindow: the window doubles with each round trip, until requests wait for each other.
func TestWindow(t *testing.T) {
	f := newFile(t, newRemote(1))
	answers := func(n int, took time.Duration) uint64 {
		for range n {
			f.adapt(took, nil)
		}
		return f.window
	}
	f.queueing = queueing
	const trip = 40 * time.Millisecond
	window := f.window
	assert.Equal(t, 2*window, answers(int(window/blockSize), trip))
	assert.EqualValues(t, maxWindow, answers(1000, trip))
	assert.EqualValues(t, maxWindow, answers(1000, 2*trip+queueing))
	assert.EqualValues(t, maxWindow-10*blockSize, answers(10, 3*trip+queueing))
	assert.EqualValues(t, minWindow, answers(1000, 3*trip+queueing))
	f.adapt(trip, pnp.ERROR_NO_SYSTEM_RESOURCES)
	assert.EqualValues(t, minWindow/2, f.window)
}

func TestRandomReaderPaysNothing(t *testing.T) {
	r := newRemote(64 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	random := rand.New(rand.NewSource(1))
	for range 500 {
		off := random.Intn(len(r.data)/4096) * 4096
		p := make([]byte, 4096)
		_, err := reader.ReadAt(bg, p, uint64(off))
		require.NoError(t, err)
		require.True(t, bytes.Equal(r.data[off:off+4096], p))
	}
	assert.Len(t, r.reads, 500)
}

// TestReadNow: what was read ahead is there without asking, and nothing is asked for that a
// write has to come before.
func TestReadNow(t *testing.T) {
	r := newRemote(8 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	p := make([]byte, 128<<10)
	now := func(off int) (read, ask bool) {
		clear(p)
		read, ask = reader.ReadNow(p, uint64(off))
		if read {
			assert.True(t, bytes.Equal(r.data[off:off+len(p)], p))
		}
		return read, ask
	}
	read, ask := now(5 << 20)
	assert.Equal(t, [2]bool{false, true}, [2]bool{read, ask}, "nothing is read ahead")
	// A reader that goes on gets the rest of the file without asking, sooner or later.
	r.hold = func(s span) bool { return s.off >= 6<<20 }
	read, ask = now(5<<20 + len(p))
	assert.Equal(t, [2]bool{false, true}, [2]bool{read, ask}, "this begins to read ahead")
	for off := 5<<20 + 2*len(p); off < 6<<20; off += len(p) {
		for read = false; !read; time.Sleep(time.Millisecond) {
			read, ask = now(off)
			assert.False(t, ask, "it is under way")
		}
	}
	read, ask = now(6 << 20)
	assert.Equal(t, [2]bool{false, false}, [2]bool{read, ask}, "it is under way")

	r.set(func() { r.hold = func(s span) bool { return s.write } })
	require.NoError(t, f.Write(bg, make([]byte, 10), 1<<20))
	read, ask = now(1<<20 - 100)
	assert.Equal(t, [2]bool{false, false}, [2]bool{read, ask}, "a write comes before")
	r.set(func() { r.hold = nil })
	require.NoError(t, f.Flush(bg))
	read, ask = now(1<<20 - 100)
	assert.Equal(t, [2]bool{false, true}, [2]bool{read, ask}, "it is written")
}

// TestSeekAway: what was read ahead for a reader that goes elsewhere is cancelled.
func TestSeekAway(t *testing.T) {
	r := newRemote(32 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	r.hold = func(s span) bool { return s.off >= 1<<20 && s.off < 24<<20 }
	readAll(t, reader, 128<<10, 1<<20)
	r.await(t, "reading ahead", func() bool { return r.inFlight > 4 })
	_, err := reader.ReadAt(bg, make([]byte, 512), 30<<20)
	require.NoError(t, err)
	r.await(t, "cancelling", func() bool { return r.inFlight == 0 })
}

func TestReadSeesWrites(t *testing.T) {
	r := newRemote(4 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	readAll(t, reader, 128<<10, 1<<20) // more is read ahead now
	r.await(t, "reading ahead", func() bool { return r.inFlight == 0 && len(r.reads) > 10 })

	r.set(func() { r.hold = func(s span) bool { return s.write } })
	off := uint64(1<<20 + 5)
	require.NoError(t, f.Write(bg, []byte("written"), off))
	got := make(chan []byte)
	go func() {
		p := make([]byte, 7)
		_, _ = reader.ReadAt(bg, p, off)
		got <- p
	}()
	other := make([]byte, 7)
	_, err := f.ReadThrough(bg, other, 0)
	require.NoError(t, err, "elsewhere a read does not wait")
	select {
	case p := <-got:
		t.Fatalf("read %q before it was written", p)
	default:
	}
	r.set(func() { r.hold = nil })
	within(t, "reading", func() { assert.Equal(t, "written", string(<-got)) })
}

func TestWritesStayInOrder(t *testing.T) {
	r := newRemote(1 << 20)
	f := newFile(t, r)
	r.hold = func(s span) bool { return s.write }
	require.NoError(t, f.Write(bg, []byte("first"), 100))
	require.NoError(t, f.Write(bg, []byte("second"), 102))
	require.NoError(t, f.Write(bg, []byte("third"), 5000))
	r.await(t, "writing", func() bool { return r.inFlight == 2 })
	assert.NotContains(t, r.writes, span{102, 6, true}, "it overlaps one that is not complete")
	r.set(func() { r.hold = nil })
	within(t, "Flush", func() { require.NoError(t, f.Flush(bg)) })
	assert.Equal(t, "fisecond", string(r.data[100:108]))
}

// TestWritesJoin: small writes that have to wait go out as long ones.
func TestWritesJoin(t *testing.T) {
	r := newRemote(1 << 20)
	f := newFile(t, r)
	r.hold = func(s span) bool { return s.write }
	const n = 1000
	for i := range n {
		require.NoError(t, f.Write(bg, bytes.Repeat([]byte{byte(i)}, 100), uint64(i)*100))
	}
	r.await(t, "writing", func() bool { return r.inFlight == maxWrites })
	r.set(func() { r.hold = nil })
	require.NoError(t, f.Flush(bg))
	assert.Len(t, r.writes, maxWrites+1)
	for i := range n {
		require.Equal(t, byte(i), r.data[i*100+99])
	}
}

// TestWritesWaitForRoom: what is unwritten is bounded.
func TestWritesWaitForRoom(t *testing.T) {
	r := newRemote(16 << 20)
	f := newFile(t, r)
	r.hold = func(s span) bool { return s.write }
	done := make(chan error)
	go func() { done <- f.Write(bg, make([]byte, 16<<20), 0) }()
	r.await(t, "writing", func() bool { return r.inFlight == maxUnwritten>>20 })
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, f.Write(ctx, make([]byte, 1<<20), 0), context.Canceled)
	r.set(func() { r.hold = nil })
	within(t, "Write", func() { require.NoError(t, <-done) })
	within(t, "Flush", func() { require.NoError(t, f.Flush(bg)) })
	assert.Len(t, r.writes, 16)
}

// TestErrorsOfWrites: each program hears of an error once, from what it does next.
func TestErrorsOfWrites(t *testing.T) {
	r := newRemote(1 << 20)
	f := newFile(t, r)
	before, other := f.Failures(), f.Failures()
	r.fail = func(s span) error {
		if s.write && s.off == 4096 {
			return errBroken
		}
		return nil
	}
	require.NoError(t, f.Write(bg, []byte("fails"), 4096))
	require.NoError(t, f.Write(bg, []byte("does not"), 0))
	require.NoError(t, f.Flush(bg))
	after := f.Failures()
	assert.ErrorIs(t, f.Check(&before), errBroken)
	assert.NoError(t, f.Check(&before))
	assert.ErrorIs(t, f.Check(&other), errBroken)
	assert.NoError(t, f.Check(&after), "who comes later has written nothing")

	n, err := f.WriteThrough(bg, []byte("own"), 4096)
	assert.ErrorIs(t, err, errBroken)
	assert.Zero(t, n)
	assert.NoError(t, f.Check(&before), "it was told already")
	assert.Equal(t, "does not", string(r.data[:8]))
}

// TestErrorsOfReads: an error of read-ahead belongs to nobody. The read that wants the data
// gets its own.
func TestErrorsOfReads(t *testing.T) {
	r := newRemote(4 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	const bad = 2<<20 + 100
	r.fail = func(s span) error {
		if s.off <= bad && bad < s.off+uint64(s.size) {
			return errBroken
		}
		return nil
	}
	got := readAll(t, reader, 128<<10, 2<<20)
	require.True(t, bytes.Equal(r.data[:2<<20], got))
	_, err := reader.ReadAt(bg, make([]byte, 4096), 2<<20)
	require.ErrorIs(t, err, errBroken)
	p := make([]byte, 4096)
	_, err = reader.ReadAt(bg, p, 2<<20+4096)
	require.NoError(t, err)
	require.True(t, bytes.Equal(r.data[2<<20+4096:][:4096], p))
}

// TestBusyClient: a client that has too many requests gets fewer and smaller ones.
func TestBusyClient(t *testing.T) {
	r := newRemote(4 << 20)
	f := newFile(t, r)
	// fail is called with r.mu, after the call has left inFlight.
	r.fail = func(s span) error {
		if r.inFlight >= 3 || s.size > 64<<10 {
			return pnp.ERROR_NO_SYSTEM_RESOURCES
		}
		return nil
	}
	r.most = 10_000
	want := bytes.Clone(r.data)
	got := readAll(t, f.NewReader(), 128<<10, len(r.data))
	require.True(t, bytes.Equal(want, got))
	require.NoError(t, f.Write(bg, bytes.Repeat([]byte{7}, 1<<20), 0))
	require.NoError(t, f.Flush(bg))
	seen := Failures(0)
	require.NoError(t, f.Check(&seen))
	assert.Equal(t, bytes.Repeat([]byte{7}, 1<<20), r.data[:1<<20])
}

// TestInterruptedWhileBusy: a read that waits for a busy client and is interrupted says so.
func TestInterruptedWhileBusy(t *testing.T) {
	r := newRemote(4096)
	f := newFile(t, r)
	ctx, cancel := context.WithCancel(bg)
	r.fail = func(span) error {
		cancel()
		return pnp.ERROR_NO_SYSTEM_RESOURCES
	}
	_, err := f.NewReader().ReadAt(ctx, make([]byte, 10), 0)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, pnp.ERROR_NO_SYSTEM_RESOURCES)
}

func TestCloseEndsAll(t *testing.T) {
	r := newRemote(8 << 20)
	f := newFile(t, r)
	reader := f.NewReader()
	r.hold = func(s span) bool { return s.off >= 1<<20 }
	readAll(t, reader, 128<<10, 1<<20)
	require.NoError(t, f.Write(bg, []byte("never"), 2<<20))
	within(t, "Close", f.Close)
	assert.Error(t, f.Write(bg, []byte("late"), 0))
}

// TestAgainstModel does the same to a File and to plain memory, over a client that answers
// in any order.
func TestAgainstModel(t *testing.T) {
	const size = 1 << 20
	for seed := range int64(20) {
		random := rand.New(rand.NewSource(seed))
		r := newRemote(size)
		f := newFile(t, r)
		model := bytes.Clone(r.data)
		// Held calls go on in an order of their own.
		var mu sync.Mutex
		luck := rand.New(rand.NewSource(seed))
		r.hold = func(span) bool {
			mu.Lock()
			defer mu.Unlock()
			held := luck.Intn(3) > 0 && r.inFlight < 20
			if held {
				go r.set(func() {})
			}
			return held
		}
		reader := f.NewReader()
		pos := 0
		for range 300 {
			n := 1 + random.Intn(40_000)
			if random.Intn(4) == 0 {
				pos = random.Intn(size)
			}
			n = min(n, size-pos)
			switch random.Intn(5) {
			case 0, 1:
				p := make([]byte, n)
				random.Read(p)
				copy(model[pos:], p)
				require.NoError(t, f.Write(bg, p, uint64(pos)))
			case 2:
				p := []byte{byte(n)}
				if n > 0 {
					copy(model[pos:], p)
					_, err := f.WriteThrough(bg, p, uint64(pos))
					require.NoError(t, err)
				}
			default:
				p := make([]byte, n)
				k, err := reader.ReadAt(bg, p, uint64(pos))
				require.NoError(t, err)
				require.True(t, bytes.Equal(model[pos:pos+n], p[:k]), "seed %d", seed)
			}
			if pos += n; pos == size {
				pos = 0
			}
		}
		require.NoError(t, f.Flush(bg))
		require.True(t, bytes.Equal(model, r.data))
	}
}
