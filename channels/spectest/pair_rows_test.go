// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/wire"
)

// everything makes the two roles exchange every kind of message and returns
// what went over the wire.
func everything(t *testing.T) []sent {
	t.Helper()
	e := &every
	if overXrdp(t) {
		e = &everyOverXrdp
	}
	e.once.Do(func() {
		caps, container := pnp.PNP_DEVCAPS_REMOVABLE, pnp.GUID{1}
		p := newPair(t, loopback.New(loopback.DefaultDescription()), loopback.New(pnp.Description{
			Name: "full", HardwareIDs: []string{"a", "b"}, CompatibleIDs: []string{"c"},
			Interfaces: []pnp.GUID{{1}, {2}}, Container: &container, Caps: &caps, Optional: true,
		}))
		for id := uint32(1); id <= 2; id++ {
			for _, opt := range []server.OpenOptions{{}, {DataOut: true}, {Version: 4}} {
				exchange(t, p, p.open(id, opt), opt)
			}
		}
		scripted := newScriptedDevice("third")
		third, err := p.client.Add(scripted)
		if err != nil {
			t.Fatal(err)
		}
		gone := p.device(third)
		cancelled(t, p.open(third, server.OpenOptions{}), scripted.handle(t))
		p.client.Remove(third)
		await(t, gone.Gone(), "the removal")
		if _, err := gone.Open(p.context(), server.OpenOptions{}); err == nil {
			t.Error("a removed device was opened")
		}
		if e.messages, e.err = decodeTape(p.tap.messages()); e.err != nil {
			t.Fatal(e.err)
		}
	})
	if e.err != nil || len(e.messages) == 0 {
		t.Fatalf("the exchange failed: %v", e.err)
	}
	return e.messages
}

var every, everyOverXrdp struct {
	once     sync.Once
	messages []sent
	err      error
}

// exchange does everything that a handle can do.
func exchange(t *testing.T, p *pair, h *server.Handle, opt server.OpenOptions) {
	t.Helper()
	ctx := p.context()
	for _, n := range []int{0, 1, 8, 5000} {
		data := bytes.Repeat([]byte{byte(n)}, n)
		if got, err := h.WriteAt(ctx, data, 3); err != nil || got != n {
			t.Errorf("a write of %d: %d, %v", n, got, err)
		}
		back := make([]byte, n)
		if got, err := h.ReadAt(ctx, back, 3); err != nil || got != n || !bytes.Equal(back, data) {
			t.Errorf("a read of %d: %d, %v", n, got, err)
		}
		out := make([]byte, n)
		if got, err := h.IOControl(ctx, loopback.IOCTL_ECHO, data, out); err != nil || got != n || !bytes.Equal(out, data) {
			t.Errorf("an echo of %d: %d, %v", n, got, err)
		}
	}
	if _, err := h.IOControl(ctx, 1, nil, nil); !errors.Is(err, pnp.ERROR_INVALID_FUNCTION) {
		t.Errorf("an unknown control: %v", err)
	}
	if _, err := h.ReadAt(ctx, make([]byte, 8), 1<<64-1); err == nil {
		t.Error("a read at the end of all offsets succeeds")
	}
	if opt.Version != 4 {
		guid := pnp.MustGUID("{11111111-8080-425F-922A-DABF3DE3F69A}")
		if _, err := h.IOControl(ctx, loopback.IOCTL_RAISE_EVENT, append(guid[:], "event"...), nil); err != nil {
			t.Error(err)
		}
		if e := await(t, h.Events(), "an event"); e.GUID != guid || string(e.Data) != "event" {
			t.Errorf("event %v %q", e.GUID, e.Data)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	await(t, h.Done(), "the end of the handle")
}

// cancelled lets the server cancel a request that has reached the device.
func cancelled(t *testing.T, h *server.Handle, far *scriptedHandle) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := h.ReadAt(ctx, make([]byte, 8), 0)
		result <- err
	}()
	far.request(t)
	cancel()
	if err := await(t, result, "the reply"); !errors.Is(err, context.Canceled) || !errors.Is(err, pnp.ERROR_OPERATION_ABORTED) {
		t.Errorf("a cancelled request: %v", err)
	}
}

// sentAs adds a test of every message of a kind on the wire. There must be at
// least one.
func sentAs(id string, from wire.Direction, kind wire.Kind, check func(t *testing.T, s sent)) {
	addPair(id, fmt.Sprintf("sent_as_%v_on_%v", kind, from), func(t *testing.T) {
		n := 0
		for _, s := range everything(t) {
			if s.from != from || s.kind != kind {
				continue
			}
			n++
			if again := s.m.Append(nil); !bytes.Equal(again, s.msg) {
				t.Errorf("%x is not the encoder's form, %x", s.msg, again)
			}
			if check != nil {
				check(t, s)
			}
		}
		if n == 0 {
			t.Error("no such message was sent")
		}
	})
}

func init() {
	version := func(t *testing.T, s sent) {
		if v := s.m.(wire.Version); v.Capabilities&1 == 0 || v.MajorVersion != 1 || v.MinorVersion != 5 && v.MinorVersion != 6 {
			t.Errorf("%+v", v)
		}
	}
	for _, id := range []string{"W-04", "W-05", "W-08"} {
		sentAs(id, wire.InfoToClient, wire.KindVersion, version)
	}
	for _, id := range []string{"W-06", "W-07", "W-08"} {
		sentAs(id, wire.InfoToServer, wire.KindVersion, version)
	}
	sentAs("W-09", wire.InfoToClient, wire.KindAuthenticatedClient, nil)
	sentAs("W-10", wire.InfoToServer, wire.KindDeviceAddition, nil)
	sentAs("W-22", wire.InfoToServer, wire.KindDeviceRemoval, nil)
	sentAs("W-27", wire.IOToClient, wire.KindCapabilitiesRequest, func(t *testing.T, s sent) {
		if v := s.m.(wire.CapabilitiesRequest).Version; v != 4 && v != 6 {
			t.Errorf("version %d", v)
		}
	})
	sentAs("W-28", wire.IOToServer, wire.KindCapabilitiesReply, nil)
	for _, id := range []string{"W-29", "W-44"} {
		sentAs(id, wire.IOToClient, wire.KindCreateFileRequest, createFileAsNamed)
	}
	sentAs("W-30", wire.IOToServer, wire.KindCreateFileReply, nil)
	sentAs("W-31", wire.IOToClient, wire.KindReadRequest, nil)
	sentAs("W-32", wire.IOToServer, wire.KindReadReply, func(t *testing.T, s sent) {
		if n, most := len(s.m.(wire.DataReply).Data), s.answers.(wire.ReadRequest).CbBytesToRead; n > int(most) {
			t.Errorf("%d bytes for a read of %d", n, most)
		}
	})
	sentAs("W-33", wire.IOToClient, wire.KindWriteRequest, nil)
	sentAs("W-34", wire.IOToServer, wire.KindWriteReply, func(t *testing.T, s sent) {
		if n, most := s.m.(wire.WriteReply).CbBytesWritten, len(s.answers.(wire.WriteRequest).Data); int(n) > most {
			t.Errorf("%d bytes of a write of %d", n, most)
		}
	})
	sentAs("W-35", wire.IOToClient, wire.KindIOControlRequest, func(t *testing.T, s sent) {
		if m := s.m.(wire.IOControlRequest); len(m.DataOut) != 0 && len(m.DataOut) != int(m.CbOut) {
			t.Errorf("%d bytes of DataOut, cbOut %d", len(m.DataOut), m.CbOut)
		}
	})
	for _, id := range []string{"W-36", "C-24"} {
		sentAs(id, wire.IOToServer, wire.KindIOControlReply, func(t *testing.T, s sent) {
			if n, most := len(s.m.(wire.DataReply).Data), s.answers.(wire.IOControlRequest).CbOut; n > int(most) {
				t.Errorf("%d bytes, cbOut %d", n, most)
			}
		})
	}
	sentAs("W-37", wire.IOToClient, wire.KindIoCancelRequest, nil)
	sentAs("W-38", wire.IOToServer, wire.KindCustomEvent, nil)

	addPair("W-11", "sent_ids_are_unique", func(t *testing.T) {
		seen := make(map[uint32]bool)
		for _, s := range everything(t) {
			if m, ok := s.m.(wire.DeviceAddition); ok {
				for d := range m.All() {
					if seen[d.ClientDeviceID] {
						t.Errorf("id %d was announced twice", d.ClientDeviceID)
					}
					seen[d.ClientDeviceID] = true
				}
			}
		}
		if len(seen) != 3 {
			t.Errorf("%d devices were announced", len(seen))
		}
	})
	addPair("W-24", "unused_bits_of_what_the_server_sends", func(t *testing.T) {
		n := 0
		for _, s := range everything(t) {
			if s.from == wire.IOToClient {
				n++
				if s.msg[3] != 0 {
					t.Errorf("%v %x", s.kind, s.msg)
				}
			}
		}
		if n == 0 {
			t.Error("nothing was sent")
		}
	})
	addPair("C-30", "every_request_is_answered_once", func(t *testing.T) {
		// decodeTape pairs replies with requests and objects to any other.
		requests, replies := 0, 0
		for _, s := range everything(t) {
			switch {
			case s.answers != nil:
				replies++
			case s.from == wire.IOToClient && s.kind != wire.KindIoCancelRequest:
				requests++
			}
		}
		if requests == 0 || requests != replies {
			t.Errorf("%d requests, %d replies", requests, replies)
		}
	})
	addPair("C-41", "first_message_on_every_channel", func(t *testing.T) {
		seen := make(map[int]bool)
		for _, s := range everything(t) {
			if s.from == wire.IOToServer && !seen[s.channel] {
				seen[s.channel] = true
				if s.kind != wire.KindCapabilitiesReply {
					t.Errorf("%v is the first message on its channel", s.kind)
				}
			}
		}
		if len(seen) == 0 {
			t.Error("there was no channel")
		}
	})
	for _, id := range []string{"W-26", "W-41"} {
		addPair(id, "packet_types_of_what_the_client_sends", func(t *testing.T) {
			seen := make(map[byte]int)
			for _, s := range everything(t) {
				if s.from == wire.IOToServer {
					seen[s.msg[3]]++
				}
			}
			if len(seen) != 2 || seen[0] == 0 || seen[1] == 0 {
				t.Errorf("how often each was sent: %v", seen)
			}
		})
	}
	addPair("S-24", "an_event_on_every_handle_comes_once", func(t *testing.T) {
		p := newPair(t, loopback.New(loopback.DefaultDescription()))
		guid := pnp.GUID{1, 2, 3}
		app, cancel := p.server.RegisterEvent(guid)
		defer cancel()
		handles := []*server.Handle{p.open(1, server.OpenOptions{}), p.open(1, server.OpenOptions{}), p.open(1, server.OpenOptions{})}
		for _, data := range []string{"event", "event", "last"} {
			if _, err := handles[0].IOControl(p.context(), loopback.IOCTL_RAISE_EVENT, append(guid[:], data...), nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, h := range handles {
			for range 3 {
				await(t, h.Events(), "an event")
			}
		}
		// What its owner has read of a handle has been offered to the application.
		for _, want := range []string{"event", "event", "last"} {
			if e := await(t, app, "an event"); string(e.Data) != want {
				t.Errorf("%q, not %q", e.Data, want)
			}
		}
		if n := len(app); n != 0 {
			t.Errorf("%d events too many", n)
		}
	})
	addPair("C-31", "events_reach_every_handle_of_the_server", func(t *testing.T) {
		p := newPair(t, loopback.New(loopback.DefaultDescription()))
		first, second, old := p.open(1, server.OpenOptions{}), p.open(1, server.OpenOptions{}), p.open(1, server.OpenOptions{Version: 4})
		guid := pnp.GUID{1, 2, 3}
		if _, err := old.IOControl(p.context(), loopback.IOCTL_RAISE_EVENT, append(guid[:], "event"...), nil); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*server.Handle{first, second} {
			if e := await(t, h.Events(), "an event"); e.GUID != guid || string(e.Data) != "event" {
				t.Errorf("event %v %q", e.GUID, e.Data)
			}
		}
		_ = old.Close()
		if e, more := <-old.Events(); more {
			t.Errorf("event %v on a channel of version 4", e.GUID)
		}
	})
	addPair("C-32", "removal_reaches_the_application", func(t *testing.T) {
		dev := newScriptedDevice("d")
		dev.stubborn = true
		p := newPair(t, dev)
		h := p.open(1, server.OpenOptions{})
		result := make(chan error, 1)
		go func() {
			_, err := h.ReadAt(context.Background(), make([]byte, 8), 0)
			result <- err
		}()
		r := dev.handle(t).request(t)
		p.client.Remove(1)
		if err := await(t, result, "the reply"); !errors.Is(err, pnp.ERROR_DEVICE_NOT_CONNECTED) {
			t.Errorf("a pending read: %v", err)
		}
		if _, err := h.WriteAt(p.context(), []byte("x"), 0); !errors.Is(err, pnp.ERROR_DEVICE_NOT_CONNECTED) {
			t.Errorf("a later write: %v", err)
		}
		r.Complete(pnp.S_OK, 0)
	})
	addPair("C-17", "closing_the_handle_closes_that_of_the_device", func(t *testing.T) {
		dev := newScriptedDevice("d")
		p := newPair(t, dev)
		h := p.open(1, server.OpenOptions{})
		far := dev.handle(t)
		if far.isClosed() {
			t.Error("closed too early")
		}
		_ = h.Close()
		await(t, far.closed, "Close")
	})
}
