// SPDX-License-Identifier: Apache-2.0

// Package stuck tests sessions with a device whose driver never answers.
package stuck

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/wire"
)

// Run checks a session with a device whose driver never answers: its threads are
// bounded, other devices work, every request is answered, and nothing is left once the
// driver returns. fresh makes an instance with Unstick; its first Blocking request gets
// stuck in the driver.
func Run(t *testing.T, fresh func(t *testing.T) acceptance.Instance) {
	t.Run("40Handles", func(t *testing.T) { testStuckTogether(t, fresh(t), 40, 16) })
	for _, n := range []int{600, 2000} {
		t.Run(strconv.Itoa(n)+"OneAfterTheOther", func(t *testing.T) { testStuckInTurn(t, fresh(t), n, 16) })
	}
}

// watchdog fails what never ends; nothing passes because of it.
const watchdog = 20 * time.Second

// threadsPerDevice is how many threads a device can block, and a few for the runtime.
const threadsPerDevice = 32 + 12

func testStuckTogether(t *testing.T, i acceptance.Instance, handles, requests int) {
	s := newStuckSession(t, i)
	before := devtest.Threads(t)
	var open []*handleOnWire
	for range handles {
		h := s.open(1)
		open = append(open, h)
		h.ask(t, i.Blocking[0], requests)
	}
	s.loopbackWorks()
	require.LessOrEqual(t, devtest.Threads(t), before+threadsPerDevice)
	for _, h := range open {
		h.close()
	}
	s.loopbackWorks()
	require.LessOrEqual(t, devtest.Threads(t), before+threadsPerDevice)
	s.end(i, before)
}

func testStuckInTurn(t *testing.T, i acceptance.Instance, handles, requests int) {
	s := newStuckSession(t, i)
	before := devtest.Threads(t)
	for n := range handles {
		h := s.open(1)
		h.ask(t, i.Blocking[0], requests)
		h.close()
		if n%100 == 0 {
			s.loopbackWorks()
			require.LessOrEqual(t, devtest.Threads(t), before+threadsPerDevice)
		}
	}
	require.LessOrEqual(t, s.client.Counts().Slots, threadsPerDevice)
	require.LessOrEqual(t, s.client.Counts().Requests, threadsPerDevice)
	s.end(i, before)
}

// stuckSession is a client session with a device that gets stuck and a loopback
// device; the test is the server, byte by byte.
type stuckSession struct {
	t      *testing.T
	client *client.Session
	info   channels.Receiver
	loop   *handleOnWire
}

func newStuckSession(t *testing.T, i acceptance.Instance) *stuckSession {
	s := &stuckSession{t: t, client: client.NewSession(client.Config{})}
	for _, d := range []pnp.Device{i.Device, loopback.New(loopback.DefaultDescription())} {
		_, err := s.client.Add(d)
		require.NoError(t, err)
	}
	var err error
	s.info, err = s.client.Accept(channels.PNPDR, &recorder{})
	require.NoError(t, err)
	require.NoError(t, s.info.Receive(wire.OurVersion.Append(nil)))
	require.NoError(t, s.info.Receive(wire.AuthenticatedClient{}.Append(nil)))
	s.loop = s.open(2)
	require.True(t, s.loop.opened())
	s.loop.reply(t, wire.KindCreateFileReply)
	t.Cleanup(i.Unstick)
	return s
}

// end makes the driver return and checks that nothing is left of the session.
func (s *stuckSession) end(i acceptance.Instance, threadsBefore int) {
	s.t.Helper()
	s.loop.close()
	s.info.Closed()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(s.t, s.client.Close(ctx), context.Canceled, "the driver blocks nothing, so this tests nothing")
	time.Sleep(50 * time.Millisecond) // a call that took this long ends its thread
	i.Unstick()
	ctx, cancel = context.WithTimeout(context.Background(), watchdog)
	defer cancel()
	require.NoError(s.t, s.client.Close(ctx))
	require.Zero(s.t, s.client.Counts())
	require.Eventually(s.t, func() bool { return devtest.Threads(s.t) <= threadsBefore+12 }, watchdog, time.Millisecond,
		"threads are left")
}

// loopbackWorks uses the other device, whose requests never wait.
func (s *stuckSession) loopbackWorks() {
	s.t.Helper()
	require.NoError(s.t, s.loop.Receive(wire.ReadRequest{RequestID: 9, CbBytesToRead: 16}.Append(nil)))
	require.Equal(s.t, pnp.S_OK, s.loop.reply(s.t, wire.KindReadReply).DataReply().Result)
	again := s.open(2)
	require.True(s.t, again.opened())
	again.close()
}

// handleOnWire is a FileRedirectorChannel and the messages that it sent.
type handleOnWire struct {
	channels.Receiver
	*recorder
}

// open opens a device. No answer comes while the driver has all slots of the device.
func (s *stuckSession) open(id uint32) *handleOnWire {
	s.t.Helper()
	h := &handleOnWire{recorder: &recorder{}}
	var err error
	h.Receiver, err = s.client.Accept(channels.FileRedirectorChannel, h.recorder)
	require.NoError(s.t, err)
	require.NoError(s.t, h.Receive(wire.CapabilitiesRequest{RequestID: 1, Version: wire.VersionWithCustomEvents}.Append(nil)))
	h.reply(s.t, wire.KindCapabilitiesReply)
	require.NoError(s.t, h.Receive(wire.CreateFileRequest{
		RequestID: 2, DeviceID: id, DwDesiredAccess: acceptance.ReadWrite.Access, DwShareMode: acceptance.ReadWrite.Share, DwCreationDisposition: pnp.OPEN_EXISTING,
	}.Append(nil)))
	require.Eventually(s.t, func() bool { return h.opened() || s.client.Counts().Slots >= 32 }, watchdog, 100*time.Microsecond)
	return h
}

// opened reports whether the CreateFile succeeded.
func (h *handleOnWire) opened() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, msg := range h.messages {
		if m, err := wire.Decode(msg, wire.IOToServer); err == nil && m.RequestID == 2 {
			if m, err = m.ReplyTo(wire.KindCreateFileRequest); err == nil && m.CreateFileReply().Result == pnp.S_OK {
				return true
			}
		}
	}
	return false
}

// ask sends n requests that get stuck, if the handle is open.
func (h *handleOnWire) ask(t *testing.T, m acceptance.Template, n int) {
	t.Helper()
	if !h.opened() {
		return
	}
	for id := range wire.RequestID(n) {
		var msg []byte
		switch m.Op {
		case pnp.OpRead:
			msg = wire.ReadRequest{RequestID: 10 + id, Offset: m.Offset, CbBytesToRead: uint32(m.Len)}.Append(nil)
		case pnp.OpWrite:
			msg = wire.WriteRequest{RequestID: 10 + id, Offset: m.Offset, Data: acceptance.Pattern(m.Len)}.Append(nil)
		default:
			msg = wire.IOControlRequest{RequestID: 10 + id, IoCode: m.Code, CbOut: uint32(m.Len), DataIn: m.In}.Append(nil)
		}
		require.NoError(t, h.Receive(msg))
	}
}

// reply waits for the next message and decodes it.
func (h *handleOnWire) reply(t *testing.T, kind wire.Kind) wire.Message {
	t.Helper()
	var msg []byte
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.read < len(h.messages) {
			msg = h.messages[h.read]
			h.read++
		}
		return msg != nil
	}, watchdog, 100*time.Microsecond)
	m, err := wire.Decode(msg, wire.IOToServer)
	require.NoError(t, err)
	if kind == wire.KindReadReply {
		m, err = m.ReplyTo(wire.KindReadRequest)
	}
	require.NoError(t, err)
	return m
}

func (h *handleOnWire) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.Closed()
}

// recorder is a connection that records what is sent. Its network is fast.
type recorder struct {
	mu       sync.Mutex
	messages [][]byte
	read     int
	closed   bool
}

// Send implements channels.Conn.
func (c *recorder) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return channels.ErrClosed
	}
	c.messages = append(c.messages, append([]byte(nil), msg...))
	return nil
}

// Sent implements channels.Conn.
func (c *recorder) Sent() (uint64, error) { return 0, channels.ErrNotCounted }
