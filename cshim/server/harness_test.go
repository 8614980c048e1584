// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server"
	"freerdp-pnpdr/cshim/server/servertest"
)

// eachClient runs test with every major version of xfreerdp.
func eachClient(t *testing.T, test func(t *testing.T, f *fixture)) {
	if testing.Short() {
		t.Skip("real sessions are left out of -short")
	}
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("xfreerdp%d", major), func(t *testing.T) {
			binary := servertest.RequireClient(t, major)
			test(t, newFixture(t, binary))
		})
	}
}

// fixture is a server whose Sessions the test directs, on goroutines of its
// own.
type fixture struct {
	t        testing.TB
	binary   string
	server   *server.Server
	display  string
	plugin   string
	sessions chan *session
}

// logWriter writes the server's log to the log of its test.
type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// session is a connected client, until release.
type session struct {
	f    *fixture
	ctx  context.Context
	peer *server.Peer
	end  chan struct{}
}

func newFixture(t testing.TB, binary string) *fixture {
	t.Helper()
	f := &fixture{t: t, binary: binary, sessions: make(chan *session, 8)}
	ignore := goleak.IgnoreCurrent()
	// The clients, the display and the servers have ended by then.
	t.Cleanup(func() {
		if live := server.Live(); live != (server.Counters{}) {
			t.Errorf("alive after Close: %+v", live)
		}
		goleak.VerifyNone(t, ignore)
	})
	f.listen(server.Config{})
	f.display = servertest.StartDisplay(t)
	f.plugin = servertest.BuildLibrary(t, "testdata/echo.c", "libpnpdr-client.so")
	return f
}

// listen makes a server to which later clients connect.
func (f *fixture) listen(cfg server.Config) {
	f.t.Helper()
	cfg.ConnectTimeout = servertest.Patience
	cfg.Log = slog.New(slog.NewTextHandler(logWriter{f.t}, nil))
	cfg.Session = func(ctx context.Context, p *server.Peer) {
		c := &session{f: f, ctx: ctx, peer: p, end: make(chan struct{})}
		f.sessions <- c
		select {
		case <-ctx.Done():
		case <-c.end:
		}
	}
	s, err := server.Listen("127.0.0.1:0", cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = s
	f.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.t.Error(err)
		}
	})
}

// client starts an xfreerdp and waits until channels can be opened.
func (f *fixture) client() (*servertest.Client, *session) {
	f.t.Helper()
	return f.clientWith("/dvc:pnpdr")
}

func (f *fixture) clientWith(args ...string) (*servertest.Client, *session) {
	f.t.Helper()
	c := f.run(args...)
	select {
	case s := <-f.sessions:
		return c, s
	case <-c.Done():
		f.t.Fatalf("the client ended instead of connecting: %v", c.Wait())
	case <-time.After(servertest.Patience):
		f.t.Fatal("the client does not connect")
	}
	return nil, nil
}

func (f *fixture) run(args ...string) *servertest.Client {
	f.t.Helper()
	return servertest.StartClient(f.t, servertest.ClientOptions{
		Binary:  f.binary,
		Addr:    f.server.Addr().String(),
		Display: f.display,
		Plugin:  f.plugin,
		Args:    args,
	})
}

func (s *session) release() { close(s.end) }

func (s *session) ended() {
	s.f.t.Helper()
	wait(s.f.t, s.ctx.Done(), "the session does not end")
}

// open opens a channel that the client accepts.
func (s *session) open(name string) *endpoint {
	s.f.t.Helper()
	e := newEndpoint(s.f.t)
	if err := s.peer.Open(context.Background(), name, e.attach); err != nil {
		s.f.t.Fatalf("open %s: %v", name, err)
	}
	return e
}

// endpoint is a Receiver that keeps messages and checks how it is called.
type endpoint struct {
	t       testing.TB
	conn    channels.ServerConn
	closed  chan struct{}
	arrived chan struct{}          // buffered: gets a value when messages grows
	reject  func(msg []byte) error // nil accepts everything
	discard bool                   // keep nothing

	mu       sync.Mutex // held in every call, to notice concurrent ones
	attached bool
	over     bool

	list     sync.Mutex
	messages [][]byte // guarded by list
}

func newEndpoint(t testing.TB) *endpoint {
	return &endpoint{t: t, closed: make(chan struct{}), arrived: make(chan struct{}, 1)}
}

func (e *endpoint) attach(conn channels.ServerConn) channels.Receiver {
	if !e.mu.TryLock() {
		e.t.Error("attach runs during another call")
		return e
	}
	defer e.mu.Unlock()
	if e.attached {
		e.t.Error("attached twice")
	}
	e.attached = true
	e.conn = conn
	return e
}

func (e *endpoint) Receive(msg []byte) error {
	if !e.mu.TryLock() {
		e.t.Error("Receive runs during another call")
		return nil
	}
	defer e.mu.Unlock()
	if e.over {
		e.t.Error("Receive after Closed")
	}
	if e.reject != nil {
		if err := e.reject(msg); err != nil {
			return err
		}
	}
	if !e.discard {
		e.list.Lock()
		e.messages = append(e.messages, bytes.Clone(msg))
		e.list.Unlock()
		select {
		case e.arrived <- struct{}{}:
		default:
		}
	}
	return nil
}

func (e *endpoint) Closed() {
	if !e.mu.TryLock() {
		e.t.Error("Closed runs during another call")
		return
	}
	defer e.mu.Unlock()
	if e.over {
		e.t.Error("Closed twice")
	}
	e.over = true
	close(e.closed)
}

func (e *endpoint) send(msg []byte) {
	e.t.Helper()
	if err := e.conn.Send(msg); err != nil {
		e.t.Fatalf("send: %v", err)
	}
}

func (e *endpoint) receive() []byte {
	e.t.Helper()
	msg, err := e.next()
	if err != nil {
		e.t.Fatal(err)
	}
	return msg
}

// next returns the next message, for goroutines that must not end the test.
func (e *endpoint) next() ([]byte, error) {
	timeout := time.After(servertest.Patience)
	for {
		e.list.Lock()
		if len(e.messages) > 0 {
			msg := e.messages[0]
			e.messages = e.messages[1:]
			e.list.Unlock()
			return msg, nil
		}
		e.list.Unlock()
		select {
		case <-e.arrived:
		case <-e.closed:
			return nil, errors.New("the channel has closed instead of receiving a message")
		case <-timeout:
			return nil, errors.New("no message arrives")
		}
	}
}

func (e *endpoint) echo(msg []byte) {
	e.t.Helper()
	e.send(msg)
	if got := e.receive(); !bytes.Equal(got, msg) {
		e.t.Fatalf("echo of %d bytes differs: got %d bytes", len(msg), len(got))
	}
}

func wait(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(servertest.Patience):
		t.Fatal(what)
	}
}

// pattern returns n bytes that depend on their position and on seed.
func pattern(n, seed int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}
