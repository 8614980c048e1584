// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/ncalrpc"
	rdp "freerdp-pnpdr/cshim/server"
	"freerdp-pnpdr/pnp/present/folder"
)

// app is the server at work.
type app struct {
	opt   options
	out   *transcript
	log   *slog.Logger
	next  func() (*statement, error) // nil without a script
	pipes []*pipe
	samba *ncalrpc.Folder // nil without --ncalrpc

	mounts *mounts // nil without --mount

	mu    sync.Mutex
	taken bool // guarded by mu; the one client to serve has come
}

// once reports whether the program ends with its first client.
func (a *app) once() bool { return a.opt.once || a.next != nil }

// serve runs until ctx is done, or until the first client has been served if
// once says so.
func (a *app) serve(ctx context.Context) error {
	defer a.closePipes()
	if err := a.openPipes(); err != nil {
		return err
	}
	finished := make(chan error, 1)
	srv, err := rdp.Listen(a.opt.listen, rdp.Config{
		CertFile: a.opt.cert,
		KeyFile:  a.opt.key,
		Log:      a.log,

		ConnectTimeout: a.opt.patience,

		Session: func(client context.Context, p *rdp.Peer) {
			client, cancel := context.WithCancel(client)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			who := p.RemoteAddr().String()
			if !a.take() {
				a.log.Warn("client is turned away: another one is being served", "peer", who)
				return
			}
			err := a.converse(client, p, who)
			switch {
			case a.once():
				finished <- err
			case err != nil:
				a.log.Error("session failed", "peer", who, "err", err)
			}
		},
	})
	if err != nil {
		return err
	}
	defer srv.Close()
	a.out.note("listening on %v", srv.Addr())
	if a.opt.portFile != "" {
		if err := writePort(a.opt.portFile, srv.Addr().(*net.TCPAddr).Port); err != nil {
			return err
		}
	}
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		if a.next == nil {
			return nil
		}
		return errors.New("interrupted")
	}
}

// take reports whether to serve another client.
func (a *app) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken {
		return false
	}
	a.taken = a.once()
	return true
}

// converse serves one client. opener opens the channels to it.
func (a *app) converse(ctx context.Context, opener channels.Opener, who string) error {
	a.out.note("%s connected", who)
	cfg, done, err := a.config(who)
	if err != nil {
		return err
	}
	defer done() // after the session, whose end takes the devices away
	s := server.New(opener, cfg)
	defer s.Close()
	if err := a.start(ctx, s); err != nil {
		if errors.Is(err, channels.ErrRefused) {
			return fmt.Errorf("the client redirects no Plug and Play devices (is it started with /dvc:pnpdr?): %w", err)
		}
		return err
	}
	if err := s.LoggedOn(); err != nil {
		return err
	}
	for _, p := range a.pipes {
		p.Follow(ctx, s, p.match)
	}
	if a.samba != nil {
		a.samba.Follow(ctx, s)
	}
	if a.next != nil {
		return newRunner(s, a.out, a.opt.runOptions).run(ctx, a.interruptible(ctx))
	}
	<-ctx.Done()
	a.out.note("%s has left", who)
	return nil
}

// config returns how to serve a client. done is called after its session.
func (a *app) config(who string) (cfg server.Config, done func(), err error) {
	cfg = server.Config{Log: a.log, OnDevice: func(e server.DeviceEvent) { a.announce(who, e) }}
	// A script shows what it waits for. Without these notes its transcript is the
	// same each time.
	quiet := a.next != nil && !a.out.typed
	if quiet {
		cfg.OnDevice = nil
	}
	if a.mounts == nil {
		return cfg, func() {}, nil
	}
	f, done, err := a.mounts.session(who)
	if err != nil {
		return cfg, nil, err
	}
	cfg.Limits, cfg.CancelWait = folder.Limits, folder.CancelWait
	cfg.OnDevice = f.OnDevice
	if !quiet {
		a.out.note("%s has its devices in %s", who, f.Dir())
		cfg.OnDevice = func(e server.DeviceEvent) {
			a.announce(who, e)
			f.OnDevice(e)
		}
	}
	return cfg, done, nil
}

// announce reports a device that has come or gone.
func (a *app) announce(who string, e server.DeviceEvent) {
	if e.Removed {
		a.out.note("%s - %s", who, title(e.Device))
		return
	}
	for i, line := range describe(e.Device) {
		sign := "+"
		if i > 0 {
			sign = " "
		}
		a.out.note("%s %s %s", who, sign, line)
	}
}

// start limits how long a client may take that accepts PNPDR and says nothing
// on it.
func (a *app) start(ctx context.Context, s *server.Session) error {
	ctx, cancel := context.WithTimeout(ctx, a.opt.patience)
	defer cancel()
	return s.Start(ctx)
}

// interruptible returns a.next, except that waiting for typed input ends with
// the session.
func (a *app) interruptible(ctx context.Context) func() (*statement, error) {
	type line struct {
		st  *statement
		err error
	}
	return func() (*statement, error) {
		c := make(chan line, 1)
		go func() {
			st, err := a.next()
			c <- line{st, err}
		}()
		select {
		case l := <-c:
			return l.st, l.err
		case <-ctx.Done():
			return nil, io.ErrUnexpectedEOF
		}
	}
}

// writePort writes the port to the file so that nobody finds the file
// incomplete.
func writePort(name string, port int) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".port-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once the file is renamed
	_, err = fmt.Fprintln(f, port)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
