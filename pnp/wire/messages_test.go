// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

var le = binary.LittleEndian

// sample is one of the examples of section 4, with its fields.
type sample struct {
	section string
	name    string
	text    string // the bytes, commented
	fields  wire.Body
	decode  decoder

	// lengths are the positions of the 32-bit fields that determine the
	// message's size; any other value in them is malformed.
	lengths []int
	// shorter is how many bytes may be missing at the end.
	shorter int
	// longer says that more bytes at the end are part of a variable field.
	longer bool
	// padding is the position of a padding byte that is not 0.
	padding int
}

// decoder decodes what one role sends on one channel.
type decoder func(msg []byte) (wire.Message, error)

func in(from wire.Direction) decoder {
	return func(msg []byte) (wire.Message, error) { return wire.Decode(msg, from) }
}

// replyTo decodes replies to one kind of request.
func replyTo(request wire.Kind) decoder {
	return func(msg []byte) (wire.Message, error) {
		m, err := wire.Decode(msg, wire.IOToServer)
		switch {
		case err != nil:
			return m, err
		case m.Kind != wire.KindReply:
			return wire.Message{}, fmt.Errorf("%v is not a reply", m)
		}
		return m.ReplyTo(request)
	}
}

var samples = []sample{{
	section: "4.1(1)", name: "ServerVersion",
	text: `
		14000000 // Size
		65000000 // PacketId
		01000000 // MajorVersion
		06000000 // MinorVersion
		01000000 // Capabilities`,
	fields:  wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: wire.CapDynamicAddition},
	decode:  in(wire.InfoToClient),
	lengths: []int{0},
}, {
	section: "4.1(2)", name: "ClientVersion",
	text: `
		14000000 // Size
		65000000 // PacketId
		01000000 // MajorVersion
		06000000 // MinorVersion
		01000000 // Capabilities`,
	fields:  wire.OurVersion,
	decode:  in(wire.InfoToServer),
	lengths: []int{0},
}, {
	section: "4.1(3)", name: "AuthenticatedClient",
	text: `
		08000000 // Size
		67000000 // PacketId`,
	fields:  wire.AuthenticatedClient{},
	decode:  in(wire.InfoToClient),
	lengths: []int{0},
}, {
	section: "4.2(1)", name: "DeviceAddition",
	text: `
		6a000000 // Size
		66000000 // PacketId
		01000000 // DeviceCount
		04000000 // ClientDeviceID
		56000000 // DataSize
		10000000 // cbInterfaceLength
		469c4a2b 8d65f24a a91d1e69 1861706c // InterfaceGUIDArray
		12000000 // cbHardwareIdLength
		5700 5500 4400 4600 5c00 4c00 4200 0000 0000 // HardwareId
		00000000 // cbCompatIdLength
		1c000000 // cbDeviceDescriptionLength
		5400 7300 2000 4600 6100 6b00 6500 2000 4400 6500 7600 6900 6300 6500
		04000000 // CustomFlagLength
		02000000 // CustomFlag`,
	fields: wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.NewDeviceDescription(4, &pnp.Description{
		Name:        "Ts Fake Device",
		HardwareIDs: []string{`WUDF\LB`},
		Interfaces:  []pnp.GUID{pnp.MustGUID("{2B4A9C46-658D-4AF2-A91D-1E691861706C}")},
	}).Append(nil)},
	decode:  in(wire.InfoToServer),
	lengths: []int{0, 8, 16, 20, 40, 62, 66, 98},
}, {
	section: "4.2(2)", name: "DeviceRemoval",
	text: `
		0c000000 // Size
		68000000 // PacketId
		04000000 // ClientDeviceID`,
	fields:  wire.DeviceRemoval{ClientDeviceID: 4},
	decode:  in(wire.InfoToServer),
	lengths: []int{0},
}, {
	section: "4.3(1)", name: "CapabilitiesRequest",
	text: `
		000000 00 // RequestId, UnusedBits
		05000000  // FunctionId
		0600      // Version`,
	fields: wire.CapabilitiesRequest{Version: wire.VersionWithCustomEvents},
	decode: in(wire.IOToClient),
}, {
	section: "4.3(2)", name: "CapabilitiesReply",
	text: `
		000000 00 // RequestId, PacketType
		0600      // Version`,
	fields: wire.CapabilitiesReply{Version: wire.VersionWithCustomEvents},
	decode: replyTo(wire.KindCapabilitiesRequest),
}, {
	section: "4.4(1)", name: "CreateFileRequest",
	text: `
		000000 00 // RequestId, UnusedBits
		04000000  // FunctionId
		04000000  // DeviceId
		000000c0  // dwDesiredAccess
		03000000  // dwShareMode
		03000000  // dwCreationDisposition
		80000040  // dwFlagsAndAttributes`,
	fields: wire.CreateFileRequest{
		DeviceID:              4,
		DwDesiredAccess:       pnp.GENERIC_READ | pnp.GENERIC_WRITE,
		DwShareMode:           pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE,
		DwCreationDisposition: pnp.OPEN_EXISTING,
		DwFlagsAndAttributes:  0x40000080,
	},
	decode: in(wire.IOToClient),
}, {
	section: "4.4(2)", name: "CreateFileReply",
	text: `
		000000 00 // RequestId, PacketType
		00000000  // Result`,
	fields: wire.CreateFileReply{},
	decode: replyTo(wire.KindCreateFileRequest),
}, {
	section: "4.4(3)", name: "ReadRequest",
	text: `
		000000 00 // RequestId, UnusedBits
		00000000  // FunctionId
		08000000  // cbBytesToRead
		01000070  // OffsetHigh
		ffffffff  // OffsetLow`,
	fields: wire.ReadRequest{CbBytesToRead: 8, Offset: 0x70000001_ffffffff},
	decode: in(wire.IOToClient),
}, {
	section: "4.4(4)", name: "ReadReply",
	text: `
		000000 00 // RequestId, PacketType
		00000000  // Result
		08000000  // cbBytesRead
		2d000000 20720000 // Data
		00        // UnusedByte`,
	fields:  wire.DataReply{Data: []byte{0x2d, 0, 0, 0, 0x20, 0x72, 0, 0}},
	decode:  replyTo(wire.KindReadRequest),
	lengths: []int{8},
}, {
	section: "4.4(5)", name: "WriteRequest",
	text: `
		000000 00 // RequestId, UnusedBits
		01000000  // FunctionId
		08000000  // cbWrite
		00000000  // OffsetHigh
		01000000  // OffsetLow
		01000000 2d000000 // Data
		20        // UnusedByte`,
	fields:  wire.WriteRequest{Offset: 1, Data: []byte{1, 0, 0, 0, 0x2d, 0, 0, 0}},
	decode:  in(wire.IOToClient),
	lengths: []int{8},
	shorter: 1, // W-33
	padding: 28,
}, {
	section: "4.4(6)", name: "WriteReply",
	text: `
		000000 00 // RequestId, PacketType
		00000000  // Result
		08000000  // cbBytesWritten`,
	fields: wire.WriteReply{CbBytesWritten: 8},
	decode: replyTo(wire.KindWriteRequest),
}, {
	section: "4.4(7)", name: "IOControlRequest",
	text: `
		000000 00 // RequestId, UnusedBits
		02000000  // FunctionId
		40242200  // IoCode
		10000000  // cbIn
		08000000  // cbOut
		02000000 2d000000 20720000 6c590000 // DataIn
		00        // UnusedByte`,
	fields: wire.IOControlRequest{IoCode: 0x222440, CbOut: 8,
		DataIn: []byte{2, 0, 0, 0, 0x2d, 0, 0, 0, 0x20, 0x72, 0, 0, 0x6c, 0x59, 0, 0}},
	decode:  in(wire.IOToClient),
	shorter: 1,    // W-35
	longer:  true, // DataOut, for the receiver to compare with cbOut
}, {
	section: "4.4(8)", name: "IOControlReply",
	text: `
		000000 00 // RequestId, PacketType
		00000000  // Result
		08000000  // cbBytesReadReturned
		2d000000 20720000 // Data
		00        // UnusedByte`,
	fields:  wire.DataReply{Data: []byte{0x2d, 0, 0, 0, 0x20, 0x72, 0, 0}},
	decode:  replyTo(wire.KindIOControlRequest),
	lengths: []int{8},
}, {
	section: "4.4(9)", name: "SpecificIoCancelRequest",
	text: `
		ffffff ff // RequestId, UnusedBits
		06000000  // FunctionId
		00        // UnusedBits
		000000    // idToCancel`,
	fields:  wire.IoCancelRequest{RequestID: wire.CancelID},
	decode:  in(wire.IOToClient),
	padding: 3,
}, {
	section: "4.4(10)", name: "CustomEvent",
	text: `
		000000 01 // RequestId, PacketType
		11111111 80805f42 922adabf 3de3f69a // CustomEventGUID
		08000000  // cbData
		204c0f00 c4000f00 // Data
		00        // UnusedByte`,
	fields: wire.CustomEvent{
		CustomEventGUID: pnp.MustGUID("{11111111-8080-425F-922A-DABF3DE3F69A}"),
		Data:            []byte{0x20, 0x4c, 0x0f, 0, 0xc4, 0, 0x0f, 0},
	},
	decode:  in(wire.IOToServer),
	lengths: []int{20},
}}

// bytes returns the sample as a message.
func (s sample) bytes(t testing.TB) []byte {
	t.Helper()
	return unhex(t, s.text)
}

// unhex turns hexadecimal text into bytes. White space is ignored, and so is
// what follows // on a line.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return b
}

// text shows all fields of v, and of data every byte; a nil slice looks like an
// empty one.
func text(v any) string {
	return strings.ReplaceAll(fmt.Sprintf("%#v", v), "[]uint8(nil)", "[]uint8{}")
}
