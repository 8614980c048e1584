// SPDX-License-Identifier: Apache-2.0

// Package ndr writes and reads stub data in the Network Data Representation 2.0
// of C706 chapter 14, with the rules that [MS-RPCE] adds for its decoders.
//
// A Coder either encodes or decodes. A type describes its representation once,
// in a function that hands each of its members to the Coder in the order of the
// IDL; that function then works both ways:
//
//	func (x *shareInfo1) code(c *ndr.Coder) {
//		c.UniqueString(&x.Netname)
//		c.Uint32(&x.Type)
//		c.UniqueString(&x.Remark)
//	}
//
// Alignment counts from the start of the stub. What the pointers of a structure,
// a union or an array point to is deferred to the end of the outermost construct
// (Construct); what a parameter points to follows at once.
//
// A decoder keeps its first error, after which it yields zeros, so that a
// description need not check as it goes. It believes no count before the bytes
// behind it are there, and bounds what it builds by MaxItems.
//
// Text is a slice of UTF-16 units without its NUL, as it may hold unpaired
// surrogates; nil is the null pointer, an empty slice the empty string.
package ndr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"

	"freerdp-pnpdr/pnp"
)

// MaxItems bounds the array elements and pointers of one decoded stub together.
// Elements of byte, character and integer arrays do not count: their memory is
// that of the stub.
const MaxItems = 1 << 13

// ErrBadStub is in every error that a decoder reports. The peer gets a fault with
// RPC_X_BAD_STUB_DATA for it.
var ErrBadStub = errors.New("bad stub data")

// A Coder encodes or decodes one stub. It is not for concurrent use.
type Coder struct {
	decoding  bool
	order     binary.ByteOrder
	buf       []byte
	pos       int    // decoding: what was read
	items     int    // decoding: what MaxItems bounds
	referents uint32 // encoding: pointers that are not null
	inside    bool   // a construct, so that pointees are deferred
	deferred  []func()
	data      int // what Data returns
	err       error
}

// NewEncoder returns a Coder that appends to an empty stub, in little-endian
// order.
func NewEncoder() *Coder {
	return &Coder{order: binary.LittleEndian}
}

// NewDecoder returns a Coder that reads stub in the given order. What it decodes
// shares no memory with stub.
func NewDecoder(stub []byte, order binary.ByteOrder) *Coder {
	return &Coder{decoding: true, order: order, buf: stub}
}

// Decoding tells the direction.
func (c *Coder) Decoding() bool { return c.decoding }

// Err returns the first error.
func (c *Coder) Err() error { return c.err }

// Stub returns what was encoded so far. The Coder keeps no use of it.
func (c *Coder) Stub() []byte { return c.buf }

// Pos returns the number of bytes encoded or decoded so far.
func (c *Coder) Pos() int {
	if c.decoding {
		return c.pos
	}
	return len(c.buf)
}

// Rest returns the number of bytes that are left to decode.
func (c *Coder) Rest() int {
	if c.err != nil {
		return 0
	}
	return len(c.buf) - c.pos
}

// AtEnd tells whether a decoder has nothing left but, behind at most 3 pad bytes,
// what begins with trailer.
func (c *Coder) AtEnd(trailer []byte) bool {
	rest := c.Rest()
	pad := -c.pos & 3
	return c.err == nil && (rest == 0 || rest >= pad && bytes.HasPrefix(c.buf[c.pos+pad:], trailer))
}

// Data returns the bytes of strings, with their NULs, and of conformant arrays of
// octets and WCHARs so far, without counts and padding.
func (c *Coder) Data() int { return c.data }

// Fail records an error, unless there is one already.
func (c *Coder) Fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w at byte %d: %s", ErrBadStub, c.Pos(), fmt.Sprintf(format, args...))
	}
}

// Attempt runs f on a decoder. If f leads to an error, or returns false, Attempt
// takes all of it back and returns false.
func (c *Coder) Attempt(f func() bool) bool {
	if c.err != nil {
		return false
	}
	before := *c
	if f() && c.err == nil {
		return true
	}
	*c = before
	return false
}

// Align skips or writes pad bytes up to a multiple of n, which is 2 or 4.
func (c *Coder) Align(n int) {
	pad := -c.Pos() & (n - 1)
	if pad == 0 {
		return
	}
	if c.decoding {
		c.take(pad)
		return
	}
	for range pad {
		c.buf = append(c.buf, 0)
	}
}

// take returns the next n bytes, which belong to the stub, or nil after an error.
func (c *Coder) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.buf)-c.pos {
		c.Fail("%d bytes are missing", n-(len(c.buf)-c.pos))
		return nil
	}
	b := c.buf[c.pos : c.pos+n]
	c.pos += n
	return b
}

// Uint8 codes an octet.
func (c *Coder) Uint8(p *uint8) {
	if !c.decoding {
		c.buf = append(c.buf, *p)
		return
	}
	*p = 0
	if b := c.take(1); b != nil {
		*p = b[0]
	}
}

// Uint16 codes an unsigned short.
func (c *Coder) Uint16(p *uint16) {
	c.Align(2)
	if !c.decoding {
		c.buf = binary.LittleEndian.AppendUint16(c.buf, *p)
		return
	}
	*p = 0
	if b := c.take(2); b != nil {
		*p = c.order.Uint16(b)
	}
}

// Uint32 codes an unsigned long.
func (c *Coder) Uint32(p *uint32) {
	c.Align(4)
	if !c.decoding {
		c.buf = binary.LittleEndian.AppendUint32(c.buf, *p)
		return
	}
	*p = 0
	if b := c.take(4); b != nil {
		*p = c.order.Uint32(b)
	}
}

// Int32 codes a long.
func (c *Coder) Int32(p *int32) {
	u := uint32(*p)
	c.Uint32(&u)
	*p = int32(u)
}

// Octets codes an array of octets whose length both sides know.
func (c *Coder) Octets(p []byte) {
	if !c.decoding {
		c.buf = append(c.buf, p...)
		return
	}
	clear(p)
	copy(p, c.take(len(p)))
}

// GUID codes a UUID: a long, two shorts and eight octets.
func (c *Coder) GUID(p *pnp.GUID) {
	one, two, three := binary.LittleEndian.Uint32(p[0:]), binary.LittleEndian.Uint16(p[4:]), binary.LittleEndian.Uint16(p[6:])
	c.Uint32(&one)
	c.Uint16(&two)
	c.Uint16(&three)
	c.Octets(p[8:])
	binary.LittleEndian.PutUint32(p[0:], one)
	binary.LittleEndian.PutUint16(p[4:], two)
	binary.LittleEndian.PutUint16(p[6:], three)
}

// Tag codes the discriminant of a union, which has to repeat level.
func (c *Coder) Tag(level uint32) {
	tag := level
	c.Uint32(&tag)
	if tag != level {
		c.Fail("the union's tag is %d instead of %d", tag, level)
	}
}

// Range fails if value breaks the range attribute of its parameter.
func (c *Coder) Range(value, least, most uint32) {
	if value < least || value > most {
		c.Fail("%d is not within %d and %d", value, least, most)
	}
}

// UTF16 returns s as the text of a [string]. It is never nil.
func UTF16(s string) []uint16 {
	return utf16.Encode([]rune(s))
}
