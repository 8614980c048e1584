// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/srvs/dcerpc"
)

// opTOD is a method whose request is just a server name, here a null pointer.
const opTOD = 28

var noName = le32(0)

// fresh returns a client that has not bound.
func fresh(t *testing.T) *client {
	s, _ := newTestServer(t, nil)
	return dial(t, s)
}

// bound returns a client that has.
func bound(t *testing.T) *client {
	s, _ := newTestServer(t, nil)
	return connect(t, s)
}

// alive fails unless the connection still answers calls.
func (c *client) alive() {
	c.t.Helper()
	stub, fault := c.raw(opTOD, noName)
	require.Zero(c.t, fault)
	require.Len(c.t, stub, 4+48+4)
}

func init() {
	rule("RP-04", "StreamIsCutByLength", func(t *testing.T) {
		stream := slices.Concat(makePDU(pduBind, both, 1, bindBody(4280, 0, plain)),
			makeRequest(both, 2, 0, opTOD, noName), makeRequest(both, 3, 0, opTOD, noName))
		for _, size := range []int{len(stream), 1, 7, 16, 17} {
			c := fresh(t)
			go func() {
				for rest := stream; len(rest) > 0; {
					n := min(size, len(rest))
					c.conn.Write(rest[:n])
					rest = rest[n:]
				}
			}()
			assert.EqualValues(t, pduBindAck, c.recv().kind)
			for call := range 2 {
				p := c.recv()
				assert.EqualValues(t, pduResponse, p.kind)
				assert.EqualValues(t, 2+call, p.call)
			}
		}
	})
	rule("RP-14", "Header", func(t *testing.T) {
		c := bound(t) // recv checks the header of what comes
		c.send(makeRequest(both, 0x01020304, 0, opTOD, noName))
		p := c.recv()
		assert.EqualValues(t, 0x01020304, p.call)
		assert.EqualValues(t, len(p.raw), 24+56)
	})
	rule("RP-15", "Version", func(t *testing.T) {
		for _, at := range []int{0, 1} {
			c := fresh(t)
			bind := makePDU(pduBind, both, 7, bindBody(4280, 0, plain))
			bind[at]++
			go c.conn.Write(bind)
			p := c.recv()
			assert.EqualValues(t, pduBindNak, p.kind)
			assert.Equal(t, unhex("0400 01 05 00 000000"), p.body)
			assert.EqualValues(t, 7, p.call)
			c.closed()

			c = bound(t)
			request := makeRequest(both, 7, 0, opTOD, noName)
			request[at]++
			go c.conn.Write(request)
			c.fault(dcerpc.StatusProtocolError, 7, 0, 0)
			c.closed()
		}
	})
	rule("RP-16", "ByteOrders", func(t *testing.T) {
		c := bound(t)
		little := encodeIn(t, &netrShareGetInfo{netName: str("home"), level: 1})
		want, fault := c.raw(16, little)
		require.Zero(t, fault)
		big := unhex(`00000000 00000005 00000000 00000005 0068 006f 006d 0065 0000 0000 00000001`)
		for _, drep := range []byte{0x00, 0x01, 0x0F} {
			request := slices.Concat([]byte{5, 0, 0, 3, drep, 9, 9, 9}, []byte{0, byte(24 + len(big)), 0, 0}, []byte{0, 0, 0, 9},
				unhex("00000000 0000 0010"), big)
			c.send(request)
			p := c.recv() // which checks that it is little-endian
			assert.EqualValues(t, 9, p.call)
			assert.Equal(t, want, p.body[8:])
		}
		// A bind in one order binds no request to it, nor a request the next.
		request := makeRequest(both, 10, 0, 16, little)
		request[4] = 0x1F
		c.send(request)
		assert.Equal(t, want, c.recv().body[8:])
	})
	rule("RP-17", "Lengths", func(t *testing.T) {
		short := func(kind, flags byte, length, auth int) []byte {
			b := makePDU(kind, flags, 7, make([]byte, 48))
			binary.LittleEndian.PutUint16(b[8:], uint16(length))
			binary.LittleEndian.PutUint16(b[10:], uint16(auth))
			return b
		}
		for _, b := range [][]byte{
			short(pduRequest, both, 0, 0), short(pduRequest, both, 15, 0), short(pduRequest, both, 23, 0),
			short(pduRequest, both|0x80, 39, 0), short(pduRequest, both, 40, 9), short(pduRequest, both, 31, 1),
			short(pduAlter, both, 27, 0), short(pduCancel, both, 15, 0), short(pduCancel, both, 16, 1),
		} {
			c := bound(t)
			go c.conn.Write(b)
			c.fault(dcerpc.StatusProtocolError, 7, 0, 0)
			c.closed()
			assert.ErrorIs(t, c.wait(), dcerpc.ErrProtocol)
		}
		c := fresh(t)
		go c.conn.Write(short(pduBind, both, 27, 0))
		c.nak(0, 7)
	})
	rule("RP-18 RP-19", "Types", func(t *testing.T) {
		for kind := range 256 {
			c := bound(t)
			switch kind {
			case pduRequest, pduAlter, pduBind:
				continue // which other tests send
			case pduAuth3, pduCancel, pduOrphaned:
				c.send(makePDU(byte(kind), both, 7, make([]byte, 4)))
				c.alive()
			default:
				go c.conn.Write(makePDU(byte(kind), both, 7, make([]byte, 48)))
				c.fault(dcerpc.StatusProtocolError, 7, 0, 0)
				c.closed()
			}
		}
	})
	rule("RP-20", "CallID", func(t *testing.T) {
		c := fresh(t)
		c.send(makePDU(pduBind, both, 0xFFFFFFFF, bindBody(4280, 0, plain)))
		assert.EqualValues(t, uint32(0xFFFFFFFF), c.recv().call)
		c.send(makeRequest(both, 17, 0, opTOD, noName))
		assert.EqualValues(t, 17, c.recv().call)
		c.send(makeRequest(both, 18, 0, 99, noName))
		assert.EqualValues(t, 18, c.recv().call)
		c.send(makePDU(pduAlter, both, 19, bindBody(0, 0, plain)))
		assert.EqualValues(t, 19, c.recv().call)
		c = fresh(t)
		c.send(makePDU(pduBind, both, 20, bindBody(4280, 99, plain)))
		assert.EqualValues(t, 20, c.recv().call)
	})
	rule("RP-21", "AnyCallID", func(t *testing.T) {
		c := bound(t)
		for _, call := range []uint32{9, 9, 3, 1, 0, 0xFFFFFFFF} {
			c.send(makeRequest(both, call, 0, opTOD, noName))
			assert.EqualValues(t, pduResponse, c.recv().kind)
		}
	})
	rule("RP-22", "BindFirst", func(t *testing.T) {
		for _, b := range [][]byte{
			makeRequest(both, 7, 0, opTOD, noName),
			makePDU(pduAlter, both, 7, bindBody(4280, 0, plain)),
			makePDU(pduAuth3, both, 7, make([]byte, 4)),
			makePDU(pduCancel, both, 7), makePDU(pduOrphaned, both, 7), makePDU(pduResponse, both, 7, make([]byte, 8)),
		} {
			c := fresh(t)
			go c.conn.Write(b)
			c.fault(dcerpc.StatusProtocolError, 7, 0, 0)
			c.closed()
		}
	})
	rule("RP-86", "EveryResponseDecodes", func(t *testing.T) {
		w := newWorld(t)
		for opnum, m := range methods {
			if m.new == nil {
				continue
			}
			p := m.new()
			stub, fault := w.raw(opnum, encodeIn(t, p))
			if assert.Zero(t, fault, m.name) {
				decodeOut(t, p, stub) // which fails if anything is missing or left
			}
		}
	})
}
