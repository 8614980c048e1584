// SPDX-License-Identifier: Apache-2.0

package hidreport_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
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
		require.Equal(t, []hidreport.Usage{{Page: 1, ID: 4}}, d.TopLevel())
		for k := range hidreport.Kind(hidreport.Kinds) {
			require.Equal(t, want[k], d.ByteLength(k), "ids %v, %v", ids, k)
			require.Equal(t, ids, d.UsesIDs(k))
		}
	}
}

func TestReportLengths(t *testing.T) {
	d, err := hidreport.Parse(withIDs)
	require.NoError(t, err)
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

// TestOddDescriptors has reports in descriptors that no device should have.
func TestOddDescriptors(t *testing.T) {
	in := []byte{0x81, 0x02}
	for name, c := range map[string]struct {
		b     []byte
		input int
		ids   bool
	}{
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
	} {
		t.Run(name, func(t *testing.T) {
			d, err := hidreport.Parse(c.b)
			require.NoError(t, err)
			require.Empty(t, d.Collections)
			require.Equal(t, c.input, d.ByteLength(hidreport.Input))
			require.Equal(t, c.ids, d.UsesIDs(hidreport.Input))
		})
	}
}

func TestTopLevel(t *testing.T) {
	for _, c := range hidreporttest.Samples() {
		t.Run(c.Name, func(t *testing.T) {
			d, err := hidreport.Parse(c.Descriptor)
			require.NoError(t, err)
			require.Equal(t, c.Top, d.TopLevel())
		})
	}
}

// TestCollections has one of each sort, and their order.
func TestCollections(t *testing.T) {
	d, err := hidreport.Parse([]byte{
		0x05, 1, 0x09, 6, 0xA1, 1,
		0x05, 7, 0x09, 9, 0xA2, 1, 1, // two bytes, of which Linux takes the first
		0xC0, 0xA1, 2, 0xC0, 0xC0,
		0x09, 3, 0xA1, 0, 0xC0,
	})
	require.NoError(t, err)
	ranges := func(page, id uint16) []hidreport.Range { return []hidreport.Range{{Page: page, First: id, Last: id}} }
	require.Equal(t, []hidreport.Collection{
		{Type: hidreport.Application, Usage: hidreport.Usage{Page: 1, ID: 6}, Usages: ranges(1, 6)},
		{Type: hidreport.Application, Depth: 1, Usage: hidreport.Usage{Page: 7, ID: 9}, Usages: ranges(7, 9)},
		{Type: 2, Depth: 1},
		{Type: hidreport.Physical, Usage: hidreport.Usage{Page: 7, ID: 3}, Usages: ranges(7, 3)},
	}, d.Collections)
}

// TestUsages has all that usages may be taken for, in a collection and in a field.
func TestUsages(t *testing.T) {
	for name, c := range map[string]struct {
		locals []byte
		want   []hidreport.Range // in page 12 at the end
	}{
		"none":                {nil, nil},
		"short":               {[]byte{0x09, 6, 0x0A, 1, 2}, []hidreport.Range{{12, 6, 6}, {12, 0x201, 0x201}}},
		"before the page":     {[]byte{0x05, 1, 0x09, 6, 0x05, 12}, []hidreport.Range{{12, 6, 6}, {1, 6, 6}}},
		"before any page":     {[]byte{0x05, 0, 0x09, 6, 0x05, 12}, []hidreport.Range{{12, 6, 6}}},
		"long":                {[]byte{0x0B, 6, 0, 1, 0}, []hidreport.Range{{1, 6, 6}}},
		"long without a page": {[]byte{0x0B, 6, 0, 0, 0}, []hidreport.Range{{12, 6, 6}}},
		"range":               {[]byte{0x19, 2, 0x29, 7}, []hidreport.Range{{12, 2, 7}}},
		"range from nothing":  {[]byte{0x29, 7}, []hidreport.Range{{12, 0, 7}}},
		"range to nothing":    {[]byte{0x19, 7}, []hidreport.Range{{12, 7, 7}}},
		"two minima":          {[]byte{0x19, 7, 0x19, 9, 0x29, 10}, []hidreport.Range{{12, 9, 10}, {12, 7, 7}}},
		"range backwards":     {[]byte{0x19, 7, 0x29, 6}, []hidreport.Range{{12, 7, 0xFFFF}}},
		"long range":          {[]byte{0x1B, 2, 0, 1, 0, 0x2B, 7, 0, 1, 0}, []hidreport.Range{{1, 2, 7}}},
		"half a long range":   {[]byte{0x1B, 2, 0, 1, 0, 0x29, 7}, []hidreport.Range{{12, 2, 0xFFFF}, {1, 2, 0xFFFF}}},
		"the other half":      {[]byte{0x19, 2, 0x2B, 7, 0, 1, 0}, []hidreport.Range{{12, 2, 7}, {1, 2, 7}}},
		"over pages":          {[]byte{0x1B, 2, 0, 1, 0, 0x2B, 7, 0, 2, 0}, []hidreport.Range{{1, 0, 0xFFFF}, {2, 0, 0xFFFF}}},
		"delimiters":          {[]byte{0x09, 1, 0xA9, 1, 0x09, 2, 0x09, 3, 0xA9, 0}, []hidreport.Range{{12, 1, 1}, {12, 2, 2}, {12, 3, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := append([]byte{0x05, 12}, c.locals...)
			d, err := hidreport.Parse(append(append(append(b, 0xA1, 1), b...), 0x81, 2, 0xC0))
			require.NoError(t, err)
			require.Equal(t, c.want, d.Collections[0].Usages)
			require.Equal(t, c.want, d.Inputs)
			for _, main := range []byte{0x91, 0xB1} {
				d, err := hidreport.Parse(append(b, main, 2, 0xA1, 1, 0xC0))
				require.NoError(t, err)
				require.Empty(t, d.Inputs)
				require.Empty(t, d.Collections[0].Usages, "they end with the field")
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for want, b := range hidreporttest.Malformed() {
		d, err := hidreport.Parse(b)
		require.ErrorContains(t, err, want)
		require.Nil(t, d)
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{joystick(true), joystick(false), withIDs, {0xFE, 1, 2, 3}, {0xA4, 0xB4}} {
		f.Add(b)
	}
	for _, s := range hidreporttest.Samples() {
		f.Add(s.Descriptor)
	}
	for _, b := range hidreporttest.Malformed() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}

func TestRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	good := 0
	for range 2000 {
		if check(t, hidreporttest.Random(r)) {
			good++
		}
	}
	require.Greater(t, good, 1000)
}

// check reports whether b is well-formed, and finds contradictions.
func check(t *testing.T, b []byte) bool {
	d, err := hidreport.Parse(b)
	if err != nil {
		require.Nil(t, d)
		return false
	}
	depth := 0
	for _, c := range d.Collections {
		require.LessOrEqual(t, c.Depth, depth)
		depth = c.Depth + 1
		one := hidreport.Range{Page: c.Usage.Page, First: c.Usage.ID, Last: c.Usage.ID}
		require.True(t, c.Usage.Page == 0 || slices.ContainsFunc(c.Usages, one.Meets))
	}
	ranges := d.Inputs
	for _, c := range d.Collections {
		ranges = append(ranges[:len(ranges):len(ranges)], c.Usages...)
	}
	require.LessOrEqual(t, len(ranges), 3*len(b), "memory")
	for _, r := range ranges {
		require.True(t, r.Page != 0 && r.First <= r.Last)
	}
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
		require.NoError(t, err)
		require.Equal(t, lengths(d), lengths(again))
		require.Len(t, again.Collections, len(d.Collections)+1)
	}
	return true
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
