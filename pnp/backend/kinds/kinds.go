// SPDX-License-Identifier: Apache-2.0

// Package kinds has the table of the kinds of devices that this project redirects. A
// new backend is a package beside this one and a row here.
package kinds

import (
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/char"
	"freerdp-pnpdr/pnp/backend/file"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/backend/image"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/backend/pipe"
	"freerdp-pnpdr/pnp/backend/printer"
	"freerdp-pnpdr/pnp/backend/provider"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/backend/srvsvc"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/srvs"
)

// All returns the kinds, in the order in which help lists them.
func All() backend.Table {
	return backend.Table{
		{
			Name: "serial", Argument: "PATH",
			Help:      "a serial port, with Windows' settings, timeouts and modem lines",
			Nodes:     backend.CharDevice,
			Subsystem: "tty",
			Rules:     backend.Named,
			Description: pnp.Description{
				HardwareIDs: []string{`PNPDR\SERIAL`},
				Interfaces:  []pnp.GUID{pnp.GUID_DEVINTERFACE_COMPORT},
			},
			Serves: func(d *discover.Device) bool { return d.Subsystem == "tty" },
			New:    backend.Constructor(serial.New),
		},
		{
			Name: "hid", Argument: "PATH",
			Help:      "a HID device, such as /dev/hidraw0",
			Nodes:     backend.CharDevice,
			Subsystem: "hidraw",
			Rules:     backend.Named,
			Description: pnp.Description{
				HardwareIDs: []string{`PNPDR\HID`},
				Interfaces:  []pnp.GUID{pnp.GUID_DEVINTERFACE_HID},
			},
			Serves:      func(d *discover.Device) bool { return d.Subsystem == "hidraw" },
			Collections: true,
			New:         backend.Constructor(hid.New),
		},
		{
			Name: "image", Argument: "PORT", ByPort: true,
			Help:        "a camera, scanner or media player (PTP, MTP) at a USB port, such as 1-2",
			Rules:       backend.Named,
			Description: pnp.Description{HardwareIDs: []string{`PNPDR\IMAGE`}, Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_IMAGE}},
			Serves:      isImage,
			New:         backend.Constructor(image.New),

			AlwaysWritable: true,
		},
		{
			Name: "printer", Argument: "PATH",
			Help:      "a USB printer's raw port, such as /dev/usb/lp0",
			Nodes:     backend.CharDevice,
			Subsystem: "usbmisc",
			Rules:     backend.Named,
			Description: pnp.Description{
				HardwareIDs: []string{`PNPDR\PRINTER`},
				Interfaces:  []pnp.GUID{pnp.GUID_DEVINTERFACE_USBPRINT},
			},
			Serves: isPrinterPort,
			New:    backend.Constructor(printer.New),
		},
		{
			Name: "char", Argument: "PATH",
			Help:        "any character device node: a stream of bytes",
			Nodes:       backend.CharDevice,
			Rules:       backend.Chosen,
			Description: pnp.Description{HardwareIDs: []string{`PNPDR\CHAR`}},
			New:         backend.Constructor(char.New),
		},
		{
			Name: "file", Argument: "PATH",
			Help:        "a regular file or block device: random access, 64-bit offsets",
			Nodes:       backend.RegularFile | backend.BlockDevice,
			Description: pnp.Description{HardwareIDs: []string{`PNPDR\FILE`}},
			New:         backend.Constructor(file.New),
		},
		{
			Name: "pipe", Argument: "PATH",
			Help:        "a Unix socket as a named pipe of Windows",
			Nodes:       backend.Socket,
			Description: pnp.Description{HardwareIDs: []string{`PNPDR\PIPE`}},
			New:         backend.Constructor(pipe.New),
		},
		{
			Name: "provider", Argument: "PATH",
			Help:        "the device of another process, which listens on a Unix socket",
			Nodes:       backend.Socket,
			Description: pnp.Description{HardwareIDs: []string{`PNPDR\PROVIDER`}},
			Attend:      provider.Attend,
		},
		{
			Name:   "srvsvc",
			Values: []string{srvsvc.ReadOnly},
			Help:   "what this session redirects, for administration programs at the server",
			Judged: true,
			Description: pnp.Description{
				Name:        srvs.PipeName,
				HardwareIDs: []string{`PNPDR\SRVSVC`}, CompatibleIDs: []string{`PNPDR\PIPE`},
			},
			New: backend.Constructor(srvsvc.New),
		},
		{
			Name:        "loopback",
			Help:        `a device made of memory, the specification's "Ts Fake Device"`,
			Description: loopback.DefaultDescription(),

			AlwaysWritable: true,
			New: func(src backend.Source) (pnp.Device, error) {
				return loopback.New(src.Description), nil
			},
		},
	}
}

// isImage reports whether d is a USB interface that speaks PTP or MTP and that no driver
// of the kernel's serves.
func isImage(d *discover.Device) bool {
	const stillImage = 0x06 // USB's class
	return d.Subsystem == "usb" && (d.Class == stillImage || d.MTP) && (d.Excluded == "" || d.Unserved())
}

// isPrinterPort reports whether d is the raw port of a USB printer, which the
// driver usblp makes.
func isPrinterPort(d *discover.Device) bool {
	const printer = 0x07 // USB's class
	return d.Subsystem == "usbmisc" && d.Class == printer
}
