// SPDX-License-Identifier: Apache-2.0

package unixsock_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// device returns the device that a session of these limits has, at the other end of a
// connection.
func device(t *testing.T, l pnp.SessionLimits) *server.Device {
	devices := client.NewSession(client.Config{Limits: l})
	_, err := devices.Add(loopback.New(loopback.DefaultDescription()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, devices.Close(context.Background())) })
	s := server.New(dialer(t, serve(t, devices)), server.Config{})
	t.Cleanup(s.Close)
	ctx := context.Background()
	require.NoError(t, s.Start(ctx))
	require.NoError(t, s.LoggedOn())
	d, err := s.WaitDevice(ctx, nil)
	require.NoError(t, err)
	return d
}

// TestRepliesLeave: a reply that was sent does not count as outstanding for ever.
func TestRepliesLeave(t *testing.T) {
	l := pnp.DefaultLimits()
	l.HandleRequests = 16
	h, err := device(t, l).Open(context.Background(), server.OpenOptions{})
	require.NoError(t, err)
	for i := range 100 * l.HandleRequests {
		_, err := h.WriteAt(context.Background(), []byte{1}, 0)
		require.NoError(t, err, "request %d", i)
	}
}

// accepting hands over each end that is accepted, and ignores what comes.
type accepting chan channels.Conn

func (a accepting) Accept(_ string, conn channels.Conn) (channels.Receiver, error) {
	a <- conn
	return a, nil
}

func (accepting) Receive([]byte) error { return nil }
func (accepting) Closed()              {}

// TestLostMessages: what was lost with its channel does not wait any more.
func TestLostMessages(t *testing.T) {
	accepted := make(accepting, 2)
	path := serve(t, accepted)
	var peers [2]net.Conn
	var ends [2]channels.Conn
	for i := range peers {
		peer, err := net.Dial("unix", path)
		require.NoError(t, err)
		defer peer.Close()
		_, err = peer.Write([]byte("\x05\x00\x00\x00PNPDR"))
		require.NoError(t, err)
		peers[i], ends[i] = peer, <-accepted
	}
	const n, size = 20, 1 << 20 // more than a socket has room for
	for range n {
		require.NoError(t, ends[0].Send(make([]byte, size)))
	}
	require.NoError(t, peers[0].Close())
	require.Eventually(t, func() bool {
		sent, err := ends[1].Sent()
		return err == nil && sent == n*uint64(channels.WireSize(size))
	}, time.Minute, time.Millisecond)
}
