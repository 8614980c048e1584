// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// TestOptionProblems: each option that cannot be honoured has one line in the
// log, and the session goes on with the others.
func TestOptionProblems(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		missing := filepath.Join(t.TempDir(), "missing")
		c, r := f.connect("nonsense,name:early,loopback,guid:xyz,char:" + missing + ",file:/etc")
		require.Len(t, r.waitCount(1), 1)
		r.finish(c) // xfreerdp 2 prints its log when it ends
		for _, line := range []string{
			`option "nonsense": it is ignored: there is no such option; /dvc:pnpdr,help lists the options`,
			`option "name:early": it is ignored: there is no device before it`,
			`option "guid:xyz": it is ignored: "xyz" is not a GUID`,
			"device is not redirected option=char:" + missing + " err=it is not there",
			"device is not redirected option=file:/etc err=it is a directory",
		} {
			requireOutput(t, c, line)
		}
	})
}

func TestHelpAndNothing(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("")
		r.finish(c)
		requireOutput(t, c, "nothing is redirected; name devices as in /dvc:pnpdr,loopback")
		c, r = f.connect("help")
		r.finish(c)
		requireOutput(t, c, "max-event:BYTES")
	})
}

// TestSecondOptionIsDropped: FreeRDP drops all but the first /dvc:pnpdr, as the help
// and the documents say.
func TestSecondOptionIsDropped(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback,name:First", "/dvc:pnpdr,loopback,name:Second,nonsense")
		require.Equal(t, "First", r.waitCount(1)[0].Description().Name)
		r.finish(c)
		require.NotContains(t, c.Output(), "nonsense")
	})
}

func TestDescriptions(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		image := filepath.Join(t.TempDir(), "a,b.img")
		require.NoError(t, os.WriteFile(image, []byte("contents"), 0o600))
		c, r := f.connect(strings.Join([]string{
			"file:" + strings.ReplaceAll(image, ",", "%2C"), "name:Disk%2C small", `hwid:USB\VID_1+USB\VID_2`, `compat:USB\Class_08`,
			"guid:{53F56307-B6BF-11D0-94F2-00A0C91EFB8B}+6AC27878-A6FA-4155-BA85-F98F491D4F33",
			"container:11223344-5566-7788-99AA-BBCCDDEEFF00", "caps:removable+surprise", "optional", "ro",
		}, ","))
		container := pnp.MustGUID("11223344-5566-7788-99AA-BBCCDDEEFF00")
		caps := pnp.PNP_DEVCAPS_REMOVABLE | pnp.PNP_DEVCAPS_SURPRISEREMOVALOK
		require.Equal(t, &pnp.Description{
			Name:          "Disk, small",
			HardwareIDs:   []string{`USB\VID_1`, `USB\VID_2`},
			CompatibleIDs: []string{`USB\Class_08`},
			Interfaces: []pnp.GUID{
				pnp.MustGUID("{53F56307-B6BF-11D0-94F2-00A0C91EFB8B}"),
				pnp.MustGUID("{6AC27878-A6FA-4155-BA85-F98F491D4F33}"),
			},
			Container: &container,
			Caps:      &caps,
			Optional:  true,
		}, r.device("Disk, small").Description())
		h := r.open("Disk, small")
		p := make([]byte, 100)
		n, err := h.ReadAt(r.ctx, p, 0)
		require.NoError(t, err)
		require.Equal(t, "contents", string(p[:n]))
		_, err = h.WriteAt(r.ctx, []byte("x"), 0)
		hresult(t, pnp.ERROR_ACCESS_DENIED, err)
		r.finish(c)
	})
}
