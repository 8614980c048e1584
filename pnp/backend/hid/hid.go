// SPDX-License-Identifier: Apache-2.0

// Package hid redirects a HID device by its hidraw node, as Windows' HID class
// driver (hidclass.sys) shows one to applications.
//
// # Reports
//
// A report always begins with its id, which is 0 for a device without ids. A read
// returns input reports, each padded with zeros to InputReportByteLength: as many as
// have arrived and as the buffer has room for. It waits for one, not for more. A write
// takes one output report. Wrong sizes are handled as Windows handles them,
// according to Wine's tests of the HID class driver (dlls/dinput/tests/hid.c),
// which were written against Windows:
//
//   - A read into fewer than InputReportByteLength bytes fails with
//     ERROR_INVALID_USER_BUFFER (STATUS_INVALID_BUFFER_SIZE there).
//   - A write, SET_FEATURE or SET_OUTPUT_REPORT of less than the longest report
//     of its kind fails with ERROR_INVALID_PARAMETER; if it is longer, the rest
//     is ignored. The device gets as many bytes as the report with this id has,
//     and a write returns that number.
//   - A report id that the device does not declare fails with
//     ERROR_INVALID_PARAMETER. Without ids the byte is ignored.
//   - If the device has no report of the kind, the request fails with
//     ERROR_INVALID_FUNCTION.
//
// Unlike on Windows, a read or write of no bytes succeeds, as it does on every
// device of this project.
//
// # Collections
//
// A hidraw node is a whole HID interface. Windows makes one device of each of its top-level
// collections, and so does discovery (backend.Source.Collection), wherever the ids of
// reports tell the collections apart. All that such a device does goes by a report
// descriptor that has nothing but its collection (hidreport.Extract): a report of another
// collection is one that it does not declare. So what is typed on a keyboard behind the same
// node never reaches a handle of another collection. Each handle has the node open itself.
// Share modes are those of the collection, and a handle of the whole node conflicts with
// those of all of them.
//
// Where the ids do not tell, the node is one device, with the longest report of each kind as
// its length. Windows does not start such a device.
//
// # Input queue
//
// Each handle with read access has its own queue of 128 reports, or as many as
// IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS sets. When it is full, the oldest report is
// dropped. The queues of all handles of a device take 1 MiB at most: each handle may use
// an equal part of that, but at least one report. They also fit into what the session may
// keep (pnp.Memory): Open fails with ERROR_NO_SYSTEM_RESOURCES if there is no room for one
// report. A goroutine moves reports from the
// kernel's queue, which holds 63 and drops the newest, as soon as they arrive. An input
// report with an undeclared id is dropped too; one that is longer than declared is cut.
//
// # Requests that block
//
// hidraw passes a report to the driver at once, whatever O_NONBLOCK says, and that
// can take seconds. Writes and report IOControls therefore run in slots of the
// session's pool, in order, one write and one IOControl at a time. So Cancel and
// Close answer at once, a handle takes at most two slots, and later requests wait.
// If a request is cancelled while the kernel is sending its report, the report may
// still reach the device.
//
// hidraw never blocks when a report is read or when poll asks whether the device
// is still there, so both are done at once. Other drivers may block, so Open
// refuses any node that sysfs does not show as hidraw's.
//
// # Differences from Windows
//
// The input queue holds 128 reports at first, not 32: see defaultInputBuffers.
//
// There is preparsed data (IOCTL_HID_GET_COLLECTION_DESCRIPTOR) only if it is known how
// Windows lays it out (see hidreport.Preparsed). Otherwise the request fails with
// ERROR_NOT_SUPPORTED, and DescriptorSize is 0. Requests that hidraw cannot serve also fail with
// ERROR_NOT_SUPPORTED: strings by index, physical descriptors, polling, secure reads.
package hid

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

// ERROR_INVALID_USER_BUFFER is how applications see STATUS_INVALID_BUFFER_SIZE and
// STATUS_INVALID_USER_BUFFER, with which the HID class driver refuses a buffer that
// is too small.
const ERROR_INVALID_USER_BUFFER pnp.HRESULT = 0x80070000 | 1784

// Device is a hidraw node, or one collection of it.
type Device struct {
	path  string
	src   backend.Source
	log   *slog.Logger
	open  opener
	sysfs string // mount point

	queues atomic.Int64 // handles that have an input queue
}

var _ pnp.Device = (*Device)(nil)

// New makes the device. The path need not exist until the device is opened. A
// read-only device refuses writes, SET_FEATURE and SET_OUTPUT_REPORT.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{path: src.Path, src: src, log: log, open: openHidraw, sysfs: "/sys"}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Open implements pnp.Device. Opening may wake the device up and so block: with
// NoBlock it returns pnp.ErrWouldBlock. The disposition CREATE_NEW fails; the others
// open the existing device.
//
// A handle with neither read nor write access still answers IOControls, as on
// Windows, where applications use such handles to look for their device.
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
