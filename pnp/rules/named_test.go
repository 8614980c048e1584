// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
)

// named is a device as options name it, char: and file: included.
func named(t *testing.T, o *Options, b discover.Backend, path string, qualifiers ...string) *Named {
	t.Helper()
	n := &Named{Option: string(b) + ":" + path, Backend: b, Path: path, Settings: new(Settings)}
	if b == discover.BackendSerial || b == discover.BackendHID {
		before := len(o.Rules)
		known, err := o.Take(n.Option)
		require.True(t, known && err == nil, err)
		n.Settings, n.IsRule = &o.Rules[before].Settings, true
	} else {
		o.Begin(n.Settings)
	}
	for _, word := range qualifiers {
		known, err := o.Take(word)
		require.True(t, known && err == nil, err)
	}
	return n
}

func TestPlainDescription(t *testing.T) {
	for b, guid := range map[discover.Backend]string{
		"char": "", BackendFile: "",
		"serial": "{86E0D1E0-8089-11D0-9CE4-08003E301F73}",
		"hid":    "{4D1E55B2-F16F-11CF-88CB-001111000030}",
	} {
		want := pnp.Description{Name: "x0", HardwareIDs: []string{map[discover.Backend]string{
			"char": `PNPDR\CHAR`, "file": `PNPDR\FILE`, "serial": `PNPDR\SERIAL`, "hid": `PNPDR\HID`}[b]}}
		if guid != "" {
			want.Interfaces = []pnp.GUID{pnp.MustGUID(guid)}
		}
		assert.Equal(t, want, PlainDescription(b, "/dev/x0"))
	}
}

func TestDecideNamed(t *testing.T) {
	const (
		denyMeter    = "[[rule]]\naction = \"deny\"\nvid = \"0403\"\n"
		denyKeyboard = "[[rule]]\naction = \"deny\"\nclass = \"03\"\n"
		permit       = "default = \"deny\"\n[[rule]]\naction = \"allow\"\n"
	)
	both := []*discover.Device{meter, keyboard}
	for _, test := range []struct {
		name, admin, user string
		before            []string
		backend           discover.Backend
		qualifiers        []string
		functions         []*discover.Device
		verdict           Verdict
		admins            bool
		reason            string
	}{
		{"nobody says anything", "", "", nil, "char", nil, nil, Redirected, false, "option char:/dev/ttyUSB0"},
		{"nor of what is known", "", "", nil, "serial", nil, both, Redirected, false, "option serial:/dev/ttyUSB0"},
		{"the first function is denied", denyMeter, "", nil, "char", nil, both, Denied, true, "rule 1 of"},
		{"the last function is denied", denyKeyboard, "", nil, "char", nil, both, Denied, true, "rule 1 of"},
		{"one that is not there is not", denyKeyboard, "", nil, "char", nil, both[:1], Redirected, false, ""},
		{"denied by default", "default = \"deny\"", "", nil, "file", nil, nil, Denied, true, "its default"},
		{"denied by node", "[[rule]]\naction=\"deny\"\nnode=\"/dev/tty*\"", "", nil, "file", nil, nil, Denied, true, ""},
		{"permitted by node", permit + "node=\"/dev/ttyUSB0\"", "", nil, "char", nil, nil, Redirected, false, ""},
		{"broken", "nonsense", "", nil, "serial", nil, both, Denied, true, "has errors"},
		{"own hardware id does not satisfy", permit + "hardware-id='GOOD'", "", nil, "char", []string{"hwid:GOOD"}, nil, Denied, true, ""},
		{"nor that of a rule", permit + "hardware-id='GOOD'", "", nil, "serial", []string{"hwid:GOOD"}, both, Denied, true, ""},
		{"nor evades", "[[rule]]\naction=\"deny\"\nhardware-id='PNPDR\\CHAR'", "", nil, "char", []string{"hwid:GOOD"}, nil, Denied, true, ""},

		{"user's earlier rule", "", "", []string{"rule:deny+vid=0403"}, "serial", nil, both, Denied, false, "option rule:deny+vid=0403"},
		{"of another function", "", "", []string{"rule:deny+class=03"}, "serial", nil, both, Denied, false, "option rule:deny+class=03"},
		{"of a node alone", "", "", []string{"rule:deny+node=/dev/tty*"}, "serial", nil, nil, Denied, false, ""},
		{"is not asked about char:", "", "", []string{"rule:deny+vid=0403"}, "char", nil, both, Redirected, false, ""},
		{"user's later rules", "", denyMeter + denyKeyboard, nil, "serial", nil, both, Redirected, false, "option serial:"},
		{"user's default", "", "default = \"deny\"", nil, "serial", nil, both, Redirected, false, ""},
		{"earlier allowing rule", "", "", []string{"usb:0403:*", "rule:deny+vid=0403"}, "serial", nil, both[:1], Redirected, false, "option usb:0403:*"},
		{"broken option before", "", "", []string{"rule:nonsense"}, "hid", nil, nil, Denied, false, "cannot be understood"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := new(Options)
			for _, word := range test.before {
				_, _ = o.Take(word)
			}
			n := named(t, o, test.backend, "/dev/ttyUSB0", test.qualifiers...)
			p, _ := policy(t, test.admin, test.user, o)
			got := p.DecideNamed(n, "/dev/ttyUSB0", test.functions)
			assert.Equal(t, test.verdict, got.Verdict, got.Reason)
			assert.Equal(t, test.verdict == Redirected, got.Redirect)
			assert.Equal(t, test.admins, got.Admin)
			assert.Contains(t, got.Reason, test.reason)
			assert.NotEmpty(t, got.Reason)
		})
	}
}

// TestNamedSettings checks what is told of a named device, and what restricts it.
func TestNamedSettings(t *testing.T) {
	const admin = "[[rule]]\naction=\"allow\"\nvid=\"0403\"\nname=\"Meter\"\nbackend=\"char\"\noptional=true\nhandles=3\n" +
		"[[rule]]\naction=\"allow\"\nclass=\"03\"\nread-only=true\nhandles=2\n"
	both := []*discover.Device{meter, keyboard}

	o := new(Options)
	n := named(t, o, "serial", "/dev/ttyUSB0", "name:Scale", "hwid:X", "handles:9")
	p, problems := policy(t, admin, "", o)
	require.Empty(t, problems)
	got := p.DecideNamed(n, "/dev/ttyUSB0", both)
	assert.Equal(t, pnp.Description{Name: "Meter", HardwareIDs: []string{"X"}, Optional: true}, got.Description)
	assert.EqualValues(t, "char", got.Backend)
	assert.True(t, got.ReadOnly, "by a function beside it")
	assert.Equal(t, 2, got.Limits.Handles)
	assert.Equal(t, o.Rules[0], got.Rule)
	got = p.DecideNamed(n, "/dev/ttyUSB0", both[:1])
	assert.False(t, got.ReadOnly)
	assert.Equal(t, 3, got.Limits.Handles)
	got = p.DecideNamed(n, "/dev/ttyUSB0", nil)
	assert.Equal(t, "Scale", got.Description.Name)
	assert.Equal(t, 9, got.Limits.Handles)

	o = new(Options)
	n = named(t, o, "char", "/dev/link", "ro", "handles:1")
	p, _ = policy(t, admin, "", o)
	got = p.DecideNamed(n, "/dev/ttyUSB0", both[:1])
	assert.Equal(t, PlainDescription("char", "/dev/link"), got.Description, "bytes are bytes")
	assert.EqualValues(t, "char", got.Backend)
	assert.True(t, got.ReadOnly)
	assert.Equal(t, 1, got.Limits.Handles)
	assert.Equal(t, "FT232R USB UART", meter.Description.Name, "the device is not changed")
}

// TestNamedNode judges functions by their own nodes and by the one that is named.
func TestNamedNode(t *testing.T) {
	const usb = "/dev/bus/usb/001/004"
	for admin, want := range map[string]Verdict{
		"[[rule]]\naction=\"deny\"\nnode=\"/dev/bus/usb/*\"":                  Denied,
		"[[rule]]\naction=\"deny\"\nnode=\"/dev/ttyUSB0\"":                    Denied,
		"[[rule]]\naction=\"deny\"\nnode=\"/dev/ttyUSB1\"":                    Redirected,
		"default=\"deny\"\n[[rule]]\naction=\"allow\"\nvid=\"0403\"":          Redirected,
		"default=\"deny\"\n[[rule]]\naction=\"allow\"\nnode=\"/dev/ttyUSB0\"": Denied,
		"default=\"deny\"\n[[rule]]\naction=\"allow\"\nnode=\"" + usb + "\"":  Denied,
		"[[rule]]\naction=\"deny\"\nhardware-id='PNPDR\\CHAR'":                Redirected,
	} {
		o := new(Options)
		n := named(t, o, "char", usb)
		p, problems := policy(t, admin, "", o)
		require.Empty(t, problems)
		assert.Equal(t, want, p.DecideNamed(n, usb, []*discover.Device{meter}).Verdict, admin)
	}
	// Of which no more is known than that it is there.
	pts := []*discover.Device{{Node: "/dev/pts/3", Bus: "virtual", Interface: -1}}
	o := new(Options)
	n := named(t, o, "serial", "/dev/pts/3")
	p, _ := policy(t, "[[rule]]\naction=\"allow\"\nhardware-id='PNPDR\\SERIAL'\n", "", o)
	got := p.DecideNamed(n, "/dev/pts/3", pts)
	assert.Equal(t, PlainDescription("serial", "/dev/pts/3"), got.Description)
	assert.True(t, got.Redirect)
}

func TestHasAdmin(t *testing.T) {
	for admin, want := range map[string]bool{
		"": false, "auto = true": false, "default = \"deny\"": true, "[[rule]]\naction=\"deny\"": true, "nonsense": true,
	} {
		p, _ := policy(t, admin, "default = \"deny\"", new(Options))
		assert.Equal(t, want, p.HasAdmin(), admin)
	}
}

// TestNamedBackend: bytes as they are do not get around the backend that the
// administrator permits.
func TestNamedBackend(t *testing.T) {
	const permit = "[[rule]]\naction = \"allow\"\nvid = \"0403\"\nbackend = \"serial\"\n"
	for b, want := range map[discover.Backend]Verdict{
		discover.BackendChar: Denied, BackendFile: Denied, discover.BackendSerial: Redirected,
	} {
		o := new(Options)
		n := named(t, o, b, meter.Node)
		p, _ := policy(t, permit, "", o)
		d := p.DecideNamed(n, meter.Node, []*discover.Device{meter})
		assert.Equal(t, want, d.Verdict, b)
		assert.Equal(t, want == Denied, d.Admin)
	}
}
