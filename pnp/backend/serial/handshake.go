// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"math"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// handshake is what the port does itself for a SERIAL_HANDFLOW, since the kernel does
// not. It needs modem lines.
type handshake struct {
	out    int  // TIOCM bits: output waits for these lines
	in     int  // TIOCM bits: these lines fall while the receive queue is full
	toggle bool // RTS is up only while there is output
	deaf   bool // what comes while DSR is off is dropped
}

// handshake returns what the port has to do for f. Of a USB modem (CDC ACM) it leaves the
// handshakes to USB, which loses nothing: many never report DSR, and take a DTR that falls
// for the end of their use.
func (f handflow) handshake(p port) handshake {
	var s handshake
	if !p.hasLines {
		return s
	}
	s.toggle = f.toggles()
	if p.modem {
		return s
	}
	for flag, line := range map[uint32]int{
		SERIAL_DSR_HANDSHAKE: unix.TIOCM_DSR,
		SERIAL_DCD_HANDSHAKE: unix.TIOCM_CAR,
	} {
		if f.ControlHandShake&flag != 0 {
			s.out |= line
		}
	}
	if f.autoDTR() {
		s.in |= unix.TIOCM_DTR
	}
	if f.rtsHandshake() && !f.ctsHandshake() { // both together are CRTSCTS
		s.in |= unix.TIOCM_RTS
	}
	s.deaf = f.ControlHandShake&SERIAL_DSR_SENSITIVITY != 0
	return s
}

// listens reports whether the port receives even if nobody waits for data.
func (s handshake) listens() bool { return s.in != 0 || s.deaf }

// wants reports whether f asks for more than the kernel does.
func (f handflow) wants() bool {
	return f.handshake(port{hasLines: true}) != (handshake{})
}

// gauge decides whether the receive queue is full, as serial.sys does: from XoffLimit
// bytes below its size on, until it has no more than XonLimit bytes. It is full, too, when
// the session has no memory for more. Data for a read that waits is not in the queue.
func (h *handle) gauge() {
	if h.set.hand.in == 0 {
		h.rx.full = false
		return
	}
	n, more := 0, true
	if h.reads.Len() == 0 {
		n, more = len(h.rx.buffer), h.room() > 0
	}
	high := int(min(max(h.set.asked-int64(h.set.handflow.XoffLimit), 1), int64(h.set.queue)))
	switch {
	case n >= high || !more:
		h.rx.full = true
	case n <= int(h.set.handflow.XonLimit):
		h.rx.full = false
	}
}

// hears reports whether DSR was on when the port last looked, if that matters.
func (h *handle) hears() bool {
	return !h.set.hand.deaf || h.events.seen.lines&unix.TIOCM_DSR != 0
}

// listen looks at the lines, in a slot, before data is read that DSR decides about. It
// returns false if there is no data. The caller is the reader and holds no lock.
func (h *handle) listen() bool {
	h.q.Lock()
	deaf := h.set.hand.deaf && h.q.Ended() == pnp.S_OK
	h.q.Unlock()
	if !deaf || h.port.hungUp() {
		return true
	}
	if h.port.unread() == 0 {
		return false
	}
	done := make(chan struct{})
	h.workers.Start(func() {
		defer close(done)
		defer pnp.Guard(h.dev.log, "looking at the lines of "+h.dev.path, func() { h.broken(nil) })
		h.lookAtLines()
	})
	<-done
	return true
}

// allowance returns how many bytes may be written now.
func (h *handle) allowance() int {
	s, k := &h.set.hand, &h.keep
	switch {
	case s.toggle && k.up&unix.TIOCM_RTS == 0:
		return 0
	case s.out != 0:
		return k.credit
	}
	return math.MaxInt
}

// wroteToLine accounts for bytes that the kernel has taken.
func (h *handle) wroteToLine(n int) {
	k := &h.keep
	if n <= 0 || h.set.hand == (handshake{}) {
		return
	}
	k.credit = max(k.credit-n, 0)
	if now := time.Now(); k.until.Before(now) {
		k.until = now
	}
	k.until = k.until.Add(lineTime(n, &h.set.termios))
}

// flushOutput discards what the kernel has not sent. The chip may have some.
func (h *handle) flushOutput() error {
	const chip = 128
	err := h.port.flush(unix.TCOFLUSH)
	if limit := time.Now().Add(lineTime(chip, &h.set.termios)); err == nil && h.keep.until.After(limit) {
		h.keep.until = limit
	}
	return err
}

// piece returns how many bytes may be on their way while a line can stop the output: as
// many as the line carries in pieceTime, and 16, a chip's queue, at least.
func piece(t *unix.Termios) int {
	const pieceTime, least, most = 5 * time.Millisecond, 16, 4096
	char := lineTime(1, t)
	if char == 0 {
		return most
	}
	return min(max(int(pieceTime/char), least), most)
}

// onItsWay returns how long it takes until the line has carried what was written, if
// nothing holds it up. What goes to a USB device begins later, and its chip says late that
// it is empty.
func (h *handle) onItsWay(now time.Time) time.Duration {
	const usb = 2 * time.Millisecond
	until := h.keep.until
	if h.port.usb {
		until = until.Add(usb)
	}
	left := max(until.Sub(now), 0)
	if unsent := h.port.unsent(); unsent > 0 {
		left = max(left, lineTime(unsent, &h.set.termios), shortestLook)
	}
	return left
}

// grant returns how many bytes may be written after a look at the lines.
func (h *handle) grant(now time.Time) int {
	t := &h.set.termios
	away := h.port.unsent()
	if char := lineTime(1, t); char > 0 {
		left := max(h.keep.until.Sub(now), 0)
		away = max(away, int((left+char-1)/char))
	}
	return max(piece(t)-away, 0)
}
