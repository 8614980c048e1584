// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	filebackend "freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/internal/fusetest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// The processes of a test must not use its file systems by the runtime's poller, and not
// wait for themselves: so tests use other programs, and otherwise package unix.

var bg = context.Background()

var (
	streamKind = &present.Kind{Name: "stream", Data: present.Stream}
	randomKind = &present.Kind{Name: "random", Data: present.RandomAccess}
)

// needFUSE skips the test where no file system can be mounted.
func needFUSE(t testing.TB) {
	t.Helper()
	if err := fusetest.Unavailable(); err != nil {
		if _, missing := findFusermount(); missing != nil {
			t.Skipf("%v, and there is no fusermount3", err)
		}
	}
}

// mountFS mounts a file system for the test.
func mountFS(t *testing.T) *FS {
	t.Helper()
	needFUSE(t)
	f, err := Mount(filepath.Join(t.TempDir(), "mnt"), presenttest.Log(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, closeFS(t, f)) })
	return f
}

// closeFS closes f, and fails the test if that hangs.
func closeFS(t *testing.T, f *FS) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f.Close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(presenttest.Patience):
		t.Fatal("Close hangs")
		return nil
	}
}

// add adds a device of the pair and returns the path of its data.
func add(t *testing.T, f *FS, p *presenttest.Pair, name string, kind *present.Kind) string {
	t.Helper()
	remove := f.Add(p.Device(name, kind), Shape{Data: kind.Data})
	t.Cleanup(remove)
	return filepath.Join(f.Path(), name, "data")
}

// fileDevice is a device of a file at the client.
func fileDevice(t *testing.T, path string, readOnly bool) pnp.Device {
	t.Helper()
	d, err := filebackend.New(backend.Source{Path: path, ReadOnly: readOnly, Description: pnp.Description{Name: "disk"}})
	require.NoError(t, err)
	return d
}

// newFile makes a file at the client with this content.
func newFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// disk presents a file of the client's, and returns both paths.
func disk(t *testing.T, content []byte) (local, data string) {
	t.Helper()
	local = newFile(t, content)
	p := presenttest.NewPair(t, server.Config{}, fileDevice(t, local, false))
	return local, add(t, mountFS(t), p, "disk", randomKind)
}

// pattern returns n bytes that differ wherever they are cut.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*31
	}
	return b
}

// run runs a program of this machine, and returns what it writes.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(t, nil, name, args...)
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
	return out
}

// try is run for a program that may fail.
func try(t *testing.T, stdin io.Reader, name string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), presenttest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &out
	err = cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s %s hangs", name, strings.Join(args, " "))
	}
	return out.String(), err
}
