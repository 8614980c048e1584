// SPDX-License-Identifier: Apache-2.0

// Package server is an RDP server for Go programs that speak over dynamic
// virtual channels. It stands on FreeRDP's server library, 3.x by default and
// 2.11 with the build tag freerdp2, and adds nothing to the protocol: TLS,
// the connection sequence and DRDYNVC are FreeRDP's, the channels' contents
// are the caller's.
//
// # Threads
//
// Each client has one OS thread of its own, held by the goroutine that runs
// Peer.run. It makes all of the client's FreeRDP calls and all calls of its
// Receivers; see peer_loop.go. Other goroutines leave their wishes in a queue.
//
// # Memory
//
// No Go value is handed to C for longer than one call, and C never calls Go.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config tells how a Server serves.
type Config struct {
	// CertFile and KeyFile name the PEM files of the TLS certificate and its
	// private key. Both empty: a certificate made for this Server.
	CertFile, KeyFile string

	// Log takes what happens; nil means slog.Default().
	Log *slog.Logger

	// Session is called, on a goroutine of its own, for each client once
	// dynamic channels can be opened. ctx ends when the client goes. When
	// Session returns the client is disconnected.
	Session func(ctx context.Context, p *Peer)
}

// Server accepts RDP clients. Its methods may be called from any goroutine.
type Server struct {
	cfg       Config
	log       *slog.Logger
	cert, key []byte // PEM
	ln        net.Listener

	mu     sync.Mutex
	peers  map[*Peer]struct{} // guarded by mu
	closed bool               // guarded by mu; no peer is added any more

	running sync.WaitGroup // the accepting goroutine and the peers
}

// Listen starts a server on the TCP address addr. It fails if the address
// cannot be had, or the certificate and its key cannot be used.
func Listen(addr string, cfg Config) (*Server, error) {
	if cfg.Session == nil {
		return nil, errors.New("server: Config.Session is nil")
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
// are there, and waits until their Sessions have returned and their threads
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
			// Out of descriptors, as a rule: it passes.
			s.log.Error("cannot accept a client", "error", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err := s.serve(conn.(*net.TCPConn)); err != nil {
			s.log.Error("cannot serve a client", "peer", conn.RemoteAddr(), "error", err)
		}
	}
}

// serve starts the peer at the other end of conn, and closes conn.
func (s *Server) serve(conn *net.TCPConn) error {
	defer conn.Close()
	// FreeRDP wants a descriptor that it alone reads, writes and closes; the
	// Peer keeps one to shut the connection down from any goroutine.
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
		return fmt.Errorf("eventfd: %w", err)
	}
	p := newPeer(s, conn.RemoteAddr(), shutfd, wakefd)

	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.peers[p] = struct{}{}
		s.running.Add(1)
	}
	s.mu.Unlock()
	if closed {
		unix.Close(sockfd)
		p.release()
		return nil
	}
	go func() {
		defer s.running.Done()
		p.run(sockfd)
		s.mu.Lock()
		delete(s.peers, p)
		s.mu.Unlock()
	}()
	return nil
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
		return -1, fmt.Errorf("duplicate socket: %w", err)
	}
	return fd, nil
}
