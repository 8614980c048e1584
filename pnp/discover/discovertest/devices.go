package discovertest

// USB is a USB device.
type USB struct {
	// Port is where it is plugged in, as "1-1.4"; "" for the next one that is
	// free.
	Port                          string
	Vendor, ProductID, Revision   uint16
	Class, SubClass, Protocol     uint8
	Manufacturer, Product, Serial string
	// Removable is sysfs's attribute: "removable", "fixed", "unknown" or "".
	Removable string
	// Udev are properties that udev finds out.
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
	// makes, as "ttyUSB#", where # stands for the next free number.
	TTY, HIDRaw, USBMisc string
	// Report is the report descriptor of a HID interface.
	Report []byte
	// Target makes the node a symbolic link, to a pseudo terminal for
	// instance.
	Target string
	// Association is the number of the first interface of the same function,
	// plus one; 0 for none.
	Association int
}

// FTDI is a USB serial converter.
func FTDI(serial string) USB {
	return USB{
		Vendor: 0x0403, ProductID: 0x6001, Revision: 0x0600,
		Manufacturer: "FTDI", Product: "FT232R USB UART", Serial: serial, Removable: "removable",
		Interfaces: []Interface{{Class: 0xff, SubClass: 0xff, Protocol: 0xff, Driver: "ftdi_sio", TTY: "ttyUSB#", Name: "FT232R USB UART"}},
	}
}
