// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// heap returns how many bytes are in use that a collection does not free.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// holdsLittle checks that f makes the process hold no more than limit, and a few
// MiB for small things.
func holdsLittle(t *testing.T, limit int64, f func()) {
	t.Helper()
	before := heap()
	f()
	require.Less(t, heap()-before, limit+8<<20)
}

// TestStuckWritesAreBounded has 77 handles one after the other, each with a write of
// 15 MiB that is stuck in a driver: of one device or of as many, closed at once or
// not.
func TestStuckWritesAreBounded(t *testing.T) {
	const handles = 77
	for _, devices := range []int{1, handles} {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprintf("devices %d, closed %v", devices, closed), func(t *testing.T) {
				d, stuck, release := hanging()
				limits := pnp.DefaultLimits()
				s, _ := newTestSession(t, limits, d)
				ids := []uint32{1}
				for len(ids) < devices {
					id, err := s.Add(d)
					require.NoError(t, err)
					ids = append(ids, id)
				}
				limit := limits.SessionBytes
				if devices == 1 {
					limit = limits.DeviceBytes()
				}
				msg := wire.WriteRequest{RequestID: 1, Data: make([]byte, 15<<20)}.Append(nil)
				var open []channels.Receiver
				accepted, sent := 0, uint64(1<<20)
				holdsLittle(t, limit, func() {
					for i := range handles {
						c, conn := openDevice(t, s, ids[i%devices])
						conn.sent = sent // the server reads everything
						sent += 1 << 20
						conn.take()
						require.NoError(t, c.Receive(msg))
						if len(conn.take()) == 0 {
							accepted++
							<-stuck
						}
						if closed {
							c.Closed()
						} else {
							open = append(open, c)
						}
					}
				})
				require.EqualValues(t, limit/(15<<20), accepted)
				close(release)
				for _, c := range open {
					c.Closed()
				}
				require.Eventually(t, func() bool { return s.Counts() == Counts{Channels: 1} }, patience, time.Millisecond)
			})
		}
	}
}

// TestStuckOpensAreBounded ends many channels while their CreateFile is stuck in the
// device, or behind others that are.
func TestStuckOpensAreBounded(t *testing.T) {
	d, release := hangingInOpen()
	s, _ := newTestSession(t, pnp.DefaultLimits(), d)
	holdsLittle(t, 0, func() {
		for range 20_000 {
			c, conn := openChannel(t, s)
			conn.drain()
			c.Closed()
		}
	})
	require.LessOrEqual(t, s.Counts().Handles, deviceSlots)
	close(release)
	require.Eventually(t, func() bool { return s.Counts() == Counts{Channels: 1} }, patience, time.Millisecond)
}

// TestUnsentEventsAreBounded closes each channel with events on it that the server
// has not read.
func TestUnsentEventsAreBounded(t *testing.T) {
	limits := pnp.DefaultLimits()
	d := &testDevice{handle: testHandle{try: answer}}
	s, _ := newTestSession(t, limits, d)
	event := pnp.Event{Data: make([]byte, limits.EventData)}
	sent := 0
	for range 77 {
		c, conn := openChannel(t, s)
		conn.take()
		for range 300 {
			d.sink(event)
			sent += len(conn.take())
		}
		c.Closed()
	}
	require.LessOrEqual(t, int64(sent*len(event.Data)), limits.DeviceBytes())
	require.LessOrEqual(t, s.out.memory, 2*limits.SessionBytes)
}
