// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"encoding/binary"
	"math"
)

// Sizes of the parts of preparsed data.
const (
	preparsedHeader = 44
	capabilitySize  = 104
	linkNodeSize    = 16
)

// encode writes the preparsed data:
//
//	 0  the characters "HidP KDR"
//	 8  usage and usage page of the collection
//	12  4 bytes 0
//	16  for input, output and feature reports, 8 bytes each: first capability, number
//	    of capabilities that there is room for, last capability plus one,
//	    and length of the longest report
//	40  length of all capabilities in bytes, number of link collections
//	44  capabilities, then link collections
//
// All numbers are little-endian.
func (p *preparser) encode(lengths [Kinds]int) ([]byte, error) {
	total := 0
	for k := range Kinds {
		total += len(p.caps[k]) + p.empty[k]
	}
	if total*capabilitySize > math.MaxUint16 {
		return nil, noLayout("%d capabilities", total)
	}
	u16 := binary.LittleEndian.AppendUint16
	b := append(make([]byte, 0, preparsedHeader+total*capabilitySize+len(p.nodes)*linkNodeSize), "HidP KDR"...)
	b = u16(u16(b, p.nodes[0].usage.ID), p.nodes[0].usage.Page)
	b = append(b, 0, 0, 0, 0)
	first := 0
	for k := range Kinds {
		room := len(p.caps[k]) + p.empty[k]
		for _, n := range []int{first, room, first + len(p.caps[k]), lengths[k]} {
			b = u16(b, uint16(n))
		}
		first += room
	}
	b = u16(u16(b, uint16(total*capabilitySize)), uint16(len(p.nodes)))
	for k := range Kinds {
		for _, c := range p.caps[k] {
			b = c.append(b, p.nodes[c.link].usage)
		}
		b = append(b, make([]byte, p.empty[k]*capabilitySize)...)
	}
	for _, n := range p.nodes {
		b = u16(u16(b, n.usage.ID), n.usage.Page)
		for _, v := range []int{n.parent, n.children, n.next, n.first} {
			b = u16(b, uint16(v))
		}
		b = append(b, n.kind, 0, 0, 0) // then IsAlias in one bit
	}
	return b, nil
}

// append writes one capability. Members without a comment are those of HIDP_VALUE_CAPS.
func (c *capability) append(b []byte, link Usage) []byte {
	at := len(b)
	b = append(b, make([]byte, capabilitySize)...)
	o := b[at:]
	u16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(o[at:], v) }
	u32 := func(at int, v uint32) { binary.LittleEndian.PutUint32(o[at:], v) }
	bits := c.count * int(c.reportSize)
	u16(0, c.Page)
	o[2] = c.reportID
	o[3] = uint8(c.bit % 8)           // the first bit in the first byte
	u16(4, uint16(c.reportSize))      // BitSize
	u16(6, uint16(c.count))           // ReportCount
	u16(8, uint16(c.bit/8))           // the first byte
	u16(10, uint16(bits))             // bits in all
	u32(12, c.field)                  // BitField
	u16(16, uint16((c.bit+bits+7)/8)) // the byte after the last one
	u16(18, uint16(c.link))           // LinkCollection
	u16(20, link.Page)
	u16(22, link.ID)
	for n, is := range []bool{
		c.more,                     // more usages of the same array follow
		c.field&fieldConstant != 0, // padding
		c.button(),                 // HIDP_BUTTON_CAPS
		c.field&fieldRelative == 0, // IsAbsolute
		c.isRange,                  // IsRange
		// IsAlias, IsStringRange and IsDesignatorRange are false.
	} {
		if is {
			o[24] |= 1 << n
		}
	}
	// From 28 to 60 are the unknown global items.
	last := c.index + int(c.Last) - int(c.First)
	for n, v := range []uint16{c.First, c.Last, c.text, c.text, c.designator, c.designator, uint16(c.index), uint16(last)} {
		u16(60+2*n, v)
	}
	switch {
	case !c.button():
		if c.field&fieldNull != 0 {
			o[76] = 1 // HasNull
		}
		for n, v := range []int32{c.logicalMin, c.logicalMax, c.physicalMin, c.physicalMax} {
			u32(80+4*n, uint32(v))
		}
	case c.field&fieldVariable == 0: // an array; other buttons have no limits
		u32(76, uint32(c.logicalMin))
		u32(80, uint32(c.logicalMax))
	}
	u32(96, c.unit)
	u32(100, uint32(c.unitExponent))
	return b
}
