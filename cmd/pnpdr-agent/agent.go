// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
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
	// again is the time before it looks for a client again. If a client stays, but
	// breaks the protocol, it is twice as long each time, up to most.
	again, most time.Duration
	// refused is the same for a client that does not redirect devices, unless another
	// one comes: each look costs the RDP server something that it does not get back,
	// see docs/server.md.
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
	broken, refused := a.pace.again, a.pace.refused
	for ctx.Err() == nil {
		who := a.client()
		err := a.serve(ctx)
		if ctx.Err() != nil {
			break
		}
		news := a.setProblem(err)
		seen = seen || !hasEnded(err)
		switch {
		case errors.Is(err, insession.ErrNotInSession):
			return err
		case errors.Is(err, channels.ErrRefused):
			a.log.Warn(errNotRedirected.Error(), "next_try", refused)
			if a.sleep(ctx, refused, cmp.Or(who, a.client())) {
				refused = a.pace.refused
			} else {
				refused = min(2*refused, a.pace.mostRefused)
			}
		case hasEnded(err) && seen:
			a.log.Info("the session has ended")
			return nil
		case hasEnded(err) && time.Since(started) >= a.pace.patience:
			return fmt.Errorf("nobody serves this session: %w", err)
		case errors.Is(err, errNotJoined):
			// Nothing is lost by looking again soon.
			if news {
				a.log.Info("waiting for a client", "err", err)
			}
			a.sleep(ctx, a.pace.again, "")
		case errors.Is(err, errBroken):
			a.log.Error("the client redirects no devices any more", "err", err, "next_try", broken)
			if a.sleep(ctx, broken, who) {
				broken = a.pace.again
			} else {
				broken = min(2*broken, a.pace.most)
			}
		default:
			a.log.Info("the client has gone", "err", err)
			broken, refused = a.pace.again, a.pace.refused
			a.sleep(ctx, a.pace.again, "")
		}
	}
	return nil
}

// client returns what tells the client from others; "" if that is not known.
func (a *agent) client() string {
	who, err := insession.Client(a.env, a.servers...)
	if err != nil {
		a.log.Debug("the RDP server does not tell its clients apart", "err", err)
		return ""
	}
	return who
}

// sleep waits for a time, or until a client is there that is not who, if that is known.
// It reports whether such a client came.
func (a *agent) sleep(ctx context.Context, d time.Duration, who string) (other bool) {
	end := time.Now().Add(d)
	for left := d; left > 0; left = time.Until(end) {
		select {
		case <-time.After(min(left, a.pace.again)):
		case <-ctx.Done():
			return false
		}
		if who == "" {
			continue
		}
		if now := a.client(); now != "" && now != who {
			return true
		}
	}
	return false
}

var (
	// errNotRedirected is part of the error of serve if the client refuses PNPDR.
	errNotRedirected = errors.New("the client does not redirect Plug and Play devices (is it started with /dvc:pnpdr?)")
	// errNotJoined is part of the error of serve if there was no client.
	errNotJoined = errors.New("no client is connected")
	// errBroken is part of it if the client is there, but redirects no devices any
	// more.
	errBroken = errors.New("the redirection of devices has ended")
)

// hasEnded reports whether the session helper has gone, or is not there yet.
func hasEnded(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// serve serves one client until it has gone. The error says why.
func (a *agent) serve(ctx context.Context) error {
	s, err := insession.Join(ctx, a.env, a.log, a.servers...)
	switch {
	case errors.Is(err, channels.ErrRefused):
		return fmt.Errorf("%w: %w", errNotRedirected, err)
	case err != nil:
		return fmt.Errorf("%w: %w", errNotJoined, err)
	}
	defer s.Close()
	role := server.New(s, server.Config{
		Log:            a.log,
		OnDevice:       a.folder.OnDevice,
		AcceptOptional: a.wanted,
		Limits:         folder.Limits,
		CancelWait:     folder.CancelWait,
		Yield:          true, // for channels/xrdp
	})
	defer role.Close()
	if err = a.start(ctx, role); err == nil {
		a.log.Info("a client is connected")
		a.setConnected()
		err = wait(ctx, s, role)
	}
	if errors.Is(err, channels.ErrRefused) {
		return fmt.Errorf("%w: %w", errNotRedirected, err)
	}
	// A client that goes ends PNPDR, too, and the session learns of it a little later.
	select {
	case <-s.Done():
		return s.Err()
	case <-time.After(a.pace.again):
	case <-ctx.Done():
	}
	return fmt.Errorf("%w: %w", errBroken, err)
}

func (a *agent) start(ctx context.Context, role *server.Session) error {
	ctx, cancel := context.WithTimeout(ctx, a.pace.patience)
	defer cancel()
	if err := role.Start(ctx); err != nil {
		return err
	}
	return role.LoggedOn()
}

// wait waits until the client has gone, or has ended PNPDR.
func wait(ctx context.Context, s insession.Session, role *server.Session) error {
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
		return s.Err()
	case err := <-ended:
		return err
	}
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
