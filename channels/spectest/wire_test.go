// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

var le = binary.LittleEndian

// message is a message of package wire, or raw.
type message interface {
	Append(b []byte) []byte
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

// decodes checks that msg decodes to want. A nil slice equals an empty one.
func decodes(t *testing.T, decode decoder, msg string, want wire.Body) {
	t.Helper()
	got, err := decode(unhex(t, msg))
	if err != nil {
		t.Errorf("%s: %v", msg, err)
		return
	}
	if g, w := text(got.Body()), text(want); g != w {
		t.Errorf("%s\n decodes to %s\nnot to     %s", msg, g, w)
	}
}

// encodes checks that m encodes to text, appended to what the buffer holds
// already.
func encodes(t *testing.T, m message, text string) {
	t.Helper()
	want := append([]byte("head"), unhex(t, text)...)
	if got := m.Append([]byte("head")); !bytes.Equal(got, want) {
		t.Errorf("%+v\n encodes to %x\nnot to     %x", m, got[4:], want[4:])
	}
}

// same checks both directions.
func same(t *testing.T, decode decoder, msg string, want wire.Body) {
	t.Helper()
	decodes(t, decode, msg, want)
	encodes(t, want, msg)
}

// rejected checks that msg does not decode.
func rejected(t *testing.T, decode decoder, msg string) {
	t.Helper()
	if got, err := decode(unhex(t, msg)); err == nil {
		t.Errorf("%s\n was accepted as %v", msg, got)
	}
}

// u32 is n in hexadecimal, as on the wire.
func u32(n uint32) string {
	return hex.EncodeToString([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
}

// info is a message on PNPDR with the right Size.
func info(id wire.PacketID, payload string) string {
	payload = strings.Join(strings.Fields(payload), "")
	return u32(uint32(8+len(payload)/2)) + u32(uint32(id)) + payload
}

// addition is a Client Device Addition of the descriptions, which are given
// without ClientDeviceID and DataSize.
func addition(descriptions ...string) string {
	var all string
	for i, d := range descriptions {
		d = strings.Join(strings.Fields(d), "")
		all += u32(uint32(i+1)) + u32(uint32(len(d)/2)) + d
	}
	return info(wire.IRPDR_ID_REDIRECT_DEVICES, u32(uint32(len(descriptions)))+all)
}

// describe decodes a message with one description, given as for addition.
func describe(t *testing.T, description string) (wire.DeviceDescription, error) {
	t.Helper()
	m, err := infoToServer(unhex(t, addition(description)))
	if err != nil {
		return wire.DeviceDescription{}, err
	}
	for d := range m.DeviceAddition().All() {
		return d, nil
	}
	t.Fatalf("%v has no description", m)
	panic("unreachable")
}

// described is describe for a description that must be well formed.
func described(t *testing.T, description string) wire.DeviceDescription {
	t.Helper()
	d, err := describe(t, description)
	if err != nil {
		t.Fatalf("%s: %v", description, err)
	}
	return d
}

// undescribed checks that a description is malformed.
func undescribed(t *testing.T, description string) {
	t.Helper()
	if d, err := describe(t, description); err == nil {
		t.Errorf("%s\n was accepted as %+v", description, d)
	}
}

// requestKinds has one message of each kind of request, with the given
// RequestId.
func requestKinds(id wire.RequestID) map[string]wire.Body {
	return map[string]wire.Body{
		"Capabilities": wire.CapabilitiesRequest{RequestID: id, Version: 6},
		"CreateFile":   wire.CreateFileRequest{RequestID: id, DeviceID: 4},
		"Read":         wire.ReadRequest{RequestID: id, CbBytesToRead: 8},
		"Write":        wire.WriteRequest{RequestID: id, Data: []byte("data")},
		"IOControl":    wire.IOControlRequest{RequestID: id, CbOut: 4, DataIn: []byte("in")},
		"IoCancel":     wire.IoCancelRequest{RequestID: id, IDToCancel: 7},
	}
}

func init() {
	add("W-01", "integers_are_little_endian", func(t *testing.T) {
		same(t, infoToClient, "14000000 65000000 04030201 14131211 24232221",
			wire.Version{MajorVersion: 0x01020304, MinorVersion: 0x11121314, Capabilities: 0x21222324})
		same(t, infoToClient, "08000000 67000000", wire.AuthenticatedClient{})
		same(t, infoToServer, "0c000000 68000000 04030201", wire.DeviceRemoval{ClientDeviceID: 0x01020304})
		same(t, infoToServer,
			info(wire.IRPDR_ID_REDIRECT_DEVICES, "01000000"+
				"04030201 4a000000"+
				"10000000 00112233445566778899aabbccddeeff"+
				"04000000 00000000"+
				"00000000"+
				"02000000 3412"+
				"04000000 01000000"+
				"10000000 ffeeddccbbaa99887766554433221100"+
				"04000000 08000000"),
			wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.DeviceDescription{
				ClientDeviceID:     0x01020304,
				InterfaceGUIDArray: unhex(t, "00112233445566778899aabbccddeeff"),
				HardwareID:         make([]byte, 4),
				DeviceDescription:  []byte{0x34, 0x12},
				CustomFlag:         1,
				HasContainerID:     true,
				ContainerID:        pnp.GUID(unhex(t, "ffeeddccbbaa99887766554433221100")),
				HasDeviceCaps:      true,
				DeviceCaps:         8,
			}.Append(nil)})
	})
	add("W-40", "integers_are_little_endian", func(t *testing.T) {
		same(t, ioToClient, "03020100 05000000 0201",
			wire.CapabilitiesRequest{RequestID: 0x010203, Version: 0x0102})
		same(t, capabilitiesReply, "03020100 0201",
			wire.CapabilitiesReply{RequestID: 0x010203, Version: 0x0102})
		same(t, ioToClient, "03020100 04000000 14131211 24232221 34333231 44434241 54535251",
			wire.CreateFileRequest{RequestID: 0x010203, DeviceID: 0x11121314, DwDesiredAccess: 0x21222324,
				DwShareMode: 0x31323334, DwCreationDisposition: 0x41424344, DwFlagsAndAttributes: 0x51525354})
		same(t, createFileReply, "03020100 05000780",
			wire.CreateFileReply{RequestID: 0x010203, Result: 0x80070005})
		same(t, ioToClient, "03020100 00000000 14131211 24232221 34333231",
			wire.ReadRequest{RequestID: 0x010203, CbBytesToRead: 0x11121314, Offset: 0x2122232431323334})
		same(t, readReply, "03020100 05000780 02000000 abcd 00",
			wire.DataReply{RequestID: 0x010203, Result: 0x80070005, Data: []byte{0xab, 0xcd}})
		same(t, ioToClient, "03020100 01000000 02000000 24232221 34333231 abcd 00",
			wire.WriteRequest{RequestID: 0x010203, Offset: 0x2122232431323334, Data: []byte{0xab, 0xcd}})
		same(t, writeReply, "03020100 05000780 14131211",
			wire.WriteReply{RequestID: 0x010203, Result: 0x80070005, CbBytesWritten: 0x11121314})
		same(t, ioToClient, "03020100 02000000 14131211 02000000 24232221 abcd 00",
			wire.IOControlRequest{RequestID: 0x010203, IoCode: 0x11121314, CbOut: 0x21222324, DataIn: []byte{0xab, 0xcd}})
		same(t, ioControlReply, "03020100 05000780 02000000 abcd 00",
			wire.DataReply{RequestID: 0x010203, Result: 0x80070005, Data: []byte{0xab, 0xcd}})
		same(t, ioToClient, "03020100 06000000 00 131211",
			wire.IoCancelRequest{RequestID: 0x010203, IDToCancel: 0x111213})
		same(t, ioToServer, "00000001 00112233445566778899aabbccddeeff 02000000 abcd 00",
			wire.CustomEvent{CustomEventGUID: pnp.GUID(unhex(t, "00112233445566778899aabbccddeeff")), Data: []byte{0xab, 0xcd}})

		buf := make([]byte, wire.DataReplyHead+0x0102+wire.DataReplyTail)
		if msg := wire.FinishDataReply(buf, 0x010203, 0x80070005, 0x0102); !bytes.Equal(msg[:12], unhex(t, "03020100 05000780 02010000")) {
			t.Errorf("a reply in place begins %x", msg[:12])
		}
	})
}
