// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

func TestClean(t *testing.T) {
	for name, want := range map[string]string{
		"Scale":                         "Scale",
		"Ts Fake Device":                "Ts_Fake_Device",
		"USB Serial Port (COM3)":        "USB_Serial_Port_COM3",
		"card.img":                      "card.img",
		"":                              "device",
		".":                             "device",
		"..":                            "device",
		"../../etc/passwd":              "etc_passwd",
		".hidden":                       "hidden",
		"-rf":                           "rf",
		"a/b\\c\x00d\ne":                "a_b_c_d_e",
		"\u202Egnp.exe":                 "gnp.exe",
		"\u2066x\u2069\u200F":           "x",
		"a\xff\xfeb":                    "a_b",
		"$(reboot) `x` 'y'; rm *":       "reboot_x_y_rm",
		"Waage Größe 秤":                 "Waage_Größe_秤",
		"\u0301\u0301a\u0301":           "a\u0301",
		"....":                          "device",
		strings.Repeat("x", 300):        strings.Repeat("x", maxName),
		strings.Repeat("é", 300):        strings.Repeat("é", maxName/2),
		strings.Repeat("x", 47) + " yy": strings.Repeat("x", 47),
	} {
		require.Equal(t, want, Clean(name), "%q", name)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("Ts Fake Device")
	f.Add("../\u202e\x00.\xff")
	f.Fuzz(func(t *testing.T, name string) {
		c := Clean(name)
		if c == "" || len(c) > maxName || c[0] == '.' || c[0] == '-' || !utf8.ValidString(c) {
			t.Fatalf("%q becomes %q", name, c)
		}
		for _, r := range c {
			if r == '/' || !unicode.IsPrint(r) || unicode.IsSpace(r) {
				t.Fatalf("%q becomes %q", name, c)
			}
		}
		if again := Clean(c); again != c {
			t.Fatalf("%q becomes %q, and that %q", name, c, again)
		}
	})
}

func TestNames(t *testing.T) {
	var n names
	n.init()
	a, b := identity{1}, identity{2}
	first := n.take(a, "Scale")
	require.Equal(t, "Scale", first.name)
	second := n.take(b, "Scale")
	require.Equal(t, "Scale-2", second.name)
	twin := n.take(a, "Scale")
	require.Equal(t, "Scale-3", twin.name)

	// Whoever returns gets the name that it had, although others are free.
	n.release(first)
	n.release(second)
	n.release(twin)
	require.Equal(t, "Scale-2", n.take(b, "Scale").name)
	require.Equal(t, "Scale-4", n.take(identity{3}, "Scale").name, "the others are not theirs")
	require.Equal(t, "Scale", n.take(a, "Scale").name)
	require.Equal(t, "Scale-3", n.take(a, "Scale").name)
}

// TestNamesAreBounded: a client that makes up devices makes a Folder forget others, but
// none that is there.
func TestNamesAreBounded(t *testing.T) {
	var n names
	n.init()
	there := n.take(identity{0xff}, "Scale")
	for i := range 3 * maxKnown {
		n.release(n.take(identify(&pnp.Description{Name: fmt.Sprint(i)}), fmt.Sprint(i)))
	}
	require.Equal(t, maxKnown, n.order.Len())
	require.Len(t, n.known, maxKnown)
	require.Len(t, n.byID, maxKnown)
	require.Same(t, there, n.known["Scale"])
	require.Nil(t, n.known["0"])
}

func TestIdentity(t *testing.T) {
	d := pnp.Description{Name: "Scale", HardwareIDs: []string{"A"}}
	require.Equal(t, identify(&d), identify(&pnp.Description{Name: "Scale", HardwareIDs: []string{"A"}, Optional: true}))
	for _, other := range []pnp.Description{
		{Name: "Scale"}, {Name: "Scale", CompatibleIDs: []string{"A"}},
		{Name: "Scale", HardwareIDs: []string{"A"}, Container: &pnp.GUID{1}},
	} {
		require.NotEqual(t, identify(&d), identify(&other))
	}
}
