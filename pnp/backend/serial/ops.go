// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"errors"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// The IOControls that a port carries out, one at a time. Input and output have the
// sizes in the table. The quick ones run with the queue locked, the slow ones without.

func (h *handle) setBaudRate(in, _ []byte) pnp.HRESULT {
	rate := get[uint32](in)
	if rate == 0 { // a hangup in termios
		return pnp.ERROR_INVALID_PARAMETER
	}
	return h.apply(withRate(h.set.termios, rate), func(t unix.Termios) bool { return isRate(t, rate) },
		pnp.ERROR_INVALID_PARAMETER)
}

// getBaudRate returns the rate that the driver has chosen for the one that was set.
func (h *handle) getBaudRate(_, out []byte) pnp.HRESULT {
	put(out, h.set.termios.Ospeed)
	return pnp.S_OK
}

func (h *handle) setLineControl(in, _ []byte) pnp.HRESULT {
	l := get[lineControl](in)
	t, ok := withLine(h.set.termios, l)
	if !ok {
		return pnp.ERROR_INVALID_PARAMETER
	}
	hr := h.apply(t, func(got unix.Termios) bool {
		// A pseudo terminal has no frames: its bytes arrive in any case.
		return h.port.pseudo || got.Cflag&frameMask == t.Cflag&frameMask
	}, pnp.ERROR_INVALID_PARAMETER)
	if !hr.Failed() {
		h.q.Lock()
		defer h.q.Unlock()
		h.set.line = l
	}
	return hr
}

func (h *handle) getLineControl(_, out []byte) pnp.HRESULT {
	put(out, h.set.line)
	return pnp.S_OK
}

func (h *handle) setTimeouts(in, _ []byte) pnp.HRESULT {
	t := get[timeouts](in)
	if !t.valid() {
		return pnp.ERROR_INVALID_PARAMETER
	}
	h.set.timeouts = t
	return pnp.S_OK
}

func (h *handle) getTimeouts(_, out []byte) pnp.HRESULT {
	put(out, h.set.timeouts)
	return pnp.S_OK
}

func (h *handle) setChars(in, _ []byte) pnp.HRESULT {
	c := get[chars](in)
	t := withFlow(h.set.termios, h.set.handflow, c)
	hr := h.apply(t, func(unix.Termios) bool { return true }, pnp.S_OK)
	if !hr.Failed() {
		h.q.Lock()
		defer h.q.Unlock()
		h.set.chars = c
	}
	return hr
}

func (h *handle) getChars(_, out []byte) pnp.HRESULT {
	put(out, h.set.chars)
	return pnp.S_OK
}

func (h *handle) setHandflow(in, _ []byte) pnp.HRESULT {
	f := get[handflow](in)
	if !f.valid(h.set.asked) {
		return pnp.ERROR_INVALID_PARAMETER
	}
	h.keep.lines.Lock()
	defer h.keep.lines.Unlock()
	return h.changeHandflow(f)
}

// setFlow changes the flow control. If that changes what becomes of data that arrives, it
// first reads what came before.
func (h *handle) setFlow(f handflow, s handshake) pnp.HRESULT {
	changes := f.marks() != h.set.marks
	if changes || s.deaf != h.set.hand.deaf {
		if h.set.hand.deaf {
			h.lookAtLines()
		}
		if err := h.readAhead(); err != nil {
			return h.failure(err)
		}
	}
	t := withFlow(h.set.termios, f, h.set.chars)
	// A driver without lines may refuse the handshake: nothing holds its data up.
	hr := h.apply(t, func(unix.Termios) bool { return true }, pnp.S_OK)
	if hr.Failed() {
		return hr
	}
	h.q.Lock()
	defer h.q.Unlock()
	h.set.handflow, h.set.marks, h.set.hand = f, f.marks(), s
	h.set.rtscts = h.set.termios.Cflag&unix.CRTSCTS != 0
	h.gauge()
	if changes {
		h.rx.marker = marker{}
	}
	return hr
}

// readAhead reads what the kernel has, even if that is more than the buffer should
// take, but at most burst bytes, in case data arrives without end. The caller holds
// rx.device.
func (h *handle) readAhead() error {
	for limit := burst; limit > 0; {
		n, err := h.port.read(h.rx.scratch[:])
		if err == unix.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		limit -= n
		h.takeIn(h.rx.scratch[:n])
	}
	return nil
}

// takeIn takes bytes from the kernel and serves the reads.
func (h *handle) takeIn(b []byte) {
	h.q.Lock()
	defer h.q.Unlock()
	h.arrived(b)
	h.serve(false)
	h.settle()
}

func (h *handle) getHandflow(_, out []byte) pnp.HRESULT {
	put(out, h.set.handflow)
	return pnp.S_OK
}

func (h *handle) setQueueSize(in, _ []byte) pnp.HRESULT {
	q := get[queueSize](in)
	h.set.asked = max(h.set.asked, int64(q.InSize)) // never smaller, as in serial.sys
	h.set.queue = int(min(h.set.asked, maxQueue))
	return pnp.S_OK
}

// setLine raises or lowers DTR or RTS. A state that the driver refuses is remembered. The
// caller holds keep.lines.
func (h *handle) setLine(line int, on bool) error {
	if h.port.hasLines {
		err := h.port.setLines(line, on)
		switch {
		case err == nil:
			h.set.refused &^= line
		case refused(err) && !h.port.hungUp():
			h.set.refused |= line
		default:
			return err
		}
	}
	if line == unix.TIOCM_DTR {
		h.set.dtr = on
	} else {
		h.set.rts = on
	}
	return nil
}

func (h *handle) setDTR(_, _ []byte) pnp.HRESULT { return h.changeLine(unix.TIOCM_DTR, true) }
func (h *handle) clrDTR(_, _ []byte) pnp.HRESULT { return h.changeLine(unix.TIOCM_DTR, false) }
func (h *handle) setRTS(_, _ []byte) pnp.HRESULT { return h.changeLine(unix.TIOCM_RTS, true) }
func (h *handle) clrRTS(_, _ []byte) pnp.HRESULT { return h.changeLine(unix.TIOCM_RTS, false) }

// changeLine moves a line for the application. As in serial.sys, it may not move one that
// a handshake moves.
func (h *handle) changeLine(line int, on bool) pnp.HRESULT {
	if f := h.set.handflow; line == unix.TIOCM_DTR && f.autoDTR() || line == unix.TIOCM_RTS && f.autoRTS() {
		return pnp.ERROR_INVALID_PARAMETER
	}
	h.keep.lines.Lock()
	defer h.keep.lines.Unlock()
	return h.failure(h.setLine(line, on))
}

// remembered returns the states of DTR and RTS that were set, as TIOCM bits.
func (h *handle) remembered() int {
	lines := 0
	if h.set.dtr {
		lines |= unix.TIOCM_DTR
	}
	if h.set.rts {
		lines |= unix.TIOCM_RTS
	}
	return lines
}

// getDTRRTS is for a port without lines: it returns the states that were set.
func (h *handle) getDTRRTS(_, out []byte) pnp.HRESULT {
	put(out, dtrRTS(h.remembered()))
	return pnp.S_OK
}

func (h *handle) askDTRRTS(_, out []byte) pnp.HRESULT {
	return h.askLines(out, func(lines int) uint32 {
		h.keep.lines.Lock()
		defer h.keep.lines.Unlock()
		return dtrRTS(lines&^h.set.refused | h.remembered()&h.set.refused)
	})
}

// getModemStatus: see the package's documentation for a port without lines.
func (h *handle) getModemStatus(_, out []byte) pnp.HRESULT {
	put(out, modemStatus(unix.TIOCM_CTS|unix.TIOCM_DSR|unix.TIOCM_CAR))
	return pnp.S_OK
}

func (h *handle) askModemStatus(_, out []byte) pnp.HRESULT { return h.askLines(out, modemStatus) }

// askLines asks the driver for the TIOCM bits and converts them with bits.
func (h *handle) askLines(out []byte, bits func(lines int) uint32) pnp.HRESULT {
	lines, err := h.port.lines()
	if err != nil {
		return h.failure(err)
	}
	put(out, bits(lines))
	return pnp.S_OK
}

// dtrRTS converts TIOCM bits to those of IOCTL_SERIAL_GET_DTRRTS.
func dtrRTS(lines int) uint32 {
	bits := uint32(0)
	if lines&unix.TIOCM_DTR != 0 {
		bits |= SERIAL_DTR_STATE
	}
	if lines&unix.TIOCM_RTS != 0 {
		bits |= SERIAL_RTS_STATE
	}
	return bits
}

// modemStatus converts TIOCM bits to SERIAL_MSR bits.
func modemStatus(lines int) uint32 {
	bits := uint32(0)
	for _, l := range []struct {
		line int
		bit  uint32
	}{
		{unix.TIOCM_CTS, SERIAL_MSR_CTS},
		{unix.TIOCM_DSR, SERIAL_MSR_DSR},
		{unix.TIOCM_RNG, SERIAL_MSR_RI},
		{unix.TIOCM_CAR, SERIAL_MSR_DCD},
	} {
		if lines&l.line != 0 {
			bits |= l.bit
		}
	}
	return bits
}

func (h *handle) setBreakOn(_, _ []byte) pnp.HRESULT {
	if h.dev.src.ReadOnly {
		return pnp.ERROR_ACCESS_DENIED
	}
	return h.changeBreak(true)
}

func (h *handle) setBreakOff(_, _ []byte) pnp.HRESULT { return h.changeBreak(false) }

func (h *handle) changeBreak(on bool) pnp.HRESULT {
	h.keep.lines.Lock()
	defer h.keep.lines.Unlock()
	if on && h.set.hand.toggle {
		h.move(unix.TIOCM_RTS, true)
		h.risen(unix.TIOCM_RTS)
	}
	err := h.port.sendBreak(on)
	if refused(err) && !h.port.hungUp() {
		return pnp.S_OK // the device cannot send a break
	}
	if err != nil {
		return h.failure(err)
	}
	h.q.Lock()
	defer h.q.Unlock()
	h.set.breaking = on
	return pnp.S_OK
}

// setXoff stops output, as if XOFF had been received.
func (h *handle) setXoff(_, _ []byte) pnp.HRESULT { return h.changeFlow(false) }

// setXon resumes output.
func (h *handle) setXon(_, _ []byte) pnp.HRESULT { return h.changeFlow(true) }

func (h *handle) changeFlow(on bool) pnp.HRESULT {
	if err := h.port.flow(on); err != nil {
		return h.failure(err)
	}
	h.q.Lock()
	defer h.q.Unlock()
	h.set.stopped = !on
	return pnp.S_OK
}

func (h *handle) getWaitMask(_, out []byte) pnp.HRESULT {
	put(out, h.events.mask)
	return pnp.S_OK
}

const purgeAll = SERIAL_PURGE_TXABORT | SERIAL_PURGE_RXABORT | SERIAL_PURGE_TXCLEAR | SERIAL_PURGE_RXCLEAR

func validPurge(mask uint32) bool { return mask != 0 && mask&^purgeAll == 0 }

// abortPurged aborts requests that came before the IOCTL_SERIAL_PURGE, and none that
// come after it.
func (h *handle) abortPurged(in []byte) {
	mask := get[uint32](in)
	if !validPurge(mask) {
		return
	}
	if mask&SERIAL_PURGE_RXABORT != 0 {
		h.reads.Abort(pnp.ERROR_OPERATION_ABORTED)
		h.settle()
	}
	if mask&SERIAL_PURGE_TXABORT != 0 {
		h.abortWrites(pnp.ERROR_OPERATION_ABORTED)
	}
}

func (h *handle) purge(in, _ []byte) pnp.HRESULT {
	mask := get[uint32](in)
	if !validPurge(mask) {
		return pnp.ERROR_INVALID_PARAMETER
	}
	var err error
	if mask&SERIAL_PURGE_TXCLEAR != 0 {
		err = h.flushOutput()
	}
	if mask&SERIAL_PURGE_RXCLEAR != 0 {
		err = errors.Join(err, h.clearInput())
		h.tend()
	}
	return h.failureLocked(err)
}

// notSupported is for IOControls that Linux has no equivalent for.
func (h *handle) notSupported(_, _ []byte) pnp.HRESULT { return pnp.ERROR_NOT_SUPPORTED }
