// SPDX-License-Identifier: Apache-2.0

package printer

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// vendor makes a printer's vendor requests. usblp has none, so they go through the node
// of the whole USB device (usbfs), which takes them while usblp has the interface. They
// are addressed to that interface, so they say nothing to the device's other functions.
//
// The first byte of the input is bRequest; the next two are wValue, the most significant
// first. Windows sends the whole input as the data of a SET, with these three bytes. The
// interface's number and alternate setting are wIndex.
type vendor struct {
	log  *slog.Logger
	once sync.Once
}

const (
	prefix = 3 // bytes of the input that say what is asked for

	// longest is how much data usbfs takes: a page.
	longest = 4096

	vendorIn, vendorOut = 0xC1, 0x41 // bmRequestType: of the vendor's, to an interface

	milliseconds = 5000 // as usblp waits for its own requests
)

func (v *vendor) get(fd int, r *pnp.Request) (int, error) {
	return v.request(fd, vendorIn, r.In, r.Out[:min(len(r.Out), longest)])
}

func (v *vendor) set(fd int, r *pnp.Request) (int, error) {
	if len(r.In) > longest {
		return 0, pnp.ERROR_INVALID_PARAMETER
	}
	_, err := v.request(fd, vendorOut, r.In, r.In)
	return 0, err
}

// transfer is the usbdevfs_ctrltransfer of usbdevice_fs.h.
type transfer struct {
	requestType, request byte
	value, index, length uint16
	timeout              uint32 // ms
	data                 unsafe.Pointer
}

// request makes one request with the data given, which may be empty, and returns how
// many bytes were moved.
func (v *vendor) request(fd int, requestType byte, in, data []byte) (int, error) {
	if len(in) < prefix {
		return 0, pnp.ERROR_INVALID_PARAMETER
	}
	device, index, err := v.open(fd)
	if devnode.HungUp(fd) {
		// Another printer may have had the number that was looked up.
		if err == nil {
			unix.Close(device)
		}
		return 0, pnp.ERROR_DEVICE_NOT_CONNECTED
	}
	if err != nil {
		return 0, err
	}
	defer unix.Close(device)
	t := transfer{
		requestType: requestType, request: in[0], value: binary.BigEndian.Uint16(in[1:]),
		index: index, length: uint16(len(data)), timeout: milliseconds, data: unsafe.Pointer(unsafe.SliceData(data)),
	}
	const control = 3<<30 | uintptr(unsafe.Sizeof(t))<<16 | 'U'<<8 // USBDEVFS_CONTROL
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(device), control, uintptr(unsafe.Pointer(&t)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return 0, errno
	}
	return min(int(n), len(data)), nil
}

// open opens the node of the USB device that the printer port belongs to. It returns the
// interface for wIndex.
func (v *vendor) open(fd int) (device int, index uint16, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, 0, err
	}
	tree, err := sysfs.Open("/sys")
	if err != nil {
		return -1, 0, err
	}
	dir, err := tree.ByNumber(sysfs.CharNumber(uint64(st.Rdev))) //nolint:unconvert // 32 bits on MIPS
	if err != nil {
		return -1, 0, err
	}
	iface := path.Dir(path.Dir(dir)) // above usbmisc/lp0
	usb := path.Dir(iface)
	number, ok := tree.Hex(iface, "bInterfaceNumber")
	alternate, altErr := strconv.ParseUint(strings.TrimSpace(tree.Text(iface, "bAlternateSetting")), 10, 8)
	if !ok || altErr != nil {
		return -1, 0, fmt.Errorf("no USB printer: %w", pnp.ERROR_NOT_SUPPORTED)
	}
	node := "/dev/" + tree.Uevent(usb)["DEVNAME"]
	device, err = unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		v.once.Do(func() {
			v.log.Warn("the printer's vendor commands fail: they need access to the node of the USB device", "node", node, "err", err)
		})
		return -1, 0, fmt.Errorf("open %s: %w", node, err)
	}
	if err = unix.Fstat(device, &st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFCHR ||
		sysfs.CharNumber(uint64(st.Rdev)).String() != tree.Text(usb, "dev")) { //nolint:unconvert
		err = pnp.ERROR_NOT_SUPPORTED
	}
	if err != nil {
		unix.Close(device)
		return -1, 0, fmt.Errorf("%s: %w", node, err)
	}
	return device, uint16(byte(number))<<8 | uint16(alternate), nil
}
