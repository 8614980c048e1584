// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// countedOpens is a device that counts its opens. during runs in each open, with
// NoBlock and without.
type countedOpens struct {
	testDevice
	opens  atomic.Int32
	during func(pnp.OpenRequest)
}

func newCountedOpens(during func(pnp.OpenRequest)) *countedOpens {
	d := &countedOpens{during: during}
	d.open = func(r pnp.OpenRequest) (pnp.Handle, error) {
		if !r.NoBlock {
			d.opens.Add(1)
		}
		d.during(r)
		if r.NoBlock {
			return nil, pnp.ErrWouldBlock
		}
		return d.handle.open(r), nil
	}
	return d
}

// TestNothingIsOpenedForAnEndedChannel: opening alone can reset a device, so a
// CreateFile whose channel has ended does not reach it, however far it has come.
func TestNothingIsOpenedForAnEndedChannel(t *testing.T) {
	ends := map[string]func(*Session, channels.Receiver){
		"channel": func(_ *Session, c channels.Receiver) { c.Closed() },
		"device":  func(s *Session, _ channels.Receiver) { s.Remove(1) },
	}
	for name, end := range ends {
		t.Run(name+" ends before the slot", func(t *testing.T) {
			var s *Session
			var c channels.Receiver
			d := newCountedOpens(func(pnp.OpenRequest) { end(s, c) })
			s, _ = newTestSession(t, pnp.SessionLimits{}, d)
			var err error
			c, err = s.Accept(channels.FileRedirectorChannel, &wireConn{})
			require.NoError(t, err)
			require.NoError(t, c.Receive(wire.CapabilitiesRequest{Version: 6}.Append(nil)))
			require.NoError(t, c.Receive(create(1)))
			c.Closed()
			require.Eventually(t, func() bool { return s.Counts().Handles == 0 }, patience, time.Millisecond)
			require.Zero(t, d.opens.Load())
		})
		t.Run(name+" ends in the slot", func(t *testing.T) {
			release := make(chan struct{})
			d := newCountedOpens(func(r pnp.OpenRequest) {
				if !r.NoBlock {
					<-release
				}
			})
			s, _ := newTestSession(t, pnp.SessionLimits{}, d)
			r, _ := openChannel(t, s)
			c := r.(*ioChannel)
			require.Eventually(t, func() bool { return d.opens.Load() == 1 }, patience, time.Millisecond)
			c.mu.Lock()
			dev, request := c.dev, pnp.OpenRequest{Cancelled: c.unwanted}
			c.mu.Unlock()
			require.NoError(t, request.CheckCancelled())
			end(s, c)
			require.ErrorIs(t, request.CheckCancelled(), pnp.ERROR_OPERATION_ABORTED, "the device can stop")
			// The same call, had it been a little slower.
			c.openInSlot(dev, request)
			require.EqualValues(t, 1, d.opens.Load())
			close(release)
			c.Closed()
		})
	}
	t.Run("session ends while it waits for a slot", func(t *testing.T) {
		release := make(chan struct{})
		d := newCountedOpens(func(r pnp.OpenRequest) {
			if !r.NoBlock {
				<-release
			}
		})
		s, _ := newTestSession(t, pnp.SessionLimits{}, d)
		var all []channels.Receiver
		for range 2 * deviceSlots {
			c, _ := openChannel(t, s)
			all = append(all, c)
		}
		require.Eventually(t, func() bool { return d.opens.Load() == deviceSlots }, patience, time.Millisecond)
		for _, c := range all {
			c.Closed()
		}
		close(release)
		require.Eventually(t, func() bool { return s.Counts().Handles == 0 }, patience, time.Millisecond)
		require.EqualValues(t, deviceSlots, d.opens.Load())
	})
}

// TestOpenTogether opens handles on many threads at once. Each channel gets its device's
// limits while the proof that others have sent is read; the race detector looks on.
func TestOpenTogether(t *testing.T) {
	s, _ := newTestSession(t, pnp.SessionLimits{}, &testDevice{handle: testHandle{try: answer}})
	conn := &wireConn{} // the counter is that of all channels
	var opening sync.WaitGroup
	for range 4 {
		opening.Add(1)
		go func() {
			defer opening.Done()
			for range 100 {
				c, err := s.Accept(channels.FileRedirectorChannel, conn)
				if !assert.NoError(t, err) {
					return
				}
				assert.NoError(t, c.Receive(wire.CapabilitiesRequest{Version: 6}.Append(nil)))
				conn.drain()
				assert.NoError(t, c.Receive(create(1)))
				c.Closed()
			}
		}()
	}
	opening.Wait()
}
