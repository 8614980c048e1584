// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
)

// event waits for the next device that arrives or goes.
func (r *remote) event() server.DeviceEvent {
	r.t.Helper()
	select {
	case e := <-r.come:
		return e
	case <-time.After(servertest.Patience):
		r.t.Fatal("no device arrives or goes")
		panic("unreachable")
	}
}

// TestUnplugWhilePending unplugs a terminal while a read waits on it: the
// request is answered, the server is told, and the other device is not
// affected.
func TestUnplugWhilePending(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		master, slave := devtest.OpenPTY(t)
		c, r := f.connect("loopback,char:" + slave + ",name:terminal")
		h := r.open("terminal")

		_, err := master.Write([]byte("to the server"))
		require.NoError(t, err)
		p := make([]byte, 100)
		n, err := h.ReadAt(r.ctx, p, 0)
		require.NoError(t, err)
		require.Equal(t, "to the server", string(p[:n]))
		n, err = h.WriteAt(r.ctx, []byte("to the device"), 0)
		require.NoError(t, err)
		require.Equal(t, 13, n)
		n, err = master.Read(p)
		require.NoError(t, err)
		require.Equal(t, "to the device", string(p[:n]))

		// A cancelled read is answered as soon as promised, and the next read
		// works.
		ctx, cancel := context.WithCancel(r.ctx)
		ended := make(chan error, 1)
		go func() {
			_, err := h.ReadAt(ctx, make([]byte, 1), 0)
			ended <- err
		}()
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)

		started := make(chan struct{})
		go func() {
			close(started)
			_, err := h.ReadAt(r.ctx, make([]byte, 1), 0)
			ended <- err
		}()
		<-started
		gone := h.Device().Gone()
		require.NoError(t, master.Close())
		hresult(t, pnp.ERROR_DEVICE_NOT_CONNECTED, <-ended)
		select {
		case <-gone:
		case <-time.After(servertest.Patience):
			t.Fatal("the server is not told of the removal")
		}
		_, err = h.ReadAt(r.ctx, make([]byte, 1), 0)
		hresult(t, pnp.ERROR_DEVICE_NOT_CONNECTED, err)
		_, err = r.open(fakeDevice).ReadAt(r.ctx, make([]byte, 1), 0)
		require.NoError(t, err)
		r.finish(c)
	})
}

// TestHotPlug: a path that did not exist at the start appears, goes and appears
// again, each time as a new device.
func TestHotPlug(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		path := filepath.Join(t.TempDir(), "not", "yet", "image")
		c, r := f.connect("loopback,file:" + path)
		require.Equal(t, fakeDevice, r.event().Device.Description().Name)

		seen := map[uint32]bool{}
		for range 3 {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, []byte("plugged"), 0o600))
			e := r.event()
			require.False(t, e.Removed)
			require.False(t, seen[e.Device.ID()], "an id was used twice")
			seen[e.Device.ID()] = true
			h, err := e.Device.Open(r.ctx, server.OpenOptions{})
			require.NoError(t, err)
			p := make([]byte, 7)
			for n := 0; n < len(p); { // the file may be found before its contents are written
				k, err := h.ReadAt(r.ctx, p[n:], uint64(n))
				if err != nil {
					hresult(t, pnp.ERROR_HANDLE_EOF, err)
				}
				n += k
			}
			require.Equal(t, "plugged", string(p))

			require.NoError(t, os.RemoveAll(filepath.Dir(filepath.Dir(path))))
			e = r.event()
			require.True(t, e.Removed)
			_, err = h.ReadAt(r.ctx, p, 0)
			hresult(t, pnp.ERROR_DEVICE_NOT_CONNECTED, err)
		}
		r.finish(c)
	})
}
