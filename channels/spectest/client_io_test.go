// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/wire"
)

// offsets include those that signed or 32-bit arithmetic would get wrong.
var offsets = []uint64{0, 1, 1<<32 - 1, 1 << 32, 0x70000001_ffffffff, 1<<63 - 1, 1 << 63, 1<<64 - 1}

// openFile makes a session with a file as its device, and opens it.
func openFile(t *testing.T, content string, src backend.Source) *clientChannel {
	t.Helper()
	path := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	src.Path = path
	dev, err := file.New(src)
	if err != nil {
		t.Fatal(err)
	}
	c := newClientSide(t)
	id := c.add(dev)
	c.announced()
	return c.open(id)
}

// dataOperations are the two operations whose reply carries data.
var dataOperations = map[string]func(id wire.RequestID, room uint32) message{
	"Read": func(id wire.RequestID, room uint32) message {
		return wire.ReadRequest{RequestID: id, CbBytesToRead: room}
	},
	"IOControl": func(id wire.RequestID, room uint32) message {
		return wire.IOControlRequest{RequestID: id, IoCode: 0x222440, CbOut: room}
	},
}

func init() {
	add("C-19", "read_uses_length_and_unsigned_offset", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for i, offset := range offsets {
			id := wire.RequestID(3 + i)
			ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: uint32(i), Offset: offset})
			r := h.request(t)
			if r.Op != pnp.OpRead || r.Offset != offset || len(r.Out) != i || len(r.In) != 0 {
				t.Errorf("the device was asked for %v of %d bytes at %d, not %d at %d", r.Op, len(r.Out), r.Offset, i, offset)
			}
			r.Complete(pnp.S_OK, 0)
			ch.expect(wire.DataReply{RequestID: id})
		}
	})
	add("C-19", "offset_a_file_cannot_hold", func(t *testing.T) {
		ch := openFile(t, "content", backend.Source{})
		for i, offset := range []uint64{1 << 63, 1<<63 + 1, 1<<64 - 1} {
			id := wire.RequestID(3 + 2*i)
			ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: 4, Offset: offset})
			ch.expect(wire.DataReply{RequestID: id, Result: 0x80070057})
			ch.receive(wire.WriteRequest{RequestID: id + 1, Data: []byte("x"), Offset: offset})
			ch.expect(wire.WriteReply{RequestID: id + 1, Result: 0x80070057})
		}
		ch.receive(wire.ReadRequest{RequestID: 99, CbBytesToRead: 4, Offset: 3})
		ch.expect(wire.DataReply{RequestID: 99, Data: []byte("tent")})
	})

	add("C-20", "read_reply_has_result_and_all_data", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		data := make([]byte, 100000)
		for i := range data {
			data[i] = byte(i * 7)
		}
		for i, n := range []int{0, 1, 8, 4095, 100000} {
			id := wire.RequestID(3 + i)
			ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: uint32(n)})
			r := h.request(t)
			r.Complete(pnp.S_OK, copy(r.Out, data))
			ch.expect(wire.DataReply{RequestID: id, Data: data[:n]})
		}
		// Other success codes than S_OK are passed on as well.
		ch.receive(wire.ReadRequest{RequestID: 99, CbBytesToRead: 1})
		h.request(t).Complete(0x00040001, 0)
		ch.expect(wire.DataReply{RequestID: 99, Result: 0x00040001})
	})
	add("C-20", "short_read", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for n := range 8 {
			ch.receive(wire.ReadRequest{RequestID: 3, CbBytesToRead: 8})
			r := h.request(t)
			copy(r.Out, "abcdefgh")
			r.Complete(pnp.S_OK, n)
			ch.expect(wire.DataReply{RequestID: 3, Data: []byte("abcdefgh")[:n]})
		}
		file := openFile(t, "content", backend.Source{})
		file.receive(wire.ReadRequest{RequestID: 3, CbBytesToRead: 100, Offset: 4})
		file.expect(wire.DataReply{RequestID: 3, Data: []byte("ent")})
	})

	add("C-21", "write_uses_data_and_offset", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for i, offset := range offsets {
			id, data := wire.RequestID(3+i), bytes.Repeat([]byte{byte(i)}, 1+i*1000)
			ch.receive(wire.WriteRequest{RequestID: id, Data: data, Offset: offset})
			r := h.request(t) // the memory of the message has been used again by now
			if r.Op != pnp.OpWrite || r.Offset != offset || !bytes.Equal(r.In, data) || len(r.Out) != 0 {
				t.Errorf("the device got %v of %d bytes at %d, not %d at %d", r.Op, len(r.In), r.Offset, len(data), offset)
			}
			r.Complete(pnp.S_OK, len(data))
			ch.expect(wire.WriteReply{RequestID: id, CbBytesWritten: uint32(len(data))})
		}
	})
	add("C-21", "reply_has_result_and_count", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for _, c := range []struct {
			hr          pnp.HRESULT
			n           int
			wantWritten uint32
		}{{pnp.S_OK, 4, 4}, {pnp.S_OK, 2, 2}, {pnp.S_OK, 0, 0}, {pnp.ERROR_DISK_FULL, 3, 3}, {pnp.ERROR_IO_DEVICE, 0, 0}, {pnp.S_OK, 5, 4}} {
			ch.receive(wire.WriteRequest{RequestID: 3, Data: []byte("data")})
			h.request(t).Complete(c.hr, c.n)
			ch.expect(wire.WriteReply{RequestID: 3, Result: c.hr, CbBytesWritten: c.wantWritten})
		}
	})
	add("C-21", "empty_write", func(t *testing.T) {
		dev := newScriptedDevice("d")
		dev.try = func(r *pnp.Request) bool { return r.Complete(pnp.S_OK, 0) }
		ch, _ := serve(t, dev)
		ch.receive(wire.WriteRequest{RequestID: 3, Offset: 7})
		ch.expect(wire.WriteReply{RequestID: 3})
	})
	add("C-21", "write_without_unused_byte", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for _, unused := range []string{"", "20"} {
			ch.receive(raw(unhex(t, "03000000 01000000 02000000 00000000 00000000 6162"+unused)))
			if r := h.request(t); string(r.In) != "ab" {
				t.Errorf("the device got %q", r.In)
			} else {
				r.Complete(pnp.S_OK, 2)
			}
			ch.expect(wire.WriteReply{RequestID: 3, CbBytesWritten: 2})
		}
	})

	add("C-22", "data_out_of_wrong_size", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for _, c := range []struct{ cbOut, dataOut int }{{0, 1}, {0, 8}, {8, 1}, {8, 7}, {8, 9}, {1 << 30, 4}, {1, 2}} {
			ch.receive(wire.IOControlRequest{RequestID: 3, IoCode: 0x222440, CbOut: uint32(c.cbOut),
				DataIn: []byte("in"), DataOut: make([]byte, c.dataOut)})
			ch.expect(raw(unhex(t, "030000 00 7a000780 00000000 00")))
			h.untouched(t)
		}
		// The UnusedByte is missing: by the formula DataOut has 7 of 8 bytes.
		ch.receive(raw(unhex(t, "03000000 02000000 40242200 00000000 08000000 6162636465666768")))
		ch.expect(wire.DataReply{RequestID: 3, Result: pnp.ERROR_INSUFFICIENT_BUFFER})
		h.untouched(t)
	})

	add("C-23", "io_control_reaches_the_device", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for _, c := range []struct {
			in      string
			cbOut   uint32
			dataOut []byte
		}{
			{"input", 8, nil},
			{"input", 8, []byte("8 bytes.")},
			{"", 8, nil},
			{"", 8, []byte("8 bytes.")},
			{"input", 0, nil},
			{"", 0, nil},
		} {
			ch.receive(wire.IOControlRequest{RequestID: 3, IoCode: 0x80222440, CbOut: c.cbOut, DataIn: []byte(c.in), DataOut: c.dataOut})
			r := h.request(t)
			if r.Op != pnp.OpIOControl || r.Code != 0x80222440 || string(r.In) != c.in || len(r.Out) != int(c.cbOut) {
				t.Errorf("%+v: the device got %v 0x%x with %q in and room for %d", c, r.Op, r.Code, r.In, len(r.Out))
			}
			if want := append(c.dataOut, make([]byte, c.cbOut)...)[:c.cbOut]; !bytes.Equal(r.Out, want) {
				t.Errorf("%+v: the buffer for the output contains %q", c, r.Out)
			}
			n := copy(r.Out, "out")
			r.Complete(pnp.S_OK, n)
			ch.expect(wire.DataReply{RequestID: 3, Data: []byte("out")[:n]})
		}
	})

	for _, id := range []string{"C-24", "W-36"} {
		add(id, "no_more_than_cb_out", func(t *testing.T) {
			ch, h := serve(t, newScriptedDevice("d"))
			for _, cbOut := range []int{0, 1, 8} {
				for _, claimed := range []int{cbOut, cbOut + 1, cbOut + 1000, math.MaxInt, -1} {
					ch.receive(wire.IOControlRequest{RequestID: 3, CbOut: uint32(cbOut), DataIn: []byte("secret")})
					r := h.request(t)
					copy(r.Out, "abcdefgh")
					r.Complete(pnp.S_OK, claimed)
					want := min(max(claimed, 0), cbOut)
					ch.expect(wire.DataReply{RequestID: 3, Data: []byte("abcdefgh")[:want]})
				}
			}
		})
	}

	add("C-34", "huge_lengths_are_not_allocated", func(t *testing.T) {
		limits := pnp.DefaultLimits()
		limits.ReplyData = 4096
		for name, request := range dataOperations {
			dev := newScriptedDevice("d")
			dev.try = func(r *pnp.Request) bool {
				if len(r.Out) > limits.ReplyData {
					t.Errorf("%v with room for %d bytes reached the device", r.Op, len(r.Out))
				}
				return r.Complete(pnp.S_OK, len(r.Out))
			}
			ch, _ := serve(t, dev, limits)
			for _, room := range []uint32{4096, 4097, 1 << 20, 1 << 30, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				ch.receive(request(3, room))
				msg := ch.next()
				runtime.ReadMemStats(&after)
				m := must(t, readReply, msg).DataReply()
				if m.RequestID != 3 || len(m.Data) > limits.ReplyData || room == 4096 && len(m.Data) != 4096 {
					t.Errorf("%s of %d bytes is answered by %v", name, room, m)
				}
				if name == "IOControl" && room > 4096 && !m.Result.Failed() {
					t.Errorf("an IOControl for %d bytes succeeds with %d", room, len(m.Data))
				}
				if spent := after.TotalAlloc - before.TotalAlloc; spent > 1<<20 {
					t.Errorf("%s of %d bytes allocates %d", name, room, spent)
				}
			}
		}
	})

	for _, id := range []string{"C-36", "W-36", "W-32"} {
		add(id, "a_failure_has_the_full_shape", func(t *testing.T) {
			ch, h := serve(t, newScriptedDevice("d"))
			for _, request := range dataOperations {
				ch.receive(request(3, 8))
				h.request(t).Complete(pnp.ERROR_IO_DEVICE, 0)
				ch.expect(raw(unhex(t, `
					030000 00 // RequestId, PacketType
					5d040780  // Result
					00000000  // count
					00        // UnusedByte`)))
				ch.receive(request(3, 8))
				r := h.request(t)
				copy(r.Out, "more")
				r.Complete(pnp.ERROR_MORE_DATA, 4)
				ch.expect(raw(unhex(t, "030000 00 ea000780 04000000 6d6f7265 00")))
			}
		})
	}

	add("C-36", "a_refusal_has_the_full_shape", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		c.announced()
		unopened, mismatched, removed := c.greeted(), c.open(id), c.open(id)
		mismatched.receive(wire.IOControlRequest{RequestID: 3, CbOut: 2, DataOut: []byte("x")})
		mismatched.expect(raw(unhex(t, "030000 00 7a000780 00000000 00")))
		c.s.Remove(id)
		for _, ch := range []*clientChannel{unopened, removed} {
			for name, m := range operations(3) {
				if err := ch.deliver(m); err != nil {
					break // C-18 allows it
				}
				msg := ch.next()
				if hr := operationResult(t, name, 3, msg); !hr.Failed() {
					t.Errorf("%s: %v", name, hr)
				}
				if count := le.Uint32(msg[8:]); count != 0 {
					t.Errorf("%s: count %d", name, count)
				}
			}
		}
	})

	add("C-38", "read_only_file", func(t *testing.T) {
		ch := openFile(t, "content", backend.Source{ReadOnly: true}) // asks for 0xC0000000
		ch.receive(wire.WriteRequest{RequestID: 3, Data: []byte("x")})
		ch.expect(wire.WriteReply{RequestID: 3, Result: 0x80070005})
		ch.receive(wire.ReadRequest{RequestID: 4, CbBytesToRead: 100})
		ch.expect(wire.DataReply{RequestID: 4, Data: []byte("content")})
	})
	add("C-38", "unknown_bits_are_tolerated", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "device")
		if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		dev, err := file.New(backend.Source{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		c := newClientSide(t)
		id := c.add(dev)
		c.announced()
		for name, change := range map[string]func(*wire.CreateFileRequest){
			"access": func(m *wire.CreateFileRequest) { m.DwDesiredAccess = 0xc0000000 | 0x00ff0180 },
			"share":  func(m *wire.CreateFileRequest) { m.DwShareMode = 1<<32 - 1 },
			"flags":  func(m *wire.CreateFileRequest) { m.DwFlagsAndAttributes = 0xffffffff },
			"delete": func(m *wire.CreateFileRequest) { m.DwFlagsAndAttributes = 0x04000000 },
		} {
			m := createFile(2, id)
			change(&m)
			ch := c.greeted()
			ch.receive(m)
			if hr := createResult(t, ch.next()); hr != pnp.S_OK {
				t.Errorf("other bits of %s: %v", name, hr)
				continue
			}
			ch.receive(wire.ReadRequest{RequestID: 4, CbBytesToRead: 3})
			ch.expect(wire.DataReply{RequestID: 4, Data: []byte("con")})
			ch.close()
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
}
