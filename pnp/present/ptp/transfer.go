// SPDX-License-Identifier: Apache-2.0

package ptp

import (
	"context"
	"fmt"
	"io"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// request is a read or write of the pipe that was begun.
type request struct {
	buffer []byte // of a read
	cancel func()
	done   chan result
}

type result struct {
	n   int
	err error
}

func (s *Session) start(r server.Request) (request, error) {
	q := request{buffer: r.Out, done: make(chan result, 1)}
	r.Done = func(n int, err error) { q.done <- result{n, err} }
	var err error
	q.cancel, err = s.pipe.Start(r)
	return q, err
}

// await waits for the end of a request.
func (s *Session) await(q request) (int, error) {
	late := time.NewTimer(s.answer)
	defer late.Stop()
	select {
	case got := <-q.done:
		return got.n, got.err
	case <-s.over.Done():
		q.cancel()
		return 0, fmt.Errorf("nobody waits for the device any more: %w", s.over.Err())
	case <-late.C:
		q.cancel()
		return 0, fmt.Errorf("the device does not answer: %w", context.DeadlineExceeded)
	}
}

// write writes to the pipe, as one transfer.
func (s *Session) write(p []byte) error {
	q, err := s.start(server.Request{Op: pnp.OpWrite, In: p})
	if err != nil {
		return err
	}
	return s.written(q, len(p))
}

// written waits for the end of a write of n bytes.
func (s *Session) written(q request, n int) error {
	got, err := s.await(q)
	if err == nil && got < n {
		err = io.ErrShortWrite
	}
	return err
}

// begin begins a read of at most n bytes.
func (s *Session) begin(n int) error {
	var buffer []byte
	if last := len(s.free) - 1; n == chunk && last >= 0 {
		buffer, s.free = s.free[last], s.free[:last]
	} else {
		buffer = make([]byte, n)
	}
	q, err := s.start(server.Request{Op: pnp.OpRead, Out: buffer})
	if err == nil {
		s.reads = append(s.reads, q)
	}
	return err
}

// fill reads a transfer, or a part of a longer one, into s.rest, which is empty. After an
// error the session is broken, and reads may be left, which the end of the pipe ends.
func (s *Session) fill() error {
	if len(s.reads) == 0 {
		if err := s.begin(chunk); err != nil {
			return err
		}
	}
	q := s.reads[0]
	n, err := s.await(q)
	if err != nil {
		return err
	}
	s.reads = s.reads[1:]
	if len(q.buffer) == chunk {
		s.free = append(s.free, q.buffer) // begin takes it when s.rest is empty
	}
	s.rest = q.buffer[:n]
	return nil
}

// ahead begins reads for data of which left bytes are to come. Each is certain to get some,
// however much less than a chunk those before it get.
func (s *Session) ahead(left uint64) error {
	for len(s.rest) == 0 && len(s.reads) < depth && uint64(len(s.reads))*chunk < left {
		if err := s.begin(chunk); err != nil {
			return err
		}
	}
	return nil
}

// maxEmpty is how many empty packets may come one after the other: a device may end a
// transfer of whole packets with one.
const maxEmpty = 2

// more makes sure that there is something in s.rest.
func (s *Session) more() error {
	for i := 0; len(s.rest) == 0; i++ {
		if i > maxEmpty {
			return fmt.Errorf("%w: it sends empty packets only", ErrProtocol)
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
	return nil
}

// take returns the next n bytes, which are few.
func (s *Session) take(n int) ([]byte, error) {
	out := make([]byte, 0, n)
	for len(out) < n {
		if err := s.more(); err != nil {
			return nil, err
		}
		m := min(n-len(out), len(s.rest))
		out = append(out, s.rest[:m]...)
		s.rest = s.rest[m:]
	}
	return out, nil
}

// receiveData passes on the data that follows a header. Where the length does not fit
// into the header, a short packet ends the data.
func (s *Session) receiveData(h container, x *exchange) error {
	left, known := uint64(h.length)-headerSize, h.length != 0xFFFFFFFF
	if known && left > x.most {
		return fmt.Errorf("%w: it sends %d bytes, at most %d were asked for", ErrProtocol, left, x.most)
	}
	if !known {
		left = x.most
	}
	for left > 0 {
		asked, err := 0, error(nil)
		switch {
		case known:
			err = s.ahead(left)
		case len(s.rest) == 0: // it may be the last read
			asked, err = longest, s.begin(longest)
		}
		if err == nil {
			err = s.more()
		}
		if err != nil {
			return err
		}
		part := s.rest[:min(uint64(len(s.rest)), left)]
		short := len(s.rest) < asked
		s.rest = s.rest[len(part):]
		left -= uint64(len(part))
		if _, err := x.receive.Write(part); err != nil {
			return err
		}
		if !known && short {
			break
		}
	}
	return nil
}

// sendData sends the data of a transaction: the header and the data are one transfer, which
// a short packet ends. It is written in pieces of whole packets.
func (s *Session) sendData(x exchange, id uint32) error {
	length := headerSize + x.size
	piece := header(uint32(min(length, 0xFFFFFFFF)), kindData, x.code, id)
	left := x.size
	// A piece that is not a multiple of the packets would end the transfer.
	most := min(longest, s.pipe.MaxWrite()/packetLongest*packetLongest)
	for first := true; first || left > 0; first = false {
		n := min(left, uint64(most-len(piece)))
		at := len(piece)
		piece = append(piece, make([]byte, n)...)
		if _, err := io.ReadFull(x.send, piece[at:]); err != nil {
			return err
		}
		if err := s.write(piece); err != nil {
			return err
		}
		left -= n
		piece = piece[:0]
	}
	if length%packetMultiple == 0 {
		return s.write(nil) // the empty packet
	}
	return nil
}

// packetMultiple: a transfer whose length is a multiple of the packets' ends with an empty
// one. All but full-speed devices have packets of 512 or 1024 bytes; for those, whose have
// 64, most transfers end with a short one all the same, and devices know the length.
const packetMultiple = 512

// packetLongest is how long a packet is at most.
const packetLongest = 1024
