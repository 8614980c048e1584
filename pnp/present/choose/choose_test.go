// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
	"freerdp-pnpdr/pnp/present/kinds"
)

var (
	scale = pnp.Description{
		Name:          "Ranger+ Scale (port 2)",
		HardwareIDs:   []string{`USB\VID_0403&PID_6001&REV_0600&MI_01`, `USB\VID_0403&PID_6001&MI_01`},
		CompatibleIDs: []string{`USB\Class_ff&SubClass_0F&Prot_01`, `USB\Class_FF&SubClass_0F`, `USB\Class_FF`},
	}
	scanner = pnp.Description{Name: "Symbol Scanner", HardwareIDs: []string{`HID\VID_05E0&PID_1200&REV_0001`, "HID_DEVICE"}}
	pad     = pnp.Description{Name: "Pad", HardwareIDs: []string{`HID\{00001124-0000-1000-8000-00805F9B34FB}_VID&0002054C_PID&05C4`}}
	port    = pnp.Description{Name: "Port", HardwareIDs: []string{`*PNP0501`}}
	image   = pnp.Description{Name: "card.img", HardwareIDs: []string{`PNPDR\FILE`}}
)

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		rule     string
		yes, not []*pnp.Description
	}{
		{"vid=0403", []*pnp.Description{&scale}, []*pnp.Description{&scanner, &pad, &port, &image}},
		{"vid=0403+pid=6001+interface=01+class=ff+subclass=0f+protocol=01", []*pnp.Description{&scale}, nil},
		{"vid=0403+interface=00", nil, []*pnp.Description{&scale}},
		{"class=fe", nil, []*pnp.Description{&scale}},
		{"vid=05e0+pid=1200+bus=usb+class=03", []*pnp.Description{&scanner}, nil},
		{"vid=054c+pid=05c4+bus=bluetooth", []*pnp.Description{&pad}, []*pnp.Description{&scanner}},
		{"bus=pnp", []*pnp.Description{&port}, []*pnp.Description{&scale, &image}},
		{"bus=usb", []*pnp.Description{&scale, &scanner}, []*pnp.Description{&pad, &port, &image}},
		{"product=ranger%2B*", []*pnp.Description{&scale}, []*pnp.Description{&image}},
		{`hardware-id=pnpdr\file`, []*pnp.Description{&image}, []*pnp.Description{&scale}},
		{"product=*", []*pnp.Description{&scale, &scanner, &pad, &port, &image}, nil},
	} {
		var only, deny Choices
		require.NoError(t, only.Only(c.rule))
		require.NoError(t, deny.Deny(c.rule))
		for _, d := range c.yes {
			require.True(t, only.Wanted(d), "%s: %s", c.rule, d.Name)
			require.False(t, deny.Wanted(d), "%s: %s", c.rule, d.Name)
		}
		for _, d := range c.not {
			require.False(t, only.Wanted(d), "%s: %s", c.rule, d.Name)
			require.True(t, deny.Wanted(d), "%s: %s", c.rule, d.Name)
		}
	}

	var all Choices
	require.True(t, all.Wanted(&scale))
	var both Choices
	require.NoError(t, both.Only("bus=usb"))
	require.NoError(t, both.Only("bus=pnp"))
	require.NoError(t, both.Deny("vid=05e0"))
	require.True(t, both.Wanted(&scale))
	require.True(t, both.Wanted(&port))
	require.False(t, both.Wanted(&scanner))
	require.False(t, both.Wanted(&image))

	require.ErrorContains(t, all.Only("node=/dev/ttyUSB0"), `rule "node=/dev/ttyUSB0": there is no "node" here, only bus,`)
	require.Error(t, all.Deny("vid=0403,pid=6001"))
}

func TestAs(t *testing.T) {
	table := kinds.All()
	var c Choices
	require.Nil(t, c.Kind(&scale))
	require.NoError(t, c.As("Ranger+ Scale*=stream", table))
	require.NoError(t, c.As(`PNPDR\FILE=stream`, table))
	require.NoError(t, c.As("*card*=serial", table))
	require.NoError(t, c.As("Pad=file", table))
	require.NoError(t, c.As(`ACME\*=printer`, table))
	require.Equal(t, "printer", c.Kind(&pnp.Description{Name: "Any", HardwareIDs: []string{`ACME\SCALE`}}).Name)
	require.Equal(t, "stream", c.Kind(&scale).Name)
	require.Equal(t, "stream", c.Kind(&image).Name)
	require.Equal(t, "file", c.Kind(&pad).Name)
	require.Nil(t, c.Kind(&port))

	require.ErrorContains(t, c.As("x=y", table), `"x=y": "y" is not one of serial, hid, storage, file, srvsvc, pipe, printer, stream`)
	require.ErrorContains(t, c.As("file", table), "it is not DEVICE=KIND")
	require.Error(t, c.As("=file", table))
}

// TestOfOurClient: what rules match at the client they match at the server, too.
func TestOfOurClient(t *testing.T) {
	m := discovertest.New(t)
	for _, d := range []discovertest.USB{discovertest.FTDI("1"), discovertest.ACM("2"), discovertest.Printer(), discovertest.Gamepad(), discovertest.Phone(), discovertest.KeyboardAndVendor()} {
		m.Plug(d)
	}
	devices, err := discover.Scan(m.Config())
	require.NoError(t, err)
	require.NotEmpty(t, devices)
	for _, want := range devices {
		got := found(&want.Description)
		require.Equal(t, want.Bus, got.Bus, want.Key)
		require.Equal(t, []uint16{want.VendorID, want.ProductID, want.Revision}, []uint16{got.VendorID, got.ProductID, got.Revision}, want.Key)
		require.Equal(t, want.Class, got.Class, want.Key)
		if want.Composite {
			require.Equal(t, want.Interface, got.Interface, want.Key)
		}
		// The ids of HID devices do not tell. Those of composite devices tell of the
		// function, which may have several interfaces.
		if want.Subsystem != "hidraw" && !want.Composite {
			require.Equal(t, []uint8{want.SubClass, want.Protocol}, []uint8{got.SubClass, got.Protocol}, want.Key)
		}
	}
}

// FuzzFound: whatever a client says of its devices.
func FuzzFound(f *testing.F) {
	f.Add(`USB\VID_0403&PID_6001&REV_0600&MI_01`, `USB\Class_FF&SubClass_0F`)
	f.Add(`HID\{00001124-0000-1000-8000-00805F9B34FB}_VID&0002054C_PID&05C4`, "")
	f.Fuzz(func(t *testing.T, hardware, compatible string) {
		d := pnp.Description{HardwareIDs: []string{hardware}, CompatibleIDs: []string{compatible}}
		got := found(&d)
		if got.Interface < -1 || got.Interface > 0xff {
			t.Fatalf("interface %d", got.Interface)
		}
	})
}
