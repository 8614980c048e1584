// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// events is the file events.
type events struct {
	lines func() (<-chan []byte, func())
}

func (e *events) permissions() uint32 { return 0o400 }

func (e *events) size(context.Context) (uint64, time.Duration) { return 0, 0 }

func (e *events) truncate(context.Context, uint64) error { return unix.EACCES }

func (e *events) remove() {}

func (e *events) open(_ context.Context, flags uint32) (openFile, uint32, error) {
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		return nil, 0, unix.EACCES
	}
	s := &lineSource{reading: make(chan struct{}, 1)}
	s.gone, s.end = context.WithCancel(context.Background())
	s.lines, s.cancel = e.lines()
	return &eventStream{newStream(s, flags), s}, asStream, nil
}

// eventStream ends with the end of the file when the device has gone, not with an error.
type eventStream struct {
	*stream
	lines *lineSource
}

func (s *eventStream) release() {
	s.stream.release()
	s.lines.cancel()
}

// lineSource reads lines. A read gets one line at most.
type lineSource struct {
	lines  <-chan []byte
	cancel func()

	// gone ends when there is nothing to wait for any more.
	gone context.Context
	end  context.CancelFunc

	reading chan struct{} // has a value while somebody reads; guards rest
	rest    []byte        // of a line
}

func (s *lineSource) read(ctx context.Context, p []byte) (int, error) {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if len(s.rest) == 0 {
		var ok bool
		select {
		case s.rest, ok = <-s.lines:
			if !ok {
				return 0, io.EOF
			}
		case <-s.gone.Done():
			return 0, io.EOF
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *lineSource) write(context.Context, []byte) (int, error) { return 0, unix.EBADF }

func (s *lineSource) ioctl(context.Context, uint32, []byte, []byte) (int, error) {
	return 0, unix.ENOTTY
}

func (s *lineSource) close() { s.end() }
