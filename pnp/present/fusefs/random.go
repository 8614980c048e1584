// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/ahead"
)

const (
	// sizeValid is for how long a size that the client has told is believed while
	// nothing is written, and foundValid for how long one that was found by reading.
	sizeValid  = time.Second
	foundValid = time.Minute

	// statPatience is how long stat waits for a client.
	statPatience = 5 * time.Second

	// linger is how long a handle stays open that nobody uses: programs look at a file
	// before they open it.
	linger = time.Second
)

// random is the file data of a device with random access. All programs share one handle,
// since they share the kernel's cache of the file, too.
type random struct {
	folder *folder

	// busy has a value while somebody uses what follows. Opening waits for the client
	// meanwhile.
	busy  chan struct{}
	now   *shared // nil if there is no handle
	timer *time.Timer
	asked time.Time // when the size was; zero if it has to be asked for
	found bool      // the client cannot tell it

	last atomic.Uint64 // the size, as far as it is known; not guarded
}

func newRandom(c *folder) *random { return &random{folder: c, busy: make(chan struct{}, 1)} }

// shared is a handle and who uses it. users and writable are guarded by random.busy.
type shared struct {
	*handle
	file     *ahead.File
	readOnly bool // the handle has no right to write
	users    int
	writable error // what the client says to a write; nil if not asked
	probed   bool  // it was asked
}

func (r *random) permissions() uint32 { return 0o600 }

// lock waits for its turn.
func (r *random) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case r.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *random) unlock() { <-r.busy }

// whileThere returns a context that ends with ctx and with the device.
func (r *random) whileThere(ctx context.Context) (context.Context, context.CancelFunc) {
	both, cancel := context.WithCancel(r.folder.ctx)
	stop := context.AfterFunc(ctx, cancel)
	return both, func() { stop(); cancel() }
}

// use returns the handle, which it opens if there is none, and an up-to-date size. The
// caller calls leave. r is locked.
func (r *random) use(ctx context.Context) (*shared, error) {
	s := r.now
	if s != nil && s.Err() != nil { // the channel has ended
		if r.now = nil; s.users == 0 {
			r.close(s)
		}
		s = nil
	}
	if s == nil {
		var err error
		if s, err = r.openHandle(ctx); err != nil {
			return nil, err
		}
		r.now, r.asked = s, time.Time{}
	}
	s.users++
	if err := r.askSize(ctx, s); err != nil {
		r.leave(s)
		return nil, err
	}
	return s, nil
}

// openHandle opens a handle for reading and writing, or for reading only.
func (r *random) openHandle(ctx context.Context) (*shared, error) {
	s := &shared{}
	h, err := r.folder.open(ctx, server.OpenOptions{})
	if errors.Is(err, pnp.ERROR_ACCESS_DENIED) || errors.Is(err, pnp.ERROR_WRITE_PROTECT) {
		s.readOnly = true
		h, err = r.folder.open(ctx, server.OpenOptions{Access: pnp.GENERIC_READ})
	}
	if err != nil {
		return nil, err
	}
	s.handle, s.file = h, ahead.New(h, r.folder.fs.budget, min(h.MaxWrite(), maxTransfer))
	return s, nil
}

// leave ends a use. After the last, the handle is closed unless somebody comes soon. r is
// locked.
func (r *random) leave(s *shared) {
	s.users--
	switch {
	case s.users > 0:
	case r.now != s || s.Err() != nil || r.folder.ctx.Err() != nil:
		r.close(s)
	case r.timer == nil:
		r.folder.fs.tasks.Add(1)
		r.timer = time.AfterFunc(linger, r.closeUnused)
	default:
		if r.timer.Stop() {
			r.timer.Reset(linger)
		}
	}
}

// closeUnused closes the handle if nobody uses it. What a program has written that did not
// wait for close is written first.
func (r *random) closeUnused() {
	defer r.folder.fs.tasks.Done()
	r.busy <- struct{}{}
	r.timer = nil
	s := r.now
	r.unlock()
	if s == nil {
		return
	}
	_ = s.file.Flush(r.folder.ctx)
	r.busy <- struct{}{}
	defer r.unlock()
	if s == r.now && s.users == 0 && r.timer == nil {
		r.close(s)
	}
}

// close closes a handle, which must not wait. r is locked.
func (r *random) close(s *shared) {
	if r.now == s {
		r.now = nil
	}
	s.Close()
	r.folder.fs.tasks.Add(1)
	go func() {
		defer r.folder.fs.tasks.Done()
		s.file.Close()
	}()
}

// remove closes the handle that nobody uses any more.
func (r *random) remove() {
	r.folder.fs.tasks.Add(1)
	go func() {
		defer r.folder.fs.tasks.Done()
		r.busy <- struct{}{} // whoever has it does not wait for the client any more
		defer r.unlock()
		if r.timer != nil && r.timer.Stop() {
			r.timer = nil
			r.folder.fs.tasks.Done()
		}
		if r.now != nil {
			r.close(r.now)
		}
	}()
}

// askSize asks for the size if what is known is too old. After an error the handle may be
// closed. r is locked.
func (r *random) askSize(ctx context.Context, s *shared) (err error) {
	valid := sizeValid
	if r.found {
		valid = foundValid
	}
	if !r.asked.IsZero() && time.Since(r.asked) < valid {
		return nil
	}
	seen, settled := s.file.Settled()
	if !settled {
		return nil // it is about to change
	}
	if s.users == 1 {
		// Nobody else needs the handle: do not wait for what the client says to being
		// asked in vain.
		goOn := context.AfterFunc(ctx, s.Close)
		defer func() {
			if !goOn() { // it is being closed, whatever the client has said
				s.Close()
				err = ctx.Err()
			}
		}()
	}
	size, found, err := length(ctx, unhurried{s.handle})
	if err != nil {
		return err
	}
	if !s.file.SetSize(size, seen) {
		return nil // it has changed
	}
	r.asked, r.found = time.Now(), found
	r.last.Store(size)
	return nil
}

// size implements content. If the client does not answer, the last size that is known has
// to do: a folder can be listed in any case.
func (r *random) size(ctx context.Context) (uint64, time.Duration) {
	ctx, cancel := r.whileThere(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, statPatience)
	defer cancel()
	if r.lock(ctx) != nil {
		return r.last.Load(), 0
	}
	defer r.unlock()
	s, err := r.use(ctx)
	if err != nil {
		if r.folder.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			r.folder.dev.Log.Debug("the size of data is not known", "err", err)
		}
		return r.last.Load(), sizeValid
	}
	defer r.leave(s)
	r.last.Store(s.file.Size())
	return r.last.Load(), sizeValid
}

// open implements content.
func (r *random) open(ctx context.Context, flags uint32) (openFile, uint32, error) {
	if err := r.lock(ctx); err != nil {
		return nil, 0, err
	}
	defer r.unlock()
	s, err := r.use(ctx)
	if err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY {
		if err = r.mayWrite(ctx, s); err != nil {
			r.leave(s)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	return &randomFile{random: r, shared: s, reader: s.file.NewReader(), seen: s.file.Failures()}, 0, nil
}

// mayWrite reports with a write of nothing whether the client lets the file be written to:
// our client opens a file for reading that may not be written, as Windows does not. r is
// locked.
func (r *random) mayWrite(ctx context.Context, s *shared) error {
	if s.readOnly {
		return unix.EACCES
	}
	if !s.probed {
		_, err := unhurried{s.handle}.WriteAt(ctx, nil, 0)
		if err != nil && (ctx.Err() != nil || s.Err() != nil) {
			return err
		}
		s.probed = true
		if errors.Is(err, pnp.ERROR_ACCESS_DENIED) || errors.Is(err, pnp.ERROR_WRITE_PROTECT) {
			s.writable = unix.EACCES
		}
	}
	return s.writable
}

// randomFile is an open file.
type randomFile struct {
	random *random
	*shared
	reader *ahead.Reader
	wrote  atomic.Bool

	mu   sync.Mutex
	seen ahead.Failures // that the program has been told of
}

// through is set for programs that want each request to reach the client.
const through = unix.O_DIRECT | unix.O_DSYNC | unix.O_SYNC

func (f *randomFile) read(ctx context.Context, p []byte, off uint64, flags uint32) (n int, err error) {
	// The kernel reads whole pages. Some devices fail if anything of a read is behind
	// their end.
	size := f.file.Size()
	if off >= size {
		return 0, io.EOF
	}
	p = p[:min(uint64(len(p)), size-off)]
	accepted := f.file.Accepted()
	read := f.reader.ReadAt
	if flags&unix.O_DIRECT != 0 {
		read = f.file.ReadThrough
	}
	n, err = read(ctx, p, off)
	if present.IsEOF(err) {
		return f.early(ctx, p, n, off, accepted)
	}
	if err != nil && flags&unix.O_DIRECT == 0 {
		n = 0 // the kernel would take a short read for the end of the file
	}
	return n, err
}

// early goes on with a read that met the end of the file after n bytes, before where it is
// thought to be. Either a write that makes the file longer is not complete, or it has become
// shorter at the client.
func (f *randomFile) early(ctx context.Context, p []byte, n int, off, accepted uint64) (int, error) {
	if err := f.file.Flush(ctx); err != nil {
		return 0, err
	}
	k, err := f.file.ReadThrough(ctx, p[n:], off+uint64(n))
	n += k
	if present.IsEOF(err) {
		f.file.Shorten(off+uint64(n), accepted)
		return n, nil
	}
	if err != nil {
		n = 0
	}
	return n, err
}

func (f *randomFile) write(ctx context.Context, p []byte, off uint64, flags uint32) (int, error) {
	f.wrote.Store(true)
	if flags&through != 0 {
		return f.file.WriteThrough(ctx, p, off)
	}
	if err := f.check(); err != nil {
		return 0, err
	}
	if err := f.file.Write(ctx, p, off); err != nil {
		return 0, err
	}
	f.random.last.Store(f.file.Size())
	return len(p), nil
}

// check returns the error of an earlier write, once.
func (f *randomFile) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.file.Check(&f.seen)
	if err != nil && errors.Is(err, context.Canceled) {
		return channels.ErrClosed // nobody else cancels what is written behind
	}
	return err
}

// flush is what close waits for: that all is written, if the program has written anything.
func (f *randomFile) flush(ctx context.Context) error {
	if !f.wrote.Load() {
		return nil
	}
	return f.written(ctx)
}

// written waits until all that was accepted is written, and returns the error of an earlier
// write.
func (f *randomFile) written(ctx context.Context) error {
	if err := f.file.Flush(ctx); err != nil {
		return err
	}
	err := f.check()
	if err != nil {
		f.random.forgetSize(ctx)
	}
	return err
}

func (f *randomFile) fsync(ctx context.Context) error {
	if err := f.written(ctx); err != nil {
		return err
	}
	if f.readOnly {
		return nil
	}
	_, err := unhurried{f.handle}.IOControl(ctx, pnp.IOCTL_PNPDR_FLUSH, nil, nil)
	if unknownCode(err) {
		// As far as anyone can tell, a write that was answered is on the disk.
		return nil
	}
	return err
}

// forgetSize has the size asked for again.
func (r *random) forgetSize(ctx context.Context) {
	if r.lock(ctx) == nil {
		r.asked = time.Time{}
		r.unlock()
	}
}

func (f *randomFile) ioctl(ctx context.Context, code uint32, in, out []byte) (int, error) {
	return unhurried{f.handle}.IOControl(ctx, code, in, out)
}

func (f *randomFile) poll(events uint32, _ func()) uint32 {
	ready := uint32(readable | writable)
	if f.Err() != nil {
		ready |= exception
	}
	return ready & (events | exception)
}

func (f *randomFile) fail() { f.Close() }

func (f *randomFile) release() {
	f.reader.Close()
	f.random.busy <- struct{}{} // whoever has it gives up when the device goes
	defer f.random.unlock()
	f.random.leave(f.shared)
}
