// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present/internal/port"
)

const (
	// openLimit is how long the client may take to open the port.
	openLimit = 30 * time.Second
	// closingLimit is how long the client may take nothing, beyond the time that
	// the line takes, after the last close. A driver of the kernel waits as long.
	closingLimit = 30 * time.Second
	// outputLimit and inputLimit are how much waits to be sent and to be read, in
	// bytes.
	outputLimit = 16 << 10
	inputLimit  = 64 << 10
	// inputSize is how much input is asked for at a time, in bytes.
	inputSize = 16 << 10
	// maxCalls is how many system calls may ask the client at a time.
	maxCalls = 32
)

var errNotTaken = errors.New("the client does not take what was written before the last close")

// line is the port at the client from the first open of the terminal until after the last
// close. The driver's mutex guards all that changes.
//
// Its goroutines are run, which also sends, receive, and watch if a program asks for
// changes of the modem lines; and one for each system call that asks the client.
type line struct {
	v      *driver
	ctx    context.Context
	cancel context.CancelFunc
	calls  chan struct{} // has a value for each call that asks the client
	active sync.WaitGroup

	// port is valid once open is set. ended is set when it cannot be used any more,
	// or could not be opened, because of err.
	port        *port.Port
	open, ended bool
	err         error
	users       int
	closing     bool // after the last close
	exclusive   bool

	out         []byte // what is being sent and what is to be sent
	held        bool   // by TCOOFF
	cancelWrite context.CancelFunc
	dropped     bool        // out was, by a flush
	patience    *time.Timer // ends the line after the last close

	in         input
	flushes    int // that are under way: nothing is read meanwhile
	reading    bool
	cancelRead context.CancelFunc

	watching bool
	counts   counts
}

// counts are how often lines have changed since somebody watches them.
type counts struct{ cts, dsr, dcd, ring, brk int32 }

func newLine(v *driver) *line {
	l := &line{v: v, calls: make(chan struct{}, maxCalls)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// leave ends a use of the line. The driver's mutex is held.
func (l *line) leave() {
	l.users--
	if l.users > 0 {
		return
	}
	l.closing = true
	l.held = false
	l.beImpatient()
	if l.cancelRead != nil {
		l.cancelRead()
	}
	l.v.change()
}

// end ends the line, if it has not ended yet.
func (l *line) end(err error) {
	l.v.mu.Lock()
	if l.ended {
		l.v.mu.Unlock()
		return
	}
	l.ended, l.err = true, err
	if l.v.line == l && !l.closing {
		l.v.line = nil // the next open makes another one
	}
	p := l.port
	l.cancel()
	l.v.change()
	l.v.mu.Unlock()
	if p != nil {
		p.Close() // whoever waits for the client need not wait longer
	}
}

// run opens the port, sends what is written, and closes the port after the last close.
func (l *line) run() {
	defer l.v.active.Done()
	l.v.mu.Lock()
	want := l.v.settings(&l.v.termios)
	l.v.mu.Unlock()
	opening, cancel := context.WithTimeout(l.ctx, openLimit)
	p, refused, err := l.v.opener.Open(opening, want)
	cancel()
	if err == nil {
		if refused != nil {
			l.v.log.Warn("the client refuses settings", "err", refused)
		}
		l.begin(p)
		err = l.send()
	}
	if err != nil && l.ctx.Err() == nil && l.hasPort() {
		l.v.log.Warn("programs lose the terminal", "err", err)
	}
	l.end(err)
	l.active.Wait()
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	if l.v.line == l {
		l.v.line = nil
	}
	l.v.change()
}

func (l *line) hasPort() bool {
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	return l.port != nil
}

// begin makes the line usable.
func (l *line) begin(p *port.Port) {
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	l.port = p
	if l.ended {
		p.Close()
		return
	}
	l.open = true
	l.adopt(p.Settings())
	l.active.Add(1)
	go l.receive()
	l.v.change()
}

// send sends what is written, until after the last close.
func (l *line) send() error {
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	for {
		for !l.ended && !l.closing && (len(l.out) == 0 || l.held) {
			l.v.changed.Wait()
		}
		if l.ended || len(l.out) == 0 {
			return l.err
		}
		if err := l.sendSome(); err != nil {
			return err
		}
	}
}

// sendSome sends what is there. The driver's mutex is held, but not meanwhile.
func (l *line) sendSome() error {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	data := slices.Clone(l.out)
	l.cancelWrite, l.dropped = cancel, false
	l.beImpatient()
	l.v.mu.Unlock()
	n, err := l.port.Write(ctx, data)
	l.v.mu.Lock()
	l.cancelWrite = nil
	if l.patience != nil {
		l.patience.Stop()
		l.patience = nil
	}
	if l.dropped { // by a flush, and written to since
		err = ignoreCancelled(ctx, err)
	} else {
		l.out = l.out[n:]
	}
	if len(l.out) == 0 {
		l.out = nil
	}
	l.v.change()
	if err != nil && !port.IsLost(err) {
		// A driver cannot tell the program, which has gone on.
		l.v.log.Warn("the client does not take what was written", "bytes", len(data)-n, "err", err)
		l.out = nil
		return nil
	}
	return err
}

func ignoreCancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// beImpatient limits the time that a write takes after the last close. The driver's mutex
// is held.
func (l *line) beImpatient() {
	if l.closing && l.cancelWrite != nil && l.patience == nil {
		limit := l.v.limit + 2*l.port.Duration(outputLimit)
		l.patience = time.AfterFunc(limit, func() { l.end(errNotTaken) })
	}
}

// room returns how many bytes can be written. The driver's mutex is held.
func (l *line) room() int { return max(outputLimit-len(l.out), 0) }

// write takes what a program writes. The driver's mutex is held, but not meanwhile.
func (l *line) write(ctx context.Context, data []byte, nonblock bool) (n int, err error) {
	for n < len(data) {
		if l.ended {
			return n, unix.EIO
		}
		// A byte can become two.
		if k := min(l.room()/2, len(data)-n); k > 0 {
			l.out = appendOutput(l.out, data[n:n+k], &l.v.termios)
			n += k
			l.v.changed.Broadcast()
			continue
		}
		if nonblock {
			return n, unix.EAGAIN
		}
		if err := l.v.wait(ctx, func() bool { return l.ended || l.room() >= outputLimit/2 }); err != nil {
			return n, err
		}
	}
	return n, nil
}

// receive reads what comes from the client.
func (l *line) receive() {
	defer l.active.Done()
	for b := make([]byte, inputSize); ; {
		ctx, room := l.beginRead()
		if ctx == nil {
			return
		}
		n, err := l.port.Read(ctx, b[:min(len(b), room)])
		cancelled := ctx.Err() != nil
		l.endRead(b[:n], cancelled)
		if err != nil && !cancelled {
			if l.ctx.Err() == nil {
				l.v.log.Warn("programs lose the terminal", "err", err)
			}
			l.end(err)
			return
		}
	}
}

// beginRead waits until there is room and reading is allowed. It returns nil if there is
// nobody to read.
func (l *line) beginRead() (context.Context, int) {
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	over := func() bool { return l.ended || l.closing }
	for !over() && (l.flushes > 0 || l.in.len() >= inputLimit) {
		l.v.changed.Wait()
	}
	if over() {
		return nil, 0
	}
	ctx, cancel := context.WithCancel(l.ctx)
	l.reading, l.cancelRead = true, cancel
	return ctx, inputLimit - l.in.len()
}

func (l *line) endRead(b []byte, cancelled bool) {
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	l.cancelRead()
	l.reading, l.cancelRead = false, nil
	if !cancelled {
		echo := l.in.add(b, &l.v.termios)
		l.out = append(l.out, echo[:min(len(echo), l.room())]...)
	}
	l.v.change()
}

// ask calls f, which asks the client. If ctx ends, so does that of f, but ask does not wait
// for f then: the program can not even be killed before ask returns. The driver's mutex is
// held, but not meanwhile.
func (l *line) ask(ctx context.Context, f func(ctx context.Context) error) error {
	if l.ended {
		return unix.EIO
	}
	select {
	case l.calls <- struct{}{}:
	default:
		return unix.EBUSY // a program that is interrupted again and again, and a client that is silent
	}
	l.active.Add(1)
	l.v.mu.Unlock()
	defer l.v.mu.Lock()
	done := make(chan error, 1)
	go func() {
		defer l.active.Done()
		asking, cancel := context.WithCancel(l.ctx)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		err := f(asking)
		<-l.calls
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
	}
	switch {
	case ctx.Err() != nil:
		return unix.EINTR
	case port.IsLost(err):
		l.end(err)
		return unix.EIO
	}
	return err
}

// drain waits until everything is sent. The driver's mutex is held, but not meanwhile.
func (l *line) drain(ctx context.Context) error {
	if err := l.v.wait(ctx, func() bool { return l.ended || len(l.out) == 0 }); err != nil {
		return err
	}
	return l.ask(ctx, func(ctx context.Context) error { return l.port.Drain(ctx, 0) })
}

// flushInput discards input. The driver's mutex is held, but not meanwhile.
func (l *line) flushInput(ctx context.Context) error {
	return l.ask(ctx, func(ctx context.Context) error {
		l.v.mu.Lock()
		l.flushes++
		if l.cancelRead != nil {
			l.cancelRead()
		}
		l.v.mu.Unlock()
		err := l.port.Purge(ctx, serial.SERIAL_PURGE_RXABORT|serial.SERIAL_PURGE_RXCLEAR)
		l.v.mu.Lock()
		defer l.v.mu.Unlock()
		for l.reading {
			l.v.changed.Wait()
		}
		l.in = input{}
		l.flushes--
		l.v.change()
		return err
	})
}

// flushOutput discards output. The driver's mutex is held, but not meanwhile.
func (l *line) flushOutput(ctx context.Context) error {
	l.out, l.dropped = nil, true
	if l.cancelWrite != nil {
		l.cancelWrite()
	}
	l.v.change()
	return l.ask(ctx, func(ctx context.Context) error {
		return l.port.Purge(ctx, serial.SERIAL_PURGE_TXABORT|serial.SERIAL_PURGE_TXCLEAR)
	})
}

// watch counts changes of the modem lines until the line ends.
func (l *line) watch() {
	defer l.active.Done()
	err := l.port.Watch(l.ctx)
	for err == nil {
		var events uint32
		if events, err = l.port.WaitEvent(l.ctx); err == nil {
			l.count(events)
		}
	}
	if l.ctx.Err() == nil && !port.IsLost(err) {
		l.v.log.Warn("the client does not tell of the modem lines", "err", err)
	}
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	l.watching = false
	l.v.change()
}

func (l *line) count(events uint32) {
	l.v.mu.Lock()
	defer l.v.mu.Unlock()
	for _, c := range []struct {
		event uint32
		n     *int32
	}{
		{serial.SERIAL_EV_CTS, &l.counts.cts},
		{serial.SERIAL_EV_DSR, &l.counts.dsr},
		{serial.SERIAL_EV_RLSD, &l.counts.dcd},
		{serial.SERIAL_EV_RING, &l.counts.ring},
		{serial.SERIAL_EV_BREAK, &l.counts.brk},
	} {
		if events&c.event != 0 {
			*c.n++
		}
	}
	l.v.change()
}

// startWatching makes watch run. The driver's mutex is held.
func (l *line) startWatching() {
	if !l.watching && !l.ended {
		l.watching = true
		l.active.Add(1)
		go l.watch()
	}
}
