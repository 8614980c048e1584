// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// TestContainerOutlivesInstances: the numbers that the kernel gives to a HID device
// are not the device.
func TestContainerOutlivesInstances(t *testing.T) {
	container := func(key string) pnp.GUID { return *(&Device{Key: key}).container(nil) }
	const pad = "devices/platform/AMDI0010:00/i2c-0/i2c-ELAN0412:00/"
	first := container(pad + "0018:04F3:3169.0001/hidraw/hidraw0")
	require.Equal(t, first, container(pad+"0018:04F3:3169.0007/hidraw/hidraw4"))
	require.NotEqual(t, first, container("devices/platform/AMDI0010:01/i2c-1/i2c-X:00/0018:04F3:3169.0001/hidraw/hidraw0"))
	const virtual = "devices/virtual/misc/uhid/"
	require.NotEqual(t, container(virtual+"0003:1234:0001.0001/hidraw/hidraw0"), container(virtual+"0003:1234:0002.0002/hidraw/hidraw1"))
}

func TestUevents(t *testing.T) {
	e := Uevent{Action: "add", Path: "devices/pci0/1-1", Subsystem: "usb", Seq: 4711}
	got, ok := parseUevent(e.AppendKernel(nil))
	require.True(t, ok)
	require.Equal(t, e, got)
	e.Udev, e.OldPath = true, "devices/pci0/old"
	got, ok = parseUevent(e.AppendUdev(nil))
	require.True(t, ok)
	require.Equal(t, e, got)

	good := string(e.AppendUdev(nil))
	for name, bad := range map[string]string{
		"empty":             "",
		"no text":           "\x00\x00\x00",
		"short header":      good[:39],
		"magic":             strings.Replace(good, "\xfe\xed\xca\xfe", "\xfe\xed\xca\xff", 1),
		"long properties":   good[:len(good)-1],
		"offset in header":  good[:16] + "\x08\x00\x00\x00" + good[20:],
		"offset at the end": good[:16] + "\xff\xff\xff\xff\xff\xff\xff\xff" + good[24:],
		"no device":         "add@/module/x\x00ACTION=add\x00DEVPATH=/module/x\x00",
		"no path":           "add@/devices/x\x00ACTION=add\x00",
		"no action":         "add@/devices/x\x00DEVPATH=/devices/x\x00",
		"escape":            "add@/devices/x\x00ACTION=add\x00DEVPATH=/devices/../../etc\x00",
	} {
		_, ok := parseUevent([]byte(bad))
		require.False(t, ok, name)
	}
}

func FuzzUevent(f *testing.F) {
	e := Uevent{Action: "add", Path: "devices/pci0/1-1", Subsystem: "usb", Seq: 4711}
	f.Add(e.AppendKernel(nil))
	f.Add(e.AppendUdev(nil))
	e.OldPath = "devices/x"
	f.Add(e.AppendUdev(nil))
	f.Fuzz(func(t *testing.T, msg []byte) {
		e, ok := parseUevent(msg)
		if !ok {
			require.Zero(t, e.Path)
			return
		}
		require.True(t, strings.HasPrefix(e.Path, "devices/"))
		require.NotContains(t, strings.Split(e.Path, "/"), "..")
		write := Uevent.AppendKernel
		if e.Udev {
			write = Uevent.AppendUdev
		}
		again, ok := parseUevent(write(e, nil))
		require.True(t, ok)
		require.Equal(t, e, again)
	})
}

// FuzzDescription describes all kinds of devices.
func FuzzDescription(f *testing.F) {
	f.Add([]byte("\x05\x01\x09\x06\xa1\x01\xc0"), "Name", "1-1", uint64(3))
	f.Add([]byte{}, "\x00\xff\x1b[2J", "", uint64(1<<40))
	f.Fuzz(func(t *testing.T, report []byte, text, serial string, bits uint64) {
		parsed, err := hidreport.Parse(report)
		var usages []Usage
		if err == nil {
			usages = parsed.TopLevel()
		}
		pick := func(list ...string) string {
			s := list[bits%uint64(len(list))]
			bits /= uint64(len(list))
			return s
		}
		class := usbClass{byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)}
		d := &Device{
			Bus: pick("usb", "bluetooth", "i2c"), Subsystem: pick("tty", "hidraw", "usbmisc", "usb"),
			Product: sysfs.Clean(text), Serial: sysfs.Clean(serial), Usages: usages, Composite: bits&1 != 0, MTP: bits&2 != 0,
			Interface: int(byte(bits)), Class: class.class, VendorID: uint16(bits >> 32),
		}
		u, i := (*usbDevice)(nil), (*usbInterface)(nil)
		if d.Bus == "usb" {
			u, i = &usbDevice{path: serial}, &usbInterface{usbClass: class}
		}
		describe(d, u, i)
		desc := &d.Description
		require.NotEmpty(t, desc.Name)
		require.True(t, utf8.ValidString(desc.Name))
		require.LessOrEqual(t, len(desc.Name), 378)
		require.NotNil(t, desc.Container)
		require.NotEmpty(t, desc.HardwareIDs)
		require.LessOrEqual(t, len(desc.HardwareIDs), 3*maxCollections+8+maxCollections)
		seen := make(map[string]bool)
		for _, id := range append(desc.HardwareIDs, desc.CompatibleIDs...) {
			require.False(t, seen[id], id)
			seen[id] = true
			require.Regexp(t, `^[ -~]{1,199}$`, id)
		}
		if slices.Contains(usages, Usage{Page: 1, ID: 6}) {
			require.NotEmpty(t, whyNotHID(class, parsed, err))
		}
	})
}

// TestGarbageInSysfs has files that are huge, directories, loops and links that
// lead out.
func TestGarbageInSysfs(t *testing.T) {
	root := t.TempDir()
	sys := filepath.Join(root, "sys")
	make := func(name, content string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(sys, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(sys, name), []byte(content), 0o644))
	}
	link := func(target, name string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(sys, name)), 0o755))
		require.NoError(t, os.Symlink(target, filepath.Join(sys, name)))
	}
	dev := filepath.Join(root, "dev")
	require.NoError(t, os.MkdirAll(filepath.Join(dev, "dir"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dev, "node"), nil, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "outside"), nil, 0o644))

	make("devices/usb1/1-1/1-1:1.0/modalias", "usb:vFFFFp")
	make("devices/usb1/1-1/1-1:1.1/modalias", strings.Repeat("x", 1<<20))
	link("../../../devices/usb1/1-1/1-1:1.0", "bus/usb/devices/1-1:1.0")
	link("../../../devices/usb1/1-1/1-1:1.1", "bus/usb/devices/1-1:1.1")
	link("1-2:1.0", "bus/usb/devices/1-2:1.0") // a loop
	link("../../../../../outside", "bus/usb/devices/1-3:1.0")
	link("../../devices", "class/hidraw/hidraw9")
	link("../../../outside", "class/tty/ttyUSB9")
	for n, devname := range []string{"../outside", "/etc/passwd", "", "dir", "missing", "a/../../outside", "node\x00"} {
		name := fmt.Sprintf("ttyUSB%d", n)
		make("devices/x/tty/"+name+"/uevent", "DEVNAME="+devname+"\nMAJOR=../../x\nMINOR=1\n")
		link("../../devices/x/tty/"+name, "class/tty/"+name)
	}
	// A device with a node, and a directory where a file should be.
	make("devices/y/hidraw/hidraw0/uevent", "DEVNAME=node\n")
	make("devices/y/report_descriptor/x", "")
	link("../../devices/y/hidraw/hidraw0", "class/hidraw/hidraw0")
	link("subsystem", "devices/y/subsystem")
	link("uevent", "devices/y/uevent")

	devices, err := Scan(Config{SysRoot: sys, DevRoot: dev, UdevRoot: filepath.Join(root, "none")})
	require.NoError(t, err)
	require.Len(t, devices, 1)
	require.Equal(t, becauseReport, devices[0].Excluded)
}

func TestThisMachine(t *testing.T) {
	devices, err := Scan(Config{})
	require.NoError(t, err)
	for _, d := range devices {
		t.Logf("%s %s %q %s", d.Key, d.Node, d.Description.Name, d.Excluded)
	}
}

func TestAccess(t *testing.T) {
	require.NoError(t, (&Device{}).Access())
	d := &Device{Node: filepath.Join(t.TempDir(), "missing")}
	require.ErrorIs(t, d.Access(), os.ErrNotExist)

	usb := Device{Node: "/dev/n", Bus: "usb", VendorID: 0x046d, ProductID: 0xc31c, Interface: 1}
	for _, c := range []struct{ subsystem, bus, name, rule string }{
		{"tty", "usb", "ttyUSB0", `SUBSYSTEM=="tty", KERNEL=="tty*", ATTRS{idVendor}=="046d", ATTRS{idProduct}=="c31c", TAG+="uaccess"`},
		{"usbmisc", "usb", "lp10", `SUBSYSTEM=="usbmisc", KERNEL=="lp*", ATTRS{idVendor}=="046d", ATTRS{idProduct}=="c31c", TAG+="uaccess"`},
		{"hidraw", "usb", "hidraw0", `SUBSYSTEM=="hidraw", DEVPATH=="*:046D:C31C.*", ATTRS{bInterfaceNumber}=="01", TAG+="uaccess"`},
		{"usb", "usb", "1-1:1.0", `SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="046d", ATTR{idProduct}=="c31c", TAG+="uaccess"`},
		{"hidraw", "bluetooth", "hidraw0", `SUBSYSTEM=="hidraw", KERNELS=="0005:046D:C31C.*", TAG+="uaccess"`},
		{"tty", "pnp", "ttyS0", `SUBSYSTEM=="tty", KERNEL=="ttyS0", TAG+="uaccess"`},
		{"hidraw", "virtual", "hidraw0", ``},
	} {
		d := usb
		d.Subsystem, d.Bus, d.Key = c.subsystem, c.bus, "devices/x/"+c.name
		err := &AccessError{Node: d.Node, Rule: d.udevRule(), Err: os.ErrPermission}
		require.Equal(t, c.rule, err.Rule)
		require.ErrorIs(t, err, os.ErrPermission)
	}
}

// TestAccessAdvice checks that the advice about a node works: it names the group that
// owns it, and a file that replaces no other.
func TestAccessAdvice(t *testing.T) {
	node := filepath.Join(t.TempDir(), "ttyUSB0")
	require.NoError(t, os.WriteFile(node, nil, 0o600))
	group := func(mode os.FileMode, gid int) string {
		require.NoError(t, os.Chown(node, -1, gid))
		require.NoError(t, os.Chmod(node, mode))
		info, err := os.Stat(node)
		require.NoError(t, err)
		return Group(info)
	}
	gid := os.Getgid()
	if os.Geteuid() == 0 {
		gid = 1
		require.Equal(t, "", group(0o660, 0), "root's group is not for users")
	}
	require.Equal(t, "", group(0o604, gid))
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	require.NoError(t, err)
	require.Equal(t, g.Name, group(0o640, gid))

	denied := AccessError{Node: "/dev/ttyS0", Err: unix.EACCES}
	require.Equal(t, "/dev/ttyS0: permission denied", denied.Error())
	denied.Group, denied.Rule, denied.Packaged = "dialout", "RULE", true
	require.Equal(t, `/dev/ttyS0: permission denied; make your user a member of the group dialout ("sudo adduser $USER dialout") and log in again, `+
		`or install 70-freerdp-pnpdr.rules, or put this line into /etc/udev/rules.d/71-pnpdr-local.rules `+
		`and run "sudo udevadm control --reload && sudo udevadm trigger /dev/ttyS0": RULE`, denied.Error())

	for _, c := range []struct {
		bus, subsystem, name, excluded string
		want                           bool
	}{
		{"usb", "tty", "ttyUSB0", "", true}, {"usb", "tty", "ttyGS0", "", false}, {"pnp", "tty", "ttyS0", "", false},
		{"usb", "usbmisc", "lp0", "", true}, {"usb", "usbmisc", "chaoskey0", "", false},
		{"usb", "hidraw", "hidraw0", "", true}, {"usb", "hidraw", "hidraw0", becauseKeyboard, false}, {"bluetooth", "hidraw", "hidraw0", "", false},
	} {
		d := Device{Bus: c.bus, Subsystem: c.subsystem, Key: "devices/x/" + c.name, Excluded: c.excluded}
		require.Equal(t, c.want, d.packaged(), c)
	}
}
