// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/devtest"
)

// reference is pnpdr-server, with a client.
type reference struct {
	t   *testing.T
	cmd *exec.Cmd
	dir string // of --mount
}

// startReference starts pnpdr-server and a client that redirects what it finds.
func (f *fixture) startReference(t *testing.T) *reference {
	t.Helper()
	binary := os.Getenv("PNPDR_SERVER")
	require.NotEmpty(t, binary, "$PNPDR_SERVER names the program")
	r := &reference{t: t, dir: filepath.Join(t.TempDir(), "devices")}
	port := filepath.Join(t.TempDir(), "port")
	r.cmd = exec.Command(binary, "--listen", "127.0.0.1:0", "--port-file", port, "--mount", r.dir, "--timeout", servertest.Patience.String())
	r.cmd.Dir = t.TempDir()
	var output devtest.Output
	r.cmd.Stdout, r.cmd.Stderr = &output, &output
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("pnpdr-server:\n%s", output.String())
		}
	})
	waitFor(t, "pnpdr-server", func() bool { _, err := os.Stat(port); return err == nil })
	number, err := os.ReadFile(port)
	require.NoError(t, err)
	servertest.StartClient(t, servertest.ClientOptions{
		Binary: f.binary, Display: f.display, Addr: "127.0.0.1:" + strings.TrimSpace(string(number)), Args: []string{"/dvc:pnpdr,auto"},
	})
	return r
}

// finish ends the server, which takes its folder away.
func (r *reference) finish() {
	r.t.Helper()
	require.NoError(r.t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(r.t, r.cmd.Wait())
	require.False(r.t, matches(filepath.Join(r.dir, "[0-9]*")))
}
