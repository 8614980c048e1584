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
			both := func(t *testing.T, device string, use func(*testing.T, *remote)) {
				ours, yardstick := f.start(plugin, device), f.start(baseline, device)
				t.Run("plugin", func(t *testing.T) { use(t, ours) })
				t.Run("baseline", func(t *testing.T) { use(t, yardstick) })
			}
			t.Run("loopback", func(t *testing.T) { both(t, loopbackDevice, useLoopback) })
			t.Run("file", func(t *testing.T) { both(t, "file:"+makeFile(t), useFile) })
		})
	}
}

func useLoopback(t *testing.T, r *remote) {
	want := loopback.DefaultDescription()
	require.Equal(t, &want, r.device.Description())
	h := r.open()
	readAndWrite(t, r, h)
	data := content(64)
	back := make([]byte, 32)
	n, err := h.IOControl(r.ctx, loopback.IOCTL_ECHO, data, back)
	require.NoError(t, err)
	require.Equal(t, data[:32], back[:n])
	_, err = h.WriteAt(r.ctx, make([]byte, 8), loopback.Size)
	require.ErrorIs(t, err, pnp.ERROR_DISK_FULL)
	_, err = h.IOControl(r.ctx, 1, nil, nil)
	require.ErrorIs(t, err, pnp.ERROR_INVALID_FUNCTION)
	openAgain(t, r, h)
}

func useFile(t *testing.T, r *remote) {
	h := r.open()
	readAndWrite(t, r, h)
	openAgain(t, r, h)
}

func content(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return data
}

// readAndWrite: both devices have 1 MiB.
func readAndWrite(t *testing.T, r *remote, h *server.Handle) {
	other := r.open()
	for _, n := range []int{1, 64, 64 * kib, mib} {
		data, back := content(n), make([]byte, n)
		got, err := h.WriteAt(r.ctx, data, 0)
		require.NoError(t, err)
		require.Equal(t, n, got)
		got, err = other.ReadAt(r.ctx, back, 0)
		require.NoError(t, err)
		require.Equal(t, n, got)
		require.True(t, bytes.Equal(data, back), "%d bytes came back changed", n)
	}
	n, err := h.ReadAt(r.ctx, make([]byte, 8), mib-3)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = h.ReadAt(r.ctx, make([]byte, 8), mib)
	require.ErrorIs(t, err, pnp.ERROR_HANDLE_EOF)
}

func openAgain(t *testing.T, r *remote, h *server.Handle) {
	require.NoError(t, h.Close())
	for range 10 {
		h, err := r.device.Open(r.ctx, server.OpenOptions{})
		require.NoError(t, err)
		require.NoError(t, h.Close())
	}
}
