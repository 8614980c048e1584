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
	"log/slog"

	"freerdp-pnpdr/channels/server"
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

// Device is a redirected device that is being presented. Its methods may be called from
// any goroutine.
type Device struct {
	// Name is the name of the device's folder, which no other device has.
	Name string
	// Dir is the path of that folder. It exists, and only the session's user may
	// look into it.
	Dir string
	// Log names the device in each line.
	Log *slog.Logger
	// Options is what the user wishes.
	Options Options

	remote *server.Device
}

// Options is what the user wishes of presenters.
type Options struct {
	// Input lets the desktop use a HID device as an input device, too.
	Input bool
}

// NewDevice returns the device that presents remote.
func NewDevice(remote *server.Device, name, dir string, log *slog.Logger, opt Options) *Device {
	return &Device{Name: name, Dir: dir, Log: log, Options: opt, remote: remote}
}

// Description returns the client's description, which must not be changed.
func (d *Device) Description() *pnp.Description { return d.remote.Description() }

// Gone is closed when the device has gone.
func (d *Device) Gone() <-chan struct{} { return d.remote.Gone() }

// Open opens a handle of the device. See server.Device.Open. The transport may have room
// for a few handles only (14 under xrdp), so a presenter opens one when a program uses
// the device, and closes it after the last.
func (d *Device) Open(ctx context.Context, opt server.OpenOptions) (*Handle, error) {
	h, err := d.remote.Open(ctx, opt)
	if err != nil {
		return nil, err
	}
	return &Handle{h}, nil
}

// Handle is an open handle of a device. See server.Handle for its methods.
type Handle struct {
	*server.Handle
}
