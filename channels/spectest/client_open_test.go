// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// operations are the requests that need a handle.
func operations(id wire.RequestID) map[string]message {
	return map[string]message{
		"Read":      wire.ReadRequest{RequestID: id, CbBytesToRead: 8},
		"Write":     wire.WriteRequest{RequestID: id, Data: []byte("data")},
		"IOControl": wire.IOControlRequest{RequestID: id, IoCode: 0x222440, CbOut: 8, DataIn: []byte("in")},
	}
}

// operationResult returns the result in the reply to an operation. The reply
// must have its full shape and the id of the request.
func operationResult(t *testing.T, name string, id wire.RequestID, msg []byte) pnp.HRESULT {
	t.Helper()
	decode := map[string]decoder{"Read": readReply, "Write": writeReply, "IOControl": ioControlReply}[name]
	m, err := decode(msg)
	if err != nil || m.RequestID != id {
		t.Fatalf("%s is answered by %x: %v", name, msg, err)
	}
	if m.Kind == wire.KindWriteReply {
		return m.WriteReply().Result
	}
	return m.DataReply().Result
}

// refuses checks that each operation gets an error or ends a channel that
// prepare makes.
func refuses(t *testing.T, prepare func() *clientChannel) {
	t.Helper()
	for name, m := range operations(9) {
		ch := prepare()
		if err := ch.deliver(m); err != nil {
			continue
		}
		if hr := operationResult(t, name, 9, ch.next()); !hr.Failed() {
			t.Errorf("%s is answered by %v", name, hr)
		}
	}
}

func init() {
	add("C-10", "channels_are_independent", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		c.announced()
		old, young := c.open(id, 4), c.open(id, 6)
		h1, h2 := dev.handle(t), dev.handle(t)
		if h1 == h2 {
			t.Fatal("two channels share a handle")
		}

		// The same ids are outstanding on both.
		old.receive(wire.ReadRequest{RequestID: 7, CbBytesToRead: 4})
		young.receive(wire.ReadRequest{RequestID: 7, CbBytesToRead: 4})
		r1, r2 := h1.request(t), h2.request(t)
		young.receive(wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: 7})
		if got := await(t, h2.cancelled, "Cancel"); got != r2 {
			t.Error("the other channel's request was cancelled")
		}
		young.expect(wire.DataReply{RequestID: 7, Result: pnp.ERROR_OPERATION_ABORTED})
		r1.Out[0] = 'x'
		r1.Complete(pnp.S_OK, 1)
		old.expect(wire.DataReply{RequestID: 7, Data: []byte("x")})

		// Each has a version of its own.
		dev.raise(t, pnp.Event{Data: []byte("event")})
		young.expect(wire.CustomEvent{Data: []byte("event")})
		old.silent()

		// One ends without the other.
		old.close()
		await(t, h1.closed, "Close")
		young.receive(wire.WriteRequest{RequestID: 8, Data: []byte("ab")})
		h2.request(t).Complete(pnp.S_OK, 2)
		young.expect(wire.WriteReply{RequestID: 8, CbBytesWritten: 2})
		if h2.isClosed() {
			t.Error("both handles were closed")
		}
	})

	add("W-24", "the_client_ignores_unused_bits", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		c.announced()
		// unused sets the UnusedBits of a request.
		unused := func(m message) message {
			msg := m.Append(nil)
			msg[3] = 0xff
			return raw(msg)
		}
		ch := c.file()
		ch.receive(unused(wire.CapabilitiesRequest{RequestID: 1, Version: 6}))
		ch.expect(wire.CapabilitiesReply{RequestID: 1, Version: 6})
		ch.receive(unused(createFile(2, id)))
		ch.expect(wire.CreateFileReply{RequestID: 2})
		h := dev.handle(t)
		for name, m := range operations(3) {
			ch.receive(unused(m))
			h.request(t).Complete(pnp.S_OK, 0)
			if hr := operationResult(t, name, 3, ch.next()); hr != pnp.S_OK {
				t.Errorf("%s: %v", name, hr)
			}
			// With and without, it is one id.
			ch.receive(m)
			h.request(t)
			ch.receive(unused(cancelOf(3)))
			if hr := operationResult(t, name, 3, ch.next()); hr != pnp.ERROR_OPERATION_ABORTED {
				t.Errorf("cancelled %s: %v", name, hr)
			}
		}
		ch.receive(wire.ReadRequest{RequestID: 3})
		h.request(t)
		ch.terminates(unused(wire.ReadRequest{RequestID: 3}))
	})

	add("C-41", "capabilities_reply_is_the_first_message", func(t *testing.T) {
		c := newClientSide(t)
		dev, other := newScriptedDevice("d"), newScriptedDevice("other")
		id, otherID := c.add(dev), c.add(other)
		c.announced()
		c.open(id)

		// Whatever else happens, the client waits for the server.
		ch := c.file()
		dev.raise(t, pnp.Event{Data: []byte("event")})
		c.add(newScriptedDevice("new"))
		c.s.Remove(otherID)
		if n := ch.conn.count(); n != 0 {
			t.Errorf("%d messages were sent unasked", n)
		}
		ch.receive(wire.CapabilitiesRequest{RequestID: 7, Version: 6})
		dev.raise(t, pnp.Event{Data: []byte("event")})
		ch.expect(wire.CapabilitiesReply{RequestID: 7, Version: 6})
		ch.silent()

		// And nothing else is answered first.
		first := operations(1)
		first["CreateFile"], first["IoCancel"] = createFile(1, id), cancelOf(1)
		for name, m := range first {
			ch := c.file()
			_ = ch.deliver(m)
			if n := ch.conn.count(); n != 0 {
				t.Errorf("%s is answered", name)
			}
		}
	})

	add("C-11", "first_message_is_capabilities_request", func(t *testing.T) {
		first := map[string]message{
			"nothing":                 raw{},
			"a byte":                  raw{0},
			"header alone":            raw(unhex(t, "01000000 05000000")),
			"Capabilities cut":        raw(unhex(t, "01000000 05000000 06")),
			"Capabilities and a byte": raw(unhex(t, "01000000 05000000 0600 00")),
			"FunctionId 3":            raw(unhex(t, "01000000 03000000 0600")),
			"IoCancel":                wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: 1},
			"CreateFile":              createFile(1, 1),
			"a message of PNPDR's":    wire.OurVersion,
		}
		for name, m := range operations(1) {
			first[name] = m
		}
		for name, m := range first {
			t.Run(name, func(t *testing.T) {
				c := newClientSide(t)
				dev := newScriptedDevice("d")
				id := c.add(dev)
				c.announced()
				c.file().terminates(m)
				if n := len(dev.opened()); n != 0 {
					t.Errorf("the device was opened %d times", n)
				}
				c.open(id) // other channels are not affected
			})
		}
	})

	add("C-12", "capabilities_reply", func(t *testing.T) {
		for _, version := range []uint16{0, 4, 6, 7, 0xffff} {
			ch := newClientSide(t).file()
			ch.receive(wire.CapabilitiesRequest{RequestID: 0xabcdef, Version: version})
			ch.expect(raw(unhex(t, "efcdab 00 0600")))
			ch.silent()
		}
	})
	add("C-12", "a_further_request_changes_nothing", func(t *testing.T) {
		for first, events := range map[uint16]bool{4: false, 6: true} {
			c := newClientSide(t)
			dev := newScriptedDevice("d")
			id := c.add(dev)
			c.announced()
			ch := c.greeted(first)
			again := func(id wire.RequestID) {
				ch.receive(wire.CapabilitiesRequest{RequestID: id, Version: 10 - first})
				ch.expect(wire.CapabilitiesReply{RequestID: id, Version: 6})
			}
			again(3)
			ch.receive(createFile(2, id))
			ch.expect(wire.CreateFileReply{RequestID: 2})
			h := dev.handle(t)
			ch.receive(wire.ReadRequest{RequestID: 5, CbBytesToRead: 1})
			again(3)
			dev.raise(t, pnp.Event{GUID: pnp.GUID{1}})
			if events {
				ch.expect(wire.CustomEvent{CustomEventGUID: pnp.GUID{1}})
			}
			h.request(t).Complete(pnp.S_OK, 0)
			ch.expect(wire.DataReply{RequestID: 5})
			if h.isClosed() {
				t.Error("the handle was closed")
			}
		}
	})

	add("C-14", "create_file_opens_with_the_parameters_given", func(t *testing.T) {
		c := newClientSide(t)
		other, dev := newScriptedDevice("other"), newScriptedDevice("d")
		c.add(other)
		id := c.add(dev)
		c.announced()
		for _, m := range []wire.CreateFileRequest{
			createFile(0x1234, id),
			{RequestID: 0, DeviceID: id, DwDesiredAccess: 1, DwShareMode: 2, DwCreationDisposition: 3, DwFlagsAndAttributes: 4},
			{RequestID: 0xffffff, DeviceID: id, DwDesiredAccess: 1 << 31, DwShareMode: 1<<32 - 1, DwCreationDisposition: 5, DwFlagsAndAttributes: 1 << 31},
		} {
			ch := c.greeted()
			ch.receive(m)
			ch.expect(wire.CreateFileReply{RequestID: m.RequestID, Result: pnp.S_OK})
			list := dev.opened()
			r := list[len(list)-1]
			r.NoBlock, r.Handle = false, 0
			if want := (pnp.OpenRequest{Access: m.DwDesiredAccess, Share: m.DwShareMode, Disposition: m.DwCreationDisposition, Flags: m.DwFlagsAndAttributes}); !reflect.DeepEqual(r, want) {
				t.Errorf("opened with %+v, not %+v", r, want)
			}
		}
		if n := len(dev.opened()); n != 3 {
			t.Errorf("%d opens of 3 CreateFiles", n)
		}
		if len(other.opened()) != 0 {
			t.Error("the other device was opened")
		}
	})
	add("C-14", "open_that_blocks", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(2, id)) // does not wait
		ch.silent()
		close(dev.proceed)
		ch.expect(wire.CreateFileReply{RequestID: 2, Result: pnp.S_OK})
		r := dev.opened()[1]
		r.Handle = 0
		if want := (pnp.OpenRequest{Access: 0xc0000000, Share: 3, Disposition: 3, Flags: 0x40000080}); !reflect.DeepEqual(r, want) {
			t.Errorf("opened with %+v, not %+v", r, want)
		}
	})
	add("C-14", "an_error_of_the_device_is_the_result", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		c.announced()
		for _, hr := range []pnp.HRESULT{pnp.ERROR_SHARING_VIOLATION, pnp.E_FAIL, 0x80070539} {
			dev.open = func(pnp.OpenRequest) error { return fmt.Errorf("wrapped: %w", hr) }
			ch := c.greeted()
			ch.receive(createFile(2, id))
			ch.expect(wire.CreateFileReply{RequestID: 2, Result: hr})
		}
	})

	add("C-15", "a_second_create_file_terminates", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		c.announced()
		ch := c.open(id)
		h := dev.handle(t)
		ch.terminates(createFile(3, id))
		await(t, h.closed, "Close")
		if n := len(dev.opened()); n != 1 {
			t.Errorf("the device was opened %d times", n)
		}
	})
	add("C-15", "a_second_create_file_while_the_first_waits_terminates", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(2, id))
		await(t, dev.began, "Open")
		ch.terminates(createFile(3, id))
		close(dev.proceed)
		await(t, dev.handle(t).closed, "Close") // the handle came too late
	})
	add("C-15", "after_a_failed_one_it_is_refused", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		dev.open = func(pnp.OpenRequest) error { return pnp.ERROR_BUSY }
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(2, id))
		ch.expect(wire.CreateFileReply{RequestID: 2, Result: pnp.ERROR_BUSY})
		dev.open = nil
		if err := ch.deliver(createFile(3, id)); err == nil {
			if hr := createResult(t, ch.next()); !hr.Failed() {
				t.Errorf("the second CreateFile is answered by %v", hr)
			}
		}
		if n := len(dev.opened()); n != 1 {
			t.Errorf("the device was opened %d times", n)
		}
	})

	add("C-16", "unknown_device_is_answered_with_an_error", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		gone := c.add(newScriptedDevice("gone"))
		c.announced()
		c.s.Remove(gone)
		for _, unknown := range []uint32{0, gone, 3, 77, 1 << 31, 1<<32 - 1, id | 1<<24} {
			ch := c.greeted()
			ch.receive(createFile(0xabcdef, unknown))
			m := must(t, createFileReply, ch.next()).CreateFileReply()
			if m.RequestID != 0xabcdef || !m.Result.Failed() {
				t.Errorf("device %d: %v", unknown, m)
			}
			ch.silent()
		}
		if len(dev.opened()) != 0 {
			t.Error("another device was opened")
		}
	})
	add("C-16", "device_not_announced_is_unknown", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		ch := c.greeted()
		ch.receive(createFile(2, id))
		if hr := createResult(t, ch.next()); !hr.Failed() || len(dev.opened()) != 0 {
			t.Errorf("%v, %d opens", hr, len(dev.opened()))
		}
	})

	add("C-18", "no_operation_before_create_file", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		c.add(dev)
		c.announced()
		refuses(t, func() *clientChannel { return c.greeted() })
		if len(dev.opened()) != 0 {
			t.Error("the device was opened")
		}
	})
	add("C-18", "no_operation_after_a_failed_create_file", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		dev.open = func(pnp.OpenRequest) error { return errors.New("not today") }
		id := c.add(dev)
		c.announced()
		for _, device := range []uint32{id, 77} {
			refuses(t, func() *clientChannel {
				ch := c.greeted()
				ch.receive(createFile(2, device))
				if hr := createResult(t, ch.next()); !hr.Failed() {
					t.Fatal(hr)
				}
				return ch
			})
		}
	})
	add("C-18", "no_operation_while_create_file_waits", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		refuses(t, func() *clientChannel {
			ch := c.greeted()
			ch.receive(createFile(2, id))
			return ch
		})
		close(dev.proceed)
		for range 3 {
			dev.handle(t).untouched(t)
		}
	})

	add("C-27", "unknown_function_id_terminates", func(t *testing.T) {
		for _, function := range []uint32{3, 7, 0x100, 0x05000000, 1<<32 - 1} {
			for _, size := range []int{8, 10, 20, 28} {
				c := newClientSide(t)
				dev := newScriptedDevice("d")
				id := c.add(dev)
				c.announced()
				msg := make(raw, size)
				le.PutUint32(msg, 9)
				le.PutUint32(msg[4:], function)

				c.greeted().terminates(msg)
				ch, other := c.open(id), c.open(id)
				h, h2 := dev.handle(t), dev.handle(t)
				ch.terminates(msg)
				await(t, h.closed, "Close")
				h.untouched(t)
				other.silent()
				if h2.isClosed() {
					t.Error("another channel's handle was closed")
				}
			}
		}
	})

	add("C-33", "truncated_or_overlong_terminates", func(t *testing.T) {
		bad := map[string]raw{"nothing": {}}
		for name, m := range requestKinds(9) {
			msg := raw(m.Append(nil))
			tolerated := 0 // bytes that may be missing: C-22, W-33, W-35
			if name == "Write" || name == "IOControl" {
				tolerated = 1
			}
			for n := range len(msg) - tolerated {
				bad[fmt.Sprintf("%s, the first %d bytes", name, n)] = msg[:n]
			}
			for n := 1; n <= 9 && name != "IOControl"; n++ {
				bad[fmt.Sprintf("%s and %d bytes", name, n)] = append(msg[:len(msg):len(msg)], make([]byte, n)...)
			}
		}
		bad["Write of 4 GiB"] = unhex(t, "09000000 01000000 ffffffff 00000000 00000000 00")
		bad["IOControl with 4 GiB in"] = unhex(t, "09000000 02000000 40242200 ffffffff 00000000 00")

		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		info := c.announced()
		other := c.open(id)
		keeper := dev.handle(t)
		for name, msg := range bad {
			ch := c.open(id)
			h := dev.handle(t)
			ch.receive(wire.ReadRequest{RequestID: 5, CbBytesToRead: 1})
			h.request(t)
			if ch.terminates(msg); t.Failed() {
				t.Fatal(name)
			}
			await(t, h.closed, "Close")
			h.untouched(t)
		}
		// Other channels and the session go on.
		other.receive(wire.WriteRequest{RequestID: 5, Data: []byte("x")})
		keeper.request(t).Complete(pnp.S_OK, 1)
		other.expect(wire.WriteReply{RequestID: 5, CbBytesWritten: 1})
		info.silent()
	})
}
