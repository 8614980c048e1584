// SPDX-License-Identifier: Apache-2.0

// Package char redirects any character device as a plain stream of bytes.
//
// Reads are done in the order of arrival, and so are writes; they do not wait for
// each other. A read returns as soon as there is data; a write writes everything.
// Offsets are ignored.
//
// A write is complete when the device has the data, not when its driver has queued
// it: a driver may drop what is queued when the node is closed (usblp does). Drivers of
// terminals send what they have queued, so there the write ends earlier. Closing a
// handle waits for a transfer that is under way, at most closeLimit, so that a printer
// that is paused or slow does not lose it. Cancelling the write or unplugging the
// device ends the wait.
//
// The stream is 8-bit clean: the first open of a terminal puts it into raw mode, and
// closing the last handle restores its settings. Its speed stays as it is.
package char

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// Device is one character device node.
type Device struct {
	path string
	src  backend.Source
	log  *slog.Logger

	controls   Controls
	closeLimit time.Duration // closeLimit, but in tests
}

var _ pnp.Device = (*Device)(nil)

// New makes the device. It does not look at the path, which need not exist
// until the device is opened.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{path: src.Path, src: src, log: log, closeLimit: closeLimit}, nil
}

// NewWithControls is New for a kind of device that is a stream beside its IOControls.
func NewWithControls(src backend.Source, c Controls) (*Device, error) {
	d, err := New(src)
	if err == nil {
		d.controls = c
	}
	return d, err
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Open implements pnp.Device. It never grants NoBlock, since a driver may take its
// time. Nothing is created or truncated: the disposition CREATE_NEW fails, and the
// others open the device.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	return d.open(r, unix.S_IFCHR, classify)
}

// open is Open with the type of the node and the function that classifies it, which
// tests replace: to make a node that cannot be polled, or one whose driver is the
// test.
func (d *Device) open(r pnp.OpenRequest, kind uint32, classify func(devnode.Node) class) (pnp.Handle, error) {
	n, err := d.src.OpenNode(r)
	if errors.Is(err, unix.EBUSY) {
		// It may be open as a serial port (TIOCEXCL), or its driver lets one open
		// it at a time and the handle before is still being closed.
		if err := devnode.AwaitClose(d.path, r.Cancelled); err != nil {
			return nil, fmt.Errorf("open %s: %w", d.path, err)
		}
		n, err = d.src.OpenNode(r)
	}
	if err != nil {
		return nil, err
	}
	if n.Stat.Mode&unix.S_IFMT != kind {
		unix.Close(n.FD)
		return nil, fmt.Errorf("open %s: not a character device: %w", d.path, pnp.ERROR_NOT_SUPPORTED)
	}
	h, err := newHandle(d, n, classify(n), r)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	return h, nil
}

// class says how to wait for a node.
type class uint8

const (
	// pollable nodes honour O_NONBLOCK, and the runtime's poller can wait for
	// them.
	pollable class = iota
	// transfers are pollable nodes whose reads are USB transfers. One without
	// data is not the end of file.
	transfers
	// threads are transfers of a driver whose poll can wait: usblp's takes a lock that
	// its ioctls hold while the device does not answer. In the runtime's poller it would
	// hold up every device of the process. So each lane waits in a thread of its own;
	// the driver lets one open the node at a time.
	threads
	// instant nodes never wait.
	instant
	// blocking nodes may wait, and cannot be polled.
	blocking
	// messages are nodes that had better not be polled. A message may be empty,
	// which is not the end of file.
	messages
)

// classify returns the class of a node that was just opened. It does not ask epoll,
// which may refuse a pollable node later.
func classify(n devnode.Node) class {
	number := sysfs.CharNumber(uint64(n.Stat.Rdev)) //nolint:unconvert // 32 bits on MIPS
	const memoryDevices, usbDevices = 1, 180        // Linux' devices.txt
	switch {
	case number.Major == memoryDevices:
		switch number.Minor {
		case 3, 5, 7, 9: // null, zero, full, urandom
			return instant
		}
	}
	tree, err := sysfs.Open("/sys")
	driver := ""
	if err == nil && number.Major == usbDevices {
		driver = tree.Link("dev/char", number.String(), "device/driver")
	}
	switch {
	case driver == "usblp":
		return threads
	case driver == "usbtmc":
		// Its reads wait whatever O_NONBLOCK says. Its poll never says that there is
		// something to read, and waits for a read that is under way: so then does
		// every descriptor that is in the same epoll.
		return messages
	case number.Major == usbDevices:
		return transfers
	case err == nil && strings.Contains(tree.Target("dev/char", number.String()), "/virtual/cuse/"):
		// Many servers of devices in user space do not implement poll, which then
		// always says ready, and ignore O_NONBLOCK. Even polling can hang.
		return blocking
	}
	return pollable
}
