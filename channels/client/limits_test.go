// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// small are limits that a test reaches quickly.
func small() pnp.SessionLimits {
	return pnp.SessionLimits{
		ReplyData: 1000, HandleRequests: 10, HandleBytes: 5000, SessionBytes: 64 << 10,
		Handles: 4, Devices: 2, EventData: 100,
	}
}

func TestReplyData(t *testing.T) {
	s, _ := newTestSession(t, small(), &testDevice{handle: testHandle{try: answer}})
	c, conn := openChannel(t, s)
	defer c.Closed()

	require.NoError(t, c.Receive(read(1, 0xFFFFFFFF)))
	r := conn.last(t)
	require.Equal(t, pnp.S_OK, r.Result)
	require.Len(t, r.Data, 1000, "a longer read does not come back short")

	require.NoError(t, c.Receive(wire.IOControlRequest{RequestID: 1, CbOut: 1001}.Append(nil)))
	r = conn.last(t)
	require.Equal(t, pnp.ERROR_NO_SYSTEM_RESOURCES, r.Result)
	require.NoError(t, c.Receive(wire.IOControlRequest{RequestID: 1, CbOut: 1000}.Append(nil)))
	require.Len(t, conn.last(t).Data, 1000)
}

// TestOutstandingRequests: replies that have not left count, although Send
// succeeded; once they have left, requests are accepted again.
func TestOutstandingRequests(t *testing.T) {
	s, _ := newTestSession(t, small(), &testDevice{handle: testHandle{try: answer}})
	c, conn := openChannel(t, s)
	defer c.Closed()
	conn.drain()

	accepted := 0
	for id := range wire.RequestID(10) {
		require.NoError(t, c.Receive(read(id, 1)))
		if conn.last(t).Result == pnp.S_OK {
			accepted++
		} // take forgets the message but does not move the counter
	}
	require.Equal(t, 10, accepted)
	require.NoError(t, c.Receive(read(20, 1)))
	require.Equal(t, pnp.ERROR_NO_SYSTEM_RESOURCES, conn.last(t).Result)

	conn.sent += 1 << 20
	require.NoError(t, c.Receive(read(21, 1)))
	require.Equal(t, pnp.S_OK, conn.last(t).Result)
}

// TestOutstandingBytes reaches the limits of a handle and of the session, in
// data and in memory of the transport.
func TestOutstandingBytes(t *testing.T) {
	limits := small()
	limits.SessionBytes = 14000
	s, _ := newTestSession(t, limits, &testDevice{handle: testHandle{try: answer}})
	a, connA := openChannel(t, s)
	connA.drain()
	accepted := func(c channels.Receiver, conn *wireConn, n int) (ok int) {
		for id := range wire.RequestID(n) {
			require.NoError(t, c.Receive(read(100+id, 1000)))
			if conn.last(t).Result == pnp.S_OK {
				ok++
			}
		}
		return ok
	}
	require.Equal(t, 5, accepted(a, connA, 7), "HandleBytes")
	// Seven replies and two of the opening take 9 chunks of 1600 bytes.
	b, connB := openChannel(t, s)
	require.Zero(t, accepted(b, connB, 1), "SessionBytes")
	connB.sent = connA.sent + 1<<20
	require.Equal(t, 1, accepted(b, connB, 1))
	a.Closed()
	b.Closed()
}

// TestFloodEndsTheChannel: refusals that the server does not read are bounded
// as well.
func TestFloodEndsTheChannel(t *testing.T) {
	s, _ := newTestSession(t, small(), &testDevice{handle: testHandle{try: answer}})
	c, conn := openChannel(t, s)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = c.Receive(read(wire.RequestID(n), 1))
	}
	require.ErrorIs(t, err, errFlood)
	require.LessOrEqual(t, n, 2*small().HandleRequests)
	require.Less(t, len(conn.take()), 2*small().HandleRequests+1)
	c.Closed()
}

func TestHandles(t *testing.T) {
	s, _ := newTestSession(t, small(), &testDevice{handle: testHandle{try: answer}})
	for range 4 {
		c, _ := openChannel(t, s)
		defer c.Closed()
	}
	c, conn := openChannel(t, s)
	m := conn.take()
	require.Equal(t, pnp.ERROR_TOO_MANY_OPEN_FILES, opened(t, m[len(m)-1]))
	c.Closed()

	// So are channels without a handle.
	for range 4 {
		c, err := s.Accept(channels.FileRedirectorChannel, &wireConn{})
		require.NoError(t, err)
		defer c.Closed()
	}
	_, err := s.Accept(channels.FileRedirectorChannel, &wireConn{})
	require.ErrorIs(t, err, pnp.ErrTooMany)
}

// TestCrowded: the log says once what a device has no room for.
func TestCrowded(t *testing.T) {
	d := &testDevice{open: func(pnp.OpenRequest) (pnp.Handle, error) {
		return nil, fmt.Errorf("the process is full: %w", pnp.ERROR_TOO_MANY_OPEN_FILES)
	}}
	s, log := newTestSession(t, small(), d)
	for range 3 {
		c, conn := openChannel(t, s)
		m := conn.take()
		require.Equal(t, pnp.ERROR_TOO_MANY_OPEN_FILES, opened(t, m[len(m)-1]))
		c.Closed()
	}
	require.Equal(t, 1, strings.Count(log.String(), "the process is full"))
}

func TestDevices(t *testing.T) {
	s, _ := newTestSession(t, small(), &testDevice{})
	id, err := s.Add(&testDevice{})
	require.NoError(t, err)
	_, err = s.Add(&testDevice{})
	require.ErrorIs(t, err, pnp.ErrTooMany)
	s.Remove(id)
	next, err := s.Add(&testDevice{})
	require.NoError(t, err)
	require.NotEqual(t, id, next)

	// Several come together or not at all.
	s.Remove(next)
	both := []pnp.Device{&testDevice{}, &testDevice{}}
	_, err = s.AddAll(both, pnp.DeviceLimits{})
	require.ErrorIs(t, err, pnp.ErrTooMany)
	require.Len(t, s.State().Devices, 1)
	s.Remove(s.State().Devices[0].ID)
	ids, err := s.AddAll(both, pnp.DeviceLimits{})
	require.NoError(t, err)
	require.Equal(t, []uint32{next + 1, next + 2}, ids)
	require.Len(t, s.State().Devices, 2)
}

// TestEvents: events that are too large or over budget are dropped whole, with
// one line in the log each time that starts.
func TestEvents(t *testing.T) {
	d := &testDevice{handle: testHandle{try: answer}}
	s, log := newTestSession(t, small(), d)
	c, conn := openChannel(t, s)
	defer c.Closed()
	conn.drain()

	d.sink(pnp.Event{Data: make([]byte, 101)})
	require.Empty(t, conn.take())
	require.Contains(t, log.String(), "event is dropped: it is longer than the limit\" device=test bytes=101 limit=100")

	sent := 0
	for range 100 {
		d.sink(pnp.Event{Data: make([]byte, 100)})
		for _, m := range conn.take() {
			e, err := wire.Decode(m, wire.IOToServer)
			require.NoError(t, err)
			require.Len(t, e.CustomEvent().Data, 100)
			sent++
		}
	}
	require.Equal(t, 5000/125, sent)
	require.Equal(t, 1, strings.Count(log.String(), "events are dropped"))
	conn.sent += 1 << 20
	d.sink(pnp.Event{Data: make([]byte, 100)})
	require.Len(t, conn.take(), 1)
}

// TestDeviceLimits: a device's own limits apply to it alone, and never loosen
// the session's.
func TestDeviceLimits(t *testing.T) {
	s, log := newTestSession(t, small(), &testDevice{handle: testHandle{try: answer}})
	d := &testDevice{handle: testHandle{try: answer}}
	id, err := s.AddLimited(d, pnp.DeviceLimits{Handles: 1, Requests: 3, HandleBytes: 250, ReplyData: 100, EventData: 10})
	require.NoError(t, err)
	c, conn := openDevice(t, s, id)
	defer c.Closed()
	// Each channel of these tests has a counter of its own.
	left := func(conn *wireConn) {
		conn.sent = s.out.last + 1<<20
		s.out.settle(conn)
	}
	results := func(c channels.Receiver, conn *wireConn, sizes ...uint32) (names []string) {
		left(conn)
		for n, size := range sizes {
			require.NoError(t, c.Receive(read(wire.RequestID(n), size)))
			names = append(names, conn.last(t).Result.Name())
		}
		return names
	}
	const ok, refused = "S_OK", "ERROR_NO_SYSTEM_RESOURCES"
	require.Equal(t, []string{ok, ok, ok, refused}, results(c, conn, 1, 1, 1, 1), "Requests")
	require.Equal(t, []string{ok, ok, refused}, results(c, conn, 1000, 100, 51), "HandleBytes")
	require.Equal(t, []string{ok, ok, ok}, results(c, conn, 1000, 100, 50), "HandleBytes")
	left(conn)
	require.NoError(t, c.Receive(read(1, 1000)))
	require.Len(t, conn.last(t).Data, 100, "ReplyData")
	require.NoError(t, c.Receive(wire.IOControlRequest{RequestID: 1, CbOut: 101}.Append(nil)))
	require.Equal(t, refused, conn.last(t).Result.Name())

	left(conn)
	conn.take()
	d.sink(pnp.Event{Data: make([]byte, 11)})
	require.Empty(t, conn.take())
	require.Contains(t, log.String(), "event is dropped: it is longer than the limit\" device=test bytes=11 limit=10")
	d.sink(pnp.Event{Data: make([]byte, 10)})
	require.Len(t, conn.take(), 1)

	second, conn2 := openDevice(t, s, id)
	m := conn2.take()
	require.Equal(t, pnp.ERROR_TOO_MANY_OPEN_FILES, opened(t, m[len(m)-1]))
	second.Closed()
	c.Closed()
	second, conn2 = openDevice(t, s, id)
	require.Equal(t, []string{ok}, results(second, conn2, 1), "a closed handle still counts")
	second.Closed()

	other, otherConn := openChannel(t, s)
	left(otherConn)
	require.NoError(t, other.Receive(read(1, 1000)))
	require.Len(t, otherConn.last(t).Data, 1000)
	other.Closed()

	s.Remove(id)
	id, err = s.AddLimited(d, pnp.DeviceLimits{HandleBytes: 70})
	require.NoError(t, err)
	c, conn = openDevice(t, s, id)
	left(conn)
	require.NoError(t, c.Receive(read(1, 1000)))
	require.Len(t, conn.last(t).Data, 70, "a read that never fits does not come back short")
	c.Closed()

	s.Remove(id)
	id, err = s.AddLimited(d, pnp.DeviceLimits{ReplyData: 1 << 20, EventData: 1 << 20})
	require.NoError(t, err)
	c, conn = openDevice(t, s, id)
	defer c.Closed()
	left(conn)
	require.NoError(t, c.Receive(read(1, 1<<20)))
	require.Len(t, conn.last(t).Data, 1000)
}

// TestKeptBytes: the devices of a session share what its handles may keep.
func TestKeptBytes(t *testing.T) {
	limits := small()
	var memory []*pnp.Memory
	keeping := func() *testDevice {
		d := &testDevice{handle: testHandle{try: answer}}
		d.open = func(r pnp.OpenRequest) (pnp.Handle, error) {
			memory = append(memory, r.Memory)
			return d.handle.open(r), nil
		}
		return d
	}
	s, _ := newTestSession(t, limits, keeping())
	id, err := s.Add(keeping())
	require.NoError(t, err)
	for _, id := range []uint32{1, id} {
		c, _ := openDevice(t, s, id)
		defer c.Closed()
	}
	require.Len(t, memory, 2)
	require.True(t, memory[0].Take(int(limits.SessionBytes/8)))
	require.False(t, memory[1].Take(1))
	require.EqualValues(t, limits.SessionBytes/8, s.Counts().Kept)
	memory[1].Give(int(limits.SessionBytes / 8))
	require.Zero(t, s.Counts().Kept)
}
