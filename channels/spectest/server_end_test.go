// SPDX-License-Identifier: Apache-2.0

package spectest

import (
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

	for name, end := range map[string]func(f *servertest.Fixture){
		"when_the_client_ends_pnpdr":     func(f *servertest.Fixture) { f.Info.End() },
		"when_a_bad_message_ends_pnpdr":  func(f *servertest.Fixture) { f.Info.Inject([]byte{8, 0, 0, 0}) },
		"when_the_session_is_closed":     func(f *servertest.Fixture) { f.Close() },
		"when_the_session_ends_outright": nil,
	} {
		add("S-25", "all_is_removed_"+name, func(t *testing.T) {
			f := servertest.Started(t, server.Config{})
			d, other := f.AddDevice(4), f.AddDevice(5)
			h, ch := f.Open(d, srvVersion6, server.OpenOptions{})
			app, cancel := f.RegisterEvent(pnp.GUID{1})
			defer cancel()
			read, m := srvRead(t, bg, h, ch, 4)
			opening := f.BeginOpen(bg, other, server.OpenOptions{})
			servertest.NextAs[wire.CapabilitiesRequest](opening.Channel)

			if end != nil {
				end(f)
			} else { // the transport, in any order
				opening.Channel.End()
				f.Info.End()
				ch.End()
			}
			srvDevices(t, f)
			for _, d := range []*server.Device{d, other} {
				servertest.Wait(t, "the device", d.Gone())
				if _, err := d.Open(bg, server.OpenOptions{}); err == nil {
					t.Error("a device without PNPDR was opened")
				}
			}
			if len(f.Client.Opened()) != 0 {
				t.Error("a channel was opened for a device that was removed")
			}
			srvEnded(t, read)
			servertest.Wait(t, "the handle", h.Done())
			ch.WaitEnd()
			if r := servertest.Wait(t, "Open", opening.Result); !errors.Is(r.Err, channels.ErrClosed) {
				t.Error(r.Err)
			}
			srvSilent(t, ch)
			srvSilent(t, opening.Channel)
			_ = ch.Inject(wire.DataReply{RequestID: m.RequestID, Data: []byte("late")}.Append(nil))
			if len(app) != 0 {
				t.Error("an event came from nowhere")
			}
		})
	}
	add("S-25", "the_application_is_told", func(t *testing.T) {
		told := make(chan server.DeviceEvent, 10)
		f := servertest.Started(t, server.Config{OnDevice: func(e server.DeviceEvent) { told <- e }})
		f.AddDevice(4)
		f.AddDevice(5)
		for _, id := range []uint32{4, 5} {
			if e := servertest.Wait(t, "a device", told); e.Removed || e.Device.ID() != id {
				t.Errorf("%d, removed %v", e.Device.ID(), e.Removed)
			}
		}
		f.Info.End()
		for _, id := range []uint32{4, 5} {
			if e := servertest.Wait(t, "a removal", told); !e.Removed || e.Device.ID() != id {
				t.Errorf("%d, removed %v", e.Device.ID(), e.Removed)
			}
		}
	})
}
