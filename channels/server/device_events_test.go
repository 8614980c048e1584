// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"testing"

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

	other := wire.CustomEvent{CustomEventGUID: pnp.GUID{7}, Data: []byte("b")}.Append(nil)
	inject(t, otherCh, event("elsewhere"))
	inject(t, firstCh, event("a"))
	inject(t, secondCh, event("a"))
	inject(t, secondCh, other)
	inject(t, firstCh, other)

	got := servertest.Wait(t, "the first event", events)
	require.Equal(t, "a", string(got.Data))
	require.Same(t, first, got.Handle)
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
