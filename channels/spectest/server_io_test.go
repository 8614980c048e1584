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

func srvHandle(t *testing.T) (*server.Handle, *servertest.Channel) {
	t.Helper()
	_, h, ch := servertest.OpenedHandle(t, server.Config{})
	return h, ch
}

func init() {
	bg := context.Background()

	add("S-09", "capabilities_request_is_first", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		for version, want := range map[uint16]uint16{0: 6, 4: 4} {
			o := f.BeginOpen(bg, d, server.OpenOptions{Version: version})
			m := servertest.NextAs[wire.CapabilitiesRequest](o.Channel)
			if m.Version != want {
				t.Errorf("version %d, not %d", m.Version, want)
			}
			srvSilent(t, o.Channel)
		}
	})
	add("S-10", "nothing_before_capabilities_reply", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		o := f.BeginOpen(bg, f.AddDevice(4), server.OpenOptions{})
		m := servertest.NextAs[wire.CapabilitiesRequest](o.Channel)
		event := wire.CustomEvent{Data: []byte("early")}.Append(nil)
		srvInject(t, o.Channel, event)
		for _, other := range []wire.RequestID{0, m.RequestID + 1, m.RequestID - 1} {
			srvInject(t, o.Channel, wire.CreateFileReply{RequestID: other}.Append(nil))
			srvInject(t, o.Channel, wire.DataReply{RequestID: other}.Append(nil))
		}
		srvSilent(t, o.Channel)
		srvPending(t, o.Result)

		srvInject(t, o.Channel, wire.CapabilitiesReply{RequestID: m.RequestID, Version: 6}.Append(nil))
		o.ReplyCreateFile(t, pnp.S_OK)
		h := servertest.Wait(t, "Open", o.Result).Handle
		srvPending(t, h.Events())
		srvServes(t, h, o.Channel)
	})
	add("S-11", "reply_to_nothing_is_ignored", func(t *testing.T) {
		h, ch := srvHandle(t)
		r, m := srvRead(t, bg, h, ch, 4)
		for id := range wire.RequestID(3) {
			srvInject(t, ch, wire.DataReply{RequestID: m.RequestID + 1 + id, Data: []byte("none")}.Append(nil))
		}
		// Whatever it says: it is not a known kind of reply.
		srvInject(t, ch, []byte{byte(m.RequestID + 9), byte((m.RequestID + 9) >> 8), byte((m.RequestID + 9) >> 16), 0})
		srvPending(t, r)
		srvInject(t, ch, wire.DataReply{RequestID: m.RequestID, Data: []byte("mine")}.Append(nil))
		srvWant(t, servertest.Wait(t, "Read", r), 4, nil)
		// The second time it answers nothing.
		srvInject(t, ch, wire.DataReply{RequestID: m.RequestID, Data: []byte("mine, and too long")}.Append(nil))
		srvServes(t, h, ch)
	})
	add("S-12", "create_file_names_the_device_once_per_channel", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(0x01020304)
		opt := server.OpenOptions{Access: 1, Share: 2, Disposition: 4, Flags: 0x80}
		seen := make(map[*servertest.Channel]bool)
		for range 3 {
			o := f.BeginOpen(bg, d, opt)
			caps := o.ReplyCapabilities(t, srvVersion6)
			m := o.ReplyCreateFile(t, pnp.S_OK)
			h := servertest.Wait(t, "Open", o.Result).Handle
			if m.RequestID == wire.CancelID || m.RequestID == caps.RequestID {
				t.Errorf("RequestId %#x", m.RequestID)
			}
			m.RequestID = 0
			if want := (wire.CreateFileRequest{DeviceID: 0x01020304, DwDesiredAccess: 1, DwShareMode: 2, DwCreationDisposition: 4, DwFlagsAndAttributes: 0x80}); m != want {
				t.Errorf("%+v, not %+v", m, want)
			}
			srvServes(t, h, o.Channel)
			srvSilent(t, o.Channel)
			seen[o.Channel] = true
		}
		if len(seen) != 3 {
			t.Errorf("%d channels for 3 handles", len(seen))
		}
	})
	add("S-12", "default_is_what_windows_sends", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		o := f.BeginOpen(bg, f.AddDevice(4), server.OpenOptions{})
		o.ReplyCapabilities(t, srvVersion6)
		// Example 4.4 (1), but for the RequestId.
		if got := o.Channel.Next(); !bytes.Equal(got[4:], unhex(t, "04000000 04000000 000000c0 03000000 03000000 80000040")) {
			t.Errorf("%x", got)
		}
	})
	add("S-13", "no_io_unless_create_file_succeeded", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		o := f.BeginOpen(bg, d, server.OpenOptions{})
		o.ReplyCapabilities(t, srvVersion6)
		m := servertest.NextAs[wire.CreateFileRequest](o.Channel)
		srvPending(t, o.Result)
		srvInject(t, o.Channel, wire.CreateFileReply{RequestID: m.RequestID, Result: pnp.ERROR_SHARING_VIOLATION}.Append(nil))
		r := servertest.Wait(t, "Open", o.Result)
		if r.Handle != nil || !errors.Is(r.Err, pnp.ERROR_SHARING_VIOLATION) {
			t.Error(r)
		}
		o.Channel.WaitEnd()
		srvSilent(t, o.Channel)
	})
	add("S-13", "ids_are_unique_among_the_outstanding", func(t *testing.T) {
		h, ch := srvHandle(t)
		pending := make(map[wire.RequestID]<-chan servertest.Result)
		for i := range 600 {
			r, m := srvRead(t, bg, h, ch, 1)
			if pending[m.RequestID] != nil {
				t.Fatalf("RequestId %#x is outstanding twice", m.RequestID)
			}
			if i%3 == 0 { // some stay
				pending[m.RequestID] = r
				continue
			}
			srvInject(t, ch, wire.DataReply{RequestID: m.RequestID}.Append(nil))
			servertest.Wait(t, "Read", r)
		}
		for id, r := range pending {
			srvInject(t, ch, wire.DataReply{RequestID: id, Data: []byte{1}}.Append(nil))
			srvWant(t, servertest.Wait(t, "Read", r), 1, nil)
		}
	})
	add("S-14", "read_reaches_its_caller", func(t *testing.T) {
		h, ch := srvHandle(t)
		for _, result := range []pnp.HRESULT{0, 1, pnp.ERROR_MORE_DATA, pnp.ERROR_HANDLE_EOF, 0xA0001234} {
			p := []byte("......")
			r := servertest.Go(func() (int, error) { return h.ReadAt(bg, p, 0x70000001_FFFFFFFF) })
			m := servertest.NextAs[wire.ReadRequest](ch)
			if m.CbBytesToRead != 6 || m.Offset != 0x70000001_FFFFFFFF {
				t.Errorf("%+v", m)
			}
			srvInject(t, ch, wire.DataReply{RequestID: m.RequestID, Result: result, Data: []byte("data")}.Append(nil))
			srvWant(t, servertest.Wait(t, "Read", r), 4, result.Err())
			if string(p) != "data.." {
				t.Errorf("read %q", p)
			}
		}
	})
	add("S-14", "write_reaches_its_caller", func(t *testing.T) {
		h, ch := srvHandle(t)
		for _, result := range []pnp.HRESULT{0, 1, pnp.ERROR_DISK_FULL} {
			r := servertest.Go(func() (int, error) { return h.WriteAt(bg, []byte("data"), 1<<40) })
			m := servertest.NextAs[wire.WriteRequest](ch)
			if string(m.Data) != "data" || m.Offset != 1<<40 {
				t.Errorf("%+v", m)
			}
			srvInject(t, ch, wire.WriteReply{RequestID: m.RequestID, Result: result, CbBytesWritten: 3}.Append(nil))
			srvWant(t, servertest.Wait(t, "Write", r), 3, result.Err())
		}
	})
	add("S-14", "iocontrol_reaches_its_caller", func(t *testing.T) {
		h, ch := srvHandle(t)
		for _, result := range []pnp.HRESULT{0, 1, pnp.ERROR_MORE_DATA} {
			out := []byte("......")
			r := servertest.Go(func() (int, error) { return h.IOControl(bg, 0x222440, []byte("in"), out) })
			m := servertest.NextAs[wire.IOControlRequest](ch)
			if m.IoCode != 0x222440 || string(m.DataIn) != "in" || m.CbOut != 6 || len(m.DataOut) > 0 {
				t.Errorf("%+v", m)
			}
			srvInject(t, ch, wire.DataReply{RequestID: m.RequestID, Result: result, Data: []byte("reply")}.Append(nil))
			srvWant(t, servertest.Wait(t, "IOControl", r), 5, result.Err())
			if string(out) != "reply." {
				t.Errorf("output %q", out)
			}
		}
	})
	add("S-14", "replies_in_any_order", func(t *testing.T) {
		h, ch := srvHandle(t)
		read, r := srvRead(t, bg, h, ch, 4)
		write := servertest.Go(func() (int, error) { return h.WriteAt(bg, []byte("ab"), 0) })
		w := servertest.NextAs[wire.WriteRequest](ch)
		control := servertest.Go(func() (int, error) { return h.IOControl(bg, 1, nil, make([]byte, 1)) })
		c := servertest.NextAs[wire.IOControlRequest](ch)

		srvInject(t, ch, wire.DataReply{RequestID: c.RequestID, Data: []byte{1}}.Append(nil))
		srvWant(t, servertest.Wait(t, "IOControl", control), 1, nil)
		srvPending(t, read)
		srvPending(t, write)
		srvInject(t, ch, wire.WriteReply{RequestID: w.RequestID, CbBytesWritten: 2}.Append(nil))
		srvWant(t, servertest.Wait(t, "Write", write), 2, nil)
		srvInject(t, ch, wire.DataReply{RequestID: r.RequestID, Data: []byte("four")}.Append(nil))
		srvWant(t, servertest.Wait(t, "Read", read), 4, nil)
	})

	for name, f := range map[string]struct {
		id    string
		begin func(h *server.Handle) (int, error)
		reply func(id wire.RequestID) []byte
		good  func(id wire.RequestID) []byte
	}{
		"more_than_cbout": {"S-15",
			func(h *server.Handle) (int, error) { return h.IOControl(bg, 1, nil, make([]byte, 4)) },
			func(id wire.RequestID) []byte {
				return wire.DataReply{RequestID: id, Data: make([]byte, 5)}.Append(nil)
			},
			func(id wire.RequestID) []byte {
				return wire.DataReply{RequestID: id, Data: make([]byte, 4)}.Append(nil)
			}},
		"data_without_cbout": {"S-15",
			func(h *server.Handle) (int, error) { return h.IOControl(bg, 1, make([]byte, 9), nil) },
			func(id wire.RequestID) []byte {
				return wire.DataReply{RequestID: id, Data: make([]byte, 1)}.Append(nil)
			},
			func(id wire.RequestID) []byte { return wire.DataReply{RequestID: id}.Append(nil) }},
		"more_than_asked": {"S-21",
			func(h *server.Handle) (int, error) { return h.ReadAt(bg, make([]byte, 4), 0) },
			func(id wire.RequestID) []byte {
				return wire.DataReply{RequestID: id, Data: make([]byte, 5)}.Append(nil)
			},
			func(id wire.RequestID) []byte {
				return wire.DataReply{RequestID: id, Data: make([]byte, 4)}.Append(nil)
			}},
		"data_that_is_not_there": {"S-21",
			func(h *server.Handle) (int, error) { return h.ReadAt(bg, make([]byte, 9), 0) },
			func(id wire.RequestID) []byte {
				msg := wire.DataReply{RequestID: id, Data: make([]byte, 4)}.Append(nil)
				msg[8]++ // cbBytesRead
				return msg
			},
			func(id wire.RequestID) []byte {
				return wire.DataReply{RequestID: id, Data: make([]byte, 4)}.Append(nil)
			}},
		"failed_with_too_much": {"S-21",
			func(h *server.Handle) (int, error) { return h.ReadAt(bg, nil, 0) },
			func(id wire.RequestID) []byte {
				return wire.DataReply{RequestID: id, Result: pnp.E_FAIL, Data: make([]byte, 1)}.Append(nil)
			},
			func(id wire.RequestID) []byte { return wire.DataReply{RequestID: id}.Append(nil) }},
		"more_than_written": {"S-22",
			func(h *server.Handle) (int, error) { return h.WriteAt(bg, make([]byte, 4), 0) },
			func(id wire.RequestID) []byte { return wire.WriteReply{RequestID: id, CbBytesWritten: 5}.Append(nil) },
			func(id wire.RequestID) []byte { return wire.WriteReply{RequestID: id, CbBytesWritten: 4}.Append(nil) }},
		"far_more_than_written": {"S-22",
			func(h *server.Handle) (int, error) { return h.WriteAt(bg, nil, 0) },
			func(id wire.RequestID) []byte {
				return wire.WriteReply{RequestID: id, Result: pnp.E_FAIL, CbBytesWritten: 0xFFFFFFFF}.Append(nil)
			},
			func(id wire.RequestID) []byte { return wire.WriteReply{RequestID: id}.Append(nil) }},
	} {
		add(f.id, name+"_terminates", func(t *testing.T) {
			session, h, ch := servertest.OpenedHandle(t, server.Config{})
			other, otherCh := session.Open(h.Device(), srvVersion6, server.OpenOptions{})
			request := func() (<-chan servertest.Result, wire.RequestID) {
				r := servertest.Go(func() (int, error) { return f.begin(h) })
				return r, ch.NextMessage().RequestID
			}
			r, id := request()
			srvInject(t, ch, f.good(id))
			if r := servertest.Wait(t, "the request", r); r.Err != nil {
				t.Fatal("a reply of the full length:", r.Err)
			}
			waiting, _ := request()
			r, id = request()
			srvTerminates(t, ch, f.reply(id))
			srvEnded(t, r)
			srvEnded(t, waiting)
			servertest.Wait(t, "the handle", h.Done())
			srvServes(t, other, otherCh)
			if session.Info.Ended() {
				t.Error("PNPDR has ended, too")
			}
		})
	}

	add("S-20", "all_outstanding_complete_when_the_channel_ends", func(t *testing.T) {
		for name, end := range map[string]func(*servertest.Fixture, *server.Handle, *servertest.Channel){
			"by the client":      func(_ *servertest.Fixture, _ *server.Handle, ch *servertest.Channel) { ch.End() },
			"by the application": func(_ *servertest.Fixture, h *server.Handle, _ *servertest.Channel) { h.Close() },
			"with the session": func(f *servertest.Fixture, _ *server.Handle, _ *servertest.Channel) {
				servertest.Within(t, "Close", f.Close)
			},
			"by a protocol error": func(_ *servertest.Fixture, _ *server.Handle, ch *servertest.Channel) { ch.Inject([]byte{1}) },
		} {
			t.Run(name, func(t *testing.T) {
				f, h, ch := servertest.OpenedHandle(t, server.Config{})
				ctx, cancel := context.WithCancel(bg)
				cancelled, _ := srvRead(t, ctx, h, ch, 1)
				cancel()
				servertest.NextAs[wire.IoCancelRequest](ch)
				outstanding := []<-chan servertest.Result{cancelled}
				for range 5 {
					outstanding = append(outstanding,
						servertest.Go(func() (int, error) { return h.ReadAt(bg, make([]byte, 8), 0) }),
						servertest.Go(func() (int, error) { return h.WriteAt(bg, make([]byte, 8), 0) }),
						servertest.Go(func() (int, error) { return h.IOControl(bg, 1, make([]byte, 8), make([]byte, 8)) }))
				}
				for range outstanding[1:] {
					ch.Next()
				}
				end(f, h, ch)
				for _, r := range outstanding {
					srvEnded(t, r)
				}
				servertest.Wait(t, "the handle", h.Done())
				if _, err := h.ReadAt(bg, nil, 0); !errors.Is(err, channels.ErrClosed) || !errors.Is(h.Err(), channels.ErrClosed) {
					t.Error(err, h.Err())
				}
				ch.WaitEnd()
				srvSilent(t, ch)
			})
		}
	})
	add("S-20", "opening_fails_when_the_channel_ends", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		for _, replies := range []int{0, 1} {
			o := f.BeginOpen(bg, d, server.OpenOptions{})
			if replies == 1 {
				o.ReplyCapabilities(t, srvVersion6)
			}
			o.Channel.Next()
			o.Channel.End()
			if r := servertest.Wait(t, "Open", o.Result); !errors.Is(r.Err, channels.ErrClosed) {
				t.Error(r)
			}
		}
	})
}
