// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/internal/sysfs"
)

// sysfsLink is the link to the tests' nodes in a sysfs tree: their number is 0:0.
const sysfsLink = "dev/char/0:0"

// makeSysfs makes a tree with a hidraw node whose HID device is at the path hid.
func makeSysfs(t testing.TB, hid string, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	node := filepath.Join(root, "devices", hid, "hidraw", "hidraw0")
	require.NoError(t, os.MkdirAll(node, 0o755))
	require.NoError(t, os.Symlink("../..", filepath.Join(node, "device")))
	require.NoError(t, os.Symlink("/sys/class/hidraw", filepath.Join(node, "subsystem")))
	for name, content := range files {
		name = filepath.Join(root, "devices", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
	}
	link := filepath.Join(root, "dev/char/0:0")
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	require.NoError(t, os.Symlink(node, link))
	return root
}

func TestFactsFromSysfs(t *testing.T) {
	raw := facts{vendor: 1, product: 2, productName: "Acme Mouse"}
	for name, c := range map[string]struct {
		hid   string
		files map[string]string
		want  facts
	}{
		"USB": {"usb1/1-2/1-2:1.0/0003:0001:0002.0001", map[string]string{
			"usb1/1-2/1-2:1.0/bInterfaceNumber": "00\n",
			"usb1/1-2/bcdDevice":                "0128\n",
			"usb1/1-2/manufacturer":             "Acme \n",
			"usb1/1-2/product":                  "Mouse\n",
			"usb1/1-2/serial":                   "123\n",
			"usb1/manufacturer":                 "the hub\n",
		}, facts{1, 2, 0x0128, "Acme ", "Mouse", "123", 0, true}},
		"USB without strings": {"usb1/1-2/1-2:1.0/0003:0001:0002.0001", map[string]string{
			"usb1/1-2/1-2:1.0/bInterfaceNumber": "00\n",
			"usb1/1-2/bcdDevice":                "0100\n",
		}, facts{1, 2, 0x0100, "", "Acme Mouse", "", 0, true}},
		"Bluetooth behind a USB adapter": {"usb1/1-1/1-1:1.0/bluetooth/hci0/hci0:12/0005:0001:0002.0003", map[string]string{
			"usb1/1-1/1-1:1.0/bInterfaceNumber":                                                   "00\n",
			"usb1/1-1/manufacturer":                                                               "the adapter\n",
			"usb1/1-1/1-1:1.0/bluetooth/hci0/hci0:12/0005:0001:0002.0003/uevent":                  "DRIVER=hid-generic\nHID_ID=0005:00000001:00000002\nHID_UNIQ=aa:bb\n",
			"usb1/1-1/1-1:1.0/bluetooth/hci0/hci0:12/0005:0001:0002.0003/input/input7/id/version": "001b\n",
		}, facts{1, 2, 0x1b, "", "Acme Mouse", "aa:bb", 0, false}},
		"nothing": {"virtual/misc/uhid/0006:0001:0002.0004", nil, raw},
	} {
		t.Run(name, func(t *testing.T) {
			f := raw
			f.addSysfs(makeSysfs(t, c.hid, c.files), sysfs.Number{Kind: "char"})
			require.Equal(t, c.want, f)
		})
	}
	f := raw
	f.addSysfs("/nonexistent", sysfs.CharNumber(1))
	require.Equal(t, raw, f)
}
