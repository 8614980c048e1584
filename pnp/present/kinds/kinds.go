// SPDX-License-Identifier: Apache-2.0

// Package kinds has the table of what redirected devices become. A new presenter is a
// package beside this one and a row here.
package kinds

import (
	"slices"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/pipe"
	"freerdp-pnpdr/pnp/present/storage"
	"freerdp-pnpdr/pnp/present/tty"
	"freerdp-pnpdr/pnp/present/uhid"
)

// All returns the kinds, in the order in which they are asked: the interface class tells
// most, then ids. Every device is of one of them.
func All() present.Table {
	return present.Table{
		{
			Name: "serial",
			Help: "a serial port: a terminal",
			Serves: func(d *pnp.Description) bool {
				return has(d, pnp.GUID_DEVINTERFACE_COMPORT) || id(d, `PNPDR\SERIAL`, `*PNP0500`, `*PNP0501`)
			},
			Exclusive: true,
			Present:   tty.Present,
		},
		{
			Name: "hid",
			Help: "a HID device: one of the kernel's",
			Serves: func(d *pnp.Description) bool {
				return has(d, pnp.GUID_DEVINTERFACE_HID) || id(d, `PNPDR\HID`, `HID_DEVICE`)
			},
			Present: uhid.Present,
		},
		{
			Name: "storage",
			Help: "a camera, media player or phone (PTP, MTP): a folder with its files",
			Serves: func(d *pnp.Description) bool {
				return has(d, pnp.GUID_DEVINTERFACE_IMAGE) || has(d, pnp.GUID_DEVINTERFACE_WPD) ||
					id(d, `PNPDR\IMAGE`, `USB\Class_06`, `USB\MS_COMP_MTP`)
			},
			Exclusive: true,
			Present:   storage.Present,
		},
		{
			Name:   "file",
			Help:   "bytes that stay where they are: a file with a size",
			Data:   present.RandomAccess,
			Serves: func(d *pnp.Description) bool { return id(d, `PNPDR\FILE`) },
		},
		{
			Name:    "srvsvc",
			Help:    "what the client redirects, for administration programs: two sockets",
			Serves:  func(d *pnp.Description) bool { return id(d, `PNPDR\SRVSVC`) },
			Present: pipe.PresentService,
		},
		{
			Name:    "pipe",
			Help:    "a named pipe: a socket",
			Serves:  func(d *pnp.Description) bool { return id(d, `PNPDR\PIPE`) },
			Present: pipe.Present,
		},
		{
			Name: "printer",
			Help: "a printer: a file that takes what is to be printed",
			Serves: func(d *pnp.Description) bool {
				return has(d, pnp.GUID_DEVINTERFACE_USBPRINT) || id(d, `USB\Class_07`)
			},
		},
		{
			Name:   "stream",
			Help:   "any other device: a file without a position",
			Serves: func(*pnp.Description) bool { return true },
		},
	}
}

func has(d *pnp.Description, class pnp.GUID) bool { return slices.Contains(d.Interfaces, class) }

// id reports whether one of the ids is among those of the device. Windows compares
// ids without regard to case.
func id(d *pnp.Description, ids ...string) bool {
	is := func(have string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return strings.EqualFold(id, have) })
	}
	return slices.ContainsFunc(d.HardwareIDs, is) || slices.ContainsFunc(d.CompatibleIDs, is)
}
