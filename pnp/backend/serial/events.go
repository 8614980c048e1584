// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

const (
	// lineEvents are changes of the modem lines.
	lineEvents = SERIAL_EV_CTS | SERIAL_EV_DSR | SERIAL_EV_RLSD | SERIAL_EV_RING
	// errorEvents come from the driver's counters, or from marks in the data.
	errorEvents = SERIAL_EV_BREAK | SERIAL_EV_ERR
	// validEvents are the events that serial.sys accepts in a mask.
	// SERIAL_EV_PERR, EVENT1 and EVENT2 never happen, there and here.
	validEvents = 0x1FFF
)

// watchInterval is how often the driver is asked for the lines while an application
// waits for them. TIOCMIWAIT waits for a change, but it blocks a thread until a signal
// arrives, which a library must not send in a foreign process, and not every driver
// has it. Changes between two looks are not lost: the drivers count them.
const watchInterval = 20 * time.Millisecond

// events is the state of the events that an application can wait for. The handle's
// queue guards all but lines. The pending IOCTL_SERIAL_WAIT_ON_MASK is in the lane
// waits.
type events struct {
	// lines is held while the driver is asked for a sample and the sample is
	// compared, so that an older sample is never taken for a change. It comes
	// before the queue.
	lines sync.Mutex

	mask uint32
	// history are events of the mask that no wait has returned yet.
	history uint32
	seen    sample // the last sample; events are changes from it

	// errors are the SERIAL_ERROR bits since the last
	// IOCTL_SERIAL_GET_COMMSTATUS; told are the counters that they include.
	errors uint32
	told   counters
	// zero are the counters at the last IOCTL_SERIAL_CLEAR_STATS.
	zero counters
}

// sample is the state of a port's lines and counters at one moment.
type sample struct {
	lines    int
	counters counters
}

// sample asks the driver. If that fails, the values of before stay.
func (h *handle) sample(before sample) sample {
	s := before
	if h.port.hasLines {
		if lines, err := h.port.lines(); err == nil {
			s.lines = lines
		}
	}
	if h.port.hasCounters {
		if c, err := h.port.counters(); err == nil {
			s.counters = c
		}
	}
	return s
}

// startCounting makes the counters begin at zero.
func (h *handle) startCounting() {
	h.events.seen = h.sample(sample{})
	h.events.told, h.events.zero = h.events.seen.counters, h.events.seen.counters
}

// happen records events and ends a wait for them. The queue is locked.
func (h *handle) happen(which uint32) {
	e := &h.events
	e.history |= which & e.mask
	if it := h.waits.First(); it != nil && e.history != 0 {
		h.endWait(it, e.history)
		e.history = 0
	}
}

// endWait ends a wait with the events given.
func (h *handle) endWait(it *queue.Item, which uint32) {
	binary.LittleEndian.PutUint32(it.R.Out, which)
	h.q.Finish(it, pnp.S_OK, sizeULONG)
}

// lineError records an error that a mark in the data reports. The queue is locked.
func (h *handle) lineError(which uint32) {
	h.events.errors |= which
	if which == SERIAL_ERROR_BREAK {
		h.happen(SERIAL_EV_BREAK)
	} else {
		h.happen(SERIAL_EV_ERR)
	}
	if h.aborting() {
		h.reads.Abort(pnp.ERROR_OPERATION_ABORTED)
		h.abortWrites(pnp.ERROR_OPERATION_ABORTED)
		h.settle()
	}
}

// countErrors adds the errors that the driver has counted since it was last asked.
// Errors that marks report are not counted twice. The queue is locked.
func (h *handle) countErrors(now counters) {
	e := &h.events
	for _, c := range []struct {
		changed bool
		which   uint32
		marked  bool
	}{
		{now.Brk != e.told.Brk, SERIAL_ERROR_BREAK, true},
		{now.Frame != e.told.Frame, SERIAL_ERROR_FRAMING, true},
		{now.Parity != e.told.Parity, SERIAL_ERROR_PARITY, true},
		{now.Overrun != e.told.Overrun, SERIAL_ERROR_OVERRUN, false},
		{now.Buffers != e.told.Buffers, SERIAL_ERROR_QUEUEOVERRUN, false},
	} {
		if c.changed && !(c.marked && h.set.marks) {
			e.errors |= c.which
		}
	}
	e.told = now
}

// lookAtLines asks the driver for the lines and records the changes. The caller holds
// no lock and has a slot.
func (h *handle) lookAtLines() {
	h.events.lines.Lock()
	defer h.events.lines.Unlock()
	h.q.Lock()
	now := h.events.seen
	h.q.Unlock()
	now = h.sample(now)
	h.q.Lock()
	defer h.q.Unlock()
	h.look(now)
}

// look compares a sample with the last one and records the changes. The caller holds
// lines and has locked the queue.
func (h *handle) look(now sample) {
	then := h.events.seen
	h.events.seen = now
	a, b := then.counters, now.counters
	changed := func(line int) bool { return (then.lines^now.lines)&line != 0 }
	happened := uint32(0)
	for _, c := range []struct {
		happened bool
		which    uint32
	}{
		// Only the counters show a change there and back, and some drivers
		// have none.
		{changed(unix.TIOCM_CTS) || a.CTS != b.CTS, SERIAL_EV_CTS},
		{changed(unix.TIOCM_DSR) || a.DSR != b.DSR, SERIAL_EV_DSR},
		{changed(unix.TIOCM_CAR) || a.DCD != b.DCD, SERIAL_EV_RLSD},
		{h.port.rang(then, now), SERIAL_EV_RING},
		{!h.set.marks && a.Brk != b.Brk, SERIAL_EV_BREAK},
		{!h.set.marks && (a.Frame != b.Frame || a.Parity != b.Parity), SERIAL_EV_ERR},
		{a.Overrun != b.Overrun || a.Buffers != b.Buffers, SERIAL_EV_ERR},
	} {
		if c.happened {
			happened |= c.which
		}
	}
	h.happen(happened)
}

// rang reports whether a ring ended between two samples: Windows counts its trailing
// edge. Some drivers count that edge, some both, some do not count.
func (p port) rang(then, now sample) bool {
	rang := then.counters.RNG != now.counters.RNG
	if p.modem {
		return rang
	}
	on := func(s sample) bool { return s.lines&unix.TIOCM_RNG != 0 }
	begun := !on(then) && on(now) // its leading edge may be what was counted
	return on(then) && !on(now) || rang && !begun
}

// setWaitMask is IOCTL_SERIAL_SET_WAIT_MASK. Events that have happened and are in the
// new mask, too, are kept. Bytes that the kernel has received count as arriving when
// they are read from the kernel, even if they came before the mask was set; Windows
// does not count those.
func (h *handle) setWaitMask(in, _ []byte) pnp.HRESULT {
	mask := get[uint32](in)
	if mask&^uint32(validEvents) != 0 {
		return pnp.ERROR_INVALID_PARAMETER
	}
	if mask&SERIAL_EV_TXEMPTY != 0 && h.events.mask&SERIAL_EV_TXEMPTY == 0 && h.sent() {
		h.tx.dirty = false // that was before
	}
	if it := h.waits.First(); it != nil {
		h.endWait(it, 0)
	}
	h.events.mask = mask
	h.events.history &= mask
	return pnp.S_OK
}

// setWaitMaskAfterALook is setWaitMask for events of the lines: it looks at the lines
// first, so that the events are changes from now on.
func (h *handle) setWaitMaskAfterALook(in, out []byte) pnp.HRESULT {
	h.lookAtLines()
	h.q.Lock()
	defer h.q.Unlock()
	return h.setWaitMask(in, out)
}

// watched reports whether the mask has events that only the driver knows.
func (h *handle) watched(mask uint32) bool {
	return h.port.hasLines && mask&lineEvents != 0 || h.port.hasCounters && mask&(lineEvents|errorEvents) != 0
}

// beginWait is IOCTL_SERIAL_WAIT_ON_MASK.
func (h *handle) beginWait(it *queue.Item) {
	e := &h.events
	switch {
	case e.mask == 0 || h.waits.Len() > 0:
		h.q.Finish(it, pnp.ERROR_INVALID_PARAMETER, 0)
	case e.history != 0:
		h.endWait(it, e.history)
		e.history = 0
	default:
		it.OnEnd = h.wakeWatcher
		it.Move(h.waits)
		h.wakeWatcher() // it may still look after the wait before
		h.startReader()
	}
}

// receiverEvents returns the events that reading finds.
func (h *handle) receiverEvents() uint32 {
	if h.set.marks {
		return SERIAL_EV_RXCHAR | SERIAL_EV_RXFLAG | SERIAL_EV_RX80FULL | errorEvents
	}
	return SERIAL_EV_RXCHAR | SERIAL_EV_RXFLAG | SERIAL_EV_RX80FULL
}

// sent reports whether nothing is left to send. The queue is locked.
func (h *handle) sent() bool { return h.pending() == 0 && h.port.unsent() == 0 }

// The watcher is the goroutine of the lane waits. It lives while an application waits
// for events, and takes a slot each time that it asks for the lines.

// awaitLook waits until it is time to look at the lines, or nobody waits for events
// any more. Meanwhile it watches for events that need no slot.
func (h *handle) awaitLook() error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for ticked := false; ; {
		look, again := h.watch(ticked)
		if look {
			return nil
		}
		tick := ticker.C
		if !again {
			tick = nil
		}
		select {
		case <-tick:
			ticked = true
		case <-h.wake:
			ticked = false
		}
	}
}

// watch records the end of the output and a hangup. It returns look if it is time to
// look at the lines or nobody waits for events any more, and again if it must be called
// again after watchInterval, even if nothing wakes the watcher.
func (h *handle) watch(ticked bool) (look, again bool) {
	h.q.Lock()
	defer h.q.Unlock()
	e := &h.events
	if !h.driving && h.port.hungUp() {
		h.lost()
	}
	if h.tx.dirty && h.sent() {
		h.tx.dirty = false
		h.happen(SERIAL_EV_TXEMPTY)
	}
	switch {
	case h.waits.Len() == 0:
		return true, false
	case h.watched(e.mask):
		return ticked, true
	}
	// A reader notices a hangup.
	return false, e.mask&SERIAL_EV_TXEMPTY != 0 || !h.rx.running
}

// lookForWait looks at the lines for a wait. Events end the wait.
func (h *handle) lookForWait(*queue.Item) (pnp.HRESULT, int) {
	h.lookAtLines()
	return queue.NotReady, 0
}

// wakeWatcher makes the watcher check again. The queue is locked.
func (h *handle) wakeWatcher() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}
