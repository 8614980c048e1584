// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	rdp "freerdp-pnpdr/cshim/server"
	"freerdp-pnpdr/cshim/server/servertest"
)

// libraries are the two plugins, built when they are first needed.
var libraries struct {
	once             sync.Once
	dir              string
	plugin, baseline string
	err              error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if libraries.dir != "" {
		os.RemoveAll(libraries.dir)
	}
	os.Exit(code)
}

// requireLibraries returns the plugin ($PNPDR_PLUGIN, or built from the tree)
// and the one in C.
func requireLibraries(t testing.TB) (plugin, baseline string) {
	t.Helper()
	l := &libraries
	l.once.Do(func() {
		if l.dir, l.err = os.MkdirTemp("", "pnpdr-bench"); l.err != nil {
			return
		}
		l.baseline = filepath.Join(l.dir, "baseline.so")
		if l.err = build(compiler(), "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror",
			"-o", l.baseline, filepath.Join("testdata", "baseline.c")); l.err != nil {
			return
		}
		if l.plugin = os.Getenv("PNPDR_PLUGIN"); l.plugin == "" {
			l.plugin = filepath.Join(l.dir, "libpnpdr-client.so")
			l.err = servertest.BuildPlugin(l.plugin, buildTags)
		}
	})
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l.plugin, l.baseline
}

func compiler() string {
	if cc := os.Getenv("CC"); cc != "" {
		return cc
	}
	return "cc"
}

func build(program string, args ...string) error {
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", program, args, err, out)
	}
	return nil
}

// fixture is a server with a display, for clients of one version.
type fixture struct {
	t       testing.TB
	binary  string
	display string
	server  *rdp.Server
	addr    string // for clients to connect to
	peers   chan *remote
}

// remote is a connected client as the server sees it, until the test ends.
type remote struct {
	t      testing.TB
	ctx    context.Context
	peer   *rdp.Peer
	client *servertest.Client

	// After start.
	session *server.Session
	device  *server.Device
}

// newFixture skips if there is no client of the major version.
func newFixture(t testing.TB, major int) *fixture {
	t.Helper()
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	f := &fixture{t: t, binary: servertest.RequireClient(t, major), peers: make(chan *remote, 1)}
	f.display = servertest.StartDisplay(t)
	s, err := rdp.Listen("127.0.0.1:0", rdp.Config{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Session: func(ctx context.Context, peer *rdp.Peer) {
			f.peers <- &remote{t: t, ctx: ctx, peer: peer}
			<-ctx.Done()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.server, f.addr = s, s.Addr().String()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// connect starts a client with a plugin, "" for none.
func (f *fixture) connect(plugin string, args ...string) *remote {
	f.t.Helper()
	c := servertest.StartClient(f.t, servertest.ClientOptions{
		Binary:  f.binary,
		Addr:    f.addr,
		Display: f.display,
		Plugin:  plugin,
		Args:    args,
	})
	select {
	case r := <-f.peers:
		r.client = c
		f.t.Cleanup(r.leave)
		return r
	case <-c.Done():
		f.t.Fatalf("the client ended instead of connecting:\n%s", c.Output())
	case <-time.After(servertest.Patience):
		f.t.Fatal("the client does not connect")
	}
	return nil
}

const loopbackDevice = "loopback"

// start connects a client with a plugin that redirects a device, and waits for it.
func (f *fixture) start(plugin, device string) *remote {
	f.t.Helper()
	r := f.connect(plugin, "/dvc:pnpdr,"+device)
	s := server.New(r.peer, server.Config{})
	ctx, cancel := context.WithTimeout(r.ctx, servertest.Patience)
	defer cancel()
	err := s.Start(ctx)
	if err == nil {
		err = s.LoggedOn()
	}
	if err == nil {
		r.session = s
		r.device, err = s.WaitDevice(ctx, nil)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// leave ends the session, as the test does otherwise.
func (r *remote) leave() {
	r.peer.Disconnect()
	_ = r.client.Wait() // the exit code tells who disconnected
}

// open opens a handle as Windows does.
func (r *remote) open() *server.Handle {
	r.t.Helper()
	h, err := r.device.Open(r.ctx, server.OpenOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// processorTime returns how much the client has used. It says more than the time
// that passes where a machine does other things as well.
func processorTime(t testing.TB, c *servertest.Client) time.Duration {
	t.Helper()
	var used unix.Timespec
	clock := int32(^c.Pid()<<3 | 2) // CPUCLOCK_SCHED of the process
	if err := unix.ClockGettime(clock, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Nano())
}

// makeFile makes one of 1 MiB, which is in the page cache.
func makeFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
