// SPDX-License-Identifier: Apache-2.0

package pnp_test

import (
	"strings"
	"testing"

	"freerdp-pnpdr/pnp"
)

// wpd is GUID_DEVINTERFACE_WPD, and its bytes by [MS-DTYP] 2.3.4: three groups
// little-endian, two in the order of the text.
const wpd = "{6AC27878-A6FA-4155-BA85-F98F491D4F33}"

var wpdBytes = pnp.GUID{
	0x78, 0x78, 0xc2, 0x6a, // Data1
	0xfa, 0xa6, // Data2
	0x55, 0x41, // Data3
	0xba, 0x85, 0xf9, 0x8f, 0x49, 0x1d, 0x4f, 0x33, // Data4
}

func TestGUID(t *testing.T) {
	for _, s := range []string{wpd, strings.ToLower(wpd), strings.Trim(wpd, "{}"), strings.ToLower(strings.Trim(wpd, "{}"))} {
		g, err := pnp.ParseGUID(s)
		if err != nil || g != wpdBytes {
			t.Errorf("%s: %x, %v", s, g[:], err)
		}
		if pnp.MustGUID(s) != g {
			t.Errorf("%s: MustGUID differs", s)
		}
	}
	if s := wpdBytes.String(); s != wpd {
		t.Errorf("%s, not %s", s, wpd)
	}
}

func TestNoGUID(t *testing.T) {
	for _, s := range []string{
		"", "{", "}", "{}", "----", "{----}", "GUID",
		"{6AC27878-A6FA-4155-BA85-F98F491D4F33", "6AC27878-A6FA-4155-BA85-F98F491D4F33}",
		"{{6AC27878-A6FA-4155-BA85-F98F491D4F33}}",
		"6AC27878A6FA4155BA85F98F491D4F33",
		"6AC27878-A6FA-4155-BA85-F98F491D4F3", "6AC27878-A6FA-4155-BA85-F98F491D4F3300",
		"6AC278-78A6FA-4155-BA85-F98F491D4F33",
		"6AC27878-A6FA-4155-BA85-F98F491D4F33-00", "6AC27878-A6FA-4155-BA85-F98F491D4F33-",
		"6AC27878-A6FA-4155-BA85F98F491D4F33",
		"6AC2787G-A6FA-4155-BA85-F98F491D4F33",
		" 6AC27878-A6FA-4155-BA85-F98F491D4F33",
	} {
		if g, err := pnp.ParseGUID(s); err == nil {
			t.Errorf("%q is %v", s, g)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MustGUID does not panic")
		}
	}()
	pnp.MustGUID("none")
}

func FuzzGUID(f *testing.F) {
	f.Add(wpd, wpdBytes[:])
	f.Add("{}", make([]byte, 16))
	f.Fuzz(func(t *testing.T, s string, b []byte) {
		if g, err := pnp.ParseGUID(s); err == nil && !strings.EqualFold(strings.Trim(g.String(), "{}"), strings.Trim(s, "{}")) {
			t.Errorf("%q is %v", s, g)
		}
		if len(b) < 16 {
			return
		}
		g := pnp.GUID(b[:16])
		if again, err := pnp.ParseGUID(g.String()); err != nil || again != g {
			t.Errorf("%v is parsed as %v, %v", g, again, err)
		}
	})
}
