// SPDX-License-Identifier: Apache-2.0

// Package server is an RDP server for Go programs that use dynamic virtual
// channels. It is built on FreeRDP's server library, 3.x by default and 2.11 with
// the build tag freerdp2. FreeRDP does TLS, the connection sequence and DRDYNVC;
// the caller does what goes over the channels.
//
// # Threads
//
// Each client has one OS thread of its own, locked to the goroutine that runs
// Peer.run. It makes all of the client's FreeRDP calls and all calls of its
// Receivers; see peer_loop.go. Other goroutines put commands into a queue.
//
// # Memory
//
// No Go value is passed to C for longer than one call, and C never calls Go.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config configures a Server.
type Config struct {
	// CertFile and KeyFile name the PEM files of the TLS certificate and its
	// private key. If both are empty, the Server makes a certificate for
	// itself.
	CertFile, KeyFile string

	// Log takes the log; nil means slog.Default().
	Log *slog.Logger

	// MaxMessage is how many bytes one message of a client may have. A client
	// that announces more is disconnected, since FreeRDP allocates what is
	// announced. 0 means 65 MiB; more than 4 GiB is not possible.
	MaxMessage int

	// MaxMessages is how many bytes the messages of a client may have on all open
	// channels together. The longest one of each channel counts, since FreeRDP keeps
	// as much memory until the channel is closed. A client that announces more is
	// disconnected. 0 means 512 MiB, or MaxMessage if that is more.
	MaxMessages int

	// Pending is how many clients may be in the connection sequence at a time; 0
	// means 32. One more ends the one that has been in it for longest.
	Pending int

	// ConnectTimeout is how long the connection sequence of a client may take; 0
	// means 30 seconds. FreeRDP would wait for ever in the TLS handshake.
	ConnectTimeout time.Duration

	// Session is called for each client, on a goroutine of its own, once
	// dynamic channels can be opened. ctx ends when the client has gone. When
	// Session returns, the client is disconnected.
	Session func(ctx context.Context, p *Peer)
}

const (
	defaultMaxMessage  = 65 << 20
	defaultMaxMessages = 512 << 20
	defaultPending     = 32

	defaultConnectTimeout = 30 * time.Second
)

// Server accepts RDP clients. Its methods may be called from any goroutine.
type Server struct {
	cfg       Config
	log       *slog.Logger
	cert, key []byte // PEM
	ln        net.Listener

	mu      sync.Mutex
	peers   map[*Peer]struct{} // guarded by mu
	pending []*Peer            // guarded by mu; those in the connection sequence, the oldest first
	closed  bool               // guarded by mu; no more peers are added

	running sync.WaitGroup // the accepting goroutine and the peers
}

// Listen starts a server on the TCP address addr. It fails if the address is
// not available, or if the certificate and its key cannot be used.
func Listen(addr string, cfg Config) (*Server, error) {
	if cfg.Session == nil {
		return nil, errors.New("server: Config.Session is nil")
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = defaultMaxMessage
	}
	if cfg.MaxMessages == 0 {
		cfg.MaxMessages = max(defaultMaxMessages, cfg.MaxMessage)
	}
	if cfg.Pending == 0 {
		cfg.Pending = defaultPending
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	if cfg.Pending < 0 {
		return nil, fmt.Errorf("server: Config.Pending %d is not possible", cfg.Pending)
	}
	if cfg.MaxMessage < 0 || uint64(cfg.MaxMessage) > math.MaxUint32 {
		return nil, fmt.Errorf("server: Config.MaxMessage %d is not possible", cfg.MaxMessage)
	}
	if cfg.MaxMessages < 0 {
		return nil, fmt.Errorf("server: Config.MaxMessages %d is not possible", cfg.MaxMessages)
	}
	cert, key, err := identity(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	initOnce()
	s := &Server{
		cfg:   cfg,
		log:   cfg.Log,
		cert:  cert,
		key:   key,
		ln:    ln,
		peers: make(map[*Peer]struct{}),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.running.Add(1)
	go s.accept()
	return s, nil
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Close stops the server: it accepts no more clients, disconnects those that
// are connected, and waits until their Sessions have returned and their threads
// and memory are gone. Further calls wait as well. Close must not be called
// from a Session or a Receiver.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for p := range s.peers {
		p.Disconnect()
	}
	s.mu.Unlock()
	err := s.ln.Close()
	s.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}

func (s *Server) accept() {
	defer s.running.Done()
	for {
		conn, err := s.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Most likely there are no descriptors left, which passes.
			s.log.Error("accepting a client failed", "err", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err := s.serve(conn.(*net.TCPConn)); err != nil {
			s.log.Error("serving a client failed", "peer", conn.RemoteAddr(), "err", err)
		}
	}
}

// serve starts the peer for conn, and closes conn.
func (s *Server) serve(conn *net.TCPConn) error {
	defer conn.Close()
	// FreeRDP needs a descriptor that nobody else reads, writes or closes. The
	// Peer keeps another one to shut down the connection from any goroutine.
	sockfd, err := dup(conn)
	if err != nil {
		return err
	}
	shutfd, err := dup(conn)
	if err != nil {
		unix.Close(sockfd)
		return err
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(sockfd)
		unix.Close(shutfd)
		return fmt.Errorf("making an eventfd: %w", err)
	}
	p := newPeer(s, conn.RemoteAddr(), shutfd, wakefd)
	if !s.admit(p) {
		unix.Close(sockfd)
		p.release()
		return nil
	}
	go func() {
		defer s.running.Done()
		p.run(sockfd)
		s.established(p)
		s.mu.Lock()
		delete(s.peers, p)
		s.mu.Unlock()
		close(p.gone)
	}()
	return nil
}

// admit takes in a peer, and makes room for it among those in the connection
// sequence. It reports false if the server is closed.
func (s *Server) admit(p *Peer) bool {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return false
		}
		if len(s.pending) < s.cfg.Pending {
			s.peers[p] = struct{}{}
			s.pending = append(s.pending, p)
			s.running.Add(1)
			s.mu.Unlock()
			return true
		}
		oldest := s.pending[0]
		oldest.Kill()
		s.mu.Unlock()
		oldest.log.Debug("client is disconnected: it does not complete the connection sequence, and others wait")
		// Wait, so that those that are ending are few, too.
		<-oldest.gone
	}
}

// established says that a peer has left the connection sequence.
func (s *Server) established(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.pending, p); i >= 0 {
		s.pending = slices.Delete(s.pending, i, i+1)
	}
}

func dup(conn *net.TCPConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(s uintptr) {
		fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = dupErr
	}
	if err != nil {
		return -1, fmt.Errorf("duplicating the socket: %w", err)
	}
	return fd, nil
}
