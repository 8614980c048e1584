// SPDX-License-Identifier: Apache-2.0

package pnp_test

import (
	"slices"
	"testing"

	"freerdp-pnpdr/pnp"
)

func TestDeviceCaps(t *testing.T) {
	for caps, want := range map[pnp.DeviceCaps][]string{
		0:                  {},
		1:                  {"lock"},
		2:                  {"eject"},
		4:                  {"removable"},
		8:                  {"surprise"},
		0xf:                {"removable", "surprise", "lock", "eject"},
		0x10:               {"0x10"},
		0x80000014:         {"removable", "0x80000010"},
		^pnp.DeviceCaps(0): {"removable", "surprise", "lock", "eject", "0xFFFFFFF0"},
	} {
		if got := caps.Names(); !slices.Equal(got, want) || got == nil {
			t.Errorf("%#x: %q, not %q", uint32(caps), got, want)
		}
	}
	if got, want := pnp.DeviceCapNames(), pnp.DeviceCaps(0xf).Names(); !slices.Equal(got, want) {
		t.Errorf("the names are %q, not %q", got, want)
	}
	for _, name := range pnp.DeviceCapNames() {
		bit, ok := pnp.ParseDeviceCap(name)
		if got := bit.Names(); !ok || !slices.Equal(got, []string{name}) {
			t.Errorf("%s is read as %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "Lock", "lock ", "lock+eject", "0x1", "none"} {
		if bit, ok := pnp.ParseDeviceCap(name); ok {
			t.Errorf("%q is read as %q", name, bit.Names())
		}
	}
}
