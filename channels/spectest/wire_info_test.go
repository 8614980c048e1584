// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// plain is a redirectable description without any variable field.
const plain = "00000000 00000000 00000000 00000000 04000000 02000000"

func init() {
	add("W-02", "size_counts_header_and_payload", func(t *testing.T) {
		for _, m := range []message{
			wire.OurVersion,
			wire.AuthenticatedClient{},
			wire.DeviceRemoval{ClientDeviceID: 4},
			wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.NewDeviceDescription(4, &pnp.Description{Name: "x"}).Append(nil)},
		} {
			msg := m.Append(nil)
			if size := le.Uint32(msg); int(size) != len(msg) {
				t.Errorf("%T: Size %d of %d bytes", m, size, len(msg))
			}
		}
	})
	add("W-02", "other_size_is_malformed", func(t *testing.T) {
		for _, kind := range []struct {
			name string
			from wire.Direction
			msg  string
		}{
			{"Version", wire.InfoToClient, info(wire.IRPDR_ID_VERSION, "01000000 06000000 01000000")},
			{"Version", wire.InfoToServer, info(wire.IRPDR_ID_VERSION, "01000000 06000000 01000000")},
			{"Authenticated Client", wire.InfoToClient, info(wire.IRPDR_ID_SERVER_LOGON, "")},
			{"Client Device Addition", wire.InfoToServer, addition(plain)},
			{"Client Device Removal", wire.InfoToServer, info(wire.IRPDR_ID_UNREDIRECT_DEVICE, "04000000")},
		} {
			msg := unhex(t, kind.msg)
			right := uint32(len(msg))
			for _, size := range []uint32{0, 8, right - 8, right - 1, right, right + 1, right + 8, right | 1<<31, 1<<32 - 1} {
				le.PutUint32(msg, size)
				_, err := wire.Decode(msg, kind.from)
				if (err == nil) != (size == right) {
					t.Errorf("%s of %d bytes with Size %d: error %v", kind.name, right, size, err)
				}
			}
			le.PutUint32(msg, right)
			if _, err := wire.Decode(append(msg, 0), kind.from); err == nil {
				t.Errorf("%s with a byte behind it was accepted", kind.name)
			}
		}
	})

	add("W-03", "packet_ids", func(t *testing.T) {
		const server, client = wire.InfoToClient, wire.InfoToServer
		for _, c := range []struct {
			id   uint32
			kind wire.Kind
			msg  string
			from []wire.Direction
		}{
			{0x65, wire.KindVersion, "14000000 65000000 01000000 06000000 01000000", []wire.Direction{server, client}},
			{0x66, wire.KindDeviceAddition, "0c000000 66000000 00000000", []wire.Direction{client}},
			{0x67, wire.KindAuthenticatedClient, "08000000 67000000", []wire.Direction{server}},
			{0x68, wire.KindDeviceRemoval, "0c000000 68000000 04000000", []wire.Direction{client}},
		} {
			for _, from := range c.from {
				m, err := wire.Decode(unhex(t, c.msg), from)
				if err != nil || m.Kind != c.kind {
					t.Errorf("PacketId 0x%x: got %v, %v", c.id, m, err)
				}
				if err == nil && le.Uint32(m.Body().Append(nil)[4:]) != c.id {
					t.Errorf("%v is sent as %x", m, m.Body().Append(nil))
				}
			}
		}
		for _, id := range []wire.PacketID{0, 1, 0x64, 0x69, 0x0165, 0x010067, 0x65000000, 0xffffffff} {
			for _, payload := range []string{"", "00000000", "00000000 00000000 00000000"} {
				for _, from := range []wire.Direction{server, client} {
					if _, err := wire.Decode(unhex(t, info(id, payload)), from); err == nil {
						t.Errorf("PacketId 0x%x was accepted", uint32(id))
					}
				}
			}
		}
	})

	for id, from := range map[string]wire.Direction{"W-04": wire.InfoToClient, "W-06": wire.InfoToServer} {
		add(id, "layout", func(t *testing.T) {
			const msg = `
				14000000 // Size
				65000000 // PacketId
				01000000 // MajorVersion
				06000000 // MinorVersion
				81000000 // Capabilities`
			same(t, in(from), msg, wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: 0x81})
		})
		add(id, "other_length_is_malformed", func(t *testing.T) {
			for _, payload := range []string{"", "01000000", "01000000 06000000", "01000000 06000000 010000",
				"01000000 06000000 01000000 00", "01000000 06000000 01000000 00000000"} {
				rejected(t, in(from), info(wire.IRPDR_ID_VERSION, payload))
			}
		})
	}

	for _, id := range []string{"W-05", "W-07"} {
		add(id, "bit_0_set_in_what_we_send", func(t *testing.T) {
			if wire.OurVersion.Capabilities&1 == 0 {
				t.Errorf("Capabilities 0x%x", wire.OurVersion.Capabilities)
			}
			encodes(t, wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: wire.CapDynamicAddition},
				"14000000 65000000 01000000 06000000 01000000")
		})
		add(id, "other_bits_are_accepted", func(t *testing.T) {
			for bit := range 32 {
				caps := uint32(1) << bit
				decodes(t, infoToClient, info(wire.IRPDR_ID_VERSION, "01000000 06000000"+u32(caps)),
					wire.Version{MajorVersion: 1, MinorVersion: 6, Capabilities: caps})
			}
		})
	}

	add("W-08", "we_send_1.5_or_1.6", func(t *testing.T) {
		if v := wire.OurVersion; v.MajorVersion != 1 || v.MinorVersion != 5 && v.MinorVersion != 6 {
			t.Errorf("version %d.%d", v.MajorVersion, v.MinorVersion)
		}
	})
	add("W-08", "any_version_is_accepted", func(t *testing.T) {
		for _, major := range []uint32{0, 1, 2, 1 << 31, 1<<32 - 1} {
			for _, minor := range []uint32{0, 4, 5, 6, 7, 1<<32 - 1} {
				decodes(t, infoToClient, info(wire.IRPDR_ID_VERSION, u32(major)+u32(minor)+"01000000"),
					wire.Version{MajorVersion: major, MinorVersion: minor, Capabilities: 1})
			}
		}
	})

	add("W-09", "bare_header", func(t *testing.T) {
		same(t, infoToClient, "08000000 67000000", wire.AuthenticatedClient{})
	})
	add("W-09", "payload_is_malformed", func(t *testing.T) {
		for _, payload := range []string{"00", "00000000", "01000000 06000000 01000000"} {
			rejected(t, infoToClient, info(wire.IRPDR_ID_SERVER_LOGON, payload))
		}
	})

	add("W-10", "as_many_descriptions_as_counted", func(t *testing.T) {
		for n, list := range [][]string{{}, {plain}, {plain, plain}, {plain, plain, plain}} {
			msg := unhex(t, addition(list...))
			got, err := infoToServer(msg)
			if err != nil {
				t.Errorf("%d descriptions: %v", n, err)
				continue
			}
			m := got.DeviceAddition()
			var ids []uint32
			for d := range m.All() {
				ids = append(ids, d.ClientDeviceID)
			}
			if int(m.DeviceCount) != n || len(ids) != n {
				t.Errorf("DeviceCount %d, ids %v of %d descriptions", m.DeviceCount, ids, n)
			}
			encodes(t, m, addition(list...))
		}
	})
	add("W-10", "other_count_is_malformed", func(t *testing.T) {
		for _, n := range []uint32{0, 1, 3, 4, 1 << 31, 1<<32 - 1} {
			msg := unhex(t, addition(plain, plain))
			le.PutUint32(msg[8:], n)
			if _, err := infoToServer(msg); err == nil {
				t.Errorf("DeviceCount %d with two descriptions was accepted", n)
			}
		}
	})
	add("W-10", "bytes_behind_the_descriptions_are_malformed", func(t *testing.T) {
		for n := 1; n <= 40; n++ {
			msg := append(unhex(t, addition(plain)), make([]byte, n)...)
			le.PutUint32(msg, uint32(len(msg)))
			if _, err := infoToServer(msg); err == nil {
				t.Errorf("%d bytes behind the last description were accepted", n)
			}
		}
	})

	add("W-22", "layout", func(t *testing.T) {
		same(t, infoToServer, `
			0c000000 // Size
			68000000 // PacketId
			04000080 // ClientDeviceID`,
			wire.DeviceRemoval{ClientDeviceID: 0x80000004})
	})
	add("W-22", "other_length_is_malformed", func(t *testing.T) {
		for _, payload := range []string{"", "040000", "04000000 00", "04000000 05000000"} {
			rejected(t, infoToServer, info(wire.IRPDR_ID_UNREDIRECT_DEVICE, payload))
		}
	})
}
