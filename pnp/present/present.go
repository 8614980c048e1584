// SPDX-License-Identifier: Apache-2.0

// Package present makes the devices that a client redirects usable by the programs of
// the server, which know nothing of redirection: a serial port becomes a terminal, a
// file becomes a file, a HID device one of the kernel's.
//
// It is the mirror of pnp/backend, which makes a redirected device of what the client
// has. Kind is a row of the table of presenters, pnp/present/kinds has the table, and
// the presenters are packages beside it.
package present

import (
	"context"

	"freerdp-pnpdr/pnp"
)

// Kind is a row of the table: what the devices of one kind become.
type Kind struct {
	// Name is the value of --as that chooses this row.
	Name string
	// Help says in a few words what such a device becomes.
	Help string
	// Serves reports whether the row is for a device that the client describes like
	// this. The first row that serves a device counts.
	Serves func(*pnp.Description) bool
	// Data is what the file "data" in the device's folder is like.
	Data Data
	// Exclusive is set if such a device usually lets itself be opened once only, so
	// that it is not opened just to hear of its events.
	Exclusive bool
	// Present makes what the kind has beyond the files of every device, such as the
	// terminal of a serial port. It is nil if there is nothing. It may ask the client.
	// If ctx ends, it gives up.
	//
	// A device without it is still of use, so an error is logged and no more. If
	// this machine lacks what it takes, the error says what the user can do.
	Present func(ctx context.Context, d *Device) (Presentation, error)
}

// Table is the table of presenters.
type Table []*Kind

// Named returns the kind with that name; nil if there is none.
func (t Table) Named(name string) *Kind {
	for _, k := range t {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// Serving returns the first kind that serves a device; nil if none does.
func (t Table) Serving(d *pnp.Description) *Kind {
	for _, k := range t {
		if k.Serves(d) {
			return k
		}
	}
	return nil
}

// Data is what the file "data" of a device is like.
type Data uint8

const (
	// Stream is a file without a position, like a character device.
	Stream Data = iota
	// RandomAccess is a file with a size, of bytes that stay where they are.
	RandomAccess
)

// Presentation is what a presenter has made of a device.
type Presentation interface {
	// Close takes away all that was made. Programs that use it get an error or the
	// end of the file. It returns when no goroutine, node or descriptor is left, and
	// does not wait for the client. It is called once, when the device has gone or
	// is no longer to be presented.
	Close()
}

// Options is what the user wishes of presenters.
type Options struct {
	// Input lets the desktop use a HID device as an input device, too.
	Input bool
}
