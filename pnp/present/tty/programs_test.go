// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"bytes"
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

	"freerdp-pnpdr/pnp/devtest"
)

// Programs that know nothing of redirection. PNPDR_SERIAL_ROOT is a folder in which the
// packages of picocom, minicom and pyserial were unpacked, if they are not installed.

// program returns the path of a program, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	if root := os.Getenv("PNPDR_SERIAL_ROOT"); root != "" {
		if path := filepath.Join(root, "usr/bin", name); isExecutable(path) {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("NOT TESTED: %s with the terminal: it is neither installed nor in PNPDR_SERIAL_ROOT", name)
	}
	return path
}

func isExecutable(path string) bool { return unix.Access(path, unix.X_OK) == nil }

// run runs a program and returns its output.
func run(t *testing.T, stdin string, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", path, args, out)
	return string(out)
}

func TestStty(t *testing.T) {
	b := newBench(t)
	stty := program(t, "stty")
	for _, baud := range []string{"1200", "115200", "4000000"} {
		// It compares the settings with what it has set, and fails if they differ.
		run(t, "", stty, "-F", b.path, baud, "cstopb", "crtscts", "ixon", "raw", "-echo")
		require.Contains(t, run(t, "", stty, "-F", b.path, "-a"), "speed "+baud+" baud")
	}
	run(t, "", stty, "-F", b.path, "sane")
	require.Contains(t, run(t, "", stty, "-F", b.path, "-a"), " icanon ")
	saved := run(t, "", stty, "-F", b.path, "-g")
	run(t, "", stty, "-F", b.path, "raw")
	run(t, "", stty, "-F", b.path, strings.TrimSpace(saved))
}

// TestCat: stty, then cat in either direction.
func TestCat(t *testing.T) {
	b := newBench(t)
	run(t, "", program(t, "stty"), "-F", b.path, "230400")
	data := random(64 << 10)
	file := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	shell := start(t, "sh", "-c", fmt.Sprintf("cat %s > %s", file, b.path))
	// So much is neither in the terminals nor between them.
	require.Equal(t, data[:100], take(t, b.far, 100))
	require.Equal(t, uint32(230400), b.remote().Ospeed)
	require.Equal(t, data[100:], take(t, b.far, len(data)-100))
	require.NoError(t, shell.Wait())

	reader := exec.Command("cat", b.path)
	out, err := reader.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, reader.Start())
	give(t, b.far, data[:3000])
	got := make([]byte, 3000)
	_, err = io.ReadFull(out, got)
	require.NoError(t, err)
	require.Equal(t, data[:3000], got)
	// The device is unplugged: cat ends.
	b.far.Close()
	b.pair.Client.Remove(b.id)
	_, err = io.ReadAll(out)
	require.NoError(t, err)
	_ = reader.Wait() // it may say EIO
}

func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// TestShell: a script that asks the device.
func TestShell(t *testing.T) {
	b := newBench(t)
	go func() {
		take(t, b.far, 2)
		give(t, b.far, []byte("12.5 kg\n"))
	}()
	out := run(t, "", "bash", "-c", `exec 3<>"$0"; printf 'W\r' >&3; read -r -t 60 line <&3; echo "$line"`, b.path)
	require.Equal(t, "12.5 kg\n", out)
}

func TestPythonTermios(t *testing.T) {
	b := newBench(t)
	go func() {
		got := take(t, b.far, 6)
		give(t, b.far, bytes.ToUpper(got))
	}()
	out := run(t, "", program(t, "python3"), "-c", `
import os, sys, termios, tty
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
a = termios.tcgetattr(fd)
a[4] = a[5] = termios.B57600
termios.tcsetattr(fd, termios.TCSAFLUSH, a)
os.write(fd, b"python")
termios.tcdrain(fd)
termios.tcsendbreak(fd, 0)
got = b""
while len(got) < 6: got += os.read(fd, 100)
assert os.isatty(fd)
print(got.decode(), termios.tcgetattr(fd)[4] == termios.B57600)
`, b.path)
	require.Equal(t, "PYTHON True\n", out)
}

func TestPyserial(t *testing.T) {
	if root := os.Getenv("PNPDR_SERIAL_ROOT"); root != "" {
		t.Setenv("PYTHONPATH", filepath.Join(root, "usr/lib/python3/dist-packages"))
	}
	python := devtest.Python(t, "serial", "pyserial with the terminal", "python3-serial")
	b := newBench(t)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for range 20 {
			give(t, b.far, append(take(t, b.far, 100), '\n'))
		}
	}()
	out := run(t, "", python, "-c", `
import os, serial, sys
p = serial.Serial(sys.argv[1], 250000, timeout=60, rtscts=True, stopbits=2, exclusive=True)
for i in range(20):
    p.reset_input_buffer()
    data = bytes([i + 100]) * 100
    p.write(data)
    p.flush()
    assert p.read_until(b"\n") == data + b"\n"
assert p.in_waiting == 0
p.baudrate = 9600
p.send_break()
p.close()
print("ok")
`, b.path)
	require.Equal(t, "ok\n", out)
	<-answered
}

func TestPicocom(t *testing.T) {
	b := newBench(t)
	picocom := exec.Command(program(t, "picocom"), "--quiet", "--baud", "500000", "--flow", "x", "--nolock", b.path)
	in, err := picocom.StdinPipe()
	require.NoError(t, err)
	out, err := picocom.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, picocom.Start())
	_, err = in.Write([]byte("question\r"))
	require.NoError(t, err)
	require.Equal(t, "question\r", string(take(t, b.far, 9)))
	r := b.remote()
	require.Equal(t, uint32(500000), r.Ospeed)
	require.NotZero(t, r.Iflag&unix.IXON)
	give(t, b.far, []byte("answer\r"))
	got := make([]byte, 7)
	_, err = io.ReadFull(out, got)
	require.NoError(t, err)
	require.Equal(t, "answer\r", string(got))
	require.NoError(t, in.Close())
	_, _ = io.Copy(io.Discard, out)
	_ = picocom.Wait()
	b.handles(0)
}

func TestMinicom(t *testing.T) {
	path := program(t, "minicom")
	b := newBench(t)
	screen, slave := devtest.OpenPTY(t)
	stdio, err := os.OpenFile(slave, os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer stdio.Close()
	minicom := exec.Command(path, "-o", "-D", b.path, "-b", "38400")
	minicom.Env = append(os.Environ(), "TERM=vt100", "HOME="+t.TempDir())
	minicom.Stdin, minicom.Stdout, minicom.Stderr = stdio, stdio, stdio
	minicom.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, minicom.Start())
	var shown devtest.Output
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(&shown, screen)
	}()
	b.handles(1)
	b.eventually("speed", func() bool { return b.remote().Ospeed == 38400 })
	b.eventually("minicom", func() bool { return strings.Contains(shown.String(), "Press CTRL-A") })
	give(t, b.far, []byte("reading"))
	b.eventually("input", func() bool { return strings.Contains(shown.String(), "reading") })
	give(t, screen, []byte("typed"))
	require.Equal(t, "typed", string(take(t, b.far, 5)))
	require.NoError(t, minicom.Process.Signal(unix.SIGTERM))
	done := make(chan error, 1)
	go func() { done <- minicom.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("minicom does not end")
	}
	b.handles(0)
	screen.Close()
	<-ended
}
