// SPDX-License-Identifier: Apache-2.0

package dcerpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers opnum 0 with the stub of the request, and faults with others.
var echo = &Interface{
	Syntax:   Syntax{UUID: pnp.MustGUID("01020304-0506-0708-090a-0b0c0d0e0f10"), Major: 1},
	Endpoint: `\PIPE\echo`,
	Operations: []Operation{
		func(c *Call) ([]byte, error) { return c.Stub, nil },
		nil,
		func(c *Call) ([]byte, error) { return nil, Fault(0x1234) },
		func(c *Call) ([]byte, error) { return nil, ndr.ErrBadStub },
		func(c *Call) ([]byte, error) { panic("a bug") },
		func(c *Call) ([]byte, error) { return nil, errors.New("a bug") },
		func(c *Call) ([]byte, error) { return []byte{byte(c.Caller.(int))}, c.Verify(4) },
	},
}

// bindPDU proposes each abstract syntax as a context of its index.
func bindPDU(ptype uint8, maxFrag uint16, abstracts ...Syntax) []byte {
	b := appendHeader(nil, ptype, flagFirst|flagLast, 1)
	b = binary.LittleEndian.AppendUint16(b, maxFrag)
	b = binary.LittleEndian.AppendUint16(b, maxFrag)
	b = append(b, 0, 0, 0, 0, uint8(len(abstracts)), 0, 0, 0)
	for i, abstract := range abstracts {
		c := ndr.NewEncoder()
		codeSyntax(c, &abstract)
		transfer := NDR
		codeSyntax(c, &transfer)
		b = append(b, byte(i), byte(i>>8), 1, 0)
		b = append(b, c.Stub()...)
	}
	return finish(b)
}

func requestPDU(flags uint8, callID uint32, context, opnum uint16, stub []byte) []byte {
	b := appendHeader(nil, ptypeRequest, flags, callID)
	b = append(b, 0, 0, 0, 0, byte(context), byte(context>>8), byte(opnum), byte(opnum>>8))
	return finish(append(b, stub...))
}

const whole = flagFirst | flagLast

// serve starts a Server of echo and returns its peer. The test ends with the
// Server's error in the channel.
func serve(t testing.TB, s *Server, caller any) (net.Conn, <-chan error) {
	peer, conn := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), conn, caller) }()
	t.Cleanup(func() { peer.Close() })
	return peer, done
}

// readPDU returns the next PDU.
func readPDU(t testing.TB, peer io.Reader) (header, []byte) {
	var b [headerSize]byte
	_, err := io.ReadFull(peer, b[:])
	require.NoError(t, err)
	h := parseHeader(b[:])
	body := make([]byte, h.fragLength-headerSize)
	_, err = io.ReadFull(peer, body)
	require.NoError(t, err)
	return h, body
}

func write(t testing.TB, peer io.Writer, pdu []byte) {
	_, err := peer.Write(pdu)
	require.NoError(t, err)
}

func newServer() *Server { return NewServer(echo, slog.New(slog.NewTextHandler(io.Discard, nil))) }

func TestCalls(t *testing.T) {
	peer, done := serve(t, newServer(), 7)
	write(t, peer, bindPDU(ptypeBind, 0xFFFF, echo.Syntax))
	h, _ := readPDU(t, peer)
	require.EqualValues(t, ptypeBindAck, h.ptype)

	// A request in three fragments and a response in as many.
	stub := make([]byte, 2*maxFrag)
	for i := range stub {
		stub[i] = byte(i >> 3)
	}
	const part = 4000
	write(t, peer, requestPDU(flagFirst, 2, 0, 0, stub[:part]))
	write(t, peer, requestPDU(0, 2, 0, 0, stub[part:2*part]))
	write(t, peer, requestPDU(flagLast, 2, 0, 0, stub[2*part:]))
	var got []byte
	for _, flags := range []uint8{flagFirst, 0, flagLast} {
		h, body := readPDU(t, peer)
		require.EqualValues(t, ptypeResponse, h.ptype)
		require.Equal(t, flags, h.flags)
		require.LessOrEqual(t, h.fragLength, uint16(maxFrag))
		require.EqualValues(t, len(stub)-len(got), binary.LittleEndian.Uint32(body), "alloc_hint")
		got = append(got, body[8:]...)
	}
	assert.Equal(t, stub, got)

	for opnum, want := range []uint32{1: StatusOpRange, 2: 0x1234, 3: StatusBadStubData, 4: StatusCallFailed,
		5: StatusCallFailed, 7: StatusOpRange} {
		if want == 0 {
			continue
		}
		write(t, peer, requestPDU(whole, 3, 0, uint16(opnum), nil))
		h, body := readPDU(t, peer)
		assert.EqualValues(t, ptypeFault, h.ptype)
		assert.Equal(t, want, binary.LittleEndian.Uint32(body[8:]), "opnum %d", opnum)
		assert.Equal(t, want == StatusOpRange, h.flags&flagDidNotExecute != 0, "opnum %d", opnum)
	}

	write(t, peer, requestPDU(whole, 3, 0, 6, make([]byte, 4)))
	_, body := readPDU(t, peer)
	assert.EqualValues(t, []byte{7}, body[8:], "the caller")

	// An empty response is one fragment.
	write(t, peer, requestPDU(whole, 3, 0, 0, nil))
	h, body = readPDU(t, peer)
	assert.EqualValues(t, whole, h.flags)
	assert.Len(t, body, 8)

	require.NoError(t, peer.Close())
	assert.NoError(t, <-done)
}

func TestVerificationTrailer(t *testing.T) {
	s := newServer()
	peer, _ := serve(t, s, 7)
	write(t, peer, bindPDU(ptypeBind, 0xFFFF, echo.Syntax))
	readPDU(t, peer)
	c := ndr.NewEncoder()
	abstract, transfer := echo.Syntax, NDR
	codeSyntax(c, &abstract)
	codeSyntax(c, &transfer)
	pcontext := c.Stub()
	header2 := []byte{0, 9, 9, 9, 0x10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 6, 0}
	command := func(kind uint16, value []byte) []byte {
		b := binary.LittleEndian.AppendUint16(nil, kind)
		return append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
	}
	changed := func(value []byte, at int) []byte {
		value = slices.Clone(value)
		value[at] ^= 0x80
		return value
	}
	type test struct {
		name string
		body []byte
		ok   bool
	}
	tests := []test{
		{"all", slices.Concat(command(vtBitmask, []byte{2, 0, 0, 0}), command(vtPContext, pcontext), command(vtHeader2|vtEnd, header2)), true},
		{"unknown", slices.Concat(command(9, []byte{1, 2, 3, 4}), command(10|vtEnd, nil)), true},
		{"unknown that has to be processed", command(9|vtMustProcess|vtEnd, nil), false},
		{"behind the end", slices.Concat(command(9|vtEnd, nil), command(9|vtMustProcess, nil)), true},
		{"header signing, not offered", command(vtBitmask|vtEnd, []byte{1, 0, 0, 0}), false},
		{"long bitmask", command(vtBitmask|vtEnd, make([]byte, 8)), false},
		{"no end", command(9, nil), false},
		{"cut", command(vtPContext|vtEnd, pcontext)[:20], false},
		{"short pcontext", command(vtPContext|vtEnd, pcontext[:36]), false},
		{"short header2", command(vtHeader2|vtEnd, header2[:12]), false},
	}
	for _, at := range []int{0, 16, 20, 36} {
		tests = append(tests, test{"pcontext", command(vtPContext|vtEnd, changed(pcontext, at)), false})
	}
	for _, at := range []int{0, 4, 8, 12, 14} {
		tests = append(tests, test{"header2", command(vtHeader2|vtEnd, changed(header2, at)), false})
	}
	for _, at := range []int{4, 12} { // the operation's parameters end at 4
		for _, test := range tests {
			stub := slices.Concat(make([]byte, at), TrailerSignature, test.body)
			write(t, peer, requestPDU(whole, 2, 0, 6, stub))
			h, body := readPDU(t, peer)
			if test.ok {
				assert.EqualValues(t, ptypeResponse, h.ptype, test.name)
				continue
			}
			if assert.EqualValues(t, ptypeFault, h.ptype, test.name) {
				assert.EqualValues(t, StatusAccessDenied, binary.LittleEndian.Uint32(body[8:]), test.name)
			}
		}
	}
}

// TestContextLimit tests what a bind gets beyond the limit, which no bind can reach
// as it is.
func TestContextLimit(t *testing.T) {
	for _, limit := range []int{0, 1} {
		s := newServer()
		s.maxContexts = limit
		peer, done := serve(t, s, nil)
		write(t, peer, bindPDU(ptypeBind, 0xFFFF, echo.Syntax))
		h, body := readPDU(t, peer)
		if limit == 1 {
			assert.EqualValues(t, ptypeBindAck, h.ptype)
			continue
		}
		assert.EqualValues(t, ptypeBindNak, h.ptype)
		assert.EqualValues(t, nakLocalLimit, binary.LittleEndian.Uint16(body))
		assert.ErrorIs(t, <-done, ErrProtocol)
	}
}

// TestStubLimit tests what the requests of several connections may take together.
func TestStubLimit(t *testing.T) {
	s := newServer()
	part := make([]byte, 4096)
	// collect sends a request of n parts but for its end.
	collect := func(n int) net.Conn {
		peer, _ := serve(t, s, 7)
		write(t, peer, bindPDU(ptypeBind, 0xFFFF, echo.Syntax))
		readPDU(t, peer)
		for i := range n {
			flags := uint8(0)
			if i == 0 {
				flags = flagFirst
			}
			write(t, peer, requestPDU(flags, 2, 0, 5, part))
		}
		return peer
	}
	// end sends the last part and returns the status of the fault that answers it.
	end := func(peer net.Conn, flags uint8) uint32 {
		write(t, peer, requestPDU(flags|flagLast, 2, 0, 5, part))
		_, body := readPDU(t, peer)
		return binary.LittleEndian.Uint32(body[8:])
	}
	held := func(want int64) {
		t.Helper()
		require.Eventually(t, func() bool { return s.held.Load() == want }, time.Minute, time.Millisecond)
	}
	const most = maxStub / 4096
	var peers []net.Conn
	for range maxStubs / maxStub {
		peers = append(peers, collect(most))
	}
	held(maxStubs)
	require.EqualValues(t, StatusAccessDenied, end(collect(0), flagFirst))
	held(maxStubs)

	// What ends gives back what it took: an orphaned call, a call, a connection.
	write(t, peers[0], finish(appendHeader(nil, ptypeOrphaned, flagFirst|flagLast, 2)))
	held(maxStubs - maxStub)
	require.EqualValues(t, StatusCallFailed, end(collect(most-1), 0))
	held(maxStubs - maxStub)
	require.EqualValues(t, StatusAccessDenied, end(peers[1], 0), "more than 4 MiB")
	held(maxStubs - 2*maxStub)
	for _, peer := range peers {
		peer.Close()
	}
	held(0)
}

// TestCancel tests that the end of the context ends a connection that waits.
func TestCancel(t *testing.T) {
	for _, writing := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		peer, conn := net.Pipe()
		done := make(chan error, 1)
		s := newServer()
		go func() { done <- s.Serve(ctx, conn, nil) }()
		write(t, peer, bindPDU(ptypeBind, 0xFFFF, echo.Syntax))
		if !writing {
			readPDU(t, peer)
		}
		cancel()
		assert.NoError(t, <-done)
		_, err := peer.Read(make([]byte, 1))
		assert.Error(t, err)
		s.mu.Lock()
		assert.Empty(t, s.groups)
		s.mu.Unlock()
	}
}

// TestCutStreams tests the end of the stream at each of its bytes.
func TestCutStreams(t *testing.T) {
	stream := slices.Concat(bindPDU(ptypeBind, 0xFFFF, echo.Syntax), requestPDU(whole, 2, 0, 0, make([]byte, 9)))
	s := newServer()
	for n := range len(stream) + 1 {
		conn := &recorder{in: stream[:n]}
		err := s.Serve(context.Background(), conn, nil)
		switch n {
		case 0, len(bindPDU(ptypeBind, 0, echo.Syntax)), len(stream):
			assert.NoError(t, err)
		default:
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
		assert.True(t, conn.closed)
	}
}

// A recorder is a connection whose peer has sent all it will.
type recorder struct {
	in     []byte
	out    [][]byte
	closed bool
}

func (r *recorder) Read(p []byte) (int, error) {
	if len(r.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.in)
	r.in = r.in[n:]
	return n, nil
}

func (r *recorder) Write(p []byte) (int, error) {
	r.out = append(r.out, slices.Clone(p))
	return len(p), nil
}

func (r *recorder) Close() error {
	r.closed = true
	return nil
}

// FuzzConversation tests that whatever comes is answered by well-formed PDUs.
func FuzzConversation(f *testing.F) {
	s := newServer()
	bound := bindPDU(ptypeBind, 0xFFFF, echo.Syntax)
	f.Add(bound)
	f.Add(slices.Concat(bound, requestPDU(whole, 2, 0, 0, []byte{1, 2, 3}), requestPDU(whole, 3, 0, 6, make([]byte, 4))))
	f.Add(slices.Concat(bound, requestPDU(flagFirst, 2, 0, 0, []byte{1}), requestPDU(0, 2, 0, 0, nil), requestPDU(flagLast, 2, 0, 0, nil)))
	f.Add(slices.Concat(bound, bindPDU(ptypeAlterContext, 0, echo.Syntax), requestPDU(flagFirst, 2, 0, 0, nil), finish(appendHeader(nil, ptypeOrphaned, 0, 2))))
	f.Fuzz(func(t *testing.T, stream []byte) {
		conn := &recorder{in: stream}
		s.Serve(context.Background(), conn, 7)
		if !conn.closed {
			t.Fatal("the connection is not closed")
		}
		for _, pdu := range conn.out {
			if len(pdu) < headerSize {
				t.Fatalf("% x", pdu)
			}
			h := parseHeader(pdu)
			if int(h.fragLength) != len(pdu) || h.authLength != 0 || h.major != 5 || h.order() != binary.ByteOrder(binary.LittleEndian) {
				t.Fatalf("% x", pdu)
			}
			if h.ptype == ptypeResponse && len(pdu) > maxFrag {
				t.Fatalf("%d bytes", len(pdu))
			}
		}
		if len(s.groups) != 0 {
			t.Fatal("association groups are left")
		}
	})
}
