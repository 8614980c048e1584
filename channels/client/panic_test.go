// SPDX-License-Identifier: Apache-2.0

package client

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// TestPanics: a panic in a device costs its request, which is still answered.
func TestPanics(t *testing.T) {
	d := &testDevice{}
	s, log := newTestSession(t, pnp.SessionLimits{}, d)
	require.Empty(t, log.String())

	d.open = func(pnp.OpenRequest) (pnp.Handle, error) { panic("open") }
	c, conn := openChannel(t, s)
	m := conn.take()
	require.Equal(t, pnp.E_UNEXPECTED, opened(t, m[len(m)-1]))
	c.Closed()
	d.open = nil

	d.handle.try = func(*pnp.Request) bool { panic("try") }
	c, conn = openChannel(t, s)
	require.NoError(t, c.Receive(read(1, 8)))
	require.Equal(t, pnp.E_UNEXPECTED, conn.last(t).Result)

	d.handle.try = func(*pnp.Request) bool { return false }
	d.handle.do = func(*pnp.Request) { panic("do") }
	require.NoError(t, c.Receive(read(2, 8)))
	reply := awaitMessages(t, conn, 1)[0]
	require.Equal(t, wire.DataReply{RequestID: 2, Result: pnp.E_UNEXPECTED, Data: []byte{}}, replyTo(t, wire.KindReadRequest, reply).DataReply())

	d.handle.try = func(*pnp.Request) bool { return true } // keeps it
	d.handle.cancel = func(*pnp.Request) { panic("cancel") }
	require.NoError(t, c.Receive(read(3, 8)))
	require.NoError(t, c.Receive(wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: 3}.Append(nil)))
	require.Equal(t, pnp.E_UNEXPECTED, conn.last(t).Result)

	d.handle.close = func() { panic("close") }
	c.Closed()
	for _, what := range []string{"open", "try", "cancel", "close"} {
		require.Contains(t, log.String(), "panic while")
		require.Contains(t, log.String(), what)
	}
}

// TestPanicsOutsideRequests: a device that cannot describe itself is not
// redirected, one that cannot raise events is.
func TestPanicsOutsideRequests(t *testing.T) {
	s, log := newTestSession(t, pnp.SessionLimits{}, &testDevice{})
	_, err := s.Add(&undescribed{})
	require.ErrorIs(t, err, pnp.E_UNEXPECTED)
	require.Contains(t, log.String(), "panic while describing a device: describe")
	_, err = s.Add(&nameless{})
	require.ErrorContains(t, err, "no description")

	d := &silent{testDevice: testDevice{handle: testHandle{try: answer}}}
	id, err := s.Add(d)
	require.NoError(t, err)
	c, conn := openDevice(t, s, id)
	require.NoError(t, c.Receive(read(1, 8)))
	require.Equal(t, pnp.S_OK, conn.last(t).Result)
	c.Closed()
	s.Remove(id)
	require.Equal(t, 2, d.notified)
	require.True(t, d.closed)
	require.Equal(t, 2, strings.Count(log.String(), "panic while arranging for the events of test"))
}

type undescribed struct{ testDevice }

func (*undescribed) Description() *pnp.Description { panic("describe") }

type nameless struct{ testDevice }

func (*nameless) Description() *pnp.Description { return nil }

// silent panics for each Notify.
type silent struct {
	testDevice
	notified int
	closed   bool
}

func (d *silent) Notify(func(pnp.Event)) {
	d.notified++
	panic("notify")
}

func (d *silent) Close() error {
	d.closed = true
	return nil
}

// awaitMessages waits for n messages and takes them.
func awaitMessages(t *testing.T, conn *wireConn, n int) [][]byte {
	t.Helper()
	var all [][]byte
	for deadline := time.Now().Add(patience); len(all) < n; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "%d messages, not %d", len(all), n)
		all = append(all, conn.take()...)
	}
	return all
}

// TestStubbornDevice: a device that neither cancels nor lets go keeps its
// buffers until it does, and holds up nothing else.
func TestStubbornDevice(t *testing.T) {
	held := make(chan *pnp.Request, 1)
	d := &testDevice{handle: testHandle{try: func(r *pnp.Request) bool { held <- r; return true }}}
	s, _ := newTestSession(t, pnp.SessionLimits{}, d)
	c, conn := openChannel(t, s)
	conn.take()
	require.NoError(t, c.Receive(read(1, 8)))
	r := <-held
	s.Remove(1)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, conn.last(t).Result, "not answered at once")
	require.Equal(t, 1, s.Counts().Buffers)
	copy(r.Out, "12345678") // still the device's
	require.True(t, r.Complete(pnp.S_OK, 8))
	require.Empty(t, conn.take(), "answered twice")
	require.Zero(t, s.Counts().Buffers)
	require.False(t, r.Complete(pnp.S_OK, 8))
	c.Closed()
}

// TestBlockingIsBounded: a device that hangs gets its share of the slots and no
// more, and requests that still wait can be cancelled.
func TestBlockingIsBounded(t *testing.T) {
	release := make(chan struct{})
	running := make(chan struct{}, 1000)
	d := &testDevice{handle: testHandle{do: func(r *pnp.Request) {
		running <- struct{}{}
		<-release
	}}}
	s, _ := newTestSession(t, pnp.SessionLimits{}, d)
	c, conn := openChannel(t, s)
	conn.take()
	for id := range wire.RequestID(100) {
		require.NoError(t, c.Receive(read(id, 8)))
	}
	for range deviceSlots {
		<-running
	}
	require.Equal(t, deviceSlots, s.Counts().Slots)
	require.NoError(t, c.Receive(wire.IoCancelRequest{IDToCancel: 99}.Append(nil)))
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, conn.last(t).Result)
	close(release)
	require.Len(t, awaitMessages(t, conn, 99), 99)
	require.Len(t, running, 100-deviceSlots-1, "a cancelled request reached the device")
	c.Closed()
}
