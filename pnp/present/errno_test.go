// SPDX-License-Identifier: Apache-2.0

package present_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{pnp.ERROR_ACCESS_DENIED, syscall.EACCES},
		{fmt.Errorf("opening device 3: %w", pnp.ERROR_SHARING_VIOLATION), syscall.EBUSY},
		{pnp.HRESULT(0x80070651), syscall.ENODEV},
		{pnp.HRESULT(0x8007FFFF), syscall.EIO},
		{pnp.HRESULT(0xC0000001), syscall.EIO},
		{pnp.ERROR_OPERATION_ABORTED, syscall.ECANCELED},
		{fmt.Errorf("%w: %w", context.Canceled, pnp.ERROR_OPERATION_ABORTED), syscall.EINTR},
		{fmt.Errorf("%w: %w", context.Canceled, server.ErrNoReply), syscall.EINTR},
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, server.ErrNoReply), syscall.ETIMEDOUT},
		{fmt.Errorf("the handle was closed: %w", channels.ErrClosed), syscall.ENODEV},
		{channels.ErrRefused, syscall.ECONNREFUSED},
		{fmt.Errorf("40000 bytes: %w", channels.ErrTooLong), syscall.EMSGSIZE},
		{fmt.Errorf("opening a node: %w", syscall.EPERM), syscall.EPERM},
		{errors.New("of an unknown kind"), syscall.EIO},
	} {
		assert.Equal(t, c.want, present.Errno(c.err), "%v", c.err)
	}
}

// TestErrnoOfOurClient: what a local device says reaches the program at the server's end
// with its meaning.
func TestErrnoOfOurClient(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.EACCES, syscall.EROFS, syscall.ENOENT, syscall.EEXIST, syscall.EBADF, syscall.EINVAL,
		syscall.ENOTTY, syscall.EOPNOTSUPP, syscall.ENOMEM, syscall.EMFILE, syscall.EBUSY, syscall.ENOSPC,
		syscall.EPIPE, syscall.ETIMEDOUT, syscall.EIO, syscall.ENODEV, syscall.ENOMEDIUM, syscall.ECANCELED,
	} {
		assert.Equal(t, errno, present.Errno(pnp.HRESULTOf(errno)), "%v", errno)
	}
}

func TestIsEOF(t *testing.T) {
	for _, err := range []error{io.EOF, pnp.ERROR_HANDLE_EOF, fmt.Errorf("read: %w", pnp.ERROR_BROKEN_PIPE)} {
		assert.True(t, present.IsEOF(err), "%v", err)
	}
	for _, err := range []error{nil, pnp.ERROR_IO_DEVICE, channels.ErrClosed} {
		assert.False(t, present.IsEOF(err), "%v", err)
	}
}
