// SPDX-License-Identifier: Apache-2.0

package unixsock_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/unixsock"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// acceptor refuses all channels but one, whose receiver it is.
type acceptor struct {
	name   string
	conn   chan channels.Conn
	got    chan []byte
	closed chan struct{}
}

func newAcceptor(name string) *acceptor {
	return &acceptor{name, make(chan channels.Conn, 1), make(chan []byte, 100), make(chan struct{})}
}

func (a *acceptor) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	if name != a.name {
		return nil, channels.ErrRefused
	}
	a.conn <- conn
	return a, nil
}

func (a *acceptor) Receive(msg []byte) error {
	a.got <- append([]byte(nil), msg...)
	return nil
}

func (a *acceptor) Closed() { close(a.closed) }

// serve accepts connections at a path until the test ends.
func serve(t *testing.T, a unixsock.Acceptor) (path string) {
	path = filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- unixsock.Serve(ctx, l, a, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return path
}

func dialer(t *testing.T, path string) *unixsock.Dialer {
	d := unixsock.NewDialer(func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	})
	t.Cleanup(d.Close)
	return d
}

// TestRoles: a session of both roles.
func TestRoles(t *testing.T) {
	devices := client.NewSession(client.Config{})
	id, err := devices.Add(loopback.New(loopback.DefaultDescription()))
	require.NoError(t, err)
	defer func() { require.NoError(t, devices.Close(context.Background())) }()
	path := serve(t, devices)
	for range 2 { // the second session after the first
		d := dialer(t, path)
		s := server.New(d, server.Config{})
		ctx := context.Background()
		require.NoError(t, s.Start(ctx))
		require.NoError(t, s.LoggedOn())
		dev, err := s.WaitDevice(ctx, nil)
		require.NoError(t, err)
		require.Equal(t, id, dev.ID())
		h, err := dev.Open(ctx, server.OpenOptions{})
		require.NoError(t, err)
		data, back := make([]byte, loopback.Size), make([]byte, loopback.Size)
		for i := range data {
			data[i] = byte(i * 7 >> 3)
		}
		_, err = h.WriteAt(ctx, data, 0)
		require.NoError(t, err)
		_, err = h.ReadAt(ctx, back, 0)
		require.NoError(t, err)
		require.Equal(t, data, back)
		s.Close()
		d.Close()
	}
}

// TestMessages: messages arrive whole and in order, and closing tells both ends.
func TestMessages(t *testing.T) {
	a, b := newAcceptor("PNPDR"), newAcceptor("")
	d := dialer(t, serve(t, a))
	var conn channels.ServerConn
	require.NoError(t, d.Open(context.Background(), "PNPDR", func(c channels.ServerConn) channels.Receiver { conn = c; return b }))
	require.ErrorIs(t, conn.Send(make([]byte, unixsock.MaxMessage+1)), channels.ErrTooLong)
	accepted := <-a.conn
	var size uint64
	for _, n := range []int{1, 4, 65536, 1 << 20, 3} {
		size += uint64(channels.WireSize(n))
		msg := []byte(strings.Repeat("x", n))
		require.NoError(t, conn.Send(msg))
		require.Equal(t, msg, <-a.got)
		require.NoError(t, accepted.Send(msg))
		require.Equal(t, msg, <-b.got)
	}
	// It is counted after it was written, when the other end may have it already.
	require.Eventually(t, func() bool {
		sent, err := accepted.Sent()
		return err == nil && sent == size
	}, time.Minute, time.Millisecond)
	conn.Close()
	<-a.closed
	<-b.closed
	require.ErrorIs(t, conn.Send([]byte("x")), channels.ErrClosed)
	require.ErrorIs(t, accepted.Send([]byte("x")), channels.ErrClosed)
	_, err := accepted.Sent()
	require.ErrorIs(t, err, channels.ErrClosed)
}

// TestRefused: a channel that is not wanted is closed.
func TestRefused(t *testing.T) {
	b := newAcceptor("")
	d := dialer(t, serve(t, newAcceptor("PNPDR")))
	require.NoError(t, d.Open(context.Background(), "FileRedirectorChannel", func(channels.ServerConn) channels.Receiver { return b }))
	<-b.closed
}

// TestNoReader: what waits for a peer that does not read is bounded.
func TestNoReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	b := newAcceptor("")
	var conn channels.ServerConn
	d := dialer(t, path)
	require.NoError(t, d.Open(context.Background(), "PNPDR", func(c channels.ServerConn) channels.Receiver { conn = c; return b }))
	msg := make([]byte, 8<<20)
	for n := 0; err == nil; n++ {
		require.Less(t, n, 100)
		err = conn.Send(msg)
	}
	require.ErrorIs(t, err, channels.ErrClosed)
	<-b.closed
}

// TestStrangers: a connection that says nothing that can be understood is closed.
func TestStrangers(t *testing.T) {
	for name, says := range map[string]string{
		"no name":    "\x00\x00\x00\x00",
		"long name":  "\x16\x00\x00\x00FileRedirectorChannel2",
		"other name": "\x07\x00\x00\x00cliprdr",
		"no message": "\x05\x00\x00\x00PNPDR\x00\x00\x00\x00",
		"too much":   "\x05\x00\x00\x00PNPDR\xFF\xFF\xFF\xFF",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("unix", serve(t, newAcceptor("PNPDR")))
			require.NoError(t, err)
			defer c.Close()
			_, err = io.WriteString(c, says)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, c)
		})
	}
}

// FuzzReceive: no bytes of the other end do more than end the channel.
func FuzzReceive(f *testing.F) {
	f.Add([]byte("\x05\x00\x00\x00PNPDR\x14\x00\x00\x00"))
	f.Add(binary.LittleEndian.AppendUint32(nil, 1<<31))
	f.Fuzz(func(t *testing.T, says []byte) {
		s := client.NewSession(client.Config{})
		defer func() { require.NoError(t, s.Close(context.Background())) }()
		_, err := s.Add(loopback.New(pnp.Description{Name: "x", HardwareIDs: []string{"x"}}))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		l := &one{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		ours, theirs := net.Pipe()
		l.conn <- theirs
		ended := make(chan error, 1)
		go func() { ended <- unixsock.Serve(ctx, l, s, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
		read := make(chan struct{})
		go func() { defer close(read); _, _ = io.Copy(io.Discard, ours) }()
		_, _ = ours.Write(says)
		ours.Close()
		<-read
		cancel()
		require.NoError(t, <-ended)
	})
}

// one is a listener with one connection.
type one struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *one) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *one) Addr() net.Addr { return &net.UnixAddr{} }
