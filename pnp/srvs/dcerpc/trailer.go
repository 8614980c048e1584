// SPDX-License-Identifier: Apache-2.0

package dcerpc

import (
	"bytes"
	"encoding/binary"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// TrailerSignature begins a verification trailer ([MS-RPCE] 2.2.2.13.1).
var TrailerSignature = []byte{0x8a, 0xe3, 0x13, 0x71, 0x02, 0xf4, 0x36, 0x71}

// Commands of a verification trailer ([MS-RPCE] 2.2.2.13).
const (
	vtBitmask     = 0x0001
	vtPContext    = 0x0002
	vtHeader2     = 0x0003
	vtTypeMask    = 0x3FFF
	vtEnd         = 0x4000
	vtMustProcess = 0x8000

	vtHeaderSigning = 1 // of a bitmask: the bind PDU offered header signing
)

// trailer returns what follows the signature of a verification trailer, which is
// looked for from offset end of the stub on.
func (c *Call) trailer(end int) (body []byte, ok bool) {
	for at := (end + 3) &^ 3; at+len(TrailerSignature) <= len(c.Stub); at += 4 {
		if bytes.HasPrefix(c.Stub[at:], TrailerSignature) {
			return c.Stub[at+len(TrailerSignature):], true
		}
	}
	return nil, false
}

// Verify compares the request with its verification trailer, if it has one behind
// offset end of the stub, where the parameters end.
func (c *Call) Verify(end int) error {
	body, ok := c.trailer(end)
	if !ok {
		return nil
	}
	for {
		if len(body) < 4 {
			return Fault(StatusAccessDenied)
		}
		command, n := binary.LittleEndian.Uint16(body), int(binary.LittleEndian.Uint16(body[2:]))
		body = body[4:]
		if n > len(body) || !c.verify(command, body[:n]) {
			return Fault(StatusAccessDenied)
		}
		if command&vtEnd != 0 {
			return nil
		}
		body = body[n:]
	}
}

// verify compares the request with one command of the trailer.
func (c *Call) verify(command uint16, value []byte) bool {
	switch command & vtTypeMask {
	case vtBitmask:
		return len(value) == 4 && (binary.LittleEndian.Uint32(value)&vtHeaderSigning == 0 || c.headerSign)
	case vtPContext:
		var abstract, transfer Syntax
		d := ndr.NewDecoder(value, binary.LittleEndian)
		codeSyntax(d, &abstract)
		codeSyntax(d, &transfer)
		return len(value) == 40 && abstract == c.iface && transfer == NDR
	case vtHeader2:
		if len(value) != 16 {
			return false
		}
		h := &c.header
		return value[0] == h.ptype && [4]byte(value[4:8]) == h.drep &&
			binary.LittleEndian.Uint32(value[8:]) == h.callID &&
			binary.LittleEndian.Uint16(value[12:]) == c.context &&
			binary.LittleEndian.Uint16(value[14:]) == c.Opnum
	}
	return command&vtMustProcess == 0
}
