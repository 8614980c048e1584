// SPDX-License-Identifier: Apache-2.0

// Package wire is the byte format of [MS-RDPEPNP] 2.2: the messages of the PNP
// Device Info Subprotocol (info.go) and of the PNP Device I/O Subprotocol
// (io_request.go, io_reply.go), encoded and decoded exactly.
//
// A decoder checks every length before it uses it and allocates nothing: byte
// fields of a decoded message are views into the message and live as long as
// it does. An encoder appends to the caller's buffer. Neither keeps a buffer,
// and all functions may be called from any goroutine.
package wire

import (
	"encoding/binary"
	"fmt"
)

// Direction says which role sends a message.
type Direction uint8

// The two directions.
const (
	ServerToClient Direction = 1 << iota
	ClientToServer
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

// kind is a row of the tables of messages.
type kind struct {
	name    string
	section string
	from    Direction
	// size is the exact length of a message without variable fields and the
	// least length of any other.
	size  int
	exact bool
}

func (k kind) errorf(format string, args ...any) error {
	return &Error{Section: k.section, Message: k.name, Problem: fmt.Sprintf(format, args...)}
}

// check applies the row to a message of n bytes.
func (k kind) check(n int) error {
	if n < k.size || k.exact && n != k.size {
		least := "at least "
		if k.exact {
			least = ""
		}
		return k.errorf("%d bytes, not %s%d", n, least, k.size)
	}
	return nil
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
