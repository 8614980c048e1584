// SPDX-License-Identifier: Apache-2.0

package ahead

import (
	"context"
	"io"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// watchdog is how long a test waits before it says that something hangs.
const watchdog = 20 * time.Second

// remote is a file in memory. It notes what is asked of it, and does it when the test lets
// it: for the order of requests there is no real part that a test could hold.
type remote struct {
	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte
	reads    []span // that have begun
	writes   []span
	hold     func(s span) bool  // calls to hold; nil for none
	fail     func(s span) error // nil for none
	most     int                // bytes that one read returns; 0 for all
	inFlight int
}

type span struct {
	off   uint64
	size  int
	write bool
}

func newRemote(size int) *remote {
	r := &remote{data: make([]byte, size)}
	rand.New(rand.NewSource(int64(size))).Read(r.data)
	r.changed = sync.NewCond(&r.mu)
	return r
}

// newFile makes a File of r that ends with the test, when all memory must be back.
func newFile(t *testing.T, r *remote) *File {
	t.Helper()
	const budget = 32 << 20
	b := NewBudget(budget)
	f := New(r, b, 1<<20)
	f.SetSize(uint64(len(r.data)), 0)
	f.queueing = watchdog // no test depends on how busy the machine is
	t.Cleanup(func() {
		f.Close()
		assert.EqualValues(t, budget, b.Left(), "memory is not given back")
		r.mu.Lock()
		defer r.mu.Unlock()
		assert.Zero(t, r.inFlight, "calls go on")
	})
	return f
}

func (r *remote) begin(ctx context.Context, s span) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.write {
		r.writes = append(r.writes, s)
	} else {
		r.reads = append(r.reads, s)
	}
	r.inFlight++
	r.changed.Broadcast()
	defer context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})()
	for r.hold != nil && r.hold(s) && ctx.Err() == nil {
		r.changed.Wait()
	}
	r.inFlight--
	r.changed.Broadcast()
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.fail != nil {
		return r.fail(s)
	}
	return nil
}

func (r *remote) ReadAt(ctx context.Context, p []byte, off uint64) (int, error) {
	if err := r.begin(ctx, span{off, len(p), false}); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if off >= uint64(len(r.data)) {
		return 0, io.EOF
	}
	if r.most > 0 {
		p = p[:min(len(p), r.most)]
	}
	return copy(p, r.data[off:]), nil
}

func (r *remote) WriteAt(ctx context.Context, p []byte, off uint64) (int, error) {
	if err := r.begin(ctx, span{off, len(p), true}); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if end := int(off) + len(p); end > len(r.data) {
		r.data = append(r.data, make([]byte, end-len(r.data))...)
	}
	return copy(r.data[off:], p), nil
}

// total returns how many bytes the reads asked for.
func (r *remote) total() (n int) {
	for _, s := range r.reads {
		n += s.size
	}
	return n
}

// set changes what is held or fails.
func (r *remote) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.changed.Broadcast()
}

// await waits until cond is true.
func (r *remote) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(watchdog, func() { r.set(func() { late = true }) })
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !cond() {
		require.False(t, late, "%s: %d calls in flight, %d reads, %d writes", what, r.inFlight, len(r.reads), len(r.writes))
		r.changed.Wait()
	}
}

// within fails the test if f does not return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(watchdog):
		t.Fatalf("%s hangs", what)
	}
}
