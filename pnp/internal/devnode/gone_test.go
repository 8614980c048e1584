// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/internal/fusetest"
)

// TestFailure: an error of a device that has gone says so, even if the kernel notices
// only afterwards.
func TestFailure(t *testing.T) {
	master, path := devtest.OpenPTY(t)
	n, err := OpenNode(path, pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE}, false, nil)
	require.NoError(t, err)
	defer unix.Close(n.FD)
	result := func(err error) pnp.HRESULT { return pnp.HRESULTOf(Failure(n.FD, err)) }
	require.Equal(t, pnp.S_OK, result(nil))
	require.Equal(t, pnp.ERROR_INVALID_PARAMETER, result(unix.EINVAL))
	require.Equal(t, pnp.ERROR_IO_DEVICE, result(fmt.Errorf("read: %w", unix.EIO)), "it is still there")
	time.AfterFunc(10*time.Millisecond, func() { master.Close() })
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, result(fmt.Errorf("read: %w", unix.EIO)))
	require.Equal(t, pnp.ERROR_INVALID_PARAMETER, result(unix.EINVAL))
	require.ErrorIs(t, Failure(n.FD, unix.EIO), unix.EIO, "the log says more")
}

// TestFailureOfABlockDevice: a loop device without a file fails, but is there.
func TestFailureOfABlockDevice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk")
	require.NoError(t, os.WriteFile(file, make([]byte, 1<<16), 0o600))
	n, err := OpenNode(devtest.LoopDevice(t, file), pnp.OpenRequest{Access: pnp.GENERIC_READ}, true, nil)
	require.NoError(t, err)
	defer unix.Close(n.FD)
	require.Equal(t, pnp.ERROR_IO_DEVICE, pnp.HRESULTOf(Failure(n.FD, unix.EIO)))
}

// TestOpenOfWhatHasGone: a path that leads nowhere any more, while the driver is asked
// or just before, belonged to a device that was unplugged.
func TestOpenOfWhatHasGone(t *testing.T) {
	read := pnp.OpenRequest{Access: pnp.GENERIC_READ}
	link := filepath.Join(t.TempDir(), "link")
	fs := fusetest.Mount(t, func(r *fusetest.Request) {
		if r.Op == fusetest.Open {
			time.AfterFunc(10*time.Millisecond, func() { os.Remove(link) })
			r.Fail(unix.EIO)
		}
	})
	_, err := OpenNode(fs.Path, read, false, nil)
	require.Equal(t, pnp.ERROR_IO_DEVICE, pnp.HRESULTOf(err), "it is still there")
	require.NoError(t, os.Symlink(fs.Path, link))
	_, err = OpenNode(link, read, false, nil)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(err))
	_, err = OpenNode(link, read, false, nil)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(err))
	_, err = ClaimNode(link, nil)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(err))
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(AwaitClose(link, nil)))
}
