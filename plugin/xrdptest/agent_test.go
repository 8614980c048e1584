// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
	"freerdp-pnpdr/pnp/devtest"
)

// client is what a client redirects in these tests: a file "card" and a meter on a
// serial port, "meter".
type client struct {
	card string // path
	hash string // of the file
	port string // the path of the terminal at whose other end the meter is

	settings func() *unix.Termios // of the port
}

const cardSize = 8<<20 + 77

func newClient(t testing.TB) *client {
	t.Helper()
	c := &client{card: filepath.Join(t.TempDir(), "card.img")}
	b := make([]byte, cardSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	require.NoError(t, os.WriteFile(c.card, b, 0o666))
	c.hash = hash(b)

	master, slave := devtest.OpenPTY(t)
	c.port = slave
	// Without it, reading the other end would fail while no client has it open.
	held, err := os.OpenFile(slave, os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { held.Close() })
	c.settings = func() *unix.Termios {
		raw, err := master.SyscallConn()
		require.NoError(t, err)
		var tio *unix.Termios
		require.NoError(t, raw.Control(func(fd uintptr) { tio, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) }))
		require.NoError(t, err)
		return tio
	}
	go meter(master)
	return c
}

// meter answers questions until its end of the line is closed.
func meter(line *os.File) {
	var question []byte
	b := make([]byte, 4096)
	for {
		n, err := line.Read(b)
		if err != nil {
			return
		}
		question = append(question, b[:n]...)
		for {
			q, rest, complete := bytes.Cut(question, []byte("\n"))
			if !complete {
				break
			}
			question = rest
			answer := "?\n"
			switch q, number, _ := strings.Cut(string(q), " "); q {
			case "temperature":
				answer = "21.5 C\n"
			case "echo":
				answer = number + "\n"
			}
			if _, err := line.Write([]byte(answer)); err != nil {
				return
			}
		}
	}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// args are for xfreerdp.
func (c *client) args() string {
	return fmt.Sprintf("/dvc:pnpdr,file:%s,name:card,serial:%s,name:meter", c.card, c.port)
}

// unharmed checks that the file is as it was.
func (c *client) unharmed(t testing.TB) {
	t.Helper()
	b, err := os.ReadFile(c.card)
	require.NoError(t, err)
	require.Equal(t, c.hash, hash(b), "the file on the client has changed")
}

func agentPath() string { return built("PNPDR_AGENT", "pnpdr-agent") }

// needAgent puts the agent where sessions find it.
func needAgent(t testing.TB) {
	t.Helper()
	need(t)
	xrdpserver.InstallAgent(t, agentPath())
}

const (
	askByPython = `python3 -c '
import serial
with serial.Serial("meter/tty", 19200, timeout=20) as port:
    port.write(b"temperature\n")
    print(port.readline().decode(), end="")'`
	askByShell = `{ stty 38400 raw -echo; echo temperature >&0; head -n 1; } <>meter/tty`
	readBack   = `sha256sum <card/data`
)

// TestAgent uses redirected devices in a session with programs that know nothing of
// redirection.
func TestAgent(t *testing.T) {
	needAgent(t)
	eachClient(t, func(t *testing.T, x *xrdpserver.Server, binary string) {
		dev := newClient(t)
		c, s := x.Connect(t, binary, xrdpserver.Alice, dev.args())
		a := s.StartAgent(t)
		s.WaitFor(t, "card/data", "meter/tty")

		t.Run("file", func(t *testing.T) { useFile(t, s, dev) })
		t.Run("serial", func(t *testing.T) { useSerial(t, s, dev) })
		t.Run("folder", func(t *testing.T) {
			assert.Equal(t, "700 alice", s.Run(t, "stat -c '%a %U' ."))
			assert.Contains(t, s.Run(t, "cat card/info.json"), `"card"`)
			assert.Contains(t, s.Run(t, "/usr/bin/pnpdr-agent list"), "meter")
		})
		t.Run("second agent", func(t *testing.T) {
			second := s.StartAgent(t)
			require.Error(t, second.Wait(t, "another one is running"))
			require.NotEmpty(t, second.Text())
			assert.Equal(t, "21.5 C", s.Run(t, askByPython))
		})
		other := newClient(t)
		_, s2 := x.Connect(t, binary, xrdpserver.Bob, "/dvc:pnpdr,file:"+other.card+",name:photos")
		s2.StartAgent(t)
		s2.WaitFor(t, "photos/data")
		t.Run("another session", func(t *testing.T) {
			assert.Equal(t, "photos", s2.Run(t, "ls"))
			assert.Equal(t, "card meter", s.Run(t, "echo *"))
			_, err := s2.Try(t, "ls "+s.Devices())
			assert.Error(t, err, "another user sees the devices")
		})
		t.Run("reconnect", func(t *testing.T) {
			connect := func() { c, _ = x.Connect(t, binary, xrdpserver.Alice, dev.args()) }
			for _, end := range []func(){
				func() {
					c.Kill()
					<-c.Done()
				},
				connect, // takes over from the one before
			} {
				a.LosesClient(t, func() { holdDevices(t, s, end) })
				select {
				case <-c.Done():
					connect()
				default:
				}
				s.WaitFor(t, "card/data", "meter/tty")
				assert.Equal(t, "21.5 C", s.Run(t, askByPython))
				assert.Equal(t, dev.hash+"  -", s.Run(t, readBack))
			}
		})
		t.Run("logout", func(t *testing.T) {
			holdDevices(t, s, func() { s.Logout(t) })
			require.NoError(t, a.Wait(t, "its session has ended"), a.Text())
			assert.Empty(t, s.Mounts(t))
			assert.Equal(t, other.hash+"  -", s2.Run(t, "sha256sum <photos/data"), "the other session goes on")
		})
		dev.unharmed(t)
	})
}

func useFile(t *testing.T, s *xrdpserver.Session, dev *client) {
	assert.Equal(t, fmt.Sprint(cardSize), s.Run(t, "stat -Lc %s card/data"))
	assert.Equal(t, dev.hash+"  -", s.Run(t, readBack))
	s.Run(t, "cp card/data ~/copy && cmp card/data ~/copy")
	s.Run(t, "for bs in 1 512 4096 65536 1000001; do for skip in 0 1 7; do "+
		"cmp <(dd if=card/data bs=$bs count=3 skip=$skip status=none) <(dd if=$HOME/copy bs=$bs count=3 skip=$skip status=none) || exit; done; done")
	s.Run(t, `python3 -c '
import mmap
with open("card/data", "rb") as f, open("/home/alice/copy", "rb") as g:
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    assert m[:] == g.read()'`)
	// What is written arrives, and nothing else changes.
	s.Run(t, "printf hello | dd of=card/data bs=1 seek=70001 conv=notrunc,fsync status=none")
	b, err := os.ReadFile(dev.card)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b[70001:70006]))
	s.Run(t, "dd if=$HOME/copy of=card/data bs=64K conv=notrunc,fsync status=none; rm ~/copy")
	dev.unharmed(t)
}

func useSerial(t *testing.T, s *xrdpserver.Session, dev *client) {
	assert.Equal(t, "21.5 C", s.Run(t, askByPython))
	assert.Equal(t, "21.5 C", s.Run(t, askByShell))
	for _, speed := range []string{"9600", "115200"} {
		bits := map[string]uint32{"9600": unix.B9600, "115200": unix.B115200}[speed]
		cmd := s.Command("/bin/bash", "-c", "exec 3<>"+s.Devices()+"/meter/tty; stty "+speed+" cs7 parenb parodd raw -echo <&3; echo set; read")
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		xrdpserver.Eventually(t, func() bool {
			tio := dev.settings()
			return tio.Cflag&unix.CBAUD == bits
		}, "%s baud at the client", speed)
		require.NoError(t, in.Close())
		_ = cmd.Wait()
	}
}

// holdDevices has programs use the devices while end takes them away: all of them must
// end.
func holdDevices(t *testing.T, s *xrdpserver.Session, end func()) {
	t.Helper()
	var all []*exec.Cmd
	for _, script := range []string{
		"while dd if=card/data of=/dev/null bs=64K iflag=nocache status=none; do :; done",
		"while dd if=card/data bs=4K count=64 status=none | dd of=card/data bs=4K conv=nocreat,notrunc,fsync status=none; do :; done",
		"exec cat meter/tty",
		"exec 3<card/data; head -c 1000 <&3 >/dev/null; while head -c 65536 <&3 >/dev/null; do sleep 0.01; exec 3<card/data || exit; done",
	} {
		cmd := s.Command("/bin/bash", "-c", "set -o pipefail; cd "+s.Devices()+" && "+script)
		require.NoError(t, cmd.Start())
		all = append(all, cmd)
	}
	time.Sleep(300 * time.Millisecond) // so that they are in the middle of it
	end()
	for _, cmd := range all {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait()
		}()
		select {
		case <-ended:
		case <-time.After(servertest.Patience):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("it goes on although the device is gone: %s", cmd.Args[2])
		}
	}
	noneStuck(t)
}

// noneStuck waits until no process of the server is in the kernel's uninterruptible
// sleep.
func noneStuck(t testing.TB) {
	t.Helper()
	xrdpserver.Eventually(t, func() bool {
		stuck := false
		xrdpserver.EachProcess(func(p xrdpserver.Process) { stuck = stuck || p.State == "D" })
		return !stuck
	}, "no process in state D")
}
