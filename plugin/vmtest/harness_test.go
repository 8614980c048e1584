// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels/server"
	rdp "freerdp-pnpdr/cshim/server"
	"freerdp-pnpdr/cshim/server/servertest"
	"freerdp-pnpdr/pnp"
)

// fixture is a server with its display. The processor is slow, so all tests
// share one.
type fixture struct {
	binary   string // of the client
	newest   bool   // so is the client
	display  string
	server   *rdp.Server
	sessions chan *remote
}

func newFixture(t *testing.T) *fixture {
	machine(t) // its goroutine stays
	ignore := goleak.IgnoreCurrent()
	f := &fixture{sessions: make(chan *remote, 8)}
	s, err := rdp.Listen("127.0.0.1:0", rdp.Config{Session: f.session, ConnectTimeout: servertest.Patience})
	require.NoError(t, err)
	f.server = s
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.Zero(t, rdp.Live())
		goleak.VerifyNone(t, ignore)
	})
	f.display = servertest.StartDisplay(t)
	return f
}

// remote is a session as seen by applications on the server, until finish.
type remote struct {
	*server.Session
	t      testing.TB
	ctx    context.Context
	client *servertest.Client
	end    chan struct{}
	come   chan server.DeviceEvent
}

func (f *fixture) session(ctx context.Context, peer *rdp.Peer) {
	r := &remote{ctx: ctx, end: make(chan struct{}), come: make(chan server.DeviceEvent, 1024)}
	r.Session = server.New(peer, server.Config{OnDevice: func(e server.DeviceEvent) { r.come <- e }})
	defer r.Close()
	if r.Start(ctx) != nil || r.LoggedOn() != nil {
		return // the test that waits for the session fails
	}
	f.sessions <- r
	select {
	case <-ctx.Done():
	case <-r.end:
	}
}

// connect starts a client with options of /dvc:pnpdr, through wrapper if there
// is one, and waits for its session.
func (f *fixture) connect(t *testing.T, options string, wrapper ...string) *remote {
	t.Helper()
	c := servertest.StartClient(t, servertest.ClientOptions{
		Wrapper: wrapper,
		Binary:  f.binary,
		Addr:    f.server.Addr().String(),
		Display: f.display,
		Args: []string{"/dvc:pnpdr," + options,
			"/log-filters:com.freerdp.channels.pnpdr.client:DEBUG"},
	})
	select {
	case r := <-f.sessions:
		r.t, r.client = t, c
		return r
	case <-c.Done():
		t.Fatal("the client ended instead of connecting")
	case <-time.After(servertest.Patience):
		t.Fatal("the client does not connect")
	}
	return nil
}

// event waits for the next device that arrives or goes.
func (r *remote) event() server.DeviceEvent {
	r.t.Helper()
	select {
	case e := <-r.come:
		return e
	case <-time.After(servertest.Patience):
		r.t.Fatal("no device arrives or goes")
		panic("unreachable")
	}
}

// added waits for a device, which must be the next to arrive or go.
func (r *remote) added(name string) *server.Device {
	r.t.Helper()
	e := r.event()
	require.False(r.t, e.Removed, "%s has gone", e.Device.Description().Name)
	require.Equal(r.t, name, e.Device.Description().Name)
	return e.Device
}

// removed waits for a device to go, which must be the next thing to happen.
func (r *remote) removed(d *server.Device) {
	r.t.Helper()
	e := r.event()
	require.True(r.t, e.Removed, "%s has arrived", e.Device.Description().Name)
	require.Equal(r.t, d.ID(), e.Device.ID())
}

func (r *remote) open(d *server.Device) *server.Handle {
	r.t.Helper()
	h, err := d.Open(r.ctx, server.OpenOptions{})
	require.NoError(r.t, err)
	return h
}

// control does an IOControl and returns its output.
func (r *remote) control(h *server.Handle, code uint32, in []byte, room int) []byte {
	r.t.Helper()
	out := make([]byte, room)
	n, err := h.IOControl(r.ctx, code, in, out)
	require.NoError(r.t, err, "IoCode 0x%X", code)
	return out[:n]
}

// pending starts a request that waits, and returns its result.
func pending(request func() (int, error)) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := request()
		ended <- err
	}()
	return ended
}

// requireGone waits for the end of a request whose device was unplugged.
func (r *remote) requireGone(ended <-chan error) {
	r.t.Helper()
	select {
	case err := <-ended:
		r.notConnected(err)
	case <-time.After(servertest.Patience):
		r.t.Fatal("the request hangs")
	}
}

func (r *remote) notConnected(err error) {
	r.t.Helper()
	var got pnp.HRESULT
	require.ErrorAs(r.t, err, &got)
	require.Equal(r.t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), got.Name())
}

// finish ends the session from the server and checks that the client has kept
// nothing of it.
func (r *remote) finish() {
	r.t.Helper()
	close(r.end)
	_ = r.client.Wait() // the exit code tells who disconnected
	output := r.client.Output()
	require.NotContains(r.t, output, "panic")
	if !strings.Contains(output, "session ended left={Channels:0 Handles:0 Requests:0 Buffers:0 Slots:0 Kept:0} objects=0") {
		r.t.Fatal("the client has kept something of the session")
	}
}

// waitFor waits until a condition holds.
func waitFor(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(tick) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %v", what, patience)
		}
	}
}

// settle waits until udev has processed all events so far.
func settle(t testing.TB) {
	t.Helper()
	out, err := exec.Command("udevadm", "settle", "-t", "60").CombinedOutput()
	require.NoError(t, err, string(out))
}

// stillThere checks that a device is not affected by what happened to others.
func (r *remote) stillThere(name string) {
	r.t.Helper()
	for _, d := range r.Devices() {
		if d.Description().Name == name {
			h := r.open(d)
			_, err := h.ReadAt(r.ctx, make([]byte, 1), 0)
			require.NoError(r.t, err)
			require.NoError(r.t, h.Close())
			return
		}
	}
	r.t.Fatalf("%s is gone", name)
}

const fakeDevice = "Ts Fake Device"

// patience is a watchdog, and tick the interval between looks at a condition.
const (
	patience = servertest.Patience
	tick     = 20 * time.Millisecond
)
