// SPDX-License-Identifier: Apache-2.0

package char

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// controlWidth is how many ioctls of a handle may run at a time: one that waits for
// something does not keep the others from running.
const controlWidth = 4

// Controls are the IOControls of a kind of device that is a stream otherwise, by IoCode.
type Controls map[uint32]Control

// Control is an IOControl of a kind of device.
type Control struct {
	// Do carries it out on the open node, and returns how many bytes it has put into
	// r.Out. It may wait: it runs in a slot. If r is cancelled meanwhile, its buffers stay.
	Do func(fd int, r *pnp.Request) (n int, err error)
	// Changes is set if a read-only device refuses it.
	Changes bool
}

// mapped returns what an IoCode is mapped to; nil if it is not.
func (d *Device) mapped(code uint32) *backend.IOControl {
	for i := range d.src.IOControls {
		if c := &d.src.IOControls[i]; c.Code == code {
			return c
		}
	}
	return nil
}

// control passes a request to the driver, if it is one that is mapped. The buffers may
// be longer than its data, but not shorter.
func (h *handle) control(r *pnp.Request) {
	c := h.dev.mapped(r.Code)
	own, has := h.dev.controls[r.Code]
	switch {
	case c == nil && !has:
		h.q.Answer(r, pnp.ERROR_INVALID_FUNCTION, 0)
	case !h.read && !h.write: // no driver takes an ioctl on an O_PATH descriptor
		h.q.Answer(r, pnp.ERROR_ACCESS_DENIED, 0)
	case h.dev.src.ReadOnly && (has && own.Changes || !has && c.Argument != backend.Out):
		h.q.Answer(r, pnp.ERROR_ACCESS_DENIED, 0)
	case has:
		h.controls.Submit(r)
	case !fits(c, r):
		h.q.Answer(r, pnp.ERROR_INVALID_PARAMETER, 0)
	default:
		h.controls.Submit(r)
	}
}

// fits reports whether the buffers have room for the data of the ioctl.
func fits(c *backend.IOControl, r *pnp.Request) bool {
	in := c.Argument == backend.In || c.Argument == backend.InOut
	out := c.Argument == backend.Out || c.Argument == backend.InOut
	switch {
	case c.Argument == backend.Value:
		return len(r.In) == 4 || len(r.In) == 8
	case c.Size == backend.SizeOfData:
		n := size(c, r)
		return n > 0 && n <= backend.MaxIoctl
	}
	return (!in || len(r.In) >= c.Size) && (!out || len(r.Out) >= c.Size)
}

// size returns the length of the data of an ioctl.
func size(c *backend.IOControl, r *pnp.Request) int {
	switch {
	case c.Size != backend.SizeOfData:
		return c.Size
	case c.Argument == backend.In:
		return len(r.In)
	case c.Argument == backend.Out:
		return len(r.Out)
	}
	return min(len(r.In), len(r.Out))
}

// ioctl passes a request to the driver. It may wait.
func (h *handle) ioctl(it *queue.Item) (pnp.HRESULT, int) {
	r := it.R
	if own, has := h.dev.controls[r.Code]; has {
		n, err := own.Do(h.fd, r)
		return h.called(err), n
	}
	c := h.dev.mapped(r.Code)
	n, request := size(c, r), c.Request
	if c.Size == backend.SizeOfData {
		request |= uint32(n) << 16
	}
	var errno unix.Errno
	if c.Argument == backend.NoArgument || c.Argument == backend.Value {
		var value [8]byte
		copy(value[:], r.In[:min(len(r.In), c.Size)])
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(h.fd), uintptr(request), uintptr(binary.LittleEndian.Uint64(value[:])))
		return h.called(failed(errno)), 0
	}
	// A driver may move more than the size that a rule says, but hardly more than the
	// number of an ioctl can tell.
	var data [backend.MaxIoctl + 1]byte
	if c.Argument != backend.Out {
		copy(data[:n], r.In)
	}
	_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(h.fd), uintptr(request), uintptr(unsafe.Pointer(&data)))
	hr := h.called(failed(errno))
	if hr.Failed() || c.Argument == backend.In {
		return hr, 0
	}
	return hr, copy(r.Out, data[:n])
}

// called returns the result of an ioctl.
func (h *handle) called(err error) pnp.HRESULT {
	hr := pnp.HRESULTOf(devnode.Failure(h.fd, err))
	if errors.Is(err, unix.EPIPE) && hr != pnp.ERROR_DEVICE_NOT_CONNECTED {
		return pnp.ERROR_GEN_FAILURE // the device refused: a USB stall
	}
	return hr
}

// failed is errno as an error; nil for 0.
func failed(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
