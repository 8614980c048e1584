// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/cuse"
	"freerdp-pnpdr/pnp/present/presenttest"
	"freerdp-pnpdr/pnp/present/tty"
)

// adapter is QEMU's serial adapter, redirected, and the terminal that programs have of
// it. The kernel's driver for FTDI chips is between.
type adapter struct {
	t    *testing.T
	usb  *plugged
	pair *presenttest.Pair
	id   uint32
	line *os.File
	node string // of the adapter
	path string // of the terminal
	dev  *present.Device
}

func newAdapter(t *testing.T, make func(context.Context, *present.Device) (present.Presentation, error)) *adapter {
	a := &adapter{t: t, usb: plugSerial(t), line: openLine(t)}
	a.node = scanned(t, usbSerialName).Node
	d, err := serial.New(backend.Source{Path: a.node, Description: pnp.Description{Name: "adapter"}, Log: presenttest.Log(t)})
	require.NoError(t, err)
	a.pair = presenttest.NewPair(t, server.Config{})
	a.id = a.pair.Add(d)
	a.dev = a.pair.Device("adapter", &present.Kind{Name: "serial", Exclusive: true})
	p, err := make(context.Background(), a.dev)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	a.path = filepath.Join(a.dev.Dir, "tty")
	return a
}

// program runs a program and returns its output.
func (a *adapter) program(name string, args ...string) string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(a.t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// python runs a script that has the terminal's path as its argument.
func (a *adapter) python(script string) string {
	a.t.Helper()
	return a.program("python3", "-c", "import sys, os, termios, fcntl, struct\npath = sys.argv[1]\n"+script, a.path)
}

// echo has a program send text to the line, and the line answer. The program is another
// process: one that waits for itself to answer for its own file would never end.
func (a *adapter) echo(text string) {
	a.t.Helper()
	ended := pending(func() (int, error) {
		script := fmt.Sprintf(`
import os, sys
f = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
text, got = bytes.fromhex("%x"), b""
os.write(f, text)
while len(got) < len(text): got += os.read(f, 100)
assert got == text, got
`, text)
		out, err := exec.Command("python3", "-c", script, a.path).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return 0, err
	})
	require.NoError(a.t, a.line.SetDeadline(time.Now().Add(patience)))
	require.Equal(a.t, text, readText(a.t, a.line, len(text)))
	_, err := a.line.WriteString(text)
	require.NoError(a.t, err)
	require.NoError(a.t, <-ended)
}

// unplug unplugs the adapter while a program reads, which ends then.
func (a *adapter) unplug() {
	a.t.Helper()
	// pyserial leaves min at 0, which is the end of the file to cat. What cat writes
	// first shows that the port is open at the client for this program, not still for the
	// one before: what comes earlier is lost, as it is on the way to a closed port.
	a.program("stty", "-F", a.path, "min", "1")
	reader := exec.Command("sh", "-c", `exec 3<>"$1"; printf ready >&3; exec cat <&3`, "sh", a.path)
	out, err := reader.StdoutPipe()
	require.NoError(a.t, err)
	require.NoError(a.t, reader.Start())
	require.NoError(a.t, a.line.SetDeadline(time.Now().Add(patience)))
	require.Equal(a.t, "ready", readText(a.t, a.line, 5))
	_, err = a.line.WriteString("last words")
	require.NoError(a.t, err)
	require.NoError(a.t, out.(*os.File).SetReadDeadline(time.Now().Add(patience)))
	require.Equal(a.t, "last words", readText(a.t, out.(*os.File), 10))
	a.usb.unplug()
	a.pair.Client.Remove(a.id)
	_, err = io.Copy(io.Discard, out)
	require.NoError(a.t, err)
	_ = reader.Wait() // the end of the file, or EIO
}

// record reads what is on the wire until stop is called, so that the kernel drops nothing
// while a program runs.
func (w *wire) record() (stop func()) {
	fd, end, ended := int(w.file.Fd()), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 64<<10); ; {
			if n, _ := unix.Read(fd, b); n > 0 {
				w.text.Write(b[:n])
				continue
			}
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// TestPseudoTerminal: changed speeds reach the adapter.
func TestPseudoTerminal(t *testing.T) {
	a := newAdapter(t, tty.PresentPseudo)
	w := newWire(t)
	// FTDI's requests: 3 sets the divisor of 3 MHz.
	for baud, divisor := range map[string]uint16{"9600": 0x4138, "115200": 0x001A, "57600": 0xC034} {
		stop := w.record()
		a.program("stty", "-F", a.path, baud)
		stop()
		w.wait(0x40, 3, divisor, 0, "")
	}
	stop := w.record()
	a.python(`
f = os.open(path, os.O_RDWR | os.O_NOCTTY)
TCGETS2, TCSETS2, BOTHER, CBAUD = 0x802C542A, 0x402C542B, 0o10000, 0o10017
t = list(struct.unpack("4I20s2I", fcntl.ioctl(f, TCGETS2, bytes(44))))
t[2] = t[2] & ~CBAUD | BOTHER
t[5] = t[6] = 31250
fcntl.ioctl(f, TCSETS2, struct.pack("4I20s2I", *t))
os.write(f, b"midi")
`)
	stop()
	w.wait(0x40, 3, 0x0060, 0, "")
	require.Equal(t, "midi", readText(t, a.line, 4))
	a.echo("through a serial adapter\r\n\x11\xff")
	a.unplug()
}

// TestCUSE: CUSE of the real kernel, with frames, modem lines and breaks.
func TestCUSE(t *testing.T) {
	out, err := exec.Command("modprobe", "cuse").CombinedOutput()
	require.NoError(t, err, string(out))
	waitFor(t, "/dev/cuse", func() bool { return unix.Access("/dev/cuse", unix.R_OK|unix.W_OK) == nil })
	a := newAdapter(t, tty.Present)
	node, err := os.Readlink(a.path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(node, "/dev/pnpdr-"), node)

	w := newWire(t)
	for baud, divisor := range map[string]uint16{"9600": 0x4138, "115200": 0x001A, "57600": 0xC034} {
		stop := w.record()
		a.program("stty", "-F", a.path, baud)
		stop()
		w.wait(0x40, 3, divisor, 0, "")
		require.Contains(t, a.program("stty", "-F", a.path, "-a"), "speed "+baud+" baud")
	}
	stop := w.record()
	a.program("stty", "-F", a.path, "cs7", "parenb", "-parodd", "cstopb")
	stop()
	w.wait(0x40, 4, 0x1207, 0, "")
	a.program("stty", "-F", a.path, "cs8", "-parenb", "-cstopb")

	stop = w.record()
	lines := a.python(`
f = os.open(path, os.O_RDWR | os.O_NOCTTY)
def lines(): return struct.unpack("i", fcntl.ioctl(f, termios.TIOCMGET, bytes(4)))[0]
both = termios.TIOCM_DTR | termios.TIOCM_RTS
assert lines() & both == both, lines()
fcntl.ioctl(f, termios.TIOCMBIC, struct.pack("i", termios.TIOCM_DTR))
assert lines() & both == termios.TIOCM_RTS, lines()
fcntl.ioctl(f, termios.TIOCMBIS, struct.pack("i", termios.TIOCM_DTR))
assert lines() & both == both, lines()
fcntl.ioctl(f, termios.TIOCMSET, struct.pack("i", termios.TIOCM_DTR))
assert lines() & both == termios.TIOCM_DTR, lines()
termios.tcsendbreak(f, 0)
counts = struct.unpack("20i", fcntl.ioctl(f, 0x545D, bytes(80)))
os.write(f, b"x")
termios.tcdrain(f)
assert os.isatty(f)
termios.tcflush(f, termios.TCIOFLUSH)
print("ok")
`)
	stop()
	require.Equal(t, "ok\n", lines)
	w.wait(0x40, 4, 0x4008, 0, "") // the break
	require.Equal(t, "x", readText(t, a.line, 1))
	a.echo("through a serial adapter\r\n\x11\xff")
	testRS485(t, a, w)

	// A blocked reader can be ended, and killed. (SIGINT is ignored in this machine.)
	for _, signal := range []os.Signal{unix.SIGTERM, unix.SIGKILL} {
		cat := exec.Command("cat", a.path)
		require.NoError(t, cat.Start())
		waitFor(t, "cat", func() bool { return a.dev.Stats().Open == 1 })
		require.NoError(t, cat.Process.Signal(signal))
		require.Error(t, cat.Wait())
		waitFor(t, "close", func() bool { return a.dev.Stats().Open == 0 })
	}

	// select(2) wakes when something comes.
	ended := pending(func() (int, error) {
		out, err := exec.Command("python3", "-c", `
import os, select, sys
path = sys.argv[1]
f = os.open(path, os.O_RDWR | os.O_NOCTTY)
assert not select.select([f], [], [], 0)[0]
assert select.select([], [f], [], 0)[1]
os.write(f, b"ready")
assert select.select([f], [], [], 60)[0]
assert os.read(f, 1) == b"a"
`, a.path).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return 0, err
	})
	require.Equal(t, "ready", readText(t, a.line, 5))
	_, err = a.line.WriteString("answer")
	require.NoError(t, err)
	require.NoError(t, <-ended)

	t.Run("pyserial", func(t *testing.T) { testPyserial(t, a) })

	// Two terminals at a time have nodes of their own, and go without a trace.
	second, err := cuse.Present(context.Background(), present.NewDevice(nil, nil, "second", t.TempDir(), presenttest.Log(t), present.Options{}))
	require.NoError(t, err)
	require.FileExists(t, "/dev/pnpdr-0-1")
	second.Close()
	_, err = os.Lstat("/dev/pnpdr-0-1")
	require.ErrorIs(t, err, os.ErrNotExist)
	a.unplug()
}

// testRS485: RTS is up while there is output. FTDI's request 1 sets lines, the upper byte
// says which; RTS is 2. The adapter never says that its chip is empty, unlike a real one.
func testRS485(t *testing.T, a *adapter, w *wire) {
	w.text.Reset()
	stop := w.record()
	a.python(`
import time
f = os.open(path, os.O_RDWR | os.O_NOCTTY)
def down():
    for i in range(6000):
        if not struct.unpack("i", fcntl.ioctl(f, termios.TIOCMGET, bytes(4)))[0] & termios.TIOCM_RTS: return
        time.sleep(0.01)
    raise Exception("RTS stays up")
TIOCSRS485 = 0x542F
on = fcntl.ioctl(f, TIOCSRS485, struct.pack("8I", 3, 0, 0, 0, 0, 0, 0, 0))
assert struct.unpack("8I", on)[0] == 0x13, on
down()
os.write(f, b"ab")
termios.tcdrain(f)
down()
fcntl.ioctl(f, TIOCSRS485, bytes(32))
assert struct.unpack("i", fcntl.ioctl(f, termios.TIOCMGET, bytes(4)))[0] & termios.TIOCM_RTS
`)
	stop()
	require.Equal(t, "ab", readText(t, a.line, 2))
	require.Regexp(t, `(?s)s 40 01 0200.*s 40 01 0202.*S Bo:\S+ -115 2 = 6162.*s 40 01 0200.*s 40 01 0202`, w.text.String())
	w.text.Reset()
}

// testPyserial uses lines, frames, breaks and timeouts as pyserial does.
func testPyserial(t *testing.T, a *adapter) {
	python := devtest.Python(t, "serial", "pyserial with modem lines", "python3-serial")
	const rounds, size = 5, 100
	answered := pending(func() (int, error) {
		for range rounds {
			question := make([]byte, size)
			if _, err := io.ReadFull(a.line, question); err != nil {
				return 0, err
			}
			if _, err := a.line.Write(append(question, '\n')); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
	require.NoError(t, a.line.SetDeadline(time.Now().Add(patience)))
	require.Equal(t, "ok\n", a.program(python, "-c", fmt.Sprintf(`
import serial, serial.rs485, sys
path = sys.argv[1]
p = serial.Serial(path, 115200, timeout=60, parity="E", bytesize=7, stopbits=2, exclusive=True)
assert p.dtr and p.rts and p.cts in (True, False)
assert p.in_waiting == 0 and p.out_waiting == 0
p.parity, p.bytesize, p.stopbits = "N", 8, 1
for i in range(%d):
    p.reset_input_buffer()
    data = bytes([i + 100]) * %d
    p.write(data)
    p.flush()
    assert p.read_until(b"\n") == data + b"\n"
p.dtr = p.rts = False
p.send_break(0.1)
p.timeout = 0.2
assert p.read(5) == b""
p.timeout = 0
assert p.read(5) == b""
p.rs485_mode = serial.rs485.RS485Settings()
p.rs485_mode = None
p.close()
print("ok")
`, rounds, size), a.path))
	require.NoError(t, <-answered)
}
