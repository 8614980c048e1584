// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// BenchmarkRoundTrip sends 64 bytes through the terminal to a device that echoes them, over
// a connection in memory. "local" is the client's port used directly.
func BenchmarkRoundTrip(b *testing.B) {
	open := func(b *testing.B, path string) *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		require.NoError(b, err)
		b.Cleanup(func() { f.Close() })
		return f
	}
	line := func(b *testing.B) (node string) {
		far, node := devtest.OpenPTY(b)
		keep := open(b, node)
		change(b, keep, func(s *unix.Termios) {
			*s = initial()
			s.Lflag = 0
		})
		go func() { _, _ = io.Copy(struct{ io.Writer }{far}, struct{ io.Reader }{far}) }()
		return node
	}
	roundTrips := func(b *testing.B, f *os.File) {
		out, in := make([]byte, 64), make([]byte, 64)
		b.ResetTimer()
		for range b.N {
			_, err := f.Write(out)
			require.NoError(b, err)
			_, err = io.ReadFull(f, in)
			require.NoError(b, err)
		}
	}
	b.Run("local", func(b *testing.B) { roundTrips(b, open(b, line(b))) })
	b.Run("terminal", func(b *testing.B) {
		d, err := serial.New(backend.Source{Path: line(b), Description: pnp.Description{Name: "meter"}})
		require.NoError(b, err)
		p := presenttest.NewPair(b, server.Config{}, d)
		of := p.Device("meter", kind)
		t, err := newTerminal(of, closingLimit)
		require.NoError(b, err)
		b.Cleanup(t.Close)
		roundTrips(b, open(b, t.link))
	})
}
