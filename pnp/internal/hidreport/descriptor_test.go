// SPDX-License-Identifier: Apache-2.0

package hidreport_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

var withIDs = hidreporttest.Vendor(
	hidreporttest.Input(1, 3), hidreporttest.Output(1, 2),
	hidreporttest.Feature(1, 5),
	hidreporttest.Input(2, 7), hidreporttest.Output(2, 4),
	hidreporttest.Feature(2, 1),
	hidreporttest.Feature(200, 9))

// joystick is a descriptor of the sort that Wine's tests of Windows' HID class
// driver use: with ids, or without them.
func joystick(ids bool) []byte {
	reportID := func(id byte) []byte {
		if ids {
			return []byte{0x85, id}
		}
		return nil
	}
	return bytes.Join([][]byte{
		{0x05, 0x01, 0x09, 0x04, 0xA1, 0x01}, // Generic Desktop, Joystick, Application
		{0x09, 0x04, 0xA1, 0x02},             // Logical
		reportID(1),
		{0x09, 0x30, 0x09, 0x31, 0x75, 8, 0x95, 2, 0x81, 0x02},             // X, Y: 2 bytes
		{0x05, 0x09, 0x19, 1, 0x29, 8, 0x95, 8, 0x75, 1, 0x81, 0x02},       // buttons: 1
		{0x95, 8, 0x75, 1, 0x81, 0x03, 0x81, 0x03},                         // constant: 2
		{0x95, 2, 0x75, 8, 0x82, 0x7C, 0x01},                               // an array, buffered bytes: 2
		{0x09, 0x20, 0x95, 8, 0x75, 1, 0x81, 0x02},                         // a byte of bits: 1
		{0x95, 2, 0x75, 0, 0x81, 0x02, 0x95, 0, 0x75, 1, 0x81, 0x02},       // no bits, no fields
		{0x05, 0x01, 0x09, 0x39, 0x75, 4, 0x95, 2, 0x81, 0x02},             // hats: 1
		{0x09, 0x32, 0x75, 32, 0x95, 1, 0x81, 0x02, 0x81, 0x02, 0x81, 0x2}, // 12
		{0xC0},
		{0x09, 0x04, 0xA1, 0x03}, reportID(2), {0x05, 0x09, 0x95, 8, 0x75, 1, 0x81, 0x02, 0xC0}, // 1
		{0x05, 0x08, 0x09, 0x4B, 0xA1, 0x03}, reportID(1), {0x95, 8, 0x81, 0x02, 0x95, 2, 0x75, 8, 0x81, 0x00, 0xC0}, // 3
		{0xA1, 0x02}, reportID(1), {0x95, 2, 0x75, 16, 0xB1, 0x42, 0xB1, 0x42, 0x75, 32, 0xB1, 2, 0x95, 1, 0xB1, 2, 0xC0}, // 20
		{0xA1, 0x03}, reportID(2), {0x95, 8, 0x75, 1, 0xB1, 0x02, 0xC0}, // 1
		{0xA1, 0x03}, reportID(1), {0x91, 0x03, 0xC0},
		{0xA1, 0x03}, reportID(2), {0x91, 0x03, 0xC0},
		{0xC0},
	}, nil)
}

// TestLengthsAsOnWindows has the HIDP_CAPS that Windows gives for the joystick.
func TestLengthsAsOnWindows(t *testing.T) {
	for ids, want := range map[bool][hidreport.Kinds]int{
		true:  {hidreport.Input: 25, hidreport.Output: 2, hidreport.Feature: 21},
		false: {hidreport.Input: 26, hidreport.Output: 3, hidreport.Feature: 22},
	} {
		d, err := hidreport.Parse(joystick(ids))
		require.NoError(t, err)
		require.Equal(t, hidreport.Usage{Page: 1, ID: 4}, d.TopLevel())
		require.Len(t, d.Collections, 1)
		for k := range hidreport.Kind(hidreport.Kinds) {
			require.Equal(t, want[k], d.ByteLength(k), "ids %v, %v", ids, k)
			require.Equal(t, ids, d.UsesIDs(k))
		}
	}
}

func TestReportLengths(t *testing.T) {
	d, err := hidreport.Parse(withIDs)
	require.NoError(t, err)
	require.Equal(t, hidreport.Usage{Page: 0xFF00, ID: 1}, d.TopLevel())
	for _, c := range []struct {
		kind hidreport.Kind
		id   uint8
		want int
	}{
		{hidreport.Input, 1, 4}, {hidreport.Input, 2, 8}, {hidreport.Input, 200, 0}, {hidreport.Input, 0, 0},
		{hidreport.Output, 1, 3}, {hidreport.Output, 2, 5},
		{hidreport.Feature, 1, 6}, {hidreport.Feature, 2, 2}, {hidreport.Feature, 200, 10}, {hidreport.Feature, 3, 0},
	} {
		n, ok := d.ReportLength(c.kind, c.id)
		require.Equal(t, c.want, n, "%v %d", c.kind, c.id)
		require.Equal(t, c.want > 0, ok)
	}
	require.Equal(t, 8, d.ByteLength(hidreport.Input))
	require.Equal(t, 5, d.ByteLength(hidreport.Output))
	require.Equal(t, 10, d.ByteLength(hidreport.Feature))
}

func TestOddDescriptors(t *testing.T) {
	in := []byte{0x81, 0x02}
	for name, c := range map[string]struct {
		b           []byte
		collections []hidreport.Usage
		input       int
		ids         bool
	}{
		"empty": {},
		"bits round up": {
			b: append([]byte{0x75, 1, 0x95, 9}, in...), input: 3},
		"fields of a report add up across others": {
			b:     []byte{0x75, 4, 0x95, 1, 0x85, 1, 0x81, 2, 0x85, 2, 0x81, 2, 0x85, 1, 0x81, 2, 0x81, 2},
			input: 3, ids: true},
		"pop restores": {
			b:     []byte{0x75, 8, 0x95, 2, 0xA4, 0x75, 16, 0x95, 99, 0xB4, 0x81, 2},
			input: 3},
		"a long item is passed over": {
			b:     []byte{0xFE, 4, 0xF0, 0x81, 0x81, 0x81, 0x81, 0x75, 8, 0x95, 1, 0x81, 2, 0xFE, 0, 0},
			input: 2},
		"reserved types and tags are passed over": {
			b: []byte{0x0C, 0xFC, 0xF0, 0xD4, 0x75, 8, 0x95, 1, 0x81, 2}, input: 2},
		"items without data are zero": {
			b: []byte{0x75, 8, 0x95, 1, 0x80, 0x74, 0x80}, input: 2},
		"a report without id beside others": {
			b: []byte{0x75, 8, 0x95, 9, 0x81, 2, 0x85, 5, 0x95, 1, 0x81, 2}, input: 2, ids: true},
		"two top-level collections, one of them inside nothing but physical": {
			b: []byte{
				0x05, 1, 0x09, 6, 0xA1, 1, 0x05, 7, 0x09, 9, 0xA1, 1, 0xC0, 0xC0,
				0x09, 3, 0xA1, 0, 0xC0,
				0x0B, 1, 0, 0x0C, 0, 0xA1, 1, 0xC0},
			collections: []hidreport.Usage{{1, 6}, {0x0C, 1}}},
		"the page that stands at the collection, the first usage": {
			b:           []byte{0x05, 1, 0x09, 2, 0x09, 3, 0x05, 9, 0xA1, 1, 0xC0},
			collections: []hidreport.Usage{{9, 2}}},
		"a usage minimum, and none": {
			b:           []byte{0x05, 1, 0x19, 4, 0xA1, 1, 0xC0, 0xA1, 1, 0xC0},
			collections: []hidreport.Usage{{1, 4}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := hidreport.Parse(c.b)
			require.NoError(t, err)
			require.Equal(t, c.collections, d.Collections)
			require.Equal(t, c.input, d.ByteLength(hidreport.Input))
			require.Equal(t, c.ids, d.UsesIDs(hidreport.Input))
		})
	}
}

func TestBadDescriptors(t *testing.T) {
	for name, c := range map[string]struct {
		b   []byte
		err string
	}{
		"truncated":          {[]byte{0x75, 8, 0x26, 1}, "at byte 2: an item goes over the end"},
		"truncated long":     {[]byte{0xFE, 4, 0, 1, 2, 3}, "at byte 0: an item goes over the end"},
		"long without size":  {[]byte{0xFE}, "over the end"},
		"end alone":          {[]byte{0xC0}, "End Collection without"},
		"no end":             {[]byte{0xA1, 1, 0xA1, 0, 0xC0}, "1 collections without"},
		"pop alone":          {[]byte{0xB4}, "Pop without Push"},
		"report id 0":        {[]byte{0x85, 0}, "report id 0"},
		"report id 256":      {[]byte{0x86, 0, 1}, "report id 256"},
		"a huge report":      {[]byte{0x77, 255, 255, 255, 255, 0x97, 255, 255, 255, 255, 0x81, 2}, "bits, more than"},
		"a report that adds": {append([]byte{0x75, 255, 0x96, 0, 2}, bytes.Repeat([]byte{0xB1, 2}, 3)...), "feature report 0 has"},
		"deep":               {bytes.Repeat([]byte{0xA1, 0}, 300), "inside each other"},
		"wide":               {bytes.Repeat([]byte{0xA1, 1, 0xC0}, 300), "top-level"},
		"pushing":            {bytes.Repeat([]byte{0xA4}, 65), "Push"},
		"long":               {make([]byte, 4097), "4097 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hidreport.Parse(c.b)
			require.ErrorContains(t, err, c.err)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{nil, joystick(true), joystick(false), withIDs, {0xFE, 1, 2, 3}, {0xA4, 0xB4}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := hidreport.Parse(b)
		if err != nil {
			require.Nil(t, d)
			return
		}
		require.LessOrEqual(t, len(d.Collections), 256)
		for k := range hidreport.Kind(hidreport.Kinds) {
			longest, reports := 0, 0
			for id := range 256 {
				n, ok := d.ReportLength(k, uint8(id))
				if ok != (n > 1) || n > 1+16384 || ok && d.UsesIDs(k) && id == 0 {
					t.Fatalf("%v report %d has %d bytes (%v)", k, id, n, ok)
				}
				longest = max(longest, n)
				if ok {
					reports++
				}
			}
			require.Equal(t, longest, d.ByteLength(k))
			require.False(t, !d.UsesIDs(k) && reports > 1)
			_, only := d.Only(k)
			require.Equal(t, reports == 1, only)
		}
		// Another collection around it changes no length.
		if len(b)+3 <= hidreport.MaxDescriptor {
			again, err := hidreport.Parse(append(append([]byte{0xA1, 0}, b...), 0xC0))
			if err == nil {
				require.Equal(t, lengths(d), lengths(again))
			}
		}
	})
}

// lengths are those of all reports.
func lengths(d *hidreport.Descriptor) (all [hidreport.Kinds]map[uint8]int) {
	for k := range hidreport.Kind(hidreport.Kinds) {
		all[k] = map[uint8]int{}
		for id := range 256 {
			if n, ok := d.ReportLength(k, uint8(id)); ok {
				all[k][uint8(id)] = n
			}
		}
	}
	return all
}
