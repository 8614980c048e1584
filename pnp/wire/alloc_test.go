// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"runtime"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// cost is an operation that must not allocate: decoding and encoding one kind of
// message as its own type, without the interface Body.
type cost struct {
	name   string
	msg    []byte
	decode func(msg []byte) error
	encode func(b []byte) []byte
}

func costOf[M wire.Body](t testing.TB, section string, as func(wire.Message) M) cost {
	t.Helper()
	for _, s := range samples {
		if s.section != section {
			continue
		}
		m, err := s.decode(s.bytes(t))
		if err != nil {
			t.Fatal(err)
		}
		body := as(m)
		return cost{
			name: s.name,
			msg:  s.bytes(t),
			decode: func(msg []byte) error {
				m, err := s.decode(msg)
				if err != nil {
					return err
				}
				_ = as(m)
				return nil
			},
			encode: func(b []byte) []byte { return body.Append(b) },
		}
	}
	t.Fatalf("no example %s", section)
	return cost{}
}

func costs(t testing.TB) []cost {
	all := []cost{
		costOf(t, "4.1(1)", wire.Message.Version),
		costOf(t, "4.1(3)", func(wire.Message) wire.AuthenticatedClient { return wire.AuthenticatedClient{} }),
		costOf(t, "4.2(1)", wire.Message.DeviceAddition),
		costOf(t, "4.2(2)", wire.Message.DeviceRemoval),
		costOf(t, "4.3(1)", wire.Message.CapabilitiesRequest),
		costOf(t, "4.3(2)", wire.Message.CapabilitiesReply),
		costOf(t, "4.4(1)", wire.Message.CreateFileRequest),
		costOf(t, "4.4(2)", wire.Message.CreateFileReply),
		costOf(t, "4.4(3)", wire.Message.ReadRequest),
		costOf(t, "4.4(4)", wire.Message.DataReply),
		costOf(t, "4.4(5)", wire.Message.WriteRequest),
		costOf(t, "4.4(6)", wire.Message.WriteReply),
		costOf(t, "4.4(7)", wire.Message.IOControlRequest),
		costOf(t, "4.4(8)", wire.Message.DataReply),
		costOf(t, "4.4(9)", wire.Message.IoCancelRequest),
		costOf(t, "4.4(10)", wire.Message.CustomEvent),
	}
	return append(all,
		cost{"FinishDataReply", all[9].msg, func(msg []byte) error { wire.FinishDataReply(msg, 1, pnp.S_OK, 8); return nil }, nil},
		cost{"Descriptions", all[2].msg, eachDescription, nil},
	)
}

func eachDescription(msg []byte) error {
	m, err := wire.Decode(msg, wire.InfoToServer)
	if err != nil {
		return err
	}
	for d := range m.DeviceAddition().All() {
		_ = d
	}
	return nil
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, c := range costs(t) {
		var failed error
		if n := testing.AllocsPerRun(100, func() {
			if err := c.decode(c.msg); err != nil {
				failed = err
			}
		}); n != 0 || failed != nil {
			t.Errorf("%s: %v allocations, error %v", c.name, n, failed)
		}
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	for _, c := range costs(t) {
		if c.encode == nil {
			continue
		}
		b := make([]byte, 0, len(c.msg))
		if n := testing.AllocsPerRun(100, func() { b = c.encode(b[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// TestDecodeAllocatesNoMoreThanTheMessage gives messages whose counts promise
// up to 4 GiB.
func TestDecodeAllocatesNoMoreThanTheMessage(t *testing.T) {
	const errorText = 2048 // what an error may cost, with its formatting
	for _, s := range samples {
		// Every count is at one of these places.
		for at := 0; at+4 <= len(s.bytes(t)); at += 2 {
			for _, n := range []uint32{1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
				msg := s.bytes(t)
				le.PutUint32(msg[at:], n)
				if spent := allocated(func() { _, _ = s.decode(msg) }); spent > uint64(len(msg))+errorText {
					t.Errorf("%s with %d at %d: %d bytes allocated", s.name, n, at, spent)
				}
			}
		}
	}
	// A large message costs no more than a small one, converted text included.
	big := wire.NewDeviceDescription(1, &pnp.Description{Name: string(bytes.Repeat([]byte("x"), 1<<20))})
	msg := wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: big.Append(nil)}.Append(nil)
	if spent := allocated(func() { _ = eachDescription(msg) }); spent > errorText {
		t.Errorf("%d bytes allocated to decode a message of %d", spent, len(msg))
	}
	if spent := allocated(func() { _ = big.Description() }); spent > uint64(len(msg))+errorText {
		t.Errorf("%d bytes allocated to convert a description of %d", spent, len(msg))
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range costs(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.msg)))
			for range b.N {
				if err := c.decode(c.msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, c := range costs(b) {
		if c.encode == nil {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.msg)))
			buf := make([]byte, 0, len(c.msg))
			for range b.N {
				buf = c.encode(buf[:0])
			}
		})
	}
}
