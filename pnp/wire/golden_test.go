// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

func TestSamples(t *testing.T) {
	for _, s := range samples {
		t.Run(s.section+s.name, func(t *testing.T) {
			msg := s.bytes(t)
			kept := bytes.Clone(msg)
			got, err := s.decode(msg)
			if err != nil {
				t.Fatal(err)
			}
			if text(got.Body()) != text(s.fields) {
				t.Errorf("decodes to %s\nnot to     %s", text(got.Body()), text(s.fields))
			}
			if !bytes.Equal(msg, kept) {
				t.Error("the decoder changed the message")
			}
			if s.padding != 0 {
				msg[s.padding] = 0
			}
			if again := s.fields.Append([]byte("head")); !bytes.Equal(again, append([]byte("head"), msg...)) {
				t.Errorf("encodes to %x\nnot to     %x", again[4:], msg)
			}
		})
	}
}

// TestSamplesAreTheExamples compares with the file of the examples.
func TestSamplesAreTheExamples(t *testing.T) {
	f, err := os.Open("../../channels/spectest/testdata/examples.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(samples) {
		t.Fatalf("%d examples, %d samples", len(rows)-1, len(samples))
	}
	for i, s := range samples {
		row := rows[1+i]
		if row[0] != s.section || row[1] != s.name || row[5] != hex.EncodeToString(s.bytes(t)) {
			t.Errorf("%s %s is not %q", s.section, s.name, row)
		}
	}
}

func TestTruncatedIsRejected(t *testing.T) {
	for _, s := range samples {
		t.Run(s.section+s.name, func(t *testing.T) {
			msg := s.bytes(t)
			for n := range msg {
				got, err := s.decode(msg[:n:n])
				switch tolerated := n >= len(msg)-s.shorter; {
				case err == nil && !tolerated:
					t.Errorf("the first %d of %d bytes were accepted as %s", n, len(msg), text(got.Body()))
				case err == nil && text(got.Body()) != text(s.fields):
					t.Errorf("the first %d bytes decode to %s", n, text(got.Body()))
				case err != nil && tolerated:
					t.Errorf("the first %d of %d bytes: %v", n, len(msg), err)
				}
			}
		})
	}
}

// TestTruncatedWithRightSizeIsRejected cuts PNPDR messages whose Size field
// agrees with the cut.
func TestTruncatedWithRightSizeIsRejected(t *testing.T) {
	for _, s := range samples[:5] {
		msg := s.bytes(t)
		for n := 8; n < len(msg); n++ {
			cut := bytes.Clone(msg[:n])
			le.PutUint32(cut, uint32(n))
			if got, err := s.decode(cut); err == nil {
				t.Errorf("%s%s: the first %d of %d bytes were accepted as %s", s.section, s.name, n, len(msg), text(got.Body()))
			}
		}
	}
}

func TestOverlongIsRejected(t *testing.T) {
	for _, s := range samples {
		t.Run(s.section+s.name, func(t *testing.T) {
			for n := 1; n <= 70; n++ {
				msg := append(s.bytes(t), make([]byte, n)...)
				got, err := s.decode(msg)
				if (err == nil) != s.longer {
					t.Errorf("%d more bytes: error %v, %s", n, err, text(got.Body()))
				}
				if err == nil && got.Kind == wire.KindIOControlRequest && len(got.IOControlRequest().DataOut) != n {
					t.Errorf("%d more bytes make %v", n, got)
				}
				if le.Uint32(msg) == uint32(len(msg)-n) && s.lengths != nil && s.lengths[0] == 0 {
					le.PutUint32(msg, uint32(len(msg))) // Size agrees
					if got, err := s.decode(msg); err == nil {
						t.Errorf("%d more bytes and Size: %s", n, text(got.Body()))
					}
				}
			}
		})
	}
}

func TestMutatedLengthIsRejected(t *testing.T) {
	for _, s := range samples {
		t.Run(s.section+s.name, func(t *testing.T) {
			msg := s.bytes(t)
			for _, at := range s.lengths {
				right := le.Uint32(msg[at:])
				for _, n := range []uint32{0, 1, 2, right - 4, right - 2, right - 1, right + 1, right + 2, right + 4,
					uint32(len(msg)), uint32(len(msg) - at), uint32(len(msg) - at - 4),
					1<<31 - 1, 1 << 31, 1<<32 - 4, 1<<32 - 1} {
					le.PutUint32(msg[at:], n)
					got, err := s.decode(msg)
					// cbWrite may count the byte at the end (W-33).
					tolerated := n == right || s.name == "WriteRequest" && n == right+1
					if (err == nil) != tolerated {
						t.Errorf("%d instead of %d at %d: error %v, %s", n, right, at, err, text(got.Body()))
					}
				}
				le.PutUint32(msg[at:], right)
			}
		})
	}
}

func TestErrorNamesSectionMessageAndProblem(t *testing.T) {
	for _, c := range []struct {
		decode decoder
		msg    string
		want   wire.Error
	}{
		{in(wire.IOToClient), "01000000 01000000 03000000 00000000 00000000 6162",
			wire.Error{Section: "2.2.2.3.5", Message: "Write Request", Problem: "cbWrite 3 with 2 bytes behind it"}},
		{in(wire.InfoToClient), "14000000 65000000",
			wire.Error{Section: "2.2.1.1", Message: "PNP_INFO_HEADER", Problem: "Size 20 in a message of 8 bytes"}},
		{in(wire.InfoToClient), "08000000 65000000",
			wire.Error{Section: "2.2.1.2.1", Message: "Version", Problem: "8 bytes, not 20"}},
		{in(wire.InfoToClient), "0c000000 66000000 00000000",
			wire.Error{Section: "2.2.1.3.1", Message: "Client Device Addition", Problem: "sent in the wrong direction"}},
		{in(wire.IOToServer), "000000 01 0600",
			wire.Error{Section: "2.2.2.3.10", Message: "Client Device Custom Event", Problem: "6 bytes, not at least 25"}},
		{in(wire.IOToServer), "000000 02 0600",
			wire.Error{Section: "2.2.2.1.2", Message: "CLIENT_IO_HEADER", Problem: "PacketType 0x02 is unknown"}},
		{replyTo(wire.KindIoCancelRequest), "000000 00",
			wire.Error{Section: "2.2.2.1.2", Message: "CLIENT_IO_HEADER", Problem: "a reply to Specific IoCancel Request, which has none"}},
		{replyTo(wire.KindReadRequest), "000000 00 0000",
			wire.Error{Section: "2.2.2.3.4", Message: "Read Reply", Problem: "6 bytes, not at least 13"}},
		{in(wire.IOToClient), "00000000 03000000",
			wire.Error{Section: "2.2.2.1.1", Message: "SERVER_IO_HEADER", Problem: "FunctionId 0x00000003 is unknown"}},
	} {
		_, err := c.decode(unhex(t, c.msg))
		var e *wire.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v is not a *wire.Error", c.msg, err)
			continue
		}
		if *e != c.want {
			t.Errorf("%s: %+v, not %+v", c.msg, *e, c.want)
		}
		if line := "malformed " + c.want.Message + ": " + c.want.Problem + " ([MS-RDPEPNP] " + c.want.Section + ")"; err.Error() != line {
			t.Errorf("%q, not %q", err, line)
		}
	}
}

// TestViewsEndWhereTheyEnd: appending to a decoded field must not write into
// the message.
func TestViewsEndWhereTheyEnd(t *testing.T) {
	for _, s := range samples {
		m, err := s.decode(append(s.bytes(t), make([]byte, map[bool]int{true: 8}[s.longer])...))
		if err != nil {
			t.Fatal(err)
		}
		var views [][]byte
		switch m := m.Body().(type) {
		case wire.WriteRequest:
			views = [][]byte{m.Data}
		case wire.IOControlRequest:
			views = [][]byte{m.DataIn, m.DataOut}
		case wire.DataReply:
			views = [][]byte{m.Data}
		case wire.CustomEvent:
			views = [][]byte{m.Data}
		case wire.DeviceAddition:
			for d := range m.All() {
				views = [][]byte{d.InterfaceGUIDArray, d.HardwareID, d.CompatibilityID, d.DeviceDescription}
			}
		}
		for i, v := range views {
			if cap(v) != len(v) {
				t.Errorf("%s: field %d has %d bytes and room for %d", s.name, i, len(v), cap(v))
			}
		}
	}
}

// TestDescriptionSharesNoMemory: a Description outlives the message.
func TestDescriptionSharesNoMemory(t *testing.T) {
	caps := pnp.PNP_DEVCAPS_REMOVABLE
	p := &pnp.Description{
		Name:          "a name",
		HardwareIDs:   []string{"one", "two"},
		CompatibleIDs: []string{"three"},
		Interfaces:    []pnp.GUID{{1}, {2}},
		Container:     &pnp.GUID{3},
		Caps:          &caps,
		Optional:      true,
	}
	msg := wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.NewDeviceDescription(7, p).Append(nil)}.Append(nil)
	m, err := wire.Decode(msg, wire.InfoToServer)
	if err != nil {
		t.Fatal(err)
	}
	for d := range m.DeviceAddition().All() {
		got := d.Description()
		clear(msg)
		if got.Name != p.Name || strings.Join(got.HardwareIDs, ",") != "one,two" || strings.Join(got.CompatibleIDs, ",") != "three" ||
			len(got.Interfaces) != 2 || got.Interfaces[1] != p.Interfaces[1] || *got.Container != *p.Container ||
			*got.Caps != caps || !got.Optional || d.ClientDeviceID != 7 {
			t.Errorf("%+v, not %+v", got, p)
		}
	}
}
