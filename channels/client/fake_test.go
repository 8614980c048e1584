// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/queue"
	"freerdp-pnpdr/pnp/wire"
)

// patience is a watchdog.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wireConn records what is sent. sent counts the bytes that have left.
type wireConn struct {
	mu       sync.Mutex
	messages [][]byte
	sent     uint64
	closed   bool
	fail     bool // Send fails
}

var errWrite = errors.New("write failed")

func (c *wireConn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return channels.ErrClosed
	}
	if c.fail {
		return errWrite
	}
	c.messages = append(c.messages, bytes.Clone(msg))
	return nil
}

func (c *wireConn) Sent() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, channels.ErrClosed
	}
	return c.sent, nil
}

// drain counts everything as sent, and forgets it.
func (c *wireConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.messages {
		c.sent += uint64(channels.WireSize(len(m)))
	}
	c.messages = nil
}

func (c *wireConn) take() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.messages
	c.messages = nil
	return m
}

// last returns the data reply that was sent last.
func (c *wireConn) last(t *testing.T) wire.DataReply {
	t.Helper()
	m := c.take()
	require.NotEmpty(t, m, "no reply")
	return replyTo(t, wire.KindReadRequest, m[len(m)-1]).DataReply()
}

// replyTo decodes the reply to a request.
func replyTo(t *testing.T, request wire.Kind, msg []byte) wire.Message {
	t.Helper()
	m, err := wire.Decode(msg, wire.IOToServer)
	require.NoError(t, err)
	require.Equal(t, wire.KindReply, m.Kind)
	m, err = m.ReplyTo(request)
	require.NoError(t, err)
	return m
}

// opened returns the result in a CreateFile Reply.
func opened(t *testing.T, msg []byte) pnp.HRESULT {
	t.Helper()
	return replyTo(t, wire.KindCreateFileRequest, msg).CreateFileReply().Result
}

// testDevice performs requests by one function.
type testDevice struct {
	open   func(pnp.OpenRequest) (pnp.Handle, error)
	handle testHandle
	sink   func(pnp.Event)
}

func (d *testDevice) Description() *pnp.Description { return &pnp.Description{Name: "test"} }
func (d *testDevice) Notify(sink func(pnp.Event))   { d.sink = sink }
func (d *testDevice) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if d.open != nil {
		return d.open(r)
	}
	return d.handle.open(r), nil
}

// testHandle performs a request by try at once, or else by do in a slot.
type testHandle struct {
	try    func(*pnp.Request) bool
	do     func(*pnp.Request)
	cancel func(*pnp.Request)
	close  func()
}

func (h *testHandle) open(r pnp.OpenRequest) *openHandle {
	o := &openHandle{testHandle: h, q: queue.New("test", r.Workers, nil)}
	o.lane = o.q.Add(queue.Lane{Width: 1000, Do: func(it *queue.Item) (pnp.HRESULT, int) {
		h.do(it.R)
		return pnp.S_OK, 0
	}})
	return o
}

type openHandle struct {
	*testHandle
	q    *queue.Queue
	lane *queue.Lane
}

func (h *openHandle) Submit(r *pnp.Request) {
	if h.try == nil || !h.try(r) {
		h.lane.Submit(r)
	}
}

func (h *openHandle) Cancel(r *pnp.Request) {
	if h.cancel != nil {
		h.cancel(r)
	} else {
		h.q.Cancel(r)
	}
}

func (h *openHandle) Close(released func()) {
	if h.close != nil {
		h.close()
	}
	h.q.Close(nil, released)
}

// answer completes every request at once, with as many bytes as there is room
// for.
func answer(r *pnp.Request) bool {
	r.Complete(pnp.S_OK, len(r.Out))
	return true
}

// newTestSession makes a session with d announced as device 1. It is closed at
// the end of the test and must not have kept anything.
func newTestSession(t *testing.T, limits pnp.SessionLimits, d pnp.Device) (*Session, *devtest.Output) {
	t.Helper()
	var log devtest.Output
	s := NewSession(Config{Limits: limits, Log: log.Logger(slog.LevelInfo)})
	_, err := s.Add(d)
	require.NoError(t, err)
	conn := &wireConn{}
	info, err := s.Accept(channels.PNPDR, conn)
	require.NoError(t, err)
	require.NoError(t, info.Receive(wire.OurVersion.Append(nil)))
	require.NoError(t, info.Receive(wire.AuthenticatedClient{}.Append(nil)))
	// All of that has left: each test's counter starts at 0.
	conn.drain()
	s.out.settle(conn)
	s.out.last = 0
	t.Cleanup(func() {
		info.Closed()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, s.Close(ctx))
		require.Zero(t, s.Counts())
		require.Zero(t, s.out.bytes-s.out.unproven(), "bytes reserved for ever")
	})
	return s, &log
}

// unproven is the data that was sent and is not known to have left.
func (o *outbox) unproven() (n int64) {
	for _, m := range o.queue[o.head:] {
		n += m.data
	}
	return n
}

// openChannel opens a channel and a handle of device 1 on it.
func openChannel(t *testing.T, s *Session) (channels.Receiver, *wireConn) {
	t.Helper()
	return openDevice(t, s, 1)
}

func openDevice(t *testing.T, s *Session, id uint32) (channels.Receiver, *wireConn) {
	t.Helper()
	conn := &wireConn{}
	r, err := s.Accept(channels.FileRedirectorChannel, conn)
	require.NoError(t, err)
	require.NoError(t, r.Receive(wire.CapabilitiesRequest{Version: 6}.Append(nil)))
	require.NoError(t, r.Receive(create(id)))
	return r, conn
}

func create(device uint32) []byte {
	return wire.CreateFileRequest{DeviceID: device, DwDesiredAccess: 0xC0000000, DwShareMode: 3, DwCreationDisposition: pnp.OPEN_EXISTING}.Append(nil)
}

func read(id wire.RequestID, n uint32) []byte {
	return wire.ReadRequest{RequestID: id, CbBytesToRead: n}.Append(nil)
}
