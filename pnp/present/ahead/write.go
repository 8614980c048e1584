// SPDX-License-Identifier: Apache-2.0

package ahead

import (
	"context"
	"io"

	"freerdp-pnpdr/channels"
)

// write is a write that was accepted.
type write struct {
	off    uint64
	data   []byte
	joined bool // may be continued
	sent   bool
	done   chan struct{} // closed when it is complete
	err    error         // set before
}

func (w *write) end() uint64 { return w.off + uint64(len(w.data)) }

func (w *write) overlaps(off, end uint64) bool { return w.off < end && off < w.end() }

// Write accepts p to be written at off, and copies it. It waits only while too much is
// unwritten. An error is that of ctx: those of writing are told by Check.
func (f *File) Write(ctx context.Context, p []byte, off uint64) error {
	for len(p) > 0 {
		n := min(len(p), f.piece)
		if _, err := f.accept(ctx, p[:n], off, true); err != nil {
			return err
		}
		p, off = p[n:], off+uint64(n)
	}
	return nil
}

// WriteThrough writes p at off, and returns when the client has answered and how much it
// has written. If ctx ends before, the write may still be carried out.
func (f *File) WriteThrough(ctx context.Context, p []byte, off uint64) (n int, err error) {
	type part struct {
		w    *write
		size int
	}
	var parts []part
	for len(p) > 0 && err == nil {
		k := min(len(p), f.piece)
		var w *write
		if w, err = f.accept(ctx, p[:k], off, false); err == nil {
			parts = append(parts, part{w, k})
			p, off = p[k:], off+uint64(k)
		}
	}
	for _, part := range parts {
		select {
		case <-part.w.done:
		case <-ctx.Done():
			return n, ctx.Err()
		}
		if part.w.err != nil {
			return n, part.w.err
		}
		n += part.size
	}
	return n, err
}

// accept adds a write. If it is behind, its error becomes the File's.
func (f *File) accept(ctx context.Context, p []byte, off uint64, behind bool) (*write, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f.closed {
			return nil, channels.ErrClosed
		}
		// One write is always accepted, however little is left for all.
		if len(f.writes) == 0 || len(f.writes) < maxAccepted && f.unwritten+len(p) <= maxUnwritten && f.budget.Left() >= int64(len(p)) {
			break
		}
		room := f.room
		f.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		case <-f.ctx.Done():
		}
		f.mu.Lock()
	}
	f.accepted++
	f.unwritten += len(p)
	f.budget.give(-len(p))
	f.size = max(f.size, off+uint64(len(p)))
	for r := range f.readers {
		r.forget(off, off+uint64(len(p)))
	}
	if n := len(f.writes); behind && n > 0 {
		if w := f.writes[n-1]; w.joined && !w.sent && w.end() == off && len(w.data)+len(p) <= min(joinedSize, f.piece) {
			w.data = append(w.data, p...)
			return w, nil
		}
	}
	w := &write{off: off, data: append([]byte(nil), p...), joined: behind, done: make(chan struct{})}
	f.writes = append(f.writes, w)
	f.sendWrites()
	return w, nil
}

// sendWrites begins the writes that may begin: those that overlap none before. f.mu is
// held.
func (f *File) sendWrites() {
	for i, w := range f.writes {
		if f.underWay >= maxWrites {
			return
		}
		if w.sent || f.blocked(i) {
			continue
		}
		w.sent = true
		f.underWay++
		f.tasks.Add(1)
		go f.carryOut(w)
	}
}

// blocked reports whether write i has to wait for one before it. f.mu is held.
func (f *File) blocked(i int) bool {
	for _, earlier := range f.writes[:i] {
		if earlier.overlaps(f.writes[i].off, f.writes[i].end()) {
			return true
		}
	}
	return false
}

func (f *File) carryOut(w *write) {
	defer f.tasks.Done()
	rest, off := w.data, w.off
	var err error
	pat := patience{piece: len(rest)}
	for len(rest) > 0 && err == nil {
		var n int
		n, err = f.remote.WriteAt(f.ctx, rest[:min(pat.piece, len(rest))], off)
		rest, off = rest[n:], off+uint64(n)
		switch {
		case n > 0:
			pat.tries = 0
		case err == nil:
			err = io.ErrShortWrite
		default:
			err = pat.again(f.ctx, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.writes {
		if f.writes[i] == w {
			f.writes = append(f.writes[:i], f.writes[i+1:]...)
			break
		}
	}
	f.underWay--
	f.unwritten -= len(w.data)
	f.budget.give(len(w.data))
	w.err = err
	if err != nil && w.joined {
		f.failures++
		f.failure = err
	}
	close(w.done)
	close(f.room)
	f.room = make(chan struct{})
	f.sendWrites()
}

// Flush waits until all that was accepted so far is written or has failed.
func (f *File) Flush(ctx context.Context) error { return f.wait(ctx, 0, ^uint64(0)) }

// wait waits for the writes accepted so far that overlap a range.
func (f *File) wait(ctx context.Context, off, end uint64) error {
	f.mu.Lock()
	var waits []<-chan struct{}
	for _, w := range f.writes {
		if w.overlaps(off, end) {
			waits = append(waits, w.done)
		}
	}
	f.mu.Unlock()
	for _, done := range waits {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// unwrittenIn reports whether a write that overlaps a range is not complete.
func (f *File) unwrittenIn(off, end uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.writes {
		if w.overlaps(off, end) {
			return true
		}
	}
	return false
}

// Failures counts the errors of writes that nobody waited for. A program that has seen some
// of them has been told.
type Failures uint64

// Failures returns how many there were so far.
func (f *File) Failures() Failures {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Failures(f.failures)
}

// Check returns the last error that came after those in seen, and adds all of them to it.
func (f *File) Check(seen *Failures) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if Failures(f.failures) == *seen {
		return nil
	}
	*seen = Failures(f.failures)
	return f.failure
}
