// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

func scan(t testing.TB, m *discovertest.Tree) []*discover.Device {
	t.Helper()
	devices, err := discover.Scan(m.Config())
	require.NoError(t, err)
	return devices
}

func one(t testing.TB, d discovertest.USB) *discover.Device {
	t.Helper()
	m := discovertest.New(t)
	m.RunUdev()
	m.Plug(d)
	m.Settle()
	devices := scan(t, m)
	require.Len(t, devices, 1)
	return devices[0]
}

func TestSerialConverter(t *testing.T) {
	m := discovertest.New(t)
	p := m.Plug(discovertest.FTDI("A50285BI"))
	devices := scan(t, m)
	require.Len(t, devices, 1)
	d := devices[0]
	require.Equal(t, p.Keys[0], d.Key)
	require.True(t, strings.HasSuffix(d.Key, "/usb1/1-1/1-1:1.0/ttyUSB0/tty/ttyUSB0"), d.Key)
	caps, container := pnp.PNP_DEVCAPS_REMOVABLE|pnp.PNP_DEVCAPS_SURPRISEREMOVALOK, *d.Description.Container
	require.Equal(t, &discover.Device{
		Key: d.Key, Node: p.Nodes[0], Subsystem: "tty",
		Bus: "usb", Port: "1-1", VendorID: 0x0403, ProductID: 0x6001, Revision: 0x0600,
		Class: 0xff, SubClass: 0xff, Protocol: 0xff,
		Manufacturer: "FTDI", Product: "FT232R USB UART", Serial: "A50285BI", Driver: "ftdi_sio",
		Description: pnp.Description{
			Name:          "FT232R USB UART",
			HardwareIDs:   []string{`USB\VID_0403&PID_6001&REV_0600`, `USB\VID_0403&PID_6001`},
			CompatibleIDs: []string{`USB\Class_FF&SubClass_FF&Prot_FF`, `USB\Class_FF&SubClass_FF`, `USB\Class_FF`},
			Interfaces:    []pnp.GUID{pnp.MustGUID("{86E0D1E0-8089-11D0-9CE4-08003E301F73}")},
			Container:     &container, Caps: &caps,
		},
	}, d)
	require.NoError(t, d.Access())
}

func TestCompositeSerialPort(t *testing.T) {
	m := discovertest.New(t)
	p := m.Plug(discovertest.ACM("E6614"))
	devices := scan(t, m)
	require.Len(t, devices, 2, "the data interface is part of the port")
	port, reset := devices[0], devices[1]
	if port.Subsystem != "tty" {
		port, reset = reset, port
	}
	require.Equal(t, p.Nodes[0], port.Node)
	require.Empty(t, port.Excluded)
	require.Equal(t, []string{`USB\VID_2E8A&PID_000A&REV_0100&MI_00`, `USB\VID_2E8A&PID_000A&MI_00`}, port.Description.HardwareIDs)
	require.Equal(t, []string{`USB\Class_02&SubClass_02&Prot_01`, `USB\Class_02&SubClass_02`, `USB\Class_02`}, port.Description.CompatibleIDs,
		"they are those of the function")
	require.Equal(t, []string{`USB\Class_FF&SubClass_00&Prot_00`, `USB\Class_FF&SubClass_00`, `USB\Class_FF`}, reset.Description.CompatibleIDs)
	require.Equal(t, 2, reset.Interface)
	require.Contains(t, reset.Excluded, "vendor-specific")
	require.True(t, reset.Unserved())
	require.Equal(t, port.Description.Container, reset.Description.Container)
	require.Empty(t, reset.Description.Interfaces)

	// The same without an association: Windows does not split it.
	old := discovertest.ACM("")
	old.Class, old.SubClass, old.Protocol = 2, 0, 0
	old.Interfaces = old.Interfaces[:2]
	d := one(t, old)
	require.False(t, d.Composite)
	require.Equal(t, `USB\VID_2E8A&PID_000A`, d.Description.HardwareIDs[1])
}

// TestEligible checks which devices are redirected unless the user says otherwise.
func TestEligible(t *testing.T) {
	for _, c := range []struct {
		device   discovertest.USB
		excluded string
	}{
		{discovertest.FTDI(""), ""},
		{discovertest.Gamepad(), ""},
		{discovertest.SecurityKey(), "a security key"},
		{discovertest.Mouse(), "a pointing device"},
		{discovertest.Phone(), ""},
		{discovertest.Camera(), ""},
		{discovertest.Printer(), ""},
		{discovertest.Stick(), "mass storage"},
		{discovertest.CardReader(), "a smart card reader"},
		{discovertest.Network(), "a network device"},
		{discovertest.VendorNetwork(), "a network device"},
		{discovertest.Unknown(), "no backend for vendor-specific"},
		{discovertest.RandomGenerator(), "no backend for vendor-specific"},
	} {
		t.Run(c.device.Product, func(t *testing.T) {
			d := one(t, c.device)
			if c.excluded == "" {
				require.Empty(t, d.Excluded)
			} else {
				require.Contains(t, d.Excluded, c.excluded)
			}
			require.NotEmpty(t, d.Description.Name)
			require.NotEmpty(t, d.Description.HardwareIDs)
		})
	}
}

// TestUSBMisc checks that a usbmisc node is listed instead of its interface, unless
// it is hiddev's.
func TestUSBMisc(t *testing.T) {
	m := discovertest.New(t)
	p := m.Plug(discovertest.RandomGenerator())
	devices := scan(t, m)
	require.Len(t, devices, 1)
	require.Equal(t, p.Nodes[0], devices[0].Node)
	require.Equal(t, "usbmisc", devices[0].Subsystem)
	require.True(t, devices[0].Unserved())
	functions, err := discover.At(m.Config(), p.Nodes[0])
	require.NoError(t, err)
	require.Equal(t, devices, functions)
	p.Unplug()

	network := discovertest.Network()
	network.Interfaces[0].USBMisc = "cdc-wdm#"
	m.Plug(network)
	hid := discovertest.Gamepad()
	hid.Interfaces = append(hid.Interfaces, discovertest.Interface{Class: 3, Driver: "usbhid", USBMisc: "hiddev#"})
	m.Plug(hid)
	for _, d := range scan(t, m) {
		if d.Subsystem == "usbmisc" {
			require.Contains(t, d.Node, "cdc-wdm")
			require.Contains(t, d.Excluded, "a network device")
		}
	}
	require.Len(t, scan(t, m), 3)
}

func TestKeyboards(t *testing.T) {
	m := discovertest.New(t)
	p := m.Plug(discovertest.Keyboard())
	for _, d := range scan(t, m) {
		require.NotEmpty(t, d.Excluded, "%+v", d)
	}
	p.Unplug()
	p = m.Plug(discovertest.KeyboardAndVendor())
	by := byKey(scan(t, m))
	require.Len(t, by, 2)
	require.Contains(t, by[p.Keys[0]].Excluded, "keyboard")
	vendor := by[p.Keys[1]]
	require.Contains(t, vendor.Excluded, "also a keyboard")
	require.Equal(t, []string{
		`HID\VID_1B1C&PID_1B2D&REV_0308&MI_01`, `HID\VID_1B1C&PID_1B2D&MI_01`,
		`HID\VID_1B1C&UP:FF00_U:0001`, "HID_DEVICE_UP:FF00_U:0001", "HID_DEVICE",
	}, vendor.Description.HardwareIDs)
	require.Equal(t, []discover.Usage{{Page: 0xff00, ID: 1}}, vendor.Usages)
	p.Unplug()

	// Behind one node with something else, and without the boot protocol.
	d := discovertest.Gamepad()
	d.Interfaces[0].Report = append(append([]byte{}, discovertest.VendorReport...), discovertest.KeyboardReport...)
	require.Contains(t, one(t, d).Excluded, "keyboard")
	d.Interfaces[0].Report = append(append([]byte{}, discovertest.VendorReport...), discovertest.MediaKeysReport...)
	both := one(t, d)
	require.Empty(t, both.Excluded)
	require.Equal(t, []string{
		`HID\VID_046D&PID_C216&REV_0414&Col01`, `HID\VID_046D&PID_C216&Col01`,
		`HID\VID_046D&PID_C216&REV_0414&Col02`, `HID\VID_046D&PID_C216&Col02`,
		`HID\VID_046D&PID_C216&REV_0414&Col03`, `HID\VID_046D&PID_C216&Col03`,
		`HID\VID_046D&UP:FF00_U:0001`, `HID\VID_046D&UP:000C_U:0001`, `HID\VID_046D&UP:0001_U:0080`,
		"HID_DEVICE_SYSTEM_CONSUMER", "HID_DEVICE_SYSTEM_CONTROL",
		"HID_DEVICE_UP:FF00_U:0001", "HID_DEVICE_UP:000C_U:0001", "HID_DEVICE_UP:0001_U:0080", "HID_DEVICE",
	}, both.Description.HardwareIDs)
	// A malformed descriptor may be a keyboard's.
	for _, report := range [][]byte{nil, {0x05}, make([]byte, 5000), {0xa1, 1}, {0xc0}} {
		d.Interfaces[0].Report = report
		require.Contains(t, one(t, d).Excluded, "report descriptor")
	}
}

// TestCollections: each top-level collection has the ids that Windows gives its device.
func TestCollections(t *testing.T) {
	d := one(t, discovertest.Panel())
	require.Empty(t, d.Excluded)
	require.Equal(t, [][]string{
		{
			`HID\VID_1209&PID_0007&REV_0100&Col01`, `HID\VID_1209&PID_0007&Col01`,
			`HID\VID_1209&UP:FF00_U:0001`, "HID_DEVICE_UP:FF00_U:0001", "HID_DEVICE",
		},
		{
			`HID\VID_1209&PID_0007&REV_0100&Col02`, `HID\VID_1209&PID_0007&Col02`,
			`HID\VID_1209&UP:FF00_U:0002`, "HID_DEVICE_UP:FF00_U:0002", "HID_DEVICE",
		},
	}, d.Collections)

	composite := discovertest.Panel()
	composite.Interfaces = append(composite.Interfaces, discovertest.Gamepad().Interfaces...)
	pad := hidreporttest.Vendor(hidreporttest.Input(20, 1))
	pad[1], pad[2], pad[4] = 1, 0, 5 // a game pad's usage
	composite.Interfaces[1].Report = slices.Concat(composite.Interfaces[0].Report, pad)
	m := discovertest.New(t)
	p := m.Plug(composite)
	devices := byKey(scan(t, m))
	require.Equal(t, []string{
		`HID\VID_1209&PID_0007&REV_0100&MI_01&Col03`, `HID\VID_1209&PID_0007&MI_01&Col03`,
		`HID\VID_1209&UP:0001_U:0005`, "HID_DEVICE_SYSTEM_GAME", "HID_DEVICE_UP:0001_U:0005", "HID_DEVICE",
	}, devices[p.Keys[1]].Collections[2])

	// More than the ids of one device have room for.
	many := discovertest.Panel()
	many.Interfaces[0].Report = nil
	for n := range byte(40) {
		many.Interfaces[0].Report = append(many.Interfaces[0].Report, hidreporttest.Vendor(hidreporttest.Feature(n+1, 1))...)
	}
	d = one(t, many)
	require.Len(t, d.Collections, 40)
	require.Contains(t, d.Collections[39], `HID\VID_1209&PID_0007&Col28`)
	require.NotContains(t, d.Description.HardwareIDs, `HID\VID_1209&PID_0007&Col28`)

	for name, report := range map[string][]byte{
		"one collection": discovertest.VendorReport, "no ids": discovertest.MediaKeysReport, "malformed": {0xA1, 1},
	} {
		alone := discovertest.Panel()
		alone.Interfaces[0].Report = report
		require.Nil(t, one(t, alone).Collections, name)
	}
}

func byKey(devices []*discover.Device) map[string]*discover.Device {
	by := make(map[string]*discover.Device)
	for _, d := range devices {
		by[d.Key] = d
	}
	return by
}

func TestStillImage(t *testing.T) {
	phone := one(t, discovertest.Phone())
	require.True(t, phone.MTP)
	require.Equal(t, `USB\MS_COMP_MTP`, phone.Description.CompatibleIDs[0])
	wpd, image := pnp.MustGUID("{6AC27878-A6FA-4155-BA85-F98F491D4F33}"), pnp.MustGUID("{6BDD1FC6-810F-11D0-BEC7-08002BE2092F}")
	usb := pnp.MustGUID("{A5DCBF10-6530-11D2-901F-00C04FB951ED}")
	require.Equal(t, []pnp.GUID{wpd, usb}, phone.Description.Interfaces)
	require.Equal(t, "usb", phone.Subsystem)
	require.NotEmpty(t, phone.Node)

	camera := one(t, discovertest.Camera())
	require.False(t, camera.MTP)
	require.Equal(t, []pnp.GUID{wpd, image, usb}, camera.Description.Interfaces)
	require.NotContains(t, camera.Description.CompatibleIDs, `USB\MS_COMP_MTP`)

	// udev knows it if neither class nor name say so.
	unnamed := discovertest.Phone()
	unnamed.Interfaces[0].Name = ""
	require.True(t, one(t, unnamed).MTP)
	unnamed.Udev = nil
	require.False(t, one(t, unnamed).MTP)
	debugged := discovertest.Phone() // with USB debugging on
	debugged.Interfaces = append([]discovertest.Interface{{Class: 0xff, SubClass: 0x42, Protocol: 1, Name: "ADB Interface"}}, debugged.Interfaces...)
	m := discovertest.New(t)
	p := m.Plug(debugged)
	for key, d := range byKey(scan(t, m)) {
		require.Equal(t, key == p.Key+"/1-1:1.1", d.MTP && d.Excluded == "", key)
	}
}

func TestNotListed(t *testing.T) {
	m := discovertest.New(t)
	m.Plug(discovertest.Hub("1-3"))
	m.AddSerialPort("ttyS4", false)
	require.Empty(t, scan(t, m))
	d := discovertest.FTDI("1")
	d.Port = "1-3.2"
	p := m.Plug(d)
	require.Equal(t, "1-3.2", scan(t, m)[0].Port)
	require.NoError(t, os.Remove(p.Nodes[0]))
	require.Empty(t, scan(t, m), "its driver has taken the interface, but there is no node yet")
}

func TestOtherBuses(t *testing.T) {
	m := discovertest.New(t)
	s0 := m.AddSerialPort("ttyS0", true)
	pad := m.PlugBluetooth(discovertest.BluetoothGamepad())
	keys := m.PlugBluetooth(discovertest.BluetoothKeyboard())
	by := byKey(scan(t, m))
	require.Len(t, by, 3)

	d := by[s0.Keys[0]]
	require.Contains(t, d.Excluded, "part of this machine")
	require.Equal(t, "pnp", d.Bus)
	require.Equal(t, -1, d.Interface)
	require.Equal(t, pnp.DeviceCaps(0), *d.Description.Caps)
	require.Equal(t, pnp.NewContainer("path:"+d.Key), d.Description.Container, "of its own, not the computer's")

	d = by[pad.Keys[0]]
	require.Empty(t, d.Excluded)
	require.Equal(t, "bluetooth", d.Bus)
	require.Equal(t, "Wireless Controller", d.Description.Name)
	require.Equal(t, "a4:53:85:00:11:22", d.Serial)
	require.Equal(t, []string{
		`HID\{00001124-0000-1000-8000-00805F9B34FB}_VID&0002054C_PID&09CC`, `HID\VID_054C&UP:0001_U:0005`,
		"HID_DEVICE_SYSTEM_GAME", "HID_DEVICE_UP:0001_U:0005", "HID_DEVICE",
	}, d.Description.HardwareIDs)
	require.NotNil(t, d.Description.Container)
	require.Contains(t, by[keys.Keys[0]].Excluded, "keyboard")
}

// TestCopies: a HID device that was made of one that is redirected to this machine is not
// redirected again, or it would go round in circles where client and server are one machine.
func TestCopies(t *testing.T) {
	for _, input := range []bool{false, true} {
		m := discovertest.New(t)
		pad := discovertest.BluetoothGamepad()
		pad.Phys = hidreport.Phys(input, 1000, "1-1")
		copied := m.PlugBluetooth(pad)
		require.Contains(t, byKey(scan(t, m))[copied.Keys[0]].Excluded, "redirected to this machine")
	}
}

func TestWebcamIsOneOfEach(t *testing.T) {
	m := discovertest.New(t)
	m.Plug(discovertest.Webcam())
	devices := scan(t, m)
	require.Len(t, devices, 2)
	for _, d := range devices {
		require.NotEmpty(t, d.Excluded)
		require.True(t, d.Fixed)
		require.Equal(t, pnp.DeviceCaps(0), *d.Description.Caps)
	}
}

func TestContainers(t *testing.T) {
	m := discovertest.New(t)
	container := func(p *discovertest.Plugged) pnp.GUID { return *byKey(scan(t, m))[p.Keys[0]].Description.Container }
	a, b, c := m.Plug(discovertest.FTDI("")), m.Plug(discovertest.FTDI("")), m.Plug(discovertest.FTDI("X1"))
	idA, idB, idC := container(a), container(b), container(c)
	require.NotEqual(t, idA, idB, "two without serial number")
	require.NotEqual(t, idA, idC)
	a.Unplug()
	c.Unplug()
	other := discovertest.FTDI("X1")
	other.Port = "1-7"
	require.Equal(t, idC, container(m.Plug(other)), "at another port")
	require.Equal(t, idA, container(m.Plug(discovertest.FTDI(""))), "at the same port")
	broken := []discovertest.USB{discovertest.FTDI("X\n1"), discovertest.FTDI("X\n2")}
	require.NotEqual(t, container(m.Plug(broken[0])), container(m.Plug(broken[1])), "with a line break in the serial number")
	text := idA.String()
	require.Equal(t, byte('5'), text[15], text)
	require.Contains(t, "89AB", text[20:21], text)
}

func TestNames(t *testing.T) {
	d := discovertest.FTDI("")
	d.Product = ""
	require.Equal(t, "FTDI USB serial port", one(t, d).Description.Name)
	d.Manufacturer = ""
	require.Equal(t, "USB serial port (0403:6001)", one(t, d).Description.Name)
	d.Udev = map[string]string{"ID_MODEL_FROM_DATABASE": "FT232 Serial (UART) IC"}
	require.Equal(t, "FT232 Serial (UART) IC", one(t, d).Description.Name)
	d.Product = "\x1b[31mred\x00\xff\x07" + strings.Repeat("é", 5000)
	name := one(t, d).Description.Name
	require.True(t, strings.HasPrefix(name, "[31mred é"), name)
	require.LessOrEqual(t, len(name), 378)
}
