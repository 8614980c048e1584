// SPDX-License-Identifier: Apache-2.0

// Package example holds docs/backends.md to what is compiled and tested here.
package example

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/example/rng"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// rows are those of the table, with the document's in front.
func rows() backend.Table {
	return slices.Insert(kinds.All(), 0, backend.Table{
		{
			Name: "rng", Argument: "PATH",
			Help:        "a random number generator, such as /dev/chaoskey0",
			Nodes:       backend.CharDevice,
			Rules:       backend.Named,
			Description: pnp.Description{HardwareIDs: []string{`PNPDR\RNG`}},
			Serves:      func(d *discover.Device) bool { return d.Driver == "chaoskey" },
			New:         backend.Constructor(rng.New),
		},
	}...)
}

// TestRow has the row serve what discovery finds.
func TestRow(t *testing.T) {
	m := discovertest.New(t)
	m.Plug(discovertest.RandomGenerator())
	devices, err := discover.Scan(m.Config())
	require.NoError(t, err)
	require.Len(t, devices, 1)
	require.Nil(t, kinds.All().Serving(devices[0]))
	k := rows().Serving(devices[0])
	require.Equal(t, "rng:PATH", k.Usage())
	d, err := k.New(backend.Source{Path: devices[0].Node, Found: devices[0], Description: devices[0].Description})
	require.NoError(t, err)
	require.Equal(t, "ChaosKey-hw-1.0", d.Description().Name)
}

// TestDocument: every line of Go in the document is compiled, as it stands there,
// and the backend is there as a whole.
func TestDocument(t *testing.T) {
	plain := func(text string) string {
		return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(text, "")
	}
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(text)
	}
	var compiled strings.Builder
	for _, pattern := range []string{"*.go", "rng/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			compiled.WriteString(plain(read(file)))
		}
	}
	document := read("../../../../docs/backends.md")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(document, -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		require.Contains(t, compiled.String(), plain(block[1]))
	}
	for _, file := range []string{"rng/rng.go", "rng/rng_test.go"} {
		_, code, _ := strings.Cut(read(file), "\n\n") // the licence
		require.Contains(t, document, "```go\n"+code+"```\n")
	}
}
