// SPDX-License-Identifier: Apache-2.0

// Package xrdp opens dynamic channels from inside a session of xrdp, unmodified,
// versions 0.9.21 and 0.10. It speaks the protocol of xrdp's xrdpapi library to the
// session's helper, xrdp-chansrv, over one Unix socket for each channel.
//
// What chansrv does with a channel decides how this package is made:
//
//   - It makes a message of whatever one recv returns, 32 KiB at most, and recv joins
//     what waits in the socket. So a message is not longer than that, and each carries a
//     descriptor: ancillary data ends a recv (unix(7)), even one that is still running
//     when the next message comes.
//   - What the client sends comes as a stream. A framer.Framer cuts it.
//   - It waits for all its sockets with arrays of 32 entries and does not check that
//     they fit. A few are its own. So there is a limit of channels, far below the 255
//     that xrdp has numbers for.
//   - It tells nobody when the client closes a channel or goes. So a Session asks the
//     client from time to time, on a channel of its own. While no client is
//     connected, chansrv closes the socket of everyone who writes. If another client
//     takes over at once, the old channels are silent and a new one is not.
//   - After a reconnection old sockets lead nowhere: the Session is over.
package xrdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/insession"
)

const (
	// maxMessage is what one recv of chansrv takes.
	maxMessage = 32 << 10

	// maxChannels of one Session, the one for asking the client included. Other
	// programs in the session may have channels, too.
	maxChannels = 16

	// backlogWait is the time between two attempts to connect while chansrv is busy.
	backlogWait = 10 * time.Millisecond
)

var (
	// ErrTooManyChannels is returned by Open: xrdp could not serve another channel. It
	// wraps EMFILE.
	ErrTooManyChannels = fmt.Errorf("%d channels are open, xrdp has no room for more: %w", maxChannels, unix.EMFILE)

	errNoClient = fmt.Errorf("xrdp serves no channel: no client is connected, or too many channels are open: %w", channels.ErrClosed)
	errEnded    = fmt.Errorf("the session was closed: %w", channels.ErrClosed)
	errSilent   = fmt.Errorf("the client does not answer any more: %w", channels.ErrClosed)
	errReplaced = fmt.Errorf("another client has taken over the session: %w", channels.ErrClosed)
	errGone     = fmt.Errorf("the client has gone: %w", channels.ErrClosed)
)

// Server implements insession.Server for xrdp. The zero value is ready for use.
type Server struct {
	// OpenTimeout is how long the client may take to accept a channel; 0 means
	// 30 seconds.
	OpenTimeout time.Duration

	// ProbeInterval is the time between two questions to the client; 0 means 2
	// seconds. ProbeTimeout is for how long nothing at all may come from the
	// client when it owes an answer; 0 means 15 seconds.
	ProbeInterval time.Duration
	ProbeTimeout  time.Duration
}

// Name implements insession.Server.
func (Server) Name() string { return "xrdp" }

// Inside implements insession.Server.
func (Server) Inside(env func(string) string) error {
	_, err := socketPath(env)
	return err
}

// Join implements insession.Server. It asks the client for its version on a
// FileRedirectorChannel, and keeps that channel.
func (v Server) Join(ctx context.Context, env func(string) string, log *slog.Logger) (insession.Session, error) {
	path, err := socketPath(env)
	if err != nil {
		return nil, err
	}
	v.setDefaults()
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.Level(127)}))
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	s := &session{
		cfg: v, path: path, log: log, null: null,
		barrier:  unix.UnixRights(int(null.Fd())),
		done:     make(chan struct{}),
		doubt:    make(chan struct{}, 1),
		channels: make(map[*channel]struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.startProbe(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (v *Server) setDefaults() {
	setDefault(&v.OpenTimeout, 30*time.Second)
	setDefault(&v.ProbeInterval, 2*time.Second)
	setDefault(&v.ProbeTimeout, 15*time.Second)
}

func setDefault(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

// session is a session of xrdp while one client is connected.
type session struct {
	cfg  Server
	path string
	log  *slog.Logger

	// null is sent along with each message; barrier is the ancillary data.
	null    *os.File
	barrier []byte

	heard atomic.Uint64 // bytes from the client
	doubt chan struct{} // has a value if the client may have gone

	// ctx ends with the session.
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	err      error // why the session is over
	opening  int
	channels map[*channel]struct{}
	// active counts the opens under way, the channels and the probe. It grows only
	// while err is nil.
	active sync.WaitGroup
	closed sync.Once
}

// Done implements insession.Session.
func (s *session) Done() <-chan struct{} { return s.done }

// Err implements insession.Session.
func (s *session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close implements insession.Session.
func (s *session) Close() {
	s.end(errEnded)
	s.active.Wait()
	s.closed.Do(func() { _ = s.null.Close() })
}

// end ends the session because of err, which wraps ErrClosed. Only the first call
// counts.
func (s *session) end(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	list := make([]*channel, 0, len(s.channels))
	for ch := range s.channels {
		list = append(list, ch)
	}
	s.mu.Unlock()
	s.cancel()
	close(s.done)
	for _, ch := range list {
		ch.Close()
	}
}

func (s *session) forget(ch *channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.channels, ch)
}

// Open implements channels.Opener.
func (s *session) Open(ctx context.Context, name string, attach func(channels.ServerConn) channels.Receiver) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	switch {
	case s.err != nil:
		s.mu.Unlock()
		return s.err
	case s.opening+len(s.channels) >= maxChannels:
		s.mu.Unlock()
		return ErrTooManyChannels
	}
	s.opening++
	s.active.Add(1)
	s.mu.Unlock()
	defer s.active.Done()

	conn, err := s.dial(ctx, name)
	s.mu.Lock()
	s.opening--
	var sock *socket
	switch {
	case err == nil && s.err != nil:
		_ = conn.Close()
		err = s.err
	case err == nil:
		sock, err = newSocket(conn)
	}
	if err != nil {
		s.mu.Unlock()
		if errors.Is(err, errNoClient) {
			s.suspect()
		}
		return err
	}
	ch := newChannel(s, name, sock)
	s.channels[ch] = struct{}{}
	s.active.Add(1)
	s.mu.Unlock()

	ch.receiver = attach(ch)
	go ch.run()
	return nil
}

// dial opens a socket and has chansrv open a channel on it.
func (s *session) dial(ctx context.Context, name string) (*net.UnixConn, error) {
	patience, cancel := context.WithTimeout(ctx, s.cfg.OpenTimeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	c, err := s.connect(patience)
	if err == nil {
		conn := c.(*net.UnixConn)
		if err = s.handshake(patience, conn, name); err == nil {
			return conn, nil
		}
		_ = conn.Close()
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case s.ctx.Err() != nil:
		err = s.Err()
	case patience.Err() != nil:
		err = fmt.Errorf("opening %s: no answer from the client: %w", name, patience.Err())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		err = errNoClient
	}
	return nil, err
}

// connect connects to chansrv. It waits while chansrv's backlog is full: there is room for
// three who have not been accepted yet.
func (s *session) connect(ctx context.Context) (net.Conn, error) {
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", s.path)
		if !errors.Is(err, unix.EAGAIN) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(backlogWait):
		}
	}
}

// handshake asks for a dynamic channel and waits for the client's answer.
func (s *session) handshake(ctx context.Context, conn *net.UnixConn, name string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := s.prepare(conn); err != nil {
		return err
	}
	if _, err := conn.Write(hello(name)); err != nil {
		return err
	}
	var status [4]byte
	if _, err := io.ReadFull(conn, status[:]); err != nil {
		return err
	}
	if status != [4]byte{} {
		return channels.ErrRefused
	}
	if !stop() {
		return ctx.Err() // the deadline has been set or is being set
	}
	return nil
}

// prepare checks who listens, and sees to it that the kernel keeps a message in one
// piece: one of up to half the send buffer is not divided.
func (s *session) prepare(conn *net.UnixConn) error {
	if err := conn.SetWriteBuffer(4 * maxMessage); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			failed = err
			return
		}
		// Before 0.10 everyone may create sockets in the folder.
		if uid := os.Geteuid(); int(peer.Uid) != uid {
			failed = fmt.Errorf("%s belongs to user %d, not %d", s.path, peer.Uid, uid)
			return
		}
		size, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
		if err == nil && size < 3*maxMessage {
			err = fmt.Errorf("the system allows a send buffer of %d bytes only", size)
		}
		failed = err
	})
	return errors.Join(err, failed)
}

// hello is what WTSVirtualChannelOpenEx of xrdpapi sends.
func hello(name string) []byte {
	const dynamic = 1
	b := le.AppendUint32(nil, uint32(4+4+4+len(name)+4))
	b = le.AppendUint32(b, 0) // version
	b = le.AppendUint32(b, uint32(len(name)))
	b = append(b, name...)
	return le.AppendUint32(b, dynamic)
}
