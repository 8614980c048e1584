// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/internal/devnode"
)

func TestOptions(t *testing.T) {
	o, problems := parseOptions([]string{
		"loopback", "file:/img,a", "name:Disk%2C 100%25", "ro", "char:/dev/x", "caps:removable+lock", "handles:2",
		"serial:/dev/ttyUSB0", "name:Meter", "usb:0403:*", "auto", "", "max-reply:64K", "max-requests:7",
	})
	require.Empty(t, problems)
	require.Len(t, o.devices, 4)
	require.Equal(t, loopback.DefaultDescription(), o.devices[0].describe())
	disk := o.devices[1]
	require.Equal(t, "/img,a", disk.path)
	require.True(t, disk.settings.ReadOnly)
	require.Equal(t, pnp.Description{Name: "Disk, 100%", HardwareIDs: []string{`PNPDR\FILE`}}, disk.describe())
	require.Equal(t, 2, o.devices[2].settings.Limits.Handles)
	require.Equal(t, pnp.PNP_DEVCAPS_REMOVABLE|pnp.PNP_DEVCAPS_LOCKSUPPORTED, *o.devices[2].settings.Description.Caps)

	port := o.devices[3]
	require.Equal(t, "Meter", port.describe().Name)
	require.Equal(t, []string{`PNPDR\SERIAL`}, port.describe().HardwareIDs)
	require.True(t, o.rules.Auto)
	require.Len(t, o.rules.Rules, 2)

	want := client.DefaultLimits()
	want.ReplyData, want.HandleRequests = 64<<10, 7
	require.Equal(t, want, o.limits)
}

// TestProblems: each says what, why and what becomes of it, and what belongs to
// a device that is left out is not taken for the device before it.
func TestProblems(t *testing.T) {
	for word, want := range map[string]string{
		"nonsense":      "it is ignored: there is no such option",
		"loopback:x":    "it is ignored: it takes no value",
		"char:":         "it is ignored: the path is missing, as in char:/dev/NAME",
		"max-reply:x":   `it is ignored: "x" is no number from 1 to 2147483647, such as 100, 64K or 16M`,
		"max-reply:0":   `it is ignored: "0" is no number from 1 to 2147483647`,
		"guid:x":        "it is ignored: there is no device before it that it could belong to",
		"hid:":          "until it is corrected it denies every device",
		"rule:perhaps":  `"perhaps" is neither allow nor deny`,
		"usb:0403":      "vendor and product are missing",
		"max-devices:-": "it is ignored",
	} {
		_, problems := parseOptions([]string{word})
		require.Len(t, problems, 1, word)
		require.Contains(t, problems[0], want)
		require.Contains(t, problems[0], `option "`+word+`": `)
		require.Contains(t, problems[0], "/dvc:pnpdr,help lists the options")
	}
	o, problems := parseOptions([]string{"loopback", "char:", "ro"})
	require.Len(t, problems, 2)
	require.Len(t, o.devices, 1)
	require.False(t, o.devices[0].settings.ReadOnly)
}

func TestObstacles(t *testing.T) {
	dir := t.TempDir()
	regular := filepath.Join(dir, "regular")
	require.NoError(t, os.WriteFile(regular, nil, 0o600))
	for _, c := range []struct {
		kind       kind
		path, want string
	}{
		{kindFile, filepath.Join(dir, "missing"), "it is not there; it will be redirected when it appears"},
		{kindFile, dir, "it is a directory"},
		{kindFile, "/dev/null", "name it as char:/dev/null"},
		{kindChar, regular, "name it as file:" + regular},
		{kindSerial, regular, "it is no character device"},
		{kindFile, regular, ""},
		{kindChar, "/dev/null", ""},
	} {
		err := (&namedDevice{kind: c.kind, path: c.path}).obstacle()
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.want)
	}
}

// TestOnlyWhatWasJudgedIsOpened: between the decision and the open a path can
// come to lead to another device.
func TestOnlyWhatWasJudgedIsOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/dev/null", path))
	open := func(k kind, judgedNode string) (pnp.Handle, error) {
		node, err := devnode.Identify(judgedNode)
		require.NoError(t, err)
		d, err := newDevice(k, backend.Source{Path: path, Verify: judged(node, nil)})
		require.NoError(t, err)
		return d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: pnp.OPEN_EXISTING})
	}
	for _, k := range []kind{kindChar, kindFile, kindSerial, kindHID} {
		_, err := open(k, "/dev/zero")
		require.Equal(t, pnp.ERROR_ACCESS_DENIED, pnp.HRESULTOf(err), k)
		require.ErrorContains(t, err, "another node than the one that was allowed")
	}
	h, err := open(kindChar, path)
	require.NoError(t, err)
	h.Close()
}
