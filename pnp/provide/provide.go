// SPDX-License-Identifier: Apache-2.0

// Package provide lets a program be a provider: the process of a device that the plugin
// redirects as provider:PATH. The device is a pnp.Device, as the plugin's own are.
// docs/providers.md describes the protocol, for other languages.
package provide

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/unixsock"
	"freerdp-pnpdr/pnp"
)

// closeWait is how long the devices may take to be released in the end.
const closeWait = 5 * time.Second

// Device listens at the socket path and serves d, which it owns, until ctx is done.
func Device(ctx context.Context, path string, d pnp.Device, log *slog.Logger) error {
	s := client.NewSession(client.Config{Log: log})
	_, err := s.Add(d)
	if err == nil {
		err = Serve(ctx, path, s, log)
	}
	wait, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if e := s.Close(wait); err == nil && e != nil {
		err = fmt.Errorf("closing the device: %w", e)
	}
	return err
}

// Serve listens at the socket path until ctx is done, and lets the plugin use the devices
// of s: one at a time, the next when that has gone. The caller closes s.
//
// Only this user and root can connect: the socket's mode is 0600. A socket that a killed
// process has left is replaced; one at which a process listens is not. One RDP session at
// a time can use the provider.
func Serve(ctx context.Context, path string, s *client.Session, log *slog.Logger) error {
	l, err := listen(path)
	if err != nil {
		return fmt.Errorf("listening at %s: %w", path, err)
	}
	return unixsock.Serve(ctx, l, s, log)
}

// listen makes the socket.
func listen(path string) (*net.UnixListener, error) {
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	l, err := bind(addr)
	if !errors.Is(err, unix.EADDRINUSE) {
		return l, err
	}
	c, dialErr := net.DialUnix("unix", nil, addr)
	if dialErr == nil {
		c.Close()
		return nil, errors.New("another process listens there")
	}
	if info, e := os.Lstat(path); e != nil || info.Mode()&fs.ModeSocket == 0 || !errors.Is(dialErr, unix.ECONNREFUSED) {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return bind(addr)
}

// bind makes a socket that others cannot connect to, not even for a moment: its mode is
// that of the descriptor that is bound.
func bind(addr *net.UnixAddr) (*net.UnixListener, error) {
	c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); e != nil {
			return e
		}
		return err
	}}
	l, err := c.Listen(context.Background(), addr.Net, addr.Name)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}
