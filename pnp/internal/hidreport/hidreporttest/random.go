// SPDX-License-Identifier: Apache-2.0

package hidreporttest

import (
	"encoding/binary"
	"math/rand/v2"
)

// Random makes a descriptor. Most are well-formed and have usages of the desktop and
// of keyboards.
func Random(r *rand.Rand) []byte {
	var b []byte
	item := func(prefix byte, value uint32) {
		size := []int{0, 1, 1, 1, 1, 2, 2, 4}[r.IntN(8)]
		for size < 4 && value>>(8*size) != 0 {
			size++
		}
		if size == 3 {
			size = 4
		}
		code := map[int]byte{0: 0, 1: 1, 2: 2, 4: 3}[size]
		b = append(b, prefix|code)
		b = append(b, binary.LittleEndian.AppendUint32(nil, value)[:size]...)
	}
	pick := func(from ...uint32) uint32 { return from[r.IntN(len(from))] }
	page := func() uint32 { return pick(1, 1, 1, 6, 7, 7, 9, 0xC, 0xD, 0xFF00) }
	usage := func() uint32 {
		u := pick(0, 1, 2, 3, 4, 5, 6, 7, 8, 0x30, 0x80, 0xE0, 0x1234, 0xF000)
		if r.IntN(5) == 0 {
			u |= page() << 16
		}
		return u
	}
	open, pushed := 0, 0
	for range r.IntN(40) {
		switch r.IntN(16) {
		case 0, 1, 2:
			item(0x04, page())
		case 3, 4, 5:
			item(0x08, usage())
		case 6:
			item(0x18, usage())
		case 7:
			item(0x28, usage())
		case 8:
			item(0xA8, pick(0, 1)) // Delimiter
		case 9:
			item(0x74, pick(0, 1, 8)) // Report Size
			item(0x94, pick(0, 1, 8)) // Report Count
		case 10, 11:
			item(0xA0, pick(0, 1, 1, 1, 2, 3, 0x80, 0x101))
			open++
		case 12:
			if open > 0 || r.IntN(50) == 0 {
				item(0xC0, 0)
				open--
			}
		case 13:
			item(uint8(pick(0x80, 0x80, 0x80, 0x90, 0xB0)), pick(0, 1, 2, 3, 6))
		case 14:
			if pushed > 0 && r.IntN(2) == 0 {
				item(0xB4, 0)
				pushed--
			} else {
				item(0xA4, 0)
				pushed++
			}
		case 15:
			switch r.IntN(4) {
			case 0:
				item(0x84, pick(1, 2, 255, 0)) // Report ID
			case 1:
				b = append(b, 0xFE, 3, 0x10, 9, 6, 0xC0) // a long item
			case 2:
				item(0x0C, 1) // a reserved type
			}
		}
	}
	for ; open > 0; open-- {
		item(0xC0, 0)
	}
	if r.IntN(20) == 0 {
		b = b[:r.IntN(len(b)+1)]
	}
	return b
}
