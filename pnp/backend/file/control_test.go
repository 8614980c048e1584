// SPDX-License-Identifier: Apache-2.0

package file

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// control does one IOControl and waits for it.
func control(h pnp.Handle, code uint32, out []byte) (hr pnp.HRESULT, n int) {
	done := make(chan struct{})
	r := &pnp.Request{Op: pnp.OpIOControl, Code: code, Out: out}
	r.OnComplete(func(_ *pnp.Request, got pnp.HRESULT, m int) {
		hr, n = got, m
		close(done)
	})
	h.Submit(r)
	<-done
	return hr, n
}

func checkLength(t *testing.T, h pnp.Handle, want uint64) {
	t.Helper()
	out := make([]byte, 16)
	hr, n := control(h, pnp.IOCTL_DISK_GET_LENGTH_INFO, out)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, 8, n)
	require.Equal(t, want, binary.LittleEndian.Uint64(out))
}

func TestLength(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 5<<30+1))
	h, err := device(t, path, false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	checkLength(t, h, 5<<30+1)

	hr, _ := control(h, pnp.IOCTL_DISK_GET_LENGTH_INFO, make([]byte, 7))
	require.Equal(t, pnp.ERROR_INSUFFICIENT_BUFFER, hr)
	hr, _ = control(h, 0x0007405D, make([]byte, 8))
	require.Equal(t, pnp.ERROR_INVALID_FUNCTION, hr)

	writeOnly, err := device(t, path, false).Open(pnp.OpenRequest{Access: pnp.GENERIC_WRITE, Share: 3, Disposition: pnp.OPEN_EXISTING})
	require.NoError(t, err)
	defer writeOnly.Close(func() {})
	hr, _ = control(writeOnly, pnp.IOCTL_DISK_GET_LENGTH_INFO, make([]byte, 8))
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, hr)
}

func TestLengthOfBlockDevice(t *testing.T) {
	h, err := device(t, imageDevice(t, acceptance.Pattern(1<<16)), false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	checkLength(t, h, 1<<16)
	hr, n := control(h, pnp.IOCTL_PNPDR_FLUSH, nil)
	require.Equal(t, pnp.S_OK, hr)
	require.Zero(t, n)
}

func TestFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("data"), 0o600))
	for readOnly, want := range map[bool]pnp.HRESULT{false: pnp.S_OK, true: pnp.ERROR_ACCESS_DENIED} {
		h, err := device(t, path, readOnly).Open(acceptance.ReadWrite)
		require.NoError(t, err)
		hr, n := control(h, pnp.IOCTL_PNPDR_FLUSH, nil)
		require.Equal(t, want, hr)
		require.Zero(t, n)
		h.Close(func() {})
	}
}
