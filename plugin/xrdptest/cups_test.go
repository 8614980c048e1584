// SPDX-License-Identifier: Apache-2.0

package xrdptest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/plugin/internal/xrdpserver"
	"freerdp-pnpdr/pnp/devtest"
)

// cupsdConf is a CUPS that listens to nothing but a socket.
const cupsdConf = `Listen /run/cups/cups.sock
Browsing No
LogLevel debug
<Location />
  Order allow,deny
  Allow localhost
</Location>
`

// startCUPS starts Debian's CUPS on the server, with the backend as docs/agent.md installs
// it.
func startCUPS(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(xrdpserver.Root + "/usr/sbin/cupsd"); err != nil {
		t.Skip("NOT TESTED: printing through CUPS: ", err)
	}
	backend := xrdpserver.Root + "/usr/lib/cups/backend/pnpdr"
	require.NoError(t, xrdpserver.CopyFile("../../build/cups/pnpdr", backend))
	require.NoError(t, os.Chmod(backend, 0o700))
	require.NoError(t, os.WriteFile(xrdpserver.Root+"/etc/cups/cupsd.conf", []byte(cupsdConf), 0o600))
	require.NoError(t, os.RemoveAll(xrdpserver.Root+"/run/cups"))
	require.NoError(t, os.MkdirAll(xrdpserver.Root+"/run/cups", 0o755))
	daemon := onServer("/usr/sbin/cupsd", "-f", "-c", "/etc/cups/cupsd.conf")
	var said devtest.Output
	daemon.Stdout, daemon.Stderr = &said, &said
	require.NoError(t, daemon.Start())
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(xrdpserver.Root + "/var/log/cups/error_log")
			t.Logf("cupsd:\n%s%s", said.String(), log[max(0, len(log)-8000):])
		}
	})
	xrdpserver.Eventually(t, func() bool { _, err := os.Stat(xrdpserver.Root + "/run/cups/cups.sock"); return err == nil }, "cupsd")
}

// onServer is a program of root's on the server.
func onServer(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: xrdpserver.Root, Setpgid: true}
	return cmd
}

// asRoot runs a program that must not fail.
func asRoot(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := onServer(name, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// paper is the other end of the terminal that the client takes for a printer. What is printed
// is read on demand: a printer that nobody reads takes nothing more.
type paper struct {
	t      *testing.T
	master *os.File
	path   string
}

func newPaper(t *testing.T) *paper {
	master, path := devtest.OpenPTY(t)
	held, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { held.Close() })
	tio, err := unix.IoctlGetTermios(int(held.Fd()), unix.TCGETS)
	require.NoError(t, err)
	tio.Iflag, tio.Oflag, tio.Lflag = 0, 0, 0
	require.NoError(t, unix.IoctlSetTermios(int(held.Fd()), unix.TCSETS, tio))
	return &paper{t, master, path}
}

// reads takes so many bytes.
func (p *paper) reads(n int) []byte {
	p.t.Helper()
	got := make([]byte, n)
	for at := 0; at < n; {
		m, err := p.master.Read(got[at:])
		require.NoError(p.t, err)
		at += m
	}
	return got
}

// drain takes what is there.
func (p *paper) drain() {
	p.t.Helper()
	raw, err := p.master.SyscallConn()
	require.NoError(p.t, err)
	buf := make([]byte, 64<<10)
	require.NoError(p.t, raw.Control(func(fd uintptr) {
		for err == nil {
			_, err = unix.Read(int(fd), buf)
		}
	}))
	require.ErrorIs(p.t, err, unix.EAGAIN)
}

// TestCUPS prints through Debian's CUPS on a printer of the client's.
func TestCUPS(t *testing.T) {
	needAgent(t)
	binary, _ := servertest.FindClient(3)
	if binary == "" {
		binary = servertest.RequireClient(t, 2)
	}
	p := newPaper(t)
	x := startXrdp(t)
	args := "/dvc:pnpdr,printer:" + p.path + ",name:Zebra"
	c, s := x.Connect(t, binary, xrdpserver.Alice, args)
	s.StartAgent(t)
	s.WaitFor(t, "Zebra/data")
	startCUPS(t)

	// Root may not look into the files of alice's session, but the backend finds the printer.
	line := `direct pnpdr://alice/Zebra "Unknown" "Zebra of alice" "" ""`
	require.Equal(t, line+"\n", asRoot(t, "/usr/lib/cups/backend/pnpdr"))
	require.Equal(t, line, s.Run(t, "pnpdr-agent cups"))
	asRoot(t, "/usr/sbin/lpadmin", "-p", "label", "-E", "-v", "pnpdr://alice/Zebra", "-m", "raw", "-u", "allow:alice")

	lp := func(s *xrdpserver.Session, job []byte) (id string, err error) {
		t.Helper()
		cmd := s.Command("/usr/bin/lp", "-d", "label")
		cmd.Stdin = bytes.NewReader(job)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", errors.New(string(out))
		}
		return strings.Fields(string(out))[3], nil // request id is label-1 (1 file(s))
	}
	print := func(job []byte) string {
		t.Helper()
		id, err := lp(s, job)
		require.NoError(t, err)
		return id
	}
	jobs := func(which string) string { return asRoot(t, "/usr/bin/lpstat", "-W", which, "-o", "label") }
	over := func(id string) {
		t.Helper()
		xrdpserver.Eventually(t, func() bool { return !strings.Contains(jobs("not-completed"), id) }, "the end of %s", id)
	}
	state := func(says string) {
		t.Helper()
		xrdpserver.Eventually(t, func() bool { return strings.Contains(asRoot(t, "/usr/bin/lpstat", "-p", "label"), says) }, "%s", says)
	}

	// All bytes arrive, as they are.
	label := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(label)
	id := print(label)
	require.True(t, bytes.Equal(label, p.reads(len(label))))
	over(id)

	// Others may not print.
	bobs := *s
	bobs.User = xrdpserver.Bob
	_, err := lp(&bobs, label)
	require.ErrorContains(t, err, "Not allowed to print")

	// A job that the printer does not take can be cancelled.
	id = print(label)
	state("sending the job to Zebra of alice")
	asRoot(t, "/usr/bin/cancel", id)
	over(id)
	backends := func() (n int) {
		xrdpserver.EachProcess(func(p xrdpserver.Process) {
			if p.Name == "pnpdr-agent" && p.UID == xrdpserver.Alice.ID {
				n++
			}
		})
		return n
	}
	xrdpserver.Eventually(t, func() bool { return backends() == 1 }, "the end of the backend")
	p.drain()

	// A job begins anew if its printer goes, and waits for it.
	id = print(label)
	state("sending the job to Zebra of alice")
	p.reads(1000)
	c.Kill()
	<-c.Done()
	state("waiting for Zebra of alice: it is not there")
	p.drain()
	x.Connect(t, binary, xrdpserver.Alice, args)
	require.True(t, bytes.Equal(label, p.reads(len(label))))
	over(id)
	require.Contains(t, jobs("completed"), id)
}
