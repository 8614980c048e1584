// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/xrdp/xrdptest"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/folder"
)

// TestKilledAgent: programs that use the devices of an agent that is killed end, and the
// next agent finds nothing in its way.
func TestKilledAgent(t *testing.T) {
	f := xrdptest.New(t, newClient(t, "Scale"))
	dir := filepath.Join(t.TempDir(), "pnpdr")
	mounts := func() int {
		text, err := os.ReadFile("/proc/self/mounts")
		require.NoError(t, err)
		return strings.Count(string(text), " "+dir+"/")
	}
	t.Cleanup(func() {
		// If the test has failed, the last agent was killed, too.
		lock, err := folder.Claim(dir)
		require.NoError(t, err)
		lock.Release()
	})
	// start waits for the device of the new agent: there may be the old one's folder.
	start := func() *process {
		p := startIn(t, f, dir)
		require.Eventually(t, func() bool {
			r, err := folder.Query(dir)
			return err == nil && r.PID == p.cmd.Process.Pid && len(r.Devices) == 1
		}, watchdog, time.Millisecond)
		p.wait("Scale")
		return p
	}
	p := start()
	files := mounts() // none where there is no FUSE
	for i := range 3 {
		p.control()
		if files > 0 {
			var out devtest.Output
			reader := exec.Command("sh", "-c", `exec 3<data && echo open && while dd bs=16 count=1 <&3 >/dev/null 2>&1; do :; done`)
			reader.Dir = filepath.Join(dir, "Scale")
			reader.Stdout = &out
			require.NoError(t, reader.Start())
			require.Eventually(t, func() bool { return out.String() != "" }, watchdog, time.Millisecond)
			time.Sleep(time.Duration(i) * 7 * time.Millisecond) // anywhere in what it does
			require.NoError(t, p.cmd.Process.Kill())
			require.NoError(t, reader.Wait())
		} else {
			require.NoError(t, p.cmd.Process.Kill())
		}
		_ = p.cmd.Wait()
		p = start()
		require.Equal(t, files, mounts())
	}
	p.control()
	p.end()
	require.Zero(t, mounts())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1) // the lock
}
