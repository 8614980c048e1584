// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// keeper is the state of the handshakes that the port does itself. Lines are moved and
// looked at in a slot, by one call at a time, which nothing waits for: tend starts it when
// there is something to do for it, at once or by a timer. While there is no output and the
// receive queue stays full or not, there is nothing to do.
//
// TIOCMIWAIT would tell at once that a line has changed, but not every driver has it, and
// a call that waits in it can only be ended by a signal. The handle's queue guards all but
// the first two.
type keeper struct {
	// lines is held while lines are moved and from the decision on to do so, and guards
	// tells. It comes before the queue.
	lines sync.Mutex
	// tells is set once the driver has said that its chip is empty: some never do.
	tells bool

	busy  bool // a call has a slot or waits for one
	timer *time.Timer
	next  time.Time // no look for output that waits before that
	fall  time.Time // no look whether RTS can fall before that
	// up are those of the lines that the port drives that are up. A line is taken off
	// before it falls and added after it has risen.
	up     int
	held   int       // the lines of handshake.out that were off at the last look
	credit int       // how many bytes may be written until the next look
	until  time.Time // when the line has carried what was written
}

// tend sees to it that the lines are looked at and moved when that is due. It is called
// whenever something has changed that they depend on. The queue is locked.
func (h *handle) tend() {
	h.gauge()
	k := &h.keep
	if k.timer != nil {
		k.timer.Stop()
		k.timer = nil
	}
	if h.set.hand == (handshake{}) || k.busy || h.q.Ended() != pnp.S_OK {
		return
	}
	wait, due := h.due(time.Now())
	switch {
	case !due:
	case wait > 0:
		k.timer = h.after(wait, func() {
			h.q.Lock()
			defer h.q.Unlock()
			h.tend()
		})
	case h.q.EnterLocked():
		k.busy = true
		h.workers.Start(func() {
			defer h.q.Leave()
			defer pnp.Guard(h.dev.log, "driving the lines of "+h.dev.path, func() { h.broken(&k.busy) })
			h.attend()
		})
	}
}

// due returns when the keeper has to look at lines or move them; false if nothing is to be
// done until something changes.
func (h *handle) due(now time.Time) (wait time.Duration, due bool) {
	k, s := &h.keep, &h.set.hand
	it, _ := h.waiting()
	if it == nil {
		k.credit = 0 // the next write comes at another time
	}
	up := k.up&unix.TIOCM_RTS != 0
	switch {
	case (h.linesWanted(now)^k.up)&s.in != 0:
		return 0, true
	case s.toggle && !up && h.set.breaking:
		return 0, true
	case it != nil && s.out != 0 && k.credit == 0:
		return max(k.next.Sub(now), 0), true
	case it != nil && s.toggle && !up:
		return 0, true
	case s.toggle && up && it == nil && !h.set.breaking:
		return max(h.onItsWay(now), k.fall.Sub(now)), true
	}
	return 0, false
}

// driven returns the lines that the port drives.
func (s handshake) driven() int {
	if s.toggle {
		return s.in | unix.TIOCM_RTS
	}
	return s.in
}

// linesWanted returns which of these lines have to be up. As in serial.sys, RTS that
// follows the output is down while a line holds the output up, once that has begun.
func (h *handle) linesWanted(now time.Time) int {
	s, up := &h.set.hand, 0
	if !h.rx.full {
		up = s.in
	}
	if s.toggle {
		it, _ := h.waiting()
		if h.set.breaking || it != nil && h.keep.held == 0 || h.onItsWay(now) > 0 {
			up |= unix.TIOCM_RTS
		}
	}
	return up
}

// attend looks at the lines and moves those that have to move. It has a slot.
func (h *handle) attend() {
	if h.looksForOutput() {
		h.lookAtLines()
	}
	h.drive()
	h.attended()
}

// drive moves the lines that have to move.
func (h *handle) drive() {
	h.keep.lines.Lock()
	defer h.keep.lines.Unlock()
	up, down, stopped := h.moves()
	if stopped {
		h.dev.log.Debug("output waits for a line: the other end has DSR or DCD off")
	}
	if down&unix.TIOCM_RTS != 0 && !h.chipIsEmpty() {
		down &^= unix.TIOCM_RTS
		h.stillSending()
	}
	h.move(down, false)
	h.move(up, true)
	h.risen(up)
}

// looksForOutput reports whether lines decide about output that waits.
func (h *handle) looksForOutput() bool {
	h.q.Lock()
	defer h.q.Unlock()
	it, _ := h.waiting()
	return it != nil && h.set.hand.out != 0
}

// moves decides which lines have to move. Output waits from then on for an RTS that
// falls. stopped is set if it waits for another line since the last look.
func (h *handle) moves() (up, down int, stopped bool) {
	h.q.Lock()
	defer h.q.Unlock()
	k, s := &h.keep, &h.set.hand
	before := k.held
	k.held = s.out &^ h.events.seen.lines
	want, driven := h.linesWanted(time.Now()), s.driven()
	up, down = want&^k.up&driven, k.up&^want&driven
	k.up &^= down
	return up, down, before == 0 && k.held != 0
}

// chipIsEmpty reports whether the last bit has left the chip, as far as the driver knows.
// The caller holds lines.
func (h *handle) chipIsEmpty() bool {
	empty, err := h.port.empty()
	h.keep.tells = h.keep.tells || empty && err == nil
	return !h.keep.tells || empty || err != nil
}

// stillSending is called if RTS cannot fall yet.
func (h *handle) stillSending() {
	h.q.Lock()
	defer h.q.Unlock()
	h.keep.up |= unix.TIOCM_RTS
	h.keep.fall = time.Now().Add(max(lineTime(1, &h.set.termios), shortestLook))
}

// move raises or lowers lines. The caller holds lines.
func (h *handle) move(lines int, on bool) {
	for _, line := range []int{unix.TIOCM_DTR, unix.TIOCM_RTS} {
		if lines&line == 0 {
			continue
		}
		if err := h.setLine(line, on); err != nil && h.failure(err) != pnp.ERROR_DEVICE_NOT_CONNECTED {
			h.dev.log.Debug("moving a line failed", "line", line, "err", err)
		}
	}
}

// risen records that lines are up.
func (h *handle) risen(lines int) {
	h.q.Lock()
	defer h.q.Unlock()
	h.keep.up |= lines
}

// shortestLook is the least time between two looks.
const shortestLook = time.Millisecond

// attended is the end of attend: output goes on.
func (h *handle) attended() {
	h.q.Lock()
	defer h.q.Unlock()
	k, now := &h.keep, time.Now()
	k.busy = false
	if h.set.hand.out != 0 {
		wait := watchInterval
		if k.credit = 0; k.held == 0 {
			k.credit = h.grant(now)
			wait = min(max(lineTime(piece(&h.set.termios), &h.set.termios)/2, shortestLook), wait)
		}
		k.next = now.Add(wait)
	}
	if h.port.hungUp() { // nobody else may notice while output waits
		h.lost()
		return
	}
	h.transmit()
}
