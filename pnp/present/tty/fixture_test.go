// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = presenttest.Patience

// kind is the row for serial ports.
var kind = &present.Kind{Name: "serial", Exclusive: true, Present: PresentPseudo}

// bench is a serial port at the client, made of a pseudo terminal, and the terminal that
// the server makes of it.
type bench struct {
	t    *testing.T
	pair *presenttest.Pair
	id   uint32
	dev  *present.Device
	// far is the other end of the line of the client's port, and node that port.
	far  *os.File
	node string
	// path is the link that programs open.
	path string
	term *terminal
}

func newBench(t *testing.T) *bench {
	t.Helper()
	far, node := devtest.OpenPTY(t)
	// The line stays there and raw while nobody uses the port.
	keep, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { keep.Close() })
	change(t, keep, func(s *unix.Termios) { *s = devnode.Raw(*s) })
	port, err := serial.New(backend.Source{Path: node, Description: pnp.Description{Name: "meter"}, Log: presenttest.Log(t)})
	require.NoError(t, err)
	b := &bench{t: t, far: far, node: node, pair: presenttest.NewPair(t, server.Config{})}
	b.id = b.pair.Add(port)
	b.present()
	return b
}

func (b *bench) present() {
	b.t.Helper()
	b.dev = b.pair.Device("meter", kind)
	b.path = filepath.Join(b.dev.Dir, "tty")
	p, err := kind.Present(context.Background(), b.dev)
	require.NoError(b.t, err)
	b.term = p.(*terminal)
	b.t.Cleanup(func() { b.term.Close() })
}

// open opens the terminal as a program does.
func (b *bench) open() *os.File {
	b.t.Helper()
	f, err := os.OpenFile(b.path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { f.Close() })
	return f
}

// remote returns the settings of the client's port.
func (b *bench) remote() unix.Termios {
	b.t.Helper()
	return termios(b.t, b.far)
}

func termios(t testing.TB, f *os.File) (s unix.Termios) {
	t.Helper()
	conn, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, conn.Control(func(fd uintptr) { s, err = devnode.GetTermios(int(fd)) }))
	require.NoError(t, err)
	return s
}

// change changes the settings as a program does.
func change(t testing.TB, f *os.File, edit func(*unix.Termios)) {
	t.Helper()
	s := termios(t, f)
	edit(&s)
	conn, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, conn.Control(func(fd uintptr) { err = devnode.SetTermios(int(fd), s) }))
	require.NoError(t, err)
}

func speed(t *unix.Termios, baud uint32) {
	t.Cflag = t.Cflag&^(unix.CBAUD|unix.CBAUD<<unix.IBSHIFT) | unix.BOTHER
	t.Ispeed, t.Ospeed = baud, baud
}

// eventually waits for a condition.
func (b *bench) eventually(what string, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

// opened waits until the client's port is open that often.
func (b *bench) handles(n int64) {
	b.t.Helper()
	b.eventually("handles", func() bool { return b.dev.Stats().Open == n })
}

// take reads n bytes.
func take(t *testing.T, f *os.File, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	require.NoError(t, f.SetReadDeadline(time.Now().Add(patience)))
	k, err := io.ReadFull(f, p)
	require.NoError(t, err, "%d of %d bytes", k, n)
	return p
}

// give writes data.
func give(t *testing.T, f *os.File, data []byte) {
	t.Helper()
	require.NoError(t, f.SetWriteDeadline(time.Now().Add(patience)))
	_, err := f.Write(data)
	require.NoError(t, err)
}

// requireHungUp waits until a program that has the terminal open is told that it has
// gone.
func requireHungUp(t *testing.T, f *os.File) {
	t.Helper()
	require.NoError(t, f.SetReadDeadline(time.Now().Add(patience)))
	for p := make([]byte, 4096); ; {
		_, err := f.Read(p)
		if err == nil {
			continue
		}
		require.True(t, errors.Is(err, io.EOF) || errors.Is(err, unix.EIO), err)
		break
	}
	_, err := f.Write([]byte("x"))
	require.ErrorIs(t, err, unix.EIO)
}

var past = time.Unix(1, 0)

// unread returns how many bytes wait to be read.
func unread(t *testing.T, f *os.File) (n int) {
	t.Helper()
	conn, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }))
	require.NoError(t, err)
	return n
}
