// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
)

// The ioctl of data. Its argument is
//
//	struct pnpdr_ioctl {
//		__u32 code;      // the Windows code
//		__u32 in_size;   // bytes of input in data
//		__u32 out_size;  // bytes of output wanted; then, how many there are in data
//		__u32 result;    // the client's HRESULT
//		__u8  data[];    // input, then output
//	};
//
// in this machine's byte order. The number of the ioctl has the argument's size, up to
// maxIoctl, because the kernel copies as much as that.
const (
	ioctlType   = 'P'
	ioctlNumber = 1
	ioctlHeader = 16

	// maxIoctl is the largest size of the argument: the number has 14 bits for it.
	maxIoctl = 1<<14 - 1
)

// ioctlRequest returns the number of the ioctl for an argument of size bytes, from 16 to
// maxIoctl: _IOWR('P', 1, char[size]).
func ioctlRequest(size int) uint32 {
	const readWrite = 3
	return readWrite<<30 | uint32(size)<<16 | ioctlType<<8 | ioctlNumber
}

// Ioctl implements fuse.RawFileSystem.
func (t *tree) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, input []byte, _ *fuse.IoctlOut, output []byte) fuse.Status {
	o := t.opened(in.Fh)
	if o == nil {
		return fuse.EBADF
	}
	if in.Cmd != ioctlRequest(int(in.Cmd>>16)&maxIoctl) {
		return fuse.Status(unix.ENOTTY)
	}
	if len(input) < ioctlHeader || len(output) < len(input) {
		return fuse.EINVAL
	}
	copy(output, input)
	data := output[ioctlHeader:len(input)]
	code, inSize, outSize := order.Uint32(input), order.Uint32(input[4:]), order.Uint32(input[8:])
	if uint64(max(inSize, outSize)) > uint64(len(data)) {
		return fuse.EINVAL
	}
	n, err := o.ioctl(interrupt(cancel), code, input[ioctlHeader:][:inSize], data[:outSize])
	var result pnp.HRESULT
	// Without the client's result there is an errno instead. After a signal there is
	// one, too: a program expects it.
	if err != nil && (!errors.As(err, &result) || present.Errno(err) == unix.EINTR || o.folder.ctx.Err() != nil) {
		return t.failed(o.folder, err)
	}
	clear(data[n:])
	order.PutUint32(output[8:], uint32(n))
	order.PutUint32(output[12:], uint32(result))
	return fuse.OK
}
