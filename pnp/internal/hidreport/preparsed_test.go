// SPDX-License-Identifier: Apache-2.0

package hidreport_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

// The structures of preparsed data, as a program reads them.
type (
	preparsedHead struct {
		Magic          [8]byte
		Usage, Page    uint16
		_              [2]uint16
		Kinds          [3]struct{ First, Room, End, Length uint16 }
		NodesAt, Nodes uint16
	}
	preparsedCaps struct {
		Page                              uint16
		ID, Bit                           uint8
		Size, Count, Byte, Bits           uint16
		Field                             uint32
		NextByte, Link, LinkPage, LinkUse uint16
		Flags                             uint8
		_                                 [35]byte
		Min, Max                          uint16
		Strings, Designators, Data        [2]uint16
		Limits                            [5]int32 // of a button: two; of a value: whether it can be null, and four
		Unit                              uint32
		Exponent                          int32
	}
	preparsedNode struct {
		Usage, Page, Parent, Children, Next, First uint16
		Type                                       uint32
	}
)

// The flags of preparsedCaps.
const (
	more = 1 << iota
	padding
	button
	absolute
	isRange
)

func readPreparsed(t *testing.T, b []byte) (head preparsedHead, caps []preparsedCaps, nodes []preparsedNode) {
	t.Helper()
	r := bytes.NewReader(b)
	require.NoError(t, binary.Read(r, binary.LittleEndian, &head))
	require.Equal(t, "HidP KDR", string(head.Magic[:]))
	require.Zero(t, head.NodesAt%104)
	caps, nodes = make([]preparsedCaps, head.NodesAt/104), make([]preparsedNode, head.Nodes)
	require.NoError(t, binary.Read(r, binary.LittleEndian, caps))
	require.NoError(t, binary.Read(r, binary.LittleEndian, nodes))
	require.Zero(t, r.Len())
	return head, caps, nodes
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// TestPreparsed has every sort of field that can be laid out, and collections in
// collections, in the second of two top-level collections.
func TestPreparsed(t *testing.T) {
	b, err := hidreport.Preparsed(bytesOf(t, "06 00 FF 09 01 A1 01 85 01 15 00 25 01 75 08 95 04 09 02 81 02 C0"+
		"05 0C 09 01 A1 01 85 07"+
		"15 01 25 03 75 02 95 01 09 31 09 32 09 33 81 00"+ // an array of one
		"75 06 09 00 81 03"+ // padding, with room for it
		"05 01 16 18 FC 26 E8 03 35 FF 45 64 55 0E 65 11 75 0C 95 03 09 30 09 31 81 46"+ // two usages for three values
		"75 04 95 01 81 03"+
		"85 08 15 00 25 65 45 00 35 00 55 00 65 00 05 07 19 00 29 65 75 08 95 06 81 00"+
		"0B 05 00 0D 00 A1 02 85 07 05 09 19 01 29 03 25 01 75 01 95 08 91 02 C0"+ // eight for three buttons
		"05 0C A1 00 A1 80 06 00 FF 09 20 79 04 75 08 95 05 B1 A2 09 21 B1 01 09 00 B1 03 09 22 B1 23 C0 C0 C0"), 1)
	require.NoError(t, err)
	head, caps, nodes := readPreparsed(t, b)
	require.Equal(t, uint16(0x0C), head.Page)
	require.Equal(t, uint16(1), head.Usage)
	require.Equal(t, [3]struct{ First, Room, End, Length uint16 }{{0, 7, 6, 7}, {7, 1, 8, 2}, {8, 4, 10, 21}}, head.Kinds)
	array := preparsedCaps{Page: 0x0C, ID: 7, Size: 2, Count: 1, Byte: 1, Bits: 2, NextByte: 2, LinkPage: 0x0C, LinkUse: 1, Flags: more | button | absolute, Limits: [5]int32{1, 3}}
	of := func(c preparsedCaps, usage, index uint16) preparsedCaps {
		c.Min, c.Max, c.Data = usage, usage, [2]uint16{index, index}
		return c
	}
	last := array
	last.Flags &^= more
	axis := preparsedCaps{Page: 1, ID: 7, Size: 12, Field: 0x46, LinkPage: 0x0C, LinkUse: 1, Limits: [5]int32{1, -1000, 1000, -1, 100}, Unit: 0x11, Exponent: 14}
	x, y := of(axis, 0x30, 4), of(axis, 0x31, 3)
	x.Bit, x.Byte, x.Count, x.Bits, x.NextByte = 0, 2, 1, 12, 4
	y.Bit, y.Byte, y.Count, y.Bits, y.NextByte = 4, 3, 2, 24, 7
	vendor := preparsedCaps{Page: 0xFF00, ID: 7, Size: 8, Count: 5, Byte: 1, Bits: 40, Field: 0xA2, NextByte: 6, Link: 3, LinkPage: 0x0C, Flags: absolute, Strings: [2]uint16{4, 4}, Limits: [5]int32{0, 0, 1}}
	constant := vendor
	constant.Byte, constant.NextByte, constant.Field, constant.Flags, constant.Strings = 16, 21, 0x23, absolute|padding, [2]uint16{}
	require.Equal(t, []preparsedCaps{
		of(array, 0x33, 2), of(array, 0x32, 1), of(last, 0x31, 0), y, x,
		{Page: 7, ID: 8, Size: 8, Count: 6, Byte: 1, Bits: 48, NextByte: 7, LinkPage: 0x0C, LinkUse: 1, Flags: button | absolute | isRange,
			Max: 0x65, Data: [2]uint16{5, 106}, Limits: [5]int32{0, 0x65}},
		{}, // room for the padding
		{Page: 9, ID: 7, Size: 1, Count: 8, Byte: 1, Bits: 8, Field: 2, NextByte: 2, Link: 1, LinkPage: 0x0D, LinkUse: 5, Flags: button | absolute | isRange,
			Min: 1, Max: 3, Data: [2]uint16{0, 2}},
		of(vendor, 0x20, 0), of(constant, 0x22, 1), {}, {}, // room for the constants without a meaning
	}, caps)
	require.Equal(t, []preparsedNode{
		{Usage: 1, Page: 0x0C, Children: 2, First: 2, Type: 1},
		{Usage: 5, Page: 0x0D, Type: 2},
		{Page: 0x0C, Children: 1, Next: 1, First: 3},
		{Page: 0x0C, Parent: 2, Type: 0x80},
	}, nodes)
}

// TestPreparsedGlobals: global items of one top-level collection hold in the next, and
// Push and Pop save all of them.
func TestPreparsedGlobals(t *testing.T) {
	b, err := hidreport.Preparsed(bytesOf(t, "06 00 FF 09 01 A1 01 85 01 15 FE 27 FF FF 00 00 75 10 95 02 09 02 81 02 C0"+
		"A4 15 01 25 02 36 34 12 65 01 B4 09 03 A1 01 85 02 09 04 91 02 C0"), 1)
	require.NoError(t, err)
	_, caps, _ := readPreparsed(t, b)
	require.Equal(t, []preparsedCaps{{
		Page: 0xFF00, ID: 2, Size: 16, Count: 2, Byte: 1, Bits: 32, Field: 2, NextByte: 5, LinkPage: 0xFF00, LinkUse: 3,
		Flags: absolute, Min: 4, Max: 4, Limits: [5]int32{0, -2, 65535},
	}}, caps)
}

// TestPreparsedUnknown has what Windows' layout is not known of.
func TestPreparsedUnknown(t *testing.T) {
	for name, text := range map[string]string{
		"a reserved item":            "0C",
		"a reserved global item":     "C4",
		"a reserved main item":       "D0",
		"a long item":                "FE 00 00",
		"delimiters":                 "A9 01",
		"a range of strings":         "89 01 99 02",
		"two strings":                "79 01 79 02",
		"two designators":            "39 01 39 02",
		"a minimum alone":            "19 01 81 02",
		"two minima":                 "19 01 19 02",
		"a maximum alone":            "29 01",
		"a range over pages":         "1B 01 00 07 00 29 03",
		"a page after the usage":     "09 01 05 0D 81 02",
		"no usage":                   "81 02",
		"no bits":                    "09 01 95 00 81 02",
		"more usages than values":    "09 01 09 02 81 02",
		"a range longer than values": "19 01 29 02 81 02",
		"a range of one":             "19 01 29 01 81 02",
		"a range of none":            "19 02 29 01 81 02",
		"a range and a usage":        "19 01 29 02 09 03 95 03 81 02",
		"a range short of values":    "19 01 29 02 95 03 81 02",
		"a range with a string":      "19 01 29 02 95 02 79 01 81 02",
		"usages with a string":       "09 01 09 02 95 02 79 01 81 02",
		"usages with a designator":   "09 01 09 02 95 02 39 01 81 02",
		"buffered bytes":             "09 01 82 02 01",
		"a button that can be null":  "09 01 75 01 81 42",
		"constants with usages":      "09 01 09 02 95 02 81 03",
		"a constant with a usage":    "09 01 81 03",
		"a constant with no usage":   "09 00 81 23",
		"a constant array":           "09 01 81 21",
		"two usages of a collection": "09 01 09 02 A1 00 C0",
		"a range for a collection":   "19 01 29 02 A1 00 C0",
		"a field that is long":       "09 01 97 00 00 01 00 75 01 81 02",
		"an id in two collections":   "09 01 81 02 C0 09 01 A1 01 09 01 91 02",
		"a report without an id":     "09 01 81 02 85 01 09 01 81 02",
		"a field outside":            "C0 09 01 81 02 A1 01",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hidreport.Preparsed(bytesOf(t, "06 00 FF 09 01 A1 01 75 08 95 01"+text+"C0"), 0)
			require.ErrorIs(t, err, hidreport.ErrLayout)
		})
	}
	many := append(bytesOf(t, "06 00 FF 09 01 A1 01 75 08 96 FF 03"), bytes.Repeat([]byte{0x09, 1}, 700)...)
	_, err := hidreport.Preparsed(append(many, 0x81, 2, 0xC0), 0)
	require.ErrorIs(t, err, hidreport.ErrLayout)
	_, err = hidreport.Preparsed(withIDs, 1)
	require.ErrorContains(t, err, "no top-level collection 1")
	_, err = hidreport.Preparsed([]byte{0xC0}, 0)
	require.ErrorContains(t, err, "at byte 0")
}

// TestPreparsedFits: for any descriptor, all fields are inside of their reports, and
// whoever follows the numbers stays inside of the data.
func TestPreparsedFits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	descriptors := [][]byte{withIDs, joystick(true), joystick(false)}
	for _, s := range hidreporttest.Samples() {
		descriptors = append(descriptors, s.Descriptor)
	}
	for range 5000 {
		descriptors = append(descriptors, hidreporttest.Random(r), pieces(t, r))
	}
	laidOut := 0
	for _, b := range descriptors {
		d, err := hidreport.Parse(b)
		if err != nil {
			continue
		}
		for n := range d.TopLevel() {
			data, err := hidreport.Preparsed(b, n)
			if err != nil {
				require.ErrorIs(t, err, hidreport.ErrLayout, "%x", b)
				continue
			}
			head, caps, nodes := readPreparsed(t, data)
			top := d.TopLevel()[n]
			require.Equal(t, top.ID, head.Usage, "%x", b)
			at := 0
			for k, in := range head.Kinds {
				require.Equal(t, at, int(in.First))
				require.LessOrEqual(t, in.End, in.First+in.Room)
				at += int(in.Room)
				for _, c := range caps[in.First:in.End] {
					length, ok := d.ReportLength(hidreport.Kind(k), c.ID)
					require.True(t, ok, "%x", b)
					require.LessOrEqual(t, int(c.NextByte), length, "%x", b)
					require.LessOrEqual(t, length, int(in.Length), "%x", b)
					require.Less(t, int(c.Link), len(nodes))
					laidOut++
				}
			}
			require.Len(t, caps, at)
			for i, n := range nodes {
				require.True(t, i == 0 || int(n.Parent) < i)
				require.Less(t, int(max(n.Next, n.First)), len(nodes))
			}
		}
	}
	require.Greater(t, laidOut, 1000)
}

// pieces makes a descriptor at random, most of it of things that can be laid out.
func pieces(t *testing.T, r *rand.Rand) []byte {
	text, open := "06 00 FF 09 01 A1 01 75 08 95 01", 1
	from := []string{
		"75 01", "75 03", "75 08", "75 20", "95 01", "95 03", "95 07", "85 01", "85 02", "85 03", "15 80", "26 34 12", "A4 05 09 B4",
		"09 01 81 02", "09 01 81 00", "09 01 09 02 81 02", "09 01 09 02 81 00", "19 01 29 03 81 02", "19 00 29 65 81 00",
		"81 03", "91 01", "09 03 91 02", "09 00 B1 03", "09 05 B1 22", "09 05 79 01 B1 22", "09 07 B1 23",
	}
	for range 1 + r.IntN(12) {
		switch n := r.IntN(len(from) + 4); {
		case n < len(from):
			text += from[n]
		case n < len(from)+2:
			text, open = text+"09 01 A1 02", open+1
		case open > 1:
			text, open = text+"C0", open-1
		case r.IntN(4) == 0:
			text += "C0 09 02 A1 01 85" + hex.EncodeToString([]byte{byte(4 + r.IntN(200))})
		}
	}
	return bytesOf(t, text+strings.Repeat("C0", open))
}
