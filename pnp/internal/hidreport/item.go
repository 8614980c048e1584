// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"encoding/binary"
	"errors"
)

// item is one item of a report descriptor (HID 1.11, 6.2.2.2).
type item struct {
	kind  uint8 // bType
	tag   uint8 // bTag
	size  uint8 // of the data: 0, 1, 2 or 4 bytes
	value uint32
}

// The types of short items.
const (
	mainItem   = 0
	globalItem = 1
	localItem  = 2
	// reservedItem is also the kind of long items, since none are defined.
	reservedItem = 3
)

// The tags of main items (6.2.2.4).
const (
	tagInput         = 0x8
	tagOutput        = 0x9
	tagCollection    = 0xA
	tagFeature       = 0xB
	tagEndCollection = 0xC
)

// The tags of global items (6.2.2.7).
const (
	tagUsagePage       = 0x0
	tagLogicalMinimum  = 0x1
	tagLogicalMaximum  = 0x2
	tagPhysicalMinimum = 0x3
	tagPhysicalMaximum = 0x4
	tagUnitExponent    = 0x5
	tagUnit            = 0x6
	tagReportSize      = 0x7
	tagReportID        = 0x8
	tagReportCount     = 0x9
	tagPush            = 0xA
	tagPop             = 0xB
)

// The tags of local items (6.2.2.8) that matter here.
const (
	tagUsage           = 0x0
	tagUsageMinimum    = 0x1
	tagUsageMaximum    = 0x2
	tagDesignatorIndex = 0x3
	tagStringIndex     = 0x7
)

var errTruncatedItem = errors.New("an item goes past the end")

// decodeItem decodes the first item of b, which must not be empty, and returns the
// item's length in bytes.
func decodeItem(b []byte) (i item, n int, err error) {
	const longItem = 0xFE
	if b[0] == longItem { // 6.2.2.3: prefix, bDataSize, bLongItemTag, data
		if len(b) < 3 || len(b) < 3+int(b[1]) {
			return item{}, 0, errTruncatedItem
		}
		return item{kind: reservedItem}, 3 + int(b[1]), nil
	}
	i = item{kind: b[0] >> 2 & 3, tag: b[0] >> 4, size: b[0] & 3}
	if i.size == 3 {
		i.size = 4
	}
	n = 1 + int(i.size)
	if len(b) < n {
		return item{}, 0, errTruncatedItem
	}
	var data [4]byte
	copy(data[:], b[1:n])
	i.value = binary.LittleEndian.Uint32(data[:])
	return i, n, nil
}

// signed is the value as a signed number of the item's size.
func (i item) signed() int32 {
	switch i.size {
	case 1:
		return int32(int8(i.value))
	case 2:
		return int32(int16(i.value))
	}
	return int32(i.value)
}
