// SPDX-License-Identifier: Apache-2.0

package wire

import "fmt"

// Message is a message that Decode has checked. It is a view of the bytes that
// were decoded, and lives as long as they do.
//
// Kind says which of the methods named after a message may be called; any other
// panics.
type Message struct {
	Kind Kind
	// RequestID comes from the header; it is 0 on PNPDR, which has none.
	RequestID RequestID

	payload []byte // what follows the header
}

// Decode checks all that the bytes of one message can tell: its header, once,
// its direction, and every length.
//
// A malformed message still has its Kind if its header was sound, which on PNPDR
// includes a Size that suits the PacketId, and its RequestID if it is an I/O
// message of at least four bytes. So a role can tolerate what it would have
// dropped anyway. Nothing else of such a Message may be used.
//
// A reply does not say what it answers: it comes as a KindReply, of which ReplyTo
// decodes the rest.
func Decode(msg []byte, dir Direction) (Message, error) {
	switch dir {
	case InfoToClient, InfoToServer:
		return decodeInfo(msg, dir)
	case IOToClient:
		return decodeRequest(msg)
	case IOToServer:
		return decodePacket(msg)
	}
	panic("wire: no such direction: " + dir.String())
}

func decodeInfo(msg []byte, dir Direction) (Message, error) {
	if err := infoHeader.checkSize(len(msg)); err != nil {
		return Message{}, err
	}
	if size := le.Uint32(msg); uint64(size) != uint64(len(msg)) {
		return Message{}, infoHeader.errorf("Size %d in a message of %d bytes", size, len(msg))
	}
	id := le.Uint32(msg[4:])
	m := Message{Kind: infoKinds.find(id)}
	if m.Kind == KindUnknown {
		return m, infoHeader.errorf("PacketId 0x%08X is unknown", id)
	}
	r := &table[m.Kind]
	if r.dirs&dir == 0 {
		return Message{}, r.errorf("sent in the wrong direction")
	}
	if err := r.checkSize(len(msg)); err != nil {
		return Message{}, err
	}
	payload := msg[infoHeader.size:]
	if err := r.checkPayload(payload); err != nil {
		return m, err
	}
	m.payload = payload
	return m, nil
}

func decodeRequest(msg []byte) (Message, error) {
	m := Message{RequestID: requestIDOf(msg)}
	if err := serverHeader.checkSize(len(msg)); err != nil {
		return m, err
	}
	id := le.Uint32(msg[4:])
	if m.Kind = requestKinds.find(id); m.Kind == KindUnknown {
		return m, serverHeader.errorf("FunctionId 0x%08X is unknown", id)
	}
	return m.check(len(msg), msg[serverHeader.size:])
}

func decodePacket(msg []byte) (Message, error) {
	m := Message{RequestID: requestIDOf(msg)}
	if err := clientHeader.checkSize(len(msg)); err != nil {
		return m, err
	}
	id := msg[3]
	if m.Kind = packetKinds.find(uint32(id)); m.Kind == KindUnknown {
		return m, clientHeader.errorf("PacketType 0x%02X is unknown", id)
	}
	return m.check(len(msg), msg[clientHeader.size:])
}

// check checks what follows the header of an I/O message of size bytes.
func (m Message) check(size int, payload []byte) (Message, error) {
	r := &table[m.Kind]
	if err := r.checkSize(size); err != nil {
		return m, err
	}
	if err := r.checkPayload(payload); err != nil {
		return m, err
	}
	m.payload = payload
	return m, nil
}

// requestIDOf reads the RequestId that begins every I/O message; the 8 bits
// behind it are UnusedBits or the PacketType.
func requestIDOf(msg []byte) RequestID {
	if len(msg) < 4 {
		return 0
	}
	return RequestID(le.Uint32(msg) & requestIDMask)
}

// ReplyTo checks m, a KindReply, as the reply to a request of the given kind,
// and returns it with its own kind.
func (m Message) ReplyTo(request Kind) (Message, error) {
	payload := m.of(KindReply)
	k := replyKinds.find(uint32(request))
	if k == KindUnknown {
		return Message{RequestID: m.RequestID}, clientHeader.errorf("a reply to %v, which has none", request)
	}
	m.Kind, m.payload = k, nil
	return m.check(clientHeader.size+len(payload), payload)
}

// of returns the payload of a message of kind k.
func (m *Message) of(k Kind) []byte {
	if m.Kind != k {
		m.isNot(k)
	}
	return m.payload
}

func (m *Message) isNot(k Kind) {
	panic(fmt.Sprintf("wire: a message of kind %q is used as one of kind %q", m.Kind, k))
}

// Body is a message as its own type: one of Version, AuthenticatedClient,
// DeviceAddition, DeviceRemoval, CapabilitiesRequest, CreateFileRequest,
// ReadRequest, WriteRequest, IOControlRequest, IoCancelRequest, Reply,
// CapabilitiesReply, CreateFileReply, DataReply, WriteReply, CustomEvent.
type Body interface {
	// Append appends the message to b.
	Append(b []byte) []byte

	// String tells the message's name and its fields; of data, the length.
	String() string

	fields() string
}

// Body returns the message as its own type, and nil if Decode failed. Unlike the
// methods for each kind it allocates.
func (m Message) Body() Body {
	if m.payload == nil {
		return nil
	}
	switch m.Kind {
	case KindVersion:
		return m.Version()
	case KindAuthenticatedClient:
		return AuthenticatedClient{}
	case KindDeviceAddition:
		return m.DeviceAddition()
	case KindDeviceRemoval:
		return m.DeviceRemoval()
	case KindCapabilitiesRequest:
		return m.CapabilitiesRequest()
	case KindCreateFileRequest:
		return m.CreateFileRequest()
	case KindReadRequest:
		return m.ReadRequest()
	case KindWriteRequest:
		return m.WriteRequest()
	case KindIOControlRequest:
		return m.IOControlRequest()
	case KindIoCancelRequest:
		return m.IoCancelRequest()
	case KindReply:
		return Reply{m.RequestID, m.payload}
	case KindCapabilitiesReply:
		return m.CapabilitiesReply()
	case KindCreateFileReply:
		return m.CreateFileReply()
	case KindReadReply, KindIOControlReply:
		return m.DataReply()
	case KindWriteReply:
		return m.WriteReply()
	case KindCustomEvent:
		return m.CustomEvent()
	}
	return nil
}

// String tells the message's name and its fields; of data, the length.
func (m Message) String() string {
	b := m.Body()
	if b == nil {
		return m.Kind.String()
	}
	return m.Kind.String() + b.fields()
}
