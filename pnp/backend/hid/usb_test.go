// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// TestUSBKeyboard uses the USB keyboard of a virtual machine (QEMU's -device usb-kbd).
// Unlike uhid, USB has strings, and removes the report id before a transfer and puts it
// back after it.
func TestUSBKeyboard(t *testing.T) {
	const name = "QEMU USB Keyboard"
	node := ""
	nodes, _ := filepath.Glob("/dev/hidraw*")
	for _, n := range nodes {
		id, err := devnode.Identify(n)
		require.NoError(t, err)
		var f facts
		if f.addSysfs("/sys", sysfs.CharNumber(id.Rdev)); f.productName == name {
			node = n
		}
	}
	if node == "" {
		t.Skip("there is no " + name)
	}
	d, err := New(backend.Source{Path: node})
	require.NoError(t, err)
	h := open(t, d)
	require.Equal(t, []hidreport.Usage{{Page: 1, ID: 6}}, h.(*handle).desc.TopLevel())

	hr, b := control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 12)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{0x27, 0x06, 0x01, 0x00, 0x00, 0x00}, b[6:])
	for code, want := range map[uint32]string{
		IOCTL_HID_GET_MANUFACTURER_STRING: "QEMU\x00",
		IOCTL_HID_GET_PRODUCT_STRING:      name + "\x00",
	} {
		hr, b := control(h, code, nil, 300)
		require.Equal(t, "S_OK", hr)
		var units []uint16
		for i := 0; i < len(b); i += 2 {
			units = append(units, binary.LittleEndian.Uint16(b[i:]))
		}
		require.Equal(t, want, string(utf16.Decode(units)))
	}

	hr, b = control(h, IOCTL_HID_GET_INPUT_REPORT, []byte{0}, 9)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, make([]byte, 9), b, "no key is down")
	hr, _ = control(h, IOCTL_HID_SET_OUTPUT_REPORT, []byte{0, 1}, 0)
	require.Equal(t, "S_OK", hr)
	hr, n := write(h, 0, 0)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, 2, n)
	hr, _ = control(h, IOCTL_HID_GET_FEATURE, []byte{0}, 9)
	require.Equal(t, "ERROR_INVALID_FUNCTION", hr)
}
