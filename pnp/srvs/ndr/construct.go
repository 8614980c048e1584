// SPDX-License-Identifier: Apache-2.0

package ndr

import "slices"

// Construct codes a structure, union or array that stands by itself: f codes its
// members, and what their pointers point to follows in the order of the pointers,
// depth first (C706 14.3.12.3). Within another construct it just calls f.
func (c *Coder) Construct(f func()) {
	if c.inside {
		f()
		return
	}
	c.inside = true
	f()
	c.inside = false
	pointees := c.deferred
	c.deferred = nil
	for _, pointee := range pointees {
		if c.err != nil {
			return
		}
		c.Construct(pointee)
	}
}

// firstReferent is where Windows and Samba begin to count their pointers.
const firstReferent = 0x20000

// Unique codes a [unique] pointer, and with pointee what it points to unless it is
// null. The pointee is deferred within a construct. For an encoder, present tells
// whether the pointer is null; Unique returns the same for both.
func (c *Coder) Unique(present bool, pointee func()) bool {
	var id uint32
	if !c.decoding && present {
		id = firstReferent + 4*c.referents
		c.referents++
	}
	if c.Uint32(&id); id == 0 {
		return false
	}
	if !c.count(1) {
		return false
	}
	if c.inside {
		c.deferred = append(c.deferred, pointee)
	} else {
		c.Construct(pointee)
	}
	return true
}

// Pointer codes a [unique] pointer to what code describes. A decoder sets *p to a
// new T, or to nil.
func Pointer[T any](c *Coder, p **T, code func(*T)) {
	if c.decoding {
		*p = new(T)
	}
	pointee := *p
	if !c.Unique(pointee != nil, func() { code(pointee) }) {
		*p = nil
	}
}

// UniqueUint32 codes a [unique] pointer to an unsigned long.
func (c *Coder) UniqueUint32(p **uint32) { Pointer(c, p, c.Uint32) }

// count adds n to the items of a decoder. It returns false if they are too many,
// or after another error.
func (c *Coder) count(n int) bool {
	if c.decoding {
		if n > MaxItems-c.items {
			c.Fail("more than %d pointers and array elements", MaxItems)
		}
		c.items += n
	}
	return c.err == nil
}

// fits fails a decoder unless n elements of least bytes are there.
func (c *Coder) fits(n uint32, least int) bool {
	if c.decoding && c.err == nil && int64(n)*int64(least) > int64(c.Rest()) {
		c.Fail("an array of %d elements in %d bytes", n, c.Rest())
	}
	return c.err == nil
}

// Array codes a conformant array of structures, each described by code and not
// shorter than least bytes on the wire, least being at least 1.
func Array[T any](c *Coder, p *[]T, least int, code func(*T)) {
	n := uint32(len(*p))
	c.Uint32(&n)
	Elements(c, p, n, least, code)
}

// VaryingArray is Array for one that is varying as well.
func VaryingArray[T any](c *Coder, p *[]T, least int, code func(*T)) {
	var most, offset, n = uint32(len(*p)), uint32(0), uint32(len(*p))
	c.Uint32(&most)
	c.Uint32(&offset)
	c.Uint32(&n)
	if offset != 0 || n > most {
		c.Fail("a varying array of %d, %d, %d", most, offset, n)
	}
	Elements(c, p, n, least, code)
}

// Elements codes the n elements of an array whose counts are coded already.
func Elements[T any](c *Coder, p *[]T, n uint32, least int, code func(*T)) {
	if c.decoding {
		*p = nil
		if !c.fits(n, least) || !c.count(int(n)) {
			return
		}
		*p = make([]T, n)
	}
	list := *p
	c.Construct(func() {
		for i := range list {
			code(&list[i])
		}
	})
}

// SizedArray codes a [unique] pointer to a conformant array whose [size_is] is
// *size, which is coded before or behind the pointer and, for an encoder, set
// already.
func SizedArray[T any](c *Coder, p *[]T, size *uint32, least int, code func(*T)) {
	c.sized(*p != nil, size, func() int {
		Array(c, p, least, code)
		return len(*p)
	}, func() { *p = nil })
}

// SizedOctets is SizedArray for octets.
func (c *Coder) SizedOctets(p *[]byte, size *uint32) {
	c.sized(*p != nil, size, func() int {
		c.ConformantOctets(p)
		return len(*p)
	}, func() { *p = nil })
}

// sized codes a pointer to an array. Its length is compared where the array
// stands, as the size may stand behind the pointer.
func (c *Coder) sized(present bool, size *uint32, array func() int, null func()) {
	check := func(n int) {
		if c.decoding && uint32(n) != *size {
			c.Fail("an array of %d elements whose size is %d", n, *size)
		}
	}
	if c.Unique(present, func() { check(array()) }) {
		return
	}
	null()
	if c.inside {
		c.deferred = append(c.deferred, func() { check(0) })
	} else {
		check(0)
	}
}

// ConformantOctets codes a conformant array of octets.
func (c *Coder) ConformantOctets(p *[]byte) {
	n := uint32(len(*p))
	c.Uint32(&n)
	if c.decoding {
		*p = nil
		if !c.fits(n, 1) {
			return
		}
		*p = make([]byte, n)
	}
	c.data += len(*p)
	c.Octets(*p)
}

// ConformantUnits codes a conformant array of WCHARs.
func (c *Coder) ConformantUnits(p *[]uint16) {
	n := uint32(len(*p))
	c.Uint32(&n)
	if c.decoding {
		*p = nil
		if !c.fits(n, 2) {
			return
		}
		*p = make([]uint16, n)
	}
	c.units(*p)
}

func (c *Coder) units(p []uint16) {
	c.data += 2 * len(p)
	if !c.decoding {
		for _, u := range p {
			c.buf = append(c.buf, byte(u), byte(u>>8))
		}
		return
	}
	if b := c.take(2 * len(p)); b != nil {
		for i := range p {
			p[i] = c.order.Uint16(b[2*i:])
		}
	}
}

// String codes a [string]: a conformant and varying array of WCHARs with a NUL. A
// decoder's text ends at the first NUL.
func (c *Coder) String(p *[]uint16) {
	most := uint32(len(*p) + 1)
	c.Uint32(&most)
	c.varyingString(p, most)
}

// VaryingString codes a [string] that is an array of at most most WCHARs with its
// NUL, the length being the array's own and not on the wire.
func (c *Coder) VaryingString(p *[]uint16, most uint32) { c.varyingString(p, most) }

func (c *Coder) varyingString(p *[]uint16, most uint32) {
	var offset, n uint32 = 0, uint32(len(*p) + 1)
	c.Uint32(&offset)
	c.Uint32(&n)
	if !c.decoding {
		c.units(*p)
		c.units([]uint16{0})
		return
	}
	*p = []uint16{}
	if offset != 0 || n == 0 || n > most || int64(n)*2 > int64(c.Rest()) {
		c.Fail("a string of %d, %d, %d in %d bytes", most, offset, n, c.Rest())
		return
	}
	text := make([]uint16, n)
	c.units(text)
	if text[n-1] != 0 {
		c.Fail("a string without its NUL")
		return
	}
	*p = text[:slices.Index(text, 0)]
}

// UniqueString codes a [unique, string] pointer.
func (c *Coder) UniqueString(p *[]uint16) {
	if !c.Unique(*p != nil, func() { c.String(p) }) {
		*p = nil
	}
}
