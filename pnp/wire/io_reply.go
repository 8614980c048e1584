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

func appendClientHeader(b []byte, id RequestID, t PacketType) []byte {
	return le.AppendUint32(b, uint32(id)&requestIDMask|uint32(t)<<24)
}

// Reply is a reply of unknown kind.
type Reply struct {
	RequestID RequestID
	Payload   []byte // what follows the header
}

// Append appends the message to b.
func (m Reply) Append(b []byte) []byte {
	return append(appendClientHeader(b, m.RequestID, RESPONSE_PACKET), m.Payload...)
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

// CapabilitiesReply returns a KindCapabilitiesReply as its own type.
func (m Message) CapabilitiesReply() CapabilitiesReply {
	return CapabilitiesReply{m.RequestID, le.Uint16(m.of(KindCapabilitiesReply))}
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

// CreateFileReply returns a KindCreateFileReply as its own type.
func (m Message) CreateFileReply() CreateFileReply {
	return CreateFileReply{m.RequestID, pnp.HRESULT(le.Uint32(m.of(KindCreateFileReply)))}
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

// WriteReply returns a KindWriteReply as its own type.
func (m Message) WriteReply() WriteReply {
	p := m.of(KindWriteReply)
	return WriteReply{m.RequestID, pnp.HRESULT(le.Uint32(p)), le.Uint32(p[4:])}
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

// FinishDataReply completes a reply whose n bytes of data are already in buf,
// after DataReplyHead bytes, and returns the message, a part of buf. buf has
// room for DataReplyHead + n + DataReplyTail bytes: a device reads straight
// into the message that is sent.
func FinishDataReply(buf []byte, id RequestID, result pnp.HRESULT, n int) []byte {
	le.PutUint32(buf, uint32(id)&requestIDMask|uint32(RESPONSE_PACKET)<<24)
	le.PutUint32(buf[4:], uint32(result))
	le.PutUint32(buf[8:], uint32(n))
	buf[DataReplyHead+n] = 0
	return buf[:DataReplyHead+n+DataReplyTail]
}

// DataReply returns a KindReadReply or a KindIOControlReply as its own type.
func (m Message) DataReply() DataReply {
	if m.Kind != KindReadReply {
		m.of(KindIOControlReply)
	}
	return DataReply{m.RequestID, pnp.HRESULT(le.Uint32(m.payload)), counted(m.payload[4:])}
}

func checkDataReply(r *row, p []byte) error { return checkCounted(r, p[4:]) }

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

// CustomEvent returns a KindCustomEvent as its own type.
func (m Message) CustomEvent() CustomEvent {
	p := m.of(KindCustomEvent)
	return CustomEvent{pnp.GUID(p[:16]), counted(p[16:])}
}

func checkCustomEvent(r *row, p []byte) error { return checkCounted(r, p[16:]) }

// checkCounted checks that p, the rest of a message, is a u32 count, that many
// bytes and one UnusedByte.
func checkCounted(r *row, p []byte) error {
	if n, have := uint64(le.Uint32(p)), uint64(len(p)-4); n+1 != have {
		return r.errorf("a count of %d with %d bytes behind it", n, have)
	}
	return nil
}

// counted returns the bytes that checkCounted has counted.
func counted(p []byte) []byte { return p[4 : len(p)-1 : len(p)-1] }
