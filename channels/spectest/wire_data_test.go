// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// dataReply has the rows of the two replies that carry data. They share their
// layout, and so their tests.
func dataReply(id string, decode decoder) {
	add(id, "layout", func(t *testing.T) {
		const msg = `
			efcdab 00 // RequestId, PacketType
			ea000780  // Result
			03000000  // count
			616263    // Data
			00        // UnusedByte`
		want := wire.DataReply{RequestID: 0xabcdef, Result: pnp.ERROR_MORE_DATA, Data: []byte("abc")}
		same(t, decode, msg, want)
		otherLengths(t, decode, msg)

		// A reply that is completed in place looks the same.
		buf := append(make([]byte, wire.DataReplyHead), "abcdefgh"...)
		got := wire.FinishDataReply(buf, want.RequestID, want.Result, 3)
		if !bytes.Equal(got, unhex(t, msg)) {
			t.Errorf("FinishDataReply makes %x", got)
		}
	})
	add(id, "without_data", func(t *testing.T) {
		const msg = "efcdab 00 ea000780 00000000 00"
		want := wire.DataReply{RequestID: 0xabcdef, Result: pnp.ERROR_MORE_DATA}
		same(t, decode, msg, want)
		otherLengths(t, decode, msg)
		buf := bytes.Repeat([]byte{0xff}, wire.DataReplyHead+wire.DataReplyTail)
		if got := wire.FinishDataReply(buf, want.RequestID, want.Result, 0); !bytes.Equal(got, unhex(t, msg)) {
			t.Errorf("FinishDataReply makes %x", got)
		}
	})
	add(id, "other_count_is_malformed", func(t *testing.T) {
		for _, n := range []uint32{0, 1, 2, 4, 5, 1 << 31, 1<<32 - 2, 1<<32 - 1} {
			rejected(t, decode, "efcdab 00 00000000"+u32(n)+"616263 00")
		}
	})
	add(id, "unused_byte_is_ignored", func(t *testing.T) {
		for _, unused := range []string{"01", "20", "ff"} {
			decodes(t, decode, "efcdab 00 00000000 03000000 616263"+unused,
				wire.DataReply{RequestID: 0xabcdef, Data: []byte("abc")})
		}
	})
}

func init() {
	dataReply("W-32", readReply)
	dataReply("W-36", ioControlReply)

	add("W-33", "layout", func(t *testing.T) {
		same(t, ioToClient, `
			010000 00 01000000 // RequestId, UnusedBits, FunctionId
			03000000 // cbWrite
			010000f0 // OffsetHigh
			feffffff // OffsetLow
			616263   // Data
			00       // UnusedByte`,
			wire.WriteRequest{RequestID: 1, Offset: 0xf0000001_fffffffe, Data: []byte("abc")})
		same(t, ioToClient, "01000000 01000000 00000000 00000000 00000000 00", wire.WriteRequest{RequestID: 1})
	})
	add("W-33", "unused_byte_may_be_anything_or_missing", func(t *testing.T) {
		for _, unused := range []string{"", "00", "20", "ff"} {
			decodes(t, ioToClient, "01000000 01000000 03000000 00000000 00000000 616263"+unused,
				wire.WriteRequest{RequestID: 1, Data: []byte("abc")})
			decodes(t, ioToClient, "01000000 01000000 00000000 00000000 00000000"+unused,
				wire.WriteRequest{RequestID: 1})
		}
	})
	add("W-33", "any_other_length_is_malformed", func(t *testing.T) {
		for _, cb := range []int{0, 1, 3, 64} {
			for have := range 80 {
				msg := "01000000 01000000" + u32(uint32(cb)) + "00000000 00000000" + strings.Repeat("aa", have)
				_, err := ioToClient(unhex(t, msg))
				if right := have == cb || have == cb+1; (err == nil) != right {
					t.Errorf("cbWrite %d with %d bytes behind it: error %v", cb, have, err)
				}
			}
		}
		for _, cb := range []uint32{1 << 31, 1<<32 - 1} {
			rejected(t, ioToClient, "01000000 01000000"+u32(cb)+"00000000 00000000")
			rejected(t, ioToClient, "01000000 01000000"+u32(cb)+"00000000 00000000 616263 00")
		}
		for n := range 20 {
			rejected(t, ioToClient, "01000000010000000000000000000000000000000000"[:2*n])
		}
	})

	add("W-35", "layout", func(t *testing.T) {
		same(t, ioToClient, `
			010000 00 02000000 // RequestId, UnusedBits, FunctionId
			402422f0 // IoCode
			03000000 // cbIn
			02000000 // cbOut
			616263   // DataIn
			7879     // DataOut
			00       // UnusedByte`,
			wire.IOControlRequest{RequestID: 1, IoCode: 0xf0222440, CbOut: 2, DataIn: []byte("abc"), DataOut: []byte("xy")})
		same(t, ioToClient, "01000000 02000000 402422f0 03000000 000000ff 616263 00",
			wire.IOControlRequest{RequestID: 1, IoCode: 0xf0222440, CbOut: 0xff000000, DataIn: []byte("abc")})
	})
	add("W-35", "data_out_is_what_lies_between", func(t *testing.T) {
		const in = 3
		for _, cbOut := range []uint32{0, 1, 4, 1 << 31, 1<<32 - 1} {
			for rest := range 12 { // bytes behind DataIn
				text := "01000000 02000000 40242200" + u32(in) + u32(cbOut) + "616263" + strings.Repeat("ee", rest)
				got, err := ioToClient(unhex(t, text))
				if err != nil {
					t.Errorf("cbOut %d, total %d: %v", cbOut, 20+in+rest, err)
					continue
				}
				m := got.IOControlRequest()
				// UnusedByte may only be missing if nothing follows DataIn.
				want := max(rest-1, 0)
				if string(m.DataIn) != "abc" || len(m.DataOut) != want || m.CbOut != cbOut {
					t.Errorf("cbOut %d, total %d: %+v; DataOut should have %d bytes", cbOut, 20+in+rest, m, want)
				}
			}
		}
	})
	add("W-35", "unused_byte_may_be_anything", func(t *testing.T) {
		for _, unused := range []string{"01", "20", "ff"} {
			decodes(t, ioToClient, "01000000 02000000 40242200 01000000 01000000 61 78"+unused,
				wire.IOControlRequest{RequestID: 1, IoCode: 0x222440, CbOut: 1, DataIn: []byte("a"), DataOut: []byte("x")})
		}
	})
	add("W-35", "data_in_must_be_there", func(t *testing.T) {
		for _, cbIn := range []uint32{4, 5, 6, 1 << 31, 1<<32 - 1} {
			rejected(t, ioToClient, "01000000 02000000 40242200"+u32(cbIn)+"00000000 616263")
		}
		for n := range 20 {
			rejected(t, ioToClient, "01000000020000000000000000000000000000000000"[:2*n])
		}
	})

	add("W-38", "layout", func(t *testing.T) {
		const msg = `
			000000 01 // RequestId, PacketType
			11111111 8080 5f42 922adabf3de3f69a // CustomEventGUID
			03000000  // cbData
			616263    // Data
			00        // UnusedByte`
		want := wire.CustomEvent{CustomEventGUID: pnp.MustGUID("{11111111-8080-425f-922a-dabf3de3f69a}"), Data: []byte("abc")}
		same(t, ioToServer, msg, want)
		otherLengths(t, ioToServer, msg)
		same(t, ioToServer, "00000001 00000000000000000000000000000000 00000000 00", wire.CustomEvent{})
	})
	add("W-38", "request_id_and_unused_byte_are_ignored", func(t *testing.T) {
		const body = "01 00112233445566778899aabbccddeeff 03000000 616263"
		want := wire.CustomEvent{CustomEventGUID: pnp.GUID(unhex(t, "00112233445566778899aabbccddeeff")), Data: []byte("abc")}
		for _, id := range []string{"000000", "010000", "efcdab", "ffffff"} {
			for _, unused := range []string{"00", "20", "ff"} {
				decodes(t, ioToServer, id+body+unused, want)
			}
		}
	})
	add("W-38", "other_count_or_packet_type_is_malformed", func(t *testing.T) {
		const guid = "00112233445566778899aabbccddeeff"
		for _, n := range []uint32{0, 1, 2, 4, 5, 1 << 31, 1<<32 - 1} {
			rejected(t, ioToServer, "00000001"+guid+u32(n)+"616263 00")
		}
		for _, packetType := range []int{2, 0xff} {
			rejected(t, ioToServer, fmt.Sprintf("000000%02x", packetType)+guid+"03000000 616263 00")
		}
		if m, err := ioToServer(unhex(t, "00000000"+guid+"03000000 616263 00")); err == nil && m.Kind == wire.KindCustomEvent {
			t.Errorf("a response was accepted as %v", m)
		}
	})
}
