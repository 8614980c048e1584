// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
)

// facts are who a device is. What it does not say is empty.
type facts struct {
	vendor, product, version          uint16
	manufacturer, productName, serial string
}

// readFacts finds out about an open hidraw node. sysfs knows more of a USB
// device than hidraw, but need not be there.
func readFacts(n devnode.Node, sysfs string) (facts, error) {
	info, err := unix.IoctlHIDGetRawInfo(n.FD)
	if err != nil {
		return facts{}, err
	}
	f := facts{vendor: uint16(info.Vendor), product: uint16(info.Product)}
	// The name is "manufacturer product" for a USB device, and what the
	// device calls itself otherwise.
	f.productName, _ = unix.IoctlHIDGetRawName(n.FD)
	f.serial, _ = unix.IoctlHIDGetRawUniq(n.FD) // since Linux 5.6
	number := uint64(n.Stat.Rdev)               // 32 bits on MIPS
	f.addSysfs(fmt.Sprintf("%s/dev/char/%d:%d", sysfs, unix.Major(number), unix.Minor(number)))
	return f, nil
}

// addSysfs adds what sysfs knows of the hidraw node whose directory dir is or
// links to.
func (f *facts) addSysfs(dir string) {
	hid, err := filepath.EvalSymlinks(filepath.Join(dir, "device"))
	if err != nil {
		return
	}
	if f.serial == "" {
		f.serial = uevent(hid, "HID_UNIQ")
	}
	// Only the interface that the HID device lies on: further up is, for a
	// Bluetooth device, the USB adapter.
	iface := filepath.Dir(hid)
	if attribute(iface, "bInterfaceNumber") == "" {
		f.version = inputVersion(hid)
		return
	}
	usb := filepath.Dir(iface)
	f.version = hexAttribute(usb, "bcdDevice")
	f.manufacturer = attribute(usb, "manufacturer")
	if name := attribute(usb, "product"); name != "" {
		f.productName = name
	}
	if serial := attribute(usb, "serial"); serial != "" {
		f.serial = serial
	}
}

// inputVersion is the version that the kernel knows of a HID device; it shows
// it only where it has made an input device of it, too.
func inputVersion(hid string) uint16 {
	dirs, _ := filepath.Glob(filepath.Join(hid, "input", "input*", "id"))
	for _, dir := range dirs {
		return hexAttribute(dir, "version")
	}
	return 0
}

// attribute is the content of a file in sysfs, empty if there is none.
func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(b), "\n")
}

func hexAttribute(dir, name string) uint16 {
	v, _ := strconv.ParseUint(attribute(dir, name), 16, 16)
	return uint16(v)
}

// uevent is a variable in the uevent file of dir.
func uevent(dir, name string) string {
	for _, line := range strings.Split(attribute(dir, "uevent"), "\n") {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}
