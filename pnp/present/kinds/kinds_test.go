// SPDX-License-Identifier: Apache-2.0

package kinds_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	backends "freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/kinds"
)

// TestOurClient: what our client announces for a path finds its presenter.
func TestOurClient(t *testing.T) {
	want := map[string]string{
		"serial": "serial", "hid": "hid", "file": "file", "char": "stream", "loopback": "stream",
		"pipe": "pipe", "srvsvc": "srvsvc", "provider": "stream", "image": "storage", "printer": "printer",
	}
	for _, k := range backends.All() {
		d := k.Describe("/dev/x")
		require.Equal(t, want[k.Name], kinds.All().Serving(&d).Name, k.Name)
		delete(want, k.Name)
	}
	require.Empty(t, want)
}

// TestDescriptions: what Windows clients announce, and ours for what it has found.
func TestDescriptions(t *testing.T) {
	for _, c := range []struct {
		want string
		pnp.Description
	}{
		{"serial", pnp.Description{HardwareIDs: []string{`*pnp0501`}}},
		{"serial", pnp.Description{
			HardwareIDs: []string{`USB\VID_0403&PID_6001&REV_0600`},
			Interfaces:  []pnp.GUID{{1}, pnp.GUID_DEVINTERFACE_COMPORT},
		}},
		{"hid", pnp.Description{HardwareIDs: []string{`HID\VID_05E0&PID_1200`, "HID_DEVICE"}}},
		{"printer", pnp.Description{CompatibleIDs: []string{`USB\Class_07&SubClass_01`, `USB\Class_07`}}},
		{"printer", pnp.Description{Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_USBPRINT}}},
		{"storage", pnp.Description{Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_WPD}}},
		{"storage", pnp.Description{CompatibleIDs: []string{`USB\Class_06&SubClass_01`, `USB\Class_06`}}},
		{"stream", pnp.Description{}},
	} {
		require.Equal(t, c.want, kinds.All().Serving(&c.Description).Name, "%+v", c.Description)
	}
}

// TestDocumentedKinds: the table of docs/agent.md has the kinds in their order, and what
// "data" is.
func TestDocumentedKinds(t *testing.T) {
	_, table, found := strings.Cut(devtest.Document(t, "docs/agent.md"), "| kind | devices | `data` is | beside it |\n|---|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	require.Len(t, rows, len(kinds.All()))
	for i, k := range kinds.All() {
		cells := strings.Split(rows[i], " | ")
		require.Equal(t, "| `"+k.Name+"`", cells[0])
		require.Equal(t, map[present.Data]string{present.Stream: "a stream", present.RandomAccess: "a file with a size"}[k.Data], cells[2], k.Name)
		// What is beside it comes from a presenter.
		require.Equal(t, k.Present != nil, strings.Contains(cells[3], "`"), k.Name)
	}
}

func TestTable(t *testing.T) {
	names := make(map[string]bool)
	for _, k := range kinds.All() {
		require.NotEmpty(t, k.Help)
		require.False(t, names[k.Name])
		names[k.Name] = true
		require.Equal(t, k.Name == "file", k.Data == present.RandomAccess)
		require.Equal(t, k.Name == "serial" || k.Name == "storage", k.Exclusive)
	}
}
