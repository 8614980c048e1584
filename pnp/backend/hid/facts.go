// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"path"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// facts identify a device. What the device does not say is empty.
type facts struct {
	vendor, product, version          uint16
	manufacturer, productName, serial string

	bus   uint32 // the kernel's number, BUS_USB and so on
	onUSB bool   // the kernel's own USB driver has it
}

// busBluetooth is BUS_BLUETOOTH of linux/input.h.
const busBluetooth = 0x05

// readFacts identifies the device of an open hidraw node. The sysfs tree at root
// knows more about a USB device than hidraw does, but need not exist.
func readFacts(n devnode.Node, root string) (facts, error) {
	info, err := unix.IoctlHIDGetRawInfo(n.FD)
	if err != nil {
		return facts{}, err
	}
	f := facts{vendor: uint16(info.Vendor), product: uint16(info.Product), bus: info.Bustype}
	// For a USB device the name is "manufacturer product"; for others it is
	// whatever the device calls itself.
	f.productName, _ = unix.IoctlHIDGetRawName(n.FD)
	f.serial, _ = unix.IoctlHIDGetRawUniq(n.FD) // since Linux 5.6
	//nolint:unconvert // 32 bits on MIPS
	f.addSysfs(root, sysfs.CharNumber(uint64(n.Stat.Rdev)))
	return f, nil
}

// ofHidraw reports whether the node belongs to the hidraw driver, according to sysfs.
func ofHidraw(n devnode.Node, root string) bool {
	tree, err := sysfs.Open(root)
	if err != nil {
		return false
	}
	//nolint:unconvert // 32 bits on MIPS
	dir, err := tree.ByNumber(sysfs.CharNumber(uint64(n.Stat.Rdev)))
	return err == nil && dir != "" && tree.Link(dir, "subsystem") == "hidraw"
}

// addSysfs adds what the tree at root knows about a hidraw node. Strings are kept as
// the device sends them, because drivers on the server compare them.
func (f *facts) addSysfs(root string, n sysfs.Number) {
	tree, err := sysfs.Open(root)
	if err != nil {
		return
	}
	dir, err := tree.ByNumber(n)
	if err != nil || dir == "" {
		return
	}
	hid, ok := tree.Resolve(path.Join(dir, "device"))
	if !ok {
		return
	}
	if f.serial == "" {
		f.serial = tree.Uevent(hid)["HID_UNIQ"]
	}
	// Look at the direct parent only: further up, a Bluetooth device has its
	// USB adapter.
	iface := path.Dir(hid)
	if tree.Text(iface, "bInterfaceNumber") == "" {
		f.version = inputVersion(tree, hid)
		return
	}
	f.onUSB = true
	usb := path.Dir(iface)
	f.version, _ = tree.Hex(usb, "bcdDevice")
	f.manufacturer = tree.Line(usb, "manufacturer")
	if name := tree.Line(usb, "product"); name != "" {
		f.productName = name
	}
	if serial := tree.Line(usb, "serial"); serial != "" {
		f.serial = serial
	}
}

// inputVersion returns the kernel's version number of a HID device, which sysfs
// shows only if the device is an input device too.
func inputVersion(tree *sysfs.Tree, hid string) uint16 {
	for _, name := range tree.List(hid, "input") {
		if version, ok := tree.Hex(hid, "input", name, "id", "version"); ok {
			return version
		}
	}
	return 0
}
