// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"testing"

	"freerdp-pnpdr/pnp/wire"
)

// Each fuzz target below decodes any bytes as what one role sends on one channel.
// What decodes must encode to a message that decodes to the same fields and
// encodes to the same bytes again: the encoder's form is a fixpoint, though Decode
// also accepts others (padding, a missing UnusedByte).

func FuzzDecodeInfo(f *testing.F) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		fixpoint(t, msg, in(wire.InfoToClient))
		m := fixpoint(t, msg, in(wire.InfoToServer))
		if a, ok := m.Body().(wire.DeviceAddition); ok {
			descriptions(t, a)
		}
	})
}

func FuzzDecodeRequests(f *testing.F) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, msg []byte) { fixpoint(t, msg, in(wire.IOToClient)) })
}

func FuzzDecodeReplies(f *testing.F) {
	addSamples(f)
	f.Fuzz(func(t *testing.T, msg []byte) {
		fixpoint(t, msg, in(wire.IOToServer))
		for _, op := range []wire.Kind{wire.KindCapabilitiesRequest, wire.KindCreateFileRequest,
			wire.KindReadRequest, wire.KindWriteRequest, wire.KindIOControlRequest} {
			fixpoint(t, msg, replyTo(op))
		}
	})
}

// fixpoint is the body of those targets. It returns the message if msg is one.
func fixpoint(t *testing.T, msg []byte, decode decoder) wire.Message {
	t.Helper()
	kept := bytes.Clone(msg)
	m, err := decode(msg)
	if !bytes.Equal(msg, kept) {
		t.Fatalf("the decoder changed the message to %x", msg)
	}
	if (err == nil) != (m.Body() != nil) {
		t.Fatalf("%x: the body %v and the error %v", msg, m.Body(), err)
	}
	if err != nil {
		return m
	}
	grows := 0
	if m.Kind == wire.KindWriteRequest || m.Kind == wire.KindIOControlRequest { // by the UnusedByte
		grows = 1
	}
	again := m.Body().Append(nil)
	if d := len(again) - len(msg); d < 0 || d > grows {
		t.Fatalf("%v: %d bytes became %d", m, len(msg), len(again))
	}
	m2, err := decode(again)
	if err != nil {
		t.Fatalf("%v encodes to %x: %v", m, again, err)
	}
	if m2.Kind != m.Kind || text(m2.Body()) != text(m.Body()) || m2.String() != m.String() {
		t.Fatalf("%v %s comes back as %v %s", m, text(m.Body()), m2, text(m2.Body()))
	}
	if third := m2.Body().Append(nil); !bytes.Equal(third, again) {
		t.Fatalf("%x, then %x", again, third)
	}
	return m
}

// descriptions takes a Client Device Addition apart.
func descriptions(t *testing.T, m wire.DeviceAddition) {
	t.Helper()
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
		if _, err := wire.Decode(one.Append(nil), wire.InfoToServer); err != nil {
			t.Fatalf("%s encodes to what does not decode: %v", text(once), err)
		}
	}
	if n != m.DeviceCount || !bytes.Equal(all, m.DeviceDescriptions) {
		t.Fatalf("%d of %d descriptions: %x became %x", n, m.DeviceCount, m.DeviceDescriptions, all)
	}
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
