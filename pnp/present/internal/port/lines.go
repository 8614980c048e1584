// SPDX-License-Identifier: Apache-2.0

package port

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/serial"
)

// Lines returns the modem lines, as the bits of TIOCMGET.
func (p *Port) Lines(ctx context.Context) (lines int, err error) {
	var in, out [4]byte
	failed := make(chan error, 1)
	go func() { failed <- p.control(ctx, serial.IOCTL_SERIAL_GET_DTRRTS, nil, out[:]) }()
	err = p.control(ctx, serial.IOCTL_SERIAL_GET_MODEMSTATUS, nil, in[:])
	if err = errors.Join(err, <-failed); err != nil {
		return 0, err
	}
	for _, l := range []struct {
		of   [4]byte
		bit  uint32
		line int
	}{
		{in, serial.SERIAL_MSR_CTS, unix.TIOCM_CTS},
		{in, serial.SERIAL_MSR_DSR, unix.TIOCM_DSR},
		{in, serial.SERIAL_MSR_RI, unix.TIOCM_RNG},
		{in, serial.SERIAL_MSR_DCD, unix.TIOCM_CAR},
		{out, serial.SERIAL_DTR_STATE, unix.TIOCM_DTR},
		{out, serial.SERIAL_RTS_STATE, unix.TIOCM_RTS},
	} {
		if binary.LittleEndian.Uint32(l.of[:])&l.bit != 0 {
			lines |= l.line
		}
	}
	return lines, nil
}

// SetLines raises and drops DTR and RTS. The client refuses an RTS that the flow control
// drives.
func (p *Port) SetLines(ctx context.Context, raise, drop int) error {
	var requests []request
	for _, l := range []struct {
		line, bits int
		what       string
		code       uint32
	}{
		{unix.TIOCM_DTR, raise, "DTR", serial.IOCTL_SERIAL_SET_DTR},
		{unix.TIOCM_RTS, raise, "RTS", serial.IOCTL_SERIAL_SET_RTS},
		{unix.TIOCM_DTR, drop, "no DTR", serial.IOCTL_SERIAL_CLR_DTR},
		{unix.TIOCM_RTS, drop, "no RTS", serial.IOCTL_SERIAL_CLR_RTS},
	} {
		if l.bits&l.line != 0 {
			requests = append(requests, request{what: l.what, code: l.code})
		}
	}
	return p.controls(ctx, requests)
}

// SetBreak begins or ends a break.
func (p *Port) SetBreak(ctx context.Context, on bool) error {
	code := uint32(serial.IOCTL_SERIAL_SET_BREAK_OFF)
	if on {
		code = serial.IOCTL_SERIAL_SET_BREAK_ON
	}
	return p.control(ctx, code, nil, nil)
}

// SetStopped stops or resumes output, as if Xoff or Xon had come.
func (p *Port) SetStopped(ctx context.Context, stopped bool) error {
	code := uint32(serial.IOCTL_SERIAL_SET_XON)
	if stopped {
		code = serial.IOCTL_SERIAL_SET_XOFF
	}
	return p.control(ctx, code, nil, nil)
}

// SendNow sends a character before everything else.
func (p *Port) SendNow(ctx context.Context, c byte) error {
	p.written.Add(1)
	return p.control(ctx, serial.IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{c}, nil)
}

// Counters are SERIALPERF_STATS.
type Counters struct {
	Received, Sent, Frame, Overrun, BufferOverrun, Parity uint32
}

// Counters returns what has happened since the port was opened.
func (p *Port) Counters(ctx context.Context) (Counters, error) {
	var b [24]byte
	if err := p.control(ctx, serial.IOCTL_SERIAL_GET_STATS, nil, b[:]); err != nil {
		return Counters{}, err
	}
	at := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	return Counters{at(0), at(1), at(2), at(3), at(4), at(5)}, nil
}

// Watched are the events that WaitEvent waits for: changes of the modem lines, and breaks.
const Watched = serial.SERIAL_EV_CTS | serial.SERIAL_EV_DSR | serial.SERIAL_EV_RLSD |
	serial.SERIAL_EV_RING | serial.SERIAL_EV_BREAK

// Watch makes the client take note of the events of Watched from now on.
func (p *Port) Watch(ctx context.Context) error {
	return p.control(ctx, serial.IOCTL_SERIAL_SET_WAIT_MASK, u32s(Watched), nil)
}

// WaitEvent waits for events, after Watch. One call may wait at a time.
func (p *Port) WaitEvent(ctx context.Context) (events uint32, err error) {
	var b [4]byte
	n, err := p.h.IOControl(ctx, serial.IOCTL_SERIAL_WAIT_ON_MASK, nil, b[:])
	if err == nil && n < len(b) {
		err = fmt.Errorf("waiting for events: %d bytes", n)
	}
	return binary.LittleEndian.Uint32(b[:]) & Watched, err
}
