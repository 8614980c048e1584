// SPDX-License-Identifier: Apache-2.0

// Package serial redirects a terminal device (/dev/ttyUSB*, ttyACM*, ttyS*, a
// pseudo terminal) as what Windows calls a serial port: reads with Windows'
// timeouts, and the IOControls of ntddser.h.
//
// # Opening
//
// A port is exclusive in the whole process, whatever path leads to it and whatever
// the share mode: a second open fails with ERROR_ACCESS_DENIED, and TIOCEXCL keeps
// other programs out. A pseudo terminal does not get TIOCEXCL: while its master is
// open, it would stay exclusive after this process has died, and nobody could open
// it any more. So a pseudo terminal can be a character device (package char) at the
// same time.
//
// An open port is raw: 8 data bits, no parity, one stop bit, no flow control, at the
// speed that it had. Close waits until all output is sent, for as long as that takes at
// the port's speed and drainLimit more, but no longer than longestDrain. Then it discards
// the rest, says so in the log, and restores the settings. The next open waits for that. If
// the port is also open as a character device, the last one to be closed restores the
// settings, and until then the port is raw at the speed that it had.
//
// FreeRDP 2.11 dies of SIGTERM without a call to any plugin: nothing is restored
// then. TIOCEXCL ends with the process if nobody else has the port open; the settings
// stay.
//
// # Reading
//
// A read that is cancelled or aborted before it is complete loses nothing: it has no
// data, and the next read begins with the bytes that came for it. (Windows' own driver
// drops them.) A read whose time ran out succeeds with the bytes that came, even if
// there are none, as STATUS_TIMEOUT does. Only a read that a hangup ends fails with
// data, since there is no next read. If the session has no memory left for data that no
// read waits for (pnp.Memory), such a cancel drops what does not fit, and the line error
// is SERIAL_ERROR_QUEUEOVERRUN.
//
// # Writing
//
// A write without a time-out is complete when the kernel has all of it, which may be
// before it is sent. A write with one is complete when the port has sent it, as far as the
// driver can tell. If its time runs out, it succeeds with the number of bytes that were
// sent, and the others are discarded: so an application notices a device that takes
// nothing. Not all drivers can take back what they have. If what was written before has
// not been sent either, nothing is discarded, and the bytes that the kernel took count.
//
// # Lines
//
// A port without modem lines (a pseudo terminal) reports CTS, DSR and DCD as on, so
// that an application that waits for the other end to be ready goes on. The port
// remembers the states that DTR and RTS are set to. It also does that for each line
// that the driver refuses to set, as those of many modems do, and flow control and
// breaks that the driver refuses have no effect: SetCommState and EscapeCommFunction
// work on every port.
//
// # Handshakes
//
// The kernel does those by RTS and CTS together and by XON and XOFF, when it sees fit: their
// limits and SERIAL_XOFF_CONTINUE have no effect. The port does the others itself (see
// handshake), as serial.sys does, if it has lines; a port without lines remembers them.
// While a line can stop the output, the port writes small pieces, so that little is on its
// way when the line falls. While its own lines depend on the receive queue, or DSR decides
// about what is received, it reads without being asked.
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

// drainLimit is how long Close waits for output to be sent beyond the time that the line
// takes for it, and longestDrain how long it waits at most.
const (
	drainLimit   = 5 * time.Second
	longestDrain = time.Minute
)

// busyLimit is how long an open waits for the closing of the one before it:
// longer than it takes unless a driver hangs.
const busyLimit = longestDrain + 5*time.Second

// Device is one serial port.
type Device struct {
	path string
	src  backend.Source
	log  *slog.Logger

	drainLimit time.Duration // drainLimit, but in tests
}

var _ pnp.Device = (*Device)(nil)

// New makes the device. It does not look at the path, which need not exist until the
// device is opened.
//
// A read-only port refuses operations that send: writes, IOCTL_SERIAL_IMMEDIATE_CHAR
// and IOCTL_SERIAL_SET_BREAK_ON fail with ERROR_ACCESS_DENIED. Settings and lines can
// be changed, since reading a port takes its speed.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{path: src.Path, src: src, log: log, drainLimit: drainLimit}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Open implements pnp.Device. It never grants NoBlock, since drivers talk to the
// hardware when a port is opened. The disposition CREATE_NEW fails; the others open
// the port. A handle without the right to read or to write can still control the
// port, as on Windows.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if err := devnode.CheckOpen(d.path, r); err != nil {
		return nil, err
	}
	claim, err := devnode.ClaimNode(d.path, r.Cancelled)
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
	if errors.Is(err, unix.EBUSY) { // TIOCEXCL of another program
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

// openAs opens the node with the access of r and the access that the port itself
// needs. A port that r only writes is also read, for events and to change the marks. A
// port that r neither reads nor writes is still controlled.
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
		more = r // writing is allowed only without reading, or not at all
	}
	return d.src.OpenNode(more)
}
