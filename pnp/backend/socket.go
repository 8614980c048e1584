// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
)

// Dial connects to the Unix socket at Path. Like OpenNode it makes sure that the socket is
// the one that was allowed, and the path is followed only once. network is "unix" or
// "unixpacket". It waits while the socket's backlog is full, until ctx ends.
func (s *Source) Dial(ctx context.Context, network string) (*net.UnixConn, error) {
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
	var d net.Dialer
	c, err := d.DialContext(ctx, network, node.Path())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Path, err)
	}
	return c.(*net.UnixConn), nil
}

// Peer returns whose process is at the other end of a connection: the one that listened.
func Peer(c *net.UnixConn) (*unix.Ucred, error) {
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
