// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cmd/internal/manpages"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/folder"
)

// runMain runs the program until it ends.
func runMain(ctx context.Context, stdin string, args ...string) (status int, stdout, stderr string) {
	var out, err devtest.Output
	c := &cli{stdin: strings.NewReader(stdin), stdout: &out, stderr: &err, quiet: func() {}}
	status = c.run(ctx, args)
	return status, out.String(), err.String()
}

func TestHelpAndVersion(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		status, out, errs := runMain(context.Background(), "", arg)
		require.Equal(t, exitOK, status)
		require.Empty(t, errs)
		require.Contains(t, out, "--listen ADDRESS")
		require.Contains(t, out, "pnpdr-server script")
	}
	for _, args := range []string{"help script", "script", "script --help"} {
		status, out, errs := runMain(context.Background(), "", strings.Fields(args)...)
		require.Equal(t, exitOK, status)
		require.Empty(t, errs)
		require.Equal(t, strings.Join(scriptHelp(), "\n"), strings.TrimSpace(out), args)
	}
	status, out, _ := runMain(context.Background(), "", "--version")
	require.Equal(t, exitOK, status)
	require.Equal(t, "pnpdr-server "+version+" ("+runtime.Version()+")\n", out)
}

func TestManual(t *testing.T) {
	dir := t.TempDir()
	root := (&cli{}).command()
	require.NoError(t, manpages.Write(root, dir))
	page, err := os.ReadFile(filepath.Join(dir, "pnpdr-server.1"))
	require.NoError(t, err)
	root.Flags().VisitAll(func(f *pflag.Flag) { require.Contains(t, string(page), "--"+f.Name) })
	page, err = os.ReadFile(filepath.Join(dir, "pnpdr-server-script.1"))
	require.NoError(t, err)
	for _, c := range commands() {
		require.Contains(t, string(page), c.String())
	}
}

func TestUsageErrors(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(script, []byte("list\n\nread h\n"), 0o600))
	for args, want := range map[string]string{
		"--nothing":                "see pnpdr-server --help",
		"now":                      `unexpected argument "now"`,
		"--cert c":                 "--cert and --key go together",
		"--timeout 0s":             "--timeout must be more than 0",
		"--pipe unix:/x":           "it is written NAME=unix:PATH",
		"--pipe x=tcp:0.0.0.0:1":   "is not on the loopback",
		"--script /none/x":         "no such file",
		"--input":                  "--as and --input need --mount",
		"--mount /none/m --as x=y": `--as: "x=y": "y" is not one of`,
		"--script " + script:       "script: line 3: usage: read HANDLE",
		"--listen 127.0.0.1:0 now": `unexpected argument "now"`,
	} {
		status, out, errs := runMain(context.Background(), "", strings.Fields(args)...)
		require.Equal(t, exitUsage, status, args)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}
}

func TestCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	status, _, errs := runMain(context.Background(), "", "--listen", taken.Addr().String())
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "address already in use")

	status, _, errs = runMain(context.Background(), "", "--listen", "127.0.0.1:0", "--pipe", "x=tcp:"+taken.Addr().String())
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "address already in use")

	status, _, errs = runMain(context.Background(), "", "--listen", "127.0.0.1:0", "--port-file", "/none/port")
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "/none")

	dir := filepath.Join(t.TempDir(), "m")
	lock, err := folder.Claim(dir)
	require.NoError(t, err)
	defer lock.Release()
	status, _, errs = runMain(context.Background(), "", "--listen", "127.0.0.1:0", "--mount", dir)
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "another program serves devices there")
}

// TestInterrupted interrupts a server that waits for clients: without a script
// that is how it ends, with one it is a failure.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	port := filepath.Join(t.TempDir(), "port")
	status, out, errs := runMain(ctx, "", "--listen", "127.0.0.1:0", "--port-file", port)
	require.Equal(t, exitOK, status)
	require.Empty(t, errs)
	number, err := os.ReadFile(port)
	require.NoError(t, err)
	require.Equal(t, "listening on 127.0.0.1:"+string(number), out)

	status, _, errs = runMain(ctx, "list\n", "--listen", "127.0.0.1:0", "--script", "-")
	require.Equal(t, exitFailed, status)
	require.Contains(t, errs, "interrupted")
}
