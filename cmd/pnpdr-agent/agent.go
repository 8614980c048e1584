// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present/folder"
)

// pace is how long the agent waits.
type pace struct {
	// again is the time before it looks for a client again. After one that is still
	// there, but has ended PNPDR before it stayed for most, it is twice as long each
	// time, up to most.
	again, most time.Duration
	// refused is the same after a client that does not redirect devices: each look
	// costs the RDP server something that it does not get back, see docs/server.md.
	refused, mostRefused time.Duration
	// patience is how long a client may take to begin, and for how long the session
	// may not be there yet when the agent starts.
	patience time.Duration
}

// agent serves one session.
type agent struct {
	log     *slog.Logger
	env     func(key string) string
	servers []insession.Server
	pace    pace
	folder  *folder.Folder
	wanted  func(*pnp.Description) bool

	mu        sync.Mutex
	connected time.Time // zero: no client
	problem   string    // why there is none
}

// run serves the clients of the session one after the other, until the session ends or
// ctx does.
func (a *agent) run(ctx context.Context) error {
	a.log.Info("devices will be in this folder", "folder", a.folder.Dir())
	started := time.Now()
	seen := false // the session has been there
	again, refused := a.pace.again, a.pace.refused
	for {
		begun := time.Now()
		err := a.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		news := a.setProblem(err)
		wait := a.pace.again
		switch {
		case errors.Is(err, insession.ErrNotInSession):
			return err
		case errors.Is(err, channels.ErrRefused):
			seen = true
			wait = refused
			refused = min(2*refused, a.pace.mostRefused)
			a.log.Warn("the client does not redirect Plug and Play devices (is it started with /dvc:pnpdr?)", "next_try", wait)
		case hasEnded(err) && (seen || time.Since(started) >= a.pace.patience):
			if !seen {
				return fmt.Errorf("nobody serves this session: %w", err)
			}
			a.log.Info("the session has ended")
			return nil
		case hasEnded(err), errors.Is(err, errNotJoined):
			// Nothing is lost by looking again soon.
			seen = seen || !hasEnded(err)
			if news {
				a.log.Info("waiting for a client", "err", err)
			}
		default:
			seen = true
			if errors.Is(err, errLeft) || time.Since(begun) >= a.pace.most {
				again = a.pace.again
			}
			wait = again
			again = min(2*again, a.pace.most)
			refused = a.pace.refused
			a.log.Info("the client has gone", "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// errNotJoined is part of the error of serve if there was no client.
var errNotJoined = errors.New("no client is connected")

// hasEnded reports whether the session helper has gone, or is not there yet.
func hasEnded(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// serve serves one client until it has gone. The error says why.
func (a *agent) serve(ctx context.Context) error {
	s, err := insession.Join(ctx, a.env, a.log, a.servers...)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotJoined, err)
	}
	defer s.Close()
	role := server.New(s, server.Config{
		Log:            a.log,
		OnDevice:       a.folder.OnDevice,
		AcceptOptional: a.wanted,
		Limits:         folder.Limits,
	})
	defer role.Close()
	if err := a.start(ctx, role); err != nil {
		return err
	}
	a.log.Info("a client is connected")
	a.setConnected()
	return a.wait(ctx, s, role)
}

func (a *agent) start(ctx context.Context, role *server.Session) error {
	ctx, cancel := context.WithTimeout(ctx, a.pace.patience)
	defer cancel()
	if err := role.Start(ctx); err != nil {
		return err
	}
	return role.LoggedOn()
}

// errLeft is part of the error of serve if the client was served until it went.
var errLeft = errors.New("it has left the session")

// wait waits until the client has gone, or has ended PNPDR.
func (a *agent) wait(ctx context.Context, s insession.Session, role *server.Session) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := role.WaitDevice(ctx, func(*server.Device) bool { return false })
		ended <- err
	}()
	select {
	case <-s.Done():
		cancel()
		<-ended
	case err := <-ended:
		// A client that goes ends PNPDR, too, and the session learns of it a little
		// later.
		select {
		case <-s.Done():
		case <-time.After(a.pace.again):
			return err
		case <-ctx.Done():
			return err
		}
	}
	return fmt.Errorf("%w: %w", errLeft, s.Err())
}

// connection is what the agent publishes.
func (a *agent) connection() (since time.Time, problem string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connected, a.problem
}

func (a *agent) setConnected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connected, a.problem = time.Now(), ""
}

// setProblem reports whether the problem is another than before.
func (a *agent) setProblem(err error) (news bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.problem
	a.connected, a.problem = time.Time{}, err.Error()
	return a.problem != before
}
