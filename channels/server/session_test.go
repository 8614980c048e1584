// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

func TestStartCanBeRepeatedAfterAFailure(t *testing.T) {
	f := servertest.New(t, server.Config{})
	f.Client.Accepting = func(context.Context, string) error { return channels.ErrRefused }
	wantError(t, f.Session.Start(bg), channels.ErrRefused)
	f.Client.Accepting = nil

	f.LoggedOn()
	ctx, cancel := context.WithCancel(bg)
	started := f.BeginStart(ctx)
	cancel()
	wantError(t, servertest.Wait(t, "Start", started), context.Canceled)
	f.Info.WaitEnd()

	started = f.BeginStart(bg)
	f.Info.End()
	wantError(t, servertest.Wait(t, "Start", started), channels.ErrClosed)

	started = f.BeginStart(bg)
	if err := f.Info.Inject([]byte("nonsense")); err == nil {
		t.Error("nonsense is accepted")
	}
	wantError(t, servertest.Wait(t, "Start", started), channels.ErrClosed)

	f.Start()
	// The logon was remembered.
	servertest.NextAs[wire.AuthenticatedClient](f.Info)
	wantError(t, f.Session.Start(bg), server.ErrStarted)
}

func TestSendFailureWhileStarting(t *testing.T) {
	f := servertest.New(t, server.Config{})
	f.Client.Attached = func(ch *servertest.Channel) {
		ch.Fail = func([]byte) error { return errSend }
	}
	wantError(t, f.Session.Start(bg), errSend)
	f.Client.Accept(channels.PNPDR).WaitEnd()
	f.Client.Attached = nil
	f.Start()
	f.Info.End()
	wantError(t, f.LoggedOn(), channels.ErrClosed)
}

// TestOpenerPanics: the panic reaches whoever starts, although the session is closed on its way.
func TestOpenerPanics(t *testing.T) {
	f := servertest.New(t, server.Config{})
	f.Client.Accepting = func(context.Context, string) error { panic("opener") }
	defer func() {
		if p := recover(); p != "opener" {
			t.Errorf("recovered %v", p)
		}
	}()
	defer f.Session.Close()
	f.Session.Start(bg)
}

func TestStartWithAnEndedContext(t *testing.T) {
	f := servertest.New(t, server.Config{})
	ctx, cancel := context.WithCancel(bg)
	cancel()
	wantError(t, f.Session.Start(ctx), context.Canceled)
	if len(f.Client.Opened()) > 0 {
		t.Error("a channel was opened")
	}
}

func TestCloseEndsStartAndOpen(t *testing.T) {
	for name, waitIn := range map[string]string{"opening": "opener", "versions": ""} {
		t.Run("start "+name, func(t *testing.T) {
			f := servertest.New(t, server.Config{})
			result := make(chan error, 1)
			inOpener := make(chan struct{})
			if waitIn != "" {
				f.Client.Accepting = func(ctx context.Context, _ string) error {
					close(inOpener)
					<-ctx.Done()
					return ctx.Err()
				}
			}
			go func() { result <- f.Session.Start(bg) }()
			if waitIn != "" {
				servertest.Wait(t, "Opener.Open", inOpener)
			} else {
				f.Client.Accept(channels.PNPDR).Next()
			}
			f.Close()
			wantError(t, servertest.Wait(t, "Start", result), channels.ErrClosed)
		})
		t.Run("open "+name, func(t *testing.T) {
			f := servertest.Started(t, server.Config{})
			d := f.AddDevice(4)
			result := make(chan error, 1)
			inOpener := make(chan struct{})
			if waitIn != "" {
				f.Client.Accepting = func(ctx context.Context, _ string) error {
					close(inOpener)
					<-ctx.Done()
					return ctx.Err()
				}
			}
			go func() { _, err := d.Open(bg, server.OpenOptions{}); result <- err }()
			if waitIn != "" {
				servertest.Wait(t, "Opener.Open", inOpener)
			} else {
				f.Client.Accept(channels.FileRedirectorChannel).Next()
			}
			f.Close()
			wantError(t, servertest.Wait(t, "Open", result), channels.ErrClosed)
		})
	}
}

// A channel that the client accepts while Close runs must be closed as well.
func TestCloseMeetsAnAcceptedChannel(t *testing.T) {
	for _, name := range []string{channels.PNPDR, channels.FileRedirectorChannel} {
		t.Run(name, func(t *testing.T) {
			client := servertest.NewClient(t)
			s := server.New(client, server.Config{})
			closed := make(chan struct{})
			attempt := func() error { return s.Start(bg) }
			if name != channels.PNPDR {
				f := servertest.Started(t, server.Config{})
				s, client = f.Session, f.Client
				d := f.AddDevice(4)
				attempt = func() error { _, err := d.Open(bg, server.OpenOptions{}); return err }
			}
			client.Accepting = func(ctx context.Context, _ string) error {
				go func() { s.Close(); close(closed) }()
				<-ctx.Done() // the session has ended; accept all the same
				return nil
			}
			result := make(chan error, 1)
			go func() { result <- attempt() }()
			wantError(t, servertest.Wait(t, "the attempt", result), channels.ErrClosed)
			servertest.Wait(t, "Close", closed)
			client.Accept(name).WaitEnd()
		})
	}
}

func TestCloseWaitsForTheTransport(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	h1, ch1 := f.Open(d, 6, server.OpenOptions{})
	_, ch2 := f.Open(d, 6, server.OpenOptions{})
	var held atomic.Bool
	closed := make(chan bool, 1)
	ch1.HoldClosed(func() {
		held.Store(true)
		go func() {
			f.Close()
			closed <- held.Load()
		}()
		servertest.Wait(t, "the handle", h1.Done())
		ch2.WaitEnd()
		f.Info.WaitEnd()
		held.Store(false)
	})
	if servertest.Wait(t, "Close", closed) || !ch1.Told() {
		t.Error("Close did not wait")
	}
}

func TestAfterClose(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	f.Close()
	f.Close()
	servertest.Wait(t, "the device", d.Gone())
	if len(f.Devices()) > 0 {
		t.Error("devices are left")
	}
	wantError(t, f.LoggedOn(), channels.ErrClosed)
	_, err := d.Open(bg, server.OpenOptions{})
	wantError(t, err, pnp.ERROR_DEVICE_NOT_CONNECTED)
	_, err = f.WaitDevice(bg, nil)
	wantError(t, err, channels.ErrClosed)
	events, cancel := f.RegisterEvent(eventGUID)
	if _, ok := <-events; ok {
		t.Error("an event")
	}
	cancel()

	never := server.New(servertest.NewClient(t), server.Config{})
	never.Close()
	wantError(t, never.Start(bg), channels.ErrClosed)
}

func TestMalformedInfoTerminatesPNPDR(t *testing.T) {
	for name, msg := range map[string][]byte{
		"empty":           {},
		"short":           {8, 0, 0, 0},
		"size":            {9, 0, 0, 0, 0x68, 0, 0, 0, 1, 0, 0, 0},
		"unknown":         {8, 0, 0, 0, 0x69, 0, 0, 0},
		"wrong direction": wire.AuthenticatedClient{}.Append(nil),
		"count":           wire.DeviceAddition{DeviceCount: 0xFFFFFFFF}.Append(nil),
		"rest":            wire.DeviceAddition{DeviceDescriptions: []byte{0}}.Append(nil),
	} {
		t.Run(name, func(t *testing.T) {
			f := servertest.Started(t, server.Config{})
			h, ch := f.Open(f.AddDevice(4), 6, server.OpenOptions{})
			if err := f.Info.Inject(msg); err == nil {
				t.Fatal("accepted")
			}
			f.Info.WaitEnd()
			if len(f.Devices()) != 0 || !ch.Ended() {
				t.Error("the devices are still there")
			}
			wantError(t, h.Err(), channels.ErrClosed)
			wantError(t, f.LoggedOn(), channels.ErrClosed)
		})
	}
}

func TestSecondClientVersionIsIgnored(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	inject(t, f.Info, wire.OurVersion.Append(nil))
	if n := len(f.Info.Unread()); n > 0 {
		t.Errorf("%d messages are sent", n)
	}
}

func TestDeviceLimits(t *testing.T) {
	t.Run("devices", func(t *testing.T) {
		f := servertest.Started(t, server.Config{Limits: server.Limits{Devices: 2}})
		f.AddDevice(1)
		f.AddDevice(2)
		inject(t, f.Info, servertest.Removal(1))
		f.AddDevice(3)
		if f.Info.Inject(servertest.Addition(servertest.Describe(4))) == nil {
			t.Error("a third device is accepted")
		}
		if len(f.Devices()) != 0 {
			t.Errorf("PNPDR has ended and there are %d devices", len(f.Devices()))
		}
	})
	t.Run("bytes", func(t *testing.T) {
		f := servertest.Started(t, server.Config{Limits: server.Limits{DescriptionBytes: 1000}})
		big := wire.NewDeviceDescription(1, &pnp.Description{Name: strings.Repeat("x", 400)})
		for range 5 { // removed devices do not count
			inject(t, f.Info, servertest.Addition(big))
			inject(t, f.Info, servertest.Removal(1))
		}
		inject(t, f.Info, servertest.Addition(big))
		big.ClientDeviceID = 2
		if f.Info.Inject(servertest.Addition(big)) == nil {
			t.Error("1600 bytes are accepted")
		}
	})
}

func TestWaitDevice(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	type found struct {
		d   *server.Device
		err error
	}
	wait := func(ctx context.Context, id uint32) <-chan found {
		c := make(chan found, 1)
		looked := make(chan struct{}, 100)
		go func() {
			d, err := f.WaitDevice(ctx, func(d *server.Device) bool {
				looked <- struct{}{}
				return d.ID() == id
			})
			c <- found{d, err}
		}()
		servertest.Wait(t, "a look at the devices", looked)
		return c
	}
	f.AddDevice(1)
	if d, err := f.WaitDevice(bg, nil); err != nil || d.ID() != 1 {
		t.Error(d, err)
	}
	first, second := wait(bg, 3), wait(bg, 3)
	f.AddDevice(2)
	f.AddDevice(3)
	for _, c := range []<-chan found{first, second} {
		if r := servertest.Wait(t, "WaitDevice", c); r.err != nil || r.d.ID() != 3 {
			t.Error(r)
		}
	}
	ctx, cancel := context.WithCancel(bg)
	c := wait(ctx, 9)
	cancel()
	wantError(t, servertest.Wait(t, "WaitDevice", c).err, context.Canceled)
	c = wait(bg, 9)
	f.Info.End()
	wantError(t, servertest.Wait(t, "WaitDevice", c).err, channels.ErrClosed)
}

// TestWaitDeviceLooksOnce: however many devices come and go, each is looked at once.
func TestWaitDeviceLooksOnce(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	looks := make(chan uint32, 1000)
	result := make(chan *server.Device, 1)
	go func() {
		d, err := f.WaitDevice(bg, func(d *server.Device) bool {
			looks <- d.ID()
			return d.ID() == 30
		})
		if err != nil {
			t.Error(err)
		}
		result <- d
	}()
	for id := uint32(1); id <= 30; id++ {
		f.AddDevice(id)
		if got := servertest.Wait(t, "a look at the device", looks); got != id {
			t.Fatalf("device %d is looked at when %d has arrived", got, id)
		}
		if id%3 == 0 {
			inject(t, f.Info, servertest.Removal(id-1))
		}
	}
	if d := servertest.Wait(t, "WaitDevice", result); d.ID() != 30 || len(looks) > 0 {
		t.Errorf("device %d, %d looks too many", d.ID(), len(looks))
	}
}

// recorder is an OnDevice that blocks in each call until it is told to go on.
type recorder struct {
	calls chan server.DeviceEvent
	goOn  chan struct{}
}

func newRecorder() *recorder {
	return &recorder{make(chan server.DeviceEvent, 100), make(chan struct{}, 100)}
}

func (r *recorder) onDevice(ev server.DeviceEvent) {
	r.calls <- ev
	<-r.goOn
}

func (r *recorder) expect(t *testing.T, id uint32, removed bool) {
	t.Helper()
	if ev := servertest.Wait(t, "OnDevice", r.calls); ev.Device.ID() != id || ev.Removed != removed {
		t.Errorf("device %d, removed %v; not %d, %v", ev.Device.ID(), ev.Removed, id, removed)
	}
}

func TestOnDeviceIsToldInOrder(t *testing.T) {
	r := newRecorder()
	f := servertest.Started(t, server.Config{OnDevice: r.onDevice})
	f.AddDevice(1)
	r.expect(t, 1, false)
	// While that call blocks:
	f.AddDevice(2)
	f.AddDevice(3)
	inject(t, f.Info, servertest.Removal(1))
	inject(t, f.Info, servertest.Removal(2)) // cancels out its addition
	f.AddDevice(1)
	for range 1000 { // and so does each of these
		f.AddDevice(5)
		inject(t, f.Info, servertest.Removal(5))
	}
	for range 10 {
		r.goOn <- struct{}{}
	}
	r.expect(t, 3, false)
	r.expect(t, 1, true)
	r.expect(t, 1, false)
	inject(t, f.Info, servertest.Removal(3))
	r.expect(t, 3, true)
}

func TestOnDeviceMayPanicAndClose(t *testing.T) {
	var f *servertest.Fixture
	var calls atomic.Int32
	closed := make(chan struct{})
	f = servertest.Started(t, server.Config{OnDevice: func(ev server.DeviceEvent) {
		switch calls.Add(1) {
		case 1:
			panic("first")
		case 2:
			f.Devices()
			f.Close()
			close(closed)
		}
	}})
	// The callback may close the session before the last device is taken.
	err := f.Info.Inject(servertest.Addition(servertest.Describe(1), servertest.Describe(2), servertest.Describe(3)))
	if err != nil && !errors.Is(err, channels.ErrClosed) {
		t.Error(err)
	}
	servertest.Wait(t, "the callback", closed)
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestAcceptOptionalMayPanic(t *testing.T) {
	f := servertest.Started(t, server.Config{AcceptOptional: func(*pnp.Description) bool { panic("no") }})
	d := servertest.Describe(1)
	d.CustomFlag = wire.CustomFlagOptional
	inject(t, f.Info, servertest.Addition(d, servertest.Describe(2)))
	if len(f.Devices()) != 1 {
		t.Errorf("%d devices", len(f.Devices()))
	}
}

func TestRegisteredEventsAreBounded(t *testing.T) {
	f := servertest.Started(t, server.Config{Limits: server.Limits{Events: 3}})
	h, ch := f.Open(f.AddDevice(4), 6, server.OpenOptions{})
	slow, _ := f.RegisterEvent(eventGUID)
	for range 5 {
		inject(t, ch, event("x"))
		<-h.Events()
	}
	if len(slow) != 3 {
		t.Errorf("%d events wait", len(slow))
	}
	// A slow reader costs nobody else events.
	if len(h.Events()) != 0 {
		t.Error("the owner did not get every event")
	}
	f.Close()
	for range 3 {
		if ev := <-slow; string(ev.Data) != "x" {
			t.Errorf("%+v", ev)
		}
	}
	if _, ok := <-slow; ok {
		t.Error("not closed")
	}
	if _, ok := <-h.Events(); ok {
		t.Error("the handle's is not closed")
	}
}

func TestCloseFromManyGoroutines(t *testing.T) {
	for range 20 {
		f := servertest.Started(t, server.Config{})
		h, ch := f.Open(f.AddDevice(4), 6, server.OpenOptions{})
		var wg sync.WaitGroup
		for _, act := range []func(){
			f.Close, f.Close, func() { h.Close() }, func() { h.Close() }, ch.End, f.Info.End,
			func() { ch.Inject([]byte{0}) }, func() { f.Info.Inject([]byte{0}) },
			func() { f.LoggedOn() },
			func() {
				if _, err := h.ReadAt(bg, make([]byte, 1), 0); !errors.Is(err, channels.ErrClosed) {
					t.Error(err)
				}
			},
		} {
			wg.Add(1)
			go func() { defer wg.Done(); act() }()
		}
		wg.Wait()
	}
}
