// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func TestBothWays(t *testing.T) {
	b := newBench(t)
	require.Zero(t, b.dev.Stats().Opened)
	f := b.open()
	const size = 1 << 20
	there, back := random(size), random(size)
	go func() { _, _ = f.Write(there) }()
	go func() { _, _ = b.far.Write(back) }()
	received := make(chan []byte)
	go func() { received <- take(t, b.far, size) }()
	require.True(t, bytes.Equal(back, take(t, f, size)))
	require.True(t, bytes.Equal(there, <-received))
	require.NoError(t, f.Close())
	b.handles(0)
	require.Equal(t, uint64(1), b.dev.Stats().Opened)
}

// TestHeldUp: a device that takes nothing for a while holds up the program, and nothing is
// lost.
func TestHeldUp(t *testing.T) {
	b := newBench(t)
	f := b.open()
	data := random(1 << 20)
	var written atomic.Int64
	go func() {
		for at := 0; at < len(data); at += 256 {
			n, _ := f.Write(data[at : at+256])
			written.Add(int64(n))
		}
	}()
	last, same := int64(0), 0
	b.eventually("a full terminal", func() bool {
		n := written.Load()
		if n != last {
			last, same = n, 0
		}
		same++
		return n > 0 && same > 50
	})
	require.True(t, bytes.Equal(data, take(t, b.far, len(data))))
}

// TestClosedAtOnce: what was written is sent, although the program ends at once.
func TestClosedAtOnce(t *testing.T) {
	b := newBench(t)
	for range 20 {
		f := b.open()
		data := random(2000)
		give(t, f, data)
		require.NoError(t, f.Close())
		require.Equal(t, data, take(t, b.far, len(data)))
	}
	b.handles(0)
}

// TestSpeeds: each speed reaches the client's port, and data is sent at it.
func TestSpeeds(t *testing.T) {
	b := newBench(t)
	f := b.open()
	for _, baud := range []uint32{50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 14400, 19200,
		38400, 57600, 74880, 115200, 230400, 250000, 460800, 921600, 1000000, 3000000, 4000000, 12345678} {
		change(t, f, func(s *unix.Termios) { speed(s, baud) })
		give(t, f, []byte("x"))
		take(t, b.far, 1)
		require.Equal(t, baud, b.remote().Ospeed)
	}
}

// TestSettings: each change is told, although nothing is written.
func TestSettings(t *testing.T) {
	b := newBench(t)
	f := b.open()
	both := func(what string, mask uint32, of func(*unix.Termios) *uint32) {
		t.Helper()
		change(t, f, func(s *unix.Termios) { *of(s) |= mask })
		b.eventually(what, func() bool { r := b.remote(); return *of(&r)&mask == mask })
		change(t, f, func(s *unix.Termios) { *of(s) &^= mask })
		b.eventually("no "+what, func() bool { r := b.remote(); return *of(&r)&mask == 0 })
	}
	cflag := func(s *unix.Termios) *uint32 { return &s.Cflag }
	iflag := func(s *unix.Termios) *uint32 { return &s.Iflag }
	for range 5 {
		both("CSTOPB", unix.CSTOPB, cflag)
		both("CRTSCTS", unix.CRTSCTS, cflag)
		both("IXON", unix.IXON, iflag)
		both("IXOFF", unix.IXOFF, iflag)
		both("IXON|IXOFF", unix.IXOFF|unix.IXON, iflag)
	}
	change(t, f, func(s *unix.Termios) { s.Cc[unix.VSTART], s.Cc[unix.VSTOP] = 'q', 's' })
	b.eventually("characters", func() bool { r := b.remote(); return r.Cc[unix.VSTART] == 'q' && r.Cc[unix.VSTOP] == 's' })
}

// TestSettingsOfAFreshStructure: a program that does not keep EXTPROC loses nothing.
func TestSettingsOfAFreshStructure(t *testing.T) {
	b := newBench(t)
	f := b.open()
	for _, baud := range []uint32{1200, 2400, 4800, 19200} {
		change(t, f, func(s *unix.Termios) {
			*s = unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL}
			s.Cc[unix.VMIN] = 1
			speed(s, baud)
		})
		b.eventually("speed", func() bool { return b.remote().Ospeed == baud })
		b.eventually("EXTPROC", func() bool { return termios(t, f).Lflag&extproc != 0 })
	}
}

// TestCanonical: the kernel processes input for a program that asks for it, and changes
// of settings are noticed still.
func TestCanonical(t *testing.T) {
	b := newBench(t)
	f := b.open()
	change(t, f, func(s *unix.Termios) {
		s.Lflag |= unix.ICANON
		s.Iflag |= unix.ICRNL
	})
	give(t, b.far, []byte("weight\x7f\x7f\r12 kg\r"))
	p := make([]byte, 100)
	n, err := f.Read(p)
	require.NoError(t, err)
	require.Equal(t, "weig\n", string(p[:n]))
	n, err = f.Read(p)
	require.NoError(t, err)
	require.Equal(t, "12 kg\n", string(p[:n]))
	change(t, f, func(s *unix.Termios) { speed(s, 31250) })
	b.eventually("speed", func() bool { return b.remote().Ospeed == 31250 })
	change(t, f, func(s *unix.Termios) {
		s.Lflag &^= unix.ICANON
		s.Iflag &^= unix.ICRNL
	})
	b.eventually("EXTPROC", func() bool { return termios(t, f).Lflag&extproc != 0 })
	give(t, b.far, []byte("\r\x7f"))
	require.Equal(t, "\r\x7f", string(take(t, f, 2)))
}

// TestSettingsStay: as with a port of this machine, stty before cat works.
func TestSettingsStay(t *testing.T) {
	b := newBench(t)
	f := b.open()
	change(t, f, func(s *unix.Termios) { speed(s, 38400) })
	require.NoError(t, f.Close())
	b.handles(0)
	f = b.open()
	give(t, f, []byte("x"))
	take(t, b.far, 1)
	require.Equal(t, uint32(38400), b.remote().Ospeed)
}

// TestFrame: the file "line" says what a pseudo terminal cannot.
func TestFrame(t *testing.T) {
	b := newBench(t)
	require.NoError(t, os.WriteFile(b.dev.Dir+"/line", []byte("7e2\n"), 0o600))
	f := b.open()
	give(t, f, []byte("x"))
	take(t, b.far, 1)
	// The client's port, a pseudo terminal itself, keeps only this much of it.
	require.Equal(t, uint32(unix.CSTOPB), b.remote().Cflag&(unix.CSTOPB|unix.PARODD))
	require.NoError(t, f.Close())
	b.handles(0)
	require.NoError(t, os.WriteFile(b.dev.Dir+"/line", []byte("nonsense"), 0o600))
	f = b.open()
	give(t, f, []byte("x"))
	take(t, b.far, 1)
	require.Zero(t, b.remote().Cflag&unix.CSTOPB)
}

// TestFlushInput: a question after tcflush gets its answer, and nothing older.
func TestFlushInput(t *testing.T) {
	b := newBench(t)
	f := b.open()
	b.handles(1)
	for range 50 {
		give(t, b.far, random(3000))
		b.eventually("input", func() bool { return unread(t, f) == 3000 })
		controls := b.dev.Stats().Control.Requests
		tcflush(t, f, unix.TCIFLUSH)
		b.eventually("IOCTL_SERIAL_PURGE", func() bool { return b.dev.Stats().Control.Requests > controls })
		give(t, f, []byte("?"))
		take(t, b.far, 1)
		give(t, b.far, []byte("answer"))
		require.Equal(t, "answer", string(take(t, f, 6)))
	}
}

func tcflush(t *testing.T, f *os.File, queue int) {
	t.Helper()
	conn, err := f.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, conn.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TCFLSH, queue) }))
	require.NoError(t, err)
}

// TestFlushOutput: what the device does not take can be discarded.
func TestFlushOutput(t *testing.T) {
	b := newBench(t)
	f := b.open()
	// Nobody reads at the far end.
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		_, _ = f.Write(make([]byte, 1<<20))
	}()
	b.eventually("a full line", func() bool {
		s := b.term
		return s.pty.state() != 0 && b.dev.Stats().Open == 1 && unread(t, b.far) >= 4095
	})
	require.NoError(t, f.SetWriteDeadline(past))
	<-filled
	tcflush(t, f, unix.TCOFLUSH)
	give(t, f, []byte("end"))
	got := []byte{}
	for !bytes.HasSuffix(got, []byte("end")) {
		got = append(got, take(t, b.far, 1)...)
	}
	require.Less(t, len(got), 100<<10)
}

// TestInputOfBefore: what nobody has read is not for the next program.
func TestInputOfBefore(t *testing.T) {
	b := newBench(t)
	f := b.open()
	b.handles(1)
	give(t, b.far, []byte("old"))
	b.eventually("input", func() bool { return unread(t, f) == 3 })
	require.NoError(t, f.Close())
	b.handles(0)
	b.eventually("reset", func() bool { return b.term.pty.state() == unix.POLLHUP })
	f = b.open()
	b.handles(1)
	give(t, b.far, []byte("new"))
	require.Equal(t, "new", string(take(t, f, 3)))
}

// TestExclusive: TIOCEXCL ends with the program that has set it.
func TestExclusive(t *testing.T) {
	b := newBench(t)
	for range 3 {
		f := b.open()
		b.handles(1)
		conn, err := f.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, conn.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TIOCEXCL, 0) }))
		require.NoError(t, err)
		require.NoError(t, f.Close())
		b.handles(0)
		b.eventually("the end of TIOCEXCL", func() bool {
			f, err := os.OpenFile(b.path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
			if err != nil { // if the user is not root
				return false
			}
			defer f.Close()
			conn, err := f.SyscallConn()
			require.NoError(t, err)
			exclusive := 1
			require.NoError(t, conn.Control(func(fd uintptr) { exclusive, err = unix.IoctlGetInt(int(fd), unix.TIOCGEXCL) }))
			return err == nil && exclusive == 0
		})
		b.handles(0)
	}
}

// TestUnprivileged runs tests as a user without rights, if this one has any.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("all tests run without rights")
	}
	dir, err := os.MkdirTemp("", "pnpdr")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	program, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	path := filepath.Join(dir, "tests")
	require.NoError(t, os.WriteFile(path, program, 0o755))
	cmd := exec.Command(path, "-test.v", "-test.run", "^(TestExclusive|TestBothWays|TestClosedAtOnce|TestPrivate|TestSettings|TestInputOfBefore)$")
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestExclusive")
}

// TestUnplug: programs are hung up on, and the link vanishes.
func TestUnplug(t *testing.T) {
	b := newBench(t)
	f := b.open()
	give(t, b.far, []byte("x"))
	require.Equal(t, "x", string(take(t, f, 1)))
	b.far.Close()
	b.pair.Client.Remove(b.id)
	requireHungUp(t, f)
	b.eventually("no link", func() bool { _, err := os.Lstat(b.path); return os.IsNotExist(err) })
	b.term.Close()
}

// TestPrivate: nobody else may open the terminal.
func TestPrivate(t *testing.T) {
	b := newBench(t)
	info, err := os.Stat(b.path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
