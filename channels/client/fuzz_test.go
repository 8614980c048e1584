package client

import (
	"context"
	"encoding/binary"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/loopback"
	"freerdp-pnpdr/pnp/wire"
)

// FuzzClientSession lets a hostile server say anything on PNPDR and two
// FileRedirectorChannels, and devices leave in between. The input is a list of
// steps: a byte that names the channel or an act, a length, that many bytes of
// message. Whatever comes, nothing panics, every request that was accepted is
// answered once, and the session ends with nothing left.
func FuzzClientSession(f *testing.F) {
	step := func(target byte, msg []byte) []byte {
		b := binary.LittleEndian.AppendUint16([]byte{target}, uint16(len(msg)))
		return append(b, msg...)
	}
	join := func(steps ...[]byte) (b []byte) {
		for _, s := range steps {
			b = append(b, s...)
		}
		return b
	}
	start := join(
		step(0, wire.OurVersion.Append(nil)),
		step(0, wire.AuthenticatedClient{}.Append(nil)),
		step(1, wire.CapabilitiesRequest{Version: 6}.Append(nil)),
		step(1, create(1)),
	)
	wait := wire.IOControlRequest{RequestID: 7, IoCode: loopback.IOCTL_WAIT, DataIn: []byte{255, 255, 255, 255}}.Append(nil)
	f.Add(start)
	f.Add(join(start, step(1, read(1, 64)), step(1, wire.WriteRequest{RequestID: 2, Data: []byte("data")}.Append(nil))))
	f.Add(join(start, step(1, wait), step(1, wire.IoCancelRequest{IDToCancel: 7}.Append(nil))))
	f.Add(join(start, step(1, wait), step(3, nil), step(1, read(1, 1))))
	f.Add(join(start, step(1, wait), step(4, nil)))
	f.Add(join(start, step(2, wire.CapabilitiesRequest{Version: 4}.Append(nil)), step(2, create(1)),
		step(1, wire.IOControlRequest{RequestID: 1, IoCode: loopback.IOCTL_RAISE_EVENT, DataIn: make([]byte, 20)}.Append(nil))))

	f.Fuzz(func(t *testing.T, input []byte) {
		s := NewSession(Config{})
		id, err := s.Add(loopback.New(loopback.DefaultDescription()))
		if err != nil {
			t.Fatal(err)
		}
		names := []string{channels.PNPDR, channels.FileRedirectorChannel, channels.FileRedirectorChannel}
		var receivers [3]channels.Receiver
		var conns [3]*wireConn
		var asked, told int
		open := func(i int) {
			conns[i] = &wireConn{}
			if receivers[i], err = s.Accept(names[i], conns[i]); err != nil {
				t.Fatal(err)
			}
		}
		for i := range names {
			open(i)
		}
		for len(input) >= 3 {
			target, n := input[0]%5, int(binary.LittleEndian.Uint16(input[1:]))
			input = input[3:]
			msg := input[:min(n, len(input))]
			input = input[len(msg):]
			switch target {
			case 3:
				s.Remove(id)
				if id, err = s.Add(loopback.New(pnp.Description{})); err != nil {
					t.Fatal(err)
				}
				continue
			case 4:
				target = 1 // the transport ends it
				msg = nil
			}
			if err := receivers[target].Receive(msg); err != nil {
				conns[target].closed = true
				receivers[target].Closed()
				open(int(target))
				continue
			}
			if h, err := wire.DecodeServerHeader(msg); target > 0 && err == nil && h.FunctionID != wire.SPECIFIC_IOCANCEL_REQUEST {
				asked++
			}
			for _, c := range conns[1:] {
				for _, m := range c.take() {
					h, err := wire.DecodeClientHeader(m)
					if err != nil {
						t.Fatalf("a reply is malformed: %v", err)
					}
					if h.PacketType == wire.RESPONSE_PACKET {
						told++
					}
				}
			}
		}
		if told > asked {
			t.Fatalf("%d replies to %d requests", told, asked)
		}
		for i, r := range receivers {
			conns[i].mu.Lock()
			conns[i].closed = true
			conns[i].mu.Unlock()
			r.Closed()
		}
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left := s.Counts(); left != (Counts{}) {
			t.Fatalf("left: %+v", left)
		}
	})
}
