// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/discover"
)

const (
	usbSerialName = "QEMU USB SERIAL"
)

// plugSerial plugs in the serial adapter (an FTDI chip). openLine opens the
// other end of its line.
func plugSerial(t testing.TB) *plugged {
	t.Helper()
	return plug(t, "usb-serial", map[string]any{"chardev": "line", "serial": "S1"})
}

func openLine(t testing.TB) *os.File {
	t.Helper()
	line, err := os.OpenFile("/dev/virtio-ports/line", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { line.Close() })
	require.NoError(t, line.SetDeadline(time.Now().Add(patience)))
	return line
}

// scanned waits until discovery lists a USB device with a name and udev has
// processed it.
func scanned(t testing.TB, name string) *discover.Device {
	t.Helper()
	var found *discover.Device
	waitFor(t, "finding "+name, func() bool {
		devices, err := discover.Scan(discover.Config{})
		require.NoError(t, err)
		for _, d := range devices {
			if d.Product == name && d.Node != "" && d.Subsystem != "usb" {
				found = d
				return true
			}
		}
		return false
	})
	settle(t)
	return found
}

// testAuto plugs in what a desk has. Everything that arrives after the keyboard
// and the tablet shows that they were passed over.
func testAuto(t *testing.T, f *fixture) {
	tablet := plug(t, "usb-tablet", nil)
	require.NotEmpty(t, scanned(t, "QEMU USB Tablet").Excluded)
	r := f.connect(t, "loopback,auto")
	r.added(fakeDevice)
	keyboard := plug(t, "usb-kbd", nil)
	require.NotEmpty(t, scanned(t, "QEMU USB Keyboard").Excluded)

	adapter := plugSerial(t)
	d := r.added(usbSerialName)
	require.Equal(t, []string{`USB\VID_0403&PID_6001&REV_0400`, `USB\VID_0403&PID_6001`}, d.Description().HardwareIDs)
	require.Equal(t, []pnp.GUID{pnp.GUID_DEVINTERFACE_COMPORT}, d.Description().Interfaces)
	require.NotNil(t, d.Description().Container)
	w := newWire(t)
	line := openLine(t)
	h := r.open(d)
	r.whatIsThere(h)
	// FTDI's requests: 3 sets the divisor of 3 MHz, here 312.5; 1 sets the
	// lines that the high byte selects; 4 sets the format.
	r.control(h, serial.IOCTL_SERIAL_SET_BAUD_RATE, u32s(9600), 0)
	w.wait(0x40, 3, 0x4138, 0, "")
	r.control(h, serial.IOCTL_SERIAL_SET_LINE_CONTROL, []byte{serial.STOP_BITS_2, serial.EVEN_PARITY, 7}, 0)
	w.wait(0x40, 4, 0x1207, 0, "")
	r.control(h, serial.IOCTL_SERIAL_SET_LINE_CONTROL, []byte{serial.STOP_BIT_1, serial.NO_PARITY, 8}, 0)
	r.control(h, serial.IOCTL_SERIAL_CLR_DTR, nil, 0)
	w.wait(0x40, 1, 0x0100, 0, "")
	r.control(h, serial.IOCTL_SERIAL_SET_DTR, nil, 0)
	w.wait(0x40, 1, 0x0101, 0, "")
	r.echo(h, line, "through a serial adapter\r\n\x00\xff")

	// Two more arrive besides it.
	u := newUHID(t, "Gauge", plainDescriptor, nil)
	gauge := r.added("Gauge")
	g := newGadget(t)
	g.plug()
	modem := r.added(gadgetName)
	gh := r.open(gauge)
	u.Feed([]byte("ab")...)
	p := make([]byte, 3)
	_, err := gh.ReadAt(r.ctx, p, 0)
	require.NoError(t, err)
	require.Equal(t, "\x00ab", string(p))

	// Each is unplugged while a request waits on it; the others stay.
	reads := pending(func() (int, error) { return h.ReadAt(r.ctx, make([]byte, 10), 0) })
	adapter.unplug()
	r.requireGone(reads)
	r.removed(d)
	g.unplug()
	r.removed(modem)
	u.Feed([]byte("cd")...)
	_, err = gh.ReadAt(r.ctx, p, 0)
	require.NoError(t, err)
	require.Equal(t, "\x00cd", string(p))
	reads = pending(func() (int, error) { return gh.ReadAt(r.ctx, make([]byte, 3), 0) })
	u.Unplug()
	r.requireGone(reads)
	r.removed(gauge)
	keyboard.unplug()
	tablet.unplug()
	r.stillThere(fakeDevice)
	r.finish()
}

// testNamed redirects a device that is not eligible, a keyboard, because the
// user names it.
func testNamed(t *testing.T, f *fixture) {
	r := f.connect(t, "loopback,usb:0627:0001")
	r.added(fakeDevice)
	keyboard := plug(t, "usb-kbd", nil)
	d := r.added("QEMU USB Keyboard")
	require.Contains(t, d.Description().HardwareIDs, "HID_DEVICE_SYSTEM_KEYBOARD")
	h := r.open(d)
	p := make([]byte, 9)
	for _, want := range []string{"\x00\x00\x00\x04", "\x00\x00\x00\x00"} { // A, and its release
		down := want[3] != 0
		key := map[string]any{"type": "key", "data": map[string]any{"down": down, "key": map[string]any{"type": "qcode", "data": "a"}}}
		require.NoError(t, machine(t).do("input-send-event", map[string]any{"events": []any{key}}))
		n, err := h.ReadAt(r.ctx, p, 0)
		require.NoError(t, err)
		require.Equal(t, want+"\x00\x00\x00\x00\x00", string(p[:n]))
	}
	reads := pending(func() (int, error) { return h.ReadAt(r.ctx, p, 0) })
	keyboard.unplug()
	r.requireGone(reads)
	r.removed(d)
	r.finish()
}

// testPermissions: an unprivileged client finds a device that its user may not
// open, until an administrator changes that.
func testPermissions(t *testing.T, f *fixture) {
	// The user's own rules would be in a folder of this test.
	r := f.connect(t, "loopback,auto,config:/dev/null", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
	r.added(fakeDevice)
	g := newGadget(t)
	far := g.openFar()
	g.plug()
	node := scanned(t, gadgetName).Node
	u := newUHID(t, "Open to all", plainDescriptor, nil)
	require.NoError(t, os.Chmod(u.Node, 0o666))
	change(t, u.Node)
	r.added("Open to all")
	require.NoError(t, os.Chmod(node, 0o666))
	change(t, node)
	d := r.added(gadgetName)
	h := r.open(d)
	r.whatIsThere(h)
	r.echo(h, far, "as a user")
	g.unplug()
	r.removed(d)
	r.finish()
	require.Contains(t, r.client.Output(), "70-freerdp-pnpdr.rules")
}

// change makes udev send the event that follows a change of its rules.
func change(t testing.TB, node string) {
	t.Helper()
	out, err := exec.Command("udevadm", "trigger", "--action=change", "--settle", node).CombinedOutput()
	require.NoError(t, err, string(out))
}

// testUdev: udev hangs, and then does not run at all. Devices are found without
// it.
func testUdev(t *testing.T, f *fixture) {
	r := f.connect(t, "loopback,auto")
	r.added(fakeDevice)
	out, err := exec.Command("pidof", "systemd-udevd").Output()
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	require.NoError(t, unix.Kill(pid, unix.SIGSTOP))
	g := newGadget(t)
	g.plug()
	d := r.added(gadgetName) // after some seconds
	g.unplug()
	r.removed(d)
	require.NoError(t, unix.Kill(pid, unix.SIGCONT))
	settle(t)

	require.NoError(t, exec.Command("udevadm", "control", "--exit").Run())
	waitFor(t, "the end of udev", func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) })
	require.NoError(t, os.RemoveAll("/run/udev/control")) // udev leaves it behind
	t.Cleanup(func() {
		require.NoError(t, exec.Command("/usr/lib/systemd/systemd-udevd", "--daemon").Run())
	})
	g.plug()
	d = r.added(gadgetName)
	g.unplug()
	r.removed(d)
	r.finish()
}

// testDenied: an administrator denies the serial adapter, and a user asks for
// it in every possible way.
func testDenied(t *testing.T, f *fixture) {
	const admin = "/etc/freerdp/pnpdr.toml"
	require.NoError(t, os.WriteFile(admin, []byte("[[rule]]\naction = \"deny\"\nvid = \"0403\"\ncomment = \"stays here\"\n"), 0o644))
	t.Cleanup(func() { os.Remove(admin) })
	user := filepath.Join(t.TempDir(), "pnpdr.toml")
	require.NoError(t, os.WriteFile(user, []byte("default = \"allow\"\nauto = true\n[[rule]]\naction = \"allow\"\nvid = \"0403\"\npid = \"6001\"\n"), 0o644))

	adapter := plugSerial(t)
	node := scanned(t, usbSerialName).Node
	links, err := filepath.Glob("/dev/serial/by-id/*")
	require.NoError(t, err)
	require.Len(t, links, 1, "udev did not make its links")
	options := fmt.Sprintf("loopback,usb:0403:6001,serial:%s,serial:%s,char:%s,char:%s,file:%s,rule:allow+node=%s,rule:allow+vid=0403,auto,config:%s",
		node, links[0], node, links[0], node, node, user)
	r := f.connect(t, options)
	r.added(fakeDevice)
	// It comes back, and then a device that nobody denies.
	adapter.unplug()
	adapter = plugSerial(t)
	scanned(t, usbSerialName)
	g := newGadget(t)
	g.plug()
	modem := r.added(gadgetName)
	adapter.unplug()
	g.unplug()
	r.removed(modem)
	r.finish()
	require.Contains(t, r.client.Output(), "stays here")
}

// testCycles plugs a device in and out, each time in the middle of a transfer,
// and finds that nothing is left of any of them.
func testCycles(t *testing.T, f *fixture) {
	const atLeast, atMost, enough = 10, 50, 60 * time.Second
	r := f.connect(t, "loopback,auto")
	r.added(fakeDevice)
	line := openLine(t)
	seen := map[uint32]bool{}
	var before int
	began, n := time.Now(), 0
	for ; n < atMost && (n < atLeast || time.Since(began) < enough); n++ {
		adapter := plugSerial(t)
		d := r.added(usbSerialName)
		require.False(t, seen[d.ID()], "an id was used twice")
		seen[d.ID()] = true
		h, err := d.Open(r.ctx, server.OpenOptions{})
		require.NoError(t, err)
		r.whatIsThere(h)
		require.NoError(t, line.SetDeadline(time.Now().Add(patience)))
		r.echo(h, line, fmt.Sprintf("this is number %d", n))
		// Data from the line at this moment would crash QEMU, which would wake
		// up a device that is on no bus any more.
		writes, halt := r.send(h, line, 1<<10)
		reads := pending(func() (int, error) { return h.ReadAt(r.ctx, make([]byte, 10), 0) })
		adapter.unplug()
		r.requireGone(reads)
		r.requireGone(writes)
		halt()
		r.removed(d)
		require.NoError(t, h.Close())
		if n == 1 {
			before = descriptors(t, r.client.Pid())
		}
	}
	t.Logf("%d cycles in %v", n, time.Since(began).Round(time.Second))
	waitFor(t, "closing files", func() bool { return descriptors(t, r.client.Pid()) <= before })
	r.stillThere(fakeDevice)
	r.finish()
}

// descriptors counts the files that a process has open.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	require.NoError(t, err)
	return len(list)
}
