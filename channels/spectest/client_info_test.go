// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// changes reads additions and removals, and writes them as "+4 -4".
func changes(t *testing.T, msgs [][]byte) string {
	t.Helper()
	var s string
	for _, msg := range msgs {
		m := must(t, infoToServer, msg)
		switch m.Kind {
		case wire.KindDeviceAddition:
			for d := range m.DeviceAddition().All() {
				s += fmt.Sprintf(" +%d", d.ClientDeviceID)
			}
		case wire.KindDeviceRemoval:
			s += fmt.Sprintf(" -%d", m.DeviceRemoval().ClientDeviceID)
		default:
			t.Fatalf("the client sent %v", m)
		}
	}
	if s == "" {
		return s
	}
	return s[1:]
}

// reports checks what the client has reported since the last call.
func (ch *clientChannel) reports(format string, args ...any) {
	ch.t.Helper()
	if got, want := changes(ch.t, ch.sync()), fmt.Sprintf(format, args...); got != want {
		ch.t.Errorf("the client reported %q, not %q", got, want)
	}
}

// notInfo are messages that are malformed on PNPDR.
func notInfo(t *testing.T) map[string]raw {
	return map[string]raw{
		"nothing":                         {},
		"a byte":                          {0x14},
		"Version cut":                     unhex(t, "14000000 65000000 01000000 06000000 010000"),
		"Version with a byte more":        unhex(t, "14000000 65000000 01000000 06000000 01000000 00"),
		"Version of other Size":           unhex(t, "18000000 65000000 01000000 06000000 01000000"),
		"long Version":                    unhex(t, info(wire.IRPDR_ID_VERSION, "01000000 06000000 01000000 00000000")),
		"logon with payload":              unhex(t, info(wire.IRPDR_ID_SERVER_LOGON, "00000000")),
		"PacketId 0x69":                   unhex(t, info(0x69, "")),
		"PacketId 0x64":                   unhex(t, info(0x64, "01000000 06000000 01000000")),
		"PacketId 0":                      unhex(t, info(0, "")),
		"an addition, which servers lack": unhex(t, addition(plain)),
		"a removal, which servers lack":   unhex(t, info(wire.IRPDR_ID_UNREDIRECT_DEVICE, "01000000")),
	}
}

func init() {
	add("C-01", "first_message_is_server_version", func(t *testing.T) {
		first := notInfo(t)
		first["Authenticated Client"] = unhex(t, "08000000 67000000")
		for name, msg := range first {
			t.Run(name, func(t *testing.T) {
				c := newClientSide(t)
				c.add(newScriptedDevice("d"))
				c.pnpdr().terminates(msg)
				c.logon().reports("+1") // the session goes on
			})
		}
	})

	add("C-02", "server_version_is_answered_once", func(t *testing.T) {
		c := newClientSide(t)
		ch := c.pnpdr()
		for n := 1; n <= 3; n++ {
			ch.receive(wire.Version{MajorVersion: 1, MinorVersion: 5, Capabilities: 1})
			ch.expect(wire.OurVersion)
			if ch.conn.count() != n {
				t.Fatalf("%d messages for %d Server Versions", ch.conn.count(), n)
			}
		}
	})
	add("C-02", "a_further_one_changes_nothing_else", func(t *testing.T) {
		for _, dynamic := range []uint32{0, 1} {
			c := newClientSide(t)
			c.add(newScriptedDevice("first"))
			ch := c.pnpdr()
			ch.receive(wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: dynamic})
			ch.expect(wire.OurVersion)
			ch.receive(wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: 1 - dynamic})
			ch.expect(wire.OurVersion)
			ch.silent() // it is not a logon
			ch.receive(wire.AuthenticatedClient{})
			ch.reports("+1")
			ch.receive(wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: 1 - dynamic})
			ch.expect(wire.OurVersion)
			c.add(newScriptedDevice("second"))
			ch.reports("%s", map[uint32]string{0: "", 1: "+2"}[dynamic])
		}
	})

	add("C-03", "nothing_before_authenticated_client", func(t *testing.T) {
		c := newClientSide(t)
		first := c.add(newScriptedDevice("before PNPDR"))
		ch := c.pnpdr()
		c.add(newScriptedDevice("before the version"))
		if ch.conn.count() != 0 {
			t.Error("a message was sent before the Server Version")
		}
		ch.receive(wire.OurVersion)
		ch.expect(wire.OurVersion)
		third := c.add(newScriptedDevice("after the version"))
		c.s.Remove(first)
		c.s.Remove(third)
		ch.silent()
		ch.receive(wire.AuthenticatedClient{})
		ch.reports("+2")
	})

	add("C-04", "all_devices_are_announced_at_logon", func(t *testing.T) {
		c := newClientSide(t)
		caps, container := pnp.PNP_DEVCAPS_REMOVABLE, pnp.GUID{1, 2, 3}
		descriptions := []pnp.Description{
			{Name: "plain"},
			{Name: "full", HardwareIDs: []string{"a", "b"}, CompatibleIDs: []string{"c"}, Optional: true,
				Interfaces: []pnp.GUID{{4}, {5}}, Container: &container, Caps: &caps},
			{Name: "caps only", Caps: &caps},
		}
		var want []string
		for _, d := range descriptions {
			dev := newScriptedDevice("")
			dev.desc = d
			want = append(want, text(wire.NewDeviceDescription(c.add(dev), &d)))
		}
		var got []string
		for _, msg := range c.logon().sync() {
			for d := range must(t, infoToServer, msg).DeviceAddition().All() {
				got = append(got, text(d))
			}
		}
		if slices.Sort(got); !reflect.DeepEqual(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("announced\n%q\nnot\n%q", got, want)
		}
	})
	add("C-04", "many_devices", func(t *testing.T) {
		c := newClientSide(t)
		const n = 200
		for range n {
			d := newScriptedDevice("many")
			d.desc.HardwareIDs = []string{fmt.Sprintf("%0500d", 0)} // several messages' worth
			c.add(d)
		}
		var want string
		for id := 1; id <= n; id++ {
			want += fmt.Sprintf(" +%d", id)
		}
		c.logon().reports("%s", want[1:])
	})
	add("C-04", "no_devices", func(t *testing.T) { newClientSide(t).logon().silent() })

	add("C-05", "later_arrival_is_announced_at_once", func(t *testing.T) {
		c := newClientSide(t)
		ch := c.announced()
		for id := 1; id <= 3; id++ {
			c.add(newScriptedDevice("later"))
			// Without any message from the server in between.
			if got := changes(t, [][]byte{ch.next()}); got != fmt.Sprintf("+%d", id) {
				t.Errorf("reported %q", got)
			}
		}
		ch.silent()
	})
	add("W-05", "without_bit_0_the_client_announces_once", func(t *testing.T) {
		for _, capabilities := range []uint32{0, 2, 0xfffffffe} {
			c := newClientSide(t)
			first := c.add(newScriptedDevice("present"))
			ch := c.pnpdr()
			ch.receive(wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: capabilities})
			ch.expect(wire.OurVersion)
			ch.receive(wire.AuthenticatedClient{})
			ch.reports("+1")
			later := c.add(newScriptedDevice("later"))
			ch.receive(wire.AuthenticatedClient{})
			ch.silent()
			// Leaving is not an addition: it is reported for devices that were announced.
			c.s.Remove(later)
			c.s.Remove(first)
			ch.reports("-1")
		}
	})
	add("W-05", "the_client_ignores_other_bits", func(t *testing.T) {
		c := newClientSide(t)
		ch := c.pnpdr()
		ch.receive(wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: 0xffffffff})
		ch.expect(wire.OurVersion)
		ch.receive(wire.AuthenticatedClient{})
		c.add(newScriptedDevice("later"))
		ch.reports("+1")
	})
	for _, id := range []string{"W-07", "W-08"} {
		add(id, "what_the_client_sends", func(t *testing.T) {
			for _, v := range [][3]uint32{{1, 5, 1}, {1, 6, 1}, {0, 0, 0}, {2, 0, 3}, {1<<32 - 1, 1<<32 - 1, 1<<32 - 1}} {
				ch := newClientSide(t).pnpdr()
				ch.receive(wire.Version{MajorVersion: v[0], MinorVersion: v[1], Capabilities: v[2]})
				m := must(t, infoToServer, ch.next()).Version()
				if m.MajorVersion != 1 || m.MinorVersion != 5 && m.MinorVersion != 6 || m.Capabilities&1 == 0 {
					t.Errorf("%v is answered by %v", v, m)
				}
			}
		})
	}

	add("C-06", "a_device_that_leaves_is_reported_once", func(t *testing.T) {
		c := newClientSide(t)
		first, second := c.add(newScriptedDevice("first")), c.add(newScriptedDevice("second"))
		ch := c.announced()
		c.s.Remove(first)
		if msg := ch.next(); string(msg) != string(unhex(t, "0c000000 68000000 01000000")) {
			t.Errorf("the client sent %x", msg)
		}
		c.s.Remove(first)
		c.s.Remove(77)
		ch.silent()

		// It is off the list: it cannot be opened and is not announced again.
		file := c.greeted()
		file.receive(createFile(2, first))
		if hr := createResult(t, file.next()); !hr.Failed() {
			t.Error("a removed device was opened")
		}
		ch.receive(wire.AuthenticatedClient{})
		ch.silent()
		ch.close()
		c.logon().reports("+%d", second)
	})
	add("C-06", "one_never_announced_is_not_reported", func(t *testing.T) {
		c := newClientSide(t)
		id := c.add(newScriptedDevice("gone before logon"))
		ch := c.pnpdr()
		ch.receive(wire.OurVersion)
		ch.expect(wire.OurVersion)
		c.s.Remove(id)
		ch.receive(wire.AuthenticatedClient{})
		ch.silent()
	})
	add("C-06", "announced_on_an_earlier_pnpdr_only", func(t *testing.T) {
		c := newClientSide(t)
		id := c.add(newScriptedDevice("d"))
		c.announced().close()
		ch := c.pnpdr()
		ch.receive(wire.OurVersion)
		ch.expect(wire.OurVersion)
		c.s.Remove(id)
		ch.receive(wire.AuthenticatedClient{})
		ch.silent()
	})

	for _, id := range []string{"C-07", "W-11"} {
		add(id, "ids_are_never_given_twice", func(t *testing.T) {
			c := newClientSide(t)
			seen := make(map[uint32]bool)
			ch := c.announced()
			for round := range 3 {
				var added []uint32
				for range 5 {
					id := c.add(newScriptedDevice("d"))
					if seen[id] {
						t.Errorf("id %d was used twice", id)
					}
					seen[id] = true
					added = append(added, id)
				}
				for _, id := range added[round:] {
					c.s.Remove(id)
				}
				ch.close()
				ch = c.announced()
			}
		})
	}
	add("W-11", "ids_on_the_wire_are_unique", func(t *testing.T) {
		c := newClientSide(t)
		same := newScriptedDevice("one device, added three times")
		for range 3 {
			c.add(same)
		}
		c.logon().reports("+1 +2 +3")
	})

	add("C-08", "a_second_logon_announces_nothing_twice", func(t *testing.T) {
		c := newClientSide(t)
		c.add(newScriptedDevice("first"))
		second := c.add(newScriptedDevice("second"))
		ch := c.logon()
		ch.reports("+1 +2")
		ch.receive(wire.AuthenticatedClient{})
		ch.silent()
		c.s.Remove(second)
		c.add(newScriptedDevice("third"))
		ch.receive(wire.AuthenticatedClient{})
		ch.receive(wire.AuthenticatedClient{})
		ch.reports("-2 +3")
		// Nor if the server repeats the whole initialization.
		ch.receive(wire.OurVersion)
		ch.expect(wire.OurVersion)
		ch.receive(wire.AuthenticatedClient{})
		ch.silent()
	})

	add("C-09", "bad_message_closes_pnpdr_alone", func(t *testing.T) {
		for name, msg := range notInfo(t) {
			t.Run(name, func(t *testing.T) {
				c := newClientSide(t)
				dev := newScriptedDevice("d")
				id := c.add(dev)
				ch := c.announced()
				file := c.open(id)
				h := dev.handle(t)
				file.receive(wire.ReadRequest{RequestID: 3, CbBytesToRead: 4})
				ch.terminates(msg)

				// Pending and new requests are served.
				h.request(t).Complete(pnp.S_OK, 0)
				file.expect(wire.DataReply{RequestID: 3})
				file.receive(wire.WriteRequest{RequestID: 4, Data: []byte("data")})
				h.request(t).Complete(pnp.S_OK, 4)
				file.expect(wire.WriteReply{RequestID: 4, CbBytesWritten: 4})
				c.open(id)
				dev.handle(t)
				if h.isClosed() {
					t.Error("the handle was closed")
				}
				c.logon().reports("+1") // the session takes a new PNPDR
			})
		}
	})

	add("C-37", "a_new_pnpdr_starts_over", func(t *testing.T) {
		c := newClientSide(t)
		first := c.add(newScriptedDevice("first"))
		ch := c.logon()
		ch.reports("+1")
		c.add(newScriptedDevice("second"))
		ch.reports("+2")
		ch.close()
		c.s.Remove(first)
		c.add(newScriptedDevice("third"))

		ch = c.pnpdr()
		ch.receive(wire.OurVersion)
		ch.expect(wire.OurVersion)
		ch.silent()
		ch.receive(wire.AuthenticatedClient{})
		ch.reports("+2 +3")
		ch.close()
		c.pnpdr().terminates(wire.AuthenticatedClient{}) // its Server Version must come first again
	})
	add("C-37", "a_second_pnpdr_is_refused", func(t *testing.T) {
		c := newClientSide(t)
		c.add(newScriptedDevice("d"))
		ch := c.announced()
		other := newRecordingConn(t, channels.PNPDR)
		if _, err := c.s.Accept(channels.PNPDR, other); err == nil {
			t.Fatal("a second PNPDR was accepted")
		}
		c.add(newScriptedDevice("later"))
		ch.reports("+2") // the first one is as it was
		if other.count() != 0 {
			t.Error("something was sent on the refused channel")
		}
		ch.close()
		c.logon().reports("+1 +2")
	})
	add("C-37", "other_names_are_refused", func(t *testing.T) {
		s := client.NewSession(client.Config{})
		for _, name := range []string{"", "pnpdr", "PNPDR2", "FileRedirectorChannel2"} {
			if _, err := s.Accept(name, newRecordingConn(t, name)); err == nil {
				t.Errorf("%q was accepted", name)
			}
		}
	})
}

// createResult is the result in a CreateFile Reply.
func createResult(t *testing.T, msg []byte) pnp.HRESULT {
	t.Helper()
	return must(t, createFileReply, msg).CreateFileReply().Result
}
