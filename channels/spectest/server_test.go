// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/wire"
)

// srvVersion6 is a client of version 6, the version with custom events.
const srvVersion6 = wire.VersionWithCustomEvents

// srvInject injects msg, which the server must accept.
func srvInject(t *testing.T, ch *servertest.Channel, msg []byte) {
	t.Helper()
	if err := ch.Inject(msg); err != nil {
		t.Fatalf("%s: %x: %v", ch.Name, msg, err)
	}
}

// srvSilent checks that the test has read everything that the server sent.
func srvSilent(t *testing.T, ch *servertest.Channel) {
	t.Helper()
	for _, msg := range ch.Unread() {
		t.Errorf("the server sent %x on %s", msg, ch.Name)
	}
}

// srvTerminates checks that the server ends ch because of msg.
func srvTerminates(t *testing.T, ch *servertest.Channel, msg []byte) {
	t.Helper()
	if err := ch.Inject(msg); err == nil {
		t.Fatalf("%s: %x is accepted", ch.Name, msg)
	}
	ch.WaitEnd()
}

func srvIDs(devices []*server.Device) (ids []uint32) {
	for _, d := range devices {
		ids = append(ids, d.ID())
	}
	return ids
}

func srvDevices(t *testing.T, f *servertest.Fixture, want ...uint32) {
	t.Helper()
	got := srvIDs(f.Devices())
	if len(got) != len(want) {
		t.Fatalf("devices %v, not %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("devices %v, not %v", got, want)
		}
	}
}

// srvRead starts a Read of n bytes and returns it and its request.
func srvRead(t *testing.T, ctx context.Context, h *server.Handle, ch *servertest.Channel, n int) (<-chan servertest.Result, wire.ReadRequest) {
	t.Helper()
	r := servertest.Go(func() (int, error) { return h.ReadAt(ctx, make([]byte, n), 0) })
	return r, servertest.NextAs[wire.ReadRequest](ch)
}

// srvServes checks that h still serves I/O.
func srvServes(t *testing.T, h *server.Handle, ch *servertest.Channel) {
	t.Helper()
	r, m := srvRead(t, context.Background(), h, ch, 3)
	srvInject(t, ch, wire.DataReply{RequestID: m.RequestID, Data: []byte("yes")}.Append(nil))
	srvWant(t, servertest.Wait(t, "Read", r), 3, nil)
}

// srvWant checks a result. Its error must wrap err.
func srvWant(t *testing.T, r servertest.Result, n int, err error) {
	t.Helper()
	if r.N != n || !errors.Is(r.Err, err) {
		t.Errorf("result %d, %v; not %d, %v", r.N, r.Err, n, err)
	}
}

// srvEnded checks that r has failed because its channel ended.
func srvEnded(t *testing.T, r <-chan servertest.Result) {
	t.Helper()
	srvWant(t, servertest.Wait(t, "an outstanding request", r), 0, channels.ErrClosed)
}

// srvPending checks that nothing has arrived on c yet.
func srvPending[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case v := <-c:
		t.Errorf("too early: %v", v)
	default:
	}
}

func init() {
	add("S-01", "server_version_is_first", func(t *testing.T) {
		f := servertest.New(t, server.Config{})
		f.LoggedOn()
		// The client does not wait for it.
		f.Client.Attached = func(ch *servertest.Channel) {
			srvInject(t, ch, wire.OurVersion.Append(nil))
			srvSilent(t, ch)
		}
		if err := f.Session.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		ch := f.Client.Accept(channels.PNPDR)
		// Example 4.1 (1).
		if got := ch.Next(); !bytes.Equal(got, unhex(t, "1400000065000000010000000600000001000000")) {
			t.Errorf("the first message is %x", got)
		}
		servertest.NextAs[wire.AuthenticatedClient](ch)
		srvSilent(t, ch)
	})
	add("S-02", "nothing_before_client_version", func(t *testing.T) {
		f := servertest.New(t, server.Config{})
		started := f.BeginStart(context.Background())
		f.LoggedOn()
		srvInject(t, f.Info, servertest.Addition(servertest.Describe(4)))
		srvInject(t, f.Info, servertest.Removal(4))
		srvSilent(t, f.Info)
		srvDevices(t, f)
		srvPending(t, started)

		srvInject(t, f.Info, wire.OurVersion.Append(nil))
		if err := servertest.Wait(t, "Start", started); err != nil {
			t.Fatal(err)
		}
		servertest.NextAs[wire.AuthenticatedClient](f.Info)
		f.AddDevice(4)
	})
	add("S-03", "authenticated_client_follows_logon", func(t *testing.T) {
		f := servertest.New(t, server.Config{})
		f.Start()
		srvSilent(t, f.Info)
		for range 2 {
			if err := f.LoggedOn(); err != nil {
				t.Fatal(err)
			}
			servertest.NextAs[wire.AuthenticatedClient](f.Info)
			srvSilent(t, f.Info)
		}
	})
	add("S-04", "devices_before_logon_are_dropped_and_logged", func(t *testing.T) {
		var log devtest.Output
		f := servertest.New(t, server.Config{Log: log.Logger(slog.LevelInfo)})
		f.Start()
		srvInject(t, f.Info, servertest.Addition(servertest.Describe(4)))
		if log.String() == "" {
			t.Error("not logged")
		}
		srvInject(t, f.Info, servertest.Removal(4))
		srvDevices(t, f)

		f.LoggedOn()
		srvDevices(t, f)
		f.AddDevice(4)
		srvDevices(t, f, 4)
	})
	add("S-05", "each_description_is_a_device", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		srvInject(t, f.Info, servertest.Addition(servertest.Describe(7), servertest.Describe(0xFFFFFFFF)))
		srvInject(t, f.Info, servertest.Addition())
		srvInject(t, f.Info, servertest.Addition(servertest.Describe(0)))
		srvDevices(t, f, 7, 0xFFFFFFFF, 0)
		for i, name := range []string{"Device 7", "Device 4294967295", "Device 0"} {
			d := f.Devices()[i]
			if got := d.Description(); got.Name != name || len(got.HardwareIDs) != 1 {
				t.Errorf("%+v", got)
			}
			o := f.BeginOpen(context.Background(), d, server.OpenOptions{})
			o.ReplyCapabilities(t, srvVersion6)
			if m := o.ReplyCreateFile(t, pnp.S_OK); m.DeviceID != d.ID() {
				t.Errorf("CreateFile of device %d, not %d", m.DeviceID, d.ID())
			}
			servertest.Wait(t, "Open", o.Result)
		}
	})
	add("S-06", "an_optional_device_can_be_left_out", func(t *testing.T) {
		optional := servertest.Describe(5)
		optional.CustomFlag = wire.CustomFlagOptional
		all := servertest.Addition(servertest.Describe(4), optional, servertest.Describe(6))

		f := servertest.Started(t, server.Config{AcceptOptional: func(d *pnp.Description) bool {
			if d.Name != "Device 5" {
				t.Errorf("asked about %q", d.Name)
			}
			return false
		}})
		srvInject(t, f.Info, all)
		srvDevices(t, f, 4, 6)
		srvInject(t, f.Info, servertest.Removal(5))
		srvSilent(t, f.Info)
		srvDevices(t, f, 4, 6)

		for _, accept := range []func(*pnp.Description) bool{nil, func(*pnp.Description) bool { return true }} {
			f := servertest.Started(t, server.Config{AcceptOptional: accept})
			srvInject(t, f.Info, all)
			srvDevices(t, f, 4, 5, 6)
		}
	})
	for name, msg := range map[string][]byte{
		"later":            servertest.Addition(servertest.Describe(4)),
		"in_the_same":      servertest.Addition(servertest.Describe(8), servertest.Describe(8)),
		"optional_as_well": servertest.Addition(srvOptional(4)),
	} {
		add("S-07", "duplicate_id_terminates_only_pnpdr_"+name, func(t *testing.T) {
			f := servertest.Started(t, server.Config{AcceptOptional: func(*pnp.Description) bool { return false }})
			d := f.AddDevice(4)
			h, ch := f.Open(d, srvVersion6, server.OpenOptions{})
			srvTerminates(t, f.Info, msg)
			srvServes(t, h, ch)
			// The devices stay until the session ends, and can still be opened.
			if ids := srvIDs(f.Devices()); len(ids) == 0 || ids[0] != 4 {
				t.Errorf("devices %v", ids)
			}
			srvPending(t, d.Gone())
			h, ch = f.Open(d, srvVersion6, server.OpenOptions{})
			srvServes(t, h, ch)
			f.Close()
			servertest.Wait(t, "the device", d.Gone())
		})
	}
	add("S-08", "removal_drops_all_references", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		other, d := f.AddDevice(3), f.AddDevice(4)
		srvInject(t, f.Info, servertest.Removal(4))
		srvDevices(t, f, 3)
		servertest.Wait(t, "the device", d.Gone())
		opened := servertest.Go(func() (int, error) {
			_, err := d.Open(context.Background(), server.OpenOptions{})
			return 0, err
		})
		srvWant(t, servertest.Wait(t, "Open", opened), 0, pnp.ERROR_DEVICE_NOT_CONNECTED)
		if len(f.Client.Opened()) > 0 {
			t.Error("a channel was opened for a removed device")
		}
		// The id is free, for another device.
		if again := f.AddDevice(4); again == d {
			t.Error("the removed device is back")
		}
		srvPending(t, other.Gone())
	})
	add("S-08", "removal_while_versions_are_exchanged", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		o := f.BeginOpen(context.Background(), f.AddDevice(4), server.OpenOptions{})
		m := servertest.NextAs[wire.CapabilitiesRequest](o.Channel)
		srvInject(t, f.Info, servertest.Removal(4))
		srvInject(t, o.Channel, wire.CapabilitiesReply{RequestID: m.RequestID, Version: 6}.Append(nil))
		if r := servertest.Wait(t, "Open", o.Result); !errors.Is(r.Err, pnp.ERROR_DEVICE_NOT_CONNECTED) {
			t.Error(r.Err)
		}
		srvSilent(t, o.Channel)
		o.Channel.WaitEnd()
	})
	add("S-08", "removal_of_an_unknown_id_changes_nothing", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		srvInject(t, f.Info, servertest.Removal(5))
		srvDevices(t, f, 4)
		srvPending(t, d.Gone())
		f.AddDevice(5)
	})
}

func srvOptional(id uint32) wire.DeviceDescription {
	d := servertest.Describe(id)
	d.CustomFlag = wire.CustomFlagOptional
	return d
}
