// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestCollections: a HID node that is several devices is one line of the list, as rules are
// about the node, and all its devices are explained.
func TestCollections(t *testing.T) {
	tree := machine(t)
	tree.Plug(discovertest.Panel())
	for name, args := range map[string][]string{
		"list-collections":    {"list", "auto"},
		"explain-collections": {"explain", "hidraw0", "usb:1209:0007,name:Desk"},
	} {
		status, out, errs := runApp(roots(args...)...)
		assert.Equal(t, exitOK, status, errs)
		golden(t, name+".txt", out)
	}
	status, out, _ := runApp(roots("list", "--json", "hid:dev/hidraw0")...)
	assert.Equal(t, exitOK, status)
	var doc document
	require.NoError(t, json.Unmarshal([]byte(out), &doc))
	require.Len(t, doc.Devices, 1)
	require.Len(t, doc.Named, 1)
	for _, list := range [][]jsonDescription{doc.Devices[0].Collections, doc.Named[0].Collections} {
		require.Len(t, list, 2)
		assert.Equal(t, "Panel (collection 2)", list[1].Name)
		assert.Contains(t, list[1].HardwareIDs, `HID\VID_1209&PID_0007&Col02`)
	}
}
