// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	devices "freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/wire"
)

// forger is a client that answers a Read while it is being sent, by guessing
// its id, and ends the channel at the same moment.
type forger struct{ *memory.Link }

func (f forger) Open(ctx context.Context, name string, attach func(channels.ServerConn) channels.Receiver) error {
	return f.Link.Open(ctx, name, func(conn channels.ServerConn) channels.Receiver {
		c := &forgedConn{ServerConn: conn}
		c.receiver = attach(c)
		return c.receiver
	})
}

type forgedConn struct {
	channels.ServerConn
	receiver channels.Receiver
}

func (c *forgedConn) Send(msg []byte) error {
	if m, err := wire.Decode(msg, wire.IOToClient); err == nil && m.Kind == wire.KindReadRequest {
		if err := c.receiver.Receive(wire.DataReply{RequestID: m.RequestID, Data: []byte("forged")}.Append(nil)); err != nil {
			return err
		}
		return channels.ErrClosed
	}
	return c.ServerConn.Send(msg)
}

// TestForgedReply: the call fails like one that was never sent, and does not
// wait for a reply.
func TestForgedReply(t *testing.T) {
	c := devices.NewSession(devices.Config{})
	_, err := c.Add(loopback.New(loopback.DefaultDescription()))
	require.NoError(t, err)
	link := memory.NewLink(c)
	s := server.New(forger{link}, server.Config{})
	ctx := context.Background()
	require.NoError(t, s.Start(ctx))
	require.NoError(t, s.LoggedOn())
	d, err := s.WaitDevice(ctx, func(*server.Device) bool { return true })
	require.NoError(t, err)
	h, err := d.Open(ctx, server.OpenOptions{})
	require.NoError(t, err)
	_, err = h.ReadAt(ctx, make([]byte, 6), 0)
	require.ErrorIs(t, err, channels.ErrClosed)
	s.Close()
	link.Close()
	require.NoError(t, c.Close(ctx))
}
