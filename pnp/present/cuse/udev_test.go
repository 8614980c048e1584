// SPDX-License-Identifier: Apache-2.0

//go:build !ppc && !ppc64 && !ppc64le

package cuse

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
	"freerdp-pnpdr/pnp/present/presenttest"
)

const (
	group        = 4711
	user         = 4712
	otherUser    = 4713
	asUser       = "PNPDR_TEST_CUSE_DIR"
	rulesInstall = "/run/udev/rules.d/71-pnpdr-cuse.rules"
)

// TestGroup: with the udev rules, a user of the group has terminals, which other users of
// the group may not open.
func TestGroup(t *testing.T) {
	if os.Getenv("PNPDR_VM") == "" {
		t.Skip("NOT TESTED: the udev rules for /dev/cuse, which scripts/vm/tests uses in a virtual machine")
	}
	groups, err := os.OpenFile("/etc/group", os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = fmt.Fprintf(groups, "pnpdr:x:%d:\n", group)
	require.NoError(t, err)
	require.NoError(t, groups.Close())
	rules, err := os.ReadFile("../../../build/udev/71-pnpdr-cuse.rules")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(rulesInstall), 0o755))
	require.NoError(t, os.WriteFile(rulesInstall, rules, 0o644))
	for _, c := range [][]string{
		{"modprobe", "cuse"},
		{"udevadm", "control", "--reload"},
		{"udevadm", "trigger", "--name-match=cuse"},
		{"udevadm", "settle"},
	} {
		out, err := exec.Command(c[0], c[1:]...).CombinedOutput()
		require.NoError(t, err, "%v: %s", c, out)
	}

	dir, err := os.MkdirTemp("", "pnpdr")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	program, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	path := filepath.Join(dir, "tests")
	require.NoError(t, os.WriteFile(path, program, 0o755))
	folder := filepath.Join(dir, "folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	require.NoError(t, os.Chown(folder, user, group))

	cmd := exec.Command(path, "-test.run", "^TestAsUser$", "-test.v")
	cmd.Dir, cmd.Env = "/", []string{asUser + "=" + folder}
	cmd.SysProcAttr = credential(user)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	node, output := "", ""
	lines := bufio.NewScanner(stdout)
	for node == "" && lines.Scan() {
		output += lines.Text() + "\n"
		if n, ok := strings.CutPrefix(lines.Text(), "node "); ok {
			node = n
		}
	}
	require.Equal(t, fmt.Sprintf("/dev/pnpdr-%d-0", user), node, output)

	stty := func(uid uint32) (string, error) {
		c := exec.Command("stty", "-F", node, "19200")
		c.SysProcAttr = credential(uid)
		c.Env = []string{"LC_ALL=C"}
		out, err := c.CombinedOutput()
		return string(out), err
	}
	out, err := stty(user)
	require.NoError(t, err, out)
	out, err = stty(otherUser)
	require.Error(t, err)
	require.Contains(t, out, "Permission denied")

	require.NoError(t, stdin.Close())
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), "%s", rest)
	_, err = os.Lstat(node)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func credential(uid uint32) *unix.SysProcAttr {
	return &unix.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, Groups: []uint32{group}}}
}

// TestAsUser is run by TestGroup: it has a terminal until its input ends.
func TestAsUser(t *testing.T) {
	dir := os.Getenv(asUser)
	if dir == "" {
		t.Skip("TestGroup runs it")
	}
	p := presenttest.NewPair(t, server.Config{}, porttest.NewForged("meter", porttest.Obey))
	of := p.Device("meter", &present.Kind{Name: "serial", Exclusive: true})
	of.Dir = dir
	terminal, err := Present(context.Background(), of)
	require.NoError(t, err)
	defer terminal.Close()
	node, err := os.Readlink(filepath.Join(dir, linkName))
	require.NoError(t, err)
	fmt.Println("node " + node)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
