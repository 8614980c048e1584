// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// documentText reads a file of the project.
func documentText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(home(t, filepath.Join("../..", name)))
	require.NoError(t, err)
	return string(text)
}

// TestDocuments holds what people read about the kinds of devices to the table.
func TestDocuments(t *testing.T) {
	readme, devices := documentText(t, "README.md"), documentText(t, "docs/devices.md")
	_, help, _ := runApp("help", "options")
	_, completion, _ := runApp(append(roots("__complete", "list"), "")...)
	var usages []string
	for _, k := range kinds.All() {
		usages = append(usages, k.Usage())
		assert.Contains(t, readme, "\n| `"+k.Usage()+"` | "+k.Help+" |\n")
		assert.Regexp(t, "(?m)^  "+regexp.QuoteMeta(k.Usage())+" +"+regexp.QuoteMeta(k.Help)+"$", help)
		assert.Regexp(t, "(?m)^"+regexp.QuoteMeta(k.Name)+":?\t"+regexp.QuoteMeta(k.Help)+"$", completion)
	}

	// Whatever discovery finds, auto redirects.
	_, auto, _ := strings.Cut(readme, "\n| `auto` | ")
	auto, _, _ = strings.Cut(auto, "\n")
	for _, k := range kinds.All() {
		if k.Serves != nil {
			word := map[string]string{"serial": "serial converters", "hid": "HID devices", "image": "cameras", "printer": "printers"}[k.Name]
			assert.NotEmpty(t, word, k.Name)
			assert.Contains(t, auto, word)
		}
	}

	// They mention no kind that does not exist.
	var headings []string
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(devices, -1) {
		headings = append(headings, m[1])
	}
	assert.ElementsMatch(t, append(usages, "What is found"), headings)
	_, table, found := strings.Cut(readme, "| option | what it redirects |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var options []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]*)`").FindAllStringSubmatch(table, -1) {
		options = append(options, m[1])
	}
	assert.ElementsMatch(t, append(usages, "auto", "usb:VID:PID", "rule:…"), options)
}

// scope is a kind of device that this program has never heard of.
func scope() *backend.Kind {
	return &backend.Kind{
		Name: "scope", Argument: "PATH", Help: "an oscilloscope",
		Nodes:       backend.CharDevice,
		Rules:       backend.Named,
		Description: pnp.Description{HardwareIDs: []string{`PNPDR\SCOPE`}},
		Serves:      func(d *discover.Device) bool { return d.Bus == "usb" && d.Class == 0xff && d.Subsystem == "usb" },
	}
}

// TestNewKind adds a row to the table: everything knows it.
func TestNewKind(t *testing.T) {
	tree := machine(t)
	tree.Plug(discovertest.Unknown())
	devices, err := discover.Scan(discover.Config{SysRoot: "sys", DevRoot: "dev", UdevRoot: "run/udev"})
	require.NoError(t, err)
	node := devices[0].Node
	run := func(table backend.Table, args ...string) string {
		var out bytes.Buffer
		a := &app{kinds: table, out: &out, errs: &out}
		a.run(context.Background(), args)
		return out.String()
	}
	for _, known := range []bool{false, true} {
		table := kinds.All()
		if known {
			table = slices.Insert(table, 0, scope())
		}
		check := func(want string, args ...string) {
			t.Helper()
			out := run(table, args...)
			assert.Equal(t, known, regexp.MustCompile(want).MatchString(out), "%v:\n%s", args, out)
		}
		check(`(?m)^  scope:PATH +an oscilloscope$`, "help", "options")
		check(`(?m)^scope:\tan oscilloscope$`, append(roots("__complete", "list"), "")...)
		check(`(?m)^scope:`+regexp.QuoteMeta(node)+"\t", append(roots("__complete", "list"), "")...)
		check(`(?m)^1 +not asked for .*nothing asks for it`, roots("list")...)
		check(`(?m)^1 +redirected .*option auto$`, roots("list", "auto")...)
		check(`(?m)^1 +redirected .*option scope:`, roots("list", "scope:"+node)...)
		check(`backend +scope`, roots("explain", "1")...)
		check(`"backend": "scope"`, roots("explain", "--json", "1")...)
		check(`scope:/dev/null is redirected by its name`, roots("list", "scope:/dev/null")...)
		require.NoError(t, os.WriteFile("rules.toml", []byte("[[rule]]\naction = \"allow\"\nbackend = \"scope\"\n"), 0o600))
		check("rules.toml: no errors", "check", "rules.toml")
	}

	// To redirect a device that is not eligible, its option must name it.
	picky := scope()
	serves := picky.Serves
	tree.Plug(discovertest.Keyboard())
	picky.Serves = func(d *discover.Device) bool { return serves(d) || d.Subsystem == "hidraw" }
	out := run(slices.Insert(kinds.All(), 0, picky), roots("explain", "hidraw0", "auto")...)
	assert.Contains(t, out, "name it: scope:dev/hidraw0")
}
