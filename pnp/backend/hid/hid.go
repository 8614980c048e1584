// SPDX-License-Identifier: Apache-2.0

// Package hid redirects a HID device by its hidraw node, as Windows' HID class
// driver (hidclass.sys) shows one to applications.
//
// # Reports
//
// A report always begins with its id, 0 for a device without ids. A read gives
// one input report, padded with zeros to InputReportByteLength; a write takes
// one output report. What Windows does where the sizes are wrong is known from
// Wine's tests of the HID class driver (dlls/dinput/tests/hid.c), which are
// written against Windows, and is done here:
//
//   - A read into less than InputReportByteLength bytes fails with
//     ERROR_INVALID_USER_BUFFER (STATUS_INVALID_BUFFER_SIZE there).
//   - A write, SET_FEATURE or SET_OUTPUT_REPORT of less than the longest report
//     of its kind fails with ERROR_INVALID_PARAMETER; of more, the rest is left
//     off. What goes to the device is as long as the report with this id is.
//     The count of a write is that length.
//   - A report id that the device does not declare fails with
//     ERROR_INVALID_PARAMETER. A device without ids does not look at the byte.
//   - Where the device has no report of the kind, ERROR_INVALID_FUNCTION.
//
// Otherwise than on Windows, a read or write of no bytes succeeds, as on every
// device of this project.
//
// # Input queue
//
// Each handle that may read has a queue of its own, of 32 reports or of as many
// as IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS says; when it is full the oldest report
// is dropped. A goroutine empties the kernel's queue (63 reports, which drops
// the newest) into it as soon as reports come. An input report with an id that
// is not declared is dropped, too; one that is longer than declared is cut.
//
// # Requests that block
//
// hidraw has a driver send a report at once, whatever O_NONBLOCK says, and that
// can take seconds. Writes and report IOControls therefore run in slots of the
// session's pool, one of each sort at a time, in their order: Cancel and Close
// answer at once, a handle takes at most two slots, and the requests behind wait.
// A report whose request was cancelled while the kernel was at it may still reach
// the device.
//
// To read a report, or to ask whether the device is still there, never waits in
// hidraw, so both are done at once. That holds for hidraw's own nodes alone: Open
// refuses a node that sysfs does not show as one, whatever it answers.
//
// # What differs
//
// A hidraw node is a whole HID interface. Windows makes a device of each
// top-level collection; here they are one device.
//
// Preparsed data (IOCTL_HID_GET_COLLECTION_DESCRIPTOR) has a private layout of
// Microsoft's; the request fails with ERROR_NOT_SUPPORTED and DescriptorSize is
// 0. So do requests that hidraw has nothing for: strings by index, physical
// descriptors, polling, secure reads.
package hid

import (
	"fmt"
	"log/slog"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

// ERROR_INVALID_USER_BUFFER is what STATUS_INVALID_BUFFER_SIZE and
// STATUS_INVALID_USER_BUFFER are to an application: the HID class driver's
// answer to a buffer that cannot hold what was asked for.
const ERROR_INVALID_USER_BUFFER pnp.HRESULT = 0x80070000 | 1784

// Device is one hidraw node.
type Device struct {
	path  string
	src   backend.Source
	log   *slog.Logger
	open  opener
	sysfs string // where it is mounted
}

var _ pnp.Device = (*Device)(nil)

// New makes the device. It does not look at the path, which need not exist
// until the device is opened. One that is read-only refuses writes, SET_FEATURE
// and SET_OUTPUT_REPORT.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{path: src.Path, src: src, log: log, open: openHidraw, sysfs: "/sys"}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Open implements pnp.Device. Opening wakes the device up, so NoBlock is never
// granted. There is nothing to create or to truncate: of the dispositions
// CREATE_NEW fails, the others open.
//
// A handle without access to read and write still answers IOControls, as on
// Windows, where applications look for their device with such handles.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	o, err := d.open(d, r)
	if err != nil {
		return nil, err
	}
	h, err := newHandle(d, o, r)
	if err != nil {
		o.node.close()
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	return h, nil
}
