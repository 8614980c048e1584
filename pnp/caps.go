// SPDX-License-Identifier: Apache-2.0

package pnp

import "fmt"

// DeviceCaps are the capability bits of PNP_DEVICE_DESCRIPTION (2.2.1.3.1.1).
type DeviceCaps uint32

// The DeviceCaps bits.
const (
	PNP_DEVCAPS_LOCKSUPPORTED     DeviceCaps = 0x1
	PNP_DEVCAPS_EJECTSUPPORTED    DeviceCaps = 0x2
	PNP_DEVCAPS_REMOVABLE         DeviceCaps = 0x4
	PNP_DEVCAPS_SURPRISEREMOVALOK DeviceCaps = 0x8
)

// capNames are the words for the bits, most used first.
var capNames = [...]struct {
	bit  DeviceCaps
	name string
}{
	{PNP_DEVCAPS_REMOVABLE, "removable"},
	{PNP_DEVCAPS_SURPRISEREMOVALOK, "surprise"},
	{PNP_DEVCAPS_LOCKSUPPORTED, "lock"},
	{PNP_DEVCAPS_EJECTSUPPORTED, "eject"},
}

// DeviceCapNames returns the words that ParseDeviceCap knows.
func DeviceCapNames() []string { return (^DeviceCaps(0)).known() }

// ParseDeviceCap returns the bit that a word of DeviceCapNames means.
func ParseDeviceCap(name string) (bit DeviceCaps, ok bool) {
	for _, c := range capNames {
		if c.name == name {
			return c.bit, true
		}
	}
	return 0, false
}

// Names returns a word for each bit that is set. Bits without a word come last, as one
// hexadecimal number.
func (c DeviceCaps) Names() []string {
	names := c.known()
	for _, n := range capNames {
		c &^= n.bit
	}
	if c != 0 {
		names = append(names, fmt.Sprintf("0x%X", uint32(c)))
	}
	return names
}

func (c DeviceCaps) known() []string {
	names := []string{}
	for _, n := range capNames {
		if c&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return names
}
