// SPDX-License-Identifier: Apache-2.0

//go:build !ppc && !ppc64 && !ppc64le

package cuse

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
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
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
	"freerdp-pnpdr/pnp/present/presenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = presenttest.Patience

// bench is a port at the client and the terminal that the server makes of it.
type bench struct {
	*kernel
	pair *presenttest.Pair
	id   uint32
	dev  *present.Device
	far  *os.File // the other end of the line, if the port is a pseudo terminal
}

func newBench(t *testing.T, d pnp.Device) *bench {
	t.Helper()
	b := &bench{pair: presenttest.NewPair(t, server.Config{CancelWait: 24 * time.Hour})}
	b.id = b.pair.Add(d)
	b.dev = b.pair.Device("meter", &present.Kind{Name: "serial", Exclusive: true})
	b.kernel = newKernel(t, b.dev)
	return b
}

// newLineBench has a pseudo terminal at the client.
func newLineBench(t *testing.T) *bench {
	t.Helper()
	far, node := devtest.OpenPTY(t)
	keep, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() { keep.Close() })
	conn, err := keep.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, conn.Control(func(fd uintptr) {
		var s unix.Termios
		if s, err = devnode.GetTermios(int(fd)); err == nil {
			err = devnode.SetTermios(int(fd), devnode.Raw(s))
		}
	}))
	require.NoError(t, err)
	d, err := serial.New(backend.Source{Path: node, Description: pnp.Description{Name: "meter"}, Log: presenttest.Log(t)})
	require.NoError(t, err)
	b := newBench(t, d)
	b.far = far
	return b
}

func (b *bench) remote() (s unix.Termios) {
	conn, err := b.far.SyscallConn()
	require.NoError(b.t, err)
	require.NoError(b.t, conn.Control(func(fd uintptr) { s, err = devnode.GetTermios(int(fd)) }))
	require.NoError(b.t, err)
	return s
}

func (b *bench) give(data []byte) {
	_, err := b.far.Write(data)
	require.NoError(b.t, err)
}

func (b *bench) take(n int) []byte {
	p := make([]byte, n)
	require.NoError(b.t, b.far.SetReadDeadline(time.Now().Add(patience)))
	k, err := io.ReadFull(b.far, p)
	require.NoError(b.t, err, "%d of %d bytes", k, n)
	return p
}

func (b *bench) eventually(what string, is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// brief returns a context that ends after a moment.
func brief(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestBothWays(t *testing.T) {
	b := newLineBench(t)
	require.Zero(t, b.dev.Stats().Opened)
	o := b.mustOpen()
	const size = 1 << 20
	there, back := random(size), random(size)
	go o.writeAll(there)
	go b.give(back)
	received := make(chan []byte)
	go func() { received <- b.take(size) }()
	require.True(t, bytes.Equal(back, o.readAll(size)))
	require.True(t, bytes.Equal(there, <-received))
	o.close()
	b.eventually("close", func() bool { return b.dev.Stats().Open == 0 })
}

// TestClosedAtOnce: what was written is sent, although the program ends at once.
func TestClosedAtOnce(t *testing.T) {
	b := newLineBench(t)
	for range 20 {
		o := b.mustOpen()
		data := random(5000)
		o.writeAll(data)
		o.close()
		require.Equal(t, data, b.take(len(data)))
	}
}

// TestSettings: tcsetattr returns when the client has the settings.
func TestSettings(t *testing.T) {
	b := newLineBench(t)
	o := b.mustOpen()
	for baud := range rates {
		baud = rates[baud]
		if baud == 0 {
			continue
		}
		o.change(unix.TCSETS2, func(s *unix.Termios) {
			s.Cflag = s.Cflag&^codeMask | unix.BOTHER
			s.Ispeed, s.Ospeed = baud, baud
		})
		require.Equal(t, baud, b.remote().Ospeed)
		require.Equal(t, baud, rates[o.termios().Cflag&unix.CBAUD])
	}
	o.change(unix.TCSETSW2, func(s *unix.Termios) { setSpeed(s, 12345) })
	require.Equal(t, uint32(12345), b.remote().Ospeed)
	require.Equal(t, uint32(unix.BOTHER), o.termios().Cflag&unix.CBAUD)

	// The old structure has the speed as a code only.
	old, errno := o.ioctl(bg, unix.TCGETS, 0x1000, nil)
	require.Zero(t, errno)
	require.Len(t, old, termiosSize)
	cflag := order.Uint32(old[8:])&^codeMask | unix.B38400 | unix.CSTOPB | unix.CRTSCTS
	order.PutUint32(old[8:], cflag)
	_, errno = o.ioctl(bg, unix.TCSETSF, 0x1000, old)
	require.Zero(t, errno)
	r := b.remote()
	require.Equal(t, uint32(38400), r.Ospeed)
	require.Equal(t, uint32(unix.CSTOPB|unix.CRTSCTS), r.Cflag&(unix.CSTOPB|unix.CRTSCTS))
	require.Equal(t, uint32(38400), o.termios().Ospeed)

	// They outlive the last close.
	o.close()
	require.Equal(t, uint32(38400), b.mustOpen().termios().Ospeed)
}

// TestFrames: all frames reach the client, which a pseudo terminal could not show.
func TestFrames(t *testing.T) {
	m := porttest.NewModem("meter")
	b := newBench(t, m)
	o := b.mustOpen()
	for _, c := range []struct {
		bits uint32
		want string
	}{
		{unix.CS7 | unix.PARENB, "frame [0 2 7]"},
		{unix.CS7 | unix.PARENB | unix.PARODD | unix.CSTOPB, "frame [2 1 7]"},
		{unix.CS5 | unix.CSTOPB, "frame [1 0 5]"},
		{unix.CS6 | unix.PARENB | unix.CMSPAR, "frame [0 4 6]"},
		{unix.CS8 | unix.PARENB | unix.CMSPAR | unix.PARODD, "frame [0 3 8]"},
		{unix.CS8, "frame [0 0 8]"},
	} {
		m.Told()
		o.change(unix.TCSETS2, func(s *unix.Termios) { s.Cflag = s.Cflag&^frameMask | c.bits })
		require.Equal(t, []string{c.want}, m.Told())
		require.Equal(t, c.bits, o.termios().Cflag&frameMask)
	}
	m.Told()
	o.change(unix.TCSETS2, func(s *unix.Termios) { setSpeed(s, 0) })
	require.ElementsMatch(t, []string{"-DTR", "-RTS"}, m.Told())
	o.change(unix.TCSETS2, func(s *unix.Termios) { setSpeed(s, 9600) })
	require.ElementsMatch(t, []string{"9600 bit/s", "+DTR", "+RTS"}, m.Told())
}

// TestRefusedSettings: what the client refuses stays as it was, and the rest is set.
func TestRefusedSettings(t *testing.T) {
	m := porttest.NewForged("meter", func(r *pnp.Request) {
		switch {
		case r.Code == serial.IOCTL_SERIAL_SET_BAUD_RATE && order.Uint32(r.In) != 9600,
			r.Code == serial.IOCTL_SERIAL_SET_LINE_CONTROL && r.In[2] != 8,
			r.Code == serial.IOCTL_SERIAL_SET_HANDFLOW && r.In[0]&serial.SERIAL_CTS_HANDSHAKE != 0:
			r.Complete(pnp.ERROR_INVALID_PARAMETER, 0)
		default:
			porttest.Obey(r)
		}
	})
	b := newBench(t, m)
	o := b.mustOpen()
	before := o.termios()
	o.change(unix.TCSETS2, func(s *unix.Termios) {
		setSpeed(s, 77)
		s.Cflag = s.Cflag&^unix.CSIZE | unix.CS7 | unix.PARENB
		s.Cflag |= unix.CRTSCTS
		s.Cc[unix.VSTART] = 'q'
	})
	before.Cc[unix.VSTART] = 'q'
	require.Equal(t, before, o.termios())
}

func TestLines(t *testing.T) {
	m := porttest.NewModem("meter")
	b := newBench(t, m)
	o := b.mustOpen()
	require.Subset(t, m.Told(), []string{"+DTR", "+RTS"})
	const out = unix.TIOCM_DTR | unix.TIOCM_RTS
	require.Equal(t, out, o.number(unix.TIOCMGET))
	m.Set(serial.SERIAL_MSR_CTS|serial.SERIAL_MSR_DCD, 0)
	require.Equal(t, out|unix.TIOCM_CTS|unix.TIOCM_CAR, o.number(unix.TIOCMGET))
	set := func(cmd uint32, lines uint32) {
		t.Helper()
		_, errno := o.ioctl(bg, cmd, 0x1000, order.AppendUint32(nil, lines))
		require.Zero(t, errno)
	}
	set(unix.TIOCMBIC, unix.TIOCM_DTR)
	require.Equal(t, []string{"-DTR"}, m.Told())
	set(unix.TIOCMBIS, unix.TIOCM_DTR)
	require.Equal(t, []string{"+DTR"}, m.Told())
	set(unix.TIOCMSET, unix.TIOCM_RTS)
	require.ElementsMatch(t, []string{"+RTS", "-DTR"}, m.Told())
	require.Equal(t, unix.TIOCM_RTS|unix.TIOCM_CTS|unix.TIOCM_CAR, o.number(unix.TIOCMGET))
}

func TestWaitForLines(t *testing.T) {
	m := porttest.NewModem("meter")
	b := newBench(t, m)
	o := b.mustOpen()
	_, errno := o.ioctl(brief(t), unix.TIOCMIWAIT, unix.TIOCM_CTS, nil)
	require.Equal(t, unix.EINTR, errno)
	done := make(chan unix.Errno, 1)
	go func() {
		_, errno := o.ioctl(bg, unix.TIOCMIWAIT, unix.TIOCM_CTS|unix.TIOCM_RNG, nil)
		done <- errno
	}()
	b.eventually("a wait", m.Watches)
	b.eventually("a program that waits", func() bool { // the client waits since the call before
		stacks := make([]byte, 1<<20)
		return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("cuse.awaitLines"))
	})
	m.Set(serial.SERIAL_MSR_DSR, serial.SERIAL_EV_DSR)
	b.eventually("another wait", m.Watches)
	require.Empty(t, done)
	m.Set(serial.SERIAL_MSR_CTS, serial.SERIAL_EV_CTS)
	require.Zero(t, <-done)
	c, errno := o.ioctl(bg, unix.TIOCGICOUNT, 0x1000, nil)
	require.Zero(t, errno)
	var counts []uint32
	for i := range 11 {
		counts = append(counts, order.Uint32(c[4*i:]))
	}
	require.Equal(t, []uint32{1, 1, 0, 0, 100, 101, 102, 103, 105, 0, 104}, counts)
	// The device goes.
	go func() {
		_, errno := o.ioctl(bg, unix.TIOCMIWAIT, unix.TIOCM_CTS, nil)
		done <- errno
	}()
	b.eventually("a wait", m.Watches)
	b.pair.Close()
	require.Equal(t, unix.EIO, <-done)
}

func TestBreakAndFlow(t *testing.T) {
	m := porttest.NewModem("meter")
	b := newBench(t, m)
	o := b.mustOpen()
	do := func(cmd uint32, arg uint64, told ...string) {
		t.Helper()
		m.Told()
		_, errno := o.ioctl(bg, cmd, arg, nil)
		require.Zero(t, errno)
		require.Equal(t, told, m.Told())
	}
	do(unix.TCSBRK, 0, "+break", "-break")
	do(unix.TCSBRKP, 1, "+break", "-break")
	do(unix.TIOCSBRK, 0, "+break")
	do(unix.TIOCCBRK, 0, "-break")
	do(unix.TCXONC, unix.TCIOFF, `now "\x13"`)
	do(unix.TCXONC, unix.TCION, `now "\x11"`)
	do(unix.TCFLSH, unix.TCIFLUSH, "purge 10")
	do(unix.TCFLSH, unix.TCOFLUSH, "purge 5")
	do(unix.TCFLSH, unix.TCIOFLUSH, "purge 5", "purge 10")
	do(unix.TCXONC, unix.TCOOFF, "XOFF")
	o.writeAll([]byte("held"))
	require.Equal(t, 4, o.number(unix.TIOCOUTQ))
	m.Told()
	_, errno := o.ioctl(bg, unix.TCXONC, unix.TCOON, nil)
	require.Zero(t, errno)
	var told []string
	b.eventually("output", func() bool {
		told = append(told, m.Told()...)
		return len(told) == 2
	})
	require.Equal(t, []string{"XON", `"held"`}, told)
	_, errno = o.ioctl(bg, unix.TCFLSH, 7, nil)
	require.Equal(t, unix.EINVAL, errno)
	_, errno = o.ioctl(bg, unix.TIOCGPGRP, 0, nil)
	require.Equal(t, unix.ENOTTY, errno)
}

// TestDrain: tcdrain waits until the client has sent everything.
func TestDrain(t *testing.T) {
	m := porttest.NewModem("meter")
	b := newBench(t, m)
	o := b.mustOpen()
	m.SetUnsent(3)
	o.writeAll([]byte("abc"))
	_, errno := o.ioctl(brief(t), unix.TCSBRK, 1, nil)
	require.Equal(t, unix.EINTR, errno)
	require.Equal(t, 3, o.number(unix.TIOCOUTQ))
	m.SetUnsent(0)
	_, errno = o.ioctl(bg, unix.TCSBRK, 1, nil)
	require.Zero(t, errno)
}

// TestReading: VMIN, VTIME and O_NONBLOCK.
func TestReading(t *testing.T) {
	b := newLineBench(t)
	o := b.mustOpen()
	set := func(vmin, vtime uint8) {
		o.change(unix.TCSETS2, func(s *unix.Termios) { s.Cc[unix.VMIN], s.Cc[unix.VTIME] = vmin, vtime })
	}
	waiting := func(n int) { b.eventually("input", func() bool { return o.number(unix.TIOCINQ) == n }) }
	read := func(want string, errno unix.Errno, size int, flags uint32) {
		t.Helper()
		got, e := o.read(bg, size, flags)
		require.Equal(t, errno, e)
		require.Equal(t, want, string(got))
	}
	read("", unix.EAGAIN, 10, unix.O_NONBLOCK)
	_, errno := o.read(brief(t), 10, 0)
	require.Equal(t, unix.EINTR, errno)
	set(0, 0)
	read("", 0, 10, 0)
	set(0, 1)
	read("", 0, 10, 0)
	set(5, 0)
	b.give([]byte("abc"))
	waiting(3)
	_, errno = o.read(brief(t), 10, 0)
	require.Equal(t, unix.EINTR, errno)
	require.Zero(t, o.poll(1)&unix.POLLIN)
	read("abc", 0, 10, unix.O_NONBLOCK)
	b.give([]byte("abc"))
	waiting(3)
	read("ab", 0, 2, 0) // the buffer is full
	set(5, 1)
	read("c", 0, 10, 0) // nothing comes for the interval
	set(1, 0)
	b.give([]byte("d"))
	read("d", 0, 10, 0)
}

// TestPoll: those that poll are woken, once.
func TestPoll(t *testing.T) {
	b := newLineBench(t)
	o := b.mustOpen()
	require.EqualValues(t, unix.POLLOUT, o.poll(77)&(unix.POLLIN|unix.POLLOUT|unix.POLLHUP))
	b.give([]byte("x"))
	require.EqualValues(t, 77, <-b.notified)
	b.eventually("POLLIN", func() bool { return o.poll(77)&unix.POLLIN != 0 })
	b.far.Close()
	b.pair.Client.Remove(b.id)
	b.eventually("POLLHUP", func() bool { return o.poll(77)&unix.POLLHUP != 0 })
}

func TestCanonical(t *testing.T) {
	b := newLineBench(t)
	o := b.mustOpen()
	o.change(unix.TCSETS2, func(s *unix.Termios) {
		s.Lflag |= unix.ICANON | unix.ECHO | unix.ECHOE
		s.Iflag |= unix.ICRNL | unix.ISTRIP
		s.Oflag |= unix.OPOST | unix.ONLCR
	})
	read := func(want string, size int) {
		t.Helper()
		got, errno := o.read(bg, size, 0)
		require.Zero(t, errno)
		require.Equal(t, want, string(got))
	}
	b.give([]byte("ab\x7fc\xe4\rnext\x15line\rno end\x04\x04"))
	read("acd\n", 100)
	read("li", 2)
	read("ne\n", 100)
	read("no end", 100)
	read("", 100)
	const echo = "ab\b \bcd\r\nnext\b \b\b \b\b \b\b \bline\r\nno end"
	require.Equal(t, echo, string(b.take(len(echo))))
	o.writeAll([]byte("out\n"))
	require.Equal(t, "out\r\n", string(b.take(5)))
	b.give([]byte("rest"))
	b.eventually("input", func() bool { return o.number(unix.TIOCINQ) == 4 })
	o.change(unix.TCSETS2, func(s *unix.Termios) { s.Lflag &^= unix.ICANON | unix.ECHO })
	read("rest", 100)
}

// TestOpenFails: an open fails with the error of the client.
func TestOpenFails(t *testing.T) {
	d := porttest.NewForged("meter", porttest.Obey)
	d.Refuse.Store(1)
	b := newBench(t, d)
	_, errno := b.open(bg)
	require.Equal(t, unix.EACCES, errno)
	b.mustOpen()
}

// TestOthers: nobody else may open the terminal, whatever the rights of the node.
func TestOthers(t *testing.T) {
	b := newBench(t, porttest.NewForged("meter", porttest.Obey))
	open := func(uid uint32) unix.Errno {
		return (<-b.send(opOpen, uid, appendTo(nil, openIn{}))).err
	}
	require.Equal(t, unix.EACCES, open(1001))
	require.Zero(t, open(0))
	o := b.mustOpen()
	_, errno := o.ioctl(bg, unix.TIOCEXCL, 0, nil)
	require.Zero(t, errno)
	require.Equal(t, unix.EBUSY, open(1000))
	require.Zero(t, open(0))
}

// TestUnplug: blocked programs return, and later calls fail as at a local port.
func TestUnplug(t *testing.T) {
	b := newLineBench(t)
	o := b.mustOpen()
	got := make(chan reply, 1)
	go func() {
		data, errno := o.read(bg, 10, 0)
		got <- reply{errno, data}
	}()
	b.give([]byte("x"))
	require.Equal(t, reply{0, []byte("x")}, <-got)
	go func() {
		data, errno := o.read(bg, 10, 0)
		got <- reply{errno, data}
	}()
	b.far.Close()
	b.pair.Client.Remove(b.id)
	require.Equal(t, reply{}, <-got)
	_, errno := o.write(bg, []byte("x"), 0)
	require.Equal(t, unix.EIO, errno)
	_, errno = o.ioctl(bg, unix.TIOCMGET, 0x1000, nil)
	require.Equal(t, unix.EIO, errno)
}
