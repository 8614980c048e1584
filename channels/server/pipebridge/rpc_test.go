// SPDX-License-Identifier: Apache-2.0

package pipebridge_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/srvsvc"
	"freerdp-pnpdr/pnp/srvs"
)

// counting is a handle that notes what it is asked for, in order: transceive, read or
// write. It can refuse to transceive.
type counting struct {
	pipebridge.Handle
	refusal error

	mu    *sync.Mutex
	asked *[]string
}

func (h counting) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*h.asked = append(*h.asked, what)
}

func (h counting) Start(r server.Request) (func(), error) {
	if r.Op != pnp.OpIOControl {
		h.note("read")
		return h.Handle.Start(r)
	}
	h.note("transceive")
	if h.refusal != nil {
		r.Done(0, h.refusal)
		return func() {}, nil
	}
	return h.Handle.Start(r)
}

func (h counting) WriteAt(ctx context.Context, p []byte, off uint64) (int, error) {
	h.note("write")
	return h.Handle.WriteAt(ctx, p, off)
}

// service is the Server Service of a client with 999 shares and IPC$, bridged for RPC.
type service struct {
	*session
	t      *testing.T
	id     uint32
	bridge *pipebridge.Bridge
	mu     sync.Mutex
	asked  []string
}

func newService(t *testing.T, refusal error) *service {
	s := &service{session: newSession(t), t: t, bridge: listen(t, "tcp:127.0.0.1:0", nil)}
	s.bridge.RPC = true
	s.bridge.Wrap = func(h pipebridge.Handle) pipebridge.Handle {
		return counting{Handle: h, refusal: refusal, mu: &s.mu, asked: &s.asked}
	}
	about := &backend.Session{Since: time.Now()}
	for i := range 999 {
		about.Shares = append(about.Shares, backend.Share{Name: fmt.Sprint("share", i), Path: "/srv"})
	}
	d, err := srvsvc.New(backend.Source{Description: pnp.Description{Name: srvs.PipeName, HardwareIDs: []string{"X"}}, Session: about})
	require.NoError(t, err)
	s.id, err = s.client.Add(d)
	require.NoError(t, err)
	s.bridge.Follow(context.Background(), s.remote, named(srvs.PipeName))
	return s
}

// since returns what was asked for since the last time.
func (s *service) since() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// pdu makes a PDU of a type, with flags.
func pdu(ptype, flags byte, body ...byte) []byte {
	b := append([]byte{5, 0, ptype, flags, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, body...)
	binary.LittleEndian.PutUint16(b[8:], uint16(len(b)))
	return b
}

func request(flags byte, opnum byte, stub ...uint32) []byte {
	body := []byte{byte(4 * len(stub)), 0, 0, 0, 0, 0, opnum, 0}
	for _, word := range stub {
		body = binary.LittleEndian.AppendUint32(body, word)
	}
	return pdu(0, flags, body...)
}

var (
	bind = pdu(11, 3, []byte("\xb8\x10\xb8\x10\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00"+
		"\xc8\x4f\x32\x4b\x70\x16\xd3\x01\x12\x78\x5a\x47\xbf\x6e\xe1\x88\x03\x00\x00\x00"+
		"\x04\x5d\x88\x8a\xeb\x1c\xc9\x11\x9f\xe8\x08\x00\x2b\x10\x48\x60\x02\x00\x00\x00")...)
	timeOfDay = request(3, 28, 0)
	enumerate = request(3, 15, 0, 1, 1, 0x20000, 0, 0, 0xFFFFFFFF, 0x20004, 0) // NetrShareEnum
)

// answer reads an answer with all its fragments.
func answer(t *testing.T, c net.Conn, ptype byte) (fragments int) {
	t.Helper()
	for {
		head := make([]byte, 16)
		_, err := io.ReadFull(c, head)
		require.NoError(t, err)
		require.Equal(t, ptype, head[2])
		_, err = io.ReadFull(c, make([]byte, int(binary.LittleEndian.Uint16(head[8:]))-16))
		require.NoError(t, err)
		fragments++
		if head[3]&2 != 0 {
			return fragments
		}
	}
}

func send(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	_, err := c.Write(p)
	require.NoError(t, err)
}

func (s *service) bound() net.Conn {
	s.t.Helper()
	c := dial(s.t, s.bridge)
	send(s.t, c, bind)
	answer(s.t, c, 12)
	return c
}

// TestTransceived: a call is one request to the client, and one more for each further
// fragment of its answer.
func TestTransceived(t *testing.T) {
	s := newService(t, nil)
	c := s.bound()
	require.Equal(t, []string{"transceive"}, s.since())
	for range 3 {
		send(t, c, timeOfDay)
		answer(t, c, 2)
		require.Equal(t, []string{"transceive"}, s.since())
	}
	send(t, c, enumerate)
	n := answer(t, c, 2)
	require.Greater(t, n, 10)
	require.Equal(t, append([]string{"transceive"}, slices.Repeat([]string{"read"}, n-1)...), s.since())
	send(t, c, timeOfDay)
	answer(t, c, 2)
	require.Equal(t, []string{"transceive"}, s.since())
}

// TestPieces: a program may write several PDUs at once, or one in pieces, and a request
// may have several fragments.
func TestPieces(t *testing.T) {
	s := newService(t, nil)
	c := dial(t, s.bridge)
	send(t, c, slices.Concat(bind, timeOfDay, timeOfDay[:5]))
	answer(t, c, 12)
	answer(t, c, 2)
	for _, b := range timeOfDay[5:] {
		send(t, c, []byte{b})
	}
	answer(t, c, 2)
	s.since()
	send(t, c, slices.Concat(request(1, 28), request(0, 28), pdu(19, 3), request(1, 28), request(2, 28, 0)))
	answer(t, c, 2)
	require.Equal(t, []string{"write", "write", "write", "write", "transceive"}, s.since())
}

// TestHangsUp: the connection is closed when the service hangs up behind a fault; after a
// fault that ends only a call it goes on.
func TestHangsUp(t *testing.T) {
	s := newService(t, nil)
	for _, bad := range [][]byte{pdu(2, 3), []byte("sixteen or more bytes of no PDU"), pdu(11, 3)} {
		c := s.bound()
		send(t, c, bad)
		rest, err := io.ReadAll(c)
		require.NoError(t, err)
		require.NotEmpty(t, rest, "a fault or bind_nak")
	}
	c := s.bound()
	s.since()
	send(t, c, request(3, 57+1))
	answer(t, c, 3)
	send(t, c, timeOfDay) // its answer is what the read behind the fault gets
	answer(t, c, 2)
	send(t, c, timeOfDay)
	answer(t, c, 2)
	require.Equal(t, []string{"transceive", "read", "write", "transceive"}, s.since())
}

// TestServiceGoes: the connection is closed when the device goes, although nothing is
// asked of it.
func TestServiceGoes(t *testing.T) {
	s := newService(t, nil)
	c := s.bound()
	s.client.Remove(s.id)
	_, err := c.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

// TestNotTransceived: where a pipe does not transceive, there is always a read under way.
func TestNotTransceived(t *testing.T) {
	for _, refusal := range []error{pnp.ERROR_BAD_PIPE, pnp.ERROR_PIPE_BUSY, pnp.ERROR_INVALID_FUNCTION} {
		s := newService(t, refusal)
		c := s.bound()
		for range 3 {
			send(t, c, enumerate)
			require.Greater(t, answer(t, c, 2), 10)
		}
		require.Equal(t, 1, len(slices.DeleteFunc(s.since(), func(what string) bool { return what != "transceive" })))
	}
}
