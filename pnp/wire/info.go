// SPDX-License-Identifier: Apache-2.0

package wire

import "iter"

// PacketID is the PacketId of a PNP_INFO_HEADER (2.2.1.1).
type PacketID uint32

// The PacketIds.
const (
	IRPDR_ID_VERSION           PacketID = 0x65
	IRPDR_ID_REDIRECT_DEVICES  PacketID = 0x66
	IRPDR_ID_SERVER_LOGON      PacketID = 0x67
	IRPDR_ID_UNREDIRECT_DEVICE PacketID = 0x68
)

// InfoHeaderSize is the size of a PNP_INFO_HEADER in bytes.
const InfoHeaderSize = 8

var infoKinds = map[PacketID]kind{
	IRPDR_ID_VERSION:           {"Version", "2.2.1.2.1", ServerToClient | ClientToServer, 20, true},
	IRPDR_ID_SERVER_LOGON:      {"Authenticated Client", "2.2.1.2.3", ServerToClient, 8, true},
	IRPDR_ID_REDIRECT_DEVICES:  {"Client Device Addition", "2.2.1.3.1", ClientToServer, 12, false},
	IRPDR_ID_UNREDIRECT_DEVICE: {"Client Device Removal", "2.2.1.3.2", ClientToServer, 12, true},
}

var infoHeader = kind{"PNP_INFO_HEADER", "2.2.1.1", ServerToClient | ClientToServer, InfoHeaderSize, false}

func (id PacketID) String() string {
	if k, ok := infoKinds[id]; ok {
		return k.name
	}
	return "unknown PacketId"
}

// DecodeInfoHeader checks the header of a message on PNPDR that came from from:
// the Size field, a PacketId which that role may send, and the message's size.
func DecodeInfoHeader(msg []byte, from Direction) (PacketID, error) {
	if err := infoHeader.check(len(msg)); err != nil {
		return 0, err
	}
	if size := le.Uint32(msg); uint64(size) != uint64(len(msg)) {
		return 0, infoHeader.errorf("Size %d in a message of %d bytes", size, len(msg))
	}
	id := PacketID(le.Uint32(msg[4:]))
	k, ok := infoKinds[id]
	if !ok {
		return 0, infoHeader.errorf("PacketId 0x%08X is unknown", uint32(id))
	}
	if k.from&from == 0 {
		return 0, k.errorf("sent in the wrong direction")
	}
	return id, k.check(len(msg))
}

// decodeInfo checks that msg is a message of the given kind, whoever sent it,
// and returns its payload.
func decodeInfo(msg []byte, want PacketID) ([]byte, error) {
	id, err := DecodeInfoHeader(msg, infoKinds[want].from)
	if err != nil {
		return nil, err
	}
	if id != want {
		return nil, infoKinds[want].errorf("PacketId 0x%08X", uint32(id))
	}
	return msg[InfoHeaderSize:], nil
}

func appendInfoHeader(b []byte, size int, id PacketID) []byte {
	b = le.AppendUint32(b, uint32(size))
	return le.AppendUint32(b, uint32(id))
}

// CapDynamicAddition is the one capability bit of a Version message: devices
// may be added at any time.
const CapDynamicAddition uint32 = 1

// Version is a Server Version or Client Version Message (2.2.1.2.1, 2.2.1.2.2).
type Version struct {
	MajorVersion uint32
	MinorVersion uint32
	Capabilities uint32
}

// OurVersion is what both roles of this project send: 1.6 as in the example of
// 4.1, and dynamic addition.
var OurVersion = Version{MajorVersion: 1, MinorVersion: 6, Capabilities: CapDynamicAddition}

// Append appends the message to b.
func (m Version) Append(b []byte) []byte {
	b = appendInfoHeader(b, 20, IRPDR_ID_VERSION)
	b = le.AppendUint32(b, m.MajorVersion)
	b = le.AppendUint32(b, m.MinorVersion)
	return le.AppendUint32(b, m.Capabilities)
}

// DecodeVersion decodes a Server or Client Version Message.
func DecodeVersion(msg []byte) (Version, error) {
	p, err := decodeInfo(msg, IRPDR_ID_VERSION)
	if err != nil {
		return Version{}, err
	}
	return Version{le.Uint32(p), le.Uint32(p[4:]), le.Uint32(p[8:])}, nil
}

// AuthenticatedClient is an Authenticated Client Message (2.2.1.2.3).
type AuthenticatedClient struct{}

// Append appends the message to b.
func (AuthenticatedClient) Append(b []byte) []byte {
	return appendInfoHeader(b, InfoHeaderSize, IRPDR_ID_SERVER_LOGON)
}

// DecodeAuthenticatedClient decodes an Authenticated Client Message.
func DecodeAuthenticatedClient(msg []byte) (AuthenticatedClient, error) {
	_, err := decodeInfo(msg, IRPDR_ID_SERVER_LOGON)
	return AuthenticatedClient{}, err
}

// DeviceRemoval is a Client Device Removal Message (2.2.1.3.2).
type DeviceRemoval struct {
	ClientDeviceID uint32
}

// Append appends the message to b.
func (m DeviceRemoval) Append(b []byte) []byte {
	b = appendInfoHeader(b, 12, IRPDR_ID_UNREDIRECT_DEVICE)
	return le.AppendUint32(b, m.ClientDeviceID)
}

// DecodeDeviceRemoval decodes a Client Device Removal Message.
func DecodeDeviceRemoval(msg []byte) (DeviceRemoval, error) {
	p, err := decodeInfo(msg, IRPDR_ID_UNREDIRECT_DEVICE)
	if err != nil {
		return DeviceRemoval{}, err
	}
	return DeviceRemoval{le.Uint32(p)}, nil
}

// DeviceAddition is a Client Device Addition Message (2.2.1.3.1).
type DeviceAddition struct {
	DeviceCount uint32
	// DeviceDescriptions holds DeviceCount PNP_DEVICE_DESCRIPTION
	// structures, one after the other: All reads them,
	// DeviceDescription.Append writes them.
	DeviceDescriptions []byte
}

// Append appends the message to b.
func (m DeviceAddition) Append(b []byte) []byte {
	b = appendInfoHeader(b, 12+len(m.DeviceDescriptions), IRPDR_ID_REDIRECT_DEVICES)
	b = le.AppendUint32(b, m.DeviceCount)
	return append(b, m.DeviceDescriptions...)
}

// DecodeDeviceAddition decodes a Client Device Addition Message and checks
// every description in it.
func DecodeDeviceAddition(msg []byte) (DeviceAddition, error) {
	p, err := decodeInfo(msg, IRPDR_ID_REDIRECT_DEVICES)
	if err != nil {
		return DeviceAddition{}, err
	}
	m := DeviceAddition{le.Uint32(p), p[4:]}
	c := cursor{b: m.DeviceDescriptions}
	for i := range m.DeviceCount {
		if _, err := c.description(); err != nil {
			return DeviceAddition{}, infoKinds[IRPDR_ID_REDIRECT_DEVICES].errorf("description %d of %d: %v", i+1, m.DeviceCount, err)
		}
	}
	if len(c.b) > 0 {
		return DeviceAddition{}, infoKinds[IRPDR_ID_REDIRECT_DEVICES].errorf("%d bytes behind the %d descriptions", len(c.b), m.DeviceCount)
	}
	return m, nil
}

// All yields the descriptions of a message that was decoded.
func (m DeviceAddition) All() iter.Seq[DeviceDescription] {
	return func(yield func(DeviceDescription) bool) {
		c := cursor{b: m.DeviceDescriptions}
		for range m.DeviceCount {
			d, err := c.description()
			if err != nil || !yield(d) {
				return
			}
		}
	}
}
