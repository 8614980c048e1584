// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		condition string
		device    *discover.Device
		want      bool
	}{
		{"bus=usb", meter, true},
		{"bus=USB", meter, true},
		{"bus=i2c", meter, false},
		{"bus=*", meter, true},
		{"vid=0403", meter, true},
		{"vid=403", meter, true},
		{"vid=0x0403", meter, true},
		{"vid=0404", meter, false},
		{"vid=*", touchpad, true},
		{"vid=0000", touchpad, true}, // a HID device's ids may be 0
		{"vid=0", &discover.Device{Bus: "usb"}, true},
		{"pid=0000", &discover.Device{Bus: "usb", VendorID: 0x0403}, true},
		{"pid=0000", meter, false},
		{"vid=0000", &discover.Device{Bus: "pnp", Subsystem: "tty"}, false},
		{"pid=6001", meter, true},
		{"pid=6002", meter, false},
		{"class=ff", meter, true},
		{"class=FF", meter, true},
		{"class=03", meter, false},
		{"class=00", touchpad, false},
		{"subclass=01", keyboard, true},
		{"protocol=1", keyboard, true},
		{"protocol=2", keyboard, false},
		{"interface=01", scanner, true},
		{"interface=00", scanner, false},
		{"interface=00", touchpad, false},
		{"interface=*", touchpad, true},
		{"serial=A600", meter, true},
		{"serial=a*", meter, true},
		{"serial=?600", meter, true},
		{"serial=A60", meter, false},
		{"serial=*", keyboard, true},
		{"serial=?*", keyboard, false},
		{"serial=**", keyboard, false},
		{"driver=ftdi_sio", meter, true},
		{"manufacturer=ftdi", meter, true},
		{"product=*uart*", meter, true},
		{"product=*scanner*", meter, false},
		{`hardware-id=usb\vid_0403&pid_6001`, meter, true},
		{`hardware-id=*rev_0600`, meter, true},
		{`hardware-id=*rev_0700`, meter, false},
		{`hardware-id=*`, keyboard, true},
		{"node=/dev/ttyUSB0", meter, true},
		{"node=/dev/./ttyUSB0", meter, true},
		{"node=/dev/ttyusb0", meter, false},
		{"node=/dev/tty*", meter, true},
		{"node=/dev/tty?", meter, false},
		{"node=*", &discover.Device{}, true},
		{"node=/*", &discover.Device{}, false},
		{"node=/", &discover.Device{}, false},
	} {
		o := options(t, "rule:allow+"+test.condition)
		assert.Equal(t, test.want, o.Rules[0].Matches(test.device), "%s, %s", test.condition, test.device.Product)
	}
}

func TestAllConditionsMustHold(t *testing.T) {
	r := options(t, "rule:allow+vid=0403+serial=B*").Rules[0]
	assert.False(t, r.Matches(meter))
	assert.Equal(t, "allow vid=0403 serial=B*", r.Text())
	assert.Equal(t, "deny everything", options(t, "rule:deny").Rules[0].Text())
	assert.True(t, options(t, "rule:deny").Rules[0].Matches(&discover.Device{}))
}

func TestExact(t *testing.T) {
	for word, exact := range map[string]bool{
		"usb:0403:6001":                true,
		"usb:0403:*":                   false,
		"usb:*:6001":                   false,
		"serial:/dev/ttyS0":            true,
		"rule:allow+node=/dev/ttyS*":   false,
		"rule:allow+node=/dev/ttyS?":   false,
		"rule:allow+node=/dev/ttyS1":   true,
		"rule:allow+serial=A600":       false,
		"rule:allow+vid=1+pid=2+bus=*": true,
	} {
		assert.Equal(t, exact, options(t, word).Rules[0].Exact(), word)
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"?", "", false},
		{"?", "é", true}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "abcd", false},
		{"*a*b*", "xxaxxbxx", true}, {"*ab", "aab", true}, {"a**b", "ab", true}, {`\*`, `\x`, true},
		{"a?c*", "abcdef", true}, {"[a]", "a", false},
	} {
		assert.Equal(t, test.want, glob(test.pattern, test.s), "%q %q", test.pattern, test.s)
	}
	// A pattern that makes backtracking matchers take for ever.
	assert.False(t, glob(strings.Repeat("*a", 200)+"b", strings.Repeat("a", 500)))
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{
		"vdi": "vid", "pdi": "pid", "vendor": "", "clas": "class", "actoin": "action", "readonly": "read-only",
		"read_only": "read-only", "hardwareid": "hardware-id", "hardware-ids": "hardware-id", "defualt": "default",
		"x": "", "": "", "prodcut": "product", strings.Repeat("x", 1000): "",
	} {
		assert.Equal(t, want, Nearest(word, append(ruleKeys(), "action", "default")), word)
	}
	assert.Equal(t, 1, distance("vdi", "vid"))
	assert.Equal(t, 3, distance("", "abc"))
	assert.Equal(t, 3, distance("kitten", "sitting"))
}

func TestTake(t *testing.T) {
	for word, want := range map[string]string{
		"auto:yes":                       "it takes no value",
		"usb:0403":                       "vendor and product are missing, as in usb:0403:6001",
		"usb:0403:":                      `pid: "" is neither up to 4 hexadecimal digits nor *`,
		"usb:04033:1":                    `vid: "04033" is neither`,
		"usb:-1:1":                       `vid: "-1" is neither`,
		"usb:1:2:3":                      `pid: "2:3" is neither`,
		"serial:":                        "the path is missing, as in serial:/dev/NAME",
		"hid":                            "the path is missing, as in hid:/dev/NAME",
		"serial:/dev/tty*":               "does not name a single device",
		"config:":                        "the path is missing, as in config:",
		"config":                         "the path is missing, as in config:",
		"rule:":                          `"" is neither allow nor deny`,
		"rule:alow":                      `"alow" is neither allow nor deny (did you mean "allow"?)`,
		"rule:deny+vdi=1":                `there is no "vdi" (did you mean "vid"?)`,
		"rule:deny+vid":                  `"vid" needs a value, as in vid=VALUE`,
		"rule:deny+vid=1+vid=2":          `"vid" is given twice`,
		"rule:allow+ro+read-only":        `"read-only" is given twice`,
		"rule:allow+ro=maybe":            `"maybe" is neither true nor false`,
		"rule:deny+ro":                   `a rule that denies has no use for "read-only"`,
		"rule:deny+name=x":               `a rule that denies has no use for "name"`,
		"rule:deny+":                     `there is no ""`,
		"rule:allow+bus=usbb":            `"usbb" is not a bus (did you mean "usb"?)`,
		"rule:allow+backend=chr":         `"chr" is not one of serial, hid, image, printer, char (did you mean "char"?)`,
		"rule:allow+handles=0":           `"0" is not a number from 1 to`,
		"rule:allow+handles=99999999999": "is not a number from 1 to",
		"rule:deny+event=64K":            `a rule that denies has no use for "event"`,
		"rule:allow+node=ttyS0":          `"ttyS0" is not an absolute path`,
		"rule:allow+serial=":             "serial: it is empty",
		"rule:allow+serial=\x1b[2J":      "contains characters that are not text",
		"rule:allow+name=\xff":           "contains characters that are not text",
		"rule:allow+product=" + strings.Repeat("x", maxPattern+1): "it is longer than 512 bytes",
	} {
		o := newOptions()
		known, err := o.Take(word)
		assert.True(t, known, word)
		assert.ErrorContains(t, err, want, word)
		// Who cannot be understood redirects nothing, except auto, which
		// asks for nothing then.
		o.Auto = true
		p, _ := Load(Files{}, o)
		if word != "auto:yes" {
			assert.False(t, p.Decide(meter).Redirect, word)
			assert.ErrorContains(t, err, "denies every device")
			assert.Contains(t, p.Decide(meter).Reason, "cannot be understood", word)
		}
	}
}

// TestSplitRule is what FreeRDP makes of a rule with commas in it.
func TestSplitRule(t *testing.T) {
	o := options(t, "rule:allow+vid=0403")
	known, err := o.Take("pid=6002")
	assert.True(t, known)
	assert.ErrorContains(t, err, "a comma cut off")
	p, _ := Load(Files{}, o)
	assert.Equal(t, Denied, p.Decide(meter).Verdict)

	// Without a rule before it.
	o = options(t, "auto")
	known, err = o.Take("pid=6002")
	assert.True(t, known)
	assert.ErrorContains(t, err, "denies every device")
	p, _ = Load(Files{}, o)
	assert.Equal(t, Denied, p.Decide(meter).Verdict)
	assert.Contains(t, p.Decide(meter).Reason, "option pid=6002 cannot be understood")

	// In the midst of a value.
	o = options(t, "auto", "rule:deny+product=Foo")
	for _, word := range []string{"", " Ltd.", " Bar"} {
		known, err = o.Take(word)
		assert.Equal(t, word != "", known)
		if known {
			assert.ErrorContains(t, err, "written %2C")
		}
	}
	p, _ = Load(Files{}, o)
	assert.Equal(t, Denied, p.Decide(meter).Verdict)

	// Not behind something else.
	for _, between := range []string{"auto", "usb:1:2", "name:x"} {
		o = options(t, "rule:allow+vid=0403", between)
		known, err = o.Take("colour=red")
		assert.False(t, known)
		assert.NoError(t, err)
		assert.False(t, o.Rules[0].Broken)
	}
	o = options(t, "rule:deny+vid=0403")
	known, err = o.Take("loopback")
	assert.True(t, known)
	assert.NoError(t, err)
	known, _ = o.Take("colour=red")
	assert.False(t, known)
}

func TestWhiteSpace(t *testing.T) {
	d := *meter
	d.Product = "Foo Bar"
	for pattern, want := range map[string]bool{
		"Foo  Bar ": true, " foo\u00a0bar": true, "foo *": true, "foobar": false, "foo bar": true, "foo b a r": false,
	} {
		p, problems := policy(t, "[[rule]]\naction=\"deny\"\nproduct=\""+pattern+"\"\n", "", newOptions())
		assert.Empty(t, problems)
		assert.Equal(t, want, p.Decide(&d).Verdict == Denied, "%q", pattern)
	}
	_, problems := policy(t, "[[rule]]\naction=\"deny\"\nproduct=\"  \"\n", "", newOptions())
	assert.NotEmpty(t, problems)
}

func TestOtherOptions(t *testing.T) {
	o := newOptions()
	for _, word := range []string{"", "max-handles:3", "help", "colour=red"} {
		known, err := o.Take(word)
		assert.False(t, known, word)
		assert.NoError(t, err, word)
	}
	assert.Empty(t, o.Rules)
}

func TestQualifiers(t *testing.T) {
	o := options(t, "usb:0403:6001", "hwid:A+B", "compat:C", "guid:{6AC27878-A6FA-4155-BA85-F98F491D4F33}",
		"container:{86E0D1E0-8089-11D0-9CE4-08003E301F73}", "caps:removable+eject", "name:X")
	got := o.Rules[0].Settings.Description
	assert.Equal(t, []string{"A", "B"}, got.HardwareIDs)
	assert.Equal(t, []string{"C"}, got.CompatibleIDs)
	assert.Len(t, got.Interfaces, 1)
	assert.NotNil(t, got.Container)
	assert.EqualValues(t, 6, *got.Caps)

	p, _ := Load(Files{}, o)
	d := p.Decide(meter).Description
	assert.Equal(t, got, d)

	// Those of a device which is not discovered.
	for _, word := range []string{"loopback", "ro", "handles:7"} {
		known, err := o.Take(word)
		require.NoError(t, err)
		require.True(t, known)
	}
	assert.Equal(t, &Settings{ReadOnly: true, Limits: pnp.DeviceLimits{Handles: 7}}, o.Named[0].Settings)
	assert.False(t, o.Rules[0].Settings.ReadOnly)

	// Those that are wrong, or belong to nothing.
	for word, want := range map[string]string{
		"hwid:": "an id is empty", "guid:1": "is not a GUID", "container:1": "is not a GUID",
		"container:{00000000-0000-0000-FFFF-FFFFFFFFFFFF}": "is the computer's own",
		"caps:surprize": `did you mean "surprise"?`, "optional:x": "neither yes nor no", "ro:x": "neither yes nor no", "name:": "it is empty",
	} {
		known, err := o.Take(word)
		assert.True(t, known)
		assert.ErrorContains(t, err, want, word)
	}
	for _, word := range []string{"auto", "rule:deny+vid=1", "rule:nonsense"} {
		o := options(t, "usb:0403:6001")
		_, _ = o.Take(word)
		_, err := o.Take("ro")
		assert.ErrorContains(t, err, "there is no device before it", word)
	}
}
