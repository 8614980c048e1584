// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

func opens(handle, device uint32) pnp.SessionHandle {
	return pnp.SessionHandle{ID: handle, Device: device, Access: 0xC0000000}
}

// TestState: what is redirected and open, with numbers that are not used again.
func TestState(t *testing.T) {
	var requests []pnp.OpenRequest
	d := &testDevice{handle: testHandle{try: answer}}
	d.open = func(r pnp.OpenRequest) (pnp.Handle, error) {
		requests = append(requests, r)
		return d.handle.open(r), nil
	}
	s, _ := newTestSession(t, pnp.SessionLimits{}, d)
	before := time.Now()
	id, err := s.Add(&testDevice{handle: testHandle{try: answer}})
	require.NoError(t, err)
	state := s.State()
	require.Len(t, state.Devices, 2)
	require.Empty(t, state.Handles)
	require.Equal(t, pnp.SessionDevice{ID: id, Description: &pnp.Description{Name: "test"}, Since: state.Devices[1].Since}, state.Devices[1])
	require.False(t, state.Devices[1].Since.Before(before))
	require.Zero(t, state.Active)

	one, _ := openChannel(t, s)
	two, _ := openDevice(t, s, id)
	three, _ := openChannel(t, s)
	require.NoError(t, one.Receive(read(1, 100)))
	require.NoError(t, three.Receive(wire.WriteRequest{RequestID: 1, Data: make([]byte, 30)}.Append(nil)))
	state = s.State()
	require.Equal(t, []pnp.SessionHandle{opens(1, 1), opens(2, id), opens(3, 1)}, state.Handles)
	require.EqualValues(t, 3, state.Opens)
	require.EqualValues(t, 100, state.Read)
	require.False(t, state.Active.Before(before))
	require.EqualValues(t, 3, requests[1].Handle)

	one.Closed()
	s.Remove(id)
	state = s.State()
	require.Len(t, state.Devices, 1)
	require.Equal(t, []pnp.SessionHandle{opens(3, 1)}, state.Handles)
	two.Closed()
	three.Closed()
	four, _ := openChannel(t, s)
	require.EqualValues(t, 4, s.State().Handles[0].ID)
	four.Closed()
}

// TestEndHandle: what is pending on a handle that is ended fails as when its device is
// removed, and so does the next request. With that its channel ends, and others do not.
func TestEndHandle(t *testing.T) {
	limits := pnp.DefaultLimits()
	limits.Handles = 2
	d := &testDevice{}
	var mu sync.Mutex
	closed := 0
	release := make(chan struct{})
	d.handle = testHandle{do: func(*pnp.Request) { <-release }, try: func(r *pnp.Request) bool {
		return len(r.Out) == 1 && answer(r)
	}, close: func() { mu.Lock(); closed++; mu.Unlock() }}
	s, log := newTestSession(t, limits, d)
	one, conn := openChannel(t, s)
	two, other := openChannel(t, s)
	conn.take()
	other.take()
	require.NoError(t, one.Receive(read(7, 100)))
	require.False(t, s.EndHandle(3))
	require.True(t, s.EndHandle(1))
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, conn.last(t).Result)
	require.Equal(t, 1, closed)
	require.Contains(t, log.String(), "a handle is ended")
	require.False(t, s.EndHandle(1), "it has ended")
	require.Len(t, s.State().Handles, 1)

	require.NoError(t, two.Receive(read(1, 1)))
	require.Equal(t, pnp.S_OK, other.last(t).Result)
	require.ErrorIs(t, one.Receive(read(8, 1)), errHandleEnded)
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, conn.last(t).Result)
	one.Closed()

	// A channel that is idle stays, but counts no more among the device's handles.
	require.True(t, s.EndHandle(2))
	close(release)
	require.Eventually(t, func() bool { return s.Counts().Handles == 0 }, patience, time.Millisecond)
	three, _ := openChannel(t, s)
	four, _ := openChannel(t, s)
	require.Len(t, s.State().Handles, 2)
	for _, c := range []interface{ Closed() }{two, three, four} {
		c.Closed()
	}
}

// TestEndHandleRace ends handles while requests come, their channels close and their
// device is removed.
func TestEndHandleRace(t *testing.T) {
	s, _ := newTestSession(t, pnp.SessionLimits{}, &testDevice{handle: testHandle{do: func(*pnp.Request) {}}})
	for range 200 {
		id, err := s.Add(&testDevice{handle: testHandle{do: func(*pnp.Request) {}}})
		require.NoError(t, err)
		c, _ := openDevice(t, s, id)
		var all sync.WaitGroup
		for _, f := range []func(){
			func() {
				for _, h := range s.State().Handles {
					s.EndHandle(h.ID)
				}
			},
			func() {
				for i := range wire.RequestID(5) {
					if c.Receive(read(i, 10)) != nil {
						break
					}
				}
				c.Closed()
			},
			func() { s.Remove(id) },
		} {
			all.Add(1)
			go func() { defer all.Done(); f() }()
		}
		all.Wait()
	}
	require.Empty(t, s.State().Handles)
}
