// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"fmt"
	"testing"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

func init() {
	add("C-13", "no_event_below_version_6", func(t *testing.T) {
		for _, version := range []uint16{0, 1, 4, 5} {
			c := newClientSide(t)
			dev := newScriptedDevice("d")
			id := c.add(dev)
			c.announced()
			ch := c.open(id, version)
			for range 3 {
				dev.raise(t, pnp.Event{GUID: pnp.GUID{1}, Data: []byte("x")})
			}
			ch.silent()
		}
	})
	for _, id := range []string{"C-13", "W-27"} {
		add(id, "events_from_version_6_on", func(t *testing.T) {
			for _, version := range []uint16{6, 7, 0x100, 0x8000, 0xffff} {
				c := newClientSide(t)
				dev := newScriptedDevice("d")
				id := c.add(dev)
				c.announced()
				ch := c.open(id, version)
				dev.raise(t, pnp.Event{GUID: pnp.GUID{1}, Data: []byte("x")})
				ch.expect(wire.CustomEvent{CustomEventGUID: pnp.GUID{1}, Data: []byte("x")})
			}
		})
	}

	for _, id := range []string{"C-31", "W-38"} {
		add(id, "guid_and_data_whole", func(t *testing.T) {
			dev := newScriptedDevice("d")
			ch, _ := serve(t, dev)
			guid := pnp.MustGUID("{11111111-8080-425F-922A-DABF3DE3F69A}")
			for _, n := range []int{0, 1, 8, 1600, pnp.DefaultLimits().EventData} {
				data := make([]byte, n)
				for i := range data {
					data[i] = byte(i * 3)
				}
				want := bytes.Clone(data)
				dev.raise(t, pnp.Event{GUID: guid, Data: data})
				clear(data) // the device may use it again
				ch.expect(raw(bytes.Join([][]byte{
					unhex(t, "00000001 11111111 80805f42 922adabf 3de3f69a"), unhex(t, u32(uint32(n))), want, {0}}, nil)))
			}
			ch.silent()
		})
	}
	add("C-31", "on_every_open_handle_of_the_device", func(t *testing.T) {
		c := newClientSide(t)
		dev, other := newScriptedDevice("d"), newScriptedDevice("other")
		failing := newScriptedDevice("failing")
		failing.open = func(pnp.OpenRequest) error { return pnp.ERROR_BUSY }
		id, otherID, failingID := c.add(dev), c.add(other), c.add(failing)
		c.announced()

		opens := []*clientChannel{c.open(id), c.open(id), c.open(id)}
		unconcerned := map[string]*clientChannel{
			"another device's":   c.open(otherID),
			"an old server's":    c.open(id, 5),
			"one not open yet":   c.greeted(),
			"one that failed":    c.greeted(),
			"one without device": c.greeted(),
		}
		for name, device := range map[string]uint32{"one that failed": failingID, "one without device": 77} {
			unconcerned[name].receive(createFile(2, device))
			createResult(t, unconcerned[name].next())
		}
		closed := c.open(id)
		closed.close()

		e := pnp.Event{GUID: pnp.GUID{7}, Data: []byte("event")}
		want := wire.CustomEvent{CustomEventGUID: e.GUID, Data: e.Data}
		before := closed.conn.count()
		dev.raise(t, e)
		failing.raise(t, e)
		for _, ch := range opens {
			ch.expect(want)
			ch.silent()
		}
		for name, ch := range unconcerned {
			if msgs := ch.sync(); len(msgs) != 0 {
				t.Errorf("the channel of %s got %x", name, msgs)
			}
		}
		if closed.conn.count() != before {
			t.Error("a closed channel got the event")
		}
		other.raise(t, e)
		unconcerned["another device's"].expect(want)
	})
	add("C-31", "none_before_the_handle_is_open", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(2, id))
		dev.raise(t, pnp.Event{Data: []byte("early")})
		ch.silent()
		close(dev.proceed)
		ch.expect(wire.CreateFileReply{RequestID: 2})
		dev.raise(t, pnp.Event{Data: []byte("now")})
		ch.expect(wire.CustomEvent{Data: []byte("now")})
	})
	add("C-31", "a_device_without_handles_has_no_events", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		c.add(dev)
		ch := c.announced()
		dev.raise(t, pnp.Event{Data: []byte("x")})
		ch.silent()
	})

	add("C-32", "requests_of_a_removed_device_fail", func(t *testing.T) {
		for _, stubborn := range []bool{false, true} {
			c := newClientSide(t)
			dev := newScriptedDevice("d")
			dev.stubborn = stubborn // does not complete requests on its own
			id := c.add(dev)
			info := c.announced()
			ch := c.open(id)
			h := dev.handle(t)
			pending := map[wire.RequestID]string{}
			for name := range operations(0) {
				id := wire.RequestID(20 + len(pending))
				ch.receive(operations(id)[name])
				pending[id] = name
			}
			requests := []*pnp.Request{h.request(t), h.request(t), h.request(t)}

			c.s.Remove(id)
			info.reports("-%d", id)
			await(t, h.closed, "Close")
			for range 3 {
				msg := ch.next()
				replied := wire.RequestID(le.Uint32(msg) & 0xffffff)
				name, ok := pending[replied]
				if !ok {
					t.Fatalf("the client sent %x", msg)
				}
				delete(pending, replied)
				if hr := operationResult(t, name, replied, msg); hr != pnp.ERROR_DEVICE_NOT_CONNECTED {
					t.Errorf("%s: %v", name, hr)
				}
			}
			for _, r := range requests {
				r.Complete(pnp.S_OK, 0) // too late
			}
			ch.silent()

			// Later requests fail too, and the channel stays open.
			for name, m := range operations(20) {
				ch.receive(m)
				if hr := operationResult(t, name, 20, ch.next()); !hr.Failed() {
					t.Errorf("later %s: %v", name, hr)
				}
			}
			h.untouched(t)
			ch.receive(cancelOf(20))
			ch.silent()
			later := c.greeted()
			later.receive(createFile(2, id))
			if hr := createResult(t, later.next()); !hr.Failed() {
				t.Error("a removed device was opened")
			}
		}
	})
	add("C-32", "device_removed_while_it_is_opened", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(2, id))
		await(t, dev.began, "Open")
		c.s.Remove(id)
		close(dev.proceed)
		if hr := createResult(t, ch.next()); !hr.Failed() {
			t.Errorf("CreateFile of a removed device: %v", hr)
		}
		await(t, dev.handle(t).closed, "Close")
	})
	add("C-32", "channels_are_not_leaked", func(t *testing.T) {
		c := newClientSide(t)
		for range 3 {
			dev := newScriptedDevice("d")
			id := c.add(dev)
			info := c.announced()
			first, second := c.open(id), c.open(id)
			c.s.Remove(id)
			first.close()
			second.close()
			info.close()
			if n := c.s.Counts(); n != (client.Counts{}) {
				t.Errorf("the session holds %+v", n)
			}
		}
	})
	add("C-32", "other_devices_go_on", func(t *testing.T) {
		c := newClientSide(t)
		gone, dev := newScriptedDevice("gone"), newScriptedDevice("d")
		goneID, id := c.add(gone), c.add(dev)
		c.announced()
		c.open(goneID)
		ch := c.open(id)
		h := dev.handle(t)
		ch.receive(wire.ReadRequest{RequestID: 5, CbBytesToRead: 1})
		c.s.Remove(goneID)
		h.request(t).Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 5})
	})

	// Ways in which a channel can end while a request is outstanding.
	ends := map[string]func(ch *clientChannel){
		"closed by the server":  func(ch *clientChannel) { ch.close() },
		"a malformed message":   func(ch *clientChannel) { ch.terminates(raw{1, 2, 3}) },
		"an unknown FunctionId": func(ch *clientChannel) { ch.terminates(raw(make([]byte, 7))) },
		"a second CreateFile":   func(ch *clientChannel) { ch.terminates(createFile(9, 1)) },
	}
	add("C-17", "closing_the_channel_closes_the_handle", func(t *testing.T) {
		for name, end := range ends {
			for _, stubborn := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %v", name, stubborn), func(t *testing.T) {
					dev := newScriptedDevice("d")
					dev.stubborn = stubborn
					ch, h := serve(t, dev)
					var pending []*pnp.Request
					for i := range wire.RequestID(3) {
						ch.receive(wire.ReadRequest{RequestID: 5 + i, CbBytesToRead: 1})
						pending = append(pending, h.request(t))
					}
					sent := ch.conn.count()
					if h.isClosed() {
						t.Fatal("the handle is closed while the channel is open")
					}
					end(ch)
					await(t, h.closed, "Close")
					for _, r := range pending {
						if done := r.Complete(pnp.S_OK, 0); done != stubborn {
							t.Errorf("a request of a closed handle is complete: %v", !done)
						}
					}
					if n := ch.conn.count(); n != sent {
						t.Errorf("%d replies on an ended channel", n-sent)
					}
				})
			}
		}
	})
	add("C-17", "the_handle_outlives_all_else", func(t *testing.T) {
		c := newClientSide(t)
		dev := newScriptedDevice("d")
		id := c.add(dev)
		info := c.announced()
		ch, other := c.open(id), c.open(id)
		h := dev.handle(t)
		ch.receive(cancelOf(77))
		ch.receive(wire.IOControlRequest{RequestID: 5, CbOut: 1, DataOut: make([]byte, 2)})
		ch.expect(wire.DataReply{RequestID: 5, Result: pnp.ERROR_INSUFFICIENT_BUFFER})
		other.close()
		info.close()
		ch.receive(wire.ReadRequest{RequestID: 6, CbBytesToRead: 1})
		h.request(t).Complete(pnp.S_OK, 0)
		ch.expect(wire.DataReply{RequestID: 6})
		if h.isClosed() {
			t.Error("the handle was closed, but its channel was not")
		}
		ch.close()
		await(t, h.closed, "Close")
	})
	add("C-17", "channel_that_closes_during_open", func(t *testing.T) {
		c := newClientSide(t)
		dev := newLateDevice()
		id := c.add(dev)
		c.announced()
		ch := c.greeted()
		ch.receive(createFile(2, id))
		await(t, dev.began, "Open")
		sent := ch.conn.count()
		ch.close()
		close(dev.proceed)
		await(t, dev.handle(t).closed, "Close")
		if ch.conn.count() != sent {
			t.Error("a reply was sent on an ended channel")
		}
	})
	add("C-17", "requests_that_wait_for_a_worker_end_too", func(t *testing.T) {
		dev := &blockingDevice{proceed: make(chan struct{}), began: make(chan *pnp.Request, 1000)}
		t.Cleanup(func() { // runs when the session has ended and holds nothing
			if n := 1 + len(dev.began); n == 100 {
				t.Error("the device also got the requests that were waiting when the channel closed")
			}
		})
		c := newClientSide(t)
		id := c.add(dev)
		c.announced()
		ch := c.open(id)
		for i := range wire.RequestID(100) {
			ch.receive(wire.WriteRequest{RequestID: 10 + i, Data: []byte{1}})
		}
		await(t, dev.began, "the first request")
		ch.close()
		close(dev.proceed)
	})
}
