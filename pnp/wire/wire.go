// SPDX-License-Identifier: Apache-2.0

// Package wire is the byte format of [MS-RDPEPNP] 2.2: the messages of the PNP
// Device Info Subprotocol (info.go) and of the PNP Device I/O Subprotocol
// (io_request.go, io_reply.go), encoded and decoded exactly. Decode takes them
// apart, for the roles as for tests and captures; the Append of each type puts
// one together.
//
// Decode allocates nothing: a Message, and the byte fields of what it returns,
// are views of the bytes decoded and live as long as they do. Append appends to
// the caller's buffer. Neither keeps a buffer, and all functions may be called
// from any goroutine.
package wire

import (
	"encoding/binary"
	"fmt"
)

// Error tells why a message is malformed, in the specification's words.
type Error struct {
	// Section of the specification, for instance "2.2.2.3.5".
	Section string
	// Message is the name of the message, for instance "Write Request".
	Message string
	// Problem names the field and what is wrong with it.
	Problem string
}

func (e *Error) Error() string {
	return fmt.Sprintf("malformed %s: %s ([MS-RDPEPNP] %s)", e.Message, e.Problem, e.Section)
}

// cursor reads little-endian fields; the first read past the end makes it fail
// for good, and its reads return zero from then on.
type cursor struct {
	b    []byte
	fail bool
}

func (c *cursor) take(n uint32) []byte {
	if c.fail || uint64(n) > uint64(len(c.b)) {
		c.fail = true
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u32() uint32 {
	if v := c.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

// counted reads a u32 length and that many bytes.
func (c *cursor) counted() []byte { return c.take(c.u32()) }

func (c *cursor) guid() (g [16]byte) {
	copy(g[:], c.take(16))
	return g
}

var le = binary.LittleEndian

func appendCounted(b, field []byte) []byte {
	b = le.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}
