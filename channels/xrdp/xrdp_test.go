// SPDX-License-Identifier: Apache-2.0

package xrdp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/channels/xrdp/xrdptest"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const watchdog = 20 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	return ctx
}

// await returns the next value of c, or the zero value if it is closed.
func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(watchdog):
		t.Fatalf("%s does not come", what)
		panic("unreachable")
	}
}

func newClient(t *testing.T) *client.Session {
	c := client.NewSession(client.Config{})
	_, err := c.Add(loopback.New(loopback.DefaultDescription()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(within(t))) })
	return c
}

func join(t *testing.T, f *xrdptest.Chansrv, v xrdp.Server) insession.Session {
	t.Helper()
	s, err := insession.Join(within(t), f.Env, nil, v)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// quiet asks the client only when there is a reason.
var quiet = xrdp.Server{ProbeInterval: time.Hour}

// receiver is the server's end of a channel in tests without the server role.
type receiver struct {
	conn     channels.ServerConn
	messages chan []byte
	closed   chan struct{}
}

func open(t *testing.T, s insession.Session, name string) *receiver {
	t.Helper()
	r := &receiver{messages: make(chan []byte, 1<<12), closed: make(chan struct{})}
	require.NoError(t, s.Open(within(t), name, func(conn channels.ServerConn) channels.Receiver {
		r.conn = conn
		return r
	}))
	return r
}

func (r *receiver) Receive(msg []byte) error {
	r.messages <- bytes.Clone(msg)
	return nil
}

func (r *receiver) Closed() { close(r.closed) }

// recorder is a client that answers the first Capabilities Request of each channel
// and keeps everything that it gets.
type recorder struct {
	messages chan []byte
	refuse   bool
}

type recorderEnd struct {
	*recorder
	conn channels.Conn
	once *sync.Once
}

func (c *recorder) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	if c.refuse {
		return nil, errors.New("refused")
	}
	return recorderEnd{c, conn, new(sync.Once)}, nil
}

func (e recorderEnd) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.IOToClient)
	if err == nil && m.Kind == wire.KindCapabilitiesRequest {
		err = e.conn.Send(wire.CapabilitiesReply{RequestID: m.RequestID, Version: 6}.Append(nil))
	}
	e.messages <- bytes.Clone(msg)
	return err
}

func (recorderEnd) Closed() {}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	good := map[string]string{"XRDP_SESSION": "1", "XRDP_SOCKET_PATH": dir, "DISPLAY": ":10.0"}
	for _, without := range []struct{ key, value string }{
		{"XRDP_SESSION", ""}, {"XRDP_SOCKET_PATH", ""}, {"DISPLAY", ""},
		{"DISPLAY", "localhost:10.0"}, {"DISPLAY", ":x"}, {"DISPLAY", ":-1"}, {"DISPLAY", ":../../x"},
	} {
		_, err := insession.Join(within(t), func(key string) string {
			if key == without.key {
				return without.value
			}
			return good[key]
		}, nil, xrdp.Server{})
		assert.ErrorIs(t, err, insession.ErrNotInSession, "%v", without)
		assert.ErrorContains(t, err, "xrdp")
	}
	// It is a session, but nobody listens.
	for _, display := range []string{":10.0", ":10"} {
		good["DISPLAY"] = display
		_, err := insession.Join(within(t), func(key string) string { return good[key] }, nil, xrdp.Server{})
		assert.ErrorIs(t, err, os.ErrNotExist)
		assert.ErrorContains(t, err, dir+"/xrdpapi_10")
	}
}

// TestMessagesStayApart: what is sent without waiting arrives message by message.
func TestMessagesStayApart(t *testing.T) {
	c := &recorder{messages: make(chan []byte, 1<<12)}
	s := join(t, xrdptest.New(t, c), quiet)
	await(t, c.messages, "the probe")
	r := open(t, s, channels.FileRedirectorChannel)
	var want [][]byte
	for id := range wire.RequestID(1000) {
		n := rand.IntN(300)
		if id%5 == 0 {
			n = rand.IntN(r.conn.MaxMessage() - wire.WriteRequestSize + 1)
		}
		if id == 500 {
			n = r.conn.MaxMessage() - wire.WriteRequestSize
		}
		msg := wire.WriteRequest{RequestID: id, Data: make([]byte, n)}.Append(nil)
		want = append(want, msg)
		require.NoError(t, r.conn.Send(msg))
	}
	for i := range want {
		got := await(t, c.messages, "a message")
		if !bytes.Equal(want[i], got) {
			t.Fatalf("message %d of %d bytes arrived as one of %d", i, len(want[i]), len(got))
		}
	}
	long := wire.WriteRequest{RequestID: 1 << 20, Data: make([]byte, r.conn.MaxMessage()-wire.WriteRequestSize+1)}.Append(nil)
	assert.ErrorIs(t, r.conn.Send(long), channels.ErrTooLong)
}

func TestRefused(t *testing.T) {
	f := xrdptest.New(t, &recorder{refuse: true})
	_, err := insession.Join(within(t), f.Env, nil, quiet)
	assert.ErrorIs(t, err, channels.ErrRefused)
}

func TestNoClient(t *testing.T) {
	f := xrdptest.New(t, nil)
	_, err := insession.Join(within(t), f.Env, nil, quiet)
	assert.ErrorIs(t, err, channels.ErrClosed)
}

func unexpected(t *testing.T) func(channels.ServerConn) channels.Receiver {
	return func(channels.ServerConn) channels.Receiver {
		t.Error("attached")
		return nil
	}
}

func TestOpenEnds(t *testing.T) {
	t.Run("its context", func(t *testing.T) {
		f := xrdptest.New(t, newClient(t))
		s := join(t, f, quiet)
		f.Silence()
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- s.Open(ctx, channels.PNPDR, unexpected(t)) }()
		for f.Conns() < 2 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		assert.ErrorIs(t, await(t, result, "Open"), context.Canceled)
		assert.ErrorIs(t, s.Open(ctx, channels.PNPDR, unexpected(t)), context.Canceled)
	})
	t.Run("the timeout", func(t *testing.T) {
		f := xrdptest.New(t, newClient(t))
		f.Silence()
		_, err := xrdp.Server{OpenTimeout: 10 * time.Millisecond}.Join(within(t), f.Env, nil)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, channels.FileRedirectorChannel)
	})
	t.Run("the session", func(t *testing.T) {
		f := xrdptest.New(t, newClient(t))
		s := join(t, f, quiet)
		f.Silence()
		result := make(chan error, 1)
		go func() { result <- s.Open(context.Background(), channels.PNPDR, unexpected(t)) }()
		for f.Conns() < 2 {
			time.Sleep(time.Millisecond)
		}
		s.Close()
		assert.ErrorIs(t, await(t, result, "Open"), channels.ErrClosed)
		assert.ErrorIs(t, s.Open(within(t), channels.PNPDR, unexpected(t)), channels.ErrClosed)
	})
}

// TestBusyChansrv: whoever finds the backlog full waits, as long as for an answer.
func TestBusyChansrv(t *testing.T) {
	f := xrdptest.New(t, newClient(t))
	s := join(t, f, quiet)
	done := f.Busy()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, s.Open(ctx, channels.PNPDR, unexpected(t)), context.DeadlineExceeded)
	opened := make(chan error, 1)
	go func() {
		opened <- s.Open(within(t), channels.PNPDR, func(conn channels.ServerConn) channels.Receiver {
			return &receiver{conn: conn, messages: make(chan []byte, 1<<12), closed: make(chan struct{})}
		})
	}()
	done()
	assert.NoError(t, await(t, opened, "Open"))
}

// TestTooManyChannels: chansrv is not asked for more than it survives, and the place
// of a channel that has ended is free.
func TestTooManyChannels(t *testing.T) {
	s := join(t, xrdptest.New(t, newClient(t)), quiet)
	var list []*receiver
	for range 15 {
		list = append(list, open(t, s, channels.FileRedirectorChannel))
	}
	err := s.Open(within(t), channels.FileRedirectorChannel, unexpected(t))
	assert.ErrorIs(t, err, xrdp.ErrTooManyChannels)
	list[3].conn.Close()
	await(t, list[3].closed, "Closed")
	open(t, s, channels.FileRedirectorChannel)
	assert.ErrorIs(t, list[3].conn.Send(wire.CapabilitiesRequest{}.Append(nil)), channels.ErrClosed)
}

// TestClientGoes: the session finds out, and all channels end.
func TestClientGoes(t *testing.T) {
	for name, test := range map[string]struct {
		v    xrdp.Server
		what func(*xrdptest.Chansrv)
		err  string
	}{
		"nobody is connected": {xrdp.Server{ProbeInterval: time.Millisecond}, func(f *xrdptest.Chansrv) { f.Connect(nil) }, "has gone"},
		"another client":      {xrdp.Server{ProbeInterval: time.Millisecond, ProbeTimeout: 6 * time.Second}, func(f *xrdptest.Chansrv) { f.Connect(newClient(t)) }, "another client"},
		"a client without us": {xrdp.Server{ProbeInterval: time.Millisecond, ProbeTimeout: 6 * time.Second}, func(f *xrdptest.Chansrv) { f.Connect(&recorder{refuse: true}) }, "another client"},
		"no answer":           {xrdp.Server{ProbeInterval: time.Millisecond, ProbeTimeout: time.Second}, (*xrdptest.Chansrv).Silence, "does not answer"},
		"chansrv ends":        {quiet, (*xrdptest.Chansrv).Close, "has gone"},
	} {
		t.Run(name, func(t *testing.T) {
			f := xrdptest.New(t, newClient(t))
			s := join(t, f, test.v)
			r := open(t, s, channels.FileRedirectorChannel)
			require.NoError(t, s.Err())
			test.what(f)
			await(t, s.Done(), "the end of the session")
			assert.ErrorIs(t, s.Err(), channels.ErrClosed)
			assert.ErrorContains(t, s.Err(), test.err)
			await(t, r.closed, "Closed")
			assert.ErrorIs(t, s.Open(within(t), channels.PNPDR, unexpected(t)), channels.ErrClosed)
			s.Close()
		})
	}
}

// TestClientGoesOwingAnAnswer: it was asked just before, and nothing more is written to
// the channel.
func TestClientGoesOwingAnAnswer(t *testing.T) {
	f := xrdptest.New(t, newClient(t))
	s := join(t, f, xrdp.Server{ProbeInterval: time.Millisecond, ProbeTimeout: 6 * time.Second})
	f.Silence()
	time.Sleep(20 * time.Millisecond) // the question is on its way
	f.Connect(nil)
	await(t, s.Done(), "the end of the session")
	assert.ErrorContains(t, s.Err(), "the client has gone")
}

// TestUseFindsOut: while there is no client, chansrv closes the socket of whoever
// writes or opens a channel, and that is reason enough to ask.
func TestUseFindsOut(t *testing.T) {
	for name, use := range map[string]func(t *testing.T, s insession.Session, r *receiver){
		"a message": func(t *testing.T, _ insession.Session, r *receiver) {
			require.NoError(t, r.conn.Send(wire.CapabilitiesRequest{}.Append(nil)))
		},
		"a new channel": func(t *testing.T, s insession.Session, _ *receiver) {
			require.ErrorIs(t, s.Open(within(t), channels.PNPDR, unexpected(t)), channels.ErrClosed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := xrdptest.New(t, newClient(t))
			s := join(t, f, quiet)
			r := open(t, s, channels.FileRedirectorChannel)
			f.Connect(nil)
			use(t, s, r)
			await(t, s.Done(), "the end of the session")
		})
	}
}

// TestReconnect: another client gets a session of its own.
func TestReconnect(t *testing.T) {
	f := xrdptest.New(t, newClient(t))
	for range 3 {
		s := join(t, f, xrdp.Server{ProbeInterval: time.Millisecond})
		role := server.New(s, server.Config{})
		h := openDevice(t, role)
		f.Connect(nil)
		await(t, s.Done(), "the end of the session")
		_, err := h.ReadAt(within(t), make([]byte, 1), 0)
		assert.ErrorIs(t, err, channels.ErrClosed)
		role.Close()
		s.Close()
		f.Connect(newClient(t))
	}
}

func openDevice(t *testing.T, role *server.Session) *server.Handle {
	t.Helper()
	require.NoError(t, role.Start(within(t)))
	require.NoError(t, role.LoggedOn())
	d, err := role.WaitDevice(within(t), nil)
	require.NoError(t, err)
	h, err := d.Open(within(t), server.OpenOptions{})
	require.NoError(t, err)
	return h
}

// TestNonsense: bytes that make no sense end their channel, and no other.
func TestNonsense(t *testing.T) {
	f := xrdptest.New(t, newClient(t))
	var log bytes.Buffer
	s, err := quiet.Join(within(t), f.Env, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	info := open(t, s, channels.PNPDR)
	r := open(t, s, channels.FileRedirectorChannel)
	f.Inject(channels.PNPDR, bytes.Repeat([]byte{0xEE}, 100))
	await(t, info.closed, "Closed")
	require.NoError(t, r.conn.Send(wire.CapabilitiesRequest{RequestID: 5, Version: 6}.Append(nil)))
	got := await(t, r.messages, "the reply")
	assert.Equal(t, wire.CapabilitiesReply{RequestID: 5, Version: 6}.Append(nil), got)
	require.NoError(t, s.Err())
	s.Close()
	assert.Contains(t, log.String(), "PacketId")
}

// TestNonsenseAtTheProbe: a client that breaks the protocol there has no session.
func TestNonsenseAtTheProbe(t *testing.T) {
	f := xrdptest.New(t, newClient(t))
	s := join(t, f, quiet)
	f.Inject(channels.FileRedirectorChannel, []byte{1, 2, 3, 4})
	await(t, s.Done(), "the end of the session")
}

// TestTraffic: many requests of all sizes at once, against the client role.
func TestTraffic(t *testing.T) {
	f := xrdptest.New(t, newClient(t))
	s := join(t, f, xrdp.Server{ProbeInterval: time.Millisecond})
	role := server.New(s, server.Config{})
	defer role.Close()
	handles := []*server.Handle{openDevice(t, role)}
	for range 3 {
		h, err := handles[0].Device().Open(within(t), server.OpenOptions{})
		require.NoError(t, err)
		handles = append(handles, h)
	}
	ctx := within(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			h := handles[i%len(handles)]
			off := uint64(i * loopback.Size / 8)
			for range 30 {
				n := rand.IntN(1 << rand.IntN(17))
				data := make([]byte, n)
				for j := range data {
					data[j] = byte(rand.Uint32())
				}
				if got, err := h.WriteAt(ctx, data, off); err != nil || got != n {
					t.Errorf("a write of %d: %d, %v", n, got, err)
					return
				}
				back := make([]byte, n)
				if got, err := h.ReadAt(ctx, back, off); err != nil || got != n || !bytes.Equal(data, back) {
					t.Errorf("a read of %d: %d, %v", n, got, err)
					return
				}
				in, out := data[:min(n, 30_000)], make([]byte, n)
				if got, err := h.IOControl(ctx, loopback.IOCTL_ECHO, in, out); err != nil || !bytes.Equal(in, out[:got]) {
					t.Errorf("an echo of %d: %d, %v", n, got, err)
					return
				}
			}
		}()
	}
	all.Wait()
	// A cancelled request is answered, over this transport too.
	cancelled, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() {
		_, err := handles[0].IOControl(cancelled, loopback.IOCTL_WAIT, binary.LittleEndian.AppendUint32(nil, loopback.Forever), nil)
		result <- err
	}()
	cancel()
	assert.ErrorIs(t, await(t, result, "the reply"), context.Canceled)
	_, err := handles[0].IOControl(ctx, loopback.IOCTL_ECHO, make([]byte, 33_000), nil)
	assert.ErrorIs(t, err, channels.ErrTooLong)
	_, err = handles[0].ReadAt(ctx, make([]byte, 1), 0)
	assert.NoError(t, err)
}

// TestNothingIsLeft: no descriptor outlives its channel or session, on either side,
// and none that was sent along arrives.
func TestNothingIsLeft(t *testing.T) {
	f := xrdptest.New(t, newClient(t))
	join(t, f, quiet).Close() // the runtime's own descriptors
	before := descriptors(t)
	for range 20 {
		s := join(t, f, quiet)
		r := open(t, s, channels.FileRedirectorChannel)
		require.NoError(t, r.conn.Send(wire.CapabilitiesRequest{}.Append(nil)))
		await(t, r.messages, "the reply")
		r.conn.Close()
		await(t, r.closed, "Closed")
		s.Close()
		s.Close()
	}
	for f.Conns() > 0 {
		time.Sleep(time.Millisecond)
	}
	assert.LessOrEqual(t, descriptors(t), before+2, "the fake closes its own a moment later")
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

// TestClient: another client is another one, whether or not there is a time without any.
func TestClient(t *testing.T) {
	f := xrdptest.New(t, nil)
	client := func() string {
		t.Helper()
		c, err := insession.Client(f.Env, xrdp.Server{})
		require.NoError(t, err)
		return c
	}
	require.Empty(t, client())
	f.Connect(newClient(t))
	first := client()
	require.NotEmpty(t, first)
	require.Equal(t, first, client())
	f.Connect(newClient(t))
	require.NotEmpty(t, client())
	require.NotEqual(t, first, client())
	f.Connect(nil)
	require.Empty(t, client())
	_, err := insession.Client(func(string) string { return "" }, xrdp.Server{})
	require.ErrorIs(t, err, insession.ErrNotInSession)
}
