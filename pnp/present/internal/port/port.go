// SPDX-License-Identifier: Apache-2.0

// Package port uses a client's serial port as a driver uses its hardware: what the
// presenters of serial ports have in common. They see termios on their side; the client
// is asked with the IOControls of ntddser.h.
package port

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present"
)

// controlLimit is how long the client may take for an IOControl that does not wait for
// anything.
const controlLimit = 30 * time.Second

// Opener opens the port of one device, again and again. Its methods may be called from
// any goroutine.
type Opener struct {
	d      *present.Device
	closed atomic.Int64 // when a port was last closed, in Unix nanoseconds
}

// NewOpener returns the opener of d.
func NewOpener(d *present.Device) *Opener { return &Opener{d: d} }

// closingTime is how long an earlier handle may be in the way of the next. Each has a
// channel of its own, and nothing keeps the order between two.
const closingTime = 5 * time.Second

// open opens a handle. The port has only one, so that the client may refuse another one
// while it does not know yet that this one was closed.
func (o *Opener) open(ctx context.Context) (*present.Handle, error) {
	for w := (pauses{}); ; {
		h, err := o.d.Open(ctx, server.OpenOptions{})
		if err == nil || !isInUse(err) || time.Since(time.Unix(0, o.closed.Load())) > closingTime {
			return h, err
		}
		if err := w.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func isInUse(err error) bool {
	return errors.Is(err, pnp.ERROR_ACCESS_DENIED) || errors.Is(err, pnp.ERROR_SHARING_VIOLATION) || errors.Is(err, pnp.ERROR_BUSY)
}

// Port is an open serial port of the client. Its methods may be called from any
// goroutine. They return errors of the client, of the channel and of ctx; see IsLost.
type Port struct {
	o *Opener
	h *present.Handle

	applying sync.Mutex // held while settings change; guards set
	set      bool       // the client was told settings

	mu   sync.Mutex // guards have; never held while the client is asked
	have Settings   // what the client has accepted

	written atomic.Uint64 // counts the begins and ends of writes
	sent    atomic.Uint64 // those of what the client has sent for sure
}

// Open opens the port with these settings and raises DTR and RTS. Settings that the
// client refuses are returned as refused; the port is open nevertheless.
func (o *Opener) Open(ctx context.Context, s Settings) (p *Port, refused, err error) {
	h, err := o.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	p = &Port{o: o, h: h}
	defer context.AfterFunc(ctx, p.Close)()
	// A read returns what is there, or what comes next. All three at the highest
	// value are not valid, so one of them is the highest but one.
	const most = math.MaxUint32
	err = p.control(ctx, serial.IOCTL_SERIAL_SET_TIMEOUTS, u32s(most, most, most-1, 0, 0), nil)
	if err == nil {
		refused, err = p.begin(ctx, s)
	}
	if err != nil {
		p.Close()
		return nil, nil, fmt.Errorf("setting up the serial port: %w", err)
	}
	return p, refused, nil
}

func (p *Port) begin(ctx context.Context, s Settings) (refused, lost error) {
	err := p.Apply(ctx, s)
	if s.Baud != 0 {
		err = errors.Join(err, p.raise(ctx, s.drivesRTS()))
	}
	if IsLost(err) {
		return nil, err
	}
	return err, nil
}

// Close closes the port. All that is outstanding fails. The client sends what it has
// taken, and drops DTR and RTS.
func (p *Port) Close() {
	_ = p.h.Close()
	p.o.closed.Store(time.Now().UnixNano())
}

// IsLost reports whether err says that the port cannot be used any more: it has gone, its
// channel has ended, or the client does not answer.
func IsLost(err error) bool {
	return errors.Is(err, channels.ErrClosed) || errors.Is(err, pnp.ERROR_DEVICE_NOT_CONNECTED) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, server.ErrNoReply)
}

// control sends an IOControl whose output fills out.
func (p *Port) control(ctx context.Context, code uint32, in, out []byte) error {
	ctx, cancel := context.WithTimeout(ctx, controlLimit)
	defer cancel()
	n, err := p.h.IOControl(ctx, code, in, out)
	if err != nil {
		return err
	}
	if n < len(out) {
		return fmt.Errorf("IOControl 0x%X returned %d bytes instead of %d: %w", code, n, len(out), pnp.ERROR_IO_DEVICE)
	}
	return nil
}

// request is one of several IOControls that do not depend on each other.
type request struct {
	what string
	code uint32
	in   []byte
	done func() // after success
}

// controls sends all of them at once and returns their errors.
func (p *Port) controls(ctx context.Context, requests []request) error {
	results := make([]error, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := p.control(ctx, r.code, r.in, nil); err != nil {
				results[i] = fmt.Errorf("setting %s: %w", r.what, err)
			}
		}()
	}
	wg.Wait()
	for i, r := range requests {
		if results[i] == nil && r.done != nil {
			r.done()
		}
	}
	return errors.Join(results...)
}

// Apply changes the settings to s, as far as they differ from those that the client has.
// Each setting that the client refuses stays as it is, and is part of the error.
func (p *Port) Apply(ctx context.Context, s Settings) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	have, first := p.Settings(), !p.set
	p.set = true
	var requests []request
	add := func(what string, code uint32, in []byte, accepted func(have *Settings)) {
		requests = append(requests, request{what, code, in, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			accepted(&p.have)
		}})
	}
	if s.Baud != 0 && (first || have.Baud != s.Baud) {
		add(fmt.Sprint(s.Baud, " bit/s"), serial.IOCTL_SERIAL_SET_BAUD_RATE, u32s(s.Baud),
			func(have *Settings) { have.Baud = s.Baud })
	}
	if first || have.Frame != s.Frame {
		add(s.Frame.String(), serial.IOCTL_SERIAL_SET_LINE_CONTROL, s.line(),
			func(have *Settings) { have.Frame = s.Frame })
	}
	if first || have.Xon != s.Xon || have.Xoff != s.Xoff {
		add("the characters of the flow control", serial.IOCTL_SERIAL_SET_CHARS, s.chars(),
			func(have *Settings) { have.Xon, have.Xoff = s.Xon, s.Xoff })
	}
	if first || have.flow() != s.flow() {
		add("the flow control", serial.IOCTL_SERIAL_SET_HANDFLOW, s.handflow(), func(have *Settings) {
			have.Lines, have.StopOutput, have.StopInput, have.Toggle = s.Lines, s.StopOutput, s.StopInput, s.Toggle
		})
	}
	err := p.controls(ctx, requests)
	switch {
	case first:
	case s.Baud == 0 && have.Baud != 0:
		err = errors.Join(err, p.hangUp(ctx))
	case s.Baud != 0 && have.Baud == 0:
		err = errors.Join(err, p.raise(ctx, s.drivesRTS()))
	}
	return err
}

// hangUp drops DTR and RTS, but not an RTS that the flow control drives.
func (p *Port) hangUp(ctx context.Context) error {
	p.mu.Lock()
	p.have.Baud = 0
	driven := p.have.drivesRTS()
	p.mu.Unlock()
	if driven {
		return p.SetLines(ctx, 0, unix.TIOCM_DTR)
	}
	return p.SetLines(ctx, 0, unix.TIOCM_DTR|unix.TIOCM_RTS)
}

// raise raises DTR and RTS, but not an RTS that the flow control drives.
func (p *Port) raise(ctx context.Context, driven bool) error {
	if driven {
		return p.SetLines(ctx, unix.TIOCM_DTR, 0)
	}
	return p.SetLines(ctx, unix.TIOCM_DTR|unix.TIOCM_RTS, 0)
}

// Settings returns the settings that the client has. It does not block.
func (p *Port) Settings() Settings {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have
}

func (s *Settings) flow() [4]bool { return [4]bool{s.Lines, s.StopOutput, s.StopInput, s.Toggle} }

// drivesRTS reports whether the client drives RTS.
func (s *Settings) drivesRTS() bool { return s.Lines || s.Toggle }

// Duration returns how long n characters take at the present speed.
func (p *Port) Duration(n int) time.Duration {
	const bits = 12 // of the longest frame
	return time.Duration(n) * bits * time.Second / time.Duration(max(p.Settings().Baud, 50))
}

// pauses is for requests that succeed without having done anything, which a client may
// answer as fast as they are sent.
type pauses struct{ last time.Duration }

func (w *pauses) wait(ctx context.Context) error {
	w.last = min(max(2*w.last, 10*time.Millisecond), time.Second)
	t := time.NewTimer(w.last)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Read waits until something has come and reads it into b, which is not empty. If ctx
// ends, nothing is lost unless it had come already: then n is not 0.
func (p *Port) Read(ctx context.Context, b []byte) (n int, err error) {
	for w := (pauses{}); ; {
		n, err := p.h.ReadAt(ctx, b, 0)
		if n > 0 || err != nil {
			return n, err
		}
		if err := w.wait(ctx); err != nil {
			return 0, err
		}
	}
}

// Write writes b and returns when the client has taken all of it, which is before it is
// sent. If it fails, n bytes were taken for sure.
func (p *Port) Write(ctx context.Context, b []byte) (n int, err error) {
	p.written.Add(1)
	defer p.written.Add(1) // a Drain may have been told meanwhile that nothing is left
	for w := (pauses{}); ; {
		k, err := p.h.WriteAt(ctx, b[n:], 0)
		n += k
		if err != nil || n == len(b) {
			return n, err
		}
		if k > 0 {
			w = pauses{}
			continue
		}
		if err := w.wait(ctx); err != nil {
			return n, err
		}
	}
}

// Purge discards what mask (SERIAL_PURGE) says.
func (p *Port) Purge(ctx context.Context, mask uint32) error {
	return p.control(ctx, serial.IOCTL_SERIAL_PURGE, u32s(mask), nil)
}

// ErrStalled is the error of a Drain that gave up.
var ErrStalled = errors.New("output is held up")

// Drain waits until everything is sent that the client had taken when Drain was called.
// If stall is not 0, it gives up with ErrStalled when nothing is sent for so long.
func (p *Port) Drain(ctx context.Context, stall time.Duration) error {
	left, since := math.MaxInt, time.Now()
	for w, written := (pauses{}), p.written.Load(); p.sent.Load() < written; {
		s, err := p.Status(ctx)
		if err != nil {
			return err
		}
		switch {
		case s.OutQueue == 0:
			p.sent.Store(written)
			return nil
		case s.OutQueue < left:
			left, since = s.OutQueue, time.Now()
		case stall > 0 && time.Since(since) > stall:
			return ErrStalled
		}
		w.last = min(w.last, p.Duration(s.OutQueue))
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Status is the part of SERIAL_STATUS that presenters need: how many bytes wait.
type Status struct {
	InQueue, OutQueue int
}

// Status asks for the status.
func (p *Port) Status(ctx context.Context) (Status, error) {
	var b [20]byte
	if err := p.control(ctx, serial.IOCTL_SERIAL_GET_COMMSTATUS, nil, b[:]); err != nil {
		return Status{}, err
	}
	count := func(at int) int { return int(min(binary.LittleEndian.Uint32(b[at:]), math.MaxInt32)) }
	return Status{InQueue: count(8), OutQueue: count(12)}, nil
}
