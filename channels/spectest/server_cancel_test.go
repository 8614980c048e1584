// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

func init() {
	bg := context.Background()

	add("S-16", "at_most_one_cancel", func(t *testing.T) {
		h, ch := srvHandle(t)
		ctx, cancel := context.WithCancel(bg)
		r, m := srvRead(t, ctx, h, ch, 1)
		cancel()
		got := servertest.NextAs[wire.IoCancelRequest](ch)
		if want := (wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: m.RequestID}); got != want {
			t.Errorf("%+v, not %+v", got, want)
		}
		srvPending(t, r)
		srvServes(t, h, ch) // there is no second IoCancel before it
		h.Close()
		srvEnded(t, r)
		srvSilent(t, ch)
	})
	add("S-16", "none_for_what_was_not_sent_or_is_answered", func(t *testing.T) {
		h, ch := srvHandle(t)
		ctx, cancel := context.WithCancel(bg)
		r, m := srvRead(t, ctx, h, ch, 1)
		srvInject(t, ch, wire.DataReply{RequestID: m.RequestID}.Append(nil))
		srvWant(t, servertest.Wait(t, "Read", r), 0, nil)
		cancel()
		r = servertest.Go(func() (int, error) { return h.ReadAt(ctx, make([]byte, 1), 0) })
		srvWant(t, servertest.Wait(t, "Read", r), 0, context.Canceled)
		srvServes(t, h, ch)
		srvSilent(t, ch)
	})
	for name, reply := range map[string]struct {
		result pnp.HRESULT
		n      int
	}{
		"aborted":           {pnp.ERROR_OPERATION_ABORTED, 0},
		"aborted_with_data": {pnp.ERROR_OPERATION_ABORTED, 2},
		"otherwise_failed":  {pnp.ERROR_IO_DEVICE, 0},
		"succeeded":         {pnp.S_OK, 3},
	} {
		add("S-17", "cancelled_completes_with_its_reply_"+name, func(t *testing.T) {
			h, ch := srvHandle(t)
			ctx, cancel := context.WithCancel(bg)
			r, m := srvRead(t, ctx, h, ch, 3)
			cancel()
			servertest.NextAs[wire.IoCancelRequest](ch)
			// Its id is not used again before that.
			for range 300 {
				other, o := srvRead(t, bg, h, ch, 3)
				if o.RequestID == m.RequestID {
					t.Fatalf("RequestId %#x was used again", m.RequestID)
				}
				srvInject(t, ch, wire.DataReply{RequestID: o.RequestID}.Append(nil))
				srvWant(t, servertest.Wait(t, "Read", other), 0, nil)
			}
			srvPending(t, r)
			srvInject(t, ch, wire.DataReply{RequestID: m.RequestID, Result: reply.result, Data: make([]byte, reply.n)}.Append(nil))
			got := servertest.Wait(t, "Read", r)
			srvWant(t, got, reply.n, reply.result.Err())
			if errors.Is(got.Err, context.Canceled) != reply.result.Failed() {
				t.Error(got.Err)
			}
		})
	}
	add("S-17", "create_file_is_given_up_with_the_channel", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		for _, replies := range []int{0, 1} {
			ctx, cancel := context.WithCancel(bg)
			o := f.BeginOpen(ctx, d, server.OpenOptions{})
			if replies == 1 {
				o.ReplyCapabilities(t, srvVersion6)
			}
			o.Channel.Next()
			cancel()
			if r := servertest.Wait(t, "Open", o.Result); !errors.Is(r.Err, context.Canceled) {
				t.Error(r)
			}
			o.Channel.WaitEnd()
			srvSilent(t, o.Channel)
		}
	})
	add("S-17", "closing_completes_the_cancelled", func(t *testing.T) {
		h, ch := srvHandle(t)
		ctx, cancel := context.WithCancel(bg)
		r, _ := srvRead(t, ctx, h, ch, 1)
		cancel()
		servertest.NextAs[wire.IoCancelRequest](ch)
		h.Close()
		if got := servertest.Wait(t, "Read", r); !errors.Is(got.Err, context.Canceled) || !errors.Is(got.Err, channels.ErrClosed) {
			t.Error(got.Err)
		}
	})

	guid, other := pnp.MustGUID("{2b4a9c46-658d-4af2-a91d-1e691861706c}"), pnp.MustGUID("{11111111-2222-3333-4444-555555555555}")
	event := wire.CustomEvent{CustomEventGUID: guid, Data: []byte("data")}.Append(nil)
	add("S-18", "owner_and_registered_get_the_event", func(t *testing.T) {
		f, h, ch := servertest.OpenedHandle(t, server.Config{})
		stranger, _ := f.Open(h.Device(), srvVersion6, server.OpenOptions{})
		app1, cancel1 := f.RegisterEvent(guid)
		app2, cancel2 := f.RegisterEvent(guid)
		defer cancel2()
		elsewhere, cancel3 := f.RegisterEvent(other)
		defer cancel3()

		srvInject(t, ch, event)
		if ev := servertest.Wait(t, "the owner", h.Events()); ev.GUID != guid || !bytes.Equal(ev.Data, []byte("data")) {
			t.Errorf("%+v", ev)
		}
		for _, app := range []<-chan server.CustomEvent{app1, app2} {
			if ev := servertest.Wait(t, "a registered application", app); ev.Handle != h || ev.GUID != guid || string(ev.Data) != "data" {
				t.Errorf("%+v", ev)
			}
		}
		srvPending(t, stranger.Events())
		srvPending(t, elsewhere)

		cancel1()
		srvInject(t, ch, event)
		if ev, ok := <-app1; ok {
			t.Errorf("%+v after cancel", ev)
		}
		servertest.Wait(t, "the other application", app2)
	})
	add("S-18", "dropped_when_nobody_reads", func(t *testing.T) {
		f := servertest.Started(t, server.Config{Limits: server.Limits{Events: 2, EventBytes: 10}})
		h, ch := f.Open(f.AddDevice(4), srvVersion6, server.OpenOptions{})
		srvInject(t, ch, wire.CustomEvent{CustomEventGUID: guid, Data: make([]byte, 11)}.Append(nil))
		for range 5 {
			srvInject(t, ch, event)
		}
		if n := len(h.Events()); n != 2 {
			t.Errorf("%d events are kept, not 2", n)
		}
		if ev := <-h.Events(); string(ev.Data) != "data" {
			t.Errorf("%d bytes of data are kept", len(ev.Data))
		}
		srvServes(t, h, ch)
	})
	for _, v := range []struct {
		name           string
		server, client uint16
		want           bool
	}{
		{"both_6", 6, 6, true}, {"client_7", 6, 7, true}, {"client_65535", 6, 0xFFFF, true},
		{"client_4", 6, 4, false}, {"client_5", 6, 5, false}, {"client_0", 6, 0, false},
		{"server_4", 4, 6, false}, {"server_5", 5, 6, false}, {"both_4", 4, 4, false},
	} {
		add("S-19", "events_need_both_versions_"+v.name, func(t *testing.T) {
			f := servertest.Started(t, server.Config{})
			h, ch := f.Open(f.AddDevice(4), v.client, server.OpenOptions{Version: v.server})
			app, cancel := f.RegisterEvent(guid)
			defer cancel()
			srvInject(t, ch, event)
			if got := len(h.Events()); (got == 1) != v.want {
				t.Errorf("%d events", got)
			}
			if got := len(app); (got == 1) != v.want {
				t.Errorf("%d events for the registered application", got)
			}
			srvServes(t, h, ch)
		})
	}

	for name, version := range map[string]wire.Version{
		"1_6": {MajorVersion: 1, MinorVersion: 6, Capabilities: 1}, "1_5": {MajorVersion: 1, MinorVersion: 5, Capabilities: 1},
		"0": {}, "far_future": {MajorVersion: 99, MinorVersion: 1 << 31, Capabilities: 0xFFFFFFFF},
		"static": {MajorVersion: 1, MinorVersion: 6},
	} {
		add("S-23", "any_client_version_"+name, func(t *testing.T) {
			f := servertest.New(t, server.Config{})
			started := f.BeginStart(bg)
			f.LoggedOn()
			srvSilent(t, f.Info)
			srvInject(t, f.Info, version.Append(nil))
			if err := servertest.Wait(t, "Start", started); err != nil {
				t.Fatal(err)
			}
			servertest.NextAs[wire.AuthenticatedClient](f.Info)
			f.AddDevice(1)
			f.AddDevice(2)
			srvSilent(t, f.Info)
		})
	}
	add("S-23", "no_request_has_the_id_of_cancel", func(t *testing.T) {
		// The ids of a handle start near the end of their range.
		h, ch := srvHandle(t)
		least := wire.CancelID
		for range 1000 {
			r, m := srvRead(t, bg, h, ch, 1)
			if m.RequestID == wire.CancelID {
				t.Fatal("RequestId 0xFFFFFF was given to a request")
			}
			least = min(least, m.RequestID)
			srvInject(t, ch, wire.DataReply{RequestID: m.RequestID}.Append(nil))
			servertest.Wait(t, "Read", r)
		}
		if least != 1 {
			t.Errorf("the ids did not wrap round: the lowest is %#x", least)
		}
	})
	add("W-46", "the_server_gives_no_id_that_reads_as_another", func(t *testing.T) {
		// The low bytes of its IoCancel end in UnusedBits, 0: no request has
		// such an id.
		h, ch := srvHandle(t)
		for range 1000 {
			r, m := srvRead(t, bg, h, ch, 1)
			if m.RequestID&0xff == 0 {
				t.Fatalf("RequestId %#x was given to a request", m.RequestID)
			}
			srvInject(t, ch, wire.DataReply{RequestID: m.RequestID}.Append(nil))
			servertest.Wait(t, "Read", r)
		}
	})
}
