// SPDX-License-Identifier: Apache-2.0

// Package ptp speaks the Picture Transfer Protocol (ISO 15740) with a redirected camera
// or media player, as far as fetching, sending and deleting files goes. MTP is the same
// protocol with more operations, of which a few are used where a device has them.
//
// The device is a pipe of bytes: a command, data in one direction, a response. A Session
// does one such transaction at a time. What the device sends is checked before it is used.
package ptp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// Pipe is the device: present.Handle is one. A read returns at most one transfer.
type Pipe interface {
	// Start begins a read or write; see server.Handle.Start.
	Start(r server.Request) (cancel func(), err error)
	// MaxWrite is how many bytes one write can carry as one transfer.
	MaxWrite() int
}

// The operations that are used. Those from 0x9000 are MTP's or Android's.
const (
	opGetDeviceInfo      = 0x1001
	opOpenSession        = 0x1002
	opCloseSession       = 0x1003
	opGetStorageIDs      = 0x1004
	opGetStorageInfo     = 0x1005
	opGetObjectHandles   = 0x1007
	opGetObjectInfo      = 0x1008
	opGetObject          = 0x1009
	opDeleteObject       = 0x100B
	opSendObjectInfo     = 0x100C
	opSendObject         = 0x100D
	opGetPartialObject   = 0x101B
	opGetObjectPropDesc  = 0x9802
	opGetObjectPropValue = 0x9803
	opSetObjectPropValue = 0x9804
	opGetPartialObject64 = 0x95C1
)

// Kinds of containers.
const (
	kindCommand = iota + 1
	kindData
	kindResponse
)

const (
	headerSize = 12

	// MaxDataset is how long the answer to a question may be, in bytes.
	MaxDataset = 4 << 20
	// chunk is how much one read of the pipe asks for, a multiple of every packet. What
	// one has brought is on its way while the device goes on with the next.
	chunk = 128 << 10
	// depth is how many reads are under way while a device sends data, so that it does
	// not wait for the client.
	depth = 16
	// longest is how much one read or write of the pipe moves where only one is under way.
	longest = 1 << 20
)

// Response is a response that says that an operation has failed.
type Response uint16

// The responses that somebody looks at.
const (
	OK                    Response = 0x2001
	OperationNotSupported Response = 0x2005
	InvalidObjectHandle   Response = 0x2009
	StoreFull             Response = 0x200C
	WriteProtected        Response = 0x200D
	StoreReadOnly         Response = 0x200E
	AccessDenied          Response = 0x200F
	DeviceBusy            Response = 0x2019
	sessionAlreadyOpen    Response = 0x201E
)

func (r Response) Error() string { return fmt.Sprintf("the device responds 0x%04X", uint16(r)) }

// ErrProtocol says that the device broke the protocol. The session cannot go on.
var ErrProtocol = errors.New("the device does not keep to PTP")

// ErrBroken is returned by a session that a transaction has left in an unknown state.
var ErrBroken = errors.New("the session with the device is broken")

var le = binary.LittleEndian

// Session is a session with a device. Its methods may be called from any goroutine; each
// waits for the others.
type Session struct {
	pipe   Pipe
	answer time.Duration // how long the device may take for each read and write
	turn   chan struct{} // holds a value while nobody has the pipe
	id     uint32
	rest   []byte // of the pipe, that was read and not used
	free   [][]byte
	reads  []request       // that were begun, oldest first
	over   context.Context // ends a transaction that nobody wants any more
	broken atomic.Bool
	has    map[uint16]bool // operations

	// Model is what the device calls itself.
	Model string
}

// Open opens a session. It owns the pipe until Close. answer is how long the device may
// take for each transfer; after that the session is broken.
func Open(ctx context.Context, pipe Pipe, answer time.Duration) (*Session, error) {
	s := &Session{pipe: pipe, answer: answer, turn: make(chan struct{}, 1), has: make(map[uint16]bool)}
	s.turn <- struct{}{}
	_, err := s.ask(ctx, opOpenSession, 1)
	if errors.Is(err, sessionAlreadyOpen) { // by one that was not closed
		err = nil
	}
	if err == nil {
		// It could be asked before, but not every device answers then.
		var data []byte
		if data, err = s.ask(ctx, opGetDeviceInfo); err == nil {
			err = s.deviceInfo(data)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening a PTP session: %w", err)
	}
	return s, nil
}

// Close ends the session. It does not close the pipe.
func (s *Session) Close(ctx context.Context) error {
	_, err := s.ask(ctx, opCloseSession)
	return err
}

// Broken reports whether the session cannot go on.
func (s *Session) Broken() bool { return s.broken.Load() }

// partial returns the operation that reads a part of an object; 0 if there is none.
func (s *Session) partial() uint16 {
	for _, code := range []uint16{opGetPartialObject64, opGetPartialObject} {
		if s.has[code] {
			return code
		}
	}
	return 0
}

// exchange is one transaction.
type exchange struct {
	code       uint16
	parameters []uint32
	send       io.Reader // data for the device, of this length
	size       uint64
	receive    io.Writer // takes the device's data
	most       uint64    // bytes of it
}

// ask does a transaction whose data is an answer.
func (s *Session) ask(ctx context.Context, code uint16, parameters ...uint32) ([]byte, error) {
	var data sink
	_, err := s.do(ctx, exchange{code: code, parameters: parameters, receive: &data, most: MaxDataset})
	return data, err
}

type sink []byte

func (s *sink) Write(p []byte) (int, error) { *s = append(*s, p...); return len(p), nil }

// do does a transaction. ctx bounds how long it waits for its turn; once begun, it goes on
// to its end, or else nobody could tell what the device sends next. But if ctx has ended and
// the device still sends after the time for an answer, the session is broken.
func (s *Session) do(ctx context.Context, x exchange) (results []uint32, err error) {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.broken.Load() {
		return nil, ErrBroken
	}
	over, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.answer, cancel) })()
	s.over = over
	response, results, err := s.transact(x)
	switch {
	case err != nil:
		s.broken.Store(true)
		return nil, fmt.Errorf("operation 0x%04X: %w", x.code, err)
	case response != OK:
		return nil, fmt.Errorf("operation 0x%04X: %w", x.code, response)
	}
	return results, nil
}

func (s *Session) transact(x exchange) (response Response, results []uint32, err error) {
	command := header(uint32(headerSize+4*len(x.parameters)), kindCommand, x.code, s.id)
	for _, p := range x.parameters {
		command = le.AppendUint32(command, p)
	}
	id := s.id
	s.id++
	sent, err := s.start(server.Request{Op: pnp.OpWrite, In: command})
	if err == nil && x.send == nil {
		err = s.begin(chunk) // it need not wait until the device has the command
	}
	if err == nil {
		err = s.written(sent, len(command))
	}
	if err != nil {
		return 0, nil, err
	}
	if x.send != nil {
		if err := s.sendData(x, id); err != nil {
			return 0, nil, err
		}
	}
	for {
		h, err := s.header()
		if err != nil {
			return 0, nil, err
		}
		switch {
		case h.kind == kindData && x.receive != nil:
			if err := s.receiveData(h, &x); err != nil {
				return 0, nil, err
			}
			x.receive = nil
		case h.kind == kindResponse && h.length <= headerSize+4*5 && h.length%4 == 0:
			body, err := s.take(int(h.length) - headerSize)
			if err != nil {
				return 0, nil, err
			}
			for ; len(body) >= 4; body = body[4:] {
				results = append(results, le.Uint32(body))
			}
			if len(s.rest) > 0 {
				return 0, nil, fmt.Errorf("%w: %d bytes behind a response", ErrProtocol, len(s.rest))
			}
			return Response(h.code), results, nil
		default:
			return 0, nil, fmt.Errorf("%w: a container of kind %d and %d bytes", ErrProtocol, h.kind, h.length)
		}
	}
}

func header(length uint32, kind, code uint16, id uint32) []byte {
	b := le.AppendUint32(make([]byte, 0, 64), length)
	b = le.AppendUint16(b, kind)
	b = le.AppendUint16(b, code)
	return le.AppendUint32(b, id)
}

// container is what a container's header says.
type container struct {
	length     uint32 // with the header; 0xFFFFFFFF if that is not enough to say
	kind, code uint16
}

func (s *Session) header() (c container, err error) {
	b, err := s.take(headerSize)
	if err != nil {
		return c, err
	}
	c = container{le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:])}
	if c.length < headerSize {
		return c, fmt.Errorf("%w: a container of %d bytes", ErrProtocol, c.length)
	}
	return c, nil
}
