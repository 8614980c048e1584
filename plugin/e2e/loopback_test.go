// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
)

func TestReadWriteIOControl(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		d := r.device(fakeDevice)
		want := loopback.DefaultDescription()
		require.Equal(t, &want, d.Description())
		h := r.open(fakeDevice)
		ctx := context.Background()

		for _, n := range []int{1, 64, 1600, 65536, loopback.Size} {
			data, back := random(n), make([]byte, n)
			got, err := h.WriteAt(ctx, data, 0)
			require.NoError(t, err)
			require.Equal(t, n, got)
			got, err = h.ReadAt(ctx, back, 0)
			require.NoError(t, err)
			require.Equal(t, n, got)
			require.True(t, bytes.Equal(data, back), "%d bytes were changed on the way", n)

			got, err = h.IOControl(ctx, loopback.IOCTL_ECHO, data, back[:n/2])
			require.NoError(t, err)
			require.Equal(t, data[:n/2], back[:got])
		}
		n, err := h.ReadAt(ctx, make([]byte, 8), loopback.Size-3)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		_, err = h.ReadAt(ctx, make([]byte, 8), loopback.Size)
		hresult(t, pnp.ERROR_HANDLE_EOF, err)
		_, err = h.WriteAt(ctx, make([]byte, 8), loopback.Size)
		hresult(t, pnp.ERROR_DISK_FULL, err)
		_, err = h.IOControl(ctx, 0x00222400, nil, nil)
		hresult(t, pnp.ERROR_INVALID_FUNCTION, err)

		require.NoError(t, h.Close())
		r.finish(c)
		requireOutput(t, c, "the server opened a device device=Ts Fake Device")
		requireOutput(t, c, "the server closed a device device=Ts Fake Device")
	})
}

// TestIntegrity32 keeps 32 requests of all kinds outstanding on one handle.
func TestIntegrity32(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		h := r.open(fakeDevice)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				const part = loopback.Size / 32
				base := uint64(i * part)
				for round := range 20 {
					n := 1 + rand.IntN(part)
					data, back := random(n), make([]byte, n)
					got, err := h.WriteAt(r.ctx, data, base)
					if !assert.NoError(t, err) || !assert.Equal(t, n, got) {
						return
					}
					got, err = h.ReadAt(r.ctx, back, base)
					if !assert.NoError(t, err) || !assert.Equal(t, n, got) || !assert.True(t, bytes.Equal(data, back), "round %d of %d", round, i) {
						return
					}
					got, err = h.IOControl(r.ctx, loopback.IOCTL_ECHO, data, back)
					if !assert.NoError(t, err) || !assert.True(t, bytes.Equal(data, back[:got])) {
						return
					}
				}
			}()
		}
		wg.Wait()
		r.finish(c)
	})
}

func TestCancelAndEvents(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		h, other := r.open(fakeDevice), r.open(fakeDevice)

		ctx, cancel := context.WithCancel(r.ctx)
		failed := make(chan error)
		go func() {
			_, err := h.IOControl(ctx, loopback.IOCTL_WAIT, forever(), nil)
			failed <- err
		}()
		// A later request is answered in the meantime.
		_, err := h.ReadAt(r.ctx, make([]byte, 1), 0)
		require.NoError(t, err)
		cancel()
		err = <-failed
		hresult(t, pnp.ERROR_OPERATION_ABORTED, err)
		require.ErrorIs(t, err, context.Canceled)

		guid := pnp.MustGUID("{11111111-8080-425F-922A-DABF3DE3F69A}")
		_, err = h.IOControl(r.ctx, loopback.IOCTL_RAISE_EVENT, append(guid[:], "payload"...), nil)
		require.NoError(t, err)
		for _, events := range []<-chan pnp.Event{h.Events(), other.Events()} {
			select {
			case e := <-events:
				require.Equal(t, pnp.Event{GUID: guid, Data: []byte("payload")}, e)
			case <-time.After(servertest.Patience):
				t.Fatal("an event does not arrive")
			}
		}
		r.finish(c)
	})
}

// TestManyHandles opens 300 handles at once and uses every one.
func TestManyHandles(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		c, r := f.connect("loopback")
		d := r.device(fakeDevice)
		_ = d
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				h := r.open(fakeDevice)
				in := binary.LittleEndian.AppendUint32(nil, uint32(i))
				out := make([]byte, 4)
				_, err := h.IOControl(r.ctx, loopback.IOCTL_ECHO, in, out)
				assert.NoError(t, err)
				assert.Equal(t, in, out)
			}()
		}
		wg.Wait()
		r.finish(c)
	})
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func forever() []byte { return binary.LittleEndian.AppendUint32(nil, loopback.Forever) }
