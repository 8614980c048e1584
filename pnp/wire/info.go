// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"iter"

	"freerdp-pnpdr/pnp"
)

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

// The values of CustomFlag (2.2.1.3.1.1).
const (
	CustomFlagRedirectable         uint32 = 0
	CustomFlagOptional             uint32 = 1
	CustomFlagRedirectableAsInside uint32 = 2 // what Windows and example 4.2 send
)

// DeviceDescription is a PNP_DEVICE_DESCRIPTION (2.2.1.3.1.1) in wire form.
type DeviceDescription struct {
	ClientDeviceID     uint32
	InterfaceGUIDArray []byte
	HardwareID         []byte
	CompatibilityID    []byte
	DeviceDescription  []byte
	CustomFlag         uint32

	HasContainerID bool
	ContainerID    pnp.GUID
	// HasDeviceCaps needs HasContainerID: the fields are optional from the
	// end.
	HasDeviceCaps bool
	DeviceCaps    pnp.DeviceCaps
}

// NewDeviceDescription puts d, announced as id, into wire form.
func NewDeviceDescription(id uint32, d *pnp.Description) DeviceDescription {
	w := DeviceDescription{
		ClientDeviceID:    id,
		HardwareID:        AppendMultisz(nil, d.HardwareIDs),
		CompatibilityID:   AppendMultisz(nil, d.CompatibleIDs),
		DeviceDescription: AppendUTF16(nil, d.Name),
		CustomFlag:        CustomFlagRedirectableAsInside,
	}
	for _, g := range d.Interfaces {
		w.InterfaceGUIDArray = append(w.InterfaceGUIDArray, g[:]...)
	}
	if d.Optional {
		w.CustomFlag = CustomFlagOptional
	}
	if d.Container != nil {
		w.HasContainerID, w.ContainerID = true, *d.Container
	}
	if d.Caps != nil {
		if d.Container == nil {
			w.HasContainerID, w.ContainerID = true, pnp.NoContainer
		}
		w.HasDeviceCaps, w.DeviceCaps = true, *d.Caps
	}
	return w
}

// Description converts the wire form; the result shares no memory with it.
func (d DeviceDescription) Description() *pnp.Description {
	p := &pnp.Description{
		Name:          UTF16String(d.DeviceDescription),
		HardwareIDs:   MultiszStrings(d.HardwareID),
		CompatibleIDs: MultiszStrings(d.CompatibilityID),
		Optional:      d.CustomFlag == CustomFlagOptional,
	}
	for g := d.InterfaceGUIDArray; len(g) >= 16; g = g[16:] {
		p.Interfaces = append(p.Interfaces, pnp.GUID(g[:16]))
	}
	if d.HasContainerID && d.ContainerID != pnp.NoContainer {
		p.Container = &d.ContainerID
	}
	if d.HasDeviceCaps {
		p.Caps = &d.DeviceCaps
	}
	return p
}

// Append appends the structure to b, DataSize counting what follows it
// (example 4.2).
func (d DeviceDescription) Append(b []byte) []byte {
	b = le.AppendUint32(b, d.ClientDeviceID)
	sizeAt := len(b)
	b = le.AppendUint32(b, 0)
	b = appendCounted(b, d.InterfaceGUIDArray)
	b = appendCounted(b, d.HardwareID)
	b = appendCounted(b, d.CompatibilityID)
	b = appendCounted(b, d.DeviceDescription)
	b = le.AppendUint32(b, 4)
	b = le.AppendUint32(b, d.CustomFlag)
	if d.HasContainerID {
		b = appendCounted(b, d.ContainerID[:])
		if d.HasDeviceCaps {
			b = le.AppendUint32(b, 4)
			b = le.AppendUint32(b, uint32(d.DeviceCaps))
		}
	}
	le.PutUint32(b[sizeAt:], uint32(len(b)-sizeAt-4))
	return b
}

var deviceDescription = kind{name: "PNP_DEVICE_DESCRIPTION", section: "2.2.1.3.1.1"}

// description reads one structure, bounded by its DataSize.
func (c *cursor) description() (d DeviceDescription, err error) {
	bad := deviceDescription.errorf
	d.ClientDeviceID = c.u32()
	in := cursor{b: c.counted()}
	d.InterfaceGUIDArray = in.counted()
	d.HardwareID = in.counted()
	d.CompatibilityID = in.counted()
	d.DeviceDescription = in.counted()
	flagLength := in.u32()
	d.CustomFlag = in.u32()
	if in.fail {
		return d, bad("a field is longer than what is left of the structure or message")
	}
	switch {
	case len(d.InterfaceGUIDArray)%16 != 0:
		return d, bad("cbInterfaceLength %d is no multiple of 16", len(d.InterfaceGUIDArray))
	case !validMultisz(d.HardwareID):
		return d, bad("HardwareId is no UTF-16 multisz")
	case !validMultisz(d.CompatibilityID):
		return d, bad("CompatibilityID is no UTF-16 multisz")
	case len(d.DeviceDescription)%2 != 0:
		return d, bad("cbDeviceDescriptionLength %d is odd", len(d.DeviceDescription))
	case flagLength != 4:
		return d, bad("CustomFlagLength %d, not 4", flagLength)
	case d.CustomFlag > CustomFlagRedirectableAsInside:
		return d, bad("CustomFlag %d is none of 0, 1, 2", d.CustomFlag)
	}
	if len(in.b) == 0 {
		return d, nil
	}
	if n := in.u32(); n != 16 {
		return d, bad("cbContainerId %d, not 16", n)
	}
	d.HasContainerID, d.ContainerID = true, in.guid()
	if len(in.b) > 0 {
		if n := in.u32(); n != 4 {
			return d, bad("cbDeviceCaps %d, not 4", n)
		}
		d.HasDeviceCaps, d.DeviceCaps = true, pnp.DeviceCaps(in.u32())
	}
	if in.fail {
		return d, bad("an optional field is cut short")
	}
	if len(in.b) > 0 {
		return d, bad("DataSize leaves %d bytes behind the last field", len(in.b))
	}
	return d, nil
}
