// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUdevRules asks udev which devices the packaged rules open to the user who
// sits at the machine.
func TestUdevRules(t *testing.T) {
	rules, err := os.ReadFile("../../build/udev/70-freerdp-pnpdr.rules")
	require.NoError(t, err)
	const installed = "/run/udev/rules.d/70-freerdp-pnpdr.rules"
	require.NoError(t, os.MkdirAll("/run/udev/rules.d", 0o755))
	require.NoError(t, os.WriteFile(installed, rules, 0o644))
	reload := func() { require.NoError(t, exec.Command("udevadm", "control", "--reload").Run()) }
	reload()
	t.Cleanup(func() { require.NoError(t, os.Remove(installed)); reload() })

	open := func(what, node string, want bool) {
		t.Helper()
		settle(t)
		out, err := exec.Command("udevadm", "info", "--query=property", node).Output()
		require.NoError(t, err)
		_, tags, _ := strings.Cut(string(out), "\nCURRENT_TAGS=")
		tags, _, _ = strings.Cut(tags, "\n")
		require.Equal(t, want, slices.Contains(strings.Split(tags, ":"), "uaccess"), what)
	}
	g := newGadget(t)
	g.plug()
	open("modem", scanned(t, gadgetName).Node, true)
	plugSerial(t)
	open("serial adapter", scanned(t, usbSerialName).Node, true)
	plug(t, "usb-kbd", nil)
	open("keyboard", scanned(t, "QEMU USB Keyboard").Node, false)
	plug(t, "usb-tablet", nil)
	open("tablet", scanned(t, "QEMU USB Tablet").Node, false)

	collection := func(usage ...byte) []byte {
		b := append(usage, 0xA1, 0x01, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x01, 0x09, 0x02, 0x81, 0x02)
		return append(b, 0xC0)
	}
	vendor := collection(0x06, 0x00, 0xFF, 0x09, 0x01)
	for _, c := range []struct {
		name       string
		descriptor []byte
		want       bool
	}{
		{"vendor's", vendor, true},
		{"joystick", collection(0x05, 0x01, 0x09, 0x04), true},
		{"game pad", collection(0x05, 0x01, 0x09, 0x05), true},
		{"mouse", collection(0x05, 0x01, 0x09, 0x02), false},
		{"pen", collection(0x05, 0x0D, 0x09, 0x02), false},
		{"typewriter", collection(0x05, 0x01, 0x09, 0x06), false},
		{"typewriter behind something", slices.Concat(vendor, collection(0x05, 0x01, 0x09, 0x06)), false},
		{"typewriter behind other items", slices.Concat(vendor, collection(0x05, 0x01, 0x09, 0x06, 0x15, 0x00)), false},
		{"typewriter beside a game pad", slices.Concat(collection(0x05, 0x01, 0x09, 0x05), collection(0x05, 0x01, 0x09, 0x06, 0x15, 0x00)), false},
		{"keypad in many bytes", slices.Concat(vendor, collection(0x06, 0x01, 0x00, 0x0A, 0x07, 0x00)), false},
	} {
		u := newUHID(t, c.name, c.descriptor, nil)
		open(c.name, u.Node, c.want)
		u.Unplug()
	}
}
