// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

const (
	// lineEvents are changes of the modem lines.
	lineEvents = SERIAL_EV_CTS | SERIAL_EV_DSR | SERIAL_EV_RLSD | SERIAL_EV_RING
	// errorEvents are told by the driver's counters, or by marks in the data.
	errorEvents = SERIAL_EV_BREAK | SERIAL_EV_ERR
	// validEvents are those that serial.sys takes in a mask. SERIAL_EV_PERR,
	// EVENT1 and EVENT2 never happen, there as here.
	validEvents = 0x1FFF
)

// watchInterval is how often the lines are looked at while somebody waits for
// them. Waiting for them (TIOCMIWAIT) takes a thread that only a signal gets
// out of the kernel, which a library in somebody else's process cannot send;
// and not every driver has it. What happens between two looks is not lost: the
// drivers count changes.
const watchInterval = 20 * time.Millisecond

// events are what an application can wait for. All but lines is guarded by the
// handle's mu.
type events struct {
	// lines is held from asking the driver for a sample until it was
	// compared, so that an older sample is never taken for a change. It comes
	// before mu.
	lines sync.Mutex

	mask uint32
	// history are the events of the mask that nobody was told of.
	history uint32
	wait    *pnp.Request // the pending IOCTL_SERIAL_WAIT_ON_MASK
	seen    sample       // what the events of the lines are changes from
	running bool         // there is a watcher

	// errors are the SERIAL_ERROR bits since the last
	// IOCTL_SERIAL_GET_COMMSTATUS; told are the counters they go up to.
	errors uint32
	told   counters
	// zero are the counters at the last IOCTL_SERIAL_CLEAR_STATS.
	zero counters
}

// sample is what a port says about its lines at one moment.
type sample struct {
	lines    int
	counters counters
}

// sample asks the driver. What it does not tell stays as it was seen before.
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

// startCounting makes the counters of the driver begin at zero.
func (h *handle) startCounting() {
	h.events.seen = h.sample(sample{})
	h.events.told, h.events.zero = h.events.seen.counters, h.events.seen.counters
}

// happen tells that events happened. The caller holds mu.
func (h *handle) happen(which uint32) {
	e := &h.events
	e.history |= which & e.mask
	if e.wait != nil && e.history != 0 {
		h.endWait(e.history)
		e.history = 0
	}
}

// endWait finishes the pending wait with the events given.
func (h *handle) endWait(which uint32) {
	r := h.events.wait
	h.events.wait = nil
	binary.LittleEndian.PutUint32(r.Out, which)
	h.finish(r, pnp.S_OK, sizeULONG)
}

// lineError tells an error that a mark in the data tells. The caller holds mu.
func (h *handle) lineError(which uint32) {
	h.events.errors |= which
	if which == SERIAL_ERROR_BREAK {
		h.happen(SERIAL_EV_BREAK)
	} else {
		h.happen(SERIAL_EV_ERR)
	}
	if h.aborting() {
		h.abortReads(pnp.ERROR_OPERATION_ABORTED)
		h.abortWrites(pnp.ERROR_OPERATION_ABORTED)
	}
}

// countErrors adds to the errors what the driver has counted since it was last
// asked. Those that marks tell are not counted twice. The caller holds mu.
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

// lookIf looks at the lines, if there is a reason to. The caller holds no lock.
func (h *handle) lookIf(reason bool) {
	if !reason {
		return
	}
	h.events.lines.Lock()
	defer h.events.lines.Unlock()
	h.mu.Lock()
	now := h.events.seen
	h.mu.Unlock()
	now = h.sample(now)
	h.mu.Lock()
	defer h.unlock()
	h.look(now)
}

// look compares what the lines are with what they were seen as, and tells the
// changes. The caller holds
// lines and mu.
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
		// A change there and back shows in the counter alone, and some
		// drivers do not count.
		{changed(unix.TIOCM_CTS) || a.CTS != b.CTS, SERIAL_EV_CTS},
		{changed(unix.TIOCM_DSR) || a.DSR != b.DSR, SERIAL_EV_DSR},
		{changed(unix.TIOCM_CAR) || a.DCD != b.DCD, SERIAL_EV_RLSD},
		// The end of a ring, as the UART tells it.
		{changed(unix.TIOCM_RNG) && now.lines&unix.TIOCM_RNG == 0 || a.RNG != b.RNG, SERIAL_EV_RING},
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

// setWaitMask is IOCTL_SERIAL_SET_WAIT_MASK. What happened and is in the new
// mask too is not forgotten. Bytes that the kernel has and nobody has read count
// as coming when they are first looked at, also those that came before the mask
// was set; Windows does not count those.
func (h *handle) setWaitMask(in, _ []byte) pnp.HRESULT {
	mask := get[uint32](in)
	if mask&^uint32(validEvents) != 0 {
		return pnp.ERROR_INVALID_PARAMETER
	}
	h.lookIf(h.watched(mask))
	h.mu.Lock()
	defer h.unlock()
	if mask&SERIAL_EV_TXEMPTY != 0 && h.events.mask&SERIAL_EV_TXEMPTY == 0 && h.sent() {
		h.tx.dirty = false // that was before
	}
	if h.events.wait != nil {
		h.endWait(0)
	}
	h.events.mask = mask
	h.events.history &= mask
	return pnp.S_OK
}

// watched reports whether the mask has events that only asking the driver
// tells.
func (h *handle) watched(mask uint32) bool {
	return h.port.hasLines && mask&lineEvents != 0 || h.port.hasCounters && mask&(lineEvents|errorEvents) != 0
}

// beginWait is IOCTL_SERIAL_WAIT_ON_MASK. The caller holds mu.
func (h *handle) beginWait(r *pnp.Request) {
	e := &h.events
	if e.mask == 0 || e.wait != nil {
		h.finish(r, pnp.ERROR_INVALID_PARAMETER, 0)
		return
	}
	e.wait = r
	h.happen(0) // what is in the history
	h.startReader()
	h.startWatcher()
}

// receiverEvents are the events that reading tells.
func (h *handle) receiverEvents() uint32 {
	if h.set.marks {
		return SERIAL_EV_RXCHAR | SERIAL_EV_RXFLAG | SERIAL_EV_RX80FULL | errorEvents
	}
	return SERIAL_EV_RXCHAR | SERIAL_EV_RXFLAG | SERIAL_EV_RX80FULL
}

// watching reports whether the watcher has something to do: events to look for,
// or a hangup that no reader waits for.
func (h *handle) watching() bool {
	e := &h.events
	return !h.closed && e.wait != nil && (h.watched(e.mask) || e.mask&SERIAL_EV_TXEMPTY != 0 || !h.rx.running)
}

func (h *handle) startWatcher() {
	if h.watching() {
		h.spawn("watching", &h.events.running, h.watchLoop)
	}
}

// sent reports whether nothing is left to send. The caller holds mu.
func (h *handle) sent() bool { return h.tx.pending() == 0 && h.port.unsent() == 0 }

// watchLoop is the watcher.
func (h *handle) watchLoop() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		h.mu.Lock()
		look := h.watched(h.events.mask)
		h.mu.Unlock()
		h.lookIf(look)
		if h.watchDone() {
			return
		}
		select {
		case <-ticker.C:
		case <-h.closing:
		}
	}
}

// watchDone looks at what is not a line, and reports whether the watcher has
// nothing more to do.
func (h *handle) watchDone() bool {
	h.mu.Lock()
	defer h.unlock()
	if h.port.hungUp() {
		h.lost()
	}
	if h.tx.dirty && h.sent() {
		h.tx.dirty = false
		h.happen(SERIAL_EV_TXEMPTY)
	}
	if h.watching() {
		return false
	}
	h.events.running = false
	return true
}
