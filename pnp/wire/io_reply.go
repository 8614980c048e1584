// SPDX-License-Identifier: Apache-2.0

package wire

import "freerdp-pnpdr/pnp"

// PacketType is the PacketType of a CLIENT_IO_HEADER (2.2.2.1.2).
type PacketType uint8

// The PacketTypes.
const (
	RESPONSE_PACKET     PacketType = 0
	CUSTOM_EVENT_PACKET PacketType = 1
)

// ClientHeaderSize is the size of a CLIENT_IO_HEADER in bytes.
const ClientHeaderSize = 4

var (
	clientHeader      = kind{"CLIENT_IO_HEADER", "2.2.2.1.2", ClientToServer, ClientHeaderSize, false}
	capabilitiesReply = kind{"Capabilities Reply", "2.2.2.2.2", ClientToServer, 6, true}
	createFileReply   = kind{"CreateFile Reply", "2.2.2.3.2", ClientToServer, 8, true}
	readReply         = kind{"Read Reply", "2.2.2.3.4", ClientToServer, 13, false}
	writeReply        = kind{"Write Reply", "2.2.2.3.6", ClientToServer, 12, true}
	ioControlReply    = kind{"IOControl Reply", "2.2.2.3.8", ClientToServer, 13, false}
	customEvent       = kind{"Client Device Custom Event", "2.2.2.3.10", ClientToServer, 25, false}
)

// ClientHeader is a CLIENT_IO_HEADER.
type ClientHeader struct {
	RequestID  RequestID
	PacketType PacketType
}

// DecodeClientHeader decodes the header of a message from the client. Which
// kind of reply follows is for the receiver to know by the RequestID.
func DecodeClientHeader(msg []byte) (ClientHeader, error) {
	if err := clientHeader.check(len(msg)); err != nil {
		return ClientHeader{}, err
	}
	v := le.Uint32(msg)
	h := ClientHeader{RequestID(v & requestIDMask), PacketType(v >> 24)}
	if h.PacketType > CUSTOM_EVENT_PACKET {
		return h, clientHeader.errorf("PacketType 0x%02X is unknown", uint8(h.PacketType))
	}
	return h, nil
}

func appendClientHeader(b []byte, id RequestID, t PacketType) []byte {
	return le.AppendUint32(b, uint32(id)&requestIDMask|uint32(t)<<24)
}

// decodeReply checks header and size of a reply of kind k and returns its id
// and what follows the header.
func decodeReply(msg []byte, k kind, t PacketType) (RequestID, []byte, error) {
	h, err := DecodeClientHeader(msg)
	if err != nil {
		return 0, nil, err
	}
	if h.PacketType != t {
		return h.RequestID, nil, k.errorf("PacketType %d", h.PacketType)
	}
	return h.RequestID, msg[ClientHeaderSize:], k.check(len(msg))
}

// CapabilitiesReply is a Client Capabilities Reply Message (2.2.2.2.2).
type CapabilitiesReply struct {
	RequestID RequestID
	Version   uint16
}

// Append appends the message to b.
func (m CapabilitiesReply) Append(b []byte) []byte {
	return le.AppendUint16(appendClientHeader(b, m.RequestID, RESPONSE_PACKET), m.Version)
}

// DecodeCapabilitiesReply decodes a Client Capabilities Reply Message.
func DecodeCapabilitiesReply(msg []byte) (CapabilitiesReply, error) {
	id, p, err := decodeReply(msg, capabilitiesReply, RESPONSE_PACKET)
	if err != nil {
		return CapabilitiesReply{}, err
	}
	return CapabilitiesReply{id, le.Uint16(p)}, nil
}

// CreateFileReply is a CreateFile Reply Message (2.2.2.3.2).
type CreateFileReply struct {
	RequestID RequestID
	Result    pnp.HRESULT
}

// Append appends the message to b.
func (m CreateFileReply) Append(b []byte) []byte {
	return le.AppendUint32(appendClientHeader(b, m.RequestID, RESPONSE_PACKET), uint32(m.Result))
}

// DecodeCreateFileReply decodes a CreateFile Reply Message.
func DecodeCreateFileReply(msg []byte) (CreateFileReply, error) {
	id, p, err := decodeReply(msg, createFileReply, RESPONSE_PACKET)
	if err != nil {
		return CreateFileReply{}, err
	}
	return CreateFileReply{id, pnp.HRESULT(le.Uint32(p))}, nil
}

// WriteReply is a Write Reply Message (2.2.2.3.6).
type WriteReply struct {
	RequestID      RequestID
	Result         pnp.HRESULT
	CbBytesWritten uint32
}

// Append appends the message to b.
func (m WriteReply) Append(b []byte) []byte {
	b = appendClientHeader(b, m.RequestID, RESPONSE_PACKET)
	b = le.AppendUint32(b, uint32(m.Result))
	return le.AppendUint32(b, m.CbBytesWritten)
}

// DecodeWriteReply decodes a Write Reply Message.
func DecodeWriteReply(msg []byte) (WriteReply, error) {
	id, p, err := decodeReply(msg, writeReply, RESPONSE_PACKET)
	if err != nil {
		return WriteReply{}, err
	}
	return WriteReply{id, pnp.HRESULT(le.Uint32(p)), le.Uint32(p[4:])}, nil
}

// DataReply is a Read Reply or an IOControl Reply Message (2.2.2.3.4,
// 2.2.2.3.8), which have the same layout.
type DataReply struct {
	RequestID RequestID
	Result    pnp.HRESULT
	Data      []byte
}

// The bytes of a DataReply before and behind its data.
const (
	DataReplyHead = 12
	DataReplyTail = 1
)

// Append appends the message to b.
func (m DataReply) Append(b []byte) []byte {
	b = appendClientHeader(b, m.RequestID, RESPONSE_PACKET)
	b = le.AppendUint32(b, uint32(m.Result))
	b = appendCounted(b, m.Data)
	return append(b, 0)
}

// FinishDataReply completes a reply whose n bytes of data already stand in buf
// behind DataReplyHead bytes, and returns the message, a part of buf. buf has
// room for DataReplyHead + n + DataReplyTail bytes: a device reads straight
// into the message that is sent.
func FinishDataReply(buf []byte, id RequestID, result pnp.HRESULT, n int) []byte {
	le.PutUint32(buf, uint32(id)&requestIDMask|uint32(RESPONSE_PACKET)<<24)
	le.PutUint32(buf[4:], uint32(result))
	le.PutUint32(buf[8:], uint32(n))
	buf[DataReplyHead+n] = 0
	return buf[:DataReplyHead+n+DataReplyTail]
}

// DecodeReadReply decodes a Read Reply Message.
func DecodeReadReply(msg []byte) (DataReply, error) { return decodeDataReply(msg, readReply) }

// DecodeIOControlReply decodes an IOControl Reply Message.
func DecodeIOControlReply(msg []byte) (DataReply, error) { return decodeDataReply(msg, ioControlReply) }

func decodeDataReply(msg []byte, k kind) (DataReply, error) {
	id, p, err := decodeReply(msg, k, RESPONSE_PACKET)
	if err != nil {
		return DataReply{RequestID: id}, err
	}
	data, err := countedTail(p[4:], k)
	return DataReply{id, pnp.HRESULT(le.Uint32(p)), data}, err
}

// CustomEvent is a Client Device Custom Event Message (2.2.2.3.10).
type CustomEvent struct {
	CustomEventGUID pnp.GUID
	Data            []byte
}

// CustomEventSize is the size in bytes of a Custom Event without its data.
const CustomEventSize = 25

// Append appends the message to b.
func (m CustomEvent) Append(b []byte) []byte {
	b = appendClientHeader(b, 0, CUSTOM_EVENT_PACKET)
	b = append(b, m.CustomEventGUID[:]...)
	b = appendCounted(b, m.Data)
	return append(b, 0)
}

// DecodeCustomEvent decodes a Client Device Custom Event Message.
func DecodeCustomEvent(msg []byte) (CustomEvent, error) {
	_, p, err := decodeReply(msg, customEvent, CUSTOM_EVENT_PACKET)
	if err != nil {
		return CustomEvent{}, err
	}
	data, err := countedTail(p[16:], customEvent)
	return CustomEvent{pnp.GUID(p[:16]), data}, err
}

// countedTail reads a u32 count, that many bytes and one UnusedByte: exactly
// what is left of a message.
func countedTail(p []byte, k kind) ([]byte, error) {
	n, have := uint64(le.Uint32(p)), uint64(len(p)-4)
	if n+1 != have {
		return nil, k.errorf("a count of %d with %d bytes behind it", n, have)
	}
	return p[4 : 4+n : 4+n], nil
}
