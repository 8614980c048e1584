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

// TestSeparate: what Windows makes several devices of, and what it refuses.
func TestSeparate(t *testing.T) {
	vendor, in, out := hidreporttest.Vendor, hidreporttest.Input, hidreporttest.Output
	for name, c := range map[string]struct {
		descriptor []byte
		want       bool
	}{
		"one collection":               {vendor(in(1, 1), in(2, 1)), false},
		"two":                          {slices.Concat(vendor(in(1, 1), in(2, 3), out(1, 1)), vendor(in(3, 1), out(3, 9))), true},
		"kinds of reports differ":      {slices.Concat(vendor(in(1, 1)), vendor(out(2, 1)), vendor(hidreporttest.Feature(3, 1))), true},
		"without ids":                  {slices.Concat(vendor(in(0, 1)), vendor(in(0, 1))), false},
		"one without an id":            {slices.Concat(vendor(in(1, 1), out(1, 1)), vendor(in(0, 1))), false},
		"the first without":            {slices.Concat(vendor(in(0, 1)), vendor(in(1, 1))), false},
		"a shared id":                  {slices.Concat(vendor(in(1, 1)), vendor(in(1, 1), in(2, 1))), false},
		"an id for two kinds":          {slices.Concat(vendor(in(1, 1)), vendor(out(1, 1), in(2, 1))), false},
		"one without reports":          {slices.Concat(vendor(in(1, 1)), vendor()), false},
		"a field before them":          {slices.Concat(bytesOf(t, "85 05 75 08 95 01 81 02"), vendor(in(1, 1)), vendor(in(2, 1))), false},
		"a field between them":         {slices.Concat(vendor(in(1, 1)), bytesOf(t, "85 05 81 02"), vendor(in(2, 1))), false},
		"an id that is still in force": {slices.Concat(vendor(in(1, 1)), bytesOf(t, "09 01 A1 01 09 01 81 02 C0")), false},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := hidreport.Parse(c.descriptor)
			require.NoError(t, err)
			require.Equal(t, c.want, d.Separate())
			one, err := hidreport.Extract(c.descriptor, 0)
			if !c.want {
				require.ErrorContains(t, err, "not devices of their own")
				require.Nil(t, one)
				return
			}
			require.NoError(t, err)
			extracts(t, c.descriptor)
			_, err = hidreport.Extract(c.descriptor, len(d.TopLevel()))
			require.ErrorContains(t, err, "no top-level collection")
		})
	}
	_, err := hidreport.Extract([]byte{0xC0}, 0)
	require.ErrorContains(t, err, "at byte 0")
}

// headset is like many: a vendor's collection that sets what the next ones build on.
const headset = "06 00 FF 09 01 A1 01 15 00 26 FF 00 75 08 95 3F 85 02 09 02 81 02 85 03 09 02 91 02 A4 85 04 95 05 09 04 B1 02 B4 C0 " +
	"05 0B 09 05 A1 01 85 08 09 2A A1 02 09 20 25 01 75 01 95 01 81 02 95 07 81 03 C0 C0 " +
	"09 E9 05 0C A1 01 85 09 09 E9 09 EA 95 02 81 02 95 06 81 01 05 08 09 17 91 02 C0"

// TestExtract has the bytes of one: what is in force before a collection stays in force,
// in the order in which it came.
func TestExtract(t *testing.T) {
	whole := bytesOf(t, headset)
	extracts(t, whole)
	for n, want := range []string{
		"06 00 FF 09 01 A1 01 15 00 26 FF 00 75 08 95 3F 85 02 09 02 81 02 85 03 09 02 91 02 A4 85 04 95 05 09 04 B1 02 B4 C0",
		"06 00 FF 15 00 26 FF 00 75 08 95 3F 85 02 85 03 A4 85 04 95 05 B4 " +
			"05 0B 09 05 A1 01 85 08 09 2A A1 02 09 20 25 01 75 01 95 01 81 02 95 07 81 03 C0 C0",
		"06 00 FF 15 00 26 FF 00 75 08 95 3F 85 02 85 03 A4 85 04 95 05 B4 05 0B 85 08 25 01 75 01 95 01 95 07 " +
			"09 E9 05 0C A1 01 85 09 09 E9 09 EA 95 02 81 02 95 06 81 01 05 08 09 17 91 02 C0",
	} {
		one, err := hidreport.Extract(whole, n)
		require.NoError(t, err)
		require.Equal(t, bytesOf(t, want), one)
	}
}

// TestExtractRandom: for any descriptor the collections together are the whole.
func TestExtractRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	separate := 0
	for range 5000 {
		var b []byte
		for range 1 + r.IntN(4) {
			switch r.IntN(3) {
			case 0:
				id := byte(1 + r.IntN(255))
				b = slices.Concat(b, hidreporttest.Vendor(hidreporttest.Input(id, 3), hidreporttest.Feature(id, r.IntN(70))))
			case 1:
				// The first id may be that of another.
				b = slices.Concat(b, bytesOf(t, "85"), []byte{byte(1 + r.IntN(255))}, pieces(t, r))
			default:
				b = append(b, hidreporttest.Random(r)...)
			}
		}
		if extracts(t, b) {
			separate++
		}
	}
	require.Greater(t, separate, 500)
}

func FuzzExtract(f *testing.F) {
	f.Add(bytes.Join([][]byte{hidreporttest.Vendor(hidreporttest.Input(1, 3)), hidreporttest.Vendor(hidreporttest.Output(2, 3))}, nil))
	for _, s := range hidreporttest.Samples() {
		f.Add(s.Descriptor)
	}
	f.Fuzz(func(t *testing.T, b []byte) { extracts(t, b) })
}

// extracts finds contradictions between a descriptor and its collections. It returns false
// if they are not devices of their own.
func extracts(t *testing.T, b []byte) bool {
	whole, err := hidreport.Parse(b)
	if err != nil || !whole.Separate() {
		return false
	}
	var inputs []hidreport.Range
	var collections []hidreport.Collection
	var reports [hidreport.Kinds]map[uint8]int
	for k := range reports {
		reports[k] = map[uint8]int{}
	}
	for n, usage := range whole.TopLevel() {
		one, err := hidreport.Extract(b, n)
		require.NoError(t, err, "%x", b)
		require.LessOrEqual(t, len(one), len(b))
		d, err := hidreport.Parse(one)
		require.NoError(t, err, "%x of %x", one, b)
		require.Equal(t, []hidreport.Usage{usage}, d.TopLevel())
		require.False(t, d.Separate())
		inputs, collections = append(inputs, d.Inputs...), append(collections, d.Collections...)
		for k, lengths := range lengths(d) {
			for id, length := range lengths {
				require.NotContains(t, reports[k], id, "%x", b)
				reports[k][id] = length
			}
			require.True(t, len(lengths) == 0 || d.UsesIDs(hidreport.Kind(k)))
		}
		// What Windows makes of it, if the other collections do not stand in the way.
		if want, err := hidreport.Preparsed(b, n); err == nil {
			got, err := hidreport.Preparsed(one, 0)
			require.NoError(t, err)
			require.Equal(t, want, got, "%x of %x", one, b)
		}
	}
	require.Equal(t, whole.Inputs, inputs)
	require.Equal(t, whole.Collections, collections)
	require.Equal(t, lengths(whole), reports)
	return true
}
