// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// TestEventsOfADevice: each event comes once, whatever its GUID, and those of another
// device do not. The channel ends with the device.
func TestEventsOfADevice(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	first, firstCh := f.Open(d, 6, server.OpenOptions{})
	_, secondCh := f.Open(d, 6, server.OpenOptions{})
	_, otherCh := f.Open(f.AddDevice(5), 6, server.OpenOptions{})
	events, cancel := d.Events()
	defer cancel()
	cancelled, cancelOther := d.Events()
	cancelOther()
	_, open := <-cancelled
	require.False(t, open)

	began := time.Now()
	other := wire.CustomEvent{CustomEventGUID: pnp.GUID{7}, Data: []byte("b")}.Append(nil)
	inject(t, otherCh, event("elsewhere"))
	inject(t, firstCh, event("a"))
	inject(t, secondCh, event("a"))
	inject(t, secondCh, other)
	inject(t, firstCh, other)

	came := time.Now()
	got := servertest.Wait(t, "the first event", events)
	require.Equal(t, "a", string(got.Data))
	require.Same(t, first, got.Handle)
	require.True(t, got.Time.After(began) && !got.Time.After(came))
	got = servertest.Wait(t, "the second event", events)
	require.Equal(t, pnp.GUID{7}, got.GUID)
	require.Empty(t, events)

	inject(t, f.Info, servertest.Removal(4))
	_, open = <-events
	require.False(t, open, "the device has gone")
	late, _ := d.Events()
	_, open = <-late
	require.False(t, open)

	left, _ := f.Devices()[0].Events()
	f.Close()
	_, open = <-left
	require.False(t, open, "the session was closed")
}

// TestEventsThatNobodyMisses: events that the application has read are not reported as
// dropped because it reads them from the device and not from the handle.
func TestEventsThatNobodyMisses(t *testing.T) {
	var log bytes.Buffer
	f := servertest.Started(t, server.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	d := f.AddDevice(4)
	h, ch := f.Open(d, 6, server.OpenOptions{})
	events, cancel := d.Events()
	defer cancel()
	for i := range 100 {
		inject(t, ch, event(fmt.Sprint(i)))
		require.Equal(t, fmt.Sprint(i), string(servertest.Wait(t, "an event", events).Data))
	}
	require.NotContains(t, log.String(), "dropped")
	require.Equal(t, "0", string(servertest.Wait(t, "the first one", h.Events()).Data))
	inject(t, ch, event("a"))
	inject(t, ch, event("b"))
	require.Contains(t, log.String(), "dropped")
}
