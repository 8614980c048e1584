// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"strings"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// TestKinds: each kind has a sample, and no sample is taken for another kind.
func TestKinds(t *testing.T) {
	seen := make(map[wire.Kind]bool)
	for _, s := range samples {
		msg := s.bytes(t)
		m, err := s.decode(msg)
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Kind] = true
		for _, other := range samples {
			// Replies of one size cannot be told apart, not even from messages
			// on PNPDR: the receiver knows by channel and RequestId.
			reply := strings.HasSuffix(other.name, "Reply") && len(msg) == len(other.bytes(t)) && !strings.HasSuffix(s.name, "Request")
			got, err := other.decode(msg)
			if err == nil && got.Kind != m.Kind && got.Kind != wire.KindReply && !reply {
				t.Errorf("%v was accepted as %v", m, got)
			}
		}
	}
	for k := wire.KindUnknown + 1; k.String() != wire.KindUnknown.String(); k++ {
		if !seen[k] && k != wire.KindReply {
			t.Errorf("%v has no sample", k)
		}
	}
	if !seen[wire.KindIOControlReply] {
		t.Error("the last kind was not looked for")
	}
}

// TestOtherKindsPanic: reading a message as what it is not is a mistake of ours,
// which no peer can provoke.
func TestOtherKindsPanic(t *testing.T) {
	methods := map[wire.Kind]func(wire.Message){
		wire.KindVersion:             func(m wire.Message) { m.Version() },
		wire.KindDeviceAddition:      func(m wire.Message) { m.DeviceAddition() },
		wire.KindDeviceRemoval:       func(m wire.Message) { m.DeviceRemoval() },
		wire.KindCapabilitiesRequest: func(m wire.Message) { m.CapabilitiesRequest() },
		wire.KindCreateFileRequest:   func(m wire.Message) { m.CreateFileRequest() },
		wire.KindReadRequest:         func(m wire.Message) { m.ReadRequest() },
		wire.KindWriteRequest:        func(m wire.Message) { m.WriteRequest() },
		wire.KindIOControlRequest:    func(m wire.Message) { m.IOControlRequest() },
		wire.KindIoCancelRequest:     func(m wire.Message) { m.IoCancelRequest() },
		wire.KindReply:               func(m wire.Message) { _, _ = m.ReplyTo(wire.KindReadRequest) },
		wire.KindCapabilitiesReply:   func(m wire.Message) { m.CapabilitiesReply() },
		wire.KindCreateFileReply:     func(m wire.Message) { m.CreateFileReply() },
		wire.KindReadReply:           func(m wire.Message) { m.DataReply() },
		wire.KindIOControlReply:      func(m wire.Message) { m.DataReply() },
		wire.KindWriteReply:          func(m wire.Message) { m.WriteReply() },
		wire.KindCustomEvent:         func(m wire.Message) { m.CustomEvent() },
	}
	panics := func(f func(wire.Message), m wire.Message) (p any) {
		defer func() { p = recover() }()
		f(m)
		return nil
	}
	data := map[wire.Kind]bool{wire.KindReadReply: true, wire.KindIOControlReply: true}
	for _, s := range samples {
		m, err := s.decode(s.bytes(t))
		if err != nil {
			t.Fatal(err)
		}
		for k, f := range methods {
			right := k == m.Kind || data[k] && data[m.Kind]
			if p := panics(f, m); (p == nil) != right {
				t.Errorf("%v read as a %v: panic %v", m, k, p)
			}
		}
	}
}

// TestMalformed: what is known of a malformed message. Whoever answers a request
// needs its id; whoever would have dropped a message needs its kind.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		from wire.Direction
		msg  string
		id   wire.RequestID
		kind wire.Kind
	}{
		{wire.IOToClient, "efcdab", 0, wire.KindUnknown},
		{wire.IOToClient, "efcdab ff", 0xabcdef, wire.KindUnknown},
		{wire.IOToClient, "efcdab 00 0000", 0xabcdef, wire.KindUnknown},
		{wire.IOToClient, "efcdab 00 03000000", 0xabcdef, wire.KindUnknown},
		{wire.IOToClient, "efcdab 00 00000000 00", 0xabcdef, wire.KindReadRequest},
		{wire.IOToClient, "efcdab 00 01000000 05000000 00000000 00000000", 0xabcdef, wire.KindWriteRequest},
		{wire.IOToServer, "efcdab", 0, wire.KindUnknown},
		{wire.IOToServer, "efcdab 02", 0xabcdef, wire.KindUnknown},
		{wire.IOToServer, "efcdab 01", 0xabcdef, wire.KindCustomEvent},
		{wire.InfoToServer, "0c000000 69000000 00000000", 0, wire.KindUnknown},
		{wire.InfoToServer, "0d000000 66000000 00000000", 0, wire.KindUnknown},
		{wire.InfoToServer, "08000000 66000000", 0, wire.KindUnknown},
		{wire.InfoToServer, "0d000000 66000000 00000000 00", 0, wire.KindDeviceAddition},
	} {
		m, err := wire.Decode(unhex(t, c.msg), c.from)
		if err == nil || m.RequestID != c.id || m.Kind != c.kind {
			t.Errorf("%v, %s: %v with id %#x, %v", c.from, c.msg, m, m.RequestID, err)
		}
		if m.Body() != nil {
			t.Errorf("%v, %s: it has the body %v", c.from, c.msg, m.Body())
		}
	}
}

// TestWrongDirection: each role sends only what is its own.
func TestWrongDirection(t *testing.T) {
	for _, c := range []struct {
		msg  string
		from wire.Direction
	}{
		{"08000000 67000000", wire.InfoToServer},
		{"0c000000 66000000 00000000", wire.InfoToClient},
		{"0c000000 68000000 04000000", wire.InfoToClient},
	} {
		if m, err := wire.Decode(unhex(t, c.msg), c.from); err == nil {
			t.Errorf("%v was accepted on %v", m, c.from)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("two directions at once were accepted")
		}
	}()
	_, _ = wire.Decode(nil, wire.InfoToClient|wire.InfoToServer)
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		wire.KindVersion.String():             "Version",
		wire.KindAuthenticatedClient.String(): "Authenticated Client",
		wire.KindUnknown.String():             "unknown message",
		wire.Kind(0xff).String():              "unknown message",
		wire.KindIoCancelRequest.String():     "Specific IoCancel Request",
		wire.IOToServer.String():              "FileRedirectorChannel to server",
		wire.Direction(0x80).String():         "Direction(128)",
	} {
		if name != want {
			t.Errorf("%q, not %q", name, want)
		}
	}
}

// TestString: what a capture shows has every field, and of data the length.
func TestString(t *testing.T) {
	want := []string{
		"Version 1.6 Capabilities=0x1",
		"Version 1.6 Capabilities=0x1",
		"Authenticated Client",
		`Client Device Addition DeviceCount=1 {ClientDeviceID=4 Interfaces=[{2B4A9C46-658D-4AF2-A91D-1E691861706C}]` +
			` HardwareId=["WUDF\\LB"] CompatibilityID=[] DeviceDescription="Ts Fake Device" CustomFlag=2}`,
		"Client Device Removal ClientDeviceID=4",
		"Capabilities Request RequestId=0x000000 Version=6",
		"Capabilities Reply RequestId=0x000000 Version=6",
		"CreateFile Request RequestId=0x000000 DeviceId=4 dwDesiredAccess=0xC0000000 dwShareMode=0x3 dwCreationDisposition=3 dwFlagsAndAttributes=0x40000080",
		"CreateFile Reply RequestId=0x000000 Result=S_OK",
		"Read Request RequestId=0x000000 cbBytesToRead=8 Offset=0x70000001FFFFFFFF",
		"Read Reply RequestId=0x000000 Result=S_OK len(Data)=8",
		"Write Request RequestId=0x000000 cbWrite=8 Offset=0x1",
		"Write Reply RequestId=0x000000 Result=S_OK cbBytesWritten=8",
		"IOControl Request RequestId=0x000000 IoCode=0x222440 cbIn=16 cbOut=8 len(DataOut)=0",
		"IOControl Reply RequestId=0x000000 Result=S_OK len(Data)=8",
		"Specific IoCancel Request RequestId=0xFFFFFF idToCancel=0x000000",
		"Client Device Custom Event CustomEventGUID={11111111-8080-425F-922A-DABF3DE3F69A} cbData=8",
	}
	if len(want) != len(samples) {
		t.Fatalf("%d texts for %d samples", len(want), len(samples))
	}
	for i, s := range samples {
		m, err := s.decode(s.bytes(t))
		if err != nil {
			t.Fatal(err)
		}
		if m.String() != want[i] {
			t.Errorf("%s is shown as\n%v, not\n%s", s.name, m, want[i])
		}
		body := m.Body().String()
		if m.Kind == wire.KindReadReply || m.Kind == wire.KindIOControlReply { // one type for both
			body = strings.Replace(body, "Read or IOControl Reply", m.Kind.String(), 1)
		}
		if body != want[i] {
			t.Errorf("the body of %s is shown as\n%s, not\n%s", s.name, body, want[i])
		}
	}
	m, err := wire.Decode(unhex(t, "efcdab 00 0600"), wire.IOToServer)
	if err != nil || m.String() != "Reply RequestId=0xABCDEF len(Payload)=2" || m.Body().String() != m.String() {
		t.Errorf("%v, %v", m, err)
	}
	full := wire.DeviceDescription{HasContainerID: true, ContainerID: pnp.GUID{1}, HasDeviceCaps: true, DeviceCaps: 12}
	if want := " ContainerId={00000001-0000-0000-0000-000000000000} DeviceCaps=0xC"; !strings.HasSuffix(full.String(), want) {
		t.Errorf("%v does not end in%s", full, want)
	}
}
