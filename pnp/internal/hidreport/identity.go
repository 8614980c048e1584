// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// IOCTL_PNPDR_HID_GET_IDENTITY asks a HID device of this project's client for its
// Identity. Windows has no request that gives a report descriptor. The code is
// CTL_CODE(FILE_DEVICE_KEYBOARD, 0x950, METHOD_BUFFERED, FILE_ANY_ACCESS): Microsoft
// leaves functions from 0x800 on to others.
const IOCTL_PNPDR_HID_GET_IDENTITY = 0xB2540

// Identity is what it takes to make a device that is like another. docs/devices.md has
// its layout.
type Identity struct {
	Bus                      uint16 // BUS_USB and so on of linux/input.h
	Vendor, Product, Version uint16
	Descriptor               []byte // the report descriptor
}

// identitySize is the size of an identity without its descriptor.
const identitySize = 12

// MaxIdentity is the greatest size of an identity, in bytes.
const MaxIdentity = identitySize + MaxDescriptor

// Phys returns the physical address of a device that a user's program makes of a
// redirected one. n tells it from others; input says whether it may be an input device.
// 71-pnpdr-uhid.rules reads it, too.
func Phys(input bool, uid int, n string) string {
	kind := copyPhys
	if input {
		kind = inputCopyPhys
	}
	return fmt.Sprintf("%s%d/%s", kind, uid, n)
}

// IsCopy reports whether a physical address is one of Phys.
func IsCopy(phys string) bool {
	return strings.HasPrefix(phys, copyPhys) || strings.HasPrefix(phys, inputCopyPhys)
}

const (
	copyPhys      = "pnpdr/"
	inputCopyPhys = "pnpdr-input/"
)

// Append appends the identity to b. The descriptor is at most MaxDescriptor bytes long.
func (i Identity) Append(b []byte) []byte {
	for _, v := range []uint16{identitySize, i.Bus, i.Vendor, i.Product, i.Version, uint16(len(i.Descriptor))} {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return append(b, i.Descriptor...)
}

// ParseIdentity reads what Append wrote; what follows is ignored. The descriptor is a
// part of b, and is not parsed. Only its length is known to be right.
func ParseIdentity(b []byte) (Identity, error) {
	if len(b) < identitySize {
		return Identity{}, fmt.Errorf("identity of a HID device: %d bytes, fewer than %d", len(b), identitySize)
	}
	u16 := func(at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
	i := Identity{Bus: u16(2), Vendor: u16(4), Product: u16(6), Version: u16(8)}
	begin, n := int(u16(0)), int(u16(10))
	switch {
	case begin < identitySize || begin > len(b):
		return Identity{}, fmt.Errorf("identity of a HID device: it begins with the size %d", begin)
	case n == 0 || n > MaxDescriptor || n > len(b)-begin:
		return Identity{}, fmt.Errorf("identity of a HID device: a report descriptor of %d bytes, in %d", n, len(b)-begin)
	}
	i.Descriptor = b[begin : begin+n]
	return i, nil
}
