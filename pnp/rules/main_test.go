// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meter is a serial converter, keyboard and scanner are HID devices of which
// the first is not eligible, pulse is served by nothing.
var (
	meter = &discover.Device{
		Key: "devices/1-1:1.0/ttyUSB0/tty/ttyUSB0", Node: "/dev/ttyUSB0", Subsystem: "tty",
		Port: "1-1", Bus: "usb", VendorID: 0x0403, ProductID: 0x6001,
		Class: 0xff, SubClass: 0xff, Protocol: 0xff,
		Manufacturer: "FTDI", Product: "FT232R USB UART", Serial: "A600", Driver: "ftdi_sio",
		Description: pnp.Description{
			Name:        "FT232R USB UART",
			HardwareIDs: []string{`USB\VID_0403&PID_6001&REV_0600`, `USB\VID_0403&PID_6001`},
		},
	}
	keyboard = &discover.Device{
		Key: "devices/1-2:1.0/hidraw0", Node: "/dev/hidraw0", Subsystem: "hidraw",
		Excluded: "it is a keyboard",
		Bus:      "usb", VendorID: 0x046d, ProductID: 0xc31c, Class: 3, SubClass: 1, Protocol: 1, Product: "Keyboard K120",
	}
	scanner = &discover.Device{
		Key: "devices/1-3:1.1/hidraw1", Node: "/dev/hidraw1", Subsystem: "hidraw",
		Bus: "usb", VendorID: 0x05e0, ProductID: 0x1200, Interface: 1, Class: 3,
		Product: "Symbol Scanner", Serial: "S1",
	}
	pulse = &discover.Device{
		Key: "devices/1-4:1.0", Node: "/dev/bus/usb/001/004", Subsystem: "usb",
		Bus: "usb", VendorID: 0x04a9, ProductID: 0x3270, Class: 0x0f, Product: "Pulse monitor",
	}
	touchpad = &discover.Device{
		Key: "devices/i2c-1/hidraw2", Node: "/dev/hidraw2", Subsystem: "hidraw",
		Bus: "i2c", Interface: -1, Product: "Touchpad",
	}
)

// table is the kinds that the tests know.
var table = kinds.All()

// kind returns the kind of a name.
func kind(name string) *backend.Kind { return table.Named(name) }

func newOptions() *Options { return &Options{Kinds: table} }

// options reads words that must all be understood.
func options(t *testing.T, words ...string) *Options {
	t.Helper()
	o := newOptions()
	for _, word := range words {
		known, err := o.Take(word)
		require.NoError(t, err, word)
		require.True(t, known, word)
	}
	return o
}

// policy makes a policy of two files' contents, "" for none, and options.
// Problems are not failures.
func policy(t *testing.T, admin, user string, o *Options) (*Policy, []Problem) {
	t.Helper()
	dir := t.TempDir()
	f := Files{Admin: filepath.Join(dir, "admin.toml"), User: filepath.Join(dir, "user.toml")}
	for path, text := range map[string]string{f.Admin: admin, f.User: user} {
		if text != "" {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
	}
	return Load(f, o)
}
