// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"fmt"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// otherLengths checks that text is rejected with one byte more or less, and
// when cut anywhere.
func otherLengths(t *testing.T, decode decoder, text string) {
	t.Helper()
	msg := unhex(t, text)
	for n := range msg {
		if got, err := decode(msg[:n:n]); err == nil {
			t.Errorf("the first %d bytes of %x were accepted as %+v", n, msg, got)
		}
	}
	for n := 1; n <= 8; n++ {
		if got, err := decode(append(msg[:len(msg):len(msg)], make([]byte, n)...)); err == nil {
			t.Errorf("%x with %d bytes behind it was accepted as %+v", msg, n, got)
		}
	}
}

func init() {
	add("W-23", "request_header", func(t *testing.T) {
		const msg = "efcdab 00 05000000 0600"
		m, err := ioToClient(unhex(t, msg))
		if err != nil || m.RequestID != 0xabcdef || m.Kind != wire.KindCapabilitiesRequest {
			t.Errorf("%v, %v", m, err)
		}
		same(t, ioToClient, msg, wire.CapabilitiesRequest{RequestID: 0xabcdef, Version: 6})
	})
	add("W-23", "request_id_of_every_kind", func(t *testing.T) {
		for name, m := range requestKinds(0xabcdef) {
			msg := m.Append(nil)
			if !bytes.Equal(msg[:4], unhex(t, "efcdab00")) {
				t.Errorf("%s is sent with the header %x", name, msg[:8])
			}
			got, err := ioToClient(msg)
			if err != nil || text(got.Body()) != text(m) {
				t.Errorf("%v comes back as %v, %v", m, got, err)
			}
		}
	})

	add("W-24", "unused_bits_are_sent_as_0", func(t *testing.T) {
		for name, m := range requestKinds(0xffffffff) {
			if msg := m.Append(nil); msg[3] != 0 {
				t.Errorf("%s is sent with the header %x", name, msg[:8])
			}
		}
	})
	add("W-24", "unused_bits_are_ignored", func(t *testing.T) {
		for name, m := range requestKinds(0xabcdef) {
			msg := m.Append(nil)
			for _, unused := range []byte{1, 0x7f, 0x80, 0xff} {
				msg[3] = unused
				got, err := ioToClient(msg)
				if err != nil || text(got.Body()) != text(m) {
					t.Errorf("%s with UnusedBits 0x%x: %v, %v", name, unused, got, err)
				}
			}
		}
	})

	add("W-25", "function_ids", func(t *testing.T) {
		kinds := requestKinds(1)
		for name, id := range map[string]uint32{
			"Read": 0, "Write": 1, "IOControl": 2, "CreateFile": 4, "Capabilities": 5, "IoCancel": 6,
		} {
			msg := kinds[name].Append(nil)
			if got := le.Uint32(msg[4:]); got != id {
				t.Errorf("%s is sent with FunctionId %d", name, got)
			}
			if got, err := ioToClient(msg); err != nil || fmt.Sprintf("%T", got.Body()) != fmt.Sprintf("%T", kinds[name]) {
				t.Errorf("FunctionId %d is received as %v, %v", id, got, err)
			}
		}
	})
	add("W-25", "other_function_ids_are_unknown", func(t *testing.T) {
		for _, id := range []uint32{3, 7, 8, 0x100, 0x10000, 0x05000000, 1<<32 - 1} {
			for _, size := range []int{8, 10, 12, 20, 28, 37} {
				msg := make([]byte, size)
				le.PutUint32(msg[4:], id)
				if _, err := ioToClient(msg); err == nil {
					t.Errorf("FunctionId 0x%x was accepted in %d bytes", id, size)
				}
			}
		}
	})

	add("W-26", "reply_header", func(t *testing.T) {
		m, err := ioToServer(unhex(t, "efcdab 00"))
		if err != nil || m.RequestID != 0xabcdef || m.Kind != wire.KindReply {
			t.Errorf("%v, %v", m, err)
		}
		m, err = ioToServer(unhex(t, "efcdab 01 00000000000000000000000000000000 00000000 00"))
		if err != nil || m.RequestID != 0xabcdef || m.Kind != wire.KindCustomEvent {
			t.Errorf("%v, %v", m, err)
		}
		for packetType := 2; packetType < 0x100; packetType++ {
			rejected(t, ioToServer, fmt.Sprintf("efcdab %02x", packetType))
			rejected(t, ioToServer, fmt.Sprintf("efcdab %02x 00000000000000000000000000000000 00000000 00", packetType))
		}
		for n := range 4 {
			rejected(t, ioToServer, "efcdab"[:2*min(n, 3)])
		}
	})
	add("W-41", "packet_types", func(t *testing.T) {
		// PacketType by direction is all that tells a reply from an event.
		const rest = "00000000 00000000 00000000 00000000 00000000 00"
		for packetType := range 0x100 {
			m, err := ioToServer(unhex(t, fmt.Sprintf("efcdab %02x", packetType)+rest))
			want, known := map[int]wire.Kind{0: wire.KindReply, 1: wire.KindCustomEvent}[packetType]
			if (err == nil) != known || known && m.Kind != want {
				t.Errorf("PacketType 0x%02x: %v, %v", packetType, m.Kind, err)
			}
		}
		if msg := (wire.CustomEvent{}).Append(nil); !bytes.Equal(msg[:4], unhex(t, "000000 01")) {
			t.Errorf("a custom event has the header %x", msg[:4])
		}
	})

	add("W-26", "replies_are_responses", func(t *testing.T) {
		id := wire.RequestID(0xff_abcdef) // 24 bits of it count
		for _, m := range []message{
			wire.CapabilitiesReply{RequestID: id},
			wire.CreateFileReply{RequestID: id},
			wire.DataReply{RequestID: id},
			wire.WriteReply{RequestID: id},
		} {
			if msg := m.Append(nil); !bytes.Equal(msg[:4], unhex(t, "efcdab 00")) {
				t.Errorf("%T has the header %x", m, msg[:4])
			}
		}
		buf := make([]byte, wire.DataReplyHead+wire.DataReplyTail)
		if msg := wire.FinishDataReply(buf, id, 0, 0); !bytes.Equal(msg[:4], unhex(t, "efcdab 00")) {
			t.Errorf("FinishDataReply writes the header %x", msg[:4])
		}
		// A custom event is not a reply.
		rejected(t, capabilitiesReply, "efcdab 01 0600")
		rejected(t, createFileReply, "efcdab 01 00000000")
		rejected(t, readReply, "efcdab 01 00000000 00000000 00")
		rejected(t, writeReply, "efcdab 01 00000000 00000000")
		rejected(t, ioControlReply, "efcdab 01 00000000 00000000 00")
		rejected(t, ioControlReply, "efcdab 01 00000000000000000000000000000000 00000000 00")
	})

	add("W-27", "layout", func(t *testing.T) {
		const msg = `
			010000 00 // RequestId, UnusedBits
			05000000  // FunctionId
			0600      // Version`
		same(t, ioToClient, msg, wire.CapabilitiesRequest{RequestID: 1, Version: wire.VersionWithCustomEvents})
		otherLengths(t, ioToClient, msg)
		if wire.VersionWithoutCustomEvents != 4 {
			t.Errorf("the version without custom events is %d", wire.VersionWithoutCustomEvents)
		}
	})
	add("W-27", "any_version_is_accepted", func(t *testing.T) {
		for _, v := range []uint16{0, 1, 3, 4, 5, 6, 7, 0x100, 0xffff} {
			decodes(t, ioToClient, fmt.Sprintf("01000000 05000000 %02x%02x", byte(v), v>>8),
				wire.CapabilitiesRequest{RequestID: 1, Version: v})
		}
	})

	add("W-28", "layout", func(t *testing.T) {
		const msg = `
			efcdab 00 // RequestId, PacketType
			0600      // Version`
		same(t, capabilitiesReply, msg, wire.CapabilitiesReply{RequestID: 0xabcdef, Version: 6})
		otherLengths(t, capabilitiesReply, msg)
	})
	add("W-28", "any_version_is_accepted", func(t *testing.T) {
		for _, v := range []uint16{0, 1, 3, 4, 5, 6, 7, 0x100, 0xffff} {
			decodes(t, capabilitiesReply, fmt.Sprintf("01000000 %02x%02x", byte(v), v>>8),
				wire.CapabilitiesReply{RequestID: 1, Version: v})
		}
	})

	add("W-29", "layout", func(t *testing.T) {
		const msg = `
			010000 00 04000000 // RequestId, UnusedBits, FunctionId
			04000080 // DeviceId
			000000c0 // dwDesiredAccess
			03000000 // dwShareMode
			05000000 // dwCreationDisposition
			80000040 // dwFlagsAndAttributes`
		same(t, ioToClient, msg, wire.CreateFileRequest{
			RequestID:             1,
			DeviceID:              0x80000004,
			DwDesiredAccess:       pnp.GENERIC_READ | pnp.GENERIC_WRITE,
			DwShareMode:           pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE,
			DwCreationDisposition: pnp.TRUNCATE_EXISTING,
			DwFlagsAndAttributes:  0x40000080,
		})
		otherLengths(t, ioToClient, msg)
	})

	add("W-30", "layout", func(t *testing.T) {
		const msg = `
			efcdab 00 // RequestId, PacketType
			02000780  // Result`
		same(t, createFileReply, msg, wire.CreateFileReply{RequestID: 0xabcdef, Result: pnp.ERROR_FILE_NOT_FOUND})
		otherLengths(t, createFileReply, msg)
	})

	add("W-31", "layout", func(t *testing.T) {
		const msg = `
			010000 00 00000000 // RequestId, UnusedBits, FunctionId
			ffffffff // cbBytesToRead
			010000f0 // OffsetHigh
			feffffff // OffsetLow`
		same(t, ioToClient, msg, wire.ReadRequest{RequestID: 1, CbBytesToRead: 0xffffffff, Offset: 0xf0000001_fffffffe})
		otherLengths(t, ioToClient, msg)
	})

	add("W-34", "layout", func(t *testing.T) {
		const msg = `
			efcdab 00 // RequestId, PacketType
			05000780  // Result
			080000f0  // cbBytesWritten`
		same(t, writeReply, msg,
			wire.WriteReply{RequestID: 0xabcdef, Result: pnp.ERROR_ACCESS_DENIED, CbBytesWritten: 0xf0000008})
		otherLengths(t, writeReply, msg)
	})

	add("W-37", "layout", func(t *testing.T) {
		const msg = `
			ffffff 00 06000000 // RequestId, UnusedBits, FunctionId
			00                 // UnusedBits
			efcdab             // idToCancel`
		same(t, ioToClient, msg, wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: 0xabcdef})
		otherLengths(t, ioToClient, msg)
	})
	add("W-46", "id_in_the_low_bytes", func(t *testing.T) {
		for text, want := range map[string][2]wire.RequestID{
			"00 efcdab": {0xabcdef, 0xcdef00},
			"efcdab 00": {0x00abcd, 0xabcdef},
			"050000 00": {0, 5},
			"ff ffffff": {0xffffff, 0xffffff},
		} {
			m := must(t, ioToClient, unhex(t, "ffffff 00 06000000"+text)).IoCancelRequest()
			if got := [2]wire.RequestID{m.IDToCancel, m.LowID()}; got != want {
				t.Errorf("%s: %x, not %x", text, got, want)
			}
			encodes(t, m, "ffffff 00 06000000"+text)
		}
	})
	add("W-37", "unused_bits", func(t *testing.T) {
		decodes(t, ioToClient, "ffffff 00 06000000 ff efcdab",
			wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: 0xabcdef, UnusedBits: 0xff})
		encodes(t, wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: 0xff_abcdef}, "ffffff 00 06000000 00 efcdab")
	})
}
