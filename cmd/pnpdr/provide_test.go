// SPDX-License-Identifier: Apache-2.0

//go:build !man

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/provider"
	"freerdp-pnpdr/pnp/devtest"
)

// TestProvide: a terminal is served from a process of its own. When a signal ends it, the
// device goes and the terminal's settings are restored.
func TestProvide(t *testing.T) {
	master, slave := devtest.OpenPTY(t)
	settings := func() unix.Termios {
		tio, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
		require.NoError(t, err)
		return *tio
	}
	before := settings()
	socket := filepath.Join(t.TempDir(), "meter")
	cmd := program(t, nil, os.Stderr, "provide", "--socket", socket, "char:"+slave, "name:Meter")

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	come, gone := make(chan pnp.Device, 1), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- provider.Attend(ctx, backend.Source{
			Path: socket, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Describe: func(d pnp.Description) pnp.Description { return d },
			Owner:    func(uint32) error { return nil },
		}, func(d pnp.Device) (func(), error) {
			come <- d
			return func() { close(gone) }, nil
		})
	}()
	d := <-come
	require.Equal(t, "Meter", d.Description().Name)
	h, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE, Disposition: pnp.OPEN_EXISTING})
	require.NoError(t, err)
	require.NotEqual(t, before, settings(), "the terminal is raw")
	_, err = master.WriteString("21.5")
	require.NoError(t, err)
	done := make(chan int, 1)
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 64)}
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) { require.Equal(t, pnp.S_OK, hr); done <- n })
	h.Submit(r)
	require.Equal(t, "21.5", string(r.Out[:<-done]))

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	<-gone
	require.Equal(t, before, settings())
	require.NoFileExists(t, socket)
	h.Close(func() {})
	cancel()
	require.NoError(t, <-ended)
}

// TestProvideUsage: what is wrong with the command line is said at once.
func TestProvideUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"which device?":                  {"provide"},
		"at which socket?":               {"provide", "loopback"},
		`did you mean "loopback"?`:       {"provide", "--socket", "/x", "lopback"},
		`"/dvc:pnpdr,x" has no effect: `: {"provide", "--socket", "/x", "/dvc:pnpdr,loopback", "/dvc:pnpdr,x"},
	} {
		status, _, errs := runApp(args...)
		require.Equal(t, exitUsage, status, "%v: %s", args, errs)
		require.Contains(t, errs, want)
	}
}
