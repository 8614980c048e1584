// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

// TestProblems checks that each problem of a file is told, where it stands and
// with the word that was probably meant.
func TestProblems(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       []string
	}{
		{"unknown keys", "defualt = \"deny\"\n\n[[rule]]\naction = \"deny\"\n  vdi = \"1\"\n", []string{
			`f:1:1: there is no "defualt" here (did you mean "default"?)`,
			`f:5:3: there is no "vdi" here (did you mean "vid"?)`,
		}},
		{"nothing is near", "colour = 1\n", []string{`f:1:1: there is no "colour" here`}},
		{"bad values", "default = \"denny\"\nauto = 1\n[[rule]]\naction = \"permit\"\nvid = \"04zz\"\npid = 6001\nhandles = \"3\"\nread-only = 0x1\nclass = [\"03\"]\n", []string{
			`f:1:11: "denny" is neither allow nor deny (did you mean "deny"?)`,
			`f:2:8: auto takes a value such as auto = true`,
			`f:4:10: "permit" is neither allow nor deny`,
			`f:5:7: vid: "04zz" is neither up to 4 hexadecimal digits nor *`,
			`f:6:7: pid takes a value such as pid = "6001"`,
			`f:7:11: handles takes a value such as handles = 8`,
			`f:8:13: read-only takes a value such as read-only = true`,
			`f:9:1: class takes a value such as class = "..."`,
		}},
		{"IOControls", "[[rule]]\naction=\"allow\"\niocontrols = \"1 = 0x5413 out 8\"\n" +
			"[[rule]]\naction=\"allow\"\niocontrols = [\n\"1 = 0x5413 out 8\",\n\"2 = 0x5412 value\"]\n" +
			"[[rule]]\naction=\"allow\"\niocontrols = [\"1 = 0x5413 out 8\", \"1 = 0x541B out 4\"]\n" +
			"[[rule]]\naction=\"allow\"\niocontrols = [1]\n[[rule]]\naction=\"deny\"\niocontrols = []\n", []string{
			`f:3:14: iocontrols takes a list such as iocontrols = ["0x00222000 = 0x5413 out 8"]`,
			`f:8:1: iocontrols: ioctl 0x5412: it cannot be mapped: it acts on more than the device, or takes addresses`,
			`f:11:35: iocontrols: IoCode 0x00000001 is mapped twice`,
			`f:14:15: iocontrols: an element is not a string`,
			`f:15:3: a rule that denies has no use for "iocontrols"`,
		}},
		{"sizes", "[[rule]]\naction=\"allow\"\nreply = \"64k\"\nevent = true\nrequests = \"4\"\nhandle-bytes = \"4096M\"\n", []string{
			`f:3:9: reply: "64k" is not a number from 1 to 2147483647, such as 100, 64K or 16M`,
			`f:4:9: event takes a value such as event = "64K"`,
			`f:5:12: requests takes a value such as requests = 8`,
			`f:6:16: handle-bytes: "4096M" is not a number from 1 to 2147483647, such as 100, 64K or 16M`,
		}},
		{"numbers", "[[rule]]\naction=\"allow\"\nhandles = 1_000\n[[rule]]\naction=\"allow\"\nhandles = -1\n[[rule]]\naction=\"allow\"\nhandles = 0\n", []string{
			`f:3:11: handles: "1_000" is not a number from 1 to 2147483647, such as 100, 64K or 16M`,
			`f:6:11: handles: "-1" is not a number from 1 to 2147483647, such as 100, 64K or 16M`,
			`f:9:11: handles: "0" is not a number from 1 to 2147483647, such as 100, 64K or 16M`,
		}},
		{"misplaced keys", "vid = \"1\"\n[[rule]]\naction = \"deny\"\ndefault = \"deny\"\n", []string{
			`f:1:1: there is no "vid" here: it belongs in a rule, below a line [[rule]]`,
			`f:4:1: there is no "default" here: it belongs before the first [[rule]]`,
		}},
		{"tables", "[rule]\naction = \"deny\"\n[[rules]]\nx = 1\n[[rule.x]]\n[a.b]\n", []string{
			`f:1:2: a rule begins with [[rule]], in two pairs of brackets`,
			`f:3:3: there is no table "rules" (did you mean "rule"?)`,
			`f:5:3: there is no table "rule.x" (did you mean "rule"?)`,
			`f:6:2: there is no table "a.b"`,
		}},
		{"inline", "rule = [{action = \"deny\"}]\n", []string{`f:1:1: a rule is not written as a value: begin it with a line [[rule]]`}},
		{"dotted", "rule.action = \"deny\"\n", []string{`f:1:1: there is no "rule.action" here`}},
		{"no action", "[[rule]]\nvid = \"1\"\n[[rule]]\n", []string{
			`f:1:3: the rule has no action: write action = "allow" or action = "deny"`,
			`f:3:3: the rule has no action: write action = "allow" or action = "deny"`,
		}},
		{"misspelt action", "[[rule]]\nactoin = \"allow\"\n", []string{`f:2:1: there is no "actoin" here (did you mean "action"?)`}},
		{"deny with settings", "[[rule]]\naction = \"deny\"\nname = \"x\"\n", []string{`f:1:3: a rule that denies has no use for "name"`}},
		{"twice", "auto = true\nauto = true\n[[rule]]\naction = \"deny\"\naction = \"deny\"\n", []string{
			`f:2:1: "auto" is given twice`, `f:5:1: "action" is given twice`,
		}},
		{"syntax after others", "defualt = 1\n[[rule]]\naction = deny\n", []string{
			`f:1:1: there is no "defualt" here (did you mean "default"?)`, `f:3:10: `,
		}},
		{"not closed", "[[rule]]\naction = \"deny\n", []string{`f:2:15: `}},
		{"column in characters", "[[rule]]\naction = \"allow\"\nname = \"Wägezähler\" x\n", []string{`f:3:21: `}},
		{"no UTF-8", "# \xc3\xbc\n# \xff\n", []string{`f:2:3: this is not UTF-8 text`}},
		{"no text", "[[rule]]\naction = \"deny\"\nserial = \"a\\u0000b\"\n", []string{`f:3:10: serial: "a\x00b" contains characters that are not text`}},
		{"no text in a name", "[[rule]]\naction = \"allow\"\nname = \"a\\u009b31m\"\n", []string{`f:3:8: name: "a\u009b31m" contains characters that are not text`}},
		{"direction in a comment", "[[rule]]\naction = \"deny\"\ncomment = \"a\\u202eb\"\n", []string{`f:3:11: comment: "a\u202eb" contains characters that are not text`}},
		{"isolate in a name", "[[rule]]\naction = \"allow\"\nname = \"\\u2066b\"\n", []string{`f:3:8: name: "\u2066b" contains characters that are not text`}},
		{"line separator", "[[rule]]\naction = \"deny\"\nproduct = \"a\\u2028b\"\n", []string{`f:3:11: product: "a\u2028b" contains characters that are not text`}},
		{"empty comment", "[[rule]]\naction = \"deny\"\ncomment = \"\"\n", []string{`f:3:11: comment: it is empty`}},
		{"CRLF", "[[rule]]\r\naction = \"deny\"\r\nvdi = \"1\"\r\n", []string{`f:3:1: there is no "vdi" here (did you mean "vid"?)`}},
		{"backslashes", "[[rule]]\naction = \"deny\"\nhardware-id = \"USB\\VID*\"\n", []string{`f:3:19: `}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, problems := parse("f", []byte(test.file), table)
			var got []string
			for i, p := range problems {
				got = append(got, p.String())
				if i < len(test.want) && strings.HasSuffix(test.want[i], ": ") && strings.HasPrefix(p.String(), test.want[i]) {
					got[i] = test.want[i] // the parser's own words
				}
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestParse(t *testing.T) {
	c, problems := parse("f", []byte(`
# The whole of it.
auto = true
default = "deny"

[[rule]]
action       = "allow"
comment      = "scales"
bus          = "usb"
vid          = "0403"
pid          = "*"
class        = "ff"
subclass     = "*"
protocol     = "*"
interface    = "00"
serial       = "A*"
hardware-id  = 'USB\VID_0403*'
driver       = "ftdi_sio"
manufacturer = "*"
product      = "*UART*"
node         = "/dev/ttyUSB*"
port         = "1-*"
name         = "Scale"
backend      = "serial"
read-only    = true
optional     = true
handles      = 1
requests     = 16
handle-bytes = 65536
reply        = "64K"
event        = "1M"
iocontrols   = [
    "0x00222000 = 0x5413 out 8",
    "0x00222004 = 0x80045705 out",
]

[[rule]]
"action" = 'deny'
`), table)
	require.Empty(t, problems)
	assert.True(t, c.auto)
	assert.Equal(t, "deny", c.fallback)
	require.Len(t, c.rules, 2)
	r := c.rules[0]
	assert.Equal(t, `allow bus=usb vid=0403 pid=* class=ff subclass=* protocol=* interface=00 serial=A* hardware-id=USB\VID_0403* `+
		`driver=ftdi_sio manufacturer=* product=*UART* node=/dev/ttyUSB* port=1-*`, r.Text())
	assert.True(t, r.Matches(meter))
	assert.Equal(t, "Scale", r.Settings.Description.Name)
	assert.Equal(t, kind("serial"), r.Settings.Kind)
	assert.Equal(t, pnp.DeviceLimits{Handles: 1, Requests: 16, HandleBytes: 64 << 10, ReplyData: 64 << 10, EventData: 1 << 20}, r.Settings.Limits)
	assert.Equal(t, []backend.IOControl{
		{Code: 0x222000, Request: 0x5413, Argument: backend.Out, Size: 8},
		{Code: 0x222004, Request: 0x80045705, Argument: backend.Out, Size: 4},
	}, r.Settings.IOControls)
	assert.Equal(t, 6, r.Line)
	assert.Equal(t, `rule 2 of f (line 37): deny everything`, c.rules[1].reason())

	// Every key is known to this test.
	assert.Len(t, fileKeys, 26)
}

func TestEmptyFile(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "auto = false\n"} {
		c, problems := parse("f", []byte(text), table)
		assert.Empty(t, problems)
		assert.Equal(t, &config{}, c)
	}
}

func TestManyRulesAndProblems(t *testing.T) {
	_, problems := parse("f", []byte(strings.Repeat("[[rule]]\naction = \"deny\"\n", maxRules)), table)
	assert.Empty(t, problems)
	_, problems = parse("f", []byte(strings.Repeat("[[rule]]\naction = \"deny\"\n", maxRules+1)), table)
	require.Len(t, problems, 1)
	assert.Equal(t, fmt.Sprintf("f:%d:3: there are more than %d rules", 2*maxRules+1, maxRules), problems[0].String())

	_, problems = parse("f", []byte(strings.Repeat("[[rule]]\n", maxProblems+5)), table)
	require.Len(t, problems, maxProblems+1)
	assert.Equal(t, "f: and 5 more problems", problems[maxProblems].String())
}

// TestEndless holds that what repeats without end costs neither time nor log.
func TestEndless(t *testing.T) {
	for _, text := range []string{
		"x = " + strings.Repeat("[", maxFile-4),
		"x = " + strings.Repeat("{a=", maxFile/3-4),
		strings.Repeat("a.", maxFile/2-4) + "b = 1",
		strings.Repeat("a = 1\n", maxFile/6),
		"[[rule]]\naction = \"" + strings.Repeat("x", maxFile-100) + "\"",
	} {
		_, problems := parse("f", []byte(text), table)
		require.NotEmpty(t, problems)
		for _, p := range problems {
			assert.Less(t, len(p.String()), 2*maxText)
		}
	}
}
