// SPDX-License-Identifier: Apache-2.0

package wire

import "fmt"

// Direction says on which channel a message travels, and which way. The two
// sub-protocols have different headers, and so have the two ways of the second.
type Direction uint8

// The four directions.
const (
	InfoToClient Direction = 1 << iota // on PNPDR, from the server
	InfoToServer                       // on PNPDR, from the client
	IOToClient                         // on a FileRedirectorChannel, from the server
	IOToServer                         // on a FileRedirectorChannel, from the client

	// answers marks the rows of the replies. What sets them apart is not in
	// their bytes: it is the request with the same RequestId.
	answers
)

func (d Direction) String() string {
	switch d {
	case InfoToClient:
		return "PNPDR to client"
	case InfoToServer:
		return "PNPDR to server"
	case IOToClient:
		return "FileRedirectorChannel to client"
	case IOToServer:
		return "FileRedirectorChannel to server"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// Kind says which message a Message is.
type Kind uint8

// The messages.
const (
	KindUnknown Kind = iota // the header is malformed

	KindVersion
	KindAuthenticatedClient
	KindDeviceAddition
	KindDeviceRemoval

	KindCapabilitiesRequest
	KindCreateFileRequest
	KindReadRequest
	KindWriteRequest
	KindIOControlRequest
	KindIoCancelRequest

	KindReply // to which request is for the receiver to know: Message.ReplyTo
	KindCustomEvent

	KindCapabilitiesReply
	KindCreateFileReply
	KindReadReply
	KindWriteReply
	KindIOControlReply
)

// table is the one list of messages. Decode goes by it.
var table = [...]row{
	KindUnknown: {name: "unknown message"},

	KindVersion:             {InfoToClient | InfoToServer, uint32(IRPDR_ID_VERSION), "Version", "2.2.1.2.1", 20, true, nil},
	KindAuthenticatedClient: {InfoToClient, uint32(IRPDR_ID_SERVER_LOGON), "Authenticated Client", "2.2.1.2.3", 8, true, nil},
	KindDeviceAddition:      {InfoToServer, uint32(IRPDR_ID_REDIRECT_DEVICES), "Client Device Addition", "2.2.1.3.1", 12, false, checkDeviceAddition},
	KindDeviceRemoval:       {InfoToServer, uint32(IRPDR_ID_UNREDIRECT_DEVICE), "Client Device Removal", "2.2.1.3.2", 12, true, nil},

	KindCapabilitiesRequest: {IOToClient, uint32(CAPABILITIES_REQUEST), "Capabilities Request", "2.2.2.2.1", 10, true, nil},
	KindCreateFileRequest:   {IOToClient, uint32(CREATE_FILE_REQUEST), "CreateFile Request", "2.2.2.3.1", 28, true, nil},
	KindReadRequest:         {IOToClient, uint32(READ_REQUEST), "Read Request", "2.2.2.3.3", 20, true, nil},
	KindWriteRequest:        {IOToClient, uint32(WRITE_REQUEST), "Write Request", "2.2.2.3.5", 20, false, checkWriteRequest},
	KindIOControlRequest:    {IOToClient, uint32(IOCONTROL_REQUEST), "IOControl Request", "2.2.2.3.7", 20, false, checkIOControlRequest},
	KindIoCancelRequest:     {IOToClient, uint32(SPECIFIC_IOCANCEL_REQUEST), "Specific IoCancel Request", "2.2.2.3.9", 12, true, nil},

	KindReply:       {IOToServer, uint32(RESPONSE_PACKET), "Reply", "2.2.2.1.2", 4, false, nil},
	KindCustomEvent: {IOToServer, uint32(CUSTOM_EVENT_PACKET), "Client Device Custom Event", "2.2.2.3.10", 25, false, checkCustomEvent},

	KindCapabilitiesReply: {answers, uint32(KindCapabilitiesRequest), "Capabilities Reply", "2.2.2.2.2", 6, true, nil},
	KindCreateFileReply:   {answers, uint32(KindCreateFileRequest), "CreateFile Reply", "2.2.2.3.2", 8, true, nil},
	KindReadReply:         {answers, uint32(KindReadRequest), "Read Reply", "2.2.2.3.4", 13, false, checkDataReply},
	KindWriteReply:        {answers, uint32(KindWriteRequest), "Write Reply", "2.2.2.3.6", 12, true, nil},
	KindIOControlReply:    {answers, uint32(KindIOControlRequest), "IOControl Reply", "2.2.2.3.8", 13, false, checkDataReply},
}

// Rows of what is not a message of its own, for sizes and errors.
var (
	infoHeader        = row{name: "PNP_INFO_HEADER", section: "2.2.1.1", size: 8}
	serverHeader      = row{name: "SERVER_IO_HEADER", section: "2.2.2.1.1", size: 8}
	clientHeader      = row{name: "CLIENT_IO_HEADER", section: "2.2.2.1.2", size: 4}
	deviceDescription = row{name: "PNP_DEVICE_DESCRIPTION", section: "2.2.1.3.1.1"}
)

// row describes one message.
type row struct {
	dirs Direction // one or more
	// id is the PacketId, FunctionId or PacketType; of a reply, the Kind of
	// its request.
	id      uint32
	name    string
	section string
	// size is the length of a message without variable fields, and the least
	// length of any other; the header counts.
	size  int
	exact bool
	// check checks the variable fields of a message that has its size. It is
	// given what follows the header. Nil if there is nothing left to check.
	check func(r *row, payload []byte) error
}

func (r *row) errorf(format string, args ...any) error {
	return &Error{Section: r.section, Message: r.name, Problem: fmt.Sprintf(format, args...)}
}

// checkSize checks the length of a whole message.
func (r *row) checkSize(n int) error {
	if n == r.size || n > r.size && !r.exact {
		return nil
	}
	return r.wrongSize(n)
}

func (r *row) wrongSize(n int) error {
	least := "at least "
	if r.exact {
		least = ""
	}
	return r.errorf("%d bytes, not %s%d", n, least, r.size)
}

// checkPayload checks what follows the header of a message that has its size.
func (r *row) checkPayload(payload []byte) error {
	if r.check == nil {
		return nil
	}
	return r.check(r, payload)
}

func (k Kind) String() string {
	if int(k) >= len(table) {
		k = KindUnknown
	}
	return table[k].name
}

// ids finds the rows of one header by their id.
type ids [IRPDR_ID_UNREDIRECT_DEVICE + 1]Kind

var (
	infoKinds    = idsOf(InfoToClient | InfoToServer)
	requestKinds = idsOf(IOToClient)
	packetKinds  = idsOf(IOToServer)
	replyKinds   = idsOf(answers)
)

func idsOf(dirs Direction) (list ids) {
	for k, r := range table {
		if r.dirs&dirs != 0 {
			list[r.id] = Kind(k)
		}
	}
	return list
}

func (list *ids) find(id uint32) Kind {
	if uint64(id) >= uint64(len(list)) {
		return KindUnknown
	}
	return list[id]
}
