// SPDX-License-Identifier: Apache-2.0

package present_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
	"freerdp-pnpdr/pnp/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

func loop(t *testing.T, kind *present.Kind) (*presenttest.Pair, *present.Device) {
	d := loopback.New(loopback.DefaultDescription())
	p := presenttest.NewPair(t, server.Config{}, d)
	return p, p.Device(d.Description().Name, kind)
}

func TestTable(t *testing.T) {
	every := &present.Kind{Name: "every", Serves: func(*pnp.Description) bool { return true }}
	none := &present.Kind{Name: "none", Serves: func(*pnp.Description) bool { return false }}
	table := present.Table{none, every, {Name: "later", Serves: every.Serves}}
	require.Same(t, every, table.Serving(&pnp.Description{}))
	require.Nil(t, table[:1].Serving(&pnp.Description{}))
	require.Same(t, none, table.Named("none"))
	require.Nil(t, table.Named("None"))
}

func TestStats(t *testing.T) {
	p, d := loop(t, &present.Kind{})
	require.Equal(t, present.Stats{}, d.Stats())
	h, err := d.Open(bg, server.OpenOptions{})
	require.NoError(t, err)
	_, err = h.WriteAt(bg, []byte("12345"), 0)
	require.NoError(t, err)
	for range 3 {
		_, err = h.ReadAt(bg, make([]byte, 5), 0)
		require.NoError(t, err)
	}
	_, err = h.ReadAt(bg, make([]byte, 5), loopback.Size)
	require.ErrorIs(t, err, pnp.ERROR_HANDLE_EOF)
	_, err = h.IOControl(bg, loopback.IOCTL_ECHO, make([]byte, 8), make([]byte, 3))
	require.NoError(t, err)

	s := d.Stats()
	require.Equal(t, int64(1), s.Open)
	require.Equal(t, uint64(1), s.Opened)
	require.Equal(t, []uint64{3, 1, 15}, []uint64{s.Read.Requests, s.Read.Errors, s.Read.Bytes})
	require.Equal(t, []uint64{1, 0, 5}, []uint64{s.Write.Requests, s.Write.Errors, s.Write.Bytes})
	require.Equal(t, []uint64{1, 0, 11}, []uint64{s.Control.Requests, s.Control.Errors, s.Control.Bytes})
	require.NotZero(t, s.Read.Median)
	require.LessOrEqual(t, s.Read.Median, s.Read.P99)
	require.LessOrEqual(t, s.Read.P99, s.Read.Max)

	require.NoError(t, h.Close())
	require.NoError(t, h.Close())
	require.Zero(t, d.Stats().Open)
	p.Close()
	<-d.Gone()
	_, err = d.Open(bg, server.OpenOptions{})
	require.ErrorIs(t, err, pnp.ERROR_DEVICE_NOT_CONNECTED)
	require.Equal(t, uint64(1), d.Stats().Failed)
}

// raise raises an event, on a handle of its own.
func raise(t *testing.T, d *present.Device, data string) {
	t.Helper()
	h, err := d.Open(bg, server.OpenOptions{})
	require.NoError(t, err)
	defer h.Close()
	_, err = h.IOControl(bg, loopback.IOCTL_RAISE_EVENT, append(make([]byte, 16), data...), nil)
	require.NoError(t, err)
}

// TestEvents: whoever listens keeps the device open, once for all.
func TestEvents(t *testing.T) {
	_, d := loop(t, &present.Kind{})
	first, cancel := d.Events()
	second, cancelSecond := d.Events()
	require.Eventually(t, func() bool { return d.Stats().Open == 1 }, presenttest.Patience, 1e6)
	raise(t, d, "a")
	require.Equal(t, "a", string(servertest.Wait(t, "first", first).Data))
	require.Equal(t, "a", string(servertest.Wait(t, "second", second).Data))
	cancel()
	cancel()
	_, open := <-first
	require.False(t, open)
	require.Equal(t, int64(1), d.Stats().Open)
	raise(t, d, "b")
	require.Equal(t, "b", string(servertest.Wait(t, "second", second).Data))
	cancelSecond()
	require.Zero(t, d.Stats().Open)

	third, cancel := d.Events()
	defer cancel()
	raise(t, d, "c")
	require.Equal(t, "c", string(servertest.Wait(t, "third", third).Data))
}

// TestEventsKeepTheDeviceOpen: a handle that the client ends, or does not let be opened, is
// replaced, as long as the device is there.
func TestEventsKeepTheDeviceOpen(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	remote := f.AddDevice(1)
	d := present.NewDevice(remote, &present.Kind{}, "device", t.TempDir(), presenttest.Log(t), present.Options{})
	events, cancel := d.Events()
	defer cancel()
	opens := func(result pnp.HRESULT) *servertest.Channel {
		o := servertest.Opening{Channel: f.Client.Accept(channels.FileRedirectorChannel)}
		o.ReplyCapabilities(t, wire.VersionWithCustomEvents)
		o.ReplyCreateFile(t, result)
		return o.Channel
	}
	opens(pnp.S_OK).End()
	opens(pnp.ERROR_BUSY)
	ch := opens(pnp.S_OK)
	require.NoError(t, ch.Inject(wire.CustomEvent{Data: []byte("event")}.Append(nil)))
	require.Equal(t, "event", string(servertest.Wait(t, "event", events).Data))
	require.NoError(t, f.Info.Inject(servertest.Removal(1)))
	_, open := <-events
	require.False(t, open)
}

// TestEventsOfAnExclusiveDevice: listening does not open it.
func TestEventsOfAnExclusiveDevice(t *testing.T) {
	p, d := loop(t, &present.Kind{Exclusive: true})
	events, cancel := d.Events()
	defer cancel()
	raise(t, d, "a")
	require.Equal(t, "a", string(servertest.Wait(t, "event", events).Data))
	require.Equal(t, uint64(1), d.Stats().Opened)
	p.Close()
	_, open := <-events
	require.False(t, open)
}
