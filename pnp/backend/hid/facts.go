// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"path"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// facts are who a device is. What it does not say is empty.
type facts struct {
	vendor, product, version          uint16
	manufacturer, productName, serial string
}

// readFacts finds out about an open hidraw node. The tree of sysfs at root knows
// more of a USB device than hidraw, but need not be there.
func readFacts(n devnode.Node, root string) (facts, error) {
	info, err := unix.IoctlHIDGetRawInfo(n.FD)
	if err != nil {
		return facts{}, err
	}
	f := facts{vendor: uint16(info.Vendor), product: uint16(info.Product)}
	// The name is "manufacturer product" for a USB device, and what the
	// device calls itself otherwise.
	f.productName, _ = unix.IoctlHIDGetRawName(n.FD)
	f.serial, _ = unix.IoctlHIDGetRawUniq(n.FD) // since Linux 5.6
	//nolint:unconvert // 32 bits on MIPS
	f.addSysfs(root, sysfs.CharNumber(uint64(n.Stat.Rdev)))
	return f, nil
}

// ofHidraw reports whether sysfs says that the node is the hidraw driver's.
func ofHidraw(n devnode.Node, root string) bool {
	tree, err := sysfs.Open(root)
	if err != nil {
		return false
	}
	//nolint:unconvert // 32 bits on MIPS
	dir, err := tree.ByNumber(sysfs.CharNumber(uint64(n.Stat.Rdev)))
	return err == nil && dir != "" && tree.Link(dir, "subsystem") == "hidraw"
}

// addSysfs adds what the tree at root knows of a hidraw node. Strings are as the
// device has them: the server's drivers compare them.
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
	// Only the interface that the HID device lies on: further up is, for a
	// Bluetooth device, the USB adapter.
	iface := path.Dir(hid)
	if tree.Text(iface, "bInterfaceNumber") == "" {
		f.version = inputVersion(tree, hid)
		return
	}
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

// inputVersion is the version that the kernel knows of a HID device; it shows
// it only where it has made an input device of it, too.
func inputVersion(tree *sysfs.Tree, hid string) uint16 {
	for _, name := range tree.List(hid, "input") {
		if version, ok := tree.Hex(hid, "input", name, "id", "version"); ok {
			return version
		}
	}
	return 0
}
