// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
)

// Dial connects to the Unix socket at Path. Like OpenNode it makes sure that the socket is
// the one that was allowed, and the path is followed only once. network is "unix" or
// "unixpacket". It waits while the socket's backlog is full, until ctx ends.
func (s *Source) Dial(ctx context.Context, network string) (*Conn, error) {
	node, err := devnode.Hold(s.Path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Path, err)
	}
	defer node.Close()
	if s.Verify != nil {
		if err := s.Verify(node.ID); err != nil {
			return nil, err
		}
	}
	kind := unix.SOCK_STREAM
	if network == "unixpacket" {
		kind = unix.SOCK_SEQPACKET
	}
	c, err := connect(ctx, node.Path(), kind)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Path, err)
	}
	return c, nil
}

// Conn is a connection to a Unix socket. It is not of Go's package net, which does not
// belong in a library in somebody else's process. Its methods are those of a net.UnixConn.
type Conn struct{ *os.File }

// CloseWrite shuts the connection down for writing.
func (s *Conn) CloseWrite() error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	inner := raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) })
	return errors.Join(inner, err)
}

// backlogWait is the time between two attempts to connect while the backlog is full.
const backlogWait = 10 * time.Millisecond

func connect(ctx context.Context, path string, kind int) (*Conn, error) {
	for {
		fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			return &Conn{os.NewFile(uintptr(fd), path)}, nil
		}
		unix.Close(fd)
		if err != unix.EAGAIN {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(backlogWait):
		}
	}
}

// Peer returns whose process is at the other end of a connection: the one that listened.
func Peer(c syscall.Conn) (*unix.Ucred, error) {
	var cred *unix.Ucred
	raw, err := c.SyscallConn()
	if err == nil {
		inner := raw.Control(func(fd uintptr) {
			cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		})
		if err == nil {
			err = inner
		}
	}
	if err != nil {
		return nil, fmt.Errorf("finding out whose process listens: %w", err)
	}
	return cred, nil
}
