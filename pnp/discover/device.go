// SPDX-License-Identifier: Apache-2.0

// Package discover finds the devices of this machine that could be redirected,
// and describes them as a Windows client would. It reads sysfs and follows the
// kernel's and udev's messages; it opens no device and polls nothing.
//
// It lists functions: USB interfaces, serial ports and HID nodes. It leaves out
// hubs, virtual terminals and serial ports that the kernel has only reserved.
// Device.Excluded tells why a device is redirected only if the user names it.
package discover

import (
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// Device is one function of a device: a USB interface, a serial port, a HID
// node. It never changes: the monitor reports a change with a new Device.
type Device struct {
	// Key is the function's path below the root of sysfs, as
	// "devices/pci0000:00/…/1-1:1.0/ttyUSB0/tty/ttyUSB0". It stays the
	// same while the device is plugged in, and no two devices share one.
	Key string
	// Node is the path of the device node, below Config.DevRoot; "" if there
	// is none.
	Node string
	// Subsystem is the node's: "tty", "hidraw", "usbmisc" or "usb".
	Subsystem string
	// Excluded says why the device is redirected only if the user names it;
	// "" if it is eligible. See Unserved.
	Excluded string

	// Bus is "usb", "bluetooth", "i2c", "pnp", "platform" or "virtual", or
	// another of the kernel's names for a bus.
	Bus string
	// Port is where a USB device is plugged in, as "1-1.4"; else "".
	Port string
	// VendorID, ProductID and Revision (BCD) are zero on buses without them;
	// see HasIDs.
	VendorID, ProductID, Revision uint16
	// Interface is bInterfaceNumber on USB, else -1.
	Interface int
	// Composite is set if Windows would split the USB device into functions:
	// it has several interfaces and no class of its own.
	Composite bool
	// Class, SubClass and Protocol are the USB interface's.
	Class, SubClass, Protocol uint8
	// Manufacturer, Product and Serial are the USB device's strings, without
	// control characters. A HID device on another bus has its name as Product
	// and its address as Serial.
	Manufacturer, Product, Serial string
	// Driver is the kernel driver bound to the function.
	Driver string
	// MTP is set if the function speaks the Media Transfer Protocol.
	MTP bool
	// Fixed is set if the firmware says that the device cannot be unplugged.
	Fixed bool
	// Usages are those of a HID device's top-level collections, in the order
	// of its report descriptor.
	Usages []Usage
	// Collections are the hardware ids of the devices that Windows makes of a HID
	// device, one of each top-level collection; nil if it makes only one.
	Collections [][]string

	// Description is what the server is told about the device.
	Description pnp.Description

	hid      bool // it belongs to a HID device
	separate bool // see hidreport.Descriptor.Separate
	// portNumber counts the ports of a USB interface from 0.
	portNumber int
}

// Unserved reports whether the device is excluded only because discovery knows
// of no backend for it.
func (d *Device) Unserved() bool { return d.Excluded == becauseVendor || d.Excluded == becauseClass }

// HasIDs reports whether the device has a vendor and a product id. Each may be 0.
func (d *Device) HasIDs() bool {
	return d.Bus == "usb" || d.hid || d.Subsystem == "hidraw" || d.VendorID != 0 || d.ProductID != 0
}

// Usage is what a HID collection is for, by the HID usage tables.
type Usage = hidreport.Usage
