// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

func at(t testing.TB, m *discovertest.Tree, node string) []*discover.Device {
	t.Helper()
	devices, err := discover.At(m.Config(), node)
	require.NoError(t, err)
	return devices
}

func TestAtIsByNumber(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	ftdi, board := m.Plug(discovertest.FTDI("A5")), m.Plug(discovertest.ACM("E6"))
	all := byKey(scan(t, m))

	// By any path that leads to it.
	link := filepath.Join(t.TempDir(), "modem")
	require.NoError(t, os.Symlink(ftdi.Nodes[0], link))
	moved := filepath.Join(discovertest.TempDir(t), "null")
	require.NoError(t, os.Link(ftdi.Nodes[0], moved))
	for _, node := range []string{ftdi.Nodes[0], link, moved} {
		require.Equal(t, []*discover.Device{all[ftdi.Keys[0]]}, at(t, m, node), node)
	}
	// The node is gone from where Scan looks.
	require.NoError(t, os.Remove(ftdi.Nodes[0]))
	got := at(t, m, moved)
	require.Len(t, got, 1)
	want := *all[ftdi.Keys[0]]
	want.Node = moved
	require.Equal(t, &want, got[0])

	// The whole device, with the interfaces that Scan does not list.
	got = at(t, m, filepath.Join(m.Dev, "bus/usb/001/003"))
	require.Len(t, got, 3)
	for n, d := range got {
		require.Equal(t, n, d.Interface)
		require.Equal(t, uint16(0x2e8a), d.VendorID)
	}
	require.Equal(t, all[board.Keys[0]], got[0])
}

func TestAtWhatHangsOnAnInterface(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	stick, keyboard := m.Plug(discovertest.Stick()), m.Plug(discovertest.Keyboard())
	bluetooth := m.PlugBluetooth(discovertest.BluetoothKeyboard())
	scsi := stick.Key + "/" + filepath.Base(stick.Key) + ":1.0/host6/target6:0:0/6:0:0:0"
	disk := m.AddNode(scsi+"/block/sda", "block", "sda", true)
	part := m.AddNode(scsi+"/block/sda/sda1", "block", "sda1", true)
	sg := m.AddNode(scsi+"/scsi_generic/sg0", "scsi_generic", "sg0", false)
	for _, node := range []string{disk, part, sg} {
		got := at(t, m, node)
		require.Len(t, got, 1)
		require.Equal(t, node, got[0].Node)
		require.Equal(t, []any{"usb", uint16(0x0781), uint8(8), 0, "4C530001"},
			[]any{got[0].Bus, got[0].VendorID, got[0].Class, got[0].Interface, got[0].Serial})
		require.Contains(t, got[0].Excluded, "mass storage")
		require.NotEmpty(t, got[0].Description.HardwareIDs)
	}

	hid := filepath.Dir(filepath.Dir(keyboard.Keys[1]))
	event := m.AddNode(hid+"/input/input4/event4", "input", "input/event4", false)
	got := at(t, m, event)
	require.Len(t, got, 1)
	require.Equal(t, 1, got[0].Interface)
	require.Equal(t, uint16(0xc31c), got[0].ProductID)
	require.NotEmpty(t, got[0].Usages)

	hid = filepath.Dir(filepath.Dir(bluetooth.Keys[0]))
	got = at(t, m, m.AddNode(hid+"/input/input5/event5", "input", "input/event5", false))
	require.Len(t, got, 1)
	require.Equal(t, []any{"bluetooth", -1, uint16(0xb342), "34:88:5d:00:11:22"},
		[]any{got[0].Bus, got[0].Interface, got[0].ProductID, got[0].Serial})
	require.Contains(t, got[0].Excluded, "keyboard")

	nameless := discovertest.BluetoothKeyboard()
	nameless.Vendor, nameless.ProductID = 0, 0
	hid = filepath.Dir(filepath.Dir(m.PlugBluetooth(nameless).Keys[0]))
	require.True(t, at(t, m, m.AddNode(hid+"/input/input6/event6", "input", "input/event6", false))[0].HasIDs())
	require.False(t, at(t, m, filepath.Join(m.Dev, "null"))[0].HasIDs())
}

func TestAtNoDevice(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	null := filepath.Join(m.Dev, "null")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(null, link))
	got := at(t, m, link)
	require.Len(t, got, 1)
	require.Equal(t, []any{"virtual", -1, null}, []any{got[0].Bus, got[0].Interface, got[0].Node})

	plain := filepath.Join(m.Dev, "plain")
	require.NoError(t, os.WriteFile(plain, nil, 0o600))
	for _, path := range []string{plain, m.Dev, m.Dev + "/missing", plain + "/x", t.TempDir()} {
		require.Empty(t, at(t, m, path), path)
	}
}

// TestAtUnknown checks that At fails if it cannot identify the device.
func TestAtUnknown(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	p := m.Plug(discovertest.FTDI(""))
	loop := filepath.Join(m.Dev, "loop")
	require.NoError(t, os.Symlink(loop, loop))
	_, err := discover.At(m.Config(), loop)
	require.Error(t, err)

	half := m.Plug(discovertest.Stick())
	m.SetAttribute(half.Key+"/"+filepath.Base(half.Key)+":1.0", "modalias", "")
	_, err = discover.At(m.Config(), filepath.Join(m.Dev, "bus/usb/001/003"))
	require.Error(t, err)

	require.NoError(t, os.Rename(filepath.Join(m.Sys, "dev/char"), filepath.Join(m.Sys, "dev/away")))
	_, err = discover.At(m.Config(), p.Nodes[0])
	require.Error(t, err)
	cfg := m.Config()
	cfg.SysRoot = t.TempDir()
	_, err = discover.At(cfg, p.Nodes[0])
	require.Error(t, err)
}

func TestAtPlainFiles(t *testing.T) {
	m := discovertest.New(t)
	ftdi, _ := m.Plug(discovertest.FTDI("A5")), m.Plug(discovertest.Keyboard())
	link := filepath.Join(t.TempDir(), "modem")
	require.NoError(t, os.Symlink(ftdi.Nodes[0], link))
	got := at(t, m, link)
	require.Len(t, got, 1)
	require.Equal(t, ftdi.Keys[0], got[0].Key)
	require.Len(t, at(t, m, filepath.Join(m.Dev, "bus/usb/001/003")), 2)

	_, pty := devtest.OpenPTY(t)
	d := discovertest.FTDI("B6")
	d.Interfaces[0].Target = pty
	p := m.Plug(d)
	for _, node := range []string{p.Nodes[0], pty} {
		got = at(t, m, node)
		require.Len(t, got, 1)
		require.Equal(t, p.Keys[0], got[0].Key)
	}
}

func TestAtThisMachine(t *testing.T) {
	got, err := discover.At(discover.Config{}, "/dev/null")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "virtual", got[0].Bus)
}
