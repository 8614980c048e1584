// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
)

// named is a device as options name it.
func named(t *testing.T, o *Options, kind, path string, qualifiers ...string) *Named {
	t.Helper()
	for _, word := range append([]string{kind + ":" + path}, qualifiers...) {
		known, err := o.Take(word)
		require.True(t, known && err == nil, err)
	}
	return o.Named[len(o.Named)-1]
}

// TestNamed takes options that name devices, each with its own settings.
func TestNamed(t *testing.T) {
	o := options(t, "loopback", "name:A", "file:x%2Cy", "serial:/dev/x0", "name:B", "usb:1:2", "name:C", "char:/dev/x1", "ro")
	var got []string
	for _, n := range o.Named {
		got = append(got, n.Kind.Name+" "+n.Path+" "+n.Settings.Description.Name)
	}
	file, err := filepath.Abs("x,y")
	require.NoError(t, err)
	assert.Equal(t, []string{"loopback  A", "file " + file + " ", "serial /dev/x0 B", "char /dev/x1 "}, got)
	require.Len(t, o.Rules, 2, "serial: and usb:")
	assert.Same(t, &o.Rules[0].Settings, o.Named[2].Settings)
	assert.True(t, o.Named[3].Settings.ReadOnly)
	assert.Equal(t, pnp.Description{Name: "A", HardwareIDs: []string{`WUDF\LB`}, Interfaces: kind("loopback").Description.Interfaces},
		o.Named[0].Unjudged().Description)
	assert.True(t, o.Named[3].Unjudged().ReadOnly)

	// What cannot be understood is left out, and so is what describes it.
	for _, word := range []string{"loopback:x", "char", "file:", "serial:", "hid:/dev/*"} {
		o := options(t, "loopback")
		known, err := o.Take(word)
		assert.True(t, known)
		assert.Error(t, err, word)
		_, err = o.Take("ro")
		assert.ErrorContains(t, err, "there is no device before it", word)
		assert.Len(t, o.Named, 1)
		assert.False(t, o.Named[0].Settings.ReadOnly)
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
		kind              string
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
			o := newOptions()
			for _, word := range test.before {
				_, _ = o.Take(word)
			}
			n := named(t, o, test.kind, "/dev/ttyUSB0", test.qualifiers...)
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

// TestNamedContainer: the functions of a device share its container, whatever they
// are redirected as, and where nothing is known of it there is one of its own beside
// capabilities.
func TestNamedContainer(t *testing.T) {
	of := func(kind, path string, functions []*discover.Device, qualifiers ...string) *pnp.GUID {
		o := newOptions()
		n := named(t, o, kind, path, qualifiers...)
		p, problems := policy(t, "", "", o)
		require.Empty(t, problems)
		return p.DecideNamed(n, path, functions).Description.Container
	}
	known := *meter
	known.Description.Container = pnp.NewContainer("usb:0403:6001:A")
	functions := []*discover.Device{&known}
	assert.Equal(t, known.Description.Container, of("serial", "/dev/ttyUSB0", functions))
	assert.Equal(t, known.Description.Container, of("char", "/dev/ttyUSB0", functions, "caps:removable"))
	own := pnp.MustGUID("{86E0D1E0-8089-11D0-9CE4-08003E301F73}")
	assert.Equal(t, &own, of("char", "/dev/ttyUSB0", functions, "container:"+own.String()))

	assert.Nil(t, of("char", "/dev/x", nil))
	x, y := of("char", "/dev/x", nil, "caps:removable"), of("char", "/dev/y", nil, "caps:removable")
	require.NotNil(t, x)
	assert.Equal(t, x, of("char", "/dev/x", nil, "caps:eject"))
	assert.NotEqual(t, x, y)
	assert.NotNil(t, named(t, newOptions(), "file", "/disk.img", "caps:removable").Unjudged().Description.Container)
}

// TestAlwaysWritable checks that a device which cannot be read-only, but should be, is
// not redirected.
func TestAlwaysWritable(t *testing.T) {
	o := options(t, "loopback", "ro", "loopback", "file:/x", "ro")
	var got []bool
	for _, n := range o.Named {
		got = append(got, n.Unjudged().Redirect)
	}
	require.Equal(t, []bool{false, true, true}, got)
	require.Equal(t, "loopback cannot be read-only", o.Named[0].Unjudged().Reason)
}

// TestNamedSettings checks how a named device is described, and what restricts it.
func TestNamedSettings(t *testing.T) {
	const admin = "[[rule]]\naction=\"allow\"\nvid=\"0403\"\nname=\"Meter\"\nbackend=\"char\"\noptional=true\nhandles=3\n" +
		"[[rule]]\naction=\"allow\"\nclass=\"03\"\nread-only=true\nhandles=2\n"
	both := []*discover.Device{meter, keyboard}

	o := newOptions()
	n := named(t, o, "serial", "/dev/ttyUSB0", "name:Scale", "hwid:X", "handles:9")
	p, problems := policy(t, admin, "", o)
	require.Empty(t, problems)
	got := p.DecideNamed(n, "/dev/ttyUSB0", both)
	assert.Equal(t, pnp.Description{Name: "Meter", HardwareIDs: []string{"X"}, Optional: true}, got.Description)
	assert.Equal(t, "char", got.Kind.Name)
	assert.True(t, got.ReadOnly, "by a function beside it")
	assert.Equal(t, 2, got.Limits.Handles)
	assert.Equal(t, o.Rules[0], got.Rule)
	got = p.DecideNamed(n, "/dev/ttyUSB0", both[:1])
	assert.False(t, got.ReadOnly)
	assert.Equal(t, 3, got.Limits.Handles)
	got = p.DecideNamed(n, "/dev/ttyUSB0", nil)
	assert.Equal(t, "Scale", got.Description.Name)
	assert.Equal(t, 9, got.Limits.Handles)

	o = newOptions()
	n = named(t, o, "char", "/dev/link", "ro", "handles:1")
	p, _ = policy(t, admin, "", o)
	got = p.DecideNamed(n, "/dev/ttyUSB0", both[:1])
	assert.Equal(t, kind("char").Describe("/dev/link"), got.Description, "bytes are bytes")
	assert.Equal(t, "char", got.Kind.Name)
	assert.True(t, got.ReadOnly)
	assert.Equal(t, 1, got.Limits.Handles)
	assert.Equal(t, "FT232R USB UART", meter.Description.Name, "the device is not changed")
}

// TestIOControls: the map of the user's rule counts unless the administrator's has one,
// also for a device that an option names.
func TestIOControls(t *testing.T) {
	rule := func(list string) string {
		return "[[rule]]\naction=\"allow\"\nvid=\"0403\"\nbackend=\"char\"\n" + list
	}
	one, two := `iocontrols=["1 = 0x5413 out 8"]`, `iocontrols=["2 = 0x541B out 4"]`
	for _, c := range []struct {
		admin, user string
		codes       []uint32
	}{
		{"", rule(one), []uint32{1}},
		{rule(two), rule(one), []uint32{2}},
		{rule(two), "", []uint32{2}},
		{rule("iocontrols=[]"), rule(one), nil},
		{rule(""), rule(one), []uint32{1}},
		{"", strings.Replace(rule(one), "0403", "0404", 1), nil},
	} {
		o := options(t, "auto")
		n := named(t, o, "char", "/dev/ttyUSB0")
		p, problems := policy(t, c.admin, c.user, o)
		require.Empty(t, problems)
		for _, d := range []Decision{p.Decide(meter), p.DecideNamed(n, "/dev/ttyUSB0", []*discover.Device{meter})} {
			var codes []uint32
			for _, c := range d.IOControls {
				codes = append(codes, c.Code)
			}
			assert.Equal(t, c.codes, codes, "%+v", c)
		}
	}
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
		o := newOptions()
		n := named(t, o, "char", usb)
		p, problems := policy(t, admin, "", o)
		require.Empty(t, problems)
		assert.Equal(t, want, p.DecideNamed(n, usb, []*discover.Device{meter}).Verdict, admin)
	}
	// Nothing is known of it but that it is there.
	pts := []*discover.Device{{Node: "/dev/pts/3", Bus: "virtual", Interface: -1}}
	o := newOptions()
	n := named(t, o, "serial", "/dev/pts/3")
	p, _ := policy(t, "[[rule]]\naction=\"allow\"\nhardware-id='PNPDR\\SERIAL'\n", "", o)
	got := p.DecideNamed(n, "/dev/pts/3", pts)
	assert.Equal(t, kind("serial").Describe("/dev/pts/3"), got.Description)
	assert.True(t, got.Redirect)
}

func TestMayDeny(t *testing.T) {
	for admin, want := range map[string]bool{
		"": false, "auto = true": false, "default = \"deny\"": true, "[[rule]]\naction=\"deny\"": true, "nonsense": true,
	} {
		o := options(t, "char:/dev/x", "serial:/dev/x")
		p, _ := policy(t, admin, "default = \"deny\"", o)
		for _, n := range o.Named {
			assert.Equal(t, want, p.MayDeny(n), admin)
		}
	}
	o := options(t, "char:/dev/x", "serial:/dev/x", "rule:deny+vid=1", "serial:/dev/y")
	p, _ := policy(t, "", "", o)
	assert.False(t, p.MayDeny(o.Named[0]))
	assert.False(t, p.MayDeny(o.Named[1]), "the option comes first")
	assert.True(t, p.MayDeny(o.Named[2]))
}

// TestNamedBackend: bytes as they are do not get around the backend that the
// administrator permits.
func TestNamedBackend(t *testing.T) {
	const permit = "[[rule]]\naction = \"allow\"\nvid = \"0403\"\nbackend = \"serial\"\n"
	for kind, want := range map[string]Verdict{"char": Denied, "file": Denied, "serial": Redirected} {
		o := newOptions()
		n := named(t, o, kind, meter.Node)
		p, _ := policy(t, permit, "", o)
		d := p.DecideNamed(n, meter.Node, []*discover.Device{meter})
		assert.Equal(t, want, d.Verdict, kind)
		assert.Equal(t, want == Denied, d.Admin)
	}
}
