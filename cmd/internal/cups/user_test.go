// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/devtest"
)

// others makes a folder with sessions, of which one is nobody's. In it is what an agent would
// make, in ordinary files: nobody cannot mount here.
func others(t *testing.T) (sessions, dir string, u user) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: printing for another user takes root")
	}
	u, err := lookUp(context.Background(), "nobody")
	require.NoError(t, err)
	sessions, err = os.MkdirTemp("", "sessions") // t.TempDir is root's alone
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(sessions) })
	require.NoError(t, os.Chmod(sessions, 0o755))
	dir = filepath.Join(sessions, fmt.Sprint(u.uid), "pnpdr", "Zebra")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "info.json"), []byte(`{"name": "Zebra", "kind": "printer"}`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o600))
	for d := dir; d != sessions; d = filepath.Dir(d) {
		require.NoError(t, os.Chown(d, u.uid, u.gid))
	}
	for _, name := range []string{"info.json", "data"} {
		require.NoError(t, os.Chown(filepath.Join(dir, name), u.uid, u.gid))
	}
	return sessions, dir, u
}

// TestOtherUser: root prints and lists as the user, and can do nothing that the user cannot.
func TestOtherUser(t *testing.T) {
	sessions, dir, u := others(t)
	to := []string{"DEVICE_URI=pnpdr://nobody/Zebra", impatientFor + "=1"}
	data := filepath.Join(dir, "data")
	r := start(t, sessions, "job", to, args()...)
	require.Zero(t, r.status())
	text, err := os.ReadFile(data)
	require.NoError(t, err)
	require.Equal(t, "job", string(text))
	r = start(t, sessions, "", nil)
	require.Zero(t, r.status())
	require.Equal(t, "direct pnpdr://nobody/Zebra \"Unknown\" \"Zebra of nobody\" \"\" \"\"\n", r.stdout.String())

	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.Symlink(secret, data+".new"))
	require.NoError(t, os.Rename(data+".new", data))
	require.NoError(t, os.WriteFile(secret, nil, 0o660)) // root's group may write, too
	for d := filepath.Dir(secret); d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	r = start(t, sessions, "job", to, args()...)
	require.Equal(t, statusFailed, r.status())
	r.says("ERROR: Zebra of nobody cannot be opened: permission denied")
	require.NoError(t, os.Remove(data))

	// A session's folder that is a link, or another's, is none.
	own := filepath.Join(sessions, fmt.Sprint(u.uid))
	require.NoError(t, os.Chown(own, 0, 0))
	require.NoError(t, os.Chmod(own, 0o755))
	noSession := func() {
		t.Helper()
		r := start(t, sessions, "job", to, args()...)
		require.Equal(t, statusRetryCurrent, r.status())
		r.says("INFO: waiting for Zebra of nobody: it is not there")
		r = start(t, sessions, "", nil)
		require.Zero(t, r.status())
		require.Empty(t, r.stdout.String())
	}
	noSession()
	require.NoError(t, os.Chown(own, u.uid, u.gid))
	require.NoError(t, os.Rename(own, own+"x"))
	require.NoError(t, os.Symlink(own+"x", own))
	noSession()
}

// TestForGood: nothing of root is left in the process, which cannot be traced either.
func TestForGood(t *testing.T) {
	sessions, _, u := others(t)
	cmd := exec.Command("/proc/self/exe", args()...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", sessionsDir + "=" + sessions, "DEVICE_URI=pnpdr://nobody/other"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{0, 7}}}
	var said devtest.Output
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	eventually(t, func() bool { return strings.Contains(said.String(), "waiting for other") }, "the job waits")
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	require.NoError(t, err)
	require.Greater(t, len(threads), 1)
	for _, name := range threads {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(text), fmt.Sprintf("\nUid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", u.uid))
		require.Contains(t, string(text), fmt.Sprintf("\nGid:\t%d\t%[1]d\t%[1]d\t%[1]d\n", u.gid))
		require.Regexp(t, `\nGroups:\s*\n`, string(text))
		require.Regexp(t, `\nCapPrm:\s0+\n`, string(text))
	}
	st, err := os.Stat(fmt.Sprintf("/proc/%d/mem", cmd.Process.Pid))
	require.NoError(t, err)
	require.Zero(t, st.Sys().(*syscall.Stat_t).Uid)
}

// TestNotRoot: CUPS runs a backend that others may execute as another user.
func TestNotRoot(t *testing.T) {
	sessions, _, u := others(t)
	cmd := exec.Command("/proc/self/exe", args()...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", sessionsDir + "=" + sessions, "DEVICE_URI=pnpdr://root/Zebra"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid)}}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, statusStop, cmd.ProcessState.ExitCode())
	require.Contains(t, string(out), "mode 0700")
}

func TestEntry(t *testing.T) {
	u, err := entry("alice:x:1000:1001:A:/home/alice:/bin/sh\n")
	require.NoError(t, err)
	require.Equal(t, user{"alice", 1000, 1001}, u)
	for _, line := range []string{"", "alice", "alice:x:-1:1001:::", "alice:x:4294967295:1:::", "alice:x:1:y:::"} {
		_, err := entry(line)
		require.Error(t, err, line)
	}
}
