// SPDX-License-Identifier: Apache-2.0

package present

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

// errnos says what a local program is told when the client answers with a result. A
// Windows client may answer with others than those that pnp has names for; see
// [MS-ERREF] 2.1.1 and 2.2 for the numbers.
var errnos = map[pnp.HRESULT]syscall.Errno{
	pnp.E_NOTIMPL:    syscall.EOPNOTSUPP,
	pnp.E_FAIL:       syscall.EIO,
	pnp.E_UNEXPECTED: syscall.EIO,
	0x80004003:       syscall.EFAULT,    // E_POINTER
	0x80004004:       syscall.ECANCELED, // E_ABORT

	pnp.ERROR_INVALID_FUNCTION:     syscall.ENOTTY,
	pnp.ERROR_FILE_NOT_FOUND:       syscall.ENOENT,
	win32 | 3:                      syscall.ENOENT, // ERROR_PATH_NOT_FOUND
	pnp.ERROR_TOO_MANY_OPEN_FILES:  syscall.EMFILE,
	pnp.ERROR_ACCESS_DENIED:        syscall.EACCES,
	pnp.ERROR_INVALID_HANDLE:       syscall.EBADF,
	pnp.ERROR_NOT_ENOUGH_MEMORY:    syscall.ENOMEM,
	win32 | 14:                     syscall.ENOMEM, // ERROR_OUTOFMEMORY
	pnp.ERROR_WRITE_PROTECT:        syscall.EROFS,
	win32 | 20:                     syscall.ENODEV, // ERROR_BAD_UNIT
	pnp.ERROR_NOT_READY:            syscall.ENOMEDIUM,
	win32 | 22:                     syscall.EINVAL, // ERROR_BAD_COMMAND
	win32 | 28:                     syscall.ENOSPC, // ERROR_OUT_OF_PAPER
	pnp.ERROR_GEN_FAILURE:          syscall.EIO,
	pnp.ERROR_SHARING_VIOLATION:    syscall.EBUSY,
	win32 | 33:                     syscall.EBUSY, // ERROR_LOCK_VIOLATION
	pnp.ERROR_HANDLE_EOF:           syscall.ENODATA,
	win32 | 39:                     syscall.ENOSPC, // ERROR_HANDLE_DISK_FULL
	pnp.ERROR_NOT_SUPPORTED:        syscall.EOPNOTSUPP,
	win32 | 55:                     syscall.ENODEV, // ERROR_DEV_NOT_EXIST
	pnp.ERROR_FILE_EXISTS:          syscall.EEXIST,
	pnp.ERROR_INVALID_PARAMETER:    syscall.EINVAL,
	pnp.ERROR_BROKEN_PIPE:          syscall.EPIPE,
	pnp.ERROR_DISK_FULL:            syscall.ENOSPC,
	win32 | 120:                    syscall.EOPNOTSUPP, // ERROR_CALL_NOT_IMPLEMENTED
	pnp.ERROR_SEM_TIMEOUT:          syscall.ETIMEDOUT,
	pnp.ERROR_INSUFFICIENT_BUFFER:  syscall.EINVAL,
	win32 | 142:                    syscall.EBUSY, // ERROR_BUSY_DRIVE
	pnp.ERROR_BUSY:                 syscall.EBUSY,
	win32 | 183:                    syscall.EEXIST, // ERROR_ALREADY_EXISTS
	win32 | 231:                    syscall.EBUSY,  // ERROR_PIPE_BUSY
	win32 | 232:                    syscall.EPIPE,  // ERROR_NO_DATA
	win32 | 233:                    syscall.EPIPE,  // ERROR_PIPE_NOT_CONNECTED
	pnp.ERROR_MORE_DATA:            syscall.EOVERFLOW,
	win32 | 433:                    syscall.ENODEV, // ERROR_NO_SUCH_DEVICE
	pnp.ERROR_OPERATION_ABORTED:    syscall.ECANCELED,
	win32 | 998:                    syscall.EFAULT,    // ERROR_NOACCESS
	win32 | 1112:                   syscall.ENOMEDIUM, // ERROR_NO_MEDIA_IN_DRIVE
	pnp.ERROR_IO_DEVICE:            syscall.EIO,
	pnp.ERROR_DEVICE_NOT_CONNECTED: syscall.ENODEV,
	pnp.ERROR_CANCELLED:            syscall.ECANCELED,
	pnp.ERROR_NO_SYSTEM_RESOURCES:  syscall.ENOBUFS,
	win32 | 1460:                   syscall.ETIMEDOUT, // ERROR_TIMEOUT
	win32 | 1617:                   syscall.ENODEV,    // ERROR_DEVICE_REMOVED
	pnp.ERROR_NOT_ENOUGH_QUOTA:     syscall.ENOBUFS,
	win32 | 2404:                   syscall.EBUSY, // ERROR_DEVICE_IN_USE
}

// win32 makes HRESULT_FROM_WIN32.
const win32 pnp.HRESULT = 0x80070000

// Errno returns what a local program is told of err: the errno that a local device would
// return where the client answered with an HRESULT. An errno in the chain is returned as
// it is. A call whose context was cancelled was interrupted (EINTR), whatever the client
// said to that; one whose handle or session has ended is for a device that has gone
// (ENODEV). Errors that nobody knows are EIO, and nil is 0.
//
// The end of a file is not an error to programs, so that presenters look for it with
// IsEOF first.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) {
		return syscall.EINTR
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, server.ErrNoReply) {
		return syscall.ETIMEDOUT
	}
	var h pnp.HRESULT
	if errors.As(err, &h) {
		if errno, ok := errnos[h]; ok {
			return errno
		}
		return syscall.EIO
	}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno) && errno != 0:
		return errno
	case errors.Is(err, channels.ErrClosed):
		return syscall.ENODEV
	case errors.Is(err, channels.ErrRefused):
		return syscall.ECONNREFUSED
	case errors.Is(err, channels.ErrTooLong):
		return syscall.EMSGSIZE
	}
	return syscall.EIO
}

// IsEOF reports whether a read ended with err because there is nothing more to read: the
// end of a file, or of a pipe whose other end has gone.
func IsEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, pnp.ERROR_HANDLE_EOF) || errors.Is(err, pnp.ERROR_BROKEN_PIPE)
}
