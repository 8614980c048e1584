// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// transfer keeps n requests of 64 KiB in flight on h until they fail. It
// returns when one has succeeded.
func transfer(ctx context.Context, h *server.Handle, n int) (flowing <-chan struct{}, stopped *sync.WaitGroup) {
	started := make(chan struct{})
	var once sync.Once
	stopped = new(sync.WaitGroup)
	for range n {
		stopped.Add(1)
		go func() {
			defer stopped.Done()
			p := make([]byte, 64<<10)
			for {
				if _, err := h.ReadAt(ctx, p, 0); err != nil {
					return
				}
				once.Do(func() { close(started) })
			}
		}()
	}
	return started, stopped
}

// pendingWait starts an IOControl that ends only with its channel, and returns
// its result.
func pendingWait(h *server.Handle) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := h.IOControl(context.Background(), loopback.IOCTL_WAIT, forever(), nil)
		ended <- err
	}()
	return ended
}

// TestServerKilled cuts the connection in the middle of transfers and of a
// request that waits: the client ends on its own and keeps nothing.
func TestServerKilled(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback", "-auto-reconnect")
		h := r.open(fakeDevice)
		ended := pendingWait(r.open(fakeDevice))
		flowing, stopped := transfer(r.ctx, h, 8)
		<-flowing
		r.peer.Kill()
		stopped.Wait()
		require.ErrorIs(t, <-ended, channels.ErrClosed)
		_ = c.Wait() // the exit code tells that the connection was lost
		requireClean(t, c)
	})
}

// TestClientTerminated ends the client with SIGTERM in the middle of a
// transfer: every call of the applications on the server returns.
func TestClientTerminated(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		h := r.open(fakeDevice)
		ended := pendingWait(r.open(fakeDevice))
		flowing, stopped := transfer(r.ctx, h, 8)
		<-flowing
		c.Signal(syscall.SIGTERM)
		_ = c.Wait()
		stopped.Wait()
		require.ErrorIs(t, <-ended, channels.ErrClosed)
		<-r.ctx.Done()
	})
}

// TestReconnect lets one client process lose its connection and reconnect: the
// entry point runs again, and the new session knows nothing about the old one.
func TestReconnect(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback", "+auto-reconnect", "/auto-reconnect-max-retries:5")
		for range 2 {
			h := r.open(fakeDevice)
			ended := pendingWait(h)
			_, err := h.ReadAt(r.ctx, make([]byte, 64), 0)
			require.NoError(t, err)
			r.peer.Kill()
			require.Error(t, <-ended)
			r = f.next(c)
		}
		h := r.open(fakeDevice)
		_, err := h.ReadAt(r.ctx, make([]byte, 64), 0)
		require.NoError(t, err)
		r.finish(c)
	})
}

// TestHandlesComeAndGo opens and closes while requests are pending.
func TestHandlesComeAndGo(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		for range 30 {
			h := r.open(fakeDevice)
			ended := pendingWait(h)
			_, err := h.ReadAt(r.ctx, make([]byte, 64), 0)
			require.NoError(t, err)
			require.NoError(t, h.Close())
			require.ErrorIs(t, <-ended, channels.ErrClosed)
		}
		r.finish(c)
	})
}
