// SPDX-License-Identifier: Apache-2.0

// Package printer redirects the raw port of a USB printer, the node of the kernel's
// driver usblp, with the IOControls of Windows' usbprint.sys. It is a stream as that of
// package char: a write is complete when the printer has the data, closing waits for a
// transfer that is under way, and a read of no data is not the end.
//
// # IOControls
//
// The codes are those of usbprint.h. Each may wait for the printer, for five seconds at
// most. One that the printer refuses fails with ERROR_GEN_FAILURE; for the status that is
// ERROR_IO_DEVICE.
//
//   - IOCTL_USBPRINT_GET_1284_ID returns the device id as the printer gives it, behind
//     its length in two bytes, the most significant first, and before a zero byte. A
//     buffer that is too short gets the beginning; one of less than three bytes fails
//     with ERROR_INSUFFICIENT_BUFFER. The driver keeps 1023 bytes of an id.
//   - IOCTL_USBPRINT_GET_LPT_STATUS returns the printer's status in the first byte, and
//     up to three zero bytes: Windows documents a DWORD, but programs ask for one byte.
//   - IOCTL_USBPRINT_SOFT_RESET resets the printer's interface.
//   - IOCTL_USBPRINT_VENDOR_GET_COMMAND and IOCTL_USBPRINT_VENDOR_SET_COMMAND are
//     requests of the vendor's to the printer's interface; see vendor.go.
//
// A read-only device refuses to be reset, and the requests of the vendor's.
package printer

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/char"
)

// The IoCodes of usbprint.h.
const (
	IOCTL_USBPRINT_GET_LPT_STATUS     = 0x00220030
	IOCTL_USBPRINT_GET_1284_ID        = 0x00220034
	IOCTL_USBPRINT_VENDOR_SET_COMMAND = 0x00220038
	IOCTL_USBPRINT_VENDOR_GET_COMMAND = 0x0022003C
	IOCTL_USBPRINT_SOFT_RESET         = 0x00220040
)

// The ioctls of usblp.
const (
	lpGetStatus = 0x060B                       // LPGETSTATUS of lp.h; an int
	getDeviceID = backend.IocRead | 'P'<<8 | 1 // LPIOC_GET_DEVICE_ID, with the length of the buffer
	softReset   = backend.IocNone | 'P'<<8 | 7 // LPIOC_SOFT_RESET
)

// longestID is how much of an id usblp keeps, with its length (USBLP_DEVICE_ID_SIZE - 1).
const longestID = 1023

// New makes the device. It does not look at the path, which need not exist until the
// device is opened.
func New(src backend.Source) (*char.Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	at := &vendor{log: log}
	return char.NewWithControls(src, char.Controls{
		IOCTL_USBPRINT_GET_LPT_STATUS:     {Do: getLPTStatus},
		IOCTL_USBPRINT_GET_1284_ID:        {Do: get1284ID},
		IOCTL_USBPRINT_SOFT_RESET:         {Do: reset, Changes: true},
		IOCTL_USBPRINT_VENDOR_GET_COMMAND: {Do: at.get, Changes: true},
		IOCTL_USBPRINT_VENDOR_SET_COMMAND: {Do: at.set, Changes: true},
	})
}

func getLPTStatus(fd int, r *pnp.Request) (int, error) {
	if len(r.Out) == 0 {
		return 0, pnp.ERROR_INSUFFICIENT_BUFFER
	}
	var status int32
	if err := ioctl(fd, lpGetStatus, unsafe.Pointer(&status)); err != nil {
		return 0, err
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(byte(status)))
	return copy(r.Out, b), nil
}

func get1284ID(fd int, r *pnp.Request) (int, error) {
	if len(r.Out) < 3 {
		return 0, pnp.ERROR_INSUFFICIENT_BUFFER
	}
	var id [longestID + 1]byte
	if err := ioctl(fd, getDeviceID|uint32(len(id))<<16, unsafe.Pointer(&id)); err != nil {
		return 0, err
	}
	// As the driver has it: a printer may lie about the length.
	n := min(max(int(binary.BigEndian.Uint16(id[:])), 2), longestID)
	binary.BigEndian.PutUint16(id[:], uint16(n))
	n = copy(r.Out[:len(r.Out)-1], id[:n])
	r.Out[n] = 0
	return n + 1, nil
}

func reset(fd int, _ *pnp.Request) (int, error) { return 0, ioctl(fd, softReset, nil) }

// ioctl calls the driver.
func ioctl(fd int, request uint32, data unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(data))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
