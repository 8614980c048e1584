// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/discover/discovertest"
)

// infos are the messages of the log at the default level or above.
func (m *machine) infos() []string {
	var lines []string
	for _, line := range strings.Split(m.log.String(), "\n") {
		if line != "" && !strings.Contains(line, "level="+slog.LevelDebug.String()) {
			lines = append(lines, strings.ReplaceAll(line, m.Dev, "/dev"))
		}
	}
	return lines
}

// summaryOf starts a session and returns its summary.
func (m *machine) summaryOf(admin string, words ...string) string {
	m.t.Helper()
	m.start(admin, "", words...)
	found := regexp.MustCompile(`msg="TEST: (.*)"`).FindStringSubmatch(strings.Join(m.infos(), "\n"))
	require.NotNil(m.t, found, m.log.String())
	return strings.ReplaceAll(found[1], `\"`, `"`)
}

func TestSummary(t *testing.T) {
	const idle = "nothing is redirected; name devices as in /dvc:pnpdr,loopback,char:/dev/ttyUSB0 (/dvc:pnpdr,help lists the options)"
	dir := t.TempDir()
	regular := filepath.Join(dir, "regular")
	require.NoError(t, os.WriteFile(regular, nil, 0o600))
	for _, c := range []struct {
		admin, words, want string
	}{
		{"", "", idle},
		{"", "help", idle},
		{"", "loopback", "redirecting loopback"},
		{"", "file:" + regular, "redirecting file:" + regular},
		{"", "file:" + dir, "nothing is redirected; not redirected: file:" + dir + " (it is a directory; name a file or a device node)"},
		{"", "loopback file:" + dir + " loopback ro", "redirecting loopback; not redirected: file:" + dir +
			" (it is a directory; name a file or a device node), loopback (loopback cannot be read-only)"},
		{"", "auto", "redirecting FT232R USB UART at /dev/ttyUSB0, Dual Action at /dev/hidraw0"},
		{deny(`vid = "*"`), "auto", "nothing is redirected: no device that is there is eligible and allowed (pnpdr list --all shows them)"},
		{"", "usb:0403:6001 usb:1:2", "redirecting FT232R USB UART at /dev/ttyUSB0; not redirected: usb:1:2 (it is not plugged in; it will be redirected when it is)"},
		{deny(`vid = "046d"`), "usb:046d:c216 auto", "redirecting FT232R USB UART at /dev/ttyUSB0; not redirected: " +
			"Dual Action at /dev/hidraw0 (the administrator denies it: rule 1 of ADMIN (line 1): deny vid=046d; " +
			"only the administrator of this machine can change that)"},
	} {
		m := newMachine(t)
		m.name = "TEST"
		m.Plug(discovertest.FTDI("A1"))
		m.Plug(discovertest.Gamepad())
		m.Plug(discovertest.Keyboard())
		got := m.summaryOf(c.admin, strings.Fields(c.words)...)
		got = regexp.MustCompile(`/\S*/admin.toml`).ReplaceAllString(got, "ADMIN")
		require.Equal(t, c.want, got)
	}
}

// TestNamedButNotRedirected checks that there is one line about each device that the
// user names and does not get, with the reason and the advice.
func TestNamedButNotRedirected(t *testing.T) {
	m := newMachine(t)
	var plugged []*discovertest.Plugged
	for _, d := range []discovertest.USB{
		discovertest.Gamepad(), discovertest.RandomGenerator(), discovertest.Stick(), discovertest.Webcam(),
		discovertest.Mouse(), discovertest.CardReader(), // which the user does not name
	} {
		plugged = append(plugged, m.Plug(d))
	}
	m.start(deny(`vid = "046d"`), "[[rule]]\naction = \"allow\"\nvid = \"0781\"\npid = \"5567\"\n",
		"usb:046d:c216", "usb:1d50:60c6", "usb:0c45:*", "auto")
	for _, p := range plugged { // the device changes, the reason does not
		m.SetAttribute(p.Key, "serial", "changed")
		m.Trigger("change", p.Key, "usb")
	}
	require.Empty(t, m.redirected())
	require.Contains(t, m.log.String(), `msg="device changed"`)
	var got []string
	for _, line := range m.infos() {
		if _, why, ok := strings.Cut(line, `msg="device is not redirected" device=`); ok {
			got = append(got, regexp.MustCompile(`node=\S+ `).ReplaceAllString(why, ""))
		}
	}
	want := []string{
		`"Dual Action" err="the administrator denies it: .*; only the administrator of this machine can change that"`,
		`ChaosKey-hw-1.0 err="no backend for vendor-specific devices yet; to pass its bytes as they are: rule:allow.*backend=char"`,
		`"Cruzer Blade" err="mass storage: RDP redirects drives by a channel of its own"`,
		`"Integrated Webcam .interface 0." err="a video device: RDP has a camera channel of its own"`,
		`"Integrated Webcam .interface 2." err="an audio device: RDP has sound channels of its own"`,
	}
	require.Len(t, got, len(want), "%q", got)
	for i := range want {
		require.Regexp(t, want[i], got[i])
	}
}
