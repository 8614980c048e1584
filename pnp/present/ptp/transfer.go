// SPDX-License-Identifier: Apache-2.0

package ptp

import (
	"context"
	"fmt"
	"io"
)

// write writes to the pipe, as one transfer.
func (s *Session) write(p []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.answer)
	defer cancel()
	n, err := s.pipe.WriteAt(ctx, p, 0)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// fill reads a transfer, or a chunk of a longer one, into s.rest, which is empty.
func (s *Session) fill() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.answer)
	defer cancel()
	n, err := s.pipe.ReadAt(ctx, s.buffer, 0)
	if err != nil {
		return err
	}
	s.rest = s.buffer[:n]
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
		full := len(s.rest) == 0
		if err := s.more(); err != nil {
			return err
		}
		part := s.rest[:min(uint64(len(s.rest)), left)]
		short := full && len(s.rest) < chunk
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
	// A piece that is no multiple of the packets would end the transfer.
	most := min(chunk, s.pipe.MaxWrite()/packetLongest*packetLongest)
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
