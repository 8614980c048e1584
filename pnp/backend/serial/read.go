// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"bytes"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// receiver is the direction from the line. What the kernel received stays there
// until a read or a wait for an event asks for it; then it comes into buffer,
// and leaves it with the read that it completes. All but device and scratch is
// guarded by the handle's queue.
type receiver struct {
	device sync.Mutex // reading from the descriptor

	turn    *readTurn // of the first read; nil until its turn has come
	came    uint64    // how many reads ever came
	buffer  []byte
	epoch   int  // counts what empties the buffer: what was being read then is dropped
	running bool // there is a reader
	count   uint32
	marker  marker
	scratch [4096]byte // belongs to who holds device
}

// burst bounds how many bytes are read in one go where somebody is held up by
// that, since a fast sender can go on for ever. It is far more than what a
// terminal has ready to be read at one moment (4 KiB).
const burst = 64 << 10

// moment is the state of a receiver when a read of the descriptor begins.
type moment struct {
	came  uint64
	epoch int
}

func (x *receiver) now() moment { return moment{x.came, x.epoch} }

// readTurn is what a read has since its turn has come.
type readTurn struct {
	it     *queue.Item
	plan   readPlan
	probed bool // the kernel had nothing more for it at once
	// lapses is when the interval after the last byte is over.
	lapses          time.Time
	total, interval *time.Timer
}

// readTurn returns the turn of the first read, nil if there is none.
func (h *handle) readTurn() *readTurn {
	it := h.reads.First()
	if it != nil && h.rx.turn == nil {
		t := &readTurn{it: it, plan: h.set.timeouts.read(len(it.R.Out))}
		h.rx.turn = t
		it.OnEnd = func() {
			h.rx.turn = nil
			t.stop()
		}
	}
	return h.rx.turn
}

func (t *readTurn) stop() {
	for _, timer := range []*time.Timer{t.total, t.interval} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// take moves what is in the buffer to out.
func (x *receiver) take(out []byte) int {
	n := copy(out, x.buffer)
	x.buffer = x.buffer[n:]
	return n
}

// clearInput drops what came and was not read. What came for a read that waits
// counts as read. The queue is locked.
func (h *handle) clearInput() error {
	if h.reads.Len() > 0 {
		return nil
	}
	h.rx.buffer = nil
	h.rx.marker = marker{}
	h.rx.epoch++
	return h.port.flush(unix.TCIFLUSH)
}

// room is how many bytes the buffer shall take, 0 if nobody waits for any: as
// many as the first read still needs, and up to the size of the queue.
func (h *handle) room() int {
	want := 0
	switch {
	case h.q.Ended() != pnp.S_OK:
		return 0
	case h.reads.Len() > 0:
		want = max(len(h.reads.First().R.Out), h.set.queue)
	case h.waits.Len() > 0 && h.events.mask&h.receiverEvents() != 0:
		want = h.set.queue
	}
	return min(max(want-len(h.rx.buffer), 0), len(h.rx.scratch))
}

// receive serves the reads as far as that can be done at once, and has the
// reader do the rest. The queue is locked.
func (h *handle) receive() {
	if !h.driving && h.reads.Len() > 0 && h.rx.device.TryLock() {
		h.receiveNow()
	} else {
		h.serve(false)
	}
	h.startReader()
}

// receiveNow serves the reads with what the kernel has. The caller has locked the
// queue and rx.device, which receiveNow gives up.
func (h *handle) receiveNow() {
	defer h.rx.device.Unlock()
	// What is dropped (SERIAL_NULL_STRIPPING) fills no read.
	for dry, limit := false, burst; !dry && limit > 0; {
		h.serve(false)
		room := h.room()
		if room == 0 || h.reads.Len() == 0 {
			return
		}
		n, err := h.port.read(h.rx.scratch[:room])
		limit -= n
		dry = h.received(n, err, h.rx.now())
	}
}

func (h *handle) startReader() {
	if h.room() > 0 {
		h.spawn("reading", &h.rx.running, h.readLoop)
	}
}

// readLoop is the reader.
func (h *handle) readLoop() {
	for {
		err := h.conn.Read(func(uintptr) bool { return h.readReady() })
		if h.readDone(err) {
			return
		}
	}
}

// readDone reports whether the reader, whose wait ended with err, has nothing
// more to do.
func (h *handle) readDone(err error) bool {
	h.q.Lock()
	defer h.q.Unlock()
	if err != nil {
		// The handle was closed, or the poller failed, which it does for no
		// terminal.
		h.reads.Abort(pnp.HRESULTOf(err))
	}
	if err == nil && h.room() > 0 {
		return false
	}
	h.rx.running = false
	h.wakeWatcher() // there is no reader to see a hangup
	return true
}

// readReady reads until there is nothing more to read, which it returns false
// for, or nobody wants it.
func (h *handle) readReady() bool {
	for {
		if dry, unwanted := h.readOne(); dry || unwanted {
			return unwanted
		}
	}
}

// readOne reads once. It returns dry if there is nothing more to read, and
// unwanted if nobody wants it.
func (h *handle) readOne() (dry, unwanted bool) {
	h.rx.device.Lock()
	room, before := h.wanted()
	if room == 0 {
		h.rx.device.Unlock()
		return false, true
	}
	n, err := h.port.read(h.rx.scratch[:room])
	h.q.Lock()
	defer h.q.Unlock() // which completes requests, once the device is free too
	defer h.rx.device.Unlock()
	return h.received(n, err, before), false
}

// wanted is how much to read, and the moment at which that begins.
func (h *handle) wanted() (int, moment) {
	h.q.Lock()
	defer h.q.Unlock()
	return h.room(), h.rx.now()
}

// received takes what a read of the descriptor gave that began at before, and
// serves the reads. It returns true if there is nothing more for now. The caller
// holds rx.device and has locked the queue.
func (h *handle) received(n int, err error, before moment) (dry bool) {
	switch {
	case h.q.Ended() != pnp.S_OK:
		return false // and nobody wants any more
	case n > 0 && before.epoch != h.rx.epoch:
		return false // it was purged
	case n > 0:
		h.arrived(h.rx.scratch[:n])
		h.serve(false)
		return false
	case err == unix.EAGAIN:
		return h.serve(before.came == h.rx.came)
	case h.port.hungUp():
		h.lost()
		return false
	}
	// End of file without a hangup: somebody else has set the terminal to
	// canonical mode. Or the driver failed.
	hr := pnp.ERROR_IO_DEVICE
	if err != nil {
		hr = pnp.HRESULTOf(err)
	}
	h.reads.Abort(hr)
	return true
}

// arrived takes bytes from the kernel into the buffer, and tells the events.
func (h *handle) arrived(b []byte) {
	h.rx.count += uint32(len(b))
	before := len(h.rx.buffer)
	data := func(c byte) {
		if c != 0 || h.set.handflow.FlowReplace&SERIAL_NULL_STRIPPING == 0 {
			h.rx.buffer = append(h.rx.buffer, c)
		}
	}
	switch {
	case h.set.marks:
		h.rx.marker.scan(b, data, h.badByte, h.receivedBreak)
	case h.set.handflow.FlowReplace&SERIAL_NULL_STRIPPING != 0:
		for _, c := range b {
			data(c)
		}
	default:
		h.rx.buffer = append(h.rx.buffer, b...)
	}
	added := h.rx.buffer[before:]
	if len(added) == 0 {
		return
	}
	happened := uint32(SERIAL_EV_RXCHAR)
	if bytes.IndexByte(added, h.set.chars.EventChar) >= 0 {
		happened |= SERIAL_EV_RXFLAG
	}
	if full := h.set.queue * 8 / 10; before < full && len(h.rx.buffer) >= full {
		happened |= SERIAL_EV_RX80FULL
	}
	h.happen(happened)
	if h.rx.turn != nil && h.rx.turn.probed {
		h.rx.turn.restart()
	}
}

// badByte takes a byte that came with an error of parity or framing; the kernel
// does not tell which.
func (h *handle) badByte(c byte) {
	if h.set.handflow.FlowReplace&SERIAL_ERROR_CHAR != 0 {
		c = h.set.chars.ErrorChar
	}
	h.rx.buffer = append(h.rx.buffer, c)
	if h.set.line.Parity != NO_PARITY {
		h.lineError(SERIAL_ERROR_PARITY)
	} else {
		h.lineError(SERIAL_ERROR_FRAMING)
	}
}

// receivedBreak takes a break, which also is a zero byte.
func (h *handle) receivedBreak() {
	switch {
	case h.set.handflow.FlowReplace&SERIAL_BREAK_CHAR != 0:
		h.rx.buffer = append(h.rx.buffer, h.set.chars.BreakChar)
	case h.set.handflow.FlowReplace&SERIAL_NULL_STRIPPING == 0:
		h.rx.buffer = append(h.rx.buffer, 0)
	}
	h.lineError(SERIAL_ERROR_BREAK)
}

// serve ends the reads that are complete. dry says that the kernel has nothing
// more for any of them. It returns false if the kernel is to be asked.
func (h *handle) serve(dry bool) bool {
	for t := h.readTurn(); t != nil; t = h.readTurn() {
		want, has := len(t.it.R.Out), len(h.rx.buffer)
		complete := has >= want || t.plan.first && has > 0
		if !complete && !t.probed && dry {
			t.probed = true
			complete = t.plan.immediate || t.plan.present && has > 0
			if !complete {
				h.startTimers(t)
			}
		}
		if !complete {
			return t.probed
		}
		h.completeRead(t)
	}
	return true
}

// completeRead ends the first read with what there is.
func (h *handle) completeRead(t *readTurn) {
	h.q.Finish(t.it, pnp.S_OK, h.rx.take(t.it.R.Out))
}

// startTimers begins the time of a read that has to wait.
func (h *handle) startTimers(t *readTurn) {
	if t.plan.bounded {
		t.total = h.after(t.plan.total, func() { h.readTimeout(t, false) })
	}
	if t.plan.interval > 0 {
		t.interval = h.after(t.plan.interval, func() { h.readTimeout(t, true) })
		t.interval.Stop()
		if len(h.rx.buffer) > 0 {
			t.restart()
		}
	}
}

// restart begins the interval again.
func (t *readTurn) restart() {
	if t.interval != nil {
		t.lapses = time.Now().Add(t.plan.interval)
		t.interval.Reset(t.plan.interval)
	}
}

// readTimeout ends a read whose time ran out, unless what the kernel has for it
// completes it, or is the byte that the interval waited for.
func (h *handle) readTimeout(t *readTurn, interval bool) {
	h.q.Lock()
	defer h.q.Unlock()
	if t.it.Ended() {
		return
	}
	h.receive()
	if t.it.Ended() || interval && (len(h.rx.buffer) == 0 || time.Now().Before(t.lapses)) {
		return
	}
	h.completeRead(t)
	h.receive()
}
