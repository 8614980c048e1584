// SPDX-License-Identifier: Apache-2.0

package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// wrapper wraps a Conn like a tap or a tracer: it forwards what it does not
// care about.
type wrapper struct {
	channels.Conn
	messages int
}

func (w *wrapper) Send(msg []byte) error {
	w.messages++
	return w.Conn.Send(msg)
}

// uncounted is a Conn whose transport does not count.
type uncounted struct{ *wireConn }

func (uncounted) Sent() (uint64, error) { return 0, channels.ErrNotCounted }

// TestSendAloneIsNotAConn: a wrapper that forgets the count does not compile.
// This asks the same question at run time.
func TestSendAloneIsNotAConn(t *testing.T) {
	var forgetful any = struct{ channels.Sender }{&wireConn{}}
	_, ok := forgetful.(channels.Conn)
	require.False(t, ok, "flow control can be lost by accident")
	var w any = &wrapper{}
	_, ok = w.(channels.Conn)
	require.True(t, ok)
}

// TestOutboxAsksTheConn: also through a wrapper.
func TestOutboxAsksTheConn(t *testing.T) {
	limits := small()
	o := newOutbox(&limits)
	o.start = time.Now().Add(-time.Hour) // so the assumed rate cannot be mistaken for a count
	o.last = 7
	conn := &wireConn{sent: 42}
	require.EqualValues(t, 42, o.sent(conn))
	require.EqualValues(t, 42, o.sent(&wrapper{Conn: conn}))
	conn.closed = true
	require.EqualValues(t, 7, o.sent(&wrapper{Conn: conn}), "an ended channel changes the count")
	require.GreaterOrEqual(t, o.sent(&wrapper{Conn: uncounted{conn}}), uint64(3600*assumedRate))
}

// TestWrappedConnIsBounded: a session whose channels are wrapped still uses the
// count of the transport.
func TestWrappedConnIsBounded(t *testing.T) {
	s, _ := newTestSession(t, small(), &testDevice{handle: testHandle{try: answer}})
	conn := &wireConn{}
	w := &wrapper{Conn: conn}
	c, err := s.Accept(channels.FileRedirectorChannel, w)
	require.NoError(t, err)
	defer c.Closed()
	require.NoError(t, c.Receive(wire.CapabilitiesRequest{Version: 6}.Append(nil)))
	require.NoError(t, c.Receive(create(1)))
	conn.drain()

	for id := range wire.RequestID(10) {
		require.NoError(t, c.Receive(read(id, 1)))
		require.Equal(t, pnp.S_OK, conn.last(t).Result)
	}
	require.NoError(t, c.Receive(read(20, 1)))
	require.Equal(t, pnp.ERROR_NO_SYSTEM_RESOURCES, conn.last(t).Result, "nothing has left")
	conn.sent += 1 << 20
	require.NoError(t, c.Receive(read(21, 1)))
	require.Equal(t, pnp.S_OK, conn.last(t).Result)
	require.Equal(t, 14, w.messages)
}
