// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

type outcome struct {
	n   int
	err error
}

// started starts a request; its result comes later.
func started(t *testing.T, h *server.Handle, r server.Request) (cancel func(), done chan outcome) {
	t.Helper()
	done = make(chan outcome, 2)
	r.Done = func(n int, err error) { done <- outcome{n, err} }
	cancel, err := h.Start(r)
	require.NoError(t, err)
	return cancel, done
}

// TestStart: requests are sent in order, without waiting, and each is told its result once.
func TestStart(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	h, ch := f.Open(f.AddDevice(4), 6, server.OpenOptions{DataOut: true})
	p, out := make([]byte, 4), []byte("out")
	_, read := started(t, h, server.Request{Op: pnp.OpRead, Offset: 7, Out: p})
	_, write := started(t, h, server.Request{Op: pnp.OpWrite, Offset: 8, In: []byte("in")})
	_, control := started(t, h, server.Request{Op: pnp.OpIOControl, Code: 9, In: []byte("x"), Out: out})

	r := servertest.NextAs[wire.ReadRequest](ch)
	require.Equal(t, uint32(4), r.CbBytesToRead)
	require.Equal(t, uint64(7), r.Offset)
	w := servertest.NextAs[wire.WriteRequest](ch)
	require.Equal(t, "in", string(w.Data))
	require.Equal(t, uint64(8), w.Offset)
	c := servertest.NextAs[wire.IOControlRequest](ch)
	require.Equal(t, uint32(9), c.IoCode)
	require.Equal(t, "out", string(c.DataOut))
	require.Empty(t, read)

	inject(t, ch, wire.DataReply{RequestID: c.RequestID, Result: pnp.ERROR_MORE_DATA, Data: []byte("abc")}.Append(nil))
	require.Equal(t, outcome{3, pnp.ERROR_MORE_DATA}, <-control)
	require.Equal(t, "abc", string(out))
	inject(t, ch, wire.DataReply{RequestID: r.RequestID, Data: []byte("data")}.Append(nil))
	require.Equal(t, outcome{4, nil}, <-read)
	require.Equal(t, "data", string(p))
	inject(t, ch, wire.DataReply{RequestID: r.RequestID, Data: []byte("more")}.Append(nil))
	require.Empty(t, read, "a reply that comes twice")

	require.NoError(t, h.Close())
	o := <-write
	require.ErrorIs(t, o.err, channels.ErrClosed)
	_, err := h.Start(server.Request{Op: pnp.OpRead, Done: func(int, error) { panic("it has not begun") }})
	require.ErrorIs(t, err, channels.ErrClosed)
}

// TestStartedCancel: one IoCancel is sent for a request, while it is outstanding.
func TestStartedCancel(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	h, ch := f.Open(f.AddDevice(4), 6, server.OpenOptions{})
	cancel, done := started(t, h, server.Request{Op: pnp.OpRead, Out: make([]byte, 4)})
	r := servertest.NextAs[wire.ReadRequest](ch)
	cancel()
	cancel()
	require.Equal(t, r.RequestID, servertest.NextAs[wire.IoCancelRequest](ch).IDToCancel)
	require.Empty(t, done, "the client has to reply")
	inject(t, ch, wire.DataReply{RequestID: r.RequestID, Result: pnp.ERROR_OPERATION_ABORTED}.Append(nil))
	require.Equal(t, outcome{0, pnp.ERROR_OPERATION_ABORTED}, <-done)
	cancel()
	started(t, h, server.Request{Op: pnp.OpWrite})
	servertest.NextAs[wire.WriteRequest](ch) // nothing came before it
	require.NoError(t, h.Close())
}

// TestStartTooLong: what the transport cannot carry is refused, not split.
func TestStartTooLong(t *testing.T) {
	h, _ := limitedHandle(t, server.OpenOptions{})
	for _, r := range []server.Request{
		{Op: pnp.OpWrite, In: make([]byte, limit-wire.WriteRequestSize+1)},
		{Op: pnp.OpIOControl, In: make([]byte, limit-wire.IOControlRequestSize+1)},
	} {
		r.Done = func(int, error) { panic("it has not begun") }
		_, err := h.Start(r)
		require.ErrorIs(t, err, channels.ErrTooLong)
	}
	_, err := h.Start(server.Request{Op: pnp.OpRead, Out: make([]byte, 1<<30+1)})
	require.ErrorIs(t, err, pnp.ERROR_INVALID_PARAMETER)
}

// TestChannelClosed: it tells when the transport has closed the channel.
func TestChannelClosed(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	h, _ := f.Open(f.AddDevice(4), 6, server.OpenOptions{})
	select {
	case <-h.ChannelClosed():
		t.Fatal("it is open")
	default:
	}
	require.NoError(t, h.Close())
	<-h.ChannelClosed()
}
