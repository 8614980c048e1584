// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/wire"
)

// raw is a channel on which the test sends whatever it likes.
type raw struct {
	t      *testing.T
	conn   channels.ServerConn
	in     chan []byte
	closed chan struct{}
}

func (r *remote) raw(name string) *raw {
	r.t.Helper()
	c := &raw{t: r.t, in: make(chan []byte, 4096), closed: make(chan struct{})}
	err := r.peer.Open(r.ctx, name, func(conn channels.ServerConn) channels.Receiver {
		c.conn = conn
		return c
	})
	require.NoError(r.t, err)
	return c
}

func (c *raw) Receive(msg []byte) error {
	select {
	case c.in <- append([]byte(nil), msg...):
	default: // a test that floods does not read them
	}
	return nil
}
func (c *raw) Closed() { close(c.closed) }

func (c *raw) requireClosed() {
	c.t.Helper()
	select {
	case <-c.closed:
	case <-time.After(servertest.Patience):
		c.t.Fatal("the client does not close the channel")
	}
}

// TestBadMessages breaks the protocol on one channel after another: each breach
// ends its own channel and nothing else, even with 2.11, where Close does
// nothing.
func TestBadMessages(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		h := r.open(fakeDevice)
		caps := wire.CapabilitiesRequest{Version: 6}.Append(nil)
		for name, messages := range map[string][][]byte{
			"short header":        {{1, 2, 3}},
			"not capabilities":    {wire.ReadRequest{}.Append(nil)},
			"unknown function":    {caps, {0, 0, 0, 0, 3, 0, 0, 0}},
			"truncated":           {caps, wire.ReadRequest{}.Append(nil)[:19]},
			"over-long":           {caps, append(wire.ReadRequest{}.Append(nil), 0)},
			"long write":          {caps, append(wire.WriteRequest{Data: []byte("x")}.Append(nil), 0, 0)},
			"second CreateFile":   {caps, create(1), create(1)},
			"one byte of nothing": {{0}},
		} {
			t.Run(name, func(t *testing.T) {
				ch := r.raw(channels.FileRedirectorChannel)
				for _, m := range messages {
					require.NoError(t, ch.conn.Send(m))
				}
				ch.requireClosed()
			})
		}
		_, err := h.ReadAt(r.ctx, make([]byte, 64), 0)
		require.NoError(t, err, "another handle is affected")
		require.Len(t, r.Devices(), 1, "PNPDR is affected")
		r.finish(c)
	})
}

func create(device uint32) []byte {
	return wire.CreateFileRequest{RequestID: 1, DeviceID: device, DwDesiredAccess: 0xC0000000, DwShareMode: 3, DwCreationDisposition: 3}.Append(nil)
}

// TestSecondPNPDRIsRefused: there can be only one active instance (2.1).
func TestSecondPNPDRIsRefused(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		r.device(fakeDevice)
		err := r.peer.Open(r.ctx, channels.PNPDR, func(channels.ServerConn) channels.Receiver { return nil })
		require.ErrorIs(t, err, channels.ErrRefused)
		r.open(fakeDevice)
		r.finish(c)
	})
}

// TestFlood asks for far more than it reads: 512 MiB of replies on 8 channels.
// The client's memory stays within its limits, requests beyond them fail, and
// the session goes on.
func TestFlood(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback,max-session-bytes:16M")
		r.device(fakeDevice)
		before := rss(t, c.Pid())
		var flood []*raw
		for range 8 {
			ch := r.raw(channels.FileRedirectorChannel)
			require.NoError(t, ch.conn.Send(wire.CapabilitiesRequest{Version: 6}.Append(nil)))
			require.NoError(t, ch.conn.Send(create(1)))
			flood = append(flood, ch)
		}
		peak := before
		for i := range 64 {
			for _, ch := range flood {
				_ = ch.conn.Send(wire.ReadRequest{RequestID: wire.RequestID(i + 2), CbBytesToRead: 1 << 20}.Append(nil))
			}
			peak = max(peak, rss(t, c.Pid()))
		}
		// The queue is empty when this one is answered.
		h := r.open(fakeDevice)
		_, err := h.ReadAt(r.ctx, make([]byte, 64), 0)
		require.NoError(t, err)
		peak = max(peak, rss(t, c.Pid()))
		// 16 MiB of data count. Buffers, chunks and the slack of the garbage
		// collector come on top. Without the limit it would be 512 MiB.
		require.Less(t, peak-before, 250<<10, "KiB more than before")
		r.finish(c)
	})
}

// rss returns the resident memory of a process in KiB.
func rss(t *testing.T, pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for _, line := range strings.Split(string(status), "\n") {
		var n int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
