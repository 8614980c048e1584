// SPDX-License-Identifier: Apache-2.0

// Package framer finds the messages in what a client sends, for servers whose
// transport delivers a stream of bytes: the ends of messages are lost, their order is
// not.
//
// Messages on PNPDR begin with their size. Those on a FileRedirectorChannel do not,
// and a reply does not even say what it answers. So a Framer is told of each request
// that is sent (Sent), and finds a reply's length from its request.
package framer

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp/wire"
)

// What a client can make a Framer keep, in bytes. A longer message is an error.
const (
	MaxInfo  = 8 << 20 // a message on PNPDR
	MaxEvent = 1 << 20 // the data of a custom event
	// The data of a reply is bounded by what its request asked for.
)

const (
	minBuffer  = 16 << 10
	keepBuffer = 256 << 10 // the size up to which the buffer is kept
)

// Framer reads the messages of one channel. Sent may be called from any goroutine,
// Next from one at a time.
type Framer struct {
	r   io.Reader
	dir wire.Direction // of what is read
	err error

	buf        []byte
	start, end int    // what is in buf and not yet returned
	missing    uint64 // see Missing

	mu       sync.Mutex
	requests map[wire.RequestID]request // that have no reply yet
}

type request struct {
	kind wire.Kind
	most uint32 // bytes of data in the reply
}

// New makes a Framer for a channel named name that reads from r.
func New(name string, r io.Reader) *Framer {
	f := &Framer{r: r, dir: wire.IOToServer, requests: make(map[wire.RequestID]request)}
	if name == channels.PNPDR {
		f.dir = wire.InfoToServer
	}
	return f
}

// Sent must be called with each message to the client before it is sent. It fails
// if the reply could not be told from others: then msg must not be sent. It does not
// keep msg.
func (f *Framer) Sent(msg []byte) error {
	if f.dir == wire.InfoToServer {
		return nil
	}
	m, err := wire.Decode(msg, wire.IOToClient)
	if err != nil {
		return err
	}
	q := request{kind: m.Kind}
	switch m.Kind {
	case wire.KindIoCancelRequest:
		return nil // has no reply
	case wire.KindReadRequest:
		q.most = m.ReadRequest().CbBytesToRead
	case wire.KindIOControlRequest:
		q.most = m.IOControlRequest().CbOut
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, twice := f.requests[m.RequestID]; twice {
		return fmt.Errorf("%v with RequestId %d, which is outstanding", m.Kind, m.RequestID)
	}
	f.requests[m.RequestID] = q
	return nil
}

// Next returns the next message, which is valid until the next call. At the end of
// the stream its error is io.EOF, or io.ErrUnexpectedEOF within a message. Bytes that
// make no sense are an error, too, and nothing behind them is read. Each further call
// returns the same error.
//
// Memory grows with what has arrived, not with what is announced.
func (f *Framer) Next() ([]byte, error) {
	for f.err == nil {
		have := f.buf[f.start:f.end]
		n, err := f.length(have)
		if err != nil {
			f.err = err
			break
		}
		f.missing = n - min(n, uint64(len(have)))
		if n > 0 && f.missing == 0 {
			f.start += int(n)
			f.answered(have)
			return have[:n:n], nil
		}
		f.err = f.fill()
	}
	return nil, f.err
}

// Missing returns how many bytes of the message that has begun to arrive are still to come,
// or 0 if that is not known. It is for the Read of a Framer's reader.
func (f *Framer) Missing() uint64 { return f.missing }

// length returns the length of the message that b begins with, or 0.
func (f *Framer) length(b []byte) (uint64, error) {
	most := uint64(MaxInfo)
	n, err := wire.Length(b, f.dir, func(id wire.RequestID) wire.Kind {
		f.mu.Lock()
		defer f.mu.Unlock()
		q := f.requests[id] // KindUnknown if there is none
		most = wire.DataReplyHead + uint64(q.most) + wire.DataReplyTail
		return q.kind
	})
	if err != nil || n == 0 {
		return 0, err
	}
	if f.dir == wire.IOToServer && isEvent(b) {
		most = wire.CustomEventSize + MaxEvent
	}
	if n > most {
		return 0, fmt.Errorf("the client announces a message of %d bytes, at most %d are expected", n, most)
	}
	return n, nil
}

// isEvent reports whether b, a message on a FileRedirectorChannel with a sound
// header, is a custom event.
func isEvent(b []byte) bool { return wire.PacketType(b[3]) == wire.CUSTOM_EVENT_PACKET }

// answered forgets the request that msg answers, whose id may be used again as soon
// as msg is processed.
func (f *Framer) answered(msg []byte) {
	if f.dir == wire.InfoToServer || isEvent(msg) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.requests, wire.RequestID(uint32(msg[0])|uint32(msg[1])<<8|uint32(msg[2])<<16))
}

// fill reads more into the buffer.
func (f *Framer) fill() error {
	f.makeRoom()
	for range 100 {
		n, err := f.r.Read(f.buf[f.end:])
		f.end += n
		switch {
		case n > 0:
			return nil // an error comes again
		case errors.Is(err, io.EOF) && f.end > f.start:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func (f *Framer) makeRoom() {
	if f.start == f.end {
		f.start, f.end = 0, 0
		if len(f.buf) > keepBuffer {
			f.buf = nil
		}
	}
	switch {
	case f.end < len(f.buf):
	case f.start > 0:
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	default:
		buf := make([]byte, max(minBuffer, 2*len(f.buf)))
		copy(buf, f.buf)
		f.buf = buf
	}
}
