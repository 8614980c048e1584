// SPDX-License-Identifier: Apache-2.0

package pnp

// IOControl codes of files and block devices.
const (
	// IOCTL_DISK_GET_LENGTH_INFO returns the length in bytes, a u64
	// (GET_LENGTH_INFORMATION in ntdddisk.h). The handle needs the right to read.
	IOCTL_DISK_GET_LENGTH_INFO = 0x0007405C

	// IOCTL_PNPDR_FLUSH returns when all that was written is on the disk. It has no
	// input and no output, and the handle needs the right to write. It is this
	// project's own, CTL_CODE(FILE_DEVICE_DISK, 0x800, METHOD_BUFFERED,
	// FILE_WRITE_ACCESS): Windows flushes by another request (IRP_MJ_FLUSH_BUFFERS),
	// which [MS-RDPEPNP] does not have.
	IOCTL_PNPDR_FLUSH = 0x0007A000
)
