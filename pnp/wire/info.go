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
//
// It is not inlined, since Go 1.26 cannot build that for s390x: there it makes OurVersion
// little-endian by loads that reverse bytes, and those cannot take the address of a variable.
//
//go:noinline
func (m Version) Append(b []byte) []byte {
	b = appendInfoHeader(b, 20, IRPDR_ID_VERSION)
	b = le.AppendUint32(b, m.MajorVersion)
	b = le.AppendUint32(b, m.MinorVersion)
	return le.AppendUint32(b, m.Capabilities)
}

// Version returns a KindVersion as its own type.
func (m Message) Version() Version {
	p := m.of(KindVersion)
	return Version{le.Uint32(p), le.Uint32(p[4:]), le.Uint32(p[8:])}
}

// AuthenticatedClient is an Authenticated Client Message (2.2.1.2.3).
type AuthenticatedClient struct{}

// Append appends the message to b.
func (AuthenticatedClient) Append(b []byte) []byte {
	return appendInfoHeader(b, 8, IRPDR_ID_SERVER_LOGON)
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

// DeviceRemoval returns a KindDeviceRemoval as its own type.
func (m Message) DeviceRemoval() DeviceRemoval {
	return DeviceRemoval{le.Uint32(m.of(KindDeviceRemoval))}
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

// DeviceAddition returns a KindDeviceAddition as its own type.
func (m Message) DeviceAddition() DeviceAddition {
	p := m.of(KindDeviceAddition)
	return DeviceAddition{le.Uint32(p), p[4:]}
}

// checkDeviceAddition checks every description.
func checkDeviceAddition(r *row, p []byte) error {
	count := le.Uint32(p)
	c := cursor{b: p[4:]}
	for i := range count {
		if _, err := c.description(); err != nil {
			return r.errorf("description %d of %d: %v", i+1, count, err)
		}
	}
	if len(c.b) > 0 {
		return r.errorf("%d bytes behind the %d descriptions", len(c.b), count)
	}
	return nil
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
