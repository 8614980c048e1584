// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"slices"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
	"freerdp-pnpdr/pnp/wire"
)

func cancelOf(id wire.RequestID) wire.IoCancelRequest {
	return wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: id}
}

func init() {
	add("C-25", "cancel_still_replies", func(t *testing.T) {
		for name, m := range operations(5) {
			ch, h := serve(t, newScriptedDevice("d"))
			ch.receive(m)
			r := h.request(t)
			ch.receive(cancelOf(5))
			if got := await(t, h.cancelled, "Cancel"); got != r {
				t.Error("another request was cancelled")
			}
			if hr := operationResult(t, name, 5, ch.next()); hr != pnp.ERROR_OPERATION_ABORTED {
				t.Errorf("%s: %v", name, hr)
			}
			if r.Complete(pnp.S_OK, 0) {
				t.Error("the request was not completed")
			}
			ch.silent()
		}
	})
	add("C-25", "the_device_decides_the_result", func(t *testing.T) {
		dev := newScriptedDevice("d")
		dev.stubborn = true
		ch, h := serve(t, dev)
		for i, hr := range []pnp.HRESULT{pnp.S_OK, pnp.ERROR_OPERATION_ABORTED, pnp.ERROR_IO_DEVICE} {
			id := wire.RequestID(5 + i)
			ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: 4})
			ch.receive(cancelOf(id))
			r := await(t, h.cancelled, "Cancel")
			ch.silent() // there is no reply before the device completes
			h.request(t)
			r.Complete(hr, copy(r.Out, "data"))
			ch.expect(wire.DataReply{RequestID: id, Result: hr, Data: []byte("data")})
			ch.silent()
		}
	})
	add("C-25", "only_the_request_named", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for id := range wire.RequestID(3) {
			ch.receive(wire.ReadRequest{RequestID: 0xabcd00 + id, CbBytesToRead: 1})
		}
		first, second, third := h.request(t), h.request(t), h.request(t)
		ch.receive(cancelOf(0xabcd01))
		if got := await(t, h.cancelled, "Cancel"); got != second {
			t.Error("another request was cancelled")
		}
		ch.expect(wire.DataReply{RequestID: 0xabcd01, Result: pnp.ERROR_OPERATION_ABORTED})
		third.Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 0xabcd02})
		first.Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 0xabcd00})
	})
	add("C-25", "request_that_waits_for_a_worker", func(t *testing.T) {
		dev := &blockingDevice{proceed: make(chan struct{}), began: make(chan *pnp.Request, 1000)}
		c := newClientSide(t)
		id := c.add(dev)
		c.announced()
		ch := c.open(id)
		const n = 100 // more than the slots of one device
		for i := range wire.RequestID(n) {
			ch.receive(wire.WriteRequest{RequestID: 10 + i, Data: []byte{byte(i)}})
		}
		await(t, dev.began, "the first request")
		ch.receive(cancelOf(10 + n/2))
		ch.expect(wire.WriteReply{RequestID: 10 + n/2, Result: pnp.ERROR_OPERATION_ABORTED})
		close(dev.proceed)
		seen := map[wire.RequestID]bool{10 + n/2: true}
		for range n - 1 {
			m := must(t, writeReply, ch.next()).WriteReply()
			if m.Result.Failed() || seen[m.RequestID] {
				t.Fatal(m)
			}
			seen[m.RequestID] = true
		}
		ch.silent()
	})

	// lowCancelOf puts the id into the low bytes; above is the byte behind it.
	lowCancelOf := func(id wire.RequestID, above byte) message {
		return raw(append(wire.IoCancelRequest{RequestID: wire.CancelID}.Append(nil)[:8],
			byte(id), byte(id>>8), byte(id>>16), above))
	}
	add("W-46", "id_in_the_low_bytes_cancels", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for _, id := range []wire.RequestID{5, 0x100, 0x10000, 0xabcdef, 0xfffffe} {
			for _, above := range []byte{0, 0x7f, 0xff} {
				ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: 1})
				r := h.request(t)
				ch.receive(lowCancelOf(id, above))
				if got := await(t, h.cancelled, "Cancel"); got != r {
					t.Error("another request was cancelled")
				}
				ch.expect(wire.DataReply{RequestID: id, Result: pnp.ERROR_OPERATION_ABORTED})
			}
		}
		ch.receive(lowCancelOf(5, 0)) // nothing is outstanding
		ch.silent()
	})
	add("W-46", "bytes_9_to_11_come_first", func(t *testing.T) {
		dev := newScriptedDevice("d")
		dev.stubborn = true
		ch, h := serve(t, dev)
		// One message names both, the one or the other way.
		both := lowCancelOf(0x345600, 0x12)
		for _, id := range []wire.RequestID{0x345600, 0x123456} {
			ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: 1})
		}
		low, high := h.request(t), h.request(t)
		for range 2 { // the second time it is cancelled already
			ch.receive(both)
		}
		if got := await(t, h.cancelled, "Cancel"); got != high {
			t.Error("the request with the id in the low bytes was cancelled")
		}
		if len(h.cancelled) != 0 {
			t.Error("both were cancelled")
		}
		high.Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 0x123456})
		ch.receive(both)
		if got := await(t, h.cancelled, "Cancel"); got != low {
			t.Error("the request with the id in the low bytes was not cancelled")
		}
		low.Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 0x345600})
	})

	add("C-26", "cancel_of_unknown_answered_or_cancelled_is_ignored", func(t *testing.T) {
		dev := newScriptedDevice("d")
		dev.stubborn = true
		ch, h := serve(t, dev)
		ch.receive(cancelOf(77)) // never seen
		ch.receive(cancelOf(2))  // the CreateFile, answered
		ch.receive(cancelOf(wire.CancelID))

		ch.receive(wire.ReadRequest{RequestID: 5, CbBytesToRead: 1})
		answered := h.request(t)
		answered.Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 5})
		ch.receive(cancelOf(5)) // answered

		ch.receive(wire.ReadRequest{RequestID: 6, CbBytesToRead: 1})
		r := h.request(t)
		for range 3 {
			ch.receive(cancelOf(6)) // cancelled already
		}
		ch.silent()
		await(t, h.cancelled, "Cancel")
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
		ch.expect(wire.DataReply{RequestID: 6, Result: pnp.ERROR_OPERATION_ABORTED})
		ch.receive(cancelOf(6)) // answered
		ch.silent()
		if len(h.cancelled) != 0 {
			t.Errorf("the device was asked to cancel %d times too often", len(h.cancelled))
		}
	})

	add("C-28", "outstanding_id_again_terminates", func(t *testing.T) {
		again := operations(5)
		again["Capabilities"] = wire.CapabilitiesRequest{RequestID: 5, Version: 6}
		again["CreateFile"] = createFile(5, 1)
		for first, m1 := range operations(5) {
			for second, m2 := range again {
				ch, h := serve(t, newScriptedDevice("d"))
				ch.receive(m1)
				h.request(t)
				ch.terminates(m2)
				h.untouched(t)
				if t.Failed() {
					t.Fatalf("%s during %s", second, first)
				}
			}
		}
	})
	add("C-28", "id_of_a_cancelled_request_is_outstanding", func(t *testing.T) {
		dev := newScriptedDevice("d")
		dev.stubborn = true
		ch, h := serve(t, dev)
		ch.receive(wire.ReadRequest{RequestID: 5, CbBytesToRead: 1})
		r := h.request(t)
		ch.receive(cancelOf(5))
		ch.terminates(wire.ReadRequest{RequestID: 5, CbBytesToRead: 1})
		r.Complete(pnp.S_OK, 0)
	})
	add("C-28", "id_of_a_waiting_create_file", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(5, id))
		ch.terminates(wire.CapabilitiesRequest{RequestID: 5, Version: 6})
		close(dev.proceed)
	})
	add("C-28", "ids_that_differ_are_no_duplicates", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		ids := []wire.RequestID{0, 1, 0x100, 0x10000, 0x800000, 0xfffffe, 0xffffff}
		for _, id := range ids {
			ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: 1})
		}
		for _, id := range ids {
			h.request(t).Complete(pnp.S_OK, 0)
			ch.expect(wire.DataReply{RequestID: id})
		}
	})

	add("C-29", "id_again_after_its_reply", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		for range 3 {
			for name, m := range operations(2) { // at first that of the CreateFile
				ch.receive(m)
				h.request(t).Complete(pnp.S_OK, 0)
				if hr := operationResult(t, name, 2, ch.next()); hr != pnp.S_OK {
					t.Errorf("%s: %v", name, hr)
				}
			}
			ch.receive(wire.ReadRequest{RequestID: 2, CbBytesToRead: 1})
			h.request(t)
			ch.receive(cancelOf(2))
			ch.expect(wire.DataReply{RequestID: 2, Result: pnp.ERROR_OPERATION_ABORTED})
		}
	})
	add("C-29", "id_again_after_a_refusal", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		ch.receive(wire.IOControlRequest{RequestID: 5, CbOut: 2, DataOut: []byte("x")})
		ch.expect(wire.DataReply{RequestID: 5, Result: pnp.ERROR_INSUFFICIENT_BUFFER})
		ch.receive(wire.ReadRequest{RequestID: 5})
		h.request(t).Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 5})
	})

	add("C-30", "replies_may_overtake", func(t *testing.T) {
		ch, h := serve(t, newScriptedDevice("d"))
		var pending []*pnp.Request
		const n = 40
		for i := range n {
			id := wire.RequestID(0xab0000 + i)
			switch i % 3 {
			case 0:
				ch.receive(wire.ReadRequest{RequestID: id, CbBytesToRead: 1})
			case 1:
				ch.receive(wire.WriteRequest{RequestID: id, Data: make([]byte, i)})
			case 2:
				ch.receive(wire.IOControlRequest{RequestID: id, CbOut: 1})
			}
			pending = append(pending, h.request(t))
		}
		// From the middle to both ends.
		order := make([]int, 0, n)
		for i := range n / 2 {
			order = append(order, n/2+i, n/2-1-i)
		}
		for _, i := range order {
			r, id := pending[i], wire.RequestID(0xab0000+i)
			if r.Op == pnp.OpWrite {
				r.Complete(pnp.S_OK, i)
				ch.expect(wire.WriteReply{RequestID: id, CbBytesWritten: uint32(i)})
				continue
			}
			r.Out[0] = byte(i)
			r.Complete(pnp.S_OK, 1)
			ch.expect(wire.DataReply{RequestID: id, Data: []byte{byte(i)}})
		}
		if slices.Max(order) != n-1 {
			t.Error("not all were completed")
		}
		ch.silent()
	})

	add("C-35", "cancel_gets_no_reply_and_its_header_id_does_not_count", func(t *testing.T) {
		dev := newScriptedDevice("d")
		dev.stubborn = true
		ch, h := serve(t, dev)
		ch.receive(raw(unhex(t, "ffffffff 06000000 00 000000"))) // 4.4(9)
		ch.silent()

		// The id is never outstanding: a request may have it, and a cancel the id of
		// a request that is outstanding.
		ch.receive(wire.ReadRequest{RequestID: wire.CancelID, CbBytesToRead: 1})
		ch.receive(cancelOf(77))
		ch.receive(wire.ReadRequest{RequestID: 5, CbBytesToRead: 1})
		ch.receive(wire.IoCancelRequest{RequestID: 5, IDToCancel: 77})
		ch.silent()
		if len(h.cancelled) != 0 {
			t.Error("the id in the header of a cancel was cancelled")
		}
		h.request(t).Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: wire.CancelID})
		h.request(t).Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 5})
	})
	add("C-35", "cancel_before_create_file_is_ignored", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(cancelOf(5))
		ch.receive(createFile(5, id))
		ch.receive(cancelOf(5)) // a CreateFile cannot be cancelled
		ch.silent()
		close(dev.proceed)
		ch.expect(wire.CreateFileReply{RequestID: 5})
		h := dev.handle(t)
		if len(h.cancelled) != 0 || h.isClosed() {
			t.Error("the cancel has reached the device")
		}
	})
	add("C-35", "cancel_after_a_failed_create_file_is_ignored", func(t *testing.T) {
		c := newClientSide(t)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(5, 77))
		if hr := createResult(t, ch.next()); !hr.Failed() {
			t.Fatal(hr)
		}
		ch.receive(cancelOf(5))
		ch.silent()
	})
}

// blockingDevice blocks in its requests until the test lets them proceed.
type blockingDevice struct {
	proceed chan struct{}
	began   chan *pnp.Request
}

func (d *blockingDevice) Description() *pnp.Description { return &pnp.Description{Name: "blocking"} }

func (d *blockingDevice) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h := &blockingHandle{q: queue.New("blocking", r.Workers, nil)}
	h.lane = h.q.Add(queue.Lane{Width: 1000, Do: func(it *queue.Item) (pnp.HRESULT, int) {
		d.began <- it.R
		<-d.proceed
		return pnp.S_OK, len(it.R.In)
	}})
	return h, nil
}

type blockingHandle struct {
	q    *queue.Queue
	lane *queue.Lane
}

func (h *blockingHandle) Submit(r *pnp.Request) { h.lane.Submit(r) }
func (h *blockingHandle) Cancel(r *pnp.Request) { h.q.Cancel(r) }
func (h *blockingHandle) Close(released func()) { h.q.Close(nil, released) }
