// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// need skips the test where it cannot run.
func need(t *testing.T, ok bool, what string) {
	t.Helper()
	if !ok {
		t.Skip("not run: it needs " + what)
	}
}

// TestXrdp runs itself in a session of xrdp, where it is the program that uses the
// client's device.
func TestXrdp(t *testing.T) {
	if os.Getenv("PNPDR_IN_XRDP") != "" {
		t.Run("traffic", traffic)
		t.Run("reconnect", reconnect)
		return
	}
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	need(t, os.Geteuid() == 0, "root, for namespaces and a user of its own")
	root := os.Getenv("PNPDR_XRDP_ROOT")
	for _, name := range []string{"/usr/sbin/xrdp-sesman", "/usr/lib/xorg/Xorg", "/usr/lib/xorg/modules/libxorgxrdp.so"} {
		_, installed := os.Stat(name)
		_, unpacked := os.Stat(root + name)
		need(t, installed == nil || unpacked == nil, "xrdp and xorgxrdp, installed or in PNPDR_XRDP_ROOT: "+name)
	}
	for _, name := range []string{"unshare", "xfreerdp3", "Xvfb", "openssl", "ip"} {
		_, err := exec.LookPath(name)
		need(t, err == nil, name)
	}
	out, err := filepath.Abs("../../out")
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(out, "libpnpdr-preload.so"))
	need(t, err == nil, "the plugin: scripts/build")

	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o777))
	copySelf(t, filepath.Join(folder, "inside"))

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	// Whatever is left running ends with the first process of the namespace.
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
		"/bin/bash", "testdata/session.sh", folder, out, root)
	output, err := cmd.CombinedOutput()
	status, _ := os.ReadFile(filepath.Join(folder, "status"))
	inside, _ := os.ReadFile(filepath.Join(folder, "inside.log"))
	t.Logf("inside the session:\n%s", inside)
	if err == nil && strings.TrimSpace(string(status)) == "0" {
		return
	}
	t.Errorf("session.sh: %v, status %q\n%s", err, status, output)
	logs, _ := filepath.Glob(filepath.Join(folder, "*.log"))
	for _, name := range logs {
		b, _ := os.ReadFile(name)
		t.Logf("%s:\n%s", filepath.Base(name), b[max(0, len(b)-3000):])
	}
}

func copySelf(t *testing.T, to string) {
	self, err := os.Executable()
	require.NoError(t, err)
	in, err := os.Open(self)
	require.NoError(t, err)
	defer in.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	defer f.Close()
	_, err = io.Copy(f, in)
	require.NoError(t, err)
	require.NoError(t, f.Chmod(0o755))
}
