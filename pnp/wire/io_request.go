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

// ServerHeaderSize is the size of a SERVER_IO_HEADER in bytes.
const ServerHeaderSize = 8

var requestKinds = map[FunctionID]kind{
	CAPABILITIES_REQUEST:      {"Capabilities Request", "2.2.2.2.1", ServerToClient, 10, true},
	CREATE_FILE_REQUEST:       {"CreateFile Request", "2.2.2.3.1", ServerToClient, 28, true},
	READ_REQUEST:              {"Read Request", "2.2.2.3.3", ServerToClient, 20, true},
	WRITE_REQUEST:             {"Write Request", "2.2.2.3.5", ServerToClient, 20, false},
	IOCONTROL_REQUEST:         {"IOControl Request", "2.2.2.3.7", ServerToClient, 20, false},
	SPECIFIC_IOCANCEL_REQUEST: {"Specific IoCancel Request", "2.2.2.3.9", ServerToClient, 12, true},
}

var serverHeader = kind{"SERVER_IO_HEADER", "2.2.2.1.1", ServerToClient, ServerHeaderSize, false}

func (f FunctionID) String() string {
	if k, ok := requestKinds[f]; ok {
		return k.name
	}
	return "unknown FunctionId"
}

// ServerHeader is a SERVER_IO_HEADER.
type ServerHeader struct {
	RequestID  RequestID
	FunctionID FunctionID
}

// DecodeServerHeader decodes the header of a message from the server and checks
// the message's size against what its FunctionId needs. UnusedBits are ignored.
// The RequestID returned is right whenever there are four bytes, error or not.
func DecodeServerHeader(msg []byte) (ServerHeader, error) {
	var h ServerHeader
	if len(msg) >= 4 {
		h.RequestID = RequestID(le.Uint32(msg) & requestIDMask)
	}
	if err := serverHeader.check(len(msg)); err != nil {
		return h, err
	}
	h.FunctionID = FunctionID(le.Uint32(msg[4:]))
	k, ok := requestKinds[h.FunctionID]
	if !ok {
		return h, serverHeader.errorf("FunctionId 0x%08X is unknown", uint32(h.FunctionID))
	}
	return h, k.check(len(msg))
}

// decodeRequest checks that msg is a request of the given kind and returns its
// id and what follows the header.
func decodeRequest(msg []byte, want FunctionID) (RequestID, []byte, error) {
	h, err := DecodeServerHeader(msg)
	if err != nil {
		return h.RequestID, nil, err
	}
	if h.FunctionID != want {
		return h.RequestID, nil, requestKinds[want].errorf("FunctionId %d", uint32(h.FunctionID))
	}
	return h.RequestID, msg[ServerHeaderSize:], nil
}

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

// DecodeCapabilitiesRequest decodes a Server Capabilities Request Message.
func DecodeCapabilitiesRequest(msg []byte) (CapabilitiesRequest, error) {
	id, p, err := decodeRequest(msg, CAPABILITIES_REQUEST)
	if err != nil {
		return CapabilitiesRequest{}, err
	}
	return CapabilitiesRequest{id, le.Uint16(p)}, nil
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

// DecodeCreateFileRequest decodes a CreateFile Request Message.
func DecodeCreateFileRequest(msg []byte) (CreateFileRequest, error) {
	id, p, err := decodeRequest(msg, CREATE_FILE_REQUEST)
	if err != nil {
		return CreateFileRequest{}, err
	}
	c := cursor{b: p}
	return CreateFileRequest{id, c.u32(), c.u32(), c.u32(), c.u32(), c.u32()}, nil
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

// DecodeReadRequest decodes a Read Request Message.
func DecodeReadRequest(msg []byte) (ReadRequest, error) {
	id, p, err := decodeRequest(msg, READ_REQUEST)
	if err != nil {
		return ReadRequest{}, err
	}
	return ReadRequest{id, le.Uint32(p), offset(p[4:])}, nil
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

// DecodeWriteRequest decodes a Write Request Message. The UnusedByte may be
// missing (W-33).
func DecodeWriteRequest(msg []byte) (WriteRequest, error) {
	id, p, err := decodeRequest(msg, WRITE_REQUEST)
	if err != nil {
		return WriteRequest{}, err
	}
	n, data := uint64(le.Uint32(p)), p[12:]
	if have := uint64(len(data)); have != n && have != n+1 {
		return WriteRequest{}, requestKinds[WRITE_REQUEST].errorf("cbWrite %d with %d bytes behind it", n, have)
	}
	return WriteRequest{id, offset(p[4:]), data[:n:n]}, nil
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

// DecodeIOControlRequest decodes an IOControl Request Message. DataOut is
// whatever lies between DataIn and the UnusedByte: it is for the receiver to
// compare with CbOut (3.2.5.2.2.7). The UnusedByte may be missing if nothing
// follows DataIn (W-35).
func DecodeIOControlRequest(msg []byte) (IOControlRequest, error) {
	id, p, err := decodeRequest(msg, IOCONTROL_REQUEST)
	if err != nil {
		return IOControlRequest{}, err
	}
	m := IOControlRequest{RequestID: id, IoCode: le.Uint32(p), CbOut: le.Uint32(p[8:])}
	cbIn := le.Uint32(p[4:])
	c := cursor{b: p[12:]}
	m.DataIn = c.take(cbIn)
	if c.fail {
		return IOControlRequest{}, requestKinds[IOCONTROL_REQUEST].errorf("cbIn %d with %d bytes behind it", cbIn, len(p)-12)
	}
	if len(c.b) > 0 {
		n := len(c.b) - 1
		m.DataOut = c.b[:n:n]
	}
	return m, nil
}

// IoCancelRequest is a Specific IoCancel Request Message (2.2.2.3.9).
type IoCancelRequest struct {
	// RequestID stands in the header; CancelID by custom, ignored by the
	// client.
	RequestID  RequestID
	IDToCancel RequestID
}

// Append appends the message to b.
func (m IoCancelRequest) Append(b []byte) []byte {
	b = appendServerHeader(b, m.RequestID, SPECIFIC_IOCANCEL_REQUEST)
	// UnusedBits comes first here, so the id is the high 24 bits.
	return le.AppendUint32(b, uint32(m.IDToCancel)<<8)
}

// DecodeIoCancelRequest decodes a Specific IoCancel Request Message.
func DecodeIoCancelRequest(msg []byte) (IoCancelRequest, error) {
	id, p, err := decodeRequest(msg, SPECIFIC_IOCANCEL_REQUEST)
	if err != nil {
		return IoCancelRequest{}, err
	}
	return IoCancelRequest{id, RequestID(le.Uint32(p) >> 8)}, nil
}

func offset(p []byte) uint64 {
	return uint64(le.Uint32(p))<<32 | uint64(le.Uint32(p[4:]))
}

func appendOffset(b []byte, offset uint64) []byte {
	b = le.AppendUint32(b, uint32(offset>>32))
	return le.AppendUint32(b, uint32(offset))
}
