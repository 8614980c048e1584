// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// The tests of this file are for the table of docs/agent.md: what a pseudo terminal cannot
// do, programs are told.

// TestWithoutLines: modem lines, and what is counted of them.
func TestWithoutLines(t *testing.T) {
	b := newBench(t)
	conn, err := b.open().SyscallConn()
	require.NoError(t, err)
	for name, request := range map[string]uint{
		"TIOCMGET": unix.TIOCMGET, "TIOCMSET": unix.TIOCMSET, "TIOCMBIS": unix.TIOCMBIS,
		"TIOCMIWAIT": unix.TIOCMIWAIT, "TIOCGICOUNT": unix.TIOCGICOUNT,
	} {
		require.NoError(t, conn.Control(func(fd uintptr) {
			_, err = unix.IoctlGetInt(int(fd), request)
		}))
		require.Equal(t, unix.ENOTTY, err, name)
	}
}

// TestDropped: the kernel drops data bits and parity, and sends no break.
func TestDropped(t *testing.T) {
	m := porttest.NewModem("meter")
	b := &bench{t: t, pair: presenttest.NewPair(t, server.Config{})}
	b.id = b.pair.Add(m)
	b.present()
	f := b.open()
	b.handles(1)
	var told []string
	b.eventually("DTR and RTS are raised", func() bool {
		told = append(told, m.Told()...)
		return slices.Contains(told, "+DTR") && slices.Contains(told, "+RTS")
	})
	change(t, f, func(s *unix.Termios) {
		s.Cflag = s.Cflag&^(unix.CSIZE|unix.HUPCL) | unix.CS7 | unix.PARENB
	})
	s := termios(t, f)
	require.Equal(t, uint32(unix.CS8), s.Cflag&(unix.CSIZE|unix.PARENB))
	conn, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, conn.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TCSBRK, 0) }))
	require.NoError(t, err)
	give(t, f, []byte("x"))
	told = nil
	b.eventually("data", func() bool {
		told = append(told, m.Told()...)
		return slices.Contains(told, `"x"`)
	})
	require.NotContains(t, told, "+break")
	// The client closes the port, whatever HUPCL says.
	require.NoError(t, f.Close())
	b.handles(0)
}

// TestNextProgramWaits: what a program does that comes while the last one's data is still
// being sent waits until that is sent.
func TestNextProgramWaits(t *testing.T) {
	b := newBench(t)
	change(t, b.far, func(s *unix.Termios) { speed(s, 115200) })
	data := random(64 << 10)
	written := make(chan error, 1)
	f := b.open()
	go func() {
		_, err := f.Write(data)
		f.Close()
		written <- err
	}()
	got := take(t, b.far, len(data)-8<<10)
	require.NoError(t, <-written)
	next := b.open()
	give(t, next, []byte("next"))
	got = append(got, take(t, b.far, 8<<10+4)...)
	require.Equal(t, append(data, "next"...), got)
}

// TestControllingTerminal: signals from the line reach the programs of a terminal that is
// theirs.
func TestControllingTerminal(t *testing.T) {
	b := newBench(t)
	python := program(t, "python3")
	go func() {
		p := make([]byte, 5)
		if n, _ := b.far.Read(p); n > 0 {
			_, _ = b.far.Write([]byte("\x03"))
		}
	}()
	got := run(t, "", python, "-c", `
import os, signal, sys, termios, threading
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
os.setsid()
came = threading.Event()
signal.signal(signal.SIGINT, lambda *_: came.set())
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
fd = os.open(sys.argv[1], os.O_RDWR)
a = termios.tcgetattr(fd)
a[3] |= termios.ISIG | termios.ICANON
termios.tcsetattr(fd, termios.TCSANOW, a)
os.write(fd, b"ready")
os.close(os.open("/dev/tty", os.O_RDWR))
print(came.wait(60))
`, b.path)
	require.Equal(t, "True\n", got)
}
