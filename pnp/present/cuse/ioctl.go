// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/present/internal/port"
)

// ioctl is one of ioctl_tty(2). Its argument is a number, or points to memory that is read
// or written.
type ioctl struct {
	in, out int // sizes in bytes
	// do is called with the driver's mutex held, but may release it meanwhile. It
	// returns out bytes.
	do func(ctx context.Context, l *line, arg uint64, in []byte) ([]byte, error)
}

// breakTime is how long tcsendbreak(3) takes.
const breakTime = 250 * time.Millisecond

// ioctls has the requests, with those of moreIoctls. All others fail with ENOTTY.
var ioctls = map[uint32]ioctl{
	unix.TCGETS:  {out: termiosSize, do: getTermios(termiosSize)},
	unix.TCSETS:  {in: termiosSize, do: setTermios(false, false)},
	unix.TCSETSW: {in: termiosSize, do: setTermios(true, false)},
	unix.TCSETSF: {in: termiosSize, do: setTermios(true, true)},

	unix.TIOCMGET: {out: 4, do: func(ctx context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
		lines := 0
		err := l.ask(ctx, func(ctx context.Context) (err error) {
			lines, err = l.port.Lines(ctx)
			return err
		})
		if err != nil {
			return nil, err // lines may be set later
		}
		return number(lines, nil)
	}},
	unix.TIOCMSET: {in: 4, do: setLines(func(bits int) (raise, drop int) { return bits, ^bits })},
	unix.TIOCMBIS: {in: 4, do: setLines(func(bits int) (raise, drop int) { return bits, 0 })},
	unix.TIOCMBIC: {in: 4, do: setLines(func(bits int) (raise, drop int) { return 0, bits })},

	unix.TIOCMIWAIT:  {do: awaitLines},
	unix.TIOCGICOUNT: {out: icountSize, do: getCounts},

	unix.TCSBRK: {do: func(ctx context.Context, l *line, arg uint64, _ []byte) ([]byte, error) {
		if err := l.drain(ctx); err != nil || uint32(arg) != 0 { // an int
			return nil, err
		}
		return nil, l.sendBreak(ctx, breakTime)
	}},
	unix.TCSBRKP: {do: func(ctx context.Context, l *line, arg uint64, _ []byte) ([]byte, error) {
		if err := l.drain(ctx); err != nil {
			return nil, err
		}
		long := time.Duration(min(uint32(arg), 600)) * 100 * time.Millisecond
		return nil, l.sendBreak(ctx, max(long, breakTime))
	}},
	unix.TIOCGRS485: {out: rs485Size, do: getRS485},
	unix.TIOCSRS485: {in: rs485Size, out: rs485Size, do: setRS485},

	unix.TIOCSBRK: {do: setBreak(true)},
	unix.TIOCCBRK: {do: setBreak(false)},

	unix.TCFLSH: {do: flush},
	unix.TCXONC: {do: flow},

	unix.TIOCOUTQ: {out: 4, do: func(ctx context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
		var s port.Status
		err := l.ask(ctx, func(ctx context.Context) (err error) {
			s, err = l.port.Status(ctx)
			return err
		})
		if err != nil {
			return nil, err // s may be set later
		}
		return number(len(l.out)+s.OutQueue, nil)
	}},
	unix.TIOCINQ: {out: 4, do: func(_ context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
		return number(l.in.len(), nil)
	}},

	unix.TIOCEXCL:  {do: setExclusive(true)},
	unix.TIOCNXCL:  {do: setExclusive(false)},
	unix.TIOCGEXCL: {out: 4, do: func(_ context.Context, l *line, _ uint64, _ []byte) ([]byte, error) { return flag(l.exclusive) }},

	unix.TIOCGSOFTCAR: {out: 4, do: func(_ context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
		return flag(l.v.termios.Cflag&unix.CLOCAL != 0)
	}},
	unix.TIOCGETD: {out: 4, do: func(context.Context, *line, uint64, []byte) ([]byte, error) { return number(0, nil) }},
	unix.TIOCSETD: {in: 4, do: func(_ context.Context, _ *line, _ uint64, in []byte) ([]byte, error) {
		if order.Uint32(in) != 0 {
			return nil, unix.EINVAL // there is only N_TTY
		}
		return nil, nil
	}},
	unix.TIOCGWINSZ: {out: 8, do: func(_ context.Context, l *line, _ uint64, _ []byte) ([]byte, error) { return l.v.size[:], nil }},
	unix.TIOCSWINSZ: {in: 8, do: func(_ context.Context, l *line, _ uint64, in []byte) ([]byte, error) {
		copy(l.v.size[:], in)
		return nil, nil
	}},
}

// ioctl carries out a request. The kernel does not know which memory it is about: the
// first reply says so, and then the request comes again, with that memory.
func (v *driver) ioctl(ctx context.Context, r *request) ([]byte, error) {
	in, data, err := split[ioctlIn](r.body)
	if err != nil {
		return nil, err
	}
	c, known := ioctls[in.Cmd]
	if !known {
		c, known = moreIoctls[in.Cmd]
	}
	switch {
	case !known:
		return nil, unix.ENOTTY
	case in.InSize == 0 && in.OutSize == 0 && (c.in > 0 || c.out > 0):
		return retry(c, in.Arg), nil
	case int(in.InSize) != c.in || len(data) < c.in || int(in.OutSize) != c.out:
		return nil, unix.EPROTO
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l, err := v.of(in.FH)
	if err != nil {
		return nil, err
	}
	if l.ended {
		return nil, unix.EIO
	}
	out, err := c.do(ctx, l, in.Arg, data[:c.in])
	if err != nil {
		return nil, err
	}
	return append(appendTo(nil, ioctlOut{}), out[:c.out]...), nil
}

// retry tells the kernel which memory an ioctl reads and writes.
func retry(c ioctl, arg uint64) []byte {
	h := ioctlOut{Flags: ioctlRetry}
	var vectors []byte
	if c.in > 0 {
		h.InIovs = 1
		vectors = appendTo(vectors, iovec{Base: arg, Len: uint64(c.in)})
	}
	if c.out > 0 {
		h.OutIovs = 1
		vectors = appendTo(vectors, iovec{Base: arg, Len: uint64(c.out)})
	}
	return append(appendTo(nil, h), vectors...)
}

func number(n int, err error) ([]byte, error) {
	return order.AppendUint32(nil, uint32(n)), err
}

func flag(on bool) ([]byte, error) {
	if on {
		return number(1, nil)
	}
	return number(0, nil)
}

func setExclusive(on bool) func(context.Context, *line, uint64, []byte) ([]byte, error) {
	return func(_ context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
		l.exclusive = on
		return nil, nil
	}
}

func setLines(bits func(int) (raise, drop int)) func(context.Context, *line, uint64, []byte) ([]byte, error) {
	return func(ctx context.Context, l *line, _ uint64, in []byte) ([]byte, error) {
		raise, drop := bits(int(order.Uint32(in)))
		if l.v.termios.Cflag&unix.CRTSCTS != 0 || l.v.rs485 {
			// Something else drives RTS. Drivers of the kernel ignore it then.
			raise, drop = raise&^unix.TIOCM_RTS, drop&^unix.TIOCM_RTS
		}
		return nil, l.ask(ctx, func(ctx context.Context) error { return l.port.SetLines(ctx, raise, drop) })
	}
}

func setBreak(on bool) func(context.Context, *line, uint64, []byte) ([]byte, error) {
	return func(ctx context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
		return nil, l.ask(ctx, func(ctx context.Context) error { return l.port.SetBreak(ctx, on) })
	}
}

// sendBreak sends a break, which ends early if the program is interrupted.
func (l *line) sendBreak(ctx context.Context, long time.Duration) error {
	return l.ask(ctx, func(ctx context.Context) error {
		if err := l.port.SetBreak(ctx, true); err != nil {
			return err
		}
		t := time.NewTimer(long)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		return l.port.SetBreak(l.ctx, false)
	})
}

// flush is tcflush(3).
func flush(ctx context.Context, l *line, arg uint64, _ []byte) ([]byte, error) {
	switch uint32(arg) {
	case unix.TCIFLUSH:
		return nil, l.flushInput(ctx)
	case unix.TCOFLUSH:
		return nil, l.flushOutput(ctx)
	case unix.TCIOFLUSH:
		if err := l.flushOutput(ctx); err != nil {
			return nil, err
		}
		return nil, l.flushInput(ctx)
	}
	return nil, unix.EINVAL
}

// flow is tcflow(3).
func flow(ctx context.Context, l *line, arg uint64, _ []byte) ([]byte, error) {
	cc := l.v.termios.Cc
	send := func(c byte) error {
		if c == 0 { // _POSIX_VDISABLE
			return nil
		}
		return l.ask(ctx, func(ctx context.Context) error { return l.port.SendNow(ctx, c) })
	}
	switch uint32(arg) {
	case unix.TCOOFF:
		l.held = true
		return nil, l.ask(ctx, func(ctx context.Context) error { return l.port.SetStopped(ctx, true) })
	case unix.TCOON:
		err := l.ask(ctx, func(ctx context.Context) error { return l.port.SetStopped(ctx, false) })
		l.held = false
		l.v.change()
		return nil, err
	case unix.TCIOFF:
		return nil, send(cc[unix.VSTOP])
	case unix.TCION:
		return nil, send(cc[unix.VSTART])
	}
	return nil, unix.EINVAL
}

// awaitLines is TIOCMIWAIT: it waits for a change of one of the lines of arg.
func awaitLines(ctx context.Context, l *line, arg uint64, _ []byte) ([]byte, error) {
	l.startWatching()
	before := l.counts
	changed := func() bool {
		now := l.counts
		return arg&unix.TIOCM_CTS != 0 && now.cts != before.cts || arg&unix.TIOCM_DSR != 0 && now.dsr != before.dsr ||
			arg&unix.TIOCM_CAR != 0 && now.dcd != before.dcd || arg&unix.TIOCM_RNG != 0 && now.ring != before.ring
	}
	err := l.v.wait(ctx, func() bool { return changed() || l.ended || !l.watching })
	if err == nil && !changed() {
		err = unix.EIO
	}
	return nil, err
}

// icountSize is the size of struct serial_icounter_struct.
const icountSize = 4 * (11 + 9)

// getCounts is TIOCGICOUNT.
func getCounts(ctx context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
	l.startWatching()
	var c port.Counters
	err := l.ask(ctx, func(ctx context.Context) (err error) {
		c, err = l.port.Counters(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	n := l.counts
	b := make([]byte, 0, icountSize)
	for _, v := range []uint32{
		uint32(n.cts), uint32(n.dsr), uint32(n.ring), uint32(n.dcd), c.Received, c.Sent,
		c.Frame, c.Overrun, c.Parity, uint32(n.brk), c.BufferOverrun,
	} {
		b = order.AppendUint32(b, v)
	}
	return b[:icountSize], nil
}

// adopt changes the settings to those that the client has, where it has others. The
// driver's mutex is held.
func (l *line) adopt(have port.Settings) {
	t := &l.v.termios
	want := port.SettingsOf(t)
	if want.Baud != have.Baud && have.Baud != 0 {
		setSpeed(t, have.Baud)
	}
	if want.Frame != have.Frame {
		t.Cflag = t.Cflag&^frameMask | frameBits(have.Frame)
	}
	set := func(flags *uint32, bit uint32, want, have bool) {
		if want != have {
			*flags ^= bit
		}
	}
	set(&t.Cflag, unix.CRTSCTS, want.Lines, have.Lines)
	set(&t.Iflag, unix.IXON, want.StopOutput, have.StopOutput)
	set(&t.Iflag, unix.IXOFF, want.StopInput, have.StopInput)
}

const frameMask = unix.CSIZE | unix.PARENB | unix.PARODD | unix.CMSPAR | unix.CSTOPB

// frameBits returns the bits of c_cflag for f.
func frameBits(f port.Frame) uint32 {
	bits := map[uint8]uint32{5: unix.CS5, 6: unix.CS6, 7: unix.CS7}[f.WordLength]
	if f.WordLength == 8 {
		bits = unix.CS8
	}
	switch f.Parity {
	case serial.ODD_PARITY:
		bits |= unix.PARENB | unix.PARODD
	case serial.EVEN_PARITY:
		bits |= unix.PARENB
	case serial.MARK_PARITY:
		bits |= unix.PARENB | unix.PARODD | unix.CMSPAR
	case serial.SPACE_PARITY:
		bits |= unix.PARENB | unix.CMSPAR
	}
	if f.StopBits != serial.STOP_BIT_1 {
		bits |= unix.CSTOPB
	}
	return bits
}

// getTermios is tcgetattr(3).
func getTermios(size int) func(context.Context, *line, uint64, []byte) ([]byte, error) {
	return func(_ context.Context, l *line, _ uint64, _ []byte) ([]byte, error) {
		return appendTo(nil, l.v.termios)[:size], nil
	}
}

// setTermios is tcsetattr(3). As with drivers of the kernel, what the client refuses stays
// as it was, and the call succeeds.
func setTermios(drain, flush bool) func(context.Context, *line, uint64, []byte) ([]byte, error) {
	return func(ctx context.Context, l *line, _ uint64, in []byte) ([]byte, error) {
		if drain {
			if err := l.drain(ctx); err != nil {
				return nil, err
			}
		}
		if flush {
			if err := l.flushInput(ctx); err != nil {
				return nil, err
			}
		}
		t, err := parseTermios(in, &l.v.termios)
		if err != nil {
			return nil, err
		}
		l.v.termios = t
		l.v.change() // for reads that wait for VMIN
		refused, err := l.apply(ctx, l.v.settings(&t))
		if err != nil {
			return nil, err
		}
		if refused != nil {
			l.v.log.Warn("the client refuses settings", "err", refused)
			l.adopt(l.port.Settings())
		}
		return nil, nil
	}
}

// apply has the client change the settings to want, where it has others. refused is its
// answer to those that it does not take. The driver's mutex is held.
func (l *line) apply(ctx context.Context, want port.Settings) (refused, err error) {
	if want == l.port.Settings() {
		return nil, nil
	}
	var answer error
	err = l.ask(ctx, func(ctx context.Context) error {
		err := l.port.Apply(ctx, want)
		if !port.IsLost(err) {
			answer, err = err, nil
		}
		return err
	})
	if err != nil {
		return nil, err // answer may be set later
	}
	return answer, nil
}

// settings returns what t and the rest of the settings ask for. v.mu is held.
func (v *driver) settings(t *unix.Termios) port.Settings {
	s := port.SettingsOf(t)
	s.Toggle = v.rs485
	return s
}
