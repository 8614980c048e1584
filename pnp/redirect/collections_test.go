// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestCollections: a HID node of which Windows makes two devices is two devices, which come
// and go together, whether it is found or named.
func TestCollections(t *testing.T) {
	for _, named := range []bool{false, true} {
		m := newMachine(t)
		m.RealNodes()
		p := m.Plug(discovertest.Panel())
		m.name = "TEST"
		option, summary := "auto", "Panel at "+p.Nodes[0]+" (2 collections)"
		if named {
			option = "hid:" + p.Nodes[0]
			summary = option + " (2 collections)"
		}
		m.start("", "", option)
		require.Equal(t, "+Panel (collection 1)", m.event())
		require.Equal(t, "+Panel (collection 2)", m.event())
		require.Contains(t, m.log.String(), "TEST: redirecting "+summary+`"`)
		devices := m.remote.Devices()
		require.Len(t, devices, 2)
		var containers []pnp.GUID
		for n, d := range devices {
			about := d.Description()
			require.Equal(t, []string{`HID\VID_1209&PID_0007&REV_0100&Col01`, `HID\VID_1209&PID_0007&REV_0100&Col02`}[n], about.HardwareIDs[0])
			require.NotContains(t, strings.Join(about.HardwareIDs, " "), []string{"Col02", "Col01"}[n])
			containers = append(containers, *about.Container)
		}
		require.Equal(t, containers[0], containers[1], "they are one physical device")
		p.Unplug()
		require.ElementsMatch(t, []string{"-Panel (collection 1)", "-Panel (collection 2)"}, []string{m.event(), m.event()})
		if !named {
			m.Plug(discovertest.Panel())
			require.Equal(t, "+Panel (collection 1)", m.event())
			require.Equal(t, "+Panel (collection 2)", m.event())
		}
	}
}

// TestCollectionsCount: each is a device of max-devices, and a node is redirected with all
// of them or not at all.
func TestCollectionsCount(t *testing.T) {
	m := newMachine(t)
	meter := m.Plug(discovertest.FTDI("A1"))
	m.start("", "", "auto", "max-devices:2")
	require.Equal(t, "+FT232R USB UART", m.event())
	panel := m.Plug(discovertest.Panel())
	require.Eventually(t, func() bool { return strings.Contains(m.log.String(), "a limit of this session is reached") }, time.Minute, time.Millisecond)
	require.Empty(t, m.come, "one collection without the other")
	meter.Unplug()
	require.Equal(t, "-FT232R USB UART", m.event())
	require.Equal(t, "+Panel (collection 1)", m.event())
	require.Equal(t, "+Panel (collection 2)", m.event())
	panel.Unplug()
	require.ElementsMatch(t, []string{"-Panel (collection 1)", "-Panel (collection 2)"}, []string{m.event(), m.event()})
}

// TestCollectionsAreThoseThatWereJudged: each open looks again. If the node's collections
// are others now, none of them opens.
func TestCollectionsAreThoseThatWereJudged(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	panel := discovertest.Panel()
	panel.Interfaces[0].Target = "/dev/null"
	p := m.Plug(panel)
	m.numberIs(p.Keys[0])
	m.start("", "", "auto")
	require.Equal(t, "+Panel (collection 1)", m.event())
	require.Equal(t, "+Panel (collection 2)", m.event())
	opens := func() (results []pnp.HRESULT) {
		for _, d := range m.remote.Devices() {
			_, err := d.Open(context.Background(), server.OpenOptions{})
			results = append(results, pnp.HRESULTOf(err))
		}
		return results
	}
	// Opened, and then found not to be a hidraw node.
	require.Equal(t, []pnp.HRESULT{pnp.ERROR_NOT_SUPPORTED, pnp.ERROR_NOT_SUPPORTED}, opens())
	file := filepath.Join(m.Sys, filepath.Dir(filepath.Dir(p.Keys[0])), "report_descriptor")
	report, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(report[len(report)/2:], report[:len(report)/2]...), 0o600))
	require.Equal(t, []pnp.HRESULT{pnp.ERROR_ACCESS_DENIED, pnp.ERROR_ACCESS_DENIED}, opens())
}
