// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// plugin is the library under test: $PNPDR_PLUGIN, or else built from the tree.
var plugin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if plugin = os.Getenv("PNPDR_PLUGIN"); plugin != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "pnpdr-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		plugin = filepath.Join(dir, "libpnpdr-client.so")
		if err := servertest.BuildPlugin(plugin, buildTags); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// eachClient runs test with every major version of xfreerdp that is installed.
func eachClient(t *testing.T, test func(t *testing.T, f *fixture)) {
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("xfreerdp%d", major), func(t *testing.T) {
			test(t, newFixture(t, servertest.RequireClient(t, major)))
		})
	}
}

// fixture is a server with its display, for clients of one version.
type fixture struct {
	t        *testing.T
	binary   string
	display  string
	server   *rdp.Server
	sessions chan *remote
}

// remote is a session as seen by applications on the server, until release.
type remote struct {
	*server.Session
	t    *testing.T
	ctx  context.Context
	peer *rdp.Peer
	end  chan struct{}
	come chan server.DeviceEvent
}

func newFixture(t *testing.T, binary string) *fixture {
	ignore := goleak.IgnoreCurrent()
	f := &fixture{t: t, binary: binary, sessions: make(chan *remote, 8)}
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

func (f *fixture) session(ctx context.Context, peer *rdp.Peer) {
	r := &remote{
		t:    f.t,
		ctx:  ctx,
		peer: peer,
		end:  make(chan struct{}),
		come: make(chan server.DeviceEvent, 1024),
	}
	r.Session = server.New(peer, server.Config{OnDevice: func(e server.DeviceEvent) { r.come <- e }})
	if err := r.Start(ctx); err != nil {
		f.t.Errorf("start: %v", err)
		return
	}
	if err := r.LoggedOn(); err != nil {
		f.t.Errorf("logged on: %v", err)
	}
	f.sessions <- r
	select {
	case <-ctx.Done():
	case <-r.end:
	}
	r.Close()
}

// run starts a client with the given options of /dvc:pnpdr.
func (f *fixture) run(options string, args ...string) *servertest.Client {
	f.t.Helper()
	return servertest.StartClient(f.t, f.clientOptions(options, args...))
}

func (f *fixture) clientOptions(options string, args ...string) servertest.ClientOptions {
	dvc := "/dvc:pnpdr"
	if options != "" {
		dvc += "," + options
	}
	return servertest.ClientOptions{
		Binary:  f.binary,
		Addr:    f.server.Addr().String(),
		Display: f.display,
		Plugin:  plugin,
		Args:    append([]string{dvc, "/log-filters:com.freerdp.channels.pnpdr.client:DEBUG"}, args...),
	}
}

// connect starts a client and waits for its session.
func (f *fixture) connect(options string, args ...string) (*servertest.Client, *remote) {
	f.t.Helper()
	c := f.run(options, args...)
	return c, f.next(c)
}

func (f *fixture) next(c *servertest.Client) *remote {
	f.t.Helper()
	select {
	case r := <-f.sessions:
		return r
	case <-c.Done():
		f.t.Fatalf("the client ended instead of connecting: %v", c.Wait())
	case <-time.After(servertest.Patience):
		f.t.Fatal("the client does not connect")
	}
	return nil
}

// device waits for the device with a name.
func (r *remote) device(name string) *server.Device {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, servertest.Patience)
	defer cancel()
	d, err := r.WaitDevice(ctx, func(d *server.Device) bool { return d.Description().Name == name })
	require.NoError(r.t, err, "waiting for %q", name)
	return d
}

// waitCount waits until there are n devices.
func (r *remote) waitCount(n int) []*server.Device {
	r.t.Helper()
	for len(r.Devices()) < n {
		select {
		case <-r.come:
		case <-time.After(servertest.Patience):
			r.t.Fatalf("%d devices, not %d", len(r.Devices()), n)
		}
	}
	return r.Devices()
}

// open opens a handle of a device as Windows would.
func (r *remote) open(name string) *server.Handle {
	r.t.Helper()
	h, err := r.device(name).Open(r.ctx, server.OpenOptions{})
	require.NoError(r.t, err, "opening %q", name)
	return h
}

// finish ends the session from the server and checks that the client has kept
// nothing of it.
func (r *remote) finish(c *servertest.Client) {
	r.t.Helper()
	close(r.end)
	_ = c.Wait() // the exit code tells who disconnected
	requireClean(r.t, c)
}

// requireClean checks the counters that the plugin prints when the last
// reference to a session is dropped.
func requireClean(t *testing.T, c *servertest.Client) {
	t.Helper()
	requireOutput(t, c, "session ended left={Channels:0 Handles:0 Requests:0 Buffers:0 Slots:0 Kept:0} objects=0")
	for _, bad := range []string{"panic", "AddressSanitizer"} {
		if strings.Contains(c.Output(), bad) {
			t.Fatalf("the client printed %q", bad)
		}
	}
}

// requireOutput checks that the client, which has ended, printed text.
func requireOutput(t *testing.T, c *servertest.Client, text string) {
	t.Helper()
	if !strings.Contains(c.Output(), text) {
		t.Fatalf("the client did not print %q", text)
	}
}

const fakeDevice = "Ts Fake Device"

// hresult asserts that err is the given HRESULT from the client.
func hresult(t *testing.T, want pnp.HRESULT, err error) {
	t.Helper()
	var got pnp.HRESULT
	require.ErrorAs(t, err, &got)
	require.Equal(t, want.Name(), got.Name())
}
