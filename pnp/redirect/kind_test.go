// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// scope is a kind of device that this package has never heard of. It tells what
// its devices are made from.
func scope() (*backend.Kind, <-chan backend.Source) {
	made := make(chan backend.Source, 10)
	return &backend.Kind{
		Name: "scope", Argument: "PATH", Help: "an oscilloscope",
		Nodes:       backend.CharDevice,
		Rules:       backend.Named,
		Description: pnp.Description{HardwareIDs: []string{`PNPDR\SCOPE`}},
		Serves:      func(d *discover.Device) bool { return d.Bus == "usb" && d.Class == 0xff && d.Subsystem == "usb" },
		New: func(src backend.Source) (pnp.Device, error) {
			made <- src
			return loopback.New(src.Description), nil
		},
	}, made
}

// TestNewKind adds a row to the table, with a classifier: its devices are
// redirected when they are found, when they are named, and as rules say, and are
// made from what was found.
func TestNewKind(t *testing.T) {
	for _, c := range []struct{ user, option string }{
		{"", "auto"},
		{"", "scope:"},
		{"[[rule]]\naction = \"allow\"\nbackend = \"scope\"\nread-only = true\n", "help"},
	} {
		m := newMachine(t)
		kind, made := scope()
		m.kinds = slices.Insert(kinds.All(), 0, kind)
		m.RealNodes()
		m.Plug(discovertest.Unknown())
		devices, err := discover.Scan(m.Config())
		require.NoError(t, err)
		require.Len(t, devices, 1)
		want := devices[0]
		if c.option == "scope:" {
			c.option += want.Node
		}
		m.start("", c.user, c.option)
		require.Equal(t, "+"+want.Description.Name, m.event())
		src := <-made
		require.Equal(t, want, src.Found)
		require.Equal(t, want.Node, src.Path)
		require.Equal(t, want.Description, src.Description)
		require.Equal(t, c.user != "", src.ReadOnly)
		require.NotNil(t, src.Verify)
	}
}

// TestNamedFunction names a USB device with several functions: the device is the
// one that its kind serves.
func TestNamedFunction(t *testing.T) {
	m := newMachine(t)
	kind, made := scope()
	m.kinds = slices.Insert(kinds.All(), 0, kind)
	m.RealNodes()
	m.Plug(discovertest.ACM("7"))
	devices, err := discover.Scan(m.Config())
	require.NoError(t, err)
	i := slices.IndexFunc(devices, kind.Serves)
	require.Len(t, devices, 2)
	m.start("", "", "scope:"+devices[i].Node)
	m.event()
	src := <-made
	require.Equal(t, devices[i], src.Found)
	require.Equal(t, devices[i].Description, src.Description)
}
