// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// TestUHIDRules: with the packaged rules of udev, a user who is in the group gets a
// keyboard's hidraw node, which nobody else does, and nothing that types.
func TestUHIDRules(t *testing.T) {
	if os.Getenv("PNPDR_TEST_USER") != "" {
		presentAsUser(t)
		return
	}
	if os.Getenv("PNPDR_VM") == "" {
		t.Skip("NOT TESTED: udev, which scripts/vm/tests uses in a virtual machine")
	}
	const group, user = "65500", "65501"
	udevadm := func(args ...string) {
		t.Helper()
		out, err := exec.Command("udevadm", args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	asUser := func() string {
		cmd := exec.Command("setpriv", "--reuid", user, "--regid", user, "--groups", group, os.Args[0], "-test.run=^TestUHIDRules$", "-test.v")
		cmd.Env = append(os.Environ(), "PNPDR_TEST_USER=1", "TMPDIR="+userDir(t))
		out, _ := cmd.CombinedOutput()
		return string(out)
	}

	// Only the group's access.
	require.NoError(t, os.Chown("/dev/uhid", 0, 65500))
	require.NoError(t, os.Chmod("/dev/uhid", 0o660))
	require.Contains(t, asUser(), "must not reach the desktop")

	require.NoError(t, os.Chown("/dev/uhid", 0, 0))
	require.Contains(t, asUser(), "71-pnpdr-uhid.rules gives a group the right")

	groups, err := os.ReadFile("/etc/group")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("/etc/group", append([]byte("pnpdr:x:"+group+":\n"), groups...), 0o644)) // the first counts
	rules, err := os.ReadFile("../../../build/udev/71-pnpdr-uhid.rules")
	require.NoError(t, err)
	const installed = "/run/udev/rules.d/71-pnpdr-uhid.rules"
	require.NoError(t, os.MkdirAll(filepath.Dir(installed), 0o755))
	require.NoError(t, os.WriteFile(installed, rules, 0o644))
	t.Cleanup(func() {
		require.NoError(t, os.Remove(installed))
		require.NoError(t, os.WriteFile("/etc/group", groups, 0o644))
		udevadm("control", "--reload")
	})
	udevadm("control", "--reload")
	udevadm("trigger", "--action=change", "--settle", "/dev/uhid")
	out := asUser()
	require.Contains(t, out, "user 65501 has /dev/hidraw", out)
	require.Contains(t, out, "mode 0600 of 65501")
	require.Contains(t, out, "inhibited 1")
}

// userDir is a folder for the user.
func userDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "user")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

// presentAsUser presents a keyboard and says what came of it.
func presentAsUser(t *testing.T) {
	d := presenttest.NewPair(t, server.Config{}, newFakeHID(keyboard)).Device("Scale", &present.Kind{})
	p, err := Present(bg, d)
	require.NoError(t, err)
	defer p.Close()
	node, err := os.Readlink(filepath.Join(d.Dir, Link))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return unix.Access(node, unix.R_OK|unix.W_OK) == nil }, presenttest.Patience, 1e6)
	fmt.Println("user", os.Getuid(), "has", node)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(node, &st))
	fmt.Printf("mode %04o of %d\n", st.Mode&0o7777, st.Uid)
	found, _ := filepath.Glob("/sys/class/hidraw/" + filepath.Base(node) + "/device/input/input*/inhibited")
	require.Len(t, found, 1)
	b, err := os.ReadFile(found[0])
	require.NoError(t, err)
	fmt.Println("inhibited", strings.TrimSpace(string(b)))
}
