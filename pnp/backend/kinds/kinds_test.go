// SPDX-License-Identifier: Apache-2.0

package kinds_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestRows checks what the users of the table rely on.
func TestRows(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range kinds.All() {
		t.Run(k.Name, func(t *testing.T) {
			assert.Regexp(t, `^[a-z][a-z0-9-]*$`, k.Name)
			assert.False(t, seen[k.Name], "two rows have this name")
			seen[k.Name] = true
			assert.NotEmpty(t, k.Help)
			if k.Nodes != 0 {
				assert.NotEmpty(t, k.Argument, "a node is named by its path")
			} else if k.ByPort {
				assert.Equal(t, backend.Named, k.Rules, "the option is a rule")
			} else {
				assert.Equal(t, backend.NotChosen, k.Rules, "rules are about nodes")
				assert.Nil(t, k.Serves)
			}
			if k.Serves != nil {
				assert.NotEqual(t, backend.NotChosen, k.Rules)
			}
			d := k.Describe("/dev/x0")
			assert.NotEmpty(t, d.Name)
			assert.NotEmpty(t, d.HardwareIDs)

			if k.Attend != nil {
				assert.Nil(t, k.New)
				assert.Equal(t, backend.NotChosen, k.Rules, "what is found is made by New")
				return
			}
			dev, err := k.New(backend.Source{Path: "/none", Description: d})
			require.NoError(t, err, "the path need not exist")
			assert.Equal(t, &d, dev.Description())
		})
	}
	_, err := kinds.All().Named("serial").New(backend.Source{})
	assert.Error(t, err, "a path is missing")
}

// TestClassifiers checks which kind serves which device.
func TestClassifiers(t *testing.T) {
	for _, c := range []struct {
		device discovertest.USB
		kind   string
	}{
		{discovertest.FTDI(""), "serial"},
		{discovertest.Gamepad(), "hid"},
		{discovertest.SecurityKey(), "hid"},
		{discovertest.Mouse(), "hid"},
		{discovertest.Printer(), "printer"},
		{discovertest.Phone(), "image"},
		{discovertest.Camera(), "image"},
		{discovertest.Stick(), ""},
		{discovertest.CardReader(), ""},
		{discovertest.Network(), ""},
		{discovertest.VendorNetwork(), ""},
		{discovertest.Unknown(), ""},
	} {
		t.Run(c.device.Product, func(t *testing.T) {
			m := discovertest.New(t)
			m.RunUdev()
			m.Plug(c.device)
			m.Settle()
			devices, err := discover.Scan(m.Config())
			require.NoError(t, err)
			require.Len(t, devices, 1)
			k := kinds.All().Serving(devices[0])
			if c.kind == "" {
				require.Nil(t, k)
				return
			}
			require.NotNil(t, k)
			require.Equal(t, c.kind, k.Name)
		})
	}
}
