// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"strconv"
	"testing"

	"freerdp-pnpdr/pnp/devtest/requirements"
	"freerdp-pnpdr/pnp/wire"
)

// exampleFields has the fields that section 4 lists for each example.
var exampleFields = []struct {
	section string
	decode  decoder
	fields  wire.Body
}{
	{"4.1(1)", infoToClient, wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: 1}},
	{"4.1(2)", infoToServer, wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: 1}},
	{"4.1(3)", infoToClient, wire.AuthenticatedClient{}},
	{"4.2(1)", infoToServer, wire.DeviceAddition{
		DeviceCount: 1,
		DeviceDescriptions: wire.DeviceDescription{
			ClientDeviceID: 4,
			InterfaceGUIDArray: []byte{0x46, 0x9c, 0x4a, 0x2b, 0x8d, 0x65, 0xf2, 0x4a,
				0xa9, 0x1d, 0x1e, 0x69, 0x18, 0x61, 0x70, 0x6c},
			HardwareID:        wire.AppendMultisz(nil, []string{`WUDF\LB`}),
			DeviceDescription: wire.AppendUTF16(nil, "Ts Fake Device"),
			CustomFlag:        2,
		}.Append(nil),
	}},
	{"4.2(2)", infoToServer, wire.DeviceRemoval{ClientDeviceID: 4}},
	{"4.3(1)", ioToClient, wire.CapabilitiesRequest{Version: 6}},
	{"4.3(2)", capabilitiesReply, wire.CapabilitiesReply{Version: 6}},
	{"4.4(1)", ioToClient, wire.CreateFileRequest{DeviceID: 4, DwDesiredAccess: 0xc0000000,
		DwShareMode: 3, DwCreationDisposition: 3, DwFlagsAndAttributes: 0x40000080}},
	{"4.4(2)", createFileReply, wire.CreateFileReply{}},
	{"4.4(3)", ioToClient, wire.ReadRequest{CbBytesToRead: 8, Offset: 0x70000001_ffffffff}},
	{"4.4(4)", readReply, wire.DataReply{Data: []byte{0x2d, 0, 0, 0, 0x20, 0x72, 0, 0}}},
	{"4.4(5)", ioToClient, wire.WriteRequest{Offset: 1, Data: []byte{1, 0, 0, 0, 0x2d, 0, 0, 0}}},
	{"4.4(6)", writeReply, wire.WriteReply{CbBytesWritten: 8}},
	{"4.4(7)", ioToClient, wire.IOControlRequest{IoCode: 0x222440, CbOut: 8,
		DataIn: []byte{2, 0, 0, 0, 0x2d, 0, 0, 0, 0x20, 0x72, 0, 0, 0x6c, 0x59, 0, 0}}},
	{"4.4(8)", ioControlReply, wire.DataReply{Data: []byte{0x2d, 0, 0, 0, 0x20, 0x72, 0, 0}}},
	{"4.4(9)", ioToClient, wire.IoCancelRequest{RequestID: 0xffffff}},
	{"4.4(10)", ioToServer, wire.CustomEvent{
		CustomEventGUID: [16]byte{0x11, 0x11, 0x11, 0x11, 0x80, 0x80, 0x5f, 0x42, 0x92, 0x2a, 0xda, 0xbf, 0x3d, 0xe3, 0xf6, 0x9a},
		Data:            []byte{0x20, 0x4c, 0x0f, 0, 0xc4, 0, 0x0f, 0}}},
}

// examplePadding has the positions of padding bytes that the examples fill
// differently from us.
var examplePadding = map[string]int{
	"4.4(5)": 28, // UnusedByte 0x20
	"4.4(9)": 3,  // UnusedBits 0xff
}

func init() {
	add("W-39", "examples", func(t *testing.T) {
		rows := requirements.ReadCSV(t, "testdata/examples.csv")
		if len(rows) != 17 || len(exampleFields) != 17 {
			t.Fatalf("%d examples, fields of %d", len(rows), len(exampleFields))
		}
		for i, row := range rows {
			section, name, direction, bytesText := row[0], row[1], row[3], row[4]
			t.Run(section+name, func(t *testing.T) {
				want := exampleFields[i]
				if want.section != section {
					t.Fatalf("the fields are those of %s", want.section)
				}
				msg := unhex(t, row[5])
				if strconv.Itoa(len(msg)) != bytesText {
					t.Fatalf("%d bytes, not %s", len(msg), bytesText)
				}
				got, err := want.decode(msg)
				if err != nil {
					t.Fatal(err)
				}
				if g, w := text(got.Body()), text(want.fields); g != w {
					t.Errorf("fields %s\nnot    %s", g, w)
				}
				if _, err := wire.Decode(msg, directionOf(row[2], direction == "s2c")); err != nil {
					t.Errorf("%s %s: %v", row[2], direction, err)
				}
				if at, ok := examplePadding[section]; ok {
					msg[at] = 0
				}
				if again := want.fields.Append(nil); !bytes.Equal(again, msg) {
					t.Errorf("encodes to %x\nnot        %x", again, msg)
				}
			})
		}
	})
}
