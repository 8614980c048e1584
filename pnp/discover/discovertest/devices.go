// SPDX-License-Identifier: Apache-2.0

package discovertest

import "slices"

// USB is a USB device.
type USB struct {
	// Port is where it is plugged in, as "1-1.4"; "" for the next free port.
	Port                          string
	Vendor, ProductID, Revision   uint16
	Class, SubClass, Protocol     uint8
	Manufacturer, Product, Serial string
	// Removable is the attribute in sysfs: "removable", "fixed", "unknown" or
	// "".
	Removable string
	// Udev are the properties in udev's record.
	Udev       map[string]string
	Interfaces []Interface
}

// Interface is one interface of a USB device.
type Interface struct {
	Class, SubClass, Protocol uint8
	Driver                    string
	// Name is the interface's string.
	Name string
	// TTY, HIDRaw and USBMisc are the names of the nodes that the driver
	// makes, such as "ttyUSB#"; # becomes the next free number.
	TTY, HIDRaw, USBMisc string
	// Report is the report descriptor of a HID interface.
	Report []byte
	// Target makes the node a symbolic link, for instance to a pseudo
	// terminal.
	Target string
	// Children are directories that the driver makes, such as "net".
	Children []string
	// Inputs are the input devices that the driver makes.
	Inputs []Input
	// Association is the number of the first interface of the same function,
	// plus one; 0 for none.
	Association int
	// Function is the class, subclass and protocol of that function.
	Function [3]uint8
}

// Bluetooth is a HID device on Bluetooth.
type Bluetooth struct {
	Name, Address     string
	Phys              string
	Vendor, ProductID uint16
	Report            []byte
	Target            string
}

// Report descriptors with one short report each.
var (
	KeyboardReport = report(0x01, 0x06)
	MouseReport    = report(0x01, 0x02)
	GamepadReport  = report(0x01, 0x05)
	// VendorReport is typical of devices other than input devices.
	VendorReport = []byte{
		0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, // usage page vendor, usage 1, collection
		0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x08, // 0 to 255, 8 bits, 8 times
		0x09, 0x02, 0x81, 0x02, 0x09, 0x03, 0x91, 0x02, // input, output
		0xc0,
	}
	MediaKeysReport = append(report(0x0c, 0x01), report(0x01, 0x80)...)
	// HIDPPReport has a wireless receiver's HID++ reports, short and long, and its
	// DJ reports.
	HIDPPReport = slices.Concat(vendorReport(1, 0x10, 6), vendorReport(2, 0x11, 19), vendorReport(4, 0x20, 14))
	FIDOReport  = append([]byte{0x06, 0xd0, 0xf1}, VendorReport[3:]...)
)

// report is a descriptor with an application collection that has eight buttons.
func report(page, usage byte) []byte {
	return []byte{
		0x05, page, 0x09, usage, 0xa1, 0x01,
		0x05, 0x09, 0x19, 0x01, 0x29, 0x08, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
		0xc0,
	}
}

// vendorReport is a descriptor with a vendor's collection that has one report either way.
func vendorReport(usage, id, size byte) []byte {
	return []byte{
		0x06, 0x00, 0xff, 0x09, usage, 0xa1, 0x01,
		0x85, id, 0x75, 0x08, 0x95, size, 0x15, 0x00, 0x26, 0xff, 0x00,
		0x09, usage, 0x81, 0x00, 0x09, usage, 0x91, 0x00,
		0xc0,
	}
}

// hid is a HID interface.
func hid(sub, protocol uint8, report []byte) Interface {
	return Interface{Class: 3, SubClass: sub, Protocol: protocol, Driver: "usbhid", HIDRaw: "hidraw#", Report: report}
}

// FTDI is a USB serial converter. Many have no serial number.
func FTDI(serial string) USB {
	return USB{
		Vendor: 0x0403, ProductID: 0x6001, Revision: 0x0600,
		Manufacturer: "FTDI", Product: "FT232R USB UART", Serial: serial, Removable: "removable",
		Interfaces: []Interface{{
			Class: 0xff, SubClass: 0xff, Protocol: 0xff, Driver: "ftdi_sio", TTY: "ttyUSB#", Name: "FT232R USB UART",
		}},
	}
}

// ACM is a CDC ACM serial port, with a control and a data interface in a composite
// device.
func ACM(serial string) USB {
	return USB{
		Vendor: 0x2e8a, ProductID: 0x000a, Revision: 0x0100, Class: 0xef, SubClass: 2, Protocol: 1,
		Manufacturer: "Raspberry Pi", Product: "Pico", Serial: serial, Removable: "removable",
		Interfaces: []Interface{
			{Class: 2, SubClass: 2, Driver: "cdc_acm", TTY: "ttyACM#", Name: "Board CDC", Association: 1, Function: [3]uint8{2, 2, 1}},
			{Class: 0x0a, Driver: "cdc_acm", Association: 1, Function: [3]uint8{2, 2, 1}},
			{Class: 0xff, Name: "Reset"},
		},
	}
}

// Gamepad is a HID gamepad.
func Gamepad() USB {
	return USB{
		Vendor: 0x046d, ProductID: 0xc216, Revision: 0x0414,
		Manufacturer: "Logitech", Product: "Dual Action", Removable: "removable",
		Interfaces: []Interface{hid(0, 0, GamepadReport)},
	}
}

// Panel is a HID device of which Windows makes two.
func Panel() USB {
	return USB{
		Vendor: 0x1209, ProductID: 0x0007, Revision: 0x0100,
		Manufacturer: "ACME", Product: "Panel", Removable: "removable",
		Interfaces: []Interface{hid(0, 0, slices.Concat(vendorReport(1, 3, 6), vendorReport(2, 4, 14)))},
	}
}

// Keyboard is a boot keyboard.
func Keyboard() USB {
	return USB{
		Vendor: 0x046d, ProductID: 0xc31c, Revision: 0x4920, Manufacturer: "Logitech", Product: "USB Keyboard",
		Interfaces: []Interface{hid(1, 1, KeyboardReport), hid(0, 0, MediaKeysReport)},
	}
}

// Mouse is a boot mouse.
func Mouse() USB {
	return USB{
		Vendor: 0x046d, ProductID: 0xc077, Revision: 0x7200, Manufacturer: "Logitech", Product: "USB Optical Mouse",
		Interfaces: []Interface{hid(1, 2, MouseReport)},
	}
}

// KeyboardAndVendor is a keyboard with a second, vendor-specific HID interface.
func KeyboardAndVendor() USB {
	return USB{
		Vendor: 0x1b1c, ProductID: 0x1b2d, Revision: 0x0308, Manufacturer: "Corsair", Product: "Gaming Keyboard",
		Serial: "0E01A012", Interfaces: []Interface{hid(1, 1, KeyboardReport), hid(0, 0, VendorReport)},
	}
}

// Receiver is a wireless receiver whose keyboards are switched off. Its HID++ and DJ
// reports come through the third interface.
func Receiver() USB {
	return USB{
		Vendor: 0x046d, ProductID: 0xc52b, Revision: 0x1203, Manufacturer: "Logitech", Product: "USB Receiver",
		Interfaces: []Interface{
			hid(1, 1, KeyboardReport), hid(1, 2, MouseReport),
			hid(0, 0, HIDPPReport),
		},
	}
}

// SecurityKey is a FIDO token.
func SecurityKey() USB {
	return USB{
		Vendor: 0x1050, ProductID: 0x0402, Revision: 0x0543, Manufacturer: "Yubico", Product: "YubiKey FIDO",
		Interfaces: []Interface{hid(0, 0, FIDOReport)},
	}
}

// Phone is an Android phone that speaks MTP, as udev has found.
func Phone() USB {
	return USB{
		Vendor: 0x18d1, ProductID: 0x4ee1, Revision: 0x0440,
		Manufacturer: "Google", Product: "Pixel 7", Serial: "28191FDH2007PB", Removable: "removable",
		Udev:       map[string]string{"ID_MTP_DEVICE": "1", "ID_MODEL": "Pixel_7"},
		Interfaces: []Interface{{Class: 0xff, SubClass: 0xff, Name: "MTP"}},
	}
}

// Camera is a PTP camera.
func Camera() USB {
	return USB{
		Vendor: 0x04a9, ProductID: 0x3218, Revision: 0x0002, Manufacturer: "Canon Inc.", Product: "Canon Digital Camera",
		Interfaces: []Interface{{Class: 6, SubClass: 1, Protocol: 1}},
	}
}

// Printer is a printer with a raw port.
func Printer() USB {
	return USB{
		Vendor: 0x03f0, ProductID: 0x2b17, Revision: 0x0100,
		Manufacturer: "Hewlett-Packard", Product: "HP LaserJet 1020", Serial: "JL1234X",
		Interfaces: []Interface{{Class: 7, SubClass: 1, Protocol: 2, Driver: "usblp", USBMisc: "lp#"}},
	}
}

// RandomGenerator has a driver of its own, and a node that no kind of device
// serves.
func RandomGenerator() USB {
	return USB{
		Vendor: 0x1d50, ProductID: 0x60c6, Revision: 0x0100, Class: 0xff, Manufacturer: "altusmetrum.org", Product: "ChaosKey-hw-1.0",
		Interfaces: []Interface{{Class: 0xff, Driver: "chaoskey", USBMisc: "chaoskey#"}},
	}
}

// Stick is mass storage.
func Stick() USB {
	return USB{
		Vendor: 0x0781, ProductID: 0x5567, Revision: 0x0100, Manufacturer: "SanDisk", Product: "Cruzer Blade",
		Serial: "4C530001", Removable: "removable",
		Interfaces: []Interface{{Class: 8, SubClass: 6, Protocol: 0x50, Driver: "usb-storage", Children: []string{"host6"}}},
	}
}

// Hub is a hub. Plug others in at Port + ".1" and so on.
func Hub(port string) USB {
	return USB{
		Port: port, Vendor: 0x05e3, ProductID: 0x0608, Revision: 0x6070, Class: 9, Product: "USB2.0 Hub",
		Interfaces: []Interface{{Class: 9, Driver: "hub"}},
	}
}

// CardReader reads smart cards.
func CardReader() USB {
	return USB{
		Vendor: 0x04e6, ProductID: 0x5116, Revision: 0x0520, Manufacturer: "SCM Microsystems Inc.", Product: "SCR33xx",
		Interfaces: []Interface{{Class: 0x0b}},
	}
}

// Webcam is a camera inside a notebook, with a microphone.
func Webcam() USB {
	return USB{
		Vendor: 0x0c45, ProductID: 0x6366, Revision: 0x0100, Class: 0xef, SubClass: 2, Protocol: 1,
		Manufacturer: "Sonix", Product: "Integrated Webcam", Serial: "SN0001", Removable: "fixed",
		Interfaces: []Interface{
			{Class: 0x0e, SubClass: 1, Driver: "uvcvideo", Association: 1, Function: [3]uint8{0x0e, 3, 0}, Children: []string{"video4linux", "input"}},
			{Class: 0x0e, SubClass: 2, Driver: "uvcvideo", Association: 1, Function: [3]uint8{0x0e, 3, 0}},
			{Class: 1, SubClass: 1, Driver: "snd-usb-audio", Association: 3, Function: [3]uint8{1, 2, 0}, Children: []string{"sound"}},
			{Class: 1, SubClass: 2, Driver: "snd-usb-audio", Association: 3, Function: [3]uint8{1, 2, 0}},
		},
	}
}

// Network is a CDC NCM network adapter.
func Network() USB {
	return USB{
		Vendor: 0x0b95, ProductID: 0x1790, Revision: 0x0100, Product: "USB Ethernet", Serial: "0050B6",
		Interfaces: []Interface{{Class: 2, SubClass: 0x0d, Driver: "cdc_ncm", Children: []string{"net"}}, {Class: 0x0a}},
	}
}

// VendorNetwork is a network adapter with a vendor-specific class.
func VendorNetwork() USB {
	return USB{
		Vendor: 0x0bda, ProductID: 0x8153, Revision: 0x3100, Manufacturer: "Realtek", Product: "USB 10/100/1000 LAN",
		Interfaces: []Interface{{Class: 0xff, SubClass: 0xff, Driver: "r8152", Children: []string{"net"}}},
	}
}

// Unknown is a device that no driver of the kernel uses.
func Unknown() USB {
	return USB{
		Vendor: 0x1209, ProductID: 0x0001, Revision: 0x0100,
		Interfaces: []Interface{{Class: 0xff}},
	}
}

// BluetoothGamepad is a gamepad on Bluetooth.
func BluetoothGamepad() Bluetooth {
	return Bluetooth{
		Name: "Wireless Controller", Address: "a4:53:85:00:11:22", Vendor: 0x054c, ProductID: 0x09cc,
		Report: GamepadReport,
	}
}

// BluetoothKeyboard is a keyboard on Bluetooth.
func BluetoothKeyboard() Bluetooth {
	return Bluetooth{
		Name: "Keyboard K380", Address: "34:88:5d:00:11:22", Vendor: 0x046d, ProductID: 0xb342, Report: KeyboardReport,
	}
}
