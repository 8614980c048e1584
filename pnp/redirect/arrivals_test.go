// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/kinds"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestDeviceComesToItsNode checks that a node which outlived its device, or was made
// before it, is announced when the device comes, although nothing changes at its path.
func TestDeviceComesToItsNode(t *testing.T) {
	const number, other = "301:9", "301:10"
	m := newMachine(t)
	m.RealNodes()
	dir := t.TempDir()
	mknod := func(name string, kind uint32, minor uint32) string {
		path := filepath.Join(dir, name)
		require.NoError(t, unix.Mknod(path, kind|0o600, int(unix.Mkdev(301, minor))))
		return path
	}
	stale, denied := mknod("stale", unix.S_IFCHR, 9), mknod("denied", unix.S_IFCHR, 9)
	block, marker := mknod("block", unix.S_IFBLK, 9), mknod("marker", unix.S_IFCHR, 10)
	m.start(deny(`node = "`+denied+`"`), "", "char:"+stale, "name:First", "char:"+denied, "char:"+stale, "name:Second", "file:"+block, "char:"+marker, "name:Marker")
	require.Empty(t, m.remote.Devices())
	about := func(action, subsystem, number string) {
		m.Send(discover.Uevent{Action: action, Path: "devices/other", Subsystem: subsystem, Number: number})
	}
	port := m.Plug(discovertest.FTDI("A1"))
	for _, n := range []string{number, other} {
		require.NoError(t, os.Symlink(filepath.Join(m.Sys, port.Keys[0]), filepath.Join(m.Sys, "dev/char", n)))
	}
	about("add", "tty", "301:90")
	about("add", "block", number) // the other kind of node
	about("add", "tty", "")
	about("add", "tty", other)
	require.Equal(t, "+Marker", m.event())

	about("add", "tty", number)
	require.Equal(t, "+First", m.event())
	require.Equal(t, "+Second", m.event())
	require.Eventually(t, func() bool {
		return strings.Contains(m.log.String(), "option=char:"+denied+` err="the administrator denies it`)
	}, time.Minute, time.Millisecond)
	require.Len(t, m.remote.Devices(), 3)
	about("change", "tty", number) // udev's message; nothing is announced twice
	require.NoError(t, os.Remove(stale))
	require.ElementsMatch(t, []string{"-First", "-Second"}, []string{m.event(), m.event()})
	require.Empty(t, m.come)
}

// TestLostMessages checks that the coming of a device is noticed although messages were
// lost.
func TestLostMessages(t *testing.T) {
	m := newMachine(t)
	m.RealNodes()
	stale := filepath.Join(t.TempDir(), "stale")
	require.NoError(t, unix.Mknod(stale, unix.S_IFCHR|0o600, int(unix.Mkdev(301, 9))))
	m.start("", "", "char:"+stale, "name:Stale")
	require.NoError(t, os.Symlink(filepath.Join(m.Sys, m.PlugUnseen(discovertest.FTDI("A1")).Keys[0]), filepath.Join(m.Sys, "dev/char/301:9")))
	m.Lose()
	require.Equal(t, "+Stale", m.event())
}

// TestRealDeviceComesToItsNode is TestDeviceComesToItsNode with a device and messages of
// the kernel's.
func TestRealDeviceComesToItsNode(t *testing.T) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("NOT TESTED: no loop devices, which take root: %v", err)
	}
	defer control.Close()
	const loopMajor, number = 7, 7777
	stale := filepath.Join(t.TempDir(), "stale")
	require.NoError(t, unix.Mknod(stale, unix.S_IFBLK|0o600, int(unix.Mkdev(loopMajor, number))))
	m := &machine{t: t, kinds: kinds.All()}
	m.start("", "", "file:"+stale, "name:Stale")
	require.Contains(t, m.log.String(), "it is a node without a device")
	require.NoError(t, unix.IoctlSetInt(int(control.Fd()), unix.LOOP_CTL_ADD, number))
	defer func() { require.NoError(t, unix.IoctlSetInt(int(control.Fd()), unix.LOOP_CTL_REMOVE, number)) }()
	require.Equal(t, "+Stale", m.event())
}
