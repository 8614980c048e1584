// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"

	"freerdp-pnpdr/pnp"
)

// The values of CustomFlag (2.2.1.3.1.1). Any other means what the first one does
// (W-42).
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

// NewDeviceDescription puts d, announced as id, into wire form. Where capability
// bits demand a container and d has none, it gets one of its own.
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
	container := d.Container
	if container != nil && *container == pnp.ComputerContainer {
		container = nil
	}
	if d.Caps != nil {
		w.HasDeviceCaps, w.DeviceCaps = true, *d.Caps
		if container == nil { // C-39: nothing says what it is a part of
			container = pnp.NewContainer(fmt.Sprintf("device:%d:%s:%q", id, d.Name, d.HardwareIDs))
		}
	}
	if container != nil {
		w.HasContainerID, w.ContainerID = true, *container
	}
	return w
}

// Description converts the wire form; the result shares no memory with it. A
// device that says it is a part of the client's computer has no container.
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
	if d.HasContainerID && d.ContainerID != pnp.ComputerContainer {
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
		return d, bad("cbInterfaceLength %d is not a multiple of 16", len(d.InterfaceGUIDArray))
	case !validMultisz(d.HardwareID):
		return d, bad("HardwareId is not a UTF-16 multisz")
	case !validMultisz(d.CompatibilityID):
		return d, bad("CompatibilityID is not a UTF-16 multisz")
	case len(d.DeviceDescription)%2 != 0:
		return d, bad("cbDeviceDescriptionLength %d is odd", len(d.DeviceDescription))
	case flagLength != 4:
		return d, bad("CustomFlagLength %d, not 4", flagLength)
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
