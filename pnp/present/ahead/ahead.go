// SPDX-License-Identifier: Apache-2.0

// Package ahead reads a file of the client's before a program asks, and lets a program go
// on before the client has written: over a slow link, a file is as fast as there are
// requests under way.
//
// A File keeps the order of what programs do: a read sees every write that was accepted
// before it, and of two writes to the same bytes the later one is what stays. Only a
// Reader that reads on where it stopped makes requests that nobody has asked for.
package ahead

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/pnp"
)

// Remote is a file of the client's. Its methods may be called from any goroutine.
type Remote interface {
	// ReadAt and WriteAt do what those of server.Handle do: both may fall short
	// without an error.
	ReadAt(ctx context.Context, p []byte, off uint64) (int, error)
	WriteAt(ctx context.Context, p []byte, off uint64) (int, error)
}

const (
	// blockSize is how much one request reads ahead.
	blockSize = 128 << 10

	// firstWindow is how far a Reader reads ahead at first. It may read ahead by maxWindow,
	// which is enough for 200 MiB/s at a round trip of 40 ms, and by minWindow in any
	// case: ten times what the kernel has under way by itself.
	firstWindow = 512 << 10
	minWindow   = 20 * blockSize
	maxWindow   = 8 << 20

	// queueing is how much longer than the quickest answer, doubled, an answer may take.
	// If it takes longer, requests wait for each other, and more of them would only
	// delay what other programs want.
	queueing = 50 * time.Millisecond

	// slack is how far from the end of what was read a read may begin and still
	// belong to it: the kernel's reads overtake each other.
	slack = 1 << 20

	// joinedSize is how long a write becomes that waits and is continued.
	joinedSize = 256 << 10

	// maxWrites is how many writes are under way, maxAccepted how many a File has
	// accepted and not completed, and maxUnwritten how many bytes they have.
	maxWrites    = 64
	maxAccepted  = 256
	maxUnwritten = 6 << 20
)

// Budget bounds the memory of several Files.
type Budget struct{ left atomic.Int64 }

// NewBudget returns a budget of that many bytes.
func NewBudget(bytes int64) *Budget {
	b := new(Budget)
	b.left.Store(bytes)
	return b
}

// take takes n bytes, if they are left.
func (b *Budget) take(n int) bool {
	for {
		left := b.left.Load()
		if left < int64(n) {
			return false
		}
		if b.left.CompareAndSwap(left, left-int64(n)) {
			return true
		}
	}
}

func (b *Budget) give(n int) { b.left.Add(int64(n)) }

// Left returns how many bytes are not in use.
func (b *Budget) Left() int64 { return b.left.Load() }

// File is a file of the client's that several programs may use. Its methods may be called
// from any goroutine.
type File struct {
	remote Remote
	budget *Budget
	piece  int // how much one write carries at most
	tasks  sync.WaitGroup

	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	closed    bool
	size      uint64
	accepted  uint64        // writes so far
	window    uint64        // how far a Reader may read ahead at most
	quickest  time.Duration // of the answers to what was read ahead; 0 for none
	queueing  time.Duration // the constant, but in tests
	writes    []*write      // accepted and not complete, oldest first
	underWay  int
	unwritten int
	room      chan struct{} // closed when unwritten falls
	failures  uint64
	failure   error // the last
	readers   map[*Reader]struct{}
}

// New makes a File. One write to remote carries piece bytes at most.
func New(remote Remote, budget *Budget, piece int) *File {
	f := &File{remote: remote, budget: budget, piece: piece, window: minWindow, queueing: queueing, room: make(chan struct{}), readers: make(map[*Reader]struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Settled counts the writes so far, for SetSize. It returns false while some are not
// complete, which may change the size.
func (f *File) Settled() (seen uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted, len(f.writes) == 0
}

// SetSize says how long the file is, which was asked for when Settled returned seen. If a
// write was accepted since, it may be too old: then SetSize does nothing and returns false.
// Nothing beyond the size is read ahead.
func (f *File) SetSize(size, seen uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.accepted != seen {
		return false
	}
	f.size = size
	return true
}

// Shorten says that the file ends at size, unless a write was accepted after seen.
func (f *File) Shorten(size, seen uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.writes) == 0 && f.accepted == seen {
		f.size = min(f.size, size)
	}
}

// Accepted counts the writes.
func (f *File) Accepted() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

// Size returns the size that was set, or the end of the last write behind it.
func (f *File) Size() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Close ends what is read ahead and what is written behind, finished or not. It returns
// when the File makes no call of its Remote any more.
func (f *File) Close() {
	f.mu.Lock()
	f.closed = true
	readers := make([]*Reader, 0, len(f.readers))
	for r := range f.readers {
		readers = append(readers, r)
	}
	f.mu.Unlock()
	f.cancel()
	for _, r := range readers {
		r.Close()
	}
	f.tasks.Wait()
}

// busy reports whether the client refuses a request only because it has too many.
func busy(err error) bool {
	return errors.Is(err, pnp.ERROR_NO_SYSTEM_RESOURCES) || errors.Is(err, pnp.ERROR_NOT_ENOUGH_QUOTA)
}

// patience is how a request that is refused by a busy client is tried again: after longer
// and longer times, in smaller and smaller pieces.
type patience struct {
	piece int
	tries int
}

const (
	smallestPiece = 4096
	maxTries      = 20
	firstPause    = 5 * time.Millisecond
	longestPause  = 500 * time.Millisecond
)

// again waits if err says that the client is busy, and returns nil to try again then.
// Otherwise it returns what to fail with.
func (p *patience) again(ctx context.Context, err error) error {
	if !busy(err) || p.tries == maxTries {
		return err
	}
	pause := time.NewTimer(min(firstPause<<p.tries, longestPause))
	defer pause.Stop()
	p.tries++
	p.piece = max(p.piece/2, smallestPiece)
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Patiently calls do, which asks the client for something, until the client is not too busy
// for it: what is read ahead and written behind can keep it so.
func Patiently(ctx context.Context, do func() (int, error)) (n int, err error) {
	for pat := (patience{}); ; {
		n, err = do()
		if !busy(err) {
			return n, err
		}
		if err = pat.again(ctx, err); err != nil {
			return n, err
		}
	}
}

// readFull reads until p is full, the file ends (io.EOF), or an error.
func (f *File) readFull(ctx context.Context, p []byte, off uint64) (n int, err error) {
	pat := patience{piece: len(p)}
	for n < len(p) && err == nil {
		var k int
		k, err = f.remote.ReadAt(ctx, p[n:min(n+pat.piece, len(p))], off+uint64(n))
		n += k
		switch {
		case k > 0:
			pat.tries = 0
		case err == nil:
			err = io.EOF
		default:
			err = pat.again(ctx, err)
		}
	}
	return n, err
}
