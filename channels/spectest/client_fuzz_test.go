// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/wire"
)

// FuzzClientSession plays whole sessions: arbitrary messages on PNPDR and two
// FileRedirectorChannels, closing and reopening of channels, and devices that
// come and go. In every case each message from the client is well formed, each
// request has at most one reply, and nothing is left at the end.
func FuzzClientSession(f *testing.F) {
	hello := script(wire.OurVersion, wire.AuthenticatedClient{})
	file := func(ms ...message) []byte {
		ms = append([]message{wire.CapabilitiesRequest{RequestID: 1, Version: 6}, createFile(2, 1)}, ms...)
		return scriptOn(1, ms...)
	}
	guid := pnp.GUID{1, 2, 3}
	f.Add(hello)
	f.Add(append(hello, file(wire.WriteRequest{RequestID: 3, Data: []byte("data")}, wire.ReadRequest{RequestID: 4, CbBytesToRead: 9})...))
	f.Add(append(hello, file(
		wire.IOControlRequest{RequestID: 3, IoCode: loopback.IOCTL_WAIT, DataIn: []byte{0xff, 0xff, 0xff, 0xff}},
		cancelOf(3),
		wire.IOControlRequest{RequestID: 3, IoCode: loopback.IOCTL_ECHO, CbOut: 4, DataIn: []byte("echo"), DataOut: []byte("four")},
		wire.IOControlRequest{RequestID: 4, IoCode: loopback.IOCTL_RAISE_EVENT, DataIn: append(guid[:], "event"...)},
	)...))
	f.Add(append(append(hello, file(
		wire.IOControlRequest{RequestID: 3, IoCode: loopback.IOCTL_WAIT, DataIn: []byte{0xff, 0xff, 0xff, 0xff}})...), 0x80, 0x84, 0x88, 0x81, 0x82))
	f.Add(append(file(wire.WriteRequest{RequestID: 5}), hello...)) // before it was announced
	f.Add(append(hello, file(createFile(3, 1), wire.ReadRequest{RequestID: 2, CbBytesToRead: 1<<32 - 1})...))
	f.Add(append(script(wire.OurVersion, raw{1}, wire.OurVersion, wire.AuthenticatedClient{}), file()...))

	f.Fuzz(func(t *testing.T, play []byte) {
		limits := pnp.DefaultLimits()
		limits.ReplyData, limits.HandleRequests, limits.HandleBytes = 4096, 8, 16<<10
		s := client.NewSession(client.Config{Limits: limits, Log: slog.New(noErrors{t})})
		names := [...]string{channels.PNPDR, channels.FileRedirectorChannel, channels.FileRedirectorChannel}
		var ends [len(names)]*fuzzedChannel
		var ids []uint32
		add := func() {
			if id, err := s.Add(loopback.New(loopback.DefaultDescription())); err == nil {
				ids = append(ids, id)
			}
		}
		add()
		for len(play) > 0 {
			code := play[0]
			play = play[1:]
			which := int(code&3) % len(names)
			if code < 0x80 { // a message: its length, its bytes
				if len(play) == 0 {
					break
				}
				n := min(int(play[0]), len(play)-1)
				msg := bytes.Clone(play[1 : 1+n])
				play = play[1+n:]
				if ends[which] == nil {
					ends[which] = openFuzzed(t, s, names[which])
				}
				if ends[which].receive(msg) != nil {
					ends[which].close()
					ends[which] = nil
				}
				continue
			}
			switch code & 0x0c {
			case 0x00:
				if ends[which] != nil {
					ends[which].close()
					ends[which] = nil
				}
			case 0x04:
				add()
			case 0x08:
				if len(ids) > 0 {
					s.Remove(ids[0])
					ids = ids[1:]
				}
			}
		}
		for _, end := range ends {
			if end != nil {
				end.close()
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), watchdog)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if n := s.Counts(); n != (client.Counts{}) {
			t.Fatalf("the session has ended and holds %+v", n)
		}
	})
}

// fuzzedChannel is one channel of a fuzzed session. Its conn checks what is sent.
type fuzzedChannel struct {
	conn *recordingConn
	r    channels.Receiver
}

func openFuzzed(t *testing.T, s *client.Session, name string) *fuzzedChannel {
	c := &fuzzedChannel{conn: newRecordingConn(t, name)}
	r, err := s.Accept(name, c.conn)
	if err != nil {
		t.Fatal(err)
	}
	c.r = r
	return c
}

func (c *fuzzedChannel) receive(msg []byte) error {
	c.conn.asks(msg)
	err := c.r.Receive(msg)
	clear(msg)
	return err
}

func (c *fuzzedChannel) close() {
	c.conn.close()
	c.r.Closed()
}

// script and scriptOn encode messages for FuzzClientSession.
func script(ms ...message) []byte { return scriptOn(0, ms...) }

func scriptOn(channel byte, ms ...message) []byte {
	var b []byte
	for _, m := range ms {
		msg := m.Append(nil)
		b = append(b, channel, byte(len(msg)))
		b = append(b, msg...)
	}
	return b
}
