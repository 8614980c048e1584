// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestReceiver: keystrokes pass through the vendor interface of a wireless receiver,
// whether the keyboard is switched on or not.
func TestReceiver(t *testing.T) {
	m := discovertest.New(t)
	p := m.Plug(discovertest.Receiver())
	by := byKey(scan(t, m))
	require.Len(t, by, 3)
	require.Equal(t, "a keyboard: it drives the local desktop", by[p.Keys[0]].Excluded)
	require.Equal(t, "a pointing device: it drives the local desktop", by[p.Keys[1]].Excluded)
	require.Contains(t, by[p.Keys[2]].Excluded, "also a keyboard")
}

// TestSharedWithInput: what is below the USB device of a keyboard or a pointing device
// is not eligible, wherever the kernel hangs the input device.
func TestSharedWithInput(t *testing.T) {
	for name, c := range map[string]struct {
		input discovertest.Input
		want  string
	}{
		"keyboard":    {discovertest.KeyboardInput, "also a keyboard"},
		"letters":     {discovertest.Input{Keys: []int{30, 31}}, "also a keyboard"},
		"keypad":      {discovertest.Input{Keys: []int{79}}, "also a keyboard"},
		"mouse":       {discovertest.MouseInput, "also a pointing device"},
		"touch pad":   {discovertest.TouchpadInput, "also a pointing device"},
		"pen":         {discovertest.PenInput, "also a pointing device"},
		"game pad":    {discovertest.GamepadInput, ""},
		"space mouse": {discovertest.SpaceMouseInput, ""},
		"headset":     {discovertest.HeadsetInput, ""},
		"nothing":     {discovertest.Input{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			// The driver is no HID driver, and the input device is beside the node.
			vendor := discovertest.USB{Vendor: 0x1209, ProductID: 2, Product: "Combined", Interfaces: []discovertest.Interface{
				{Class: 0xff, Driver: "some", TTY: "ttyUSB#"},
				{Class: 0xff, Driver: "other", Inputs: []discovertest.Input{c.input}},
			}}
			m := discovertest.New(t)
			p := m.Plug(vendor)
			port := byKey(scan(t, m))[p.Keys[0]]
			if c.want == "" {
				require.Empty(t, port.Excluded)
			} else {
				require.Contains(t, port.Excluded, c.want)
				// What has no backend may get one by a rule.
				for _, d := range scan(t, m) {
					require.Contains(t, d.Excluded, c.want)
				}
			}
			at, err := discover.At(m.Config(), p.Nodes[0])
			require.NoError(t, err)
			require.Equal(t, port.Excluded, at[0].Excluded)
		})
	}
}

// TestInputOfItsOwn: a HID device that the kernel takes for a keyboard is one, whatever
// its report descriptor says, and on any bus.
func TestInputOfItsOwn(t *testing.T) {
	d := discovertest.Gamepad()
	d.Interfaces[0].Inputs = []discovertest.Input{discovertest.GamepadInput, discovertest.KeyboardInput}
	require.Equal(t, "a keyboard: it drives the local desktop", one(t, d).Excluded)
	d.Interfaces[0].Inputs = d.Interfaces[0].Inputs[:1]
	require.Empty(t, one(t, d).Excluded)

	m := discovertest.New(t)
	p := m.PlugBluetooth(discovertest.BluetoothGamepad())
	require.Empty(t, scan(t, m)[0].Excluded)
	p.AddInput(p.Key, discovertest.TouchpadInput)
	require.Equal(t, "a pointing device: it drives the local desktop", scan(t, m)[0].Excluded)
}

// TestSharedWithHID: interfaces are judged by their report descriptors, too, with no
// driver but usbhid.
func TestSharedWithHID(t *testing.T) {
	d := discovertest.KeyboardAndVendor()
	d.Interfaces[0].SubClass, d.Interfaces[0].Protocol = 0, 0
	m := discovertest.New(t)
	p := m.Plug(d)
	require.Contains(t, byKey(scan(t, m))[p.Keys[1]].Excluded, "also a keyboard")
	nodes, err := discover.At(m.Config(), filepath.Join(m.Dev, "bus/usb/001/002"))
	require.NoError(t, err)
	require.Len(t, nodes, 2)
	for _, f := range nodes {
		require.Contains(t, f.Excluded, "keyboard")
	}
}

// TestSharedWithBootInterface: a boot interface is a keyboard even if no driver has taken
// it. What shares its device is excluded even if it is only part of a function.
func TestSharedWithBootInterface(t *testing.T) {
	d := discovertest.ACM("1")
	d.Interfaces = append(d.Interfaces, discovertest.Interface{Class: 3, SubClass: 1, Protocol: 1})
	m := discovertest.New(t)
	p := m.Plug(d)
	require.Contains(t, byKey(scan(t, m))[p.Keys[0]].Excluded, "also a keyboard")
	functions, err := discover.At(m.Config(), filepath.Join(m.Dev, "bus/usb/001/002"))
	require.NoError(t, err)
	require.Len(t, functions, 4)
	for _, f := range functions {
		require.NotEmpty(t, f.Excluded, "%v", f.Key)
	}
}

// TestKeyboardComesLater: a keyboard that a receiver finds later takes along what was
// eligible before.
func TestKeyboardComesLater(t *testing.T) {
	m := discovertest.New(t)
	m.RunUdev()
	d := discovertest.Receiver()
	d.Interfaces = d.Interfaces[2:]
	p := m.Plug(d)
	m.Settle()
	r := follow(t, m.Config())
	require.Empty(t, r.gets(added, p.Keys[0]).Excluded)
	hid := path.Dir(path.Dir(p.Keys[0]))
	p.AddInput(path.Join(hid, "0003:046D:4024.0009"), discovertest.KeyboardInput)
	require.NotEmpty(t, r.gets(changed, p.Keys[0]).Excluded)
	p.Unplug()
	r.gets(removed, p.Keys[0])
}
