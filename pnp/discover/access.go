// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// AccessError says that the user may not open a device's node.
type AccessError struct {
	Node string
	// Rule is a line for a file in /etc/udev/rules.d that gives access to
	// the user who is logged in at the machine.
	Rule string
	Err  error
}

func (e *AccessError) Error() string {
	if !errors.Is(e.Err, unix.EACCES) || e.Rule == "" {
		return fmt.Sprintf("%s: %v", e.Node, e.Err)
	}
	return fmt.Sprintf("%s: %v: install 70-freerdp-pnpdr.rules, or add this line to a file of that name in "+
		"/etc/udev/rules.d and plug the device in again: %s", e.Node, e.Err, e.Rule)
}

func (e *AccessError) Unwrap() error { return e.Err }

// Access returns nil if the user may open the device's node for reading or for
// writing: one of them is enough to be useful. Otherwise it returns an
// *AccessError that says what to do about it. A device without a node needs no
// access.
func (d *Device) Access() error {
	if d.Node == "" {
		return nil
	}
	err := unix.Faccessat(unix.AT_FDCWD, d.Node, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
	if err == nil || d.access() != 0 {
		return nil
	}
	return &AccessError{Node: d.Node, Rule: d.udevRule(), Err: err}
}

func (d *Device) udevRule() string {
	var kernel string
	switch d.Subsystem {
	case "tty":
		kernel = "tty*"
	case "usbmisc":
		kernel = strings.TrimRight(path.Base(d.Key), "0123456789") + "*"
	}
	switch {
	case d.Subsystem == "hidraw" && d.Bus == "usb":
		// Only this interface: another one may be a keyboard.
		return fmt.Sprintf(`SUBSYSTEM=="hidraw", DEVPATH=="*:%04X:%04X.*", ATTRS{bInterfaceNumber}=="%02x", TAG+="uaccess"`,
			d.VendorID, d.ProductID, d.Interface)
	case d.Bus == "usb" && kernel != "":
		return fmt.Sprintf(`SUBSYSTEM=="%s", KERNEL=="%s", ATTRS{idVendor}=="%04x", ATTRS{idProduct}=="%04x", TAG+="uaccess"`,
			d.Subsystem, kernel, d.VendorID, d.ProductID)
	case d.Bus == "usb":
		return fmt.Sprintf(`SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="%04x", `+
			`ATTR{idProduct}=="%04x", TAG+="uaccess"`, d.VendorID, d.ProductID)
	case d.Subsystem == "hidraw" && (d.Bus == "bluetooth" || d.Bus == "i2c"):
		bus := map[string]uint16{"bluetooth": busBluetooth, "i2c": busI2C}[d.Bus]
		return fmt.Sprintf(`SUBSYSTEM=="hidraw", KERNELS=="%04X:%04X:%04X.*", TAG+="uaccess"`, bus, d.VendorID, d.ProductID)
	case d.Subsystem == "tty":
		return fmt.Sprintf(`SUBSYSTEM=="tty", KERNEL=="%s", TAG+="uaccess"`, path.Base(d.Key))
	}
	return ""
}
