// SPDX-License-Identifier: Apache-2.0

package dcerpc

import (
	"encoding/binary"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// Types of PDUs (C706 12.6.2, [MS-RPCE] 2.2.2.1).
const (
	ptypeRequest          = 0
	ptypeResponse         = 2
	ptypeFault            = 3
	ptypeBind             = 11
	ptypeBindAck          = 12
	ptypeBindNak          = 13
	ptypeAlterContext     = 14
	ptypeAlterContextResp = 15
	ptypeRPCAuth3         = 16
	ptypeCoCancel         = 18
	ptypeOrphaned         = 19
	headerSize            = 16
	requestSize           = 24
	objectSize            = 16
	securityTrailerSize   = 8
)

// Flags of PDUs ([MS-RPCE] 2.2.2.3).
const (
	flagFirst         = 0x01
	flagLast          = 0x02
	flagPendingCancel = 0x04 // of requests
	flagHeaderSign    = 0x04 // of bind and alter_context
	flagConcMpx       = 0x10
	flagDidNotExecute = 0x20
	flagObject        = 0x80
)

// Reasons of bind_nak ([MS-RPCE] 2.2.2.5).
const (
	nakUnspecified    = 0
	nakLocalLimit     = 2
	nakVersion        = 4
	nakAuthentication = 8
)

// Results and reasons of presentation contexts (C706 12.6.3.1, [MS-RPCE] 2.2.2.4).
const (
	resultAcceptance        = 0
	resultProviderRejection = 2
	resultNegotiateAck      = 3

	reasonAbstractSyntax   = 1
	reasonTransferSyntaxes = 2
)

// A header is what all PDUs begin with (C706 12.6.3.1).
type header struct {
	major, minor uint8
	ptype, flags uint8
	drep         [4]byte
	fragLength   uint16
	authLength   uint16
	callID       uint32
}

// order returns the byte order of the PDU's integers and of its stub.
func (h *header) order() binary.ByteOrder {
	if h.drep[0]>>4 == 0 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// parseHeader reads the header in b, which has headerSize bytes.
func parseHeader(b []byte) header {
	h := header{major: b[0], minor: b[1], ptype: b[2], flags: b[3], drep: [4]byte(b[4:8])}
	order := h.order()
	h.fragLength, h.authLength = order.Uint16(b[8:]), order.Uint16(b[10:])
	h.callID = order.Uint32(b[12:])
	return h
}

// fixedSize returns the length of the part that all PDUs of the type and flags have.
func (h *header) fixedSize() int {
	switch h.ptype {
	case ptypeBind, ptypeAlterContext:
		return 28
	case ptypeRequest:
		if h.flags&flagObject != 0 {
			return requestSize + objectSize
		}
		return requestSize
	}
	return headerSize
}

// lengthsFit tells whether the PDU has room for its fixed part and for its security
// trailer.
func (h *header) lengthsFit() bool {
	need := h.fixedSize()
	if h.authLength > 0 {
		need += int(h.authLength) + securityTrailerSize
	}
	return int(h.fragLength) >= need
}

// A bind is the body of bind and alter_context (C706 12.6.4.3).
type bind struct {
	maxXmit, maxRecv uint16
	group            uint32
	contexts         []proposal
}

// A proposal is a presentation context that a client proposes.
type proposal struct {
	id       uint16
	abstract Syntax
	transfer []Syntax
}

// parseBind reads the body of a PDU, which is what follows its header. It returns
// false if the list of contexts is cut or one of them has no transfer syntax.
func parseBind(body []byte, order binary.ByteOrder) (b bind, ok bool) {
	c := ndr.NewDecoder(body, order)
	var n, transfers, pad uint8
	c.Uint16(&b.maxXmit)
	c.Uint16(&b.maxRecv)
	c.Uint32(&b.group)
	c.Uint8(&n)
	c.Octets(make([]byte, 3))
	for range n {
		var p proposal
		c.Uint16(&p.id)
		c.Uint8(&transfers)
		c.Uint8(&pad)
		codeSyntax(c, &p.abstract)
		if transfers == 0 || int(transfers)*20 > c.Rest() {
			return b, false
		}
		p.transfer = make([]Syntax, transfers)
		for i := range p.transfer {
			codeSyntax(c, &p.transfer[i])
		}
		b.contexts = append(b.contexts, p)
	}
	return b, c.Err() == nil
}

func codeSyntax(c *ndr.Coder, s *Syntax) {
	c.GUID(&s.UUID)
	c.Uint16(&s.Major)
	c.Uint16(&s.Minor)
}

// A result is the answer to a proposal.
type result struct {
	result, reason uint16
	transfer       Syntax
}

// appendHeader begins a PDU. finish sets its length.
func appendHeader(b []byte, ptype, flags uint8, callID uint32) []byte {
	b = append(b, 5, 0, ptype, flags, 0x10, 0, 0, 0, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, callID)
}

func finish(b []byte) []byte {
	binary.LittleEndian.PutUint16(b[8:], uint16(len(b)))
	return b
}

// bindAck returns a bind_ack or alter_context_resp. Both fragment sizes are frag.
func bindAck(ptype, flags uint8, callID uint32, frag uint16, group uint32, endpoint string, results []result) []byte {
	b := appendHeader(nil, ptype, flags|flagFirst|flagLast, callID)
	b = binary.LittleEndian.AppendUint16(b, frag)
	b = binary.LittleEndian.AppendUint16(b, frag)
	b = binary.LittleEndian.AppendUint32(b, group)
	address := []byte{}
	if endpoint != "" {
		address = append([]byte(endpoint), 0)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(address)))
	b = append(b, address...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	b = append(b, uint8(len(results)), 0, 0, 0)
	for _, r := range results {
		b = binary.LittleEndian.AppendUint16(b, r.result)
		b = binary.LittleEndian.AppendUint16(b, r.reason)
		b = append(b, r.transfer.UUID[:]...)
		b = binary.LittleEndian.AppendUint16(b, r.transfer.Major)
		b = binary.LittleEndian.AppendUint16(b, r.transfer.Minor)
	}
	return finish(b)
}

// bindNak returns a bind_nak that names version 5.0 as the one that is spoken.
func bindNak(callID uint32, reason uint16) []byte {
	b := appendHeader(nil, ptypeBindNak, flagFirst|flagLast, callID)
	b = binary.LittleEndian.AppendUint16(b, reason)
	return finish(append(b, 1, 5, 0, 0, 0, 0))
}

// fault returns a fault PDU. Its alloc_hint is its length, as a client that reads
// one as the length of extended error information needs at least that.
func fault(flags uint8, callID uint32, context uint16, status uint32) []byte {
	b := appendHeader(nil, ptypeFault, flags|flagFirst|flagLast, callID)
	b = binary.LittleEndian.AppendUint32(b, 32)
	b = binary.LittleEndian.AppendUint16(b, context)
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, status)
	return finish(append(b, 0, 0, 0, 0))
}

// appendResponse appends one fragment of a response to b. left is the length of
// the stub from this fragment on.
func appendResponse(b []byte, flags uint8, callID uint32, context uint16, part []byte, left int) []byte {
	b = appendHeader(b, ptypeResponse, flags, callID)
	b = binary.LittleEndian.AppendUint32(b, uint32(left))
	b = binary.LittleEndian.AppendUint16(b, context)
	b = append(b, 0, 0)
	return finish(append(b, part...))
}
