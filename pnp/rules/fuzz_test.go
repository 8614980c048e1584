// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzParse holds that no file makes the parser panic, that a problem lies in
// the file, and that what is accepted can be decided by.
func FuzzParse(f *testing.F) {
	f.Add([]byte("auto = true\ndefault = \"deny\"\n[[rule]]\naction = \"allow\"\nvid = \"0403\"\nname = \"x\"\n"))
	f.Add([]byte("[[rule]]\naction = 'deny'\nhardware-id = 'USB\\*'\nhandles = 3\nread-only = false\n"))
	f.Add([]byte("[rule]\na.b = {c = [1, 2.5, 1979-05-27T07:32:00Z]}\n[[rule.x]]\n"))
	f.Add([]byte("x = \"\"\"\na\\\n  b\"\"\"\n\"k\" = '''\n'''\n"))
	f.Add([]byte("default = \"\\u0000\\UFFFFFFFF\"\r\n# \xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		c, problems := parse("f", data, table)
		if !bytes.Equal(before, data) {
			t.Fatal("the file was changed")
		}
		lines := bytes.Split(data, []byte("\n"))
		for _, p := range problems {
			if p.Line < 0 || p.Line > len(lines) || p.Line > 0 && (p.Column < 1 || p.Column > len(lines[p.Line-1])+1) {
				t.Fatalf("%v is not in the file", p)
			}
		}
		if len(problems) > maxProblems+1 {
			t.Fatalf("%d problems", len(problems))
		}
		if len(problems) > 0 {
			return
		}
		p := &Policy{admin: side{rules: c.rules, fallback: c.fallback, fileAuto: c.auto}}
		p.user.optionAuto = true
		for _, r := range c.rules {
			if r.Text() == "" || r.Number < 1 || r.Line < 1 {
				t.Fatalf("%+v", r)
			}
		}
		if d := p.Decide(meter); d.Redirect == (d.Verdict != Redirected) || d.Reason == "" {
			t.Fatalf("%+v", d)
		}
	})
}

// FuzzOptions holds that no option makes Take panic, and that one which cannot
// be understood redirects nothing.
func FuzzOptions(f *testing.F) {
	for _, line := range []string{
		"auto", "usb:0403:6001,ro,name:x", "usb:*:*", "serial:/dev/ttyS0", "hid:/dev/hidraw0,optional",
		"rule:allow+vid=0403+name=a%2Bb", "rule:deny+class=03+pid=*", "rule:allow+vid=1,pid=2", "config:/x", "caps:lock+eject", "guid:x",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		o := newOptions()
		understood := true
		for _, word := range strings.Split(line, ",") {
			known, err := o.Take(word)
			if err != nil && !known {
				t.Fatal("an unknown option with an error")
			}
			understood = understood && err == nil
			if len(o.Rules) == 0 || !o.Rules[len(o.Rules)-1].Broken {
				continue
			}
			broken := &Options{Kinds: table, Auto: true, Rules: o.Rules[len(o.Rules)-1:]}
			if p, _ := Load(Files{}, broken); understood || p.Decide(meter).Redirect {
				t.Fatalf("%q redirects", word)
			}
		}
		p, _ := Load(Files{}, o)
		p.Decide(meter)
	})
}
