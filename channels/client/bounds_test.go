// SPDX-License-Identifier: Apache-2.0

package client

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/wire"
)

// hanging is a device whose requests all are stuck in a slot until release.
// stuck gets a value for each that has got there.
func hanging() (d *testDevice, stuck, release chan struct{}) {
	stuck, release = make(chan struct{}, 10_000), make(chan struct{})
	return &testDevice{handle: testHandle{do: func(*pnp.Request) {
		stuck <- struct{}{}
		<-release
	}}}, stuck, release
}

// hangingInOpen is a device that each Open is stuck in until release.
func hangingInOpen() (d *testDevice, release chan struct{}) {
	release = make(chan struct{})
	d = &testDevice{handle: testHandle{try: answer}}
	d.open = func(r pnp.OpenRequest) (pnp.Handle, error) {
		if r.NoBlock {
			return nil, pnp.ErrWouldBlock
		}
		<-release
		return d.handle.open(r), nil
	}
	return d, release
}

// TestPendingReplies: a server that stops reading cancels all requests that are
// pending on many handles. Each reply is small and takes a whole chunk.
func TestPendingReplies(t *testing.T) {
	limits := pnp.DefaultLimits()
	limits.SessionBytes = 4 << 20
	s, _ := newTestSession(t, limits, loopback.New(loopback.DefaultDescription()))
	wait := wire.IOControlRequest{IoCode: loopback.IOCTL_WAIT, DataIn: []byte{255, 255, 255, 255}}
	var handles []channels.Receiver
	var sent uint64
	for range 100 {
		c, conn := openChannel(t, s)
		sent += 1 << 20 // the server reads up to here
		conn.sent = sent
		for id := range wire.RequestID(100) {
			wait.RequestID = id
			require.NoError(t, c.Receive(wait.Append(nil)))
		}
		handles = append(handles, c)
	}
	require.LessOrEqual(t, s.Counts().Requests, int(2*limits.SessionBytes/chunkMemory))
	for _, c := range handles {
		for id := range wire.RequestID(100) {
			require.NoError(t, c.Receive(wire.IoCancelRequest{IDToCancel: id}.Append(nil)))
		}
	}
	require.Zero(t, s.Counts().Requests)
	// The pending requests are answered on top of the earlier refusals.
	require.LessOrEqual(t, s.out.memory, 4*limits.SessionBytes)
	require.Zero(t, s.out.held)
	for _, c := range handles {
		c.Closed()
	}
}

// TestCancelledRequestsAreLetGo: cancelled requests do not pile up behind a
// device that hangs, and those stuck in it are answered all the same.
func TestCancelledRequestsAreLetGo(t *testing.T) {
	d, stuck, release := hanging()
	s, _ := newTestSession(t, pnp.SessionLimits{}, d)
	c, conn := openChannel(t, s)
	conn.drain()
	for id := range wire.RequestID(10000) {
		require.NoError(t, c.Receive(read(id, 0)))
		if id < deviceSlots {
			<-stuck
			conn.sent += 1 << 10
		}
		require.NoError(t, c.Receive(wire.IoCancelRequest{IDToCancel: id}.Append(nil)))
		require.Equal(t, pnp.ERROR_OPERATION_ABORTED, conn.last(t).Result)
		conn.sent += 1 << 10
	}
	require.LessOrEqual(t, s.Counts().Requests, deviceSlots)
	close(release)
	c.Closed()
}

// TestClosedChannelsAreLetGo: requests of channels that have ended do not pile
// up either, nor do CreateFiles that wait behind them.
func TestClosedChannelsAreLetGo(t *testing.T) {
	d, stuck, release := hanging()
	s, _ := newTestSession(t, pnp.SessionLimits{}, d)
	for range 50 {
		c, conn := openChannel(t, s)
		for id := range wire.RequestID(1000) {
			require.NoError(t, c.Receive(read(id, 0)))
		}
		conn.drain()
		c.Closed()
	}
	require.LessOrEqual(t, s.Counts().Requests, deviceSlots)
	require.LessOrEqual(t, s.Counts().Slots, deviceSlots)
	require.LessOrEqual(t, len(stuck), deviceSlots)
	close(release)
	require.Eventually(t, func() bool { return s.Counts() == Counts{Channels: 1} }, patience, time.Millisecond)
}

// TestStuckMemoryCounts: memory that a hanging device holds counts for as long
// as it holds it, whatever became of the handle, and is bounded for each
// device, so that others still have room.
func TestStuckMemoryCounts(t *testing.T) {
	d, stuck, release := hanging()
	limits := pnp.DefaultLimits()
	limits.HandleBytes, limits.SessionBytes = 1<<20, 4<<20
	s, _ := newTestSession(t, limits, d)
	accepted := 0
	for range 20 {
		c, conn := openChannel(t, s)
		conn.drain()
		require.NoError(t, c.Receive(wire.WriteRequest{RequestID: 1, Data: make([]byte, 1<<20-1)}.Append(nil)))
		if len(conn.take()) == 0 {
			accepted++
			<-stuck
		}
		c.Closed()
	}
	require.Equal(t, 2, accepted)
	other, err := s.Add(&testDevice{handle: testHandle{try: answer}})
	require.NoError(t, err)
	c, conn := openDevice(t, s, other)
	conn.sent = s.out.last + 1<<20
	require.NoError(t, c.Receive(read(1, 1<<20)))
	require.Equal(t, pnp.S_OK, conn.last(t).Result)
	c.Closed()
	close(release)
	require.Eventually(t, func() bool { return s.Counts() == Counts{Channels: 1} }, patience, time.Millisecond)
}

// TestOpenHangs: removing a device answers a CreateFile that hangs in it, and
// devices that hang in Open do not keep others from being used.
func TestOpenHangs(t *testing.T) {
	d, release := hangingInOpen()
	s, _ := newTestSession(t, pnp.SessionLimits{}, d)
	other, err := s.Add(loopback.New(loopback.DefaultDescription()))
	require.NoError(t, err)
	var hung []channels.Receiver
	for range deviceSlots + 1 {
		c, conn := openChannel(t, s)
		hung = append(hung, c)
		conn.take()
	}
	conn := &wireConn{}
	c, err := s.Accept(channels.FileRedirectorChannel, conn)
	require.NoError(t, err)
	require.NoError(t, c.Receive(wire.CapabilitiesRequest{Version: 6}.Append(nil)))
	require.NoError(t, c.Receive(create(other)))
	conn.take()
	require.NoError(t, c.Receive(read(1, 8)))
	require.Equal(t, pnp.S_OK, conn.last(t).Result)
	c.Closed()

	last, lastConn := openChannel(t, s)
	lastConn.take()
	s.Remove(1)
	m := lastConn.take()
	require.Len(t, m, 1)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, opened(t, m[0]))
	close(release)
	require.Empty(t, lastConn.take(), "answered twice")
	for _, c := range append(hung, last) {
		c.Closed()
	}
}

// TestUnsentReplyEndsTheChannel: FreeRDP may have queued part of it.
func TestUnsentReplyEndsTheChannel(t *testing.T) {
	held := make(chan *pnp.Request, 1)
	d := &testDevice{handle: testHandle{try: func(r *pnp.Request) bool { held <- r; return true }}}
	s, _ := newTestSession(t, pnp.SessionLimits{}, d)
	c, conn := openChannel(t, s)
	require.NoError(t, c.Receive(read(1, 8)))
	conn.fail = true
	(<-held).Complete(pnp.S_OK, 8)
	require.ErrorIs(t, c.Receive(read(2, 8)), errWrite)
	c.Closed()
}

// TestNothingAfterClosed: the end of the session can race with a message.
func TestNothingAfterClosed(t *testing.T) {
	s, _ := newTestSession(t, pnp.SessionLimits{}, &testDevice{})
	r, err := s.Accept(channels.FileRedirectorChannel, &wireConn{})
	require.NoError(t, err)
	require.NoError(t, r.Receive(wire.CapabilitiesRequest{Version: 6}.Append(nil)))
	r.Closed()
	require.ErrorIs(t, r.(*ioChannel).createFile(wire.CreateFileRequest{DeviceID: 1}), channels.ErrClosed)
}

// TestLargeEventsAreMentionedOnce: the server can decide how often they come.
func TestLargeEventsAreMentionedOnce(t *testing.T) {
	s, log := newTestSession(t, pnp.SessionLimits{}, loopback.New(loopback.DefaultDescription()))
	c, conn := openChannel(t, s)
	raise := wire.IOControlRequest{IoCode: loopback.IOCTL_RAISE_EVENT, DataIn: make([]byte, 16+65537)}
	for id := range wire.RequestID(100) {
		raise.RequestID = id
		require.NoError(t, c.Receive(raise.Append(nil)))
		conn.drain()
	}
	require.Equal(t, 1, strings.Count(log.String(), "dropped"))
	c.Closed()
}
