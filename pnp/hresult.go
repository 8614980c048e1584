// SPDX-License-Identifier: Apache-2.0

package pnp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// HRESULT is the result of an operation as the server receives it ([MS-ERREF] 2.1).
// The zero value is success. A failing HRESULT is an error.
type HRESULT uint32

// The results that this project uses. A device may return any other.
const (
	S_OK         HRESULT = 0
	E_NOTIMPL    HRESULT = 0x80004001
	E_FAIL       HRESULT = 0x80004005
	E_UNEXPECTED HRESULT = 0x8000FFFF

	ERROR_INVALID_FUNCTION     = facilityWin32 | 1
	ERROR_FILE_NOT_FOUND       = facilityWin32 | 2
	ERROR_TOO_MANY_OPEN_FILES  = facilityWin32 | 4
	ERROR_ACCESS_DENIED        = facilityWin32 | 5
	ERROR_INVALID_HANDLE       = facilityWin32 | 6
	ERROR_NOT_ENOUGH_MEMORY    = facilityWin32 | 8
	ERROR_WRITE_PROTECT        = facilityWin32 | 19
	ERROR_NOT_READY            = facilityWin32 | 21
	ERROR_GEN_FAILURE          = facilityWin32 | 31
	ERROR_SHARING_VIOLATION    = facilityWin32 | 32
	ERROR_HANDLE_EOF           = facilityWin32 | 38
	ERROR_NOT_SUPPORTED        = facilityWin32 | 50
	ERROR_FILE_EXISTS          = facilityWin32 | 80
	ERROR_INVALID_PARAMETER    = facilityWin32 | 87
	ERROR_BROKEN_PIPE          = facilityWin32 | 109
	ERROR_DISK_FULL            = facilityWin32 | 112
	ERROR_SEM_TIMEOUT          = facilityWin32 | 121
	ERROR_INSUFFICIENT_BUFFER  = facilityWin32 | 122
	ERROR_BUSY                 = facilityWin32 | 170
	ERROR_BAD_PIPE             = facilityWin32 | 230
	ERROR_PIPE_BUSY            = facilityWin32 | 231
	ERROR_NO_DATA              = facilityWin32 | 232
	ERROR_PIPE_NOT_CONNECTED   = facilityWin32 | 233
	ERROR_MORE_DATA            = facilityWin32 | 234
	ERROR_OPERATION_ABORTED    = facilityWin32 | 995
	ERROR_IO_DEVICE            = facilityWin32 | 1117
	ERROR_DEVICE_NOT_CONNECTED = facilityWin32 | 1167
	ERROR_CANCELLED            = facilityWin32 | 1223
	ERROR_NO_SYSTEM_RESOURCES  = facilityWin32 | 1450
	ERROR_NOT_ENOUGH_QUOTA     = facilityWin32 | 1816
)

// facilityWin32 makes HRESULT_FROM_WIN32: severity error, FACILITY_WIN32.
const facilityWin32 HRESULT = 0x80070000

var hresults = map[HRESULT]struct{ name, text string }{
	S_OK:         {"S_OK", "success"},
	E_NOTIMPL:    {"E_NOTIMPL", "not implemented"},
	E_FAIL:       {"E_FAIL", "unspecified failure"},
	E_UNEXPECTED: {"E_UNEXPECTED", "unexpected failure"},

	ERROR_INVALID_FUNCTION:     {"ERROR_INVALID_FUNCTION", "the device does not know this function"},
	ERROR_FILE_NOT_FOUND:       {"ERROR_FILE_NOT_FOUND", "not found"},
	ERROR_TOO_MANY_OPEN_FILES:  {"ERROR_TOO_MANY_OPEN_FILES", "too many open handles"},
	ERROR_ACCESS_DENIED:        {"ERROR_ACCESS_DENIED", "access denied"},
	ERROR_INVALID_HANDLE:       {"ERROR_INVALID_HANDLE", "the handle is not open"},
	ERROR_NOT_ENOUGH_MEMORY:    {"ERROR_NOT_ENOUGH_MEMORY", "not enough memory"},
	ERROR_WRITE_PROTECT:        {"ERROR_WRITE_PROTECT", "write protected"},
	ERROR_NOT_READY:            {"ERROR_NOT_READY", "the device is not ready"},
	ERROR_GEN_FAILURE:          {"ERROR_GEN_FAILURE", "the device does not work"},
	ERROR_SHARING_VIOLATION:    {"ERROR_SHARING_VIOLATION", "in use by another handle"},
	ERROR_HANDLE_EOF:           {"ERROR_HANDLE_EOF", "end of the device reached"},
	ERROR_NOT_SUPPORTED:        {"ERROR_NOT_SUPPORTED", "not supported"},
	ERROR_FILE_EXISTS:          {"ERROR_FILE_EXISTS", "exists already"},
	ERROR_INVALID_PARAMETER:    {"ERROR_INVALID_PARAMETER", "invalid parameter"},
	ERROR_BROKEN_PIPE:          {"ERROR_BROKEN_PIPE", "the other end has gone"},
	ERROR_DISK_FULL:            {"ERROR_DISK_FULL", "no space left"},
	ERROR_SEM_TIMEOUT:          {"ERROR_SEM_TIMEOUT", "timed out"},
	ERROR_INSUFFICIENT_BUFFER:  {"ERROR_INSUFFICIENT_BUFFER", "the buffer is of the wrong size"},
	ERROR_BUSY:                 {"ERROR_BUSY", "busy"},
	ERROR_BAD_PIPE:             {"ERROR_BAD_PIPE", "the pipe is in the wrong state or mode"},
	ERROR_PIPE_BUSY:            {"ERROR_PIPE_BUSY", "the pipe is busy"},
	ERROR_NO_DATA:              {"ERROR_NO_DATA", "the pipe is being closed"},
	ERROR_PIPE_NOT_CONNECTED:   {"ERROR_PIPE_NOT_CONNECTED", "the other end of the pipe has disconnected"},
	ERROR_MORE_DATA:            {"ERROR_MORE_DATA", "more data is available"},
	ERROR_OPERATION_ABORTED:    {"ERROR_OPERATION_ABORTED", "cancelled"},
	ERROR_IO_DEVICE:            {"ERROR_IO_DEVICE", "input/output error"},
	ERROR_DEVICE_NOT_CONNECTED: {"ERROR_DEVICE_NOT_CONNECTED", "the device is not connected"},
	ERROR_CANCELLED:            {"ERROR_CANCELLED", "cancelled by the user"},
	ERROR_NO_SYSTEM_RESOURCES:  {"ERROR_NO_SYSTEM_RESOURCES", "a limit on system resources was reached"},
	ERROR_NOT_ENOUGH_QUOTA:     {"ERROR_NOT_ENOUGH_QUOTA", "a limit of this session was reached"},
}

// Failed reports whether the severity bit is set. There are success codes other than
// S_OK.
func (h HRESULT) Failed() bool { return h&0x80000000 != 0 }

// Name returns the constant's name, or the number in hexadecimal.
func (h HRESULT) Name() string {
	if e, ok := hresults[h]; ok {
		return e.name
	}
	return fmt.Sprintf("0x%08X", uint32(h))
}

// Error returns text, name and number in one line.
func (h HRESULT) Error() string {
	if e, ok := hresults[h]; ok {
		return fmt.Sprintf("%s (%s 0x%08X)", e.text, e.name, uint32(h))
	}
	if h&0xFFFF0000 == facilityWin32 {
		return "Win32 error " + strconv.Itoa(int(h&0xFFFF)) + fmt.Sprintf(" (0x%08X)", uint32(h))
	}
	return fmt.Sprintf("HRESULT 0x%08X", uint32(h))
}

// Err returns nil for success and h itself for a failure.
func (h HRESULT) Err() error {
	if h.Failed() {
		return h
	}
	return nil
}

var errnos = map[syscall.Errno]HRESULT{
	syscall.EPERM:        ERROR_ACCESS_DENIED,
	syscall.EACCES:       ERROR_ACCESS_DENIED,
	syscall.EROFS:        ERROR_WRITE_PROTECT,
	syscall.ENOENT:       ERROR_FILE_NOT_FOUND,
	syscall.ENOTDIR:      ERROR_FILE_NOT_FOUND,
	syscall.EEXIST:       ERROR_FILE_EXISTS,
	syscall.EBADF:        ERROR_INVALID_HANDLE,
	syscall.EINVAL:       ERROR_INVALID_PARAMETER,
	syscall.EOVERFLOW:    ERROR_INVALID_PARAMETER,
	syscall.ENOTTY:       ERROR_INVALID_FUNCTION,
	syscall.ENOSYS:       ERROR_NOT_SUPPORTED,
	syscall.EOPNOTSUPP:   ERROR_NOT_SUPPORTED,
	syscall.ENOMEM:       ERROR_NOT_ENOUGH_MEMORY,
	syscall.EMFILE:       ERROR_TOO_MANY_OPEN_FILES,
	syscall.ENFILE:       ERROR_TOO_MANY_OPEN_FILES,
	syscall.EBUSY:        ERROR_BUSY,
	syscall.ETXTBSY:      ERROR_SHARING_VIOLATION,
	syscall.EAGAIN:       ERROR_NOT_READY,
	syscall.EINTR:        ERROR_OPERATION_ABORTED,
	syscall.ECANCELED:    ERROR_OPERATION_ABORTED,
	syscall.ENOSPC:       ERROR_DISK_FULL,
	syscall.EDQUOT:       ERROR_DISK_FULL,
	syscall.EFBIG:        ERROR_DISK_FULL,
	syscall.EPIPE:        ERROR_BROKEN_PIPE,
	syscall.ETIMEDOUT:    ERROR_SEM_TIMEOUT,
	syscall.EIO:          ERROR_IO_DEVICE,
	syscall.EREMOTEIO:    ERROR_IO_DEVICE,
	syscall.EPROTO:       ERROR_IO_DEVICE,
	syscall.ENOMEDIUM:    ERROR_NOT_READY,
	syscall.ENODEV:       ERROR_DEVICE_NOT_CONNECTED,
	syscall.ESTALE:       ERROR_DEVICE_NOT_CONNECTED,
	syscall.ENXIO:        ERROR_DEVICE_NOT_CONNECTED,
	syscall.ESHUTDOWN:    ERROR_DEVICE_NOT_CONNECTED,
	syscall.ENOTCONN:     ERROR_DEVICE_NOT_CONNECTED,
	syscall.ECONNREFUSED: ERROR_DEVICE_NOT_CONNECTED,
	syscall.ENOTBLK:      ERROR_NOT_SUPPORTED,
	syscall.EISDIR:       ERROR_ACCESS_DENIED,
	syscall.ELOOP:        ERROR_FILE_NOT_FOUND,
	syscall.ENAMETOOLONG: ERROR_INVALID_PARAMETER,
}

// HRESULTOf maps err to a result that Windows applications know. An HRESULT anywhere
// in the chain is returned as it is, an errno becomes the nearest Win32 error, the end
// of a file ERROR_HANDLE_EOF, a cancelled context ERROR_OPERATION_ABORTED and any
// other error E_FAIL. nil becomes S_OK.
func HRESULTOf(err error) HRESULT {
	if err == nil {
		return S_OK
	}
	var h HRESULT
	if errors.As(err, &h) {
		if !h.Failed() { // a success is not an error
			return E_UNEXPECTED
		}
		return h
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if h, ok := errnos[errno]; ok {
			return h
		}
		return ERROR_GEN_FAILURE
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ERROR_HANDLE_EOF
	case errors.Is(err, context.Canceled):
		return ERROR_OPERATION_ABORTED
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return ERROR_SEM_TIMEOUT
	case errors.Is(err, fs.ErrNotExist):
		return ERROR_FILE_NOT_FOUND
	case errors.Is(err, fs.ErrExist):
		return ERROR_FILE_EXISTS
	case errors.Is(err, fs.ErrClosed):
		return ERROR_INVALID_HANDLE
	case errors.Is(err, fs.ErrPermission):
		return ERROR_ACCESS_DENIED
	}
	return E_FAIL
}
