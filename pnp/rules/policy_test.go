// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
)

// TestMerge is the table of docs/rules.md: who says what, and what comes of it.
func TestMerge(t *testing.T) {
	const (
		allowMeter = "[[rule]]\naction = \"allow\"\nvid = \"0403\"\n"
		denyMeter  = "[[rule]]\naction = \"deny\"\nvid = \"0403\"\n"
		denyAll    = "default = \"deny\"\n"
		allowAll   = "default = \"allow\"\n"
		auto       = "auto = true\n"
	)
	for _, test := range []struct {
		name        string
		admin, user string
		options     []string
		device      *discover.Device
		verdict     Verdict
		reason      string // a part of it
	}{
		{"nobody says anything", "", "", nil, meter, NotAsked, "nothing asks"},
		{"option auto", "", "", []string{"auto"}, meter, Redirected, "option auto"},
		{"auto in the user's file", "", auto, nil, meter, Redirected, "auto in"},
		{"auto in the administrator's file", auto, "", nil, meter, Redirected, "auto in"},
		{"auto leaves out what is not eligible", "", "", []string{"auto"}, keyboard, NotEligible, "it is a keyboard"},
		{"auto leaves out what nothing serves", "", "", []string{"auto"}, pulse, NoBackend, "no backend yet"},
		{"user's rule", "", allowMeter, nil, meter, Redirected, "rule 1 of"},
		{"user's rule is for others", "", allowMeter, nil, scanner, NotAsked, ""},
		{"user's default allows", "", allowAll, nil, meter, Redirected, `its default is "allow"`},

		{"administrator permits, nobody asks", allowMeter, "", nil, meter, NotAsked, ""},
		{"administrator permits by default, nobody asks", allowAll, "", nil, meter, NotAsked, ""},
		{"administrator permits, user asks", denyAll + allowMeter, "", []string{"auto"}, meter, Redirected, "option auto"},
		{"administrator permits other devices", denyAll + allowMeter, "", []string{"auto"}, scanner, Denied, `its default is "deny"`},
		{"default deny withstands auto", denyAll, "", []string{"auto"}, meter, Denied, ""},
		{"default deny withstands naming", denyAll, "", []string{"usb:0403:6001"}, meter, Denied, ""},
		{"default deny withstands the user's rule", denyAll, allowMeter, nil, meter, Denied, ""},
		{"administrator's deny withstands naming", denyMeter, "", []string{"serial:/dev/ttyUSB0"}, meter, Denied, "rule 1 of"},
		{"administrator's deny withstands the user's default", denyMeter, allowAll, nil, meter, Denied, ""},
		{"administrator's auto, for what the rules permit", auto + denyAll + allowMeter, "", nil, meter, Redirected, "rule 1 of"},
		{"administrator's auto, for what they do not", auto + denyAll + allowMeter, "", nil, scanner, Denied, ""},
		{"user narrows the administrator's auto", auto, denyMeter, nil, meter, Denied, "rule 1 of"},
		{"user narrows it by default", auto, denyAll, nil, meter, Denied, ""},
		{"user's rule within a default", auto, denyAll + allowMeter, nil, meter, Redirected, "rule 1 of"},

		{"option before file", "", denyMeter, []string{"usb:0403:*"}, meter, Redirected, "option usb:0403:*"},
		{"file's rule before option auto", "", denyMeter, []string{"auto"}, meter, Denied, "rule 1 of"},
		{"option auto before the file's default", "", denyAll, []string{"auto"}, meter, Redirected, "option auto"},
		{"default before auto in a file", "", denyAll + auto, nil, meter, Denied, ""},
		{"first option wins", "", "", []string{"rule:deny+serial=a6*", "usb:0403:6001"}, meter, Denied, "option rule:deny+serial=a6*"},
		{"first option wins, the other way round", "", "", []string{"usb:0403:6001", "rule:deny+serial=a6*"}, meter, Redirected, ""},
		{"first rule wins", "", allowMeter + denyMeter, nil, meter, Redirected, "rule 1 of"},
		{"first rule wins, the other way round", "", denyMeter + allowMeter, nil, meter, Denied, "rule 1 of"},

		{"a kind of device does not reach an ineligible one", "", "", []string{"rule:allow+class=03"}, keyboard, NotEligible, ""},
		{"nor does a vendor", "", "", []string{"usb:046d:*"}, keyboard, NotEligible, ""},
		{"nor does everything", "", "", []string{"usb:*:*"}, keyboard, NotEligible, ""},
		{"vendor and product do", "", "", []string{"usb:046d:c31c"}, keyboard, Redirected, "option usb:046d:c31c"},
		{"the node does", "", "", []string{"hid:/dev/hidraw0"}, keyboard, Redirected, ""},
		{"an exact rule does", "", "", []string{"rule:allow+vid=46D+pid=C31C"}, keyboard, Redirected, ""},
		{"but not against the administrator", "default=\"deny\"", "", []string{"usb:046d:c31c"}, keyboard, Denied, ""},
		{"an exact permission is not a wish", "[[rule]]\naction=\"allow\"\nvid=\"046d\"\npid=\"c31c\"", "", []string{"auto"}, keyboard, NotEligible, ""},
		{"exact permission under the administrator's auto is", "auto=true\n[[rule]]\naction=\"allow\"\nvid=\"046d\"\npid=\"c31c\"", "", nil, keyboard, Redirected, "rule 1 of"},
		{"deny comes before not eligible", denyAll, "", []string{"auto"}, keyboard, Denied, ""},

		{"a backend for what has none", "", "", []string{"rule:allow+class=0f+backend=char"}, pulse, Redirected, ""},
		{"naming without one", "", "", []string{"usb:04a9:3270"}, pulse, NoBackend, ""},

		{"a broken administrator's file denies all", "defualt = \"deny\"", "", []string{"auto"}, meter, Denied, "has errors"},
		{"even what is named", "[[rule]]\n", "", []string{"usb:0403:6001"}, meter, Denied, "has errors"},
		{"a broken user's file denies what auto would take", "", "[[rule]]\nvid=1", []string{"auto"}, meter, Denied, "has errors"},
		{"and what the administrator's auto would", auto, "[[rule]]\nvid=1", nil, meter, Denied, "has errors"},
		{"but not what an option allows before it", "", "[[rule]]\nvid=1", []string{"usb:0403:*"}, meter, Redirected, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _ := policy(t, test.admin, test.user, options(t, test.options...))
			got := p.Decide(test.device)
			assert.Equal(t, test.verdict, got.Verdict, got.Reason)
			assert.Equal(t, test.verdict == Redirected, got.Redirect)
			assert.Contains(t, got.Reason, test.reason)
			assert.NotEmpty(t, got.Reason)
			helpless := got.Verdict == Redirected || got.Verdict == NoBackend
			advice := p.Advice(test.device, &got)
			assert.Equal(t, helpless, advice == "", "advice %q", advice)
			if got.Redirect {
				assert.False(t, p.Idle())
			}
		})
	}
}

// TestNothingLiftsADeny tries every pair of files and options in which the
// administrator denies.
func TestNothingLiftsADeny(t *testing.T) {
	admins := []string{"default=\"deny\"", "auto=true\ndefault=\"deny\"", "[[rule]]\naction=\"deny\"", "[[rule]]\naction=\"deny\"\nbus=\"usb\"\n[[rule]]\naction=\"allow\"", "nonsense"}
	users := []string{"", "auto=true", "default=\"allow\"", "[[rule]]\naction=\"allow\"", "[[rule]]\naction=\"allow\"\nvid=\"0403\"\npid=\"6001\"\nbackend=\"char\"", "nonsense"}
	lines := [][]string{nil, {"auto"}, {"usb:*:*"}, {"usb:0403:6001"}, {"serial:/dev/ttyUSB0"}, {"rule:allow"}, {"rule:allow+backend=char"}}
	for _, admin := range admins {
		for _, user := range users {
			for _, line := range lines {
				p, _ := policy(t, admin, user, options(t, line...))
				d := p.Decide(meter)
				assert.False(t, d.Redirect, "%q %q %q", admin, user, line)
				assert.True(t, d.Admin)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	const file = "[[rule]]\naction=\"allow\"\nvid=\"0403\"\n"
	for _, test := range []struct {
		name        string
		admin, user string
		options     []string
		want        Decision
	}{
		{"as found", "", "", []string{"auto"}, Decision{Kind: kind("serial"), Description: pnp.Description{Name: "FT232R USB UART"}}},
		{"user's", "", file + "name=\"Scale\"\nbackend=\"char\"\nread-only=true\noptional=true\nhandles=3", nil,
			Decision{Kind: kind("char"), Description: pnp.Description{Name: "Scale", Optional: true}, ReadOnly: true, Limits: pnp.DeviceLimits{Handles: 3}}},
		{"administrator's stand", file + "name=\"Meter\"\nbackend=\"serial\"", file + "name=\"Scale\"\nbackend=\"char\"", nil,
			Decision{Kind: kind("serial"), Description: pnp.Description{Name: "Meter"}}},
		{"administrator's, with the user's beside", file + "name=\"Meter\"", file + "backend=\"char\"", nil,
			Decision{Kind: kind("char"), Description: pnp.Description{Name: "Meter"}}},
		{"read-only by the administrator", file + "read-only=true", file + "read-only=false", nil,
			Decision{Kind: kind("serial"), Description: pnp.Description{Name: "FT232R USB UART"}, ReadOnly: true}},
		{"read-only by the user", file + "read-only=false", file + "read-only=true", nil,
			Decision{Kind: kind("serial"), Description: pnp.Description{Name: "FT232R USB UART"}, ReadOnly: true}},
		{"optional by the user", file + "name=\"Meter\"", file + "optional=true", nil,
			Decision{Kind: kind("serial"), Description: pnp.Description{Name: "Meter", Optional: true}}},
		{"the lower limits hold", file + "handles=9\nrequests=2\nreply=\"64K\"\nevent=5", file + "handles=2\nrequests=4\nhandle-bytes=100\nreply=70000", nil,
			Decision{Kind: kind("serial"), Description: pnp.Description{Name: "FT232R USB UART"},
				Limits: pnp.DeviceLimits{Handles: 2, Requests: 2, HandleBytes: 100, ReplyData: 64 << 10, EventData: 5}}},
		{"qualifiers", "", "", []string{"usb:0403:*", "name:A%2C B", "ro", "optional", "handles:4"},
			Decision{Kind: kind("serial"), Description: pnp.Description{Name: "A, B", Optional: true}, ReadOnly: true, Limits: pnp.DeviceLimits{Handles: 4}}},
		{"path", "", "", []string{"hid:/dev/ttyUSB0"}, Decision{Kind: kind("hid"), Description: pnp.Description{Name: "FT232R USB UART"}}},
		{"in the rule", "", "", []string{"rule:allow+name=A%2BB+ro+optional+handles=2+reply=1M+backend=char"},
			Decision{Kind: kind("char"), Description: pnp.Description{Name: "A+B", Optional: true}, ReadOnly: true, Limits: pnp.DeviceLimits{Handles: 2, ReplyData: 1 << 20}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, problems := policy(t, test.admin, test.user, options(t, append(test.options, "auto")...))
			require.Empty(t, problems)
			got := p.Decide(meter)
			require.True(t, got.Redirect, got.Reason)
			test.want.Description.HardwareIDs = meter.Description.HardwareIDs
			assert.Equal(t, test.want.Description, got.Description)
			got.Description = test.want.Description
			got.Verdict, got.Reason, got.Rule, got.Redirect, got.Admin = "", "", nil, false, false
			assert.Equal(t, test.want, got)
			assert.Equal(t, "FT232R USB UART", meter.Description.Name, "the device is not changed")
		})
	}
}

// TestCollections: what is decided about a HID node holds for each of its collections.
func TestCollections(t *testing.T) {
	first, second := []string{`HID\VID_1209&Col01`, "HID_DEVICE"}, []string{`HID\VID_1209&Col02`, "HID_DEVICE"}
	guid := pnp.GUID{1}
	panel := &discover.Device{
		Key: "devices/1-5:1.0/hidraw4", Node: "/dev/hidraw4", Subsystem: "hidraw", Bus: "usb", VendorID: 0x1209,
		Collections: [][]string{first, second},
		Description: pnp.Description{Name: "Panel", HardwareIDs: []string{`HID\VID_1209&Col01`, "HID_DEVICE"}, Container: &guid},
	}
	named := func(o *Options, words ...string) Decision {
		for _, word := range words {
			_, err := o.Take(word)
			require.NoError(t, err)
		}
		p, _ := policy(t, "", "", o)
		return p.DecideNamed(o.Named[0], "/dev/hidraw4", []*discover.Device{panel})
	}
	found := func(admin, user string, words ...string) Decision {
		p, _ := policy(t, admin, user, options(t, words...))
		return p.Decide(panel)
	}
	for name, c := range map[string]struct {
		decision Decision
		want     []pnp.Description
	}{
		"found": {found("", "", "auto"), []pnp.Description{
			{Name: "Panel (collection 1)", HardwareIDs: first, Container: &guid},
			{Name: "Panel (collection 2)", HardwareIDs: second, Container: &guid},
		}},
		"named": {named(newOptions(), "hid:/dev/hidraw4"), []pnp.Description{
			{Name: "Panel (collection 1)", HardwareIDs: first, Container: &guid},
			{Name: "Panel (collection 2)", HardwareIDs: second, Container: &guid},
		}},
		"with settings": {named(newOptions(), "hid:/dev/hidraw4", "name:Desk", "hwid:A+B", "optional"), []pnp.Description{
			{Name: "Desk (collection 1)", HardwareIDs: []string{"A", "B"}, Container: &guid, Optional: true},
			{Name: "Desk (collection 2)", HardwareIDs: []string{"A", "B"}, Container: &guid, Optional: true},
		}},
		"by a rule": {found("", "[[rule]]\naction = \"allow\"\nvid = \"1209\"\nname = \"Desk\"\n"), []pnp.Description{
			{Name: "Desk (collection 1)", HardwareIDs: first, Container: &guid},
			{Name: "Desk (collection 2)", HardwareIDs: second, Container: &guid},
		}},
		"as plain bytes": {found("", "", "rule:allow+vid=1209+backend=char"), []pnp.Description{panel.Description}},
		"as a node":      {named(newOptions(), "char:/dev/hidraw4", "container:"+guid.String()), []pnp.Description{{Name: "hidraw4", HardwareIDs: []string{`PNPDR\CHAR`}, Container: &guid}}},
	} {
		assert.True(t, c.decision.Redirect, name)
		assert.Equal(t, c.want, c.decision.Devices(), name)
		assert.Equal(t, len(c.want) > 1, c.decision.Collections != nil, name)
	}
	// A rule about one of them is about the node. It finds ids that are only a
	// collection's.
	d := found("[[rule]]\naction = \"deny\"\nhardware-id = '*Col02'\n", "", "auto")
	assert.Equal(t, Denied, d.Verdict)
}

func TestComment(t *testing.T) {
	p, problems := policy(t, "[[rule]]\naction=\"deny\"\ncomment=\"ask the help desk\"\n", "", newOptions())
	require.Empty(t, problems)
	assert.Contains(t, p.Decide(meter).Reason, "ask the help desk")
}

// TestLinks names a device by a link of the kind that udev makes.
func TestLinks(t *testing.T) {
	dev := t.TempDir()
	d := *meter
	d.Node = filepath.Join(dev, "ttyUSB0")
	link := filepath.Join(dev, "by-id")
	p, _ := policy(t, "", "", options(t, "serial:"+link))
	assert.Equal(t, NotAsked, p.Decide(&d).Verdict, "there is no link yet")
	require.NoError(t, os.WriteFile(d.Node, nil, 0o600))
	require.NoError(t, os.Symlink("ttyUSB0", link))
	assert.True(t, p.Decide(&d).Redirect)
	require.NoError(t, os.Remove(link))
	assert.False(t, p.Decide(&d).Redirect)
}

// TestLinkPatterns names devices by patterns of the links that udev makes.
func TestLinkPatterns(t *testing.T) {
	dev := t.TempDir()
	d, other := *meter, *meter
	d.Node, other.Node = filepath.Join(dev, "ttyUSB0"), filepath.Join(dev, "ttyUSB1")
	byID := filepath.Join(dev, "serial", "by-id")
	require.NoError(t, os.MkdirAll(byID, 0o755))
	require.NoError(t, os.WriteFile(d.Node, nil, 0o600))
	require.NoError(t, os.WriteFile(other.Node, nil, 0o600))
	require.NoError(t, os.Symlink("../../ttyUSB0", filepath.Join(byID, "usb-FTDI_A600")))
	require.NoError(t, os.Symlink("../../ttyUSB1", filepath.Join(byID, "usb-Prolific")))
	for pattern, want := range map[string]bool{
		"/serial/by-id/usb-FTDI_*":    true,
		"/serial/by-id/usb-FTDI_A60?": true,
		"/serial/*A600":               true,
		"/*/by-id/usb-F*":             true,
		"/serial/by-id/usb-Pro*":      false,
		"/serial/by-path/*":           false,
		"/ttyUSB?":                    true,
		"/tty*1":                      false,
	} {
		p, _ := policy(t, "", "", options(t, "rule:deny+node="+dev+pattern))
		assert.Equal(t, want, p.Decide(&d).Verdict == Denied, pattern)
	}
	// Anybody could fill such a directory.
	require.NoError(t, os.Chmod(byID, 0o777))
	p, _ := policy(t, "", "", options(t, "rule:deny+node="+byID+"/usb-FTDI_*"))
	assert.Equal(t, NotAsked, p.Decide(&d).Verdict)
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.toml")
	long := filepath.Join(dir, "long.toml")
	require.NoError(t, os.WriteFile(long, []byte(strings.Repeat("#", maxFile+1)), 0o600))
	full := filepath.Join(dir, "full.toml")
	require.NoError(t, os.WriteFile(full, []byte(strings.Repeat("#", maxFile)), 0o600))
	dangling := filepath.Join(dir, "dangling.toml")
	require.NoError(t, os.Symlink(missing, dangling))
	for _, test := range []struct {
		name    string
		files   Files
		problem string
	}{
		{"none", Files{}, ""},
		{"missing", Files{Admin: missing, User: missing}, ""},
		{"a file is not a directory", Files{Admin: full + "/pnpdr.toml"}, ""},
		{"named but missing", Files{User: missing, UserMustExist: true}, missing + ": it cannot be read: no such file"},
		{"a link that leads nowhere", Files{Admin: dangling}, dangling + ": it cannot be read: no such file"},
		{"directory", Files{Admin: dir}, dir + ": it is not a regular file"},
		{"too long", Files{User: long}, long + ": it is longer than 256 KiB"},
		{"as long as may be", Files{User: full}, ""},
		{"null", Files{User: "/dev/null", UserMustExist: true}, ""},
		{"endless", Files{User: "/dev/zero", UserMustExist: true}, "/dev/zero: it is not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, problems := Load(test.files, options(t, "auto"))
			if test.problem == "" {
				assert.Empty(t, problems)
				assert.True(t, p.Decide(meter).Redirect)
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0].String(), test.problem)
			assert.Equal(t, Denied, p.Decide(meter).Verdict)
		})
	}
}

func TestDefaultFiles(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	t.Setenv("XDG_CONFIG_HOME", "")
	assert.Equal(t, Files{Admin: AdminFile, User: "/home/me/.config/freerdp/pnpdr.toml"}, DefaultFiles(newOptions()))
	t.Setenv("XDG_CONFIG_HOME", "/cfg")
	assert.Equal(t, Files{Admin: AdminFile, User: "/cfg/freerdp/pnpdr.toml"}, DefaultFiles(newOptions()))
	assert.Equal(t, Files{Admin: AdminFile, User: "/x.toml", UserMustExist: true}, DefaultFiles(options(t, "config:/x.toml")))
	t.Setenv("XDG_CONFIG_HOME", "relative")
	t.Setenv("HOME", "")
	assert.Equal(t, Files{Admin: AdminFile}, DefaultFiles(newOptions()))
}

func TestIdle(t *testing.T) {
	for _, test := range []struct {
		admin, user string
		options     []string
		idle        bool
	}{
		{"", "", nil, true},
		{"default = \"allow\"", "default = \"deny\"", []string{"rule:deny+vid=1"}, true},
		{"auto = true", "", nil, false},
		{"", "auto = true", nil, false},
		{"", "default = \"allow\"", nil, false},
		{"", "[[rule]]\naction=\"allow\"", nil, false},
		{"", "", []string{"auto"}, false},
		{"", "", []string{"usb:1:2"}, false},
	} {
		p, problems := policy(t, test.admin, test.user, options(t, test.options...))
		require.Empty(t, problems)
		assert.Equal(t, test.idle, p.Idle(), "%+v", test)
	}
}

func TestAdvice(t *testing.T) {
	p, _ := policy(t, "", "", newOptions())
	auto, _ := policy(t, "", "", options(t, "auto"))
	scope := &discover.Device{Node: "/dev/usbtmc0", Subsystem: "usbmisc", Bus: "usb", VendorID: 1, ProductID: 2}
	modem := &discover.Device{Node: "/dev/cdc-wdm0", Subsystem: "usbmisc", Bus: "usb", VendorID: 1, ProductID: 2, Excluded: "a network device"}
	for _, test := range []struct {
		policy *Policy
		device *discover.Device
		want   string
	}{
		{p, meter, "ask for it: usb:0403:6001, or auto for everything that is eligible"},
		{p, touchpad, "ask for it: hid:/dev/hidraw2, or auto for everything that is eligible"},
		{auto, keyboard, "to redirect it anyway, name it: hid:/dev/hidraw0, or usb:046d:c31c for everything in it"},
		{auto, scope, "to pass its bytes as they are: rule:allow+node=/dev/usbtmc0+backend=char"},
		{auto, modem, ""},
		{auto, pulse, ""},
		{auto, meter, ""},
	} {
		d := test.policy.Decide(test.device)
		assert.Equal(t, test.want, test.policy.Advice(test.device, &d))
	}
	// What nothing serves says so itself.
	stick := *pulse
	stick.Excluded = "mass storage"
	d := auto.Decide(&stick)
	assert.Equal(t, NoBackend, d.Verdict)
	assert.Equal(t, "mass storage", d.Reason)
	bare := *meter
	bare.Node = ""
	assert.Equal(t, "it has no device node", auto.Decide(&bare).Reason)
}
