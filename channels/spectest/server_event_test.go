// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"context"
	"strings"
	"testing"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

func init() {
	guid, other := pnp.GUID{1}, pnp.GUID{2}

	// Handles A, B, C and Z are open from the start. In events, "A:x" is an event
	// on A with the data x, "+D" opens D, and "-A" closes A. A to D are handles of
	// one device, E is one of another. Z is a handle of the first device, of
	// version 4.
	for name, play := range map[string]struct{ events, want string }{
		"one_event":               {"A:x B:x C:x", "x"},
		"one_event_on_one_handle": {"A:x", "x"},
		"equal_ones_in_turn":      {"A:x B:x C:x B:x A:x C:x", "x x"},
		"equal_ones_in_a_row":     {"A:x A:x A:x B:x B:x C:x C:x B:x C:x", "x x x"},
		"interleaved":             {"A:x A:y B:x C:x A:x C:y B:y B:x C:x", "x y x"},
		"in_any_order":            {"A:x B:y A:y B:x C:y C:x", "x y"},
		"other_data":              {"A:x B:y C:z", "x y z"},
		"other_devices":           {"+E A:x E:x B:x C:x", "x x"},
		"a_handle_has_ended":      {"A:x -B C:x A:x C:x", "x x"},
		"the_first_has_ended":     {"A:x -A B:x C:x C:x B:x", "x x"},
		"all_others_have_ended":   {"A:x -B -C A:x A:x", "x x x"},
		"a_handle_came_later":     {"A:x +D B:x C:x D:x", "x x"},
		"the_later_takes_part":    {"+D D:x A:x B:x C:x", "x"},
		"an_old_one_does_not":     {"Z:x A:x Z:x B:x C:x", "x"},
	} {
		for _, apps := range []int{1, 2} {
			add("S-24", map[int]string{1: "once_for_", 2: "once_for_each_of_two_"}[apps]+name, func(t *testing.T) {
				f := servertest.Started(t, server.Config{})
				first, second := f.AddDevice(4), f.AddDevice(5)
				handles, chans := make(map[string]*server.Handle), make(map[string]*servertest.Channel)
				open := func(name string) {
					d, v := first, uint16(srvVersion6)
					switch name {
					case "E":
						d = second
					case "Z":
						v = wire.VersionWithoutCustomEvents
					}
					handles[name], chans[name] = f.Open(d, v, server.OpenOptions{})
				}
				for _, name := range []string{"A", "B", "C", "Z"} {
					open(name)
				}
				var queues []<-chan server.CustomEvent
				for range apps {
					q, cancel := f.RegisterEvent(guid)
					defer cancel()
					queues = append(queues, q)
				}
				elsewhere, cancel := f.RegisterEvent(other)
				defer cancel()

				own := make(map[string]int)
				for _, step := range strings.Fields(play.events) {
					handle, data, _ := strings.Cut(step, ":")
					switch handle[0] {
					case '+':
						open(handle[1:])
					case '-':
						handles[handle[1:]].Close()
						delete(own, handle[1:])
					default:
						srvInject(t, chans[handle], wire.CustomEvent{CustomEventGUID: guid, Data: []byte(data)}.Append(nil))
						if handle != "Z" {
							own[handle]++
						}
					}
				}
				for _, q := range queues {
					var got []string
					for len(q) > 0 {
						got = append(got, string((<-q).Data))
					}
					if s := strings.Join(got, " "); s != play.want {
						t.Errorf("the application got %q, not %q", s, play.want)
					}
				}
				// The owner of each handle gets what came on it.
				for name, n := range own {
					if got := len(handles[name].Events()); got != n {
						t.Errorf("%s: %d events, not %d", name, got, n)
					}
				}
				if len(elsewhere) != 0 {
					t.Error("an event reached one who had asked for others")
				}
			})
		}
	}
	add("W-41", "the_server_ignores_the_id_of_an_event", func(t *testing.T) {
		f, h, ch := servertest.OpenedHandle(t, server.Config{})
		app, cancel := f.RegisterEvent(guid)
		defer cancel()
		r, m := srvRead(t, context.Background(), h, ch, 4)
		event := wire.CustomEvent{CustomEventGUID: guid, Data: []byte("data")}.Append(nil)
		for n, id := range []wire.RequestID{m.RequestID, 0, wire.CancelID, m.RequestID + 1} {
			copy(event, wire.Reply{RequestID: id}.Append(nil)[:3])
			srvInject(t, ch, event)
			if len(app) != n+1 {
				t.Errorf("an event with RequestId %#x did not come", id)
			}
		}
		srvPending(t, r)
		srvInject(t, ch, wire.DataReply{RequestID: m.RequestID, Data: []byte("mine")}.Append(nil))
		srvWant(t, servertest.Wait(t, "Read", r), 4, nil)
	})
	add("W-41", "other_packet_types_end_the_channel", func(t *testing.T) {
		for _, packetType := range []byte{2, 3, 0x10, 0x7f, 0x80, 0xff} {
			f, h, ch := servertest.OpenedHandle(t, server.Config{})
			still, stillCh := f.Open(h.Device(), srvVersion6, server.OpenOptions{})
			r, m := srvRead(t, context.Background(), h, ch, 4)
			msg := wire.DataReply{RequestID: m.RequestID, Data: []byte("mine")}.Append(nil)
			msg[3] = packetType
			srvTerminates(t, ch, msg)
			srvEnded(t, r)
			srvServes(t, still, stillCh)
		}
	})
	add("W-42", "what_is_not_optional_has_to_be_redirected", func(t *testing.T) {
		asked := 0
		f := servertest.Started(t, server.Config{AcceptOptional: func(*pnp.Description) bool { asked++; return false }})
		var want []uint32
		for i, flag := range []uint32{0, 1, 2, 3, 4, 0x101, 1<<32 - 1} {
			d := servertest.Describe(uint32(i))
			d.CustomFlag = flag
			srvInject(t, f.Info, servertest.Addition(d))
			if flag != wire.CustomFlagOptional {
				want = append(want, uint32(i))
			}
		}
		srvDevices(t, f, want...)
		if asked != 1 {
			t.Errorf("the application was asked %d times", asked)
		}
	})
}
