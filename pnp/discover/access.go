// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// AccessError says that the user may not open a device's node.
type AccessError struct {
	Node string
	// Rule is a line for a file in /etc/udev/rules.d that gives access to
	// the user who is logged in at the machine.
	Rule string
	// Group is the group that may open the node; "" if no group may.
	Group string
	// Packaged is set if the rules that come with this project cover the device.
	Packaged bool
	Err      error
}

// localRules is where the user's own rule belongs. It differs from the name of the
// rules that come with this project, which it would replace, and comes before those
// that act on the tag uaccess (73).
const localRules = "/etc/udev/rules.d/71-pnpdr-local.rules"

func (e *AccessError) Error() string {
	text := fmt.Sprintf("%s: %v", e.Node, e.Err)
	if !errors.Is(e.Err, unix.EACCES) {
		return text
	}
	var advice []string
	if e.Group != "" {
		advice = append(advice, JoinGroup(e.Group))
	}
	if e.Packaged {
		advice = append(advice, "install 70-freerdp-pnpdr.rules")
	}
	if e.Rule != "" {
		advice = append(advice, fmt.Sprintf(`put this line into %s and run "sudo udevadm control --reload && sudo udevadm trigger %s": %s`,
			localRules, e.Node, e.Rule))
	}
	if len(advice) > 0 {
		text += "; " + strings.Join(advice, ", or ")
	}
	return text
}

// JoinGroup is the advice to become a member of a group.
func JoinGroup(group string) string {
	return fmt.Sprintf(`make your user a member of the group %s ("sudo adduser $USER %s") and log in again`, group, group)
}

// Group returns the name of the group that may read or write a node; "" if no group
// may, or only root's.
func Group(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&0o060 == 0 || st.Gid == 0 {
		return ""
	}
	id := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
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
	e := &AccessError{Node: d.Node, Rule: d.udevRule(), Packaged: d.packaged(), Err: err}
	if info, err := os.Stat(d.Node); err == nil {
		e.Group = Group(info)
	}
	return e
}

// packaged reports whether build/udev/70-freerdp-pnpdr.rules covers the device.
func (d *Device) packaged() bool {
	name := path.Base(d.Key)
	switch {
	case d.Bus != "usb" || d.Excluded != "":
		return false
	case d.Subsystem == "tty":
		return strings.HasPrefix(name, "ttyUSB") || strings.HasPrefix(name, "ttyACM")
	case d.Subsystem == "usbmisc":
		return strings.HasPrefix(name, "lp")
	case d.Subsystem == "usb":
		return d.MTP || d.Class == classStillImage
	}
	return d.Subsystem == "hidraw"
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
