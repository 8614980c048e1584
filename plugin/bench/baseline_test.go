// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// TestSameDevice holds both plugins to the same results: a yardstick that does
// less than what it measures would be none.
func TestSameDevice(t *testing.T) {
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("xfreerdp%d", major), func(t *testing.T) {
			f := newFixture(t, major)
			plugin, baseline := requireLibraries(t)
			ours, yardstick := f.start(plugin), f.start(baseline)
			t.Run("plugin", func(t *testing.T) { useDevice(t, ours) })
			t.Run("baseline", func(t *testing.T) { useDevice(t, yardstick) })
		})
	}
}

func useDevice(t *testing.T, r *remote) {
	want := loopback.DefaultDescription()
	require.Equal(t, &want, r.device.Description())
	h, other := r.open(), r.open()
	for _, n := range []int{1, 64, 64 << 10, loopback.Size} {
		data, back := make([]byte, n), make([]byte, n)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		got, err := h.WriteAt(r.ctx, data, 0)
		require.NoError(t, err)
		require.Equal(t, n, got)
		got, err = other.ReadAt(r.ctx, back, 0)
		require.NoError(t, err)
		require.Equal(t, n, got)
		require.True(t, bytes.Equal(data, back), "%d bytes came back changed", n)
		got, err = h.IOControl(r.ctx, loopback.IOCTL_ECHO, data, back[:n/2])
		require.NoError(t, err)
		require.Equal(t, data[:n/2], back[:got])
	}
	n, err := h.ReadAt(r.ctx, make([]byte, 8), loopback.Size-3)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = h.ReadAt(r.ctx, make([]byte, 8), loopback.Size)
	require.ErrorIs(t, err, pnp.ERROR_HANDLE_EOF)
	_, err = h.WriteAt(r.ctx, make([]byte, 8), loopback.Size)
	require.ErrorIs(t, err, pnp.ERROR_DISK_FULL)
	_, err = h.IOControl(r.ctx, 1, nil, nil)
	require.ErrorIs(t, err, pnp.ERROR_INVALID_FUNCTION)

	require.NoError(t, h.Close())
	for range 10 {
		h, err := r.device.Open(r.ctx, server.OpenOptions{})
		require.NoError(t, err)
		require.NoError(t, h.Close())
	}
}
