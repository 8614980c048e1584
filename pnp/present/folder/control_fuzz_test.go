// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"io"
	"log/slog"
	"testing"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// FuzzControl sends packets, each after a byte with its length, and then asks for
// something that makes sense.
func FuzzControl(f *testing.F) {
	p := presenttest.NewPair(f, server.Config{}, loop("Scale"))
	d := p.Device("Scale", plain[0])
	d.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) // not that of f
	c, err := newControl(d)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.close)
	request := func(kind, id, code, room uint32, in string) []byte {
		b := []byte{byte(requestHeader + len(in))}
		for _, v := range []uint32{kind, id, code, room} {
			b = le.AppendUint32(b, v)
		}
		return append(b, in...)
	}
	f.Add(request(requestIOControl, 1, loopback.IOCTL_ECHO, 3, "abc"))
	f.Add(append(request(requestIOControl, 1, loopback.IOCTL_WAIT, 0, "\xff\xff\xff\xff"), request(requestCancel, 1, 0, 0, "")...))
	f.Add(append(request(requestEvents, 1, 0, 0, ""), request(requestIOControl, 2, loopback.IOCTL_RAISE_EVENT, 0, "0123456789abcdefdata")...))
	f.Add(request(7, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, "x"))
	f.Add([]byte{3, 1, 2})
	f.Fuzz(func(t *testing.T, packets []byte) {
		conn, err := connect("unixpacket", c.path)
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(io.Discard, conn) // until it is closed
		}()
		for len(packets) > 0 {
			n := min(int(packets[0]), len(packets)-1)
			if _, err := conn.Write(packets[1 : 1+n]); err != nil {
				break // it was refused
			}
			packets = packets[1+n:]
		}
		_ = conn.Close()
		<-read
		// Connections that have been closed may still count for a moment.
		eventually(t, func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.conns) < maxConnections/2
		}, "room for another connection")
		sane := dial(t, c.path)
		sane.send(requestIOControl, 7, loopback.IOCTL_ECHO, 4, "echo")
		sane.want(7, pnp.S_OK, "echo")
		_ = sane.conn.Close()
	})
}
