// SPDX-License-Identifier: Apache-2.0

// Package image redirects cameras, scanners and media players (PTP, MTP) as Windows'
// usbscan driver presents them: reads and writes are transfers on the bulk pipes, with
// their packets, and IOControls do the rest. The server's driver or program speaks the
// device's protocol.
//
// The interface is claimed while a handle is open, and given back afterwards; handles
// share it. What the device reports on its interrupt pipe goes to
// IOCTL_WAIT_ON_DEVICE_EVENT of every handle, and is a custom event.
package image

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// GUID_DEVICE_EVENT is the custom event whose data the device has sent on its interrupt
// pipe. It is this project's own.
var GUID_DEVICE_EVENT = pnp.MustGUID("{7C9F4F3E-2C43-4D0E-9B0A-6E1D7C1F5A21}")

// Device is one interface of a USB device.
type Device struct {
	src backend.Source
	log *slog.Logger

	opening sync.Mutex // held while the device is claimed or given back

	mu    sync.Mutex
	sink  func(pnp.Event)
	claim *claim // while a handle is open
}

// New makes the device. The node is not looked at until it is opened.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{src: src, log: log}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Notify implements pnp.EventSource.
func (d *Device) Notify(sink func(pnp.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sink = sink
}

// Open implements pnp.Device. It never grants NoBlock.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if r.NoBlock {
		return nil, pnp.ErrWouldBlock
	}
	usb := used.Load()
	if usb == nil {
		return nil, fmt.Errorf("open %s: this program cannot reach USB devices: %w", d.src.Path, pnp.ERROR_NOT_SUPPORTED)
	}
	d.opening.Lock()
	defer d.opening.Unlock()
	if err := r.CheckCancelled(); err != nil {
		return nil, err
	}
	// Each handle opens the node: rules and share modes are about that.
	rw := r
	rw.Access = pnp.GENERIC_READ | pnp.GENERIC_WRITE
	node, err := d.src.OpenNode(rw)
	if err != nil {
		return nil, err
	}
	if !node.Write {
		unix.Close(node.FD)
		return nil, fmt.Errorf("open %s: writing is not allowed: %w", d.src.Path, pnp.ERROR_ACCESS_DENIED)
	}
	grant, err := node.Share(r.Share)
	if err != nil {
		unix.Close(node.FD)
		return nil, err
	}
	c, err := d.claimed(node.FD, *usb)
	if err != nil {
		grant.Release()
		unix.Close(node.FD)
		return nil, fmt.Errorf("open %s: %w", d.src.Path, err)
	}
	h := newHandle(d, c, grant, node.FD, r)
	c.join(h)
	return h, nil
}

// claimed returns the claim of the device, which it makes if there is none. d.opening is
// held.
func (d *Device) claimed(fd int, usb USB) (*claim, error) {
	d.mu.Lock()
	c := d.claim
	d.mu.Unlock()
	if c != nil && !c.gone() {
		return c, nil
	}
	// The interface of the claim belongs to its descriptor, which outlives the handle.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l, err := d.layout(own)
	var i Interface
	if err == nil {
		i, err = usb.Claim(own, l.number)
	}
	if err != nil {
		err = failure(own, err)
		unix.Close(own)
		return nil, d.explain(err)
	}
	c = &claim{d: d, fd: own, layout: l, usb: i, handles: make(map[*handle]struct{})}
	d.mu.Lock()
	d.claim = c
	d.mu.Unlock()
	_ = c.listen() // it is in the log
	return c, nil
}

// layout reads the descriptors from the node.
func (d *Device) layout(fd int) (layout, error) {
	b := make([]byte, 16<<10)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		return layout{}, err
	}
	number := -1
	if d.src.Found != nil {
		number = d.src.Found.Interface
	}
	return parse(b[:n], number)
}

// explain gives an error of Claim the result that Windows would have, and says in the log
// what to do.
func (d *Device) explain(err error) error {
	switch {
	case errors.Is(err, ErrInUse):
		who := "another program"
		if user := devnode.User(d.src.Path); user != "" {
			who = user
		}
		d.log.Warn("device is in use on this machine; close it there, for example with "+
			`"gio mount -u" for what the file manager has mounted`, "by", who)
		return fmt.Errorf("%w by %s: %w", err, who, pnp.ERROR_BUSY)
	case errors.Is(err, ErrGone):
		return fmt.Errorf("%w: %w", err, pnp.ERROR_DEVICE_NOT_CONNECTED)
	case errors.Is(err, errDescriptors), errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", err, pnp.ERROR_NOT_SUPPORTED)
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		d.log.Warn("device cannot be used", "err", err)
	}
	return err
}

// result returns the HRESULT of a transfer.
func result(err error) pnp.HRESULT {
	switch {
	case err == nil:
		return pnp.S_OK
	case errors.Is(err, ErrGone):
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	case errors.Is(err, ErrTimeout):
		return pnp.ERROR_SEM_TIMEOUT
	case errors.Is(err, ErrCancelled):
		return pnp.ERROR_OPERATION_ABORTED
	case errors.Is(err, ErrStall):
		return pnp.ERROR_GEN_FAILURE
	}
	return pnp.ERROR_IO_DEVICE
}
