// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"testing"

	"freerdp-pnpdr/pnp/wire"
)

// Each fuzz target below decodes any bytes with one decoder. What decodes must
// encode to a message that decodes to the same fields and encodes to the same
// bytes again: the encoder's form is a fixpoint, though a decoder also accepts
// others (padding, a missing UnusedByte).

func FuzzDecodeVersion(f *testing.F)             { fixpoint(f, wire.DecodeVersion, 0) }
func FuzzDecodeAuthenticatedClient(f *testing.F) { fixpoint(f, wire.DecodeAuthenticatedClient, 0) }
func FuzzDecodeDeviceRemoval(f *testing.F)       { fixpoint(f, wire.DecodeDeviceRemoval, 0) }
func FuzzDecodeCapabilitiesRequest(f *testing.F) { fixpoint(f, wire.DecodeCapabilitiesRequest, 0) }
func FuzzDecodeCreateFileRequest(f *testing.F)   { fixpoint(f, wire.DecodeCreateFileRequest, 0) }
func FuzzDecodeReadRequest(f *testing.F)         { fixpoint(f, wire.DecodeReadRequest, 0) }
func FuzzDecodeWriteRequest(f *testing.F)        { fixpoint(f, wire.DecodeWriteRequest, 1) }
func FuzzDecodeIOControlRequest(f *testing.F)    { fixpoint(f, wire.DecodeIOControlRequest, 1) }
func FuzzDecodeIoCancelRequest(f *testing.F)     { fixpoint(f, wire.DecodeIoCancelRequest, 0) }
func FuzzDecodeCapabilitiesReply(f *testing.F)   { fixpoint(f, wire.DecodeCapabilitiesReply, 0) }
func FuzzDecodeCreateFileReply(f *testing.F)     { fixpoint(f, wire.DecodeCreateFileReply, 0) }
func FuzzDecodeReadReply(f *testing.F)           { fixpoint(f, wire.DecodeReadReply, 0) }
func FuzzDecodeWriteReply(f *testing.F)          { fixpoint(f, wire.DecodeWriteReply, 0) }
func FuzzDecodeIOControlReply(f *testing.F)      { fixpoint(f, wire.DecodeIOControlReply, 0) }
func FuzzDecodeCustomEvent(f *testing.F)         { fixpoint(f, wire.DecodeCustomEvent, 0) }

// fixpoint is the body of those targets. The encoded message is as long as the
// decoded one, or by grows bytes longer.
func fixpoint[M message](f *testing.F, decode func([]byte) (M, error), grows int) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		kept := bytes.Clone(msg)
		m, err := decode(msg)
		if !bytes.Equal(msg, kept) {
			t.Fatalf("the decoder changed the message to %x", msg)
		}
		if err != nil {
			return
		}
		again := m.Append(nil)
		if d := len(again) - len(msg); d < 0 || d > grows {
			t.Fatalf("%s: %d bytes became %d", text(m), len(msg), len(again))
		}
		m2, err := decode(again)
		if err != nil {
			t.Fatalf("%s encodes to %x: %v", text(m), again, err)
		}
		if text(m2) != text(m) {
			t.Fatalf("%s comes back as %s", text(m), text(m2))
		}
		if third := m2.Append(nil); !bytes.Equal(third, again) {
			t.Fatalf("%x, then %x", again, third)
		}
	})
}

// FuzzDecodeDeviceAddition takes the descriptions apart, too.
func FuzzDecodeDeviceAddition(f *testing.F) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		m, err := wire.DecodeDeviceAddition(msg)
		if err != nil {
			return
		}
		if again := m.Append(nil); !bytes.Equal(again, msg) {
			t.Fatalf("%x became %x", msg, again)
		}
		var n uint32
		var all []byte
		for d := range m.All() {
			n++
			all = d.Append(all)

			// Through the domain's form and back, twice: once it may lose what
			// that cannot hold (a lone surrogate, CustomFlag 0).
			once := wire.NewDeviceDescription(d.ClientDeviceID, d.Description())
			twice := wire.NewDeviceDescription(d.ClientDeviceID, once.Description())
			if text(once) != text(twice) {
				t.Fatalf("%s, then %s", text(once), text(twice))
			}
			one := wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: once.Append(nil)}
			if _, err := wire.DecodeDeviceAddition(one.Append(nil)); err != nil {
				t.Fatalf("%s encodes to what does not decode: %v", text(once), err)
			}
		}
		if n != m.DeviceCount || !bytes.Equal(all, m.DeviceDescriptions) {
			t.Fatalf("%d of %d descriptions: %x became %x", n, m.DeviceCount, m.DeviceDescriptions, all)
		}
	})
}

// FuzzDecodeHeaders: the header decoders accept all that the decoders accept.
func FuzzDecodeHeaders(f *testing.F) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, s := range samples {
			if _, err := s.decode(msg); err != nil {
				continue
			}
			var err error
			switch s.fields.(type) {
			case wire.Version, wire.AuthenticatedClient, wire.DeviceAddition, wire.DeviceRemoval:
				_, server := wire.DecodeInfoHeader(msg, wire.ServerToClient)
				_, client := wire.DecodeInfoHeader(msg, wire.ClientToServer)
				if server != nil && client != nil {
					err = server
				}
			case wire.CapabilitiesReply, wire.CreateFileReply, wire.DataReply, wire.WriteReply, wire.CustomEvent:
				_, err = wire.DecodeClientHeader(msg)
			default:
				_, err = wire.DecodeServerHeader(msg)
			}
			if err != nil {
				t.Errorf("%s was accepted, its header not: %v", s.name, err)
			}
		}
	})
}

// addSamples seeds with the examples, each whole, cut, and with one more byte.
func addSamples(f *testing.F) {
	for _, s := range samples {
		msg := s.bytes(f)
		f.Add(msg)
		f.Add(msg[:len(msg)-1])
		f.Add(append(msg, 0xff))
	}
}
