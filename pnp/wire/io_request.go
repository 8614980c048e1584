// SPDX-License-Identifier: Apache-2.0

package wire

// RequestID identifies a request on its channel: 24 bits.
type RequestID uint32

// CancelID is the RequestId in the header of a Specific IoCancel Request
// (example 4.4 (9)). The server gives it to no other request.
const CancelID RequestID = 0xFFFFFF

const requestIDMask = 0xFFFFFF

// FunctionID is the FunctionId of a SERVER_IO_HEADER (2.2.2.1.1).
type FunctionID uint32

// The FunctionIds.
const (
	READ_REQUEST              FunctionID = 0
	WRITE_REQUEST             FunctionID = 1
	IOCONTROL_REQUEST         FunctionID = 2
	CREATE_FILE_REQUEST       FunctionID = 4
	CAPABILITIES_REQUEST      FunctionID = 5
	SPECIFIC_IOCANCEL_REQUEST FunctionID = 6
)

func appendServerHeader(b []byte, id RequestID, f FunctionID) []byte {
	b = le.AppendUint32(b, uint32(id)&requestIDMask)
	return le.AppendUint32(b, uint32(f))
}

// The versions of the Device I/O subprotocol (2.2.2.2.1).
const (
	VersionWithoutCustomEvents uint16 = 4
	VersionWithCustomEvents    uint16 = 6
)

// CapabilitiesRequest is a Server Capabilities Request Message (2.2.2.2.1).
type CapabilitiesRequest struct {
	RequestID RequestID
	Version   uint16
}

// Append appends the message to b.
func (m CapabilitiesRequest) Append(b []byte) []byte {
	return le.AppendUint16(appendServerHeader(b, m.RequestID, CAPABILITIES_REQUEST), m.Version)
}

// CapabilitiesRequest returns a KindCapabilitiesRequest as its own type.
func (m Message) CapabilitiesRequest() CapabilitiesRequest {
	return CapabilitiesRequest{m.RequestID, le.Uint16(m.of(KindCapabilitiesRequest))}
}

// CreateFileRequest is a CreateFile Request Message (2.2.2.3.1).
type CreateFileRequest struct {
	RequestID             RequestID
	DeviceID              uint32
	DwDesiredAccess       uint32
	DwShareMode           uint32
	DwCreationDisposition uint32
	DwFlagsAndAttributes  uint32
}

// Append appends the message to b.
func (m CreateFileRequest) Append(b []byte) []byte {
	b = appendServerHeader(b, m.RequestID, CREATE_FILE_REQUEST)
	b = le.AppendUint32(b, m.DeviceID)
	b = le.AppendUint32(b, m.DwDesiredAccess)
	b = le.AppendUint32(b, m.DwShareMode)
	b = le.AppendUint32(b, m.DwCreationDisposition)
	return le.AppendUint32(b, m.DwFlagsAndAttributes)
}

// CreateFileRequest returns a KindCreateFileRequest as its own type.
func (m Message) CreateFileRequest() CreateFileRequest {
	c := cursor{b: m.of(KindCreateFileRequest)}
	return CreateFileRequest{m.RequestID, c.u32(), c.u32(), c.u32(), c.u32(), c.u32()}
}

// ReadRequest is a Read Request Message (2.2.2.3.3).
type ReadRequest struct {
	RequestID     RequestID
	CbBytesToRead uint32
	// Offset is OffsetHigh<<32 | OffsetLow, unsigned.
	Offset uint64
}

// Append appends the message to b.
func (m ReadRequest) Append(b []byte) []byte {
	b = appendServerHeader(b, m.RequestID, READ_REQUEST)
	b = le.AppendUint32(b, m.CbBytesToRead)
	return appendOffset(b, m.Offset)
}

// ReadRequest returns a KindReadRequest as its own type.
func (m Message) ReadRequest() ReadRequest {
	p := m.of(KindReadRequest)
	return ReadRequest{m.RequestID, le.Uint32(p), offset(p[4:])}
}

// WriteRequest is a Write Request Message (2.2.2.3.5).
type WriteRequest struct {
	RequestID RequestID
	// Offset is OffsetHigh<<32 | OffsetLow, unsigned.
	Offset uint64
	Data   []byte
}

// WriteRequestSize is the size in bytes of a Write Request without its data.
const WriteRequestSize = 21

// Append appends the message to b.
func (m WriteRequest) Append(b []byte) []byte {
	b = appendServerHeader(b, m.RequestID, WRITE_REQUEST)
	b = le.AppendUint32(b, uint32(len(m.Data)))
	b = appendOffset(b, m.Offset)
	b = append(b, m.Data...)
	return append(b, 0)
}

// WriteRequest returns a KindWriteRequest as its own type.
func (m Message) WriteRequest() WriteRequest {
	p := m.of(KindWriteRequest)
	n, data := int(le.Uint32(p)), p[12:]
	return WriteRequest{m.RequestID, offset(p[4:]), data[:n:n]}
}

// checkWriteRequest: the UnusedByte may be missing (W-33).
func checkWriteRequest(r *row, p []byte) error {
	if n, have := uint64(le.Uint32(p)), uint64(len(p)-12); have != n && have != n+1 {
		return r.errorf("cbWrite %d with %d bytes behind it", n, have)
	}
	return nil
}

// IOControlRequest is an IOControl Request Message (2.2.2.3.7).
type IOControlRequest struct {
	RequestID RequestID
	IoCode    uint32
	CbOut     uint32
	DataIn    []byte
	DataOut   []byte
}

// IOControlRequestSize is the size in bytes of an IOControl Request without
// DataIn and DataOut.
const IOControlRequestSize = 21

// Append appends the message to b.
func (m IOControlRequest) Append(b []byte) []byte {
	b = appendServerHeader(b, m.RequestID, IOCONTROL_REQUEST)
	b = le.AppendUint32(b, m.IoCode)
	b = le.AppendUint32(b, uint32(len(m.DataIn)))
	b = le.AppendUint32(b, m.CbOut)
	b = append(b, m.DataIn...)
	b = append(b, m.DataOut...)
	return append(b, 0)
}

// IOControlRequest returns a KindIOControlRequest as its own type. DataOut is
// whatever lies between DataIn and the UnusedByte: it is for the receiver to
// compare with CbOut (3.2.5.2.2.7).
func (m Message) IOControlRequest() IOControlRequest {
	p := m.of(KindIOControlRequest)
	n, data := int(le.Uint32(p[4:])), p[12:]
	r := IOControlRequest{RequestID: m.RequestID, IoCode: le.Uint32(p), CbOut: le.Uint32(p[8:]), DataIn: data[:n:n]}
	if rest := data[n:]; len(rest) > 0 {
		r.DataOut = rest[: len(rest)-1 : len(rest)-1]
	}
	return r
}

// checkIOControlRequest: the UnusedByte may be missing if nothing follows DataIn
// (W-35).
func checkIOControlRequest(r *row, p []byte) error {
	if n, have := uint64(le.Uint32(p[4:])), uint64(len(p)-12); n > have {
		return r.errorf("cbIn %d with %d bytes behind it", n, have)
	}
	return nil
}

// IoCancelRequest is a Specific IoCancel Request Message (2.2.2.3.9).
type IoCancelRequest struct {
	// RequestID is that of the header: CancelID by custom, ignored by the
	// client.
	RequestID  RequestID
	IDToCancel RequestID
	// UnusedBits comes before IDToCancel; the server sends 0. See LowID.
	UnusedBits uint8
}

// Append appends the message to b.
func (m IoCancelRequest) Append(b []byte) []byte {
	b = appendServerHeader(b, m.RequestID, SPECIFIC_IOCANCEL_REQUEST)
	// UnusedBits comes first here, so the id is the high 24 bits.
	return le.AppendUint32(b, uint32(m.IDToCancel)<<8|uint32(m.UnusedBits))
}

// LowID is the id to cancel for a server that puts it into the low 24 bits, where
// both headers have theirs (W-46). No example tells.
func (m IoCancelRequest) LowID() RequestID {
	return (m.IDToCancel<<8 | RequestID(m.UnusedBits)) & requestIDMask
}

// IoCancelRequest returns a KindIoCancelRequest as its own type.
func (m Message) IoCancelRequest() IoCancelRequest {
	v := le.Uint32(m.of(KindIoCancelRequest))
	return IoCancelRequest{m.RequestID, RequestID(v >> 8), uint8(v)}
}

func offset(p []byte) uint64 {
	return uint64(le.Uint32(p))<<32 | uint64(le.Uint32(p[4:]))
}

func appendOffset(b []byte, offset uint64) []byte {
	b = le.AppendUint32(b, uint32(offset>>32))
	return le.AppendUint32(b, uint32(offset))
}
