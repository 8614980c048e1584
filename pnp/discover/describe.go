// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// describe makes the description of a device whose other fields are set. u and
// i are nil if it is not on USB.
func describe(d *Device, u *usbDevice, i *usbInterface) {
	desc := &d.Description
	desc.Name = sysfs.Clean(d.name(u) + d.function(u, i))
	switch {
	case d.Subsystem == "hidraw":
		d.identifyHID()
	case u != nil:
		desc.HardwareIDs = d.usbIDs()
		desc.CompatibleIDs = classIDs(i.usbClass)
		if d.Composite {
			// Those that usbccgp makes.
			desc.CompatibleIDs = classIDs(i.function)
		}
		if d.MTP {
			desc.CompatibleIDs = append([]string{`USB\MS_COMP_MTP`}, desc.CompatibleIDs...)
		}
	default:
		desc.HardwareIDs = []string{`*PNP0501`} // a 16550 serial port
	}
	desc.Interfaces = d.interfaces()
	desc.Container = d.container(u)
	caps := pnp.PNP_DEVCAPS_REMOVABLE | pnp.PNP_DEVCAPS_SURPRISEREMOVALOK
	if d.Fixed || d.Subsystem == "tty" && u == nil {
		caps = 0
	}
	desc.Caps = &caps
}

// usbIDs are the ids that Windows' hub driver or its driver for composite devices
// would make.
func (d *Device) usbIDs() []string {
	id := fmt.Sprintf(`USB\VID_%04X&PID_%04X`, d.VendorID, d.ProductID)
	function := ""
	if d.Composite {
		function = fmt.Sprintf("&MI_%02X", d.Interface)
	}
	return []string{fmt.Sprintf("%s&REV_%04X%s", id, d.Revision, function), id + function}
}

func classIDs(c usbClass) []string {
	return []string{
		fmt.Sprintf(`USB\Class_%02X&SubClass_%02X&Prot_%02X`, c.class, c.sub, c.protocol),
		fmt.Sprintf(`USB\Class_%02X&SubClass_%02X`, c.class, c.sub),
		fmt.Sprintf(`USB\Class_%02X`, c.class),
	}
}

// maxCollections is how many collections of a node get ids of their own if it is one
// device: all ids have to fit in one message.
const maxCollections = 16

// identifyHID sets the hardware ids of a HID device, and those of each collection that is a
// device on Windows.
func (d *Device) identifyHID() {
	d.Description.HardwareIDs = d.hidIDs(0, min(len(d.Usages), maxCollections))
	d.Collections = nil
	if d.separate {
		for n := range d.Usages {
			d.Collections = append(d.Collections, d.hidIDs(n, n+1))
		}
	}
}

// hidIDs are those that hidclass makes of the top-level collections from first up to end.
// If they share a device, their ids follow each other.
func (d *Device) hidIDs(first, end int) []string {
	id := fmt.Sprintf(`HID\VID_%04X&PID_%04X`, d.VendorID, d.ProductID)
	revision := fmt.Sprintf("&REV_%04X", d.Revision)
	switch d.Bus {
	case "usb":
	case "bluetooth":
		// The vendor's number may be the USB forum's (0002) or the Bluetooth
		// one's (0001): the kernel does not tell. The first is usual.
		id = fmt.Sprintf(`HID\{00001124-0000-1000-8000-00805F9B34FB}_VID&0002%04X_PID&%04X`, d.VendorID, d.ProductID)
		revision = ""
	default:
		revision = ""
	}
	function := ""
	if d.Composite {
		function = fmt.Sprintf("&MI_%02X", d.Interface)
	}
	usages := d.Usages[first:end]
	var ids []string
	add := func(id string) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for n := range max(len(usages), 1) {
		collection := ""
		if len(d.Usages) > 1 {
			collection = fmt.Sprintf("&Col%02X", first+n+1)
		}
		add(id + revision + function + collection)
		add(id + function + collection)
	}
	for _, u := range usages {
		add(fmt.Sprintf(`HID\VID_%04X&UP:%04X_U:%04X`, d.VendorID, u.Page, u.ID))
	}
	for _, u := range usages {
		if system := systemIDs[u]; system != "" {
			add(system)
		}
	}
	for _, u := range usages {
		add(fmt.Sprintf("HID_DEVICE_UP:%04X_U:%04X", u.Page, u.ID))
	}
	add("HID_DEVICE")
	return ids
}

// systemIDs are the ids of the collections that Windows uses itself.
var systemIDs = map[Usage]string{
	{Page: pageDesktop, ID: 1}:    "HID_DEVICE_SYSTEM_MOUSE",
	{Page: pageDesktop, ID: 2}:    "HID_DEVICE_SYSTEM_MOUSE",
	{Page: pageDesktop, ID: 4}:    "HID_DEVICE_SYSTEM_GAME",
	{Page: pageDesktop, ID: 5}:    "HID_DEVICE_SYSTEM_GAME",
	{Page: pageDesktop, ID: 6}:    "HID_DEVICE_SYSTEM_KEYBOARD",
	{Page: pageDesktop, ID: 7}:    "HID_DEVICE_SYSTEM_KEYBOARD",
	{Page: pageDesktop, ID: 0x80}: "HID_DEVICE_SYSTEM_CONTROL",
	{Page: pageConsumer, ID: 1}:   "HID_DEVICE_SYSTEM_CONSUMER",
}

func (d *Device) interfaces() []pnp.GUID {
	var list []pnp.GUID
	switch {
	case d.Subsystem == "tty":
		return []pnp.GUID{pnp.GUID_DEVINTERFACE_COMPORT}
	case d.Subsystem == "hidraw":
		return []pnp.GUID{pnp.GUID_DEVINTERFACE_HID}
	case d.Class == classPrinter:
		return []pnp.GUID{pnp.GUID_DEVINTERFACE_USBPRINT}
	case d.Class == classStillImage:
		list = []pnp.GUID{pnp.GUID_DEVINTERFACE_WPD, pnp.GUID_DEVINTERFACE_IMAGE}
	case d.MTP:
		list = []pnp.GUID{pnp.GUID_DEVINTERFACE_WPD}
	}
	if !d.Composite {
		// Windows gives it to the device as a whole.
		list = append(list, pnp.GUID_DEVINTERFACE_USB_DEVICE)
	}
	return list
}

// container is the same for all functions of a physical device, and whenever it is
// plugged in again: at any port if it has a serial number. Devices that claim the
// same serial number share a container, as on Windows. A part of this machine has a
// container, too: once redirected it is not a part of the computer it is seen on.
func (d *Device) container(u *usbDevice) *pnp.GUID {
	switch {
	case u != nil && d.Serial != "":
		return pnp.NewContainer(fmt.Sprintf("usb:%04x:%04x:%s", d.VendorID, d.ProductID, d.Serial))
	case u != nil:
		return pnp.NewContainer(fmt.Sprintf("usb:%04x:%04x@%s", d.VendorID, d.ProductID, u.path))
	case d.Bus == "bluetooth" && d.Serial != "":
		return pnp.NewContainer("bluetooth:" + d.Serial)
	}
	return pnp.NewContainer("path:" + d.physical())
}

// physical is the path of the physical device in sysfs, as far as it is known. The
// names of HID devices contain a counter, so what they hang below is used instead.
// That is not possible for virtual ones, which all hang below the same directory.
func (d *Device) physical() string {
	for p := d.Key; strings.Contains(p, "/"); p = path.Dir(p) {
		if hidName.MatchString(path.Base(p)) && !strings.HasPrefix(p, "devices/virtual/") {
			return path.Dir(p)
		}
	}
	return d.Key
}

// hidName is the name of a HID device in sysfs: bus, vendor, product, counter.
var hidName = regexp.MustCompile(`^[0-9A-F]{4}:[0-9A-F]{4}:[0-9A-F]{4}\.[0-9A-F]{4}$`)

// name is the friendly name: from the device itself, else from udev's database,
// else made from its manufacturer and kind.
func (d *Device) name(u *usbDevice) string {
	if d.Product != "" {
		return d.Product
	}
	kind := d.kind()
	maker := d.Manufacturer
	if u != nil {
		if model := u.properties["ID_MODEL_FROM_DATABASE"]; model != "" {
			return model
		}
		maker = cmp.Or(maker, u.properties["ID_VENDOR_FROM_DATABASE"])
	}
	if maker != "" {
		return sysfs.Clean(maker + " " + kind)
	}
	if d.VendorID != 0 || d.ProductID != 0 {
		return fmt.Sprintf("%s (%04X:%04X)", kind, d.VendorID, d.ProductID)
	}
	return kind
}

// function tells the functions of a USB device apart, whose names are all the device's:
// " (Board CDC)", " (interface 1)", " (port 2)". It is "" for the only one. It does
// not depend on the others' nodes, so it stays the same while they come and go.
func (d *Device) function(u *usbDevice, i *usbInterface) string {
	if u == nil {
		return ""
	}
	functions := 0
	for _, other := range u.interfaces {
		if _, hidden := other.whyNot(); !hidden {
			functions++
		}
	}
	var parts []string
	switch {
	case functions < 2:
	case i.name != "" && i.name != d.Product:
		parts = append(parts, i.name)
	default:
		parts = append(parts, fmt.Sprintf("interface %d", i.number))
	}
	if d.portNumber > 0 {
		parts = append(parts, fmt.Sprintf("port %d", d.portNumber+1))
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (d *Device) kind() string {
	switch {
	case d.Subsystem == "tty" && d.Bus == "usb":
		return "USB serial port"
	case d.Subsystem == "tty":
		return "Serial port"
	case d.Subsystem == "hidraw":
		return "HID device"
	case d.Class == classPrinter:
		return "USB printer"
	case d.MTP:
		return "MTP device"
	case d.Class == classStillImage:
		return "Digital camera"
	}
	return "USB device"
}
