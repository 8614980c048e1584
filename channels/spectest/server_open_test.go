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

// namedFlags are the bits of dwFlagsAndAttributes by their names in 2.2.2.3.1.
var namedFlags = map[string]uint32{
	"FILE_ATTRIBUTE_DIRECTORY":      0x00000010,
	"FILE_ATTRIBUTE_ARCHIVE":        0x00000020,
	"FILE_ATTRIBUTE_DEVICE":         0x00000040,
	"FILE_ATTRIBUTE_NORMAL":         0x00000080,
	"FILE_FLAG_FIRST_PIPE_INSTANCE": 0x00080000,
	"FILE_FLAG_OPEN_NO_RECALL":      0x00100000,
	"FILE_FLAG_OPEN_REPARSE_POINT":  0x00200000,
	"FILE_FLAG_POSIX_SEMANTICS":     0x01000000,
	"FILE_FLAG_BACKUP_SEMANTICS":    0x02000000,
	"FILE_FLAG_DELETE_ON_CLOSE":     0x04000000,
	"FILE_FLAG_SEQUENTIAL_SCAN":     0x08000000,
	"FILE_FLAG_RANDOM_ACCESS":       0x10000000,
	"FILE_FLAG_NO_BUFFERING":        0x20000000,
	"FILE_FLAG_OVERLAPPED":          0x40000000,
	"FILE_FLAG_WRITE_THROUGH":       0x80000000,
}

// createFileAsNamed checks that a CreateFile Request holds what 2.2.2.3.1 names,
// and nothing else.
func createFileAsNamed(t *testing.T, s sent) {
	t.Helper()
	m := s.m.(wire.CreateFileRequest)
	var all uint32
	for _, bit := range namedFlags {
		all |= bit
	}
	if m.DwFlagsAndAttributes&all == 0 || m.DwFlagsAndAttributes&^all != 0 ||
		m.DwShareMode&3 == 0 || m.DwShareMode&^3 != 0 ||
		m.DwCreationDisposition < 1 || m.DwCreationDisposition > 5 {
		t.Errorf("%v", m)
	}
}

// srvOpens opens a device with opt and returns the CreateFile Request.
func srvOpens(t *testing.T, f *servertest.Fixture, d *server.Device, opt server.OpenOptions) wire.CreateFileRequest {
	t.Helper()
	o := f.BeginOpen(context.Background(), d, opt)
	o.ReplyCapabilities(t, srvVersion6)
	m := o.ReplyCreateFile(t, pnp.S_OK)
	if r := servertest.Wait(t, "Open", o.Result); r.Err != nil {
		t.Fatal(r.Err)
	}
	return m
}

func init() {
	bg := context.Background()

	add("W-43", "what_the_application_leaves_out", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		for _, opt := range []server.OpenOptions{
			{}, {Share: 1}, {Flags: 0x20}, {Share: 2, Flags: 0x80000000}, {Version: 4}, {DataOut: true},
		} {
			if m := srvOpens(t, f, d, opt); m.DwDesiredAccess != 0xC0000000 || m.DwCreationDisposition != pnp.OPEN_EXISTING {
				t.Errorf("%+v: %v", opt, m)
			}
		}
		if m := srvOpens(t, f, d, server.OpenOptions{Access: pnp.GENERIC_READ}); m.DwDesiredAccess != pnp.GENERIC_READ || m.DwCreationDisposition != pnp.OPEN_EXISTING {
			t.Errorf("%v", m)
		}
		if m := srvOpens(t, f, d, server.OpenOptions{Disposition: pnp.CREATE_NEW}); m.DwDesiredAccess != 0xC0000000 || m.DwCreationDisposition != pnp.CREATE_NEW {
			t.Errorf("%v", m)
		}
	})

	add("W-44", "whatever_the_application_asks_for", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		options := []server.OpenOptions{{}, {Access: 1}, {Disposition: 1}, {Disposition: 2}, {Disposition: 4}, {Disposition: 5},
			{Share: 1}, {Share: 2}, {Share: 3}}
		for _, bit := range namedFlags {
			options = append(options, server.OpenOptions{Flags: bit})
		}
		for _, opt := range options {
			m := srvOpens(t, f, d, opt)
			createFileAsNamed(t, sent{m: m})
			if opt.Flags != 0 && m.DwFlagsAndAttributes != opt.Flags {
				t.Errorf("%+v: %v", opt, m)
			}
			if opt.Flags == 0 && m.DwFlagsAndAttributes&0x80 == 0 {
				t.Errorf("without FILE_ATTRIBUTE_NORMAL: %v", m)
			}
		}
		for _, opt := range []server.OpenOptions{
			{Share: 4}, {Share: 7}, {Share: 1 << 31}, {Disposition: 6}, {Disposition: 1<<32 - 1},
			{Flags: 1}, {Flags: 0x100}, {Flags: 0x40000081}, {Flags: 0x00400000}, {Flags: 0x00800080},
		} {
			f.Client.Accepting = func(context.Context, string) error {
				t.Errorf("a channel is opened for %+v, which cannot be sent", opt)
				return channels.ErrRefused
			}
			if _, err := d.Open(bg, opt); !errors.Is(err, pnp.ERROR_INVALID_PARAMETER) {
				t.Errorf("%+v: %v", opt, err)
			}
		}
	})

	add("S-26", "capabilities_request_follows_the_channel_at_once", func(t *testing.T) {
		for name, then := range map[string]func(f *servertest.Fixture, o servertest.Opening, cancel func()){
			"nothing":   func(*servertest.Fixture, servertest.Opening, func()) {},
			"giving up": func(_ *servertest.Fixture, _ servertest.Opening, cancel func()) { cancel() },
			"the device's end": func(f *servertest.Fixture, _ servertest.Opening, _ func()) {
				srvInject(t, f.Info, servertest.Removal(4))
			},
			"the end of PNPDR":  func(f *servertest.Fixture, _ servertest.Opening, _ func()) { f.Info.End() },
			"the session's end": func(f *servertest.Fixture, _ servertest.Opening, _ func()) { f.Close() },
			"the channel's end": func(_ *servertest.Fixture, o servertest.Opening, _ func()) { o.Channel.End() },
			"a logon":           func(f *servertest.Fixture, _ servertest.Opening, _ func()) { f.LoggedOn() },
			"a reply to nothing": func(_ *servertest.Fixture, o servertest.Opening, _ func()) {
				srvInject(t, o.Channel, wire.CreateFileReply{RequestID: 1}.Append(nil))
			},
		} {
			t.Run(name, func(t *testing.T) {
				f := servertest.Started(t, server.Config{})
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				o := f.BeginOpen(ctx, f.AddDevice(4), server.OpenOptions{})
				servertest.NextAs[wire.CapabilitiesRequest](o.Channel)
				then(f, o, cancel)
				srvSilent(t, o.Channel)
				f.Close()
				servertest.Wait(t, "Open", o.Result)
				srvSilent(t, o.Channel)
			})
		}
	})
	add("S-26", "a_channel_for_each_create_file", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		seen := make(map[*servertest.Channel]bool)
		for _, result := range []pnp.HRESULT{pnp.S_OK, pnp.ERROR_SHARING_VIOLATION, pnp.S_OK} {
			o := f.BeginOpen(bg, d, server.OpenOptions{})
			if seen[o.Channel] {
				t.Error("a channel was used twice")
			}
			seen[o.Channel] = true
			o.ReplyCapabilities(t, srvVersion6)
			o.ReplyCreateFile(t, result)
			servertest.Wait(t, "Open", o.Result)
			srvSilent(t, o.Channel)
		}
		if len(f.Client.Opened()) != 0 {
			t.Error("there are more channels than handles")
		}
	})
}
