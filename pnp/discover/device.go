// Package discover finds the devices of this machine that could be redirected,
// and describes them as a Windows client would. It reads sysfs and follows the
// kernel's and udev's messages; it opens no device.
package discover

import "freerdp-pnpdr/pnp"

// Backend names the package that serves a device.
type Backend string

// The backends. A device with BackendNone is known and can be listed, but not
// redirected yet.
const (
	BackendNone   Backend = ""
	BackendSerial Backend = "serial" // pnp/serial
	BackendHID    Backend = "hid"    // pnp/hid
	BackendChar   Backend = "char"   // pnp/char
)

// Device is one function of a device: a USB interface, a serial port, a HID
// collection. It does not change once it was found.
type Device struct {
	// Key is the function's path below the root of sysfs. It is the same as
	// long as the device is plugged in.
	Key string
	// Node is the path of the device node; "" if there is none.
	Node string
	// Subsystem is that of the node: "tty", "hidraw", "usbmisc" or "usb".
	Subsystem string
	Backend   Backend
	// Excluded says why the device is not eligible unless it is named: "" if
	// it is.
	Excluded string

	// Bus is "usb", "bluetooth", "i2c", "pnp", "platform" or "virtual".
	Bus string
	// VendorID, ProductID and Revision (BCD) are zero on buses without them.
	VendorID, ProductID, Revision uint16
	// Interface is bInterfaceNumber on USB, else -1.
	Interface int
	// Composite is set if the USB device has more than one interface.
	Composite bool
	// Class, SubClass and Protocol are those of the USB interface.
	Class, SubClass, Protocol uint8
	Manufacturer, Product     string
	Serial                    string
	// Driver is the kernel driver bound to the function.
	Driver string

	// Description is what the server would be told.
	Description pnp.Description
}
