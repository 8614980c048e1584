// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// namespace is a network namespace of the test's own, in which it can send as udev
// and have the kernel send.
type namespace struct {
	t  testing.TB
	do chan func()
	fd int
}

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can make a network namespace to send device events in")
	}
	n := &namespace{t: t, do: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range n.do {
			f()
		}
	}()
	t.Cleanup(func() { close(n.do) })
	if err := <-ready; err != nil {
		t.Skipf("NOT TESTED: no network namespace: %v", err)
	}
	n.in(func() {
		var err error
		n.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
		require.NoError(t, err)
	})
	t.Cleanup(func() { unix.Close(n.fd) })
	return n
}

// in runs f in the namespace.
func (n *namespace) in(f func()) {
	done := make(chan struct{})
	n.do <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (n *namespace) listen() (s discover.Source, err error) {
	n.in(func() { s, err = discover.Listen() })
	return s, err
}

// udev sends as udev does. A receiver cannot tell the difference.
func (n *namespace) udev(e discover.Uevent) { n.multicast(2, e.AppendUdev(nil)) }

func (n *namespace) multicast(group uint32, msg []byte) {
	n.t.Helper()
	require.NoError(n.t, unix.Sendto(n.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: group}))
}

// kernel makes the kernel send: since 4.18 it forwards messages of the namespace's
// owner as its own.
func (n *namespace) kernel(e discover.Uevent) {
	n.t.Helper()
	msg := e.AppendKernel(make([]byte, unix.SizeofNlMsghdr))
	binary.NativeEndian.PutUint32(msg, uint32(len(msg)))
	binary.NativeEndian.PutUint16(msg[4:], unix.NLMSG_MIN_TYPE)
	binary.NativeEndian.PutUint16(msg[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(n.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		n.t.Skipf("NOT TESTED: the kernel passes no events on: %v", err)
	}
}

func receive(t *testing.T, s discover.Source) discover.Uevent {
	t.Helper()
	for {
		list := ours(t, s, 20*time.Second)
		if len(list) > 0 {
			require.Len(t, list, 1)
			return list[0]
		}
	}
}

// ours receives once and drops messages about this machine's own devices, which the
// kernel sends to every namespace: a file system that another test mounts, say.
func ours(t *testing.T, s discover.Source, wait time.Duration) []discover.Uevent {
	t.Helper()
	list, err := s.Receive(wait)
	require.NoError(t, err)
	if wait > 0 {
		require.NotEmpty(t, list, "nothing came")
	}
	return slices.DeleteFunc(list, func(e discover.Uevent) bool { return e.Path != event.Path && e.Path != other.Path })
}

var (
	event = discover.Uevent{Action: "add", Path: "devices/pci0/1-1", Subsystem: "usb", Number: "189:3", Seq: 7}
	other = discover.Uevent{Action: "add", Path: "devices/other", Subsystem: "usb", Seq: 7}
)

func TestNetlink(t *testing.T) {
	n := newNamespace(t)
	s, err := n.listen()
	require.NoError(t, err)
	defer s.Close()
	require.Empty(t, ours(t, s, 0))
	_, err = s.Receive(time.Millisecond)
	require.NoError(t, err)

	want := event
	n.udev(event)
	want.Udev = true
	require.Equal(t, want, receive(t, s))

	n.kernel(event)
	got := receive(t, s)
	require.False(t, got.Udev)
	require.Equal(t, event.Path, got.Path)

	// Forged: in the kernel's name, in udev's to the wrong group, and garbage.
	n.multicast(1, event.AppendKernel(nil))
	n.multicast(2, event.AppendKernel(nil))
	n.multicast(1, event.AppendUdev(nil))
	n.multicast(2, []byte("libudev\x00 and nothing that makes sense, but long enough"))
	n.multicast(2, make([]byte, 1<<17))
	n.udev(event)
	require.Equal(t, want, receive(t, s))
}

// TestNetlinkOfUsers checks that messages from other users than root are dropped.
func TestNetlinkOfUsers(t *testing.T) {
	n := newNamespace(t)
	s, err := n.listen()
	require.NoError(t, err)
	defer s.Close()
	n.in(func() {
		// Only this thread becomes another user, and keeps the capability to
		// send.
		require.NoError(t, unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0))
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 1234, 1234, 0)
		require.Zero(t, errno)
		capabilities(t)
		n.udev(event)
		_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0)
		require.Zero(t, errno)
		capabilities(t)
	})
	n.udev(other)
	require.Equal(t, other.Path, receive(t, s).Path)
}

// capabilities makes the thread's permitted capabilities effective.
func capabilities(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	require.NoError(t, unix.Capget(&header, &data[0]))
	for i := range data {
		data[i].Effective = data[i].Permitted
	}
	require.NoError(t, unix.Capset(&header, &data[0]))
}

func TestNetlinkOverrun(t *testing.T) {
	n := newNamespace(t)
	s, err := n.listen()
	require.NoError(t, err)
	defer s.Close()
	big := event
	for len(big.Subsystem) < 30000 {
		big.Subsystem += "0123456789"
	}
	lost := false
	for range 2000 { // 60 MB, more than any buffer here
		n.udev(big)
	}
	for {
		list, err := s.Receive(0)
		if err != nil {
			require.ErrorIs(t, err, discover.ErrLost)
			lost = true
		} else if len(list) == 0 {
			break
		}
	}
	require.True(t, lost)
	n.udev(event)
	require.Equal(t, event.Path, receive(t, s).Path, "it goes on")
}

func TestNetlinkClose(t *testing.T) {
	s, err := discover.Listen() // needs no privileges
	require.NoError(t, err)
	done := make(chan error)
	go func() {
		_, err := s.Receive(-1)
		done <- err
	}()
	require.NoError(t, s.Close())
	require.Error(t, <-done)
	require.NoError(t, s.Close())
	_, err = s.Receive(0)
	require.Error(t, err)
}

// TestMonitorOverNetlink sends the messages of a tree through the kernel.
func TestMonitorOverNetlink(t *testing.T) {
	n := newNamespace(t)
	m := discovertest.New(t)
	m.RunUdev()
	relay, err := m.Listen()
	require.NoError(t, err)
	cfg := m.Config()
	cfg.Listen = n.listen
	r := follow(t, cfg)
	pass := func() {
		list, err := relay.Receive(0)
		require.NoError(t, err)
		for _, e := range list {
			if e.Udev {
				n.udev(e)
			} else {
				n.kernel(e)
			}
		}
	}
	for range 10 {
		p := m.Plug(discovertest.Gamepad())
		pass()
		m.Settle()
		pass()
		r.gets(added, p.Keys[0])
		p.Unplug()
		pass()
		r.gets(removed, p.Keys[0])
		m.Settle()
		pass()
	}
	require.NoError(t, relay.Close())
}

// TestRealKernelEvent receives a message that the kernel itself made.
func TestRealKernelEvent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can make the kernel repeat a device event")
	}
	const port = "devices/virtual/tty/tty1"
	s, err := discover.Listen()
	require.NoError(t, err)
	defer s.Close()
	if err := os.WriteFile("/sys/"+port+"/uevent", []byte("change"), 0o200); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	for {
		list, err := s.Receive(20 * time.Second)
		require.NoError(t, err)
		require.NotEmpty(t, list, "the kernel sends no messages to this network namespace")
		for _, e := range list {
			if e.Path == port && !e.Udev {
				require.Equal(t, "change", e.Action)
				require.Equal(t, "tty", e.Subsystem)
				require.NotZero(t, e.Seq)
				return
			}
		}
	}
}

// TestAccessAsUser asks for access as a user who lacks it.
func TestAccessAsUser(t *testing.T) {
	if os.Geteuid() == 0 {
		self, err := os.Executable()
		require.NoError(t, err)
		copied := t.TempDir()
		require.NoError(t, os.Chmod(copied, 0o755))
		require.NoError(t, exec.Command("cp", self, copied+"/test").Run())
		for dir := copied; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
			require.NoError(t, os.Chmod(dir, 0o755))
		}
		cmd := exec.Command(copied+"/test", "-test.run=^TestAccessAsUser$", "-test.v")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), "SKIP", "%s", out)
		return
	}
	m := discovertest.New(t)
	p := m.Plug(discovertest.FTDI("1"))
	r := follow(t, m.Config())
	require.NoError(t, r.gets(added, p.Keys[0]).Access())
	require.NoError(t, os.Chmod(p.Nodes[0], 0o000))
	m.Trigger("change", p.Keys[0], "tty")
	d := r.gets(changed, p.Keys[0])
	err := d.Access()
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, `ATTRS{idVendor}=="0403"`)
	require.NotContains(t, err.Error(), "member of the group")
	require.NoError(t, os.Chmod(p.Nodes[0], 0o060))
	require.ErrorContains(t, d.Access(), "make your user a member of the group ")
	require.NoError(t, os.Chmod(p.Nodes[0], 0o600))
	m.Trigger("change", p.Keys[0], "tty")
	require.NoError(t, r.gets(changed, p.Keys[0]).Access())
	for _, mode := range []os.FileMode{0o400, 0o200} {
		require.NoError(t, os.Chmod(p.Nodes[0], mode))
		m.Trigger("change", p.Keys[0], "tty")
		require.NoError(t, r.gets(changed, p.Keys[0]).Access(), "one direction is of use")
	}
}
