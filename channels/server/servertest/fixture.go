// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// Fixture is a session with its client.
type Fixture struct {
	*server.Session
	Client *Client
	// Info is PNPDR, once it is open.
	Info *Channel

	t testing.TB
}

// New makes a session that is closed at the end of the test.
func New(t testing.TB, cfg server.Config) *Fixture {
	f := &Fixture{Client: NewClient(t), t: t}
	f.Session = server.New(f.Client, cfg)
	t.Cleanup(func() { Within(t, "Close", f.Session.Close) })
	return f
}

// Started makes a session whose user has logged on, with versions exchanged.
func Started(t testing.TB, cfg server.Config) *Fixture {
	t.Helper()
	f := New(t, cfg)
	f.Start()
	if err := f.LoggedOn(); err != nil {
		t.Fatal("LoggedOn:", err)
	}
	f.Info.Next()
	return f
}

// Start starts the session and answers with Client Version.
func (f *Fixture) Start() {
	f.t.Helper()
	result := f.BeginStart(context.Background())
	if err := f.Info.Inject(wire.OurVersion.Append(nil)); err != nil {
		f.t.Fatal("Client Version:", err)
	}
	if err := Wait(f.t, "Start", result); err != nil {
		f.t.Fatal("Start:", err)
	}
}

// BeginStart starts the session, accepts PNPDR and takes Server Version. The
// channel gets what Start returns, after Client Version.
func (f *Fixture) BeginStart(ctx context.Context) <-chan error {
	f.t.Helper()
	result := make(chan error, 1)
	go func() { result <- f.Session.Start(ctx) }()
	f.Info = f.Client.Accept(channels.PNPDR)
	f.Info.Next()
	return result
}

// Describe returns a device description in wire form.
func Describe(id uint32) wire.DeviceDescription {
	return wire.NewDeviceDescription(id, &pnp.Description{
		Name:        fmt.Sprintf("Device %d", id),
		HardwareIDs: []string{"WUDF\\LB"},
	})
}

// Addition returns a Client Device Addition of these devices.
func Addition(devices ...wire.DeviceDescription) []byte {
	m := wire.DeviceAddition{DeviceCount: uint32(len(devices))}
	for _, d := range devices {
		m.DeviceDescriptions = d.Append(m.DeviceDescriptions)
	}
	return m.Append(nil)
}

// Removal returns a Client Device Removal.
func Removal(id uint32) []byte { return wire.DeviceRemoval{ClientDeviceID: id}.Append(nil) }

// AddDevice announces a device and returns it as the session knows it.
func (f *Fixture) AddDevice(id uint32) *server.Device {
	f.t.Helper()
	if err := f.Info.Inject(Addition(Describe(id))); err != nil {
		f.t.Fatal("Client Device Addition:", err)
	}
	for _, d := range f.Devices() {
		if d.ID() == id {
			return d
		}
	}
	f.t.Fatalf("device %d was announced and is not known", id)
	return nil
}

// Opening is a Device.Open that is under way.
type Opening struct {
	Channel *Channel
	Result  <-chan Opened
}

// Opened is the result of Device.Open.
type Opened struct {
	Handle *server.Handle
	Err    error
}

// BeginOpen calls d.Open and accepts its channel.
func (f *Fixture) BeginOpen(ctx context.Context, d *server.Device, opt server.OpenOptions) Opening {
	f.t.Helper()
	result := make(chan Opened, 1)
	go func() {
		h, err := d.Open(ctx, opt)
		result <- Opened{h, err}
	}()
	return Opening{f.Client.Accept(channels.FileRedirectorChannel), result}
}

// ReplyCapabilities takes Capabilities Request and answers it.
func (o Opening) ReplyCapabilities(t testing.TB, version uint16) wire.CapabilitiesRequest {
	t.Helper()
	m := NextAs[wire.CapabilitiesRequest](o.Channel)
	if err := o.Channel.Inject(wire.CapabilitiesReply{RequestID: m.RequestID, Version: version}.Append(nil)); err != nil {
		t.Fatal("Capabilities Reply:", err)
	}
	return m
}

// ReplyCreateFile takes CreateFile Request and answers it.
func (o Opening) ReplyCreateFile(t testing.TB, result pnp.HRESULT) wire.CreateFileRequest {
	t.Helper()
	m := NextAs[wire.CreateFileRequest](o.Channel)
	if err := o.Channel.Inject(wire.CreateFileReply{RequestID: m.RequestID, Result: result}.Append(nil)); err != nil {
		t.Fatal("CreateFile Reply:", err)
	}
	return m
}

// Open opens d on a client of the given version.
func (f *Fixture) Open(d *server.Device, version uint16, opt server.OpenOptions) (*server.Handle, *Channel) {
	f.t.Helper()
	o := f.BeginOpen(context.Background(), d, opt)
	o.ReplyCapabilities(f.t, version)
	o.ReplyCreateFile(f.t, pnp.S_OK)
	r := Wait(f.t, "Open", o.Result)
	if r.Err != nil {
		f.t.Fatal("Open:", r.Err)
	}
	return r.Handle, o.Channel
}

// OpenedHandle returns a handle of a device of a new session.
func OpenedHandle(t testing.TB, cfg server.Config) (*Fixture, *server.Handle, *Channel) {
	t.Helper()
	f := Started(t, cfg)
	h, ch := f.Open(f.AddDevice(4), wire.VersionWithCustomEvents, server.OpenOptions{})
	return f, h, ch
}

// Result is the result of an operation on a handle.
type Result struct {
	N   int
	Err error
}

// Go runs an operation on a goroutine of its own.
func Go(f func() (int, error)) <-chan Result {
	c := make(chan Result, 1)
	go func() {
		n, err := f()
		c <- Result{n, err}
	}()
	return c
}

// Wait returns the value that arrives on c.
func Wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Watchdog):
		t.Fatalf("%s does not end", what)
		panic("unreachable")
	}
}

// Within runs f, and fails the test if it does not return.
func Within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	Wait(t, what, done)
}
