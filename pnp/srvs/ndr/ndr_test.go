// SPDX-License-Identifier: Apache-2.0

package ndr

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// everything has a member of each kind.
type everything struct {
	One    uint8
	Two    uint16
	Four   uint32
	Signed int32
	ID     pnp.GUID
	Fixed  [3]byte
	Name   []uint16
	Inner  *inner
	List   []inner
	Size   uint32
	Data   []byte
	After  []byte
	Late   uint32
}

type inner struct {
	Number uint32
	Text   []uint16
	Next   *inner
}

func (x *inner) code(c *Coder) {
	c.Uint32(&x.Number)
	c.UniqueString(&x.Text)
	Pointer(c, &x.Next, func(next *inner) { next.code(c) })
}

func (x *everything) code(c *Coder) {
	c.Construct(func() {
		c.Uint8(&x.One)
		c.Uint16(&x.Two)
		c.Uint32(&x.Four)
		c.Int32(&x.Signed)
		c.GUID(&x.ID)
		c.Octets(x.Fixed[:])
		c.UniqueString(&x.Name)
		Pointer(c, &x.Inner, func(p *inner) { p.code(c) })
		if !c.Decoding() {
			x.Size = uint32(len(x.Data))
			x.Late = uint32(len(x.After))
		}
		n := uint32(len(x.List))
		c.Uint32(&n)
		SizedArray(c, &x.List, &n, 12, func(p *inner) { p.code(c) })
		c.Uint32(&x.Size)
		c.SizedOctets(&x.Data, &x.Size)
		c.SizedOctets(&x.After, &x.Late)
		c.Uint32(&x.Late)
	})
}

func example() everything {
	return everything{
		One: 1, Two: 0x0203, Four: 0x04050607, Signed: -1,
		ID:    pnp.MustGUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"),
		Fixed: [3]byte{7, 8, 9},
		Name:  UTF16("ab"),
		Inner: &inner{Number: 1, Text: UTF16("x"), Next: &inner{Number: 2}},
		List: []inner{
			{Number: 3, Next: &inner{Number: 4, Text: UTF16("y")}},
			{Number: 5, Text: []uint16{}},
		},
		Data:  []byte{1, 2, 3, 4, 5},
		After: []byte{6},
	}
}

func encode(t testing.TB, f func(*Coder)) []byte {
	c := NewEncoder()
	f(c)
	require.NoError(t, c.Err())
	return c.Stub()
}

func bytesOf(t testing.TB, text string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	require.NoError(t, err)
	return b
}

// golden is the stub of example.
const golden = `
	01 00 03 02  07 06 05 04  ff ff ff ff
	c8 4f 32 4b  70 16 d3 01  12 78 5a 47 bf 6e e1 88
	07 08 09 00
	00 00 02 00
	04 00 02 00
	02 00 00 00  08 00 02 00
	05 00 00 00  0c 00 02 00
	10 00 02 00
	01 00 00 00
	03 00 00 00  00 00 00 00  03 00 00 00  61 00 62 00 00 00  00 00
	01 00 00 00  14 00 02 00  18 00 02 00
		02 00 00 00  00 00 00 00  02 00 00 00  78 00 00 00
		02 00 00 00  00 00 00 00  00 00 00 00
	02 00 00 00
		03 00 00 00  00 00 00 00  1c 00 02 00
		05 00 00 00  20 00 02 00  00 00 00 00
		04 00 00 00  24 00 02 00  00 00 00 00
			02 00 00 00  00 00 00 00  02 00 00 00  79 00 00 00
		01 00 00 00  00 00 00 00  01 00 00 00  00 00  00 00
	05 00 00 00  01 02 03 04 05  00 00 00
	01 00 00 00  06`

func TestGolden(t *testing.T) {
	want := bytesOf(t, golden)
	x := example()
	assert.Equal(t, hex.Dump(want), hex.Dump(encode(t, x.code)))

	var got everything
	c := NewDecoder(want, binary.LittleEndian)
	got.code(c)
	require.NoError(t, c.Err())
	assert.Zero(t, c.Rest())
	assert.Equal(t, x, got)

	for n := range want {
		c := NewDecoder(want[:n], binary.LittleEndian)
		new(everything).code(c)
		require.ErrorIs(t, c.Err(), ErrBadStub, "cut at %d", n)
		require.Zero(t, c.Rest())
	}
}

func TestBigEndian(t *testing.T) {
	c := NewDecoder(bytesOf(t, `01 00 02 03  04 05 06 07
		4b 32 4f c8 16 70 01 d3 12 78 5a 47 bf 6e e1 88
		00 00 00 02  00 00 00 00  00 00 00 02  d8 00  00 00`), binary.BigEndian)
	var x everything
	c.Uint8(&x.One)
	c.Uint16(&x.Two)
	c.Uint32(&x.Four)
	c.GUID(&x.ID)
	c.String(&x.Name)
	require.NoError(t, c.Err())
	assert.Equal(t, everything{One: 1, Two: 0x0203, Four: 0x04050607, ID: example().ID, Name: []uint16{0xD800}}, x)
}

func TestStrings(t *testing.T) {
	for _, test := range []struct {
		name, stub string
		want       []uint16 // nil if refused
	}{
		{"empty", "01000000 00000000 01000000 0000", []uint16{}},
		{"text", "02000000 00000000 02000000 4100 0000", []uint16{'A'}},
		{"room behind it", "ffffffff 00000000 02000000 4100 0000", []uint16{'A'}},
		{"ends at its first NUL", "03000000 00000000 03000000 4100 0000 0000", []uint16{'A'}},
		{"nothing, not even a NUL", "00000000 00000000 00000000", nil},
		{"no NUL", "02000000 00000000 02000000 4100 4200", nil},
		{"NUL within only", "03000000 00000000 03000000 4100 0000 4200", nil},
		{"offset", "03000000 01000000 02000000 4100 0000", nil},
		{"longer than its maximum", "01000000 00000000 02000000 4100 0000", nil},
		{"longer than the stub", "03000000 00000000 03000000 4100 0000", nil},
		{"huge", "ffffffff 00000000 ffffffff 4100 0000", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := NewDecoder(bytesOf(t, test.stub), binary.LittleEndian)
			var got []uint16
			c.String(&got)
			if test.want == nil {
				assert.ErrorIs(t, c.Err(), ErrBadStub)
				return
			}
			require.NoError(t, c.Err())
			assert.Equal(t, test.want, got)
		})
	}
}

// TestTopLevelPointer tests that the pointee of a parameter follows its pointer,
// and precedes the next parameter.
func TestTopLevelPointer(t *testing.T) {
	code := func(c *Coder, name *[]uint16, number **uint32, last *uint32) {
		c.UniqueString(name)
		c.UniqueUint32(number)
		c.Uint32(last)
	}
	want := bytesOf(t, "00000200 02000000 00000000 02000000 41000000 04000200 07000000 09000000")
	name, seven, last := UTF16("A"), uint32(7), uint32(9)
	number := &seven
	assert.Equal(t, want, encode(t, func(c *Coder) { code(c, &name, &number, &last) }))

	name, number, last = nil, nil, 0
	c := NewDecoder(want, binary.LittleEndian)
	code(c, &name, &number, &last)
	require.NoError(t, c.Err())
	assert.Equal(t, UTF16("A"), name)
	assert.EqualValues(t, 7, *number)
	assert.EqualValues(t, 9, last)

	// A null pointer replaces what was there.
	c = NewDecoder(make([]byte, 12), binary.LittleEndian)
	code(c, &name, &number, &last)
	require.NoError(t, c.Err())
	assert.Nil(t, name)
	assert.Nil(t, number)
}

func TestVaryingArrayOfVaryingStrings(t *testing.T) {
	want := bytesOf(t, `02000000 00000000 02000000
		00000000 03000000 4300 3a00 0000 0000
		00000000 01000000 0000`)
	code := func(c *Coder, list *[][]uint16) {
		VaryingArray(c, list, 10, func(p *[]uint16) { c.VaryingString(p, 3) })
	}
	list := [][]uint16{UTF16("C:"), {}}
	assert.Equal(t, want, encode(t, func(c *Coder) { code(c, &list) }))
	var got [][]uint16
	c := NewDecoder(want, binary.LittleEndian)
	code(c, &got)
	require.NoError(t, c.Err())
	assert.Equal(t, list, got)

	for _, bad := range []string{
		"01000000 00000000 02000000" + strings.Repeat("00000000 01000000 00000000", 2),
		"02000000 01000000 01000000" + "00000000 01000000 00000000",
		"01000000 00000000 01000000" + "00000000 04000000 4300 3a00 4300 0000",
	} {
		c := NewDecoder(bytesOf(t, bad), binary.LittleEndian)
		code(c, &got)
		assert.ErrorIs(t, c.Err(), ErrBadStub, bad)
	}
}

func TestUnits(t *testing.T) {
	units := []uint16{1, 0xFFFE}
	want := bytesOf(t, "02000000 0100 feff")
	assert.Equal(t, want, encode(t, func(c *Coder) { c.ConformantUnits(&units) }))
	c := NewDecoder(want, binary.LittleEndian)
	var got []uint16
	c.ConformantUnits(&got)
	require.NoError(t, c.Err())
	assert.Equal(t, units, got)
}

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		name, stub string
		ok         bool
	}{
		{"equal", "02000000 04000000 02000000 0102", true},
		{"null", "00000000 00000000", true},
		{"null with a size", "02000000 00000000", false},
		{"longer array", "01000000 04000000 02000000 0102", false},
		{"shorter array", "02000000 04000000 01000000 01", false},
	} {
		for _, inside := range []bool{false, true} {
			c := NewDecoder(bytesOf(t, test.stub), binary.LittleEndian)
			var size uint32
			data := []byte{9}
			f := func() {
				c.Uint32(&size)
				c.SizedOctets(&data, &size)
			}
			if inside {
				c.Construct(f)
			} else {
				f()
			}
			assert.Equal(t, test.ok, c.Err() == nil, "%s: %v", test.name, c.Err())
		}
	}
}

func TestTagAndRange(t *testing.T) {
	c := NewDecoder(bytesOf(t, "01000000 02000000"), binary.LittleEndian)
	c.Tag(1)
	c.Range(5, 5, 6)
	c.Range(6, 5, 6)
	require.NoError(t, c.Err())
	c.Tag(1)
	assert.ErrorContains(t, c.Err(), "tag is 2 instead of 1")
	for _, v := range []uint32{4, 7} {
		c := NewDecoder(nil, binary.LittleEndian)
		c.Range(v, 5, 6)
		assert.ErrorIs(t, c.Err(), ErrBadStub)
	}
	assert.Equal(t, bytesOf(t, "07000000"), encode(t, func(c *Coder) { c.Tag(7) }))
}

// TestStickyError tests that the first error stays, and that zeros follow.
func TestStickyError(t *testing.T) {
	c := NewDecoder([]byte{1, 0, 0, 0, 5, 6}, binary.LittleEndian)
	var x uint32
	c.Uint32(&x)
	c.Uint32(&x)
	first := c.Err()
	require.ErrorIs(t, first, ErrBadStub)
	assert.Zero(t, x)
	small := uint8(7)
	c.Uint8(&small)
	c.Fail("again")
	assert.Zero(t, small)
	assert.Equal(t, first, c.Err())
}

func TestAttempt(t *testing.T) {
	c := NewDecoder([]byte{1, 0, 0, 0, 2, 0, 0, 0}, binary.LittleEndian)
	var a, b uint32
	assert.False(t, c.Attempt(func() bool { c.Uint32(&a); c.Uint32(&a); c.Uint32(&a); return true }), "it fails")
	assert.False(t, c.Attempt(func() bool { c.Uint32(&a); return false }), "it is refused")
	assert.True(t, c.Attempt(func() bool { c.Uint32(&a); return true }))
	c.Uint32(&b)
	require.NoError(t, c.Err())
	assert.EqualValues(t, 1, a)
	assert.EqualValues(t, 2, b)
	c.Uint32(&b)
	assert.False(t, c.Attempt(func() bool { return true }), "after an error")
}

func TestAtEnd(t *testing.T) {
	trailer := []byte{8, 9}
	for _, test := range []struct {
		stub []byte
		pos  int
		want bool
	}{
		{nil, 0, true},
		{[]byte{1, 2}, 2, true},
		{[]byte{1, 2}, 1, false},
		{[]byte{1, 2, 0, 0, 8, 9, 7}, 2, true},
		{[]byte{1, 2, 3, 4, 8, 9}, 4, true},
		{[]byte{1, 2, 3, 4, 8}, 4, false},
		{[]byte{1, 2, 8, 9}, 2, false},
	} {
		c := NewDecoder(test.stub, binary.LittleEndian)
		c.Octets(make([]byte, test.pos))
		assert.Equal(t, test.want, c.AtEnd(trailer), "% x at %d", test.stub, test.pos)
	}
	c := NewDecoder(nil, binary.LittleEndian)
	c.Fail("")
	assert.False(t, c.AtEnd(trailer))
}

func TestData(t *testing.T) {
	for _, decoding := range []bool{false, true} {
		x := example()
		c := NewEncoder()
		if decoding {
			c = NewDecoder(bytesOf(t, golden), binary.LittleEndian)
		}
		x.code(c)
		require.NoError(t, c.Err())
		assert.Equal(t, 2*(3+2+2+1)+5+1, c.Data())
	}
}

// TestBombs tests that counts are refused before memory is taken for them.
func TestBombs(t *testing.T) {
	var list []inner
	var octets []byte
	var units []uint16
	var strs [][]uint16
	huge := bytesOf(t, "ffffff7f 00000000 ffffff7f")
	many := make([]byte, 4<<20)
	binary.LittleEndian.PutUint32(many, MaxItems+1)
	for _, test := range []struct {
		name   string
		stub   []byte
		decode func(c *Coder)
	}{
		{"structures", huge, func(c *Coder) { Array(c, &list, 12, func(x *inner) { x.code(c) }) }},
		{"octets", huge, func(c *Coder) { c.ConformantOctets(&octets) }},
		{"WCHARs", huge, func(c *Coder) { c.ConformantUnits(&units) }},
		{"varying", huge, func(c *Coder) { VaryingArray(c, &strs, 10, func(p *[]uint16) { c.VaryingString(p, 3) }) }},
		{"string", huge, func(c *Coder) { c.String(&units) }},
		{"items that are there", many, func(c *Coder) { Array(c, &list, 12, func(x *inner) { x.code(c) }) }},
		{"pointers", bytes.Repeat([]byte{1}, 4<<20), func(c *Coder) {
			for c.Err() == nil {
				c.Unique(false, func() {})
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c := NewDecoder(test.stub, binary.LittleEndian)
			test.decode(c)
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, c.Err(), ErrBadStub)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		})
	}
}

// TestMaxItems tests that the bound itself is allowed, of all arrays and pointers
// together.
func TestMaxItems(t *testing.T) {
	for more, ok := range map[int]bool{0: true, 1: false} {
		const pointers = 10
		n := MaxItems - pointers + more
		e := NewEncoder()
		for range pointers {
			e.Unique(true, func() {})
		}
		list := make([]uint32, n)
		Array(e, &list, 4, e.Uint32)
		c := NewDecoder(e.Stub(), binary.LittleEndian)
		for range pointers {
			c.Unique(false, func() {})
		}
		list = nil
		Array(c, &list, 4, c.Uint32)
		assert.Equal(t, ok, c.Err() == nil, "%d more: %v", more, c.Err())
		assert.Equal(t, ok, len(list) == n)
	}
}

// FuzzDecode tests that whatever decodes encodes to something that decodes to the
// same.
func FuzzDecode(f *testing.F) {
	f.Add(bytesOf(f, golden), false)
	f.Add(bytesOf(f, golden), true)
	f.Fuzz(func(t *testing.T, stub []byte, big bool) {
		var order binary.ByteOrder = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		var x, y everything
		c := NewDecoder(stub, order)
		x.code(c)
		if c.Err() != nil {
			require.ErrorIs(t, c.Err(), ErrBadStub)
			return
		}
		again := encode(t, x.code)
		c = NewDecoder(again, binary.LittleEndian)
		y.code(c)
		require.NoError(t, c.Err())
		require.Zero(t, c.Rest())
		require.Equal(t, x, y)
	})
}
