// SPDX-License-Identifier: Apache-2.0

package pnp

import "crypto/sha1"

// ComputerContainer is the container of the computer itself, and of what is built
// into it. It is never sent: to the server a redirected device would be a part of
// the server's own computer.
var ComputerContainer = MustGUID("{00000000-0000-0000-FFFF-FFFFFFFFFFFF}")

// containers is the name space of the containers.
var containers = MustGUID("{5D5F3C6E-7A0B-4F0C-9B1D-3E6A4C8F2B17}")

// NewContainer returns the container of the physical device with this name, which
// is its own among all devices: the same one for each function of the device,
// today and tomorrow.
func NewContainer(name string) *GUID {
	g := uuid5(containers, name)
	return &g
}

// uuid5 is RFC 9562's name-based UUID, version 5.
func uuid5(space GUID, name string) GUID {
	b := swapGUID(space) // it is hashed in network order
	id := sha1.Sum(append(b[:], name...))
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return swapGUID([16]byte(id[:16]))
}
