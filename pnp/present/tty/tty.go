// SPDX-License-Identifier: Apache-2.0

// Package tty makes a terminal of a redirected serial port, for any program that uses
// serial ports: a pseudo terminal behind the link "tty" in the device's folder. It takes
// no rights. Where /dev/cuse may be opened, Present prefers package cuse.
//
// The port at the client is open while a program has the terminal open. Opening it raises
// DTR and RTS, and closing it drops them. If the client refuses, or the device goes,
// programs are hung up on: they read the end of the file, and everything else fails with
// EIO. The next open tries again.
//
// # Settings
//
// What a program sets with termios is set at the client as it changes: the speed, any
// number (BOTHER), the stop bits, flow control by lines and characters, and the
// characters. B0 drops DTR and RTS. The kernel has no data bits and no parity for a pseudo
// terminal, and forgets both at once. So a file "line" beside the link, if there is one,
// says how characters go over the line, in the manner of 7E1; it is read when the port is
// opened. The terminal is raw at first (8N1, 9600 bit/s, no echo), and keeps its settings
// from one open to the next.
//
// The kernel tells of changes by EXTPROC (see extproc), with which programs get input
// unprocessed. While the settings ask for processing (canonical mode, echo, signals,
// translated line ends), EXTPROC is off, and the settings are looked at before data goes
// out, and every lookInterval.
//
// # Data
//
// Input comes by one request that waits at the client. What no program reads stays at the
// client, whose flow control holds up the device. Output is taken from programs as the
// client takes it, with at most outputLimit on the way. tcdrain(3) does not wait on a
// pseudo terminal; but all that was written is sent, even if the program ends at once:
// the port at the client is closed after that. If the client takes nothing for
// closingLimit after the last close, the rest is dropped. tcflush(3) reaches the client.
//
// A change of speed or frame waits until the client has sent what a program had written
// before, if that has been read from the terminal: a pseudo terminal does not tell the
// order of a change and data that come at the same moment. The change counts as the first
// then.
//
// # What a pseudo terminal cannot do
//
// It has no modem lines (TIOCMGET fails), and does not tell of a break that a program
// sends. A break that the device sends is a zero byte.
package tty

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/cuse"
	"freerdp-pnpdr/pnp/present/internal/port"
)

// Names in the folder of the device.
const (
	linkName  = "tty"
	frameName = "line"
)

// initial are the settings of a new terminal.
func initial() unix.Termios {
	t := port.InitialTermios()
	t.Lflag |= extproc
	return t
}

// terminal is the presentation of one port. Its goroutine run ends with ctx.
type terminal struct {
	d      *present.Device
	opener *port.Opener
	link   string
	pty    *pty
	limit  time.Duration // see closingLimit
	cancel context.CancelFunc
	done   chan struct{}
}

// Present makes the terminal of d: one of package cuse, which can do more, if this user
// may have that, or else a pseudo terminal. It does not ask the client.
func Present(ctx context.Context, d *present.Device) (present.Presentation, error) {
	p, err := cuse.Present(ctx, d)
	switch {
	case err == nil:
		return p, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, cuse.ErrUnavailable):
		d.Log.Debug("the terminal has no modem lines", "err", err)
	default:
		d.Log.Warn("the terminal has no modem lines", "err", err)
	}
	return PresentPseudo(ctx, d)
}

// PresentPseudo makes a pseudo terminal of d. It does not ask the client.
func PresentPseudo(_ context.Context, d *present.Device) (present.Presentation, error) {
	t, err := newTerminal(d, closingLimit)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func newTerminal(d *present.Device, limit time.Duration) (*terminal, error) {
	p, err := newPTY(initial())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &terminal{
		d: d, opener: port.NewOpener(d), link: filepath.Join(d.Dir, linkName), pty: p, limit: limit,
		cancel: cancel, done: make(chan struct{}),
	}
	if err := t.linkTo(p); err != nil {
		cancel()
		p.Close()
		return nil, err
	}
	go t.run(ctx)
	return t, nil
}

// Close implements present.Presentation.
func (t *terminal) Close() {
	t.cancel()
	<-t.done
}

// linkTo makes the link lead to p, from one moment to the next.
func (t *terminal) linkTo(p *pty) error {
	next := t.link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(p.path, next); err != nil {
		return err
	}
	return os.Rename(next, t.link)
}

func (t *terminal) run(ctx context.Context) {
	defer close(t.done)
	defer func() {
		if err := os.Remove(t.link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.d.Log.Warn("removing the link of a terminal failed", "err", err)
		}
		t.pty.Close()
	}()
	for t.awaitOpen(ctx) {
		err := t.serve(ctx)
		if t.over(ctx) {
			return
		}
		if err != nil {
			t.d.Log.Warn("programs lose the terminal", "err", err)
		} else if err = t.pty.reset(); err == nil {
			continue
		} else {
			t.d.Log.Debug("the terminal is made again", "err", err)
		}
		if err := t.replace(); err != nil {
			t.d.Log.Error("the terminal cannot be made again", "err", err)
			return
		}
	}
}

// over reports whether there is no use in another terminal.
func (t *terminal) over(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	case <-t.d.Gone():
		return true
	default:
		return false
	}
}

// awaitOpen waits until a program has the terminal open.
func (t *terminal) awaitOpen(ctx context.Context) bool {
	for !t.pty.isUsed() {
		select {
		case <-t.pty.opened:
		case <-t.d.Gone():
			return false
		case <-ctx.Done():
			return false
		}
	}
	return !t.over(ctx)
}

// replace hangs up, and puts another terminal with the same settings in the place of
// this one.
func (t *terminal) replace() error {
	settings, err := t.pty.termios()
	if err != nil {
		settings = initial()
	}
	p, err := newPTY(settings)
	if err != nil {
		return err
	}
	old := t.pty
	t.pty = p
	err = t.linkTo(p)
	old.Close()
	return err
}

// frame returns the frame that the user wishes; nil if the terminal's settings say it.
func (t *terminal) frame() *port.Frame {
	f, err := os.Open(filepath.Join(t.d.Dir, frameName))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.d.Log.Warn("reading how characters go over the line failed", "err", err)
		}
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 16))
	var frame port.Frame
	if err == nil {
		frame, err = port.ParseFrame(strings.TrimSpace(string(b)))
	}
	if err != nil {
		t.d.Log.Warn("ignoring the file that says how characters go over the line", "err", fmt.Errorf("%s: %w", frameName, err))
		return nil
	}
	return &frame
}
