// SPDX-License-Identifier: Apache-2.0

// Package insession is how a program that runs inside a remote session reaches the
// client of that session: the interface that a package for each RDP server
// implements, such as channels/xrdp.
package insession

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"freerdp-pnpdr/channels"
)

// ErrNotInSession is returned by Server.Join if the process does not run in a
// session of this server.
var ErrNotInSession = errors.New("not in a session of this RDP server")

// Server is one kind of RDP server whose sessions let programs open dynamic
// channels.
type Server interface {
	// Name is the server's own name, for messages: "xrdp".
	Name() string

	// Inside fails with ErrNotInSession if env, the environment of the process, is not
	// that of a session of this server. It does not ask the server.
	Inside(env func(key string) string) error

	// Client returns what tells the session's client from any other that comes later,
	// without asking it; "" while none is connected. It fails if env is not that of a
	// session, or if the server does not tell.
	Client(env func(key string) string) (string, error)

	// Join connects to the session that env describes. It fails with ErrNotInSession if there is none, and with
	// channels.ErrRefused if the session's client does not redirect Plug and Play
	// devices.
	Join(ctx context.Context, env func(key string) string, log *slog.Logger) (Session, error)
}

// Session is the connection to the client that was there at Join. It is over when
// that client has gone; whoever wants the next one joins again. Its methods may be
// called from any goroutine.
type Session interface {
	channels.Opener

	// Done is closed when the session is over. All channels end then.
	Done() <-chan struct{}

	// Err says why the session is over: an error that wraps
	// channels.ErrClosed. It is nil before.
	Err() error

	// Close ends the session and waits until every channel's receiver was told.
	// It must not be called from a receiver. Further calls wait, too.
	Close()
}

// Inside reports whether the process runs in a session of one of these servers'.
func Inside(env func(key string) string, servers ...Server) bool {
	for _, server := range servers {
		if server.Inside(env) == nil {
			return true
		}
	}
	return false
}

// Client returns Server.Client of the first of these servers that knows the session.
func Client(env func(key string) string, servers ...Server) (string, error) {
	for _, server := range servers {
		if server.Inside(env) == nil {
			return server.Client(env)
		}
	}
	return "", ErrNotInSession
}

// Join joins the session that the process runs in, if it is one of these servers'. The
// first that knows it counts.
func Join(ctx context.Context, env func(key string) string, log *slog.Logger, servers ...Server) (Session, error) {
	names := make([]string, 0, len(servers))
	for _, server := range servers {
		s, err := server.Join(ctx, env, log)
		switch {
		case err == nil:
			return s, nil
		case !errors.Is(err, ErrNotInSession):
			return nil, fmt.Errorf("joining the session of %s: %w", server.Name(), err)
		}
		names = append(names, server.Name())
	}
	return nil, fmt.Errorf("%w (%s)", ErrNotInSession, strings.Join(names, ", "))
}
