// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"strings"
)

// What messages look like in a capture or in the failure of a test: the
// specification's names and the fields; of data, the length.

func (m Version) String() string             { return KindVersion.String() + m.fields() }
func (m AuthenticatedClient) String() string { return KindAuthenticatedClient.String() }
func (m DeviceAddition) String() string      { return KindDeviceAddition.String() + m.fields() }
func (m DeviceRemoval) String() string       { return KindDeviceRemoval.String() + m.fields() }
func (m CapabilitiesRequest) String() string { return KindCapabilitiesRequest.String() + m.fields() }
func (m CreateFileRequest) String() string   { return KindCreateFileRequest.String() + m.fields() }
func (m ReadRequest) String() string         { return KindReadRequest.String() + m.fields() }
func (m WriteRequest) String() string        { return KindWriteRequest.String() + m.fields() }
func (m IOControlRequest) String() string    { return KindIOControlRequest.String() + m.fields() }
func (m IoCancelRequest) String() string     { return KindIoCancelRequest.String() + m.fields() }
func (m Reply) String() string               { return KindReply.String() + m.fields() }
func (m CapabilitiesReply) String() string   { return KindCapabilitiesReply.String() + m.fields() }
func (m CreateFileReply) String() string     { return KindCreateFileReply.String() + m.fields() }
func (m DataReply) String() string           { return "Read or IOControl Reply" + m.fields() }
func (m WriteReply) String() string          { return KindWriteReply.String() + m.fields() }
func (m CustomEvent) String() string         { return KindCustomEvent.String() + m.fields() }

func (m Version) fields() string {
	return fmt.Sprintf(" %d.%d Capabilities=0x%X", m.MajorVersion, m.MinorVersion, m.Capabilities)
}

func (AuthenticatedClient) fields() string { return "" }

func (m DeviceAddition) fields() string {
	var b strings.Builder
	fmt.Fprintf(&b, " DeviceCount=%d", m.DeviceCount)
	for d := range m.All() {
		fmt.Fprintf(&b, " {%v}", d)
	}
	return b.String()
}

func (m DeviceRemoval) fields() string { return fmt.Sprintf(" ClientDeviceID=%d", m.ClientDeviceID) }

func (id RequestID) field() string { return fmt.Sprintf(" RequestId=0x%06X", uint32(id)) }

func (m CapabilitiesRequest) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" Version=%d", m.Version)
}

func (m CreateFileRequest) fields() string {
	return m.RequestID.field() + fmt.Sprintf(
		" DeviceId=%d dwDesiredAccess=0x%08X dwShareMode=0x%X dwCreationDisposition=%d dwFlagsAndAttributes=0x%08X",
		m.DeviceID, m.DwDesiredAccess, m.DwShareMode, m.DwCreationDisposition, m.DwFlagsAndAttributes)
}

func (m ReadRequest) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" cbBytesToRead=%d Offset=0x%X", m.CbBytesToRead, m.Offset)
}

func (m WriteRequest) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" cbWrite=%d Offset=0x%X", len(m.Data), m.Offset)
}

func (m IOControlRequest) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" IoCode=0x%X cbIn=%d cbOut=%d len(DataOut)=%d", m.IoCode, len(m.DataIn), m.CbOut, len(m.DataOut))
}

func (m IoCancelRequest) fields() string {
	s := m.RequestID.field() + fmt.Sprintf(" idToCancel=0x%06X", uint32(m.IDToCancel))
	if m.UnusedBits != 0 {
		s += fmt.Sprintf(" UnusedBits=0x%02X", m.UnusedBits)
	}
	return s
}

func (m Reply) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" len(Payload)=%d", len(m.Payload))
}

func (m CapabilitiesReply) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" Version=%d", m.Version)
}

func (m CreateFileReply) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" Result=%s", m.Result.Name())
}

func (m DataReply) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" Result=%s len(Data)=%d", m.Result.Name(), len(m.Data))
}

func (m WriteReply) fields() string {
	return m.RequestID.field() + fmt.Sprintf(" Result=%s cbBytesWritten=%d", m.Result.Name(), m.CbBytesWritten)
}

func (m CustomEvent) fields() string {
	return fmt.Sprintf(" CustomEventGUID=%v cbData=%d", m.CustomEventGUID, len(m.Data))
}

// String shows the texts as they would be read.
func (d DeviceDescription) String() string {
	p := d.Description()
	var b strings.Builder
	fmt.Fprintf(&b, "ClientDeviceID=%d Interfaces=%v HardwareId=%q CompatibilityID=%q DeviceDescription=%q CustomFlag=%d",
		d.ClientDeviceID, p.Interfaces, p.HardwareIDs, p.CompatibleIDs, p.Name, d.CustomFlag)
	if d.HasContainerID {
		fmt.Fprintf(&b, " ContainerId=%v", d.ContainerID)
	}
	if d.HasDeviceCaps {
		fmt.Fprintf(&b, " DeviceCaps=0x%X", uint32(d.DeviceCaps))
	}
	return b.String()
}
