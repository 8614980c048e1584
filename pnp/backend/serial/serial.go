// SPDX-License-Identifier: Apache-2.0

// Package serial redirects a terminal device (/dev/ttyUSB*, ttyACM*, ttyS*, a
// pseudo terminal) as what Windows calls a serial port: reads with Windows'
// timeouts, and the IOControls of ntddser.h.
//
// # Opening
//
// A port is exclusive in the whole process, whatever path leads to it and
// whatever share mode is asked for: an open beside another fails with
// ERROR_ACCESS_DENIED, and TIOCEXCL keeps other programs out meanwhile. A pseudo
// terminal does not get TIOCEXCL: as long as its master is open the mark would
// outlive a process that dies without taking it back, and nobody could open it
// any more. So a pseudo terminal can be a character device (package char) at the
// same time.
//
// An open port is raw: 8 data bits, no parity, one stop bit, no flow control, at
// the speed that it had. Close gives the port its settings back after what is
// still to be sent has left, for which it waits at most drainLimit; what a flow
// control holds back longer is discarded. The next open waits for that. Where the
// port is also open as a character device, the last one to be closed gives the
// settings back, and until then it is raw at the speed that it had.
//
// FreeRDP 2.11 dies of SIGTERM without a call to any plugin: nothing is restored
// then. A port that nobody else has open loses TIOCEXCL with the process; its
// settings stay as they were set last.
//
// # Reading
//
// What came for a read that is cancelled or aborted before it was complete is
// not lost: such a read ends with no data, and the next one begins with those
// bytes. (Windows' own driver drops them.) A read whose time ran out succeeds
// with what there is, be it nothing, as STATUS_TIMEOUT does. Only a read that a
// hangup ends fails with data: there is no next one to give it to.
//
// # Writing
//
// A write is complete when the kernel has all of it, which may be before it is
// sent. A write whose time ran out succeeds with the number of bytes that the
// kernel took.
//
// # Lines
//
// A port without modem lines (a pseudo terminal) reports CTS, DSR and DCD as on:
// nothing holds its data up, and an application that waits for the other end to
// be ready goes on. It remembers what DTR and RTS are set to.
package serial

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// drainLimit is how long a closed port may go on sending.
const drainLimit = 5 * time.Second

// busyLimit is how long an open waits for the closing of the one before it:
// longer than it takes unless a driver hangs.
const busyLimit = drainLimit + 5*time.Second

// Device is one serial port.
type Device struct {
	path string
	src  backend.Source
	log  *slog.Logger
}

var _ pnp.Device = (*Device)(nil)

// New makes the device. It does not look at the path, which need not exist until
// the device is opened.
//
// A port that is read-only refuses what sends something: writes,
// IOCTL_SERIAL_IMMEDIATE_CHAR and IOCTL_SERIAL_SET_BREAK_ON fail with
// ERROR_ACCESS_DENIED. Settings and lines can be changed: without its speed no
// port can be read.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{path: src.Path, src: src, log: log}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Open implements pnp.Device. Drivers talk to the hardware when a port is
// opened, so NoBlock is never granted. Of the dispositions CREATE_NEW fails, the
// others open. A handle without the right to read or to write can still control
// the port, as on Windows.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if err := devnode.CheckOpen(d.path, r); err != nil {
		return nil, err
	}
	claim, err := devnode.ClaimNode(d.path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	h, err := d.openNode(r, claim)
	if err != nil {
		claim.Release()
		return nil, err
	}
	return h, nil
}

func (d *Device) openNode(r pnp.OpenRequest, claim *devnode.Claim) (*handle, error) {
	read, write := r.WantsRead(), r.WantsWrite()
	n, err := d.openAs(r)
	if errors.Is(err, unix.EBUSY) { // somebody else's TIOCEXCL
		return nil, fmt.Errorf("%w (%w)", pnp.ERROR_ACCESS_DENIED, err)
	}
	if err != nil {
		return nil, err
	}
	n.Read, n.Write = n.Read && read, n.Write && write
	h, err := newHandle(d, n, claim, r)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	return h, nil
}

// openAs opens the node for what r asks for and for what the port does itself:
// a port that may only be written is still read, to tell of what arrives and to
// change the marks, and one that may be neither is still controlled.
func (d *Device) openAs(r pnp.OpenRequest) (devnode.Node, error) {
	more := r
	switch {
	case !r.WantsRead() && !r.WantsWrite():
		more.Access |= pnp.GENERIC_READ | pnp.GENERIC_WRITE
	case !r.WantsRead() && !d.src.ReadOnly:
		more.Access |= pnp.GENERIC_READ
		n, err := d.src.OpenNode(more)
		if err != nil || n.Write {
			return n, err
		}
		unix.Close(n.FD)
		more = r // it may be written only alone, or not at all
	}
	return d.src.OpenNode(more)
}
