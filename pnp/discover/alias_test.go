// SPDX-License-Identifier: Apache-2.0

package discover_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/discover/discovertest"
)

// TestControllingTerminal checks that /dev/tty is also what it leads to, by whatever
// path. The process that asks has a pseudo terminal.
func TestControllingTerminal(t *testing.T) {
	const child = "PNP_TEST_CONTROLLING_TERMINAL"
	if want := os.Getenv(child); want != "" {
		fd, err := os.Open("/dev/tty")
		require.NoError(t, err)
		for _, node := range []string{"/dev/tty", fmt.Sprintf("/dev/fd/%d", fd.Fd()), fmt.Sprintf("/proc/self/fd/%d", fd.Fd())} {
			devices, err := discover.At(discover.Config{}, node)
			require.NoError(t, err)
			require.Len(t, devices, 2, node)
			require.Equal(t, "/dev/tty", devices[0].Node)
			require.Equal(t, want, devices[1].Node)
		}
		return
	}
	_, path := devtest.OpenPTY(t)
	terminal, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer terminal.Close()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^TestControllingTerminal$", "-test.v")
	cmd.Env = append(os.Environ(), child+"="+path)
	cmd.Stdin = terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS")

	cmd = exec.Command(self, "-test.run=^TestWithoutTerminal$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS")
}

// TestWithoutTerminal is run by TestControllingTerminal in a process without one.
func TestWithoutTerminal(t *testing.T) {
	if f, err := os.Open("/dev/tty"); err == nil {
		f.Close()
		return // TestControllingTerminal runs it again
	}
	_, err := discover.At(discover.Config{}, "/dev/tty")
	require.ErrorIs(t, err, discover.ErrNoDevice)
}

// node makes a device node outside of the tree.
func node(t *testing.T, mode, major, minor uint32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node")
	require.NoError(t, unix.Mknod(path, mode|0o600, int(unix.Mkdev(major, minor))))
	return path
}

// attribute writes a file of sysfs.
func attribute(t *testing.T, m *discovertest.Tree, name, value string) {
	t.Helper()
	name = filepath.Join(m.Sys, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(value+"\n"), 0o644))
}

// TestConsole checks that the console and the virtual terminal in front are also the
// terminals that they lead to.
func TestConsole(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	port := m.Plug(discovertest.FTDI("A5"))
	console, front := node(t, unix.S_IFCHR, 5, 1), node(t, unix.S_IFCHR, 4, 0)
	for _, path := range []string{console, front} {
		_, err := discover.At(m.Config(), path)
		require.Error(t, err, "it could be any terminal")
	}
	id := byKey(scan(t, m))[port.Keys[0]]
	number, err := os.ReadFile(filepath.Join(m.Sys, port.Keys[0], "uevent"))
	require.NoError(t, err)
	var major, minor int
	_, err = fmt.Sscanf(string(number), "MAJOR=%d\nMINOR=%d", &major, &minor)
	require.NoError(t, err)
	attribute(t, m, port.Keys[0]+"/dev", fmt.Sprintf("%d:%d", major, minor))
	attribute(t, m, "class/tty/console/active", "tty0 ttyUSB0")
	got := at(t, m, console)
	require.Len(t, got, 2)
	require.Equal(t, console, got[0].Node)
	require.Equal(t, id, got[1])

	vt := m.AddNode("devices/virtual/tty/tty3", "tty", "tty3", false)
	attribute(t, m, "devices/virtual/tty/tty3/dev", "300:0")
	require.NoError(t, os.Symlink("../../devices/virtual/tty/tty3", filepath.Join(m.Sys, "class/tty/tty3")))
	attribute(t, m, "class/tty/tty0/active", "tty3")
	attribute(t, m, "class/tty/tty0/dev", "4:0")
	attribute(t, m, "class/tty/console/active", "ttyUSB0 tty0")
	for _, path := range []string{console, front} {
		got = at(t, m, path)
		require.Len(t, got, 2)
		require.Equal(t, vt, got[1].Node)
	}
}

// TestGathered checks that a node which passes on the data of several devices is all
// of them.
func TestGathered(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	mouse, stick := m.Plug(discovertest.Mouse()), m.Plug(discovertest.Stick())
	input := filepath.Dir(filepath.Dir(mouse.Keys[0])) + "/input/input4/mouse0"
	own := m.AddNode(input, "input", "input/mouse0", false)
	require.NoError(t, os.Symlink("../../"+input, filepath.Join(m.Sys, "class/input/mouse0")))
	usb := func(d *discover.Device) string { return fmt.Sprintf("%04x:%04x %s", d.VendorID, d.ProductID, d.Node) }

	mice := m.AddNode("devices/virtual/input/mice", "input", "input/mice", false)
	got := at(t, m, mice)
	require.Len(t, got, 2)
	require.Equal(t, mice, got[0].Node)
	require.Equal(t, "046d:c077 "+own, usb(got[1]))
	require.NotEmpty(t, got[1].Excluded)

	psaux := at(t, m, m.AddNode("devices/virtual/misc/psaux", "misc", "psaux", false))
	require.Len(t, psaux, 2)
	require.Equal(t, "046d:c077 "+own, usb(psaux[1]))

	card := stick.Key + "/" + filepath.Base(stick.Key) + ":1.0/sound/card0"
	attribute(t, m, card+"/id", "Stick")
	require.NoError(t, os.MkdirAll(filepath.Join(m.Sys, "class/sound"), 0o755))
	require.NoError(t, os.Symlink("../../"+card, filepath.Join(m.Sys, "class/sound/card0")))
	for _, name := range []string{"seq", "sequencer", "sequencer2"} {
		got := at(t, m, m.AddNode("devices/virtual/sound/"+name, "sound", "snd/"+name, false))
		require.Len(t, got, 2, name)
		require.Contains(t, got[1].Key, stick.Key)
	}

	for name, all := range map[string]bool{"usbmon0": true, "usbmon1": true, "usbmon2": false} {
		got := at(t, m, m.AddNode("devices/virtual/usbmon/"+name, "usbmon", name, false))
		seen := map[string]bool{}
		for _, d := range got {
			seen[d.Key] = true
		}
		require.Equal(t, all, seen[mouse.Keys[0]], name)
		require.Equal(t, all, seen[stick.Key+"/"+filepath.Base(stick.Key)+":1.0"], name)
	}

	_, err := discover.At(m.Config(), m.AddNode("devices/virtual/mem/mem", "mem", "mem", false))
	require.ErrorContains(t, err, "access to every device")
	null := at(t, m, filepath.Join(m.Dev, "null"))
	require.Len(t, null, 1)
	require.True(t, strings.HasSuffix(null[0].Key, "/null"))
}

// TestNodeWithoutDevice checks that a number that no device has is told from a
// terminal's, which is not in sysfs.
func TestNodeWithoutDevice(t *testing.T) {
	m := discovertest.New(t)
	m.RealNodes()
	for _, mode := range []uint32{unix.S_IFCHR, unix.S_IFBLK} {
		_, err := discover.At(m.Config(), node(t, mode, 301, 7))
		require.ErrorIs(t, err, discover.ErrNoDevice)
		require.ErrorContains(t, err, "301:7")
	}
	_, pty := devtest.OpenPTY(t)
	require.Equal(t, pty, at(t, m, pty)[0].Node)
	p := m.Plug(discovertest.FTDI("A5"))
	alias := filepath.Join(discovertest.TempDir(t), "alias")
	require.NoError(t, os.Link(p.Nodes[0], alias))
	require.Equal(t, p.Keys[0], at(t, m, alias)[0].Key)
	p.Unplug()
	_, err := discover.At(m.Config(), alias)
	require.ErrorIs(t, err, discover.ErrNoDevice)
}
