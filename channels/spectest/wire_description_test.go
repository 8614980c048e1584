// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// Parts of a PNP_DEVICE_DESCRIPTION behind DataSize.
const (
	noInterfaces = "00000000"
	noHardware   = "00000000"
	noCompatible = "00000000"
	noName       = "00000000"
	redirectable = "04000000 02000000"
	container    = "10000000 00112233445566778899aabbccddeeff"
	caps         = "04000000 0c000000"
)

const wpdGUID = "7878c26afaa65541ba85f98f491d4f33" // {6AC27878-A6FA-4155-BA85-F98F491D4F33}

func init() {
	add("W-12", "data_size_counts_what_follows_it", func(t *testing.T) {
		for _, d := range []*pnp.Description{
			{},
			{Name: "a name", HardwareIDs: []string{"one", "two"}},
			{Interfaces: make([]pnp.GUID, 3), Container: &pnp.GUID{1}, Caps: new(pnp.DeviceCaps)},
		} {
			b := wire.NewDeviceDescription(4, d).Append([]byte("head"))[4:]
			if size := le.Uint32(b[4:]); int(size) != len(b)-8 {
				t.Errorf("DataSize %d of a structure of %d bytes", size, len(b))
			}
		}
	})
	add("W-12", "data_size_bounds_the_description", func(t *testing.T) {
		// The optional fields belong to the first description, or it has none:
		// only DataSize tells.
		with, without := noInterfaces+noHardware+noCompatible+noName+redirectable+container, plain
		m, err := infoToServer(unhex(t, addition(with, without)))
		if err != nil {
			t.Fatal(err)
		}
		var got []bool
		for d := range m.DeviceAddition().All() {
			got = append(got, d.HasContainerID)
		}
		if !reflect.DeepEqual(got, []bool{true, false}) {
			t.Errorf("descriptions with a ContainerId: %v", got)
		}
		// Any other DataSize in the first description is malformed, although
		// the message is long enough.
		for _, d := range []string{plain, with, with + caps} {
			msg := unhex(t, addition(d, d, d))
			right := le.Uint32(msg[16:])
			for size := uint32(0); size < uint32(len(msg)); size++ {
				le.PutUint32(msg[16:], size)
				if _, err := infoToServer(msg); (err == nil) != (size == right) {
					t.Errorf("DataSize %d instead of %d: error %v", size, right, err)
				}
			}
		}
		// It ends the description even if all fields are present.
		msg := unhex(t, addition(with+caps+"00000000"))
		if _, err := infoToServer(msg); err == nil {
			t.Error("bytes between the last field and the end of DataSize were accepted")
		}
	})
	add("W-12", "field_does_not_reach_over_the_end", func(t *testing.T) {
		// cbDeviceDescriptionLength reaches into the second description.
		msg := unhex(t, addition(noInterfaces+noHardware+noCompatible+"02000000 7800"+redirectable, plain))
		le.PutUint32(msg[12+8+12:], 0x10)
		if m, err := infoToServer(msg); err == nil {
			t.Errorf("accepted as %+v", m)
		}
	})

	add("W-13", "guids_in_dtyp_layout", func(t *testing.T) {
		d := described(t, "20000000"+wpdGUID+"78563412bc9af0de0102030405060708"+noHardware+noCompatible+noName+redirectable)
		want := []string{"{6ac27878-a6fa-4155-ba85-f98f491d4f33}", "{12345678-9abc-def0-0102-030405060708}"}
		var got []string
		for _, g := range d.Description().Interfaces {
			got = append(got, strings.ToLower(g.String()))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("GUIDs %v, not %v", got, want)
		}
		list := []pnp.GUID{pnp.MustGUID(want[0]), pnp.MustGUID(want[1])}
		again := wire.NewDeviceDescription(1, &pnp.Description{Interfaces: list})
		if !bytes.Equal(again.InterfaceGUIDArray, d.InterfaceGUIDArray) {
			t.Errorf("InterfaceGUIDArray %x, not %x", again.InterfaceGUIDArray, d.InterfaceGUIDArray)
		}
	})
	add("W-13", "length_must_be_divisible_by_16", func(t *testing.T) {
		for n := range 49 {
			d := u32(uint32(n)) + strings.Repeat("ab", n) + noHardware + noCompatible + noName + redirectable
			if _, err := describe(t, d); (err == nil) != (n%16 == 0) {
				t.Errorf("cbInterfaceLength %d: error %v", n, err)
			}
		}
	})
	add("W-13", "absent_when_0", func(t *testing.T) {
		d := described(t, noInterfaces+"04000000 00000000"+noCompatible+noName+redirectable)
		if len(d.InterfaceGUIDArray) != 0 || d.Description().Interfaces != nil || len(d.HardwareID) != 4 {
			t.Errorf("%+v", d)
		}
		if b := wire.NewDeviceDescription(1, &pnp.Description{}).Append(nil); le.Uint32(b[8:]) != 0 || len(b) != 32 {
			t.Errorf("an empty description encodes to %x", b)
		}
	})

	// The two lists of ids differ only in where they are.
	for _, c := range []struct {
		id     string
		before string
		after  string
		field  func(wire.DeviceDescription) []byte
		list   func(*pnp.Description) *[]string
	}{
		{"W-14", noInterfaces, noCompatible + noName + redirectable,
			func(d wire.DeviceDescription) []byte { return d.HardwareID },
			func(d *pnp.Description) *[]string { return &d.HardwareIDs }},
		{"W-15", noInterfaces + noHardware, noName + redirectable,
			func(d wire.DeviceDescription) []byte { return d.CompatibilityID },
			func(d *pnp.Description) *[]string { return &d.CompatibleIDs }},
	} {
		add(c.id, "utf16_multisz", func(t *testing.T) {
			for _, x := range []struct {
				field string
				list  []string
			}{
				{"06000000 4100 0000 0000", []string{"A"}},
				{"0e000000 4100 4200 0000 5c00 e900 0000 0000", []string{"AB", `\é`}},
				{"08000000 3dd8 00de 0000 0000", []string{"😀"}},
			} {
				d := described(t, c.before+x.field+c.after)
				if got := *c.list(d.Description()); !reflect.DeepEqual(got, x.list) {
					t.Errorf("%s: %q, not %q", x.field, got, x.list)
				}
				var p pnp.Description
				*c.list(&p) = x.list
				want := unhex(t, x.field)[4:]
				if got := c.field(wire.NewDeviceDescription(1, &p)); !bytes.Equal(got, want) {
					t.Errorf("%q is sent as %x, not %x", x.list, got, want)
				}
			}
		})
		add(c.id, "no_multisz_is_malformed", func(t *testing.T) {
			for _, field := range []string{
				"01000000 41", "03000000 000000", // not a whole number of UTF-16 units
				"02000000 4100", "04000000 4100 4200", // no null at the end
				"ffffffff 0000", "00000080 0000",
			} {
				undescribed(t, c.before+field+c.after)
			}
		})
		add(c.id, "absent_when_0", func(t *testing.T) {
			d := described(t, c.before+"00000000"+c.after)
			if len(c.field(d)) != 0 || *c.list(d.Description()) != nil {
				t.Errorf("%+v", d)
			}
			if got := c.field(wire.NewDeviceDescription(1, &pnp.Description{})); len(got) != 0 {
				t.Errorf("no ids are sent as %x", got)
			}
		})
	}

	add("W-16", "utf16_without_terminator", func(t *testing.T) {
		for _, x := range []struct{ field, name string }{
			{"02000000 4100", "A"},
			{"04000000 3dd8 00de", "😀"},
			{"06000000 ac20 2000 e900", "€ é"},
		} {
			d := described(t, noInterfaces+noHardware+noCompatible+x.field+redirectable)
			if got := d.Description().Name; got != x.name {
				t.Errorf("%s: %q, not %q", x.field, got, x.name)
			}
			want := unhex(t, x.field)[4:]
			if got := wire.NewDeviceDescription(1, &pnp.Description{Name: x.name}).DeviceDescription; !bytes.Equal(got, want) {
				t.Errorf("%q is sent as %x, not %x", x.name, got, want)
			}
		}
	})
	add("W-16", "odd_length_is_malformed", func(t *testing.T) {
		undescribed(t, noInterfaces+noHardware+noCompatible+"01000000 41"+redirectable)
		undescribed(t, noInterfaces+noHardware+noCompatible+"03000000 410042"+redirectable)
	})
	add("W-16", "absent_when_0", func(t *testing.T) {
		d := described(t, plain)
		if len(d.DeviceDescription) != 0 || d.Description().Name != "" {
			t.Errorf("%+v", d)
		}
		if got := wire.NewDeviceDescription(1, &pnp.Description{}).DeviceDescription; len(got) != 0 {
			t.Errorf("no name is sent as %x", got)
		}
	})

	add("W-17", "custom_flag_length_is_4", func(t *testing.T) {
		const before = noInterfaces + noHardware + noCompatible + noName
		for _, n := range []uint32{0, 1, 2, 3, 5, 8, 16, 1<<32 - 1} {
			undescribed(t, before+u32(n)+"02000000")
			undescribed(t, before+u32(n)+"02000000"+container)
			undescribed(t, before+u32(n)+strings.Repeat("00", int(min(n, 64))))
		}
		described(t, before+"04000000 02000000")
		b := wire.NewDeviceDescription(1, &pnp.Description{}).Append(nil)
		if n := le.Uint32(b[24:]); n != 4 {
			t.Errorf("CustomFlagLength %d is sent", n)
		}
	})

	add("W-18", "custom_flag", func(t *testing.T) {
		for flag, optional := range map[uint32]bool{0: false, 1: true, 2: false} {
			d := described(t, noInterfaces+noHardware+noCompatible+noName+"04000000"+u32(flag))
			if d.CustomFlag != flag || d.Description().Optional != optional {
				t.Errorf("CustomFlag %d: %+v, Optional %v", flag, d, d.Description().Optional)
			}
		}
		for _, optional := range []bool{false, true} {
			flag := wire.NewDeviceDescription(1, &pnp.Description{Optional: optional}).CustomFlag
			if optional && flag != 1 || !optional && flag != 0 && flag != 2 {
				t.Errorf("CustomFlag %d is sent for Optional %v", flag, optional)
			}
		}
	})

	add("W-42", "other_flags_mean_redirectable", func(t *testing.T) {
		for _, flag := range []uint32{0, 2, 3, 4, 0x100, 0x01000000, 0x80000001, 1<<32 - 1} {
			d := described(t, noInterfaces+noHardware+noCompatible+noName+"04000000"+u32(flag))
			if d.Description().Optional {
				t.Errorf("CustomFlag 0x%x is taken for optional", flag)
			}
		}
	})

	add("W-19", "container_id_is_optional", func(t *testing.T) {
		if d := described(t, plain); d.HasContainerID || d.Description().Container != nil {
			t.Errorf("%+v", d)
		}
		d := described(t, plain+container)
		want := pnp.MustGUID("{33221100-5544-7766-8899-aabbccddeeff}")
		if c := d.Description().Container; !d.HasContainerID || c == nil || *c != want {
			t.Errorf("%+v: container %v", d, c)
		}
		b := wire.NewDeviceDescription(1, &pnp.Description{Container: &want}).Append(nil)
		if got := b[32:]; !bytes.Equal(got, unhex(t, container)) {
			t.Errorf("the container is sent as %x", got)
		}
		if b := wire.NewDeviceDescription(1, &pnp.Description{}).Append(nil); len(b) != 32 {
			t.Errorf("without container and capabilities %x is sent", b)
		}
	})
	add("W-19", "other_length_is_malformed", func(t *testing.T) {
		for _, n := range []uint32{0, 4, 15, 17, 32, 1<<32 - 1} {
			undescribed(t, plain+u32(n)+strings.Repeat("ab", int(min(n, 64))))
			undescribed(t, plain+u32(n)+strings.Repeat("ab", 16))
		}
		for n := 1; n < 20; n++ {
			whole := strings.Join(strings.Fields(container), "")
			undescribed(t, plain+whole[:2*n])
		}
	})

	add("W-20", "device_caps_are_optional", func(t *testing.T) {
		if d := described(t, plain+container); d.HasDeviceCaps || d.Description().Caps != nil {
			t.Errorf("%+v", d)
		}
		d := described(t, plain+container+caps)
		if c := d.Description().Caps; !d.HasDeviceCaps || c == nil || *c != 0x0c {
			t.Errorf("%+v", d)
		}
		value := pnp.DeviceCaps(0x0c)
		b := wire.NewDeviceDescription(1, &pnp.Description{Caps: &value, Container: &d.ContainerID}).Append(nil)
		if got := b[32:]; !bytes.Equal(got, unhex(t, container+caps)) {
			t.Errorf("the optional fields are sent as %x", got)
		}
		// Without a container, capabilities need one made up before them (C-39).
		alone := wire.NewDeviceDescription(1, &pnp.Description{Caps: &value})
		if p := alone.Description(); p.Container == nil || p.Caps == nil || *p.Caps != value {
			t.Errorf("capabilities alone come back as %+v", p)
		}
		if b := alone.Append(nil); !bytes.Equal(b[len(b)-8:], unhex(t, caps)) || len(b) != 60 {
			t.Errorf("capabilities alone are sent as %x", b)
		}
	})
	add("W-20", "other_length_is_malformed", func(t *testing.T) {
		for _, n := range []uint32{0, 1, 3, 5, 8, 16, 1<<32 - 1} {
			undescribed(t, plain+container+u32(n)+strings.Repeat("ab", int(min(n, 64))))
			undescribed(t, plain+container+u32(n)+"0c000000")
		}
		whole := strings.Join(strings.Fields(caps), "")
		for n := 1; n < 8; n++ {
			undescribed(t, plain+container+whole[:2*n])
		}
		undescribed(t, plain+container+caps+"00")
	})

	add("W-21", "device_caps_bits", func(t *testing.T) {
		for _, c := range []struct {
			bits pnp.DeviceCaps
			want string
		}{
			{pnp.PNP_DEVCAPS_LOCKSUPPORTED, "01000000"},
			{pnp.PNP_DEVCAPS_EJECTSUPPORTED, "02000000"},
			{pnp.PNP_DEVCAPS_REMOVABLE, "04000000"},
			{pnp.PNP_DEVCAPS_SURPRISEREMOVALOK, "08000000"},
		} {
			bits, want := c.bits, c.want
			b := wire.NewDeviceDescription(1, &pnp.Description{Caps: &bits}).Append(nil)
			if got := b[len(b)-4:]; !bytes.Equal(got, unhex(t, want)) {
				t.Errorf("%x is sent as %x, not %s", uint32(bits), got, want)
			}
			if d := described(t, plain+container+"04000000"+want); d.DeviceCaps != bits {
				t.Errorf("%s is received as %x", want, uint32(d.DeviceCaps))
			}
		}
	})
}
