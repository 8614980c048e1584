// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/wire"
)

// TestASan runs a session with the plugin built for AddressSanitizer: a wrong
// memory access by its C side ends the client with a report. Handles come and
// go while requests are pending and transfers run, one channel is terminated
// for a bad message, and the connection is lost at the end.
func TestASan(t *testing.T) {
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	library, err := exec.Command("cc", "-print-file-name=libasan.so").Output()
	libasan := strings.TrimSpace(string(library))
	if err != nil || !filepath.IsAbs(libasan) {
		t.Skip("NOT TESTED with AddressSanitizer: the compiler has no libasan")
	}
	sanitized := os.Getenv("PNPDR_PLUGIN_ASAN")
	if sanitized == "" {
		sanitized = filepath.Join(t.TempDir(), "libpnpdr-client.so")
		build := exec.Command("go", "build", "-asan", "-buildmode=c-shared", "-tags", buildTags, "-o", sanitized, "freerdp-pnpdr/plugin")
		out, err := build.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	eachClient(t, func(t *testing.T, f *fixture) {
		// A file on a disk (unless the temporary directory is memory): slots
		// complete its writes, some of them after their channel has ended.
		image := filepath.Join(t.TempDir(), "image")
		require.NoError(t, os.WriteFile(image, make([]byte, 1<<20), 0o600))
		o := f.clientOptions("loopback,file:"+image, "-auto-reconnect")
		o.Plugin = sanitized
		o.Preload = []string{libasan}
		// FreeRDP's own leaks do not matter here, and Go handles SIGSEGV.
		o.Env = []string{"ASAN_OPTIONS=detect_leaks=0:handle_segv=0"}
		c := servertest.StartClient(t, o)
		r := f.next(c)

		var wg sync.WaitGroup
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 5 {
					h := r.open(fakeDevice)
					ended := pendingWait(h)
					data, back := random(64<<10), make([]byte, 64<<10)
					n, err := h.IOControl(r.ctx, loopback.IOCTL_ECHO, data, back)
					assert.NoError(t, err)
					assert.True(t, bytes.Equal(data, back[:n]))
					assert.NoError(t, h.Close())
					assert.ErrorIs(t, <-ended, channels.ErrClosed)
				}
			}()
		}
		wg.Wait()
		disk := r.device("image")
		for range 40 {
			h, err := disk.Open(r.ctx, server.OpenOptions{})
			require.NoError(t, err)
			sent := make(chan struct{}, 16)
			for i := range 16 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					sent <- struct{}{}
					_, _ = h.WriteAt(r.ctx, make([]byte, 64<<10), uint64(i)<<16)
				}()
			}
			for range 16 {
				<-sent
			}
			require.NoError(t, h.Close())
			wg.Wait()
		}
		bad := r.raw(channels.FileRedirectorChannel)
		require.NoError(t, bad.conn.Send(wire.ReadRequest{}.Append(nil)))
		bad.requireClosed()

		ended := pendingWait(r.open(fakeDevice))
		flowing, stopped := transfer(r.ctx, r.open(fakeDevice), 8)
		<-flowing
		r.peer.Kill()
		stopped.Wait()
		require.Error(t, <-ended)
		_ = c.Wait()
		requireClean(t, c)
	})
}
