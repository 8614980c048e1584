// SPDX-License-Identifier: Apache-2.0

package file

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// lengthSize is the size of GET_LENGTH_INFORMATION.
const lengthSize = 8

// checkControl is check for an IOControl.
func (h *handle) checkControl(r *pnp.Request) (hr pnp.HRESULT, done bool) {
	switch {
	case r.Code != pnp.IOCTL_DISK_GET_LENGTH_INFO && r.Code != pnp.IOCTL_PNPDR_FLUSH:
		return pnp.ERROR_INVALID_FUNCTION, true
	// The access bits of the code are what Windows checks.
	case r.Code == pnp.IOCTL_DISK_GET_LENGTH_INFO && !h.read, r.Code == pnp.IOCTL_PNPDR_FLUSH && !h.write:
		return pnp.ERROR_ACCESS_DENIED, true
	case r.Code == pnp.IOCTL_DISK_GET_LENGTH_INFO && len(r.Out) < lengthSize:
		return pnp.ERROR_INSUFFICIENT_BUFFER, true
	}
	return pnp.S_OK, false
}

// control does an IOControl. Even asking for the length can wait for a network.
func (h *handle) control(r *pnp.Request) (pnp.HRESULT, int) {
	if r.Code == pnp.IOCTL_PNPDR_FLUSH {
		return h.failure(unix.Fsync(h.fd)), 0
	}
	size, err := h.length()
	if err != nil {
		return h.failure(err), 0
	}
	binary.LittleEndian.PutUint64(r.Out, size)
	return pnp.S_OK, lengthSize
}

func (h *handle) length() (uint64, error) {
	if h.block {
		var size uint64
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size)))
		if errno != 0 {
			return 0, errno
		}
		return size, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(h.fd, &st); err != nil {
		return 0, err
	}
	return uint64(st.Size), nil
}

// failure returns what err means for the node.
func (h *handle) failure(err error) pnp.HRESULT {
	if err != nil && h.block {
		err = devnode.Failure(h.fd, err)
	}
	return pnp.HRESULTOf(err)
}
