// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// buildSessions compiles a client that runs several sessions in one process.
func buildSessions(t *testing.T, major int) string {
	t.Helper()
	name := func(pkg string) string { return fmt.Sprintf("%s%d", pkg, major) }
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", name("freerdp-client"), name("freerdp"), name("winpr")).Output()
	if err != nil {
		t.Skipf("NOT TESTED with FreeRDP %d: its client headers are not installed", major)
	}
	program := filepath.Join(t.TempDir(), "sessions")
	args := append([]string{"-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations", "-o", program, "testdata/sessions.c"},
		strings.Fields(string(flags))...)
	out, err := exec.Command("cc", append(args, "-lpthread")...).CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

// TestSessionsInOneProcess runs two sessions at once in one process, twice:
// each has its own devices and ids, and the second pair finds nothing left of
// the first.
func TestSessionsInOneProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("freerdp%d", major), func(t *testing.T) {
			f := newFixture(t, "sessions")
			o := f.clientOptions("loopback")
			o.Wrapper = []string{buildSessions(t, major), "2", "2"}
			c := servertest.StartClient(t, o)
			for range 2 {
				a, b := f.next(c), f.next(c)
				ha, hb := a.open(fakeDevice), b.open(fakeDevice)
				_, err := ha.WriteAt(a.ctx, []byte("a's"), 0)
				require.NoError(t, err)
				p := make([]byte, 3)
				_, err = hb.ReadAt(b.ctx, p, 0)
				require.NoError(t, err)
				require.Equal(t, make([]byte, 3), p, "the sessions share a device")

				// One ends with a request pending; the other goes on.
				ended := pendingWait(ha)
				close(a.end)
				require.Error(t, <-ended)
				_, err = hb.IOControl(b.ctx, loopback.IOCTL_ECHO, []byte("b's"), p)
				require.NoError(t, err)
				require.Equal(t, "b's", string(p))
				close(b.end)
			}
			require.NoError(t, c.Wait())
			requireOutput(t, c, "4 sessions, 0 failed")
			requireClean(t, c)
		})
	}
}
