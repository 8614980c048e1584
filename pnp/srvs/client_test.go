// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// Types and flags of PDUs, as this client of the tests has them.
const (
	pduRequest, pduResponse, pduFault                      = 0, 2, 3
	pduBind, pduBindAck, pduBindNak, pduAlter, pduAlterRsp = 11, 12, 13, 14, 15
	pduAuth3, pduCancel, pduOrphaned                       = 16, 18, 19
	first, last, both                                      = 1, 2, 3
)

// Syntaxes as they are on the wire.
var (
	wireSRVS  = unhex("c84f324b 7016d301 12785a47 bf6ee188 03000000")
	wireNDR   = unhex("045d888a eb1cc911 9fe80800 2b104860 02000000")
	wireNDR64 = unhex("33057171 baBe3749 8319b5db ef9ccc36 01000000")
	wireZero  = make([]byte, 20)
)

// wireFeatures is bind time feature negotiation.
func wireFeatures(mask byte) []byte {
	b := unhex("2c1cb76c 12984045 00000000 00000000 01000000")
	b[8] = mask
	return b
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

func le16(v int) []byte    { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// A pdu is one as it came or as it is sent.
type pdu struct {
	kind, flags byte
	call        uint32
	body        []byte // behind the header
	raw         []byte
}

// makePDU returns a little-endian PDU.
func makePDU(kind, flags byte, call uint32, body ...[]byte) []byte {
	b := slices.Concat([]byte{5, 0, kind, flags, 0x10, 0, 0, 0, 0, 0, 0, 0}, le32(call))
	b = append(b, slices.Concat(body...)...)
	binary.LittleEndian.PutUint16(b[8:], uint16(len(b)))
	return b
}

// A proposal of a presentation context.
type proposed struct {
	id       int
	abstract []byte
	transfer [][]byte
}

func bindBody(frag int, group uint32, contexts ...proposed) []byte {
	b := slices.Concat(le16(frag), le16(frag), le32(group), []byte{byte(len(contexts)), 0, 0, 0})
	for _, c := range contexts {
		b = slices.Concat(b, le16(c.id), []byte{byte(len(c.transfer)), 0}, c.abstract, slices.Concat(c.transfer...))
	}
	return b
}

// plain is what an old client proposes.
var plain = proposed{0, wireSRVS, [][]byte{wireNDR}}

func makeRequest(flags byte, call uint32, context, opnum int, stub []byte) []byte {
	return makePDU(pduRequest, flags, call, le32(uint32(len(stub))), le16(context), le16(opnum), stub)
}

// A client talks to a Server.
type client struct {
	t      testing.TB
	conn   net.Conn
	ended  chan error
	result error
	done   bool
	calls  uint32
}

// dial starts to serve a connection, as the handle asker.
func dial(t testing.TB, s *Server) *client {
	conn, other := net.Pipe()
	c := &client{t: t, conn: conn, ended: make(chan error, 1), calls: 1}
	go func() { c.ended <- s.Serve(context.Background(), other, asker) }()
	t.Cleanup(func() {
		conn.Close()
		c.wait()
	})
	return c
}

// connect is dial and a bind.
func connect(t testing.TB, s *Server) *client {
	c := dial(t, s)
	c.send(makePDU(pduBind, both, 1, bindBody(4280, 0, plain)))
	require.EqualValues(t, pduBindAck, c.recv().kind)
	return c
}

// wait returns what Serve returned.
func (c *client) wait() error {
	if !c.done {
		c.done, c.result = true, <-c.ended
	}
	return c.result
}

func (c *client) send(parts ...[]byte) {
	c.t.Helper()
	_, err := c.conn.Write(slices.Concat(parts...))
	require.NoError(c.t, err)
}

// recv returns the next PDU, whose header it checks.
func (c *client) recv() pdu {
	c.t.Helper()
	raw := make([]byte, 16)
	_, err := io.ReadFull(c.conn, raw)
	require.NoError(c.t, err, "the header of an answer")
	require.Equal(c.t, unhex("05 00"), raw[:2], "version")
	require.Equal(c.t, unhex("10 00 00 00"), raw[4:8], "data representation")
	require.Zero(c.t, binary.LittleEndian.Uint16(raw[10:]), "auth_length")
	raw = append(raw, make([]byte, binary.LittleEndian.Uint16(raw[8:])-16)...)
	_, err = io.ReadFull(c.conn, raw[16:])
	require.NoError(c.t, err, "the body of an answer")
	return pdu{raw[2], raw[3], binary.LittleEndian.Uint32(raw[12:]), raw[16:], raw}
}

// closed fails unless the Server has ended the connection.
func (c *client) closed() {
	c.t.Helper()
	n, err := c.conn.Read(make([]byte, 1))
	require.Zero(c.t, n)
	require.ErrorIs(c.t, err, io.EOF)
}

// fault fails unless the next PDU is a fault.
func (c *client) fault(status uint32, call uint32, context int, flags byte) {
	c.t.Helper()
	p := c.recv()
	require.EqualValues(c.t, pduFault, p.kind, "type")
	assert.Equal(c.t, status, binary.LittleEndian.Uint32(p.body[8:]), "status")
	assert.Equal(c.t, call, p.call, "call_id")
	assert.EqualValues(c.t, context, binary.LittleEndian.Uint16(p.body[4:]), "context")
	assert.Equal(c.t, flags|both, p.flags, "flags")
}

// nak fails unless the next PDU is a bind_nak and the last one.
func (c *client) nak(reason uint16, call uint32) {
	c.t.Helper()
	p := c.recv()
	require.EqualValues(c.t, pduBindNak, p.kind, "type")
	assert.Equal(c.t, reason, binary.LittleEndian.Uint16(p.body), "reason")
	assert.Equal(c.t, call, p.call, "call_id")
	c.closed()
}

// answer returns the stub of a response with all its fragments, or the status of
// a fault.
func (c *client) answer() (stub []byte, fault uint32) {
	c.t.Helper()
	for {
		p := c.recv()
		if p.kind == pduFault {
			return nil, binary.LittleEndian.Uint32(p.body[8:])
		}
		require.EqualValues(c.t, pduResponse, p.kind)
		stub = append(stub, p.body[8:]...)
		if p.flags&last != 0 {
			return stub, 0
		}
	}
}

// raw calls a method with a stub that may need several fragments.
func (c *client) raw(opnum int, stub []byte) ([]byte, uint32) {
	c.t.Helper()
	c.calls++
	const part = 4000
	flags := byte(first)
	for len(stub) > part {
		c.send(makeRequest(flags, c.calls, 0, opnum, stub[:part]))
		stub, flags = stub[part:], 0
	}
	c.send(makeRequest(flags|last, c.calls, 0, opnum, stub))
	return c.answer()
}

// opnumOf returns the method that p are the parameters of.
func opnumOf(t testing.TB, p params) int {
	for opnum, m := range methods {
		if m.new != nil && reflect.TypeOf(m.new()) == reflect.TypeOf(p) {
			return opnum
		}
	}
	require.FailNow(t, "no method", "%T", p)
	return 0
}

// encodeIn returns the stub of a request.
func encodeIn(t testing.TB, p params) []byte {
	t.Helper()
	c := ndr.NewEncoder()
	p.in(c)
	require.NoError(t, c.Err())
	return c.Stub()
}

// decodeOut decodes the stub of a response to the last byte.
func decodeOut(t testing.TB, p params, stub []byte) (code uint32) {
	t.Helper()
	c := ndr.NewDecoder(stub, binary.LittleEndian)
	p.out(c)
	c.Uint32(&code)
	require.NoError(t, c.Err(), "% x", stub)
	require.Zero(t, c.Rest(), "bytes behind the return value")
	return code
}

// call calls a method. p gets what the Server returns, which leaves alone what
// only the request has.
func (c *client) call(p params) uint32 {
	c.t.Helper()
	stub, fault := c.raw(opnumOf(c.t, p), encodeIn(c.t, p))
	require.Zero(c.t, fault, "%T: fault %#x", p, fault)
	return decodeOut(c.t, p, stub)
}

// expect fails unless the method returns code.
func (c *client) expect(code uint32, p params) {
	c.t.Helper()
	got := c.call(p)
	assert.Equal(c.t, code, got, "%T returns %#x", p, got)
}

// A world is a Server, its Source and a client.
type world struct {
	*client
	server *Server
	source *fakeSource
}

func newWorld(t testing.TB) world { return newWorldWith(t, nil) }

func newWorldWith(t testing.TB, change func(*Config, *fakeSource)) world {
	s, source := newTestServer(t, change)
	return world{connect(t, s), s, source}
}

// ptr returns a pointer to v.
func ptr[T any](v T) *T { return &v }

// chars returns a text of n characters.
func chars(n int) text { return str(strings.Repeat("x", n)) }
