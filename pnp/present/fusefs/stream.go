// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// source is what a stream reads and writes. A call ends with ctx, and when close is called.
type source interface {
	read(ctx context.Context, p []byte) (int, error)
	write(ctx context.Context, p []byte) (int, error)
	ioctl(ctx context.Context, code uint32, in, out []byte) (int, error)
	// close may be called while calls are under way, and more than once.
	close()
}

// aheadSize is how much a stream reads when a program asks whether there is something to
// read, and writeSize how much it takes from one that does not want to wait.
const (
	aheadSize = 64 << 10
	writeSize = 64 << 10
)

// The events that a program polls for.
const (
	pollRdNorm = 0x40  // POLLRDNORM
	pollWrNorm = 0x100 // POLLWRNORM

	readable  = unix.POLLIN | pollRdNorm
	writable  = unix.POLLOUT | pollWrNorm
	exception = unix.POLLERR | unix.POLLHUP
)

// stream is an open file without a position. A call that may wait goes to the client as it
// is. A program that does not want to wait, or asks whether it would have to, gets what was
// read ahead for it: nobody but a read can tell whether a redirected device has data. So
// such data belongs to this open file, and is lost if nobody reads it.
type stream struct {
	src               source
	canRead, canWrite bool

	// ctx ends when the file is released or the device has gone.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu     sync.Mutex
	gone   bool
	ahead  *transfer // the read ahead of the program
	behind *transfer // the write that the program did not wait for
	wake   func()    // tells a program that polls, once; nil if none does
}

// transfer is a request that no program waits for. Its result is set before done is closed.
type transfer struct {
	done chan struct{}
	data []byte
	err  error
}

func (t *transfer) complete() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// newStream makes an open file that was opened with these flags.
func newStream(src source, flags uint32) *stream {
	s := &stream{src: src, canRead: flags&unix.O_ACCMODE != unix.O_WRONLY, canWrite: flags&unix.O_ACCMODE != unix.O_RDONLY}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *stream) read(ctx context.Context, p []byte, _ uint64, flags uint32) (int, error) {
	if len(p) > maxTransfer-4096 {
		// The kernel has cut a longer read into pieces. It would read the next one
		// although there is data, unless this one falls short.
		p = p[:len(p)-1]
	}
	for {
		s.mu.Lock()
		a := s.ahead
		switch {
		case a != nil && a.complete():
			n, err := s.take(p)
			s.mu.Unlock()
			return n, err
		case flags&unix.O_NONBLOCK != 0 && !s.gone:
			s.readAhead()
			s.mu.Unlock()
			return 0, unix.EAGAIN
		case a == nil:
			s.mu.Unlock()
			return s.src.read(ctx, p)
		}
		s.mu.Unlock()
		select {
		case <-a.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// take returns what was read ahead. s.mu is held.
func (s *stream) take(p []byte) (int, error) {
	a := s.ahead
	n := copy(p, a.data)
	a.data = a.data[n:]
	if len(a.data) > 0 {
		return n, nil
	}
	s.ahead = nil
	if n > 0 && a.err != nil {
		// The next read gets the error.
		s.ahead = &transfer{done: a.done, err: a.err}
		return n, nil
	}
	return n, a.err
}

// readAhead begins to read ahead, unless it has. s.mu is held.
func (s *stream) readAhead() {
	if s.ahead != nil || s.gone {
		return
	}
	a := &transfer{done: make(chan struct{})}
	s.ahead = a
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		buf := make([]byte, aheadSize)
		n, err := s.src.read(s.ctx, buf)
		s.finish(a, append([]byte(nil), buf[:n]...), err)
	}()
}

// finish sets the result of a transfer, and tells who polls.
func (s *stream) finish(t *transfer, data []byte, err error) {
	s.mu.Lock()
	t.data, t.err = data, err
	close(t.done)
	wake := s.takeWake()
	s.mu.Unlock()
	wake()
}

// takeWake returns what to call without s.mu, which is held.
func (s *stream) takeWake() func() {
	wake := s.wake
	s.wake = nil
	if wake == nil {
		return func() {}
	}
	return wake
}

func (s *stream) write(ctx context.Context, p []byte, _ uint64, flags uint32) (int, error) {
	for {
		s.mu.Lock()
		b := s.behind
		switch {
		case b != nil && b.complete():
			s.behind = nil
			if b.err != nil {
				s.mu.Unlock()
				return 0, b.err
			}
		case b != nil && flags&unix.O_NONBLOCK != 0:
			s.mu.Unlock()
			return 0, unix.EAGAIN
		}
		if s.behind == nil && flags&unix.O_NONBLOCK != 0 {
			defer s.mu.Unlock()
			return s.writeBehind(p)
		}
		b = s.behind
		s.mu.Unlock()
		if b == nil {
			return s.writeNow(ctx, p)
		}
		select {
		case <-b.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// writeNow writes p, and returns when the client has answered.
func (s *stream) writeNow(ctx context.Context, p []byte) (int, error) {
	n, err := s.src.write(ctx, p)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.ErrShortWrite
	}
	return n, err
}

// writeBehind takes a part of p and writes it while the program goes on. s.mu is held.
func (s *stream) writeBehind(p []byte) (int, error) {
	if s.gone {
		return 0, pnp.ERROR_DEVICE_NOT_CONNECTED
	}
	p = append([]byte(nil), p[:min(len(p), writeSize)]...)
	b := &transfer{done: make(chan struct{})}
	s.behind = b
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		rest := p
		var err error
		for len(rest) > 0 && err == nil {
			var n int
			// Not s.ctx: closing the file does not take back what was written.
			n, err = s.writeNow(context.Background(), rest)
			rest = rest[n:]
		}
		s.finish(b, nil, err)
	}()
	return len(p), nil
}

// flush is not called: close has nothing to wait for. See FOPEN_NOFLUSH.
func (s *stream) flush(context.Context) error { return nil }

// fsync waits for the write that the program did not wait for.
func (s *stream) fsync(ctx context.Context) error {
	s.mu.Lock()
	b := s.behind
	s.mu.Unlock()
	if b == nil {
		return nil
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind == b {
		s.behind = nil
	}
	return b.err
}

func (s *stream) ioctl(ctx context.Context, code uint32, in, out []byte) (int, error) {
	return s.src.ioctl(ctx, code, in, out)
}

func (s *stream) poll(events uint32, wake func()) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return readable | writable | exception
	}
	if wake != nil {
		s.wake = wake
	}
	var ready uint32
	if events&readable != 0 && s.canRead {
		s.readAhead()
		if s.ahead.complete() {
			ready |= readable
		}
	}
	if s.canWrite && (s.behind == nil || s.behind.complete()) {
		ready |= writable
	}
	return ready
}

func (s *stream) fail() {
	s.mu.Lock()
	s.gone = true
	wake := s.takeWake()
	s.mu.Unlock()
	s.cancel()
	s.src.close()
	wake()
}

// release waits for the write that the program did not wait for. If the client does not
// answer, it waits until the device has gone.
func (s *stream) release() {
	s.cancel()
	s.tasks.Wait()
	s.src.close()
}
