// SPDX-License-Identifier: Apache-2.0

package ahead

import (
	"context"
	"io"
	"sync"
	"time"
)

// Reader reads a File for one program. Its methods may be called from any goroutine.
type Reader struct {
	f *File

	// mu is taken after File.mu.
	mu     sync.Mutex
	closed bool
	pos    uint64   // the highest end of a read in this run
	runs   bool     // a read has continued another
	window uint64   // how far to read ahead
	blocks []*block // that were read ahead, in order, and without gaps but for those dropped
	next   uint64   // where the next block begins
}

// block is a part of the file that is being read or was read. The program has not read all
// of it.
type block struct {
	off    uint64
	data   []byte
	cancel context.CancelFunc
	done   chan struct{} // closed when n and err are set
	n      int
	err    error
	served int // how many bytes of it were read
}

func (b *block) end() uint64 { return b.off + uint64(len(b.data)) }

// NewReader returns a reader for one program, which closes it.
func (f *File) NewReader() *Reader {
	r := &Reader{f: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers[r] = struct{}{}
	return r
}

// Close ends what is read ahead. Reads that are under way go on.
func (r *Reader) Close() {
	r.f.mu.Lock()
	delete(r.f.readers, r)
	r.f.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.restart()
}

// ReadThrough reads like Reader.ReadAt, but always asks the client.
func (f *File) ReadThrough(ctx context.Context, p []byte, off uint64) (int, error) {
	if err := f.wait(ctx, off, off+uint64(len(p))); err != nil {
		return 0, err
	}
	return f.readFull(ctx, p, off)
}

// ReadAt reads until p is full, the file ends, or an error. At the end of the file, the
// error is io.EOF or what the client says instead.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off uint64) (n int, err error) {
	end := off + uint64(len(p))
	if err := r.f.wait(ctx, off, end); err != nil {
		return 0, err
	}
	for _, b := range r.plan(off, end) {
		at := off + uint64(n)
		if b.off > at { // not read ahead
			k, err := r.f.readFull(ctx, p[n:][:b.off-at], at)
			n += k
			if err != nil {
				return n, err
			}
			at = b.off
		}
		select {
		case <-b.done:
		case <-ctx.Done():
			return n, ctx.Err()
		}
		if at >= b.off+uint64(b.n) {
			break // it fell short, or failed
		}
		k := copy(p[n:], b.data[at-b.off:b.n])
		n += k
		r.served(b, k)
	}
	k, err := r.f.readFull(ctx, p[n:], off+uint64(n))
	return n + k, err
}

// ReadNow reads p if all of it was read ahead. Otherwise, ask says whether it is for the
// client to answer and nothing has to be waited for before it is asked: then a read of p
// that succeeds is what ReadAt would return.
func (r *Reader) ReadNow(p []byte, off uint64) (read, ask bool) {
	end := off + uint64(len(p))
	if r.f.unwrittenIn(off, end) {
		return false, false
	}
	blocks := r.plan(off, end)
	if len(blocks) == 0 {
		return false, true
	}
	at := off
	for _, b := range blocks {
		select {
		case <-b.done:
		default:
			return false, false
		}
		if b.off > at || b.n < len(b.data) {
			return false, false
		}
		at = b.end()
	}
	if at < end {
		return false, false
	}
	n := 0
	for _, b := range blocks {
		k := copy(p[n:], b.data[off+uint64(n)-b.off:])
		n += k
		r.served(b, k)
	}
	return true, false
}

// plan begins to read ahead, if this read of a range continues what was read before, and
// returns the blocks that the range is in.
func (r *Reader) plan(off, end uint64) []*block {
	r.f.mu.Lock()
	size, most, closed := r.f.size, r.f.window, r.f.closed
	r.f.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.runs && off <= r.pos+slack && end+slack >= r.pos:
		if end > r.pos { // not the same read once more
			r.window = min(max(2*r.window, firstWindow), most)
		}
	case off == r.pos && off > 0:
		r.runs, r.window, r.next = true, min(firstWindow, most), end
	default:
		r.restart()
		r.pos = end
		return nil
	}
	r.pos = max(r.pos, end)
	r.tidy()
	if r.next < r.pos && len(r.blocks) == 0 {
		r.next = r.pos
	}
	for !closed && !r.closed && r.next < min(r.pos+r.window, size) {
		if !r.fetch(int(min(blockSize, size-r.next))) {
			break
		}
	}
	var covering []*block
	for _, b := range r.blocks {
		if b.off < end && off < b.end() {
			covering = append(covering, b)
		}
	}
	return covering
}

// restart forgets what was read ahead. r.mu is held.
func (r *Reader) restart() {
	for _, b := range r.blocks {
		r.drop(b)
	}
	r.blocks, r.runs, r.window = nil, false, 0
}

// drop ends a block. r.mu is held.
func (r *Reader) drop(b *block) { b.cancel() }

// tidy drops the blocks that the program will not read any more. r.mu is held.
func (r *Reader) tidy() {
	r.remove(func(b *block) bool { return b.served >= len(b.data) || b.end()+slack < r.pos })
}

// remove drops the blocks for which f is true. r.mu is held.
func (r *Reader) remove(f func(*block) bool) {
	kept := r.blocks[:0]
	for _, b := range r.blocks {
		if f(b) {
			r.drop(b)
		} else {
			kept = append(kept, b)
		}
	}
	clear(r.blocks[len(kept):])
	r.blocks = kept
}

// forget drops what was read of a range that is written to. File.mu is held.
func (r *Reader) forget(off, end uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(func(b *block) bool { return b.off < end && off < b.end() })
}

// fetch begins to read the next block. It reports whether there was memory for it. r.mu is
// held.
func (r *Reader) fetch(size int) bool {
	if !r.f.budget.take(size) {
		return false
	}
	ctx, cancel := context.WithCancel(r.f.ctx)
	b := &block{off: r.next, data: make([]byte, size), cancel: cancel, done: make(chan struct{})}
	r.blocks = append(r.blocks, b)
	r.next = b.end()
	r.f.tasks.Add(1)
	go func() {
		defer r.f.tasks.Done()
		defer r.f.budget.give(size)
		defer cancel()
		// A write that was accepted before has to be seen.
		if b.err = r.f.wait(ctx, b.off, b.end()); b.err == nil {
			b.n, b.err = r.f.fill(ctx, b.data, b.off)
		}
		close(b.done)
		// The memory counts until the block is dropped.
		<-ctx.Done()
	}()
	return true
}

// fill reads what nobody has asked for yet. If the client is busy, it gives up.
func (f *File) fill(ctx context.Context, p []byte, off uint64) (n int, err error) {
	begun := time.Now()
	for n < len(p) && err == nil {
		var k int
		k, err = f.remote.ReadAt(ctx, p[n:], off+uint64(n))
		n += k
		if k == 0 && err == nil {
			err = io.EOF
		}
	}
	f.adapt(time.Since(begun), err)
	return n, err
}

// adapt learns from an answer how far to read ahead. The window doubles with each round
// trip until answers take longer for it.
func (f *File) adapt(took time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case busy(err):
		f.window = max(f.window/2, blockSize)
	case err != nil:
	case f.quickest > 0 && took > 2*f.quickest+f.queueing:
		f.window = max(f.window-blockSize, minWindow)
	default:
		f.window = min(f.window+blockSize, maxWindow)
	}
	if err == nil && (f.quickest == 0 || took < f.quickest) {
		f.quickest = took
	}
}

func (r *Reader) served(b *block, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.served += n
	if b.served >= len(b.data) {
		r.tidy()
	}
}

// Forget drops all that was read ahead, because the file is changed otherwise.
func (f *File) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		r.forget(0, ^uint64(0))
	}
}
