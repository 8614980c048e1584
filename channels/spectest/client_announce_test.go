// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"reflect"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// describedAs is a device with the given description.
func describedAs(d pnp.Description) *scriptedDevice {
	dev := newScriptedDevice("")
	dev.desc = d
	return dev
}

// messages returns the ids in each Client Device Addition.
func messages(t *testing.T, msgs [][]byte) (ids [][]uint32) {
	t.Helper()
	for _, msg := range msgs {
		var list []uint32
		for d := range must(t, infoToServer, msg).DeviceAddition().All() {
			list = append(list, d.ClientDeviceID)
		}
		ids = append(ids, list)
	}
	return ids
}

// announcements returns the descriptions that the client sends after a logon, by id.
func (c *clientSide) announcements() map[uint32]wire.DeviceDescription {
	c.t.Helper()
	ch := c.logon()
	list := make(map[uint32]wire.DeviceDescription)
	for _, msg := range ch.sync() {
		for d := range must(c.t, infoToServer, msg).DeviceAddition().All() {
			list[d.ClientDeviceID] = d
		}
	}
	ch.close()
	return list
}

func init() {
	caps := pnp.PNP_DEVCAPS_REMOVABLE
	computer := pnp.MustGUID("{00000000-0000-0000-FFFF-FFFFFFFFFFFF}")

	add("C-39", "functions_of_a_device_share_its_container", func(t *testing.T) {
		c := newClientSide(t)
		one, another := pnp.NewContainer("one"), pnp.NewContainer("another")
		c.add(describedAs(pnp.Description{Name: "a function", Container: one}))
		c.add(describedAs(pnp.Description{Name: "another", Container: one, Caps: &caps}))
		c.add(describedAs(pnp.Description{Name: "of another device", Container: another}))
		c.add(describedAs(pnp.Description{Name: "of none"}))
		got := c.announcements()
		if len(got) != 4 {
			t.Fatalf("%d devices are announced", len(got))
		}
		for id, want := range map[uint32]*pnp.GUID{1: one, 2: one, 3: another} {
			if d := got[id]; !d.HasContainerID || d.ContainerID != *want {
				t.Errorf("device %d is announced as a part of %v", id, d.ContainerID)
			}
		}
		if d := got[4]; d.HasContainerID {
			t.Errorf("device 4 is announced as a part of %v", d.ContainerID)
		}
	})
	add("C-39", "a_container_of_its_own_beside_capabilities", func(t *testing.T) {
		session := func() (*clientSide, map[uint32]wire.DeviceDescription) {
			c := newClientSide(t)
			for _, d := range []pnp.Description{
				{Name: "one", Caps: &caps},
				{Name: "like the other", HardwareIDs: []string{"x"}, Caps: &caps},
				{Name: "like the other", HardwareIDs: []string{"x"}, Caps: &caps},
				{Name: "a part of this computer", Container: &computer, Caps: new(pnp.DeviceCaps)},
			} {
				c.add(describedAs(d))
			}
			return c, c.announcements()
		}
		c, first := session()
		seen := map[pnp.GUID]bool{computer: true, {}: true}
		for id, d := range first {
			if !d.HasDeviceCaps || !d.HasContainerID || seen[d.ContainerID] {
				t.Errorf("device %d: %v", id, d)
			}
			seen[d.ContainerID] = true
		}
		if len(first) != 4 {
			t.Errorf("%d devices are announced", len(first))
		}
		// The next time it is the same, in this session and in another.
		_, other := session()
		for _, again := range []map[uint32]wire.DeviceDescription{c.announcements(), other} {
			if !reflect.DeepEqual(again, first) {
				t.Errorf("announced as\n%v, then as\n%v", first, again)
			}
		}
	})
	add("C-39", "the_computer_is_no_container", func(t *testing.T) {
		c := newClientSide(t)
		c.add(describedAs(pnp.Description{Name: "a part of this computer", Container: &computer}))
		if d := c.announcements()[1]; d.ClientDeviceID != 1 || d.HasContainerID {
			t.Errorf("%v", d)
		}
		// Nor is it one to the server, if another client says it.
		d := described(t, plain+"10000000 0000000000000000ffffffffffffffff"+"04000000 00000000")
		if p := d.Description(); p.Container != nil || p.Caps == nil {
			t.Errorf("%+v", p)
		}
	})

	add("C-40", "each_optional_device_has_a_message", func(t *testing.T) {
		c := newClientSide(t)
		for _, optional := range []bool{false, false, true, false, false, true, true, false} {
			c.add(describedAs(pnp.Description{Name: "d", Optional: optional}))
		}
		ch := c.logon()
		want := [][]uint32{{1, 2}, {3}, {4, 5}, {6}, {7}, {8}}
		if got := messages(t, ch.sync()); !reflect.DeepEqual(got, want) {
			t.Errorf("announced as %v, not %v", got, want)
		}
		c.add(describedAs(pnp.Description{Name: "later", Optional: true}))
		if got := messages(t, ch.sync()); !reflect.DeepEqual(got, [][]uint32{{9}}) {
			t.Errorf("announced as %v", got)
		}
	})

	add("C-42", "the_protocol_ends_with_pnpdr", func(t *testing.T) {
		c := newClientSide(t)
		first := c.add(newScriptedDevice("first"))
		second := newScriptedDevice("second")
		id := c.add(second)
		ch := c.announced()
		file := c.open(id)
		ch.close()
		sent := file.conn.count()
		c.s.Remove(first)
		c.add(newScriptedDevice("third"))
		if n := ch.conn.tooLate(); n != 0 {
			t.Errorf("%d messages on PNPDR after its end", n)
		}
		if n := file.conn.count(); n != sent {
			t.Errorf("%d messages on another channel", n-sent)
		}

		ch = c.pnpdr()
		c.add(newScriptedDevice("fourth"))
		ch.receive(wire.OurVersion)
		ch.expect(wire.OurVersion)
		ch.silent()
		ch.receive(wire.AuthenticatedClient{})
		ch.reports("+2 +3 +4")
	})
}
