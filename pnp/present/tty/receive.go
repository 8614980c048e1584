// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"context"
	"time"

	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present/internal/port"
)

// receive brings input to the terminal.
func (s *session) receive() error {
	b := make([]byte, inputSize)
	for {
		ctx := s.beginRead()
		if ctx == nil {
			return nil
		}
		n, err := s.port.Read(ctx, b)
		if ctx.Err() == nil && n > 0 {
			s.deliver(ctx, b[:n])
		}
		cancelled := ctx.Err() != nil
		s.endRead()
		if err != nil && !cancelled {
			return err
		}
	}
}

// beginRead waits until reading is allowed. It returns nil if there is nobody to read.
func (s *session) beginRead() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && !s.closed && s.flushed < s.flushes {
		s.changed.Wait()
	}
	if s.ended || s.closed {
		return nil
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.reading, s.cancelRead = true, cancel
	_ = s.p.master.SetWriteDeadline(time.Time{})
	return ctx
}

func (s *session) endRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelRead()
	s.reading, s.cancelRead = false, nil
	s.changed.Broadcast()
}

// deliver writes input to the terminal, until ctx ends.
func (s *session) deliver(ctx context.Context, b []byte) {
	_ = s.p.settle() // so that the kernel processes this input if it is to
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = s.p.master.SetWriteDeadline(time.Unix(1, 0))
	})
	_, _ = s.p.master.Write(b) // it fails if nobody is to read this
	if !stop() {
		<-stopped
	}
}

// flushInput discards input whenever a program does.
func (s *session) flushInput() error {
	for {
		n, ok := s.nextFlush()
		if !ok {
			return nil
		}
		err := s.port.Purge(s.ctx, serial.SERIAL_PURGE_RXABORT|serial.SERIAL_PURGE_RXCLEAR)
		if port.IsLost(err) {
			return err
		}
		s.refuse(err)
		s.mu.Lock()
		for s.reading {
			s.changed.Wait()
		}
		s.flushed = n
		s.changed.Broadcast()
		s.mu.Unlock()
	}
}

// nextFlush waits for something to do.
func (s *session) nextFlush() (n uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && s.flushed == s.flushes {
		s.changed.Wait()
	}
	return s.flushes, !s.ended
}
