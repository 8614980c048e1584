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

// receiver is the direction from the line. Data stays in the kernel until a read or a
// wait for an event asks for it. Then it moves to buffer, and from there to the read
// that it completes. The handle's queue guards all but device and scratch.
type receiver struct {
	device sync.Mutex // held while the descriptor is read

	full    bool      // the queue is, for a handshake
	turn    *readTurn // of the first read; nil until its turn has come
	came    uint64    // how many reads have come so far
	buffer  []byte
	head    int         // how many bytes before buffer its memory still has
	memory  *pnp.Memory // the session's
	taken   int         // bytes of memory
	epoch   int         // changes when the buffer is purged, to drop data that is being read then
	running bool        // there is a reader
	count   uint32
	marker  marker
	scratch [4096]byte // guarded by device
}

// burst bounds how many bytes are read in one go while others wait, since a fast
// sender may never pause. It is far more than a terminal has ready at one moment
// (4 KiB).
const burst = 64 << 10

// moment is the state of the receiver when a read of the descriptor begins.
type moment struct {
	came  uint64
	epoch int
}

func (x *receiver) now() moment { return moment{x.came, x.epoch} }

// readTurn is the state of a read whose turn has come.
type readTurn struct {
	it     *queue.Item
	plan   readPlan
	probed bool // the kernel had no more data at once
	// lapses is when the interval after the last byte ends.
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

// take moves data from the buffer to out.
func (x *receiver) take(out []byte) int {
	n := copy(out, x.buffer)
	x.buffer = x.buffer[n:]
	if x.head += n; x.head > len(x.buffer) {
		x.buffer, x.head = bytes.Clone(x.buffer), 0
	}
	return n
}

// drop drops the data in the buffer.
func (x *receiver) drop() {
	x.memory.Give(x.taken)
	x.buffer, x.head, x.taken = nil, 0, 0
}

// account takes memory of the session for what is beyond free bytes of size bytes in the
// buffer, or gives it back. It returns how many bytes the buffer may have, size at most.
func (x *receiver) account(size, free int) int {
	if more := max(size-free, 0) - x.taken; more > 0 {
		x.taken += x.memory.TakeUpTo(more)
	} else {
		x.memory.Give(-more)
		x.taken += more
	}
	return min(size, free+x.taken)
}

// free returns how many bytes in the buffer need no memory of the session's: those that
// the first read asked for, and as many as every port may keep.
func (h *handle) free() int {
	for it := range h.reads.All() {
		if !it.Ended() {
			return max(len(it.R.Out), defaultQueue)
		}
	}
	return defaultQueue
}

// settle accounts for what is in the buffer. If the session's memory does not suffice,
// it drops the newest bytes. That happens only when a long read ends before it is
// complete. The queue is locked.
func (h *handle) settle() {
	if n := h.rx.account(len(h.rx.buffer), h.free()); n < len(h.rx.buffer) {
		h.rx.buffer = h.rx.buffer[:n:n]
		h.lineError(SERIAL_ERROR_QUEUEOVERRUN)
	}
}

// clearInput drops data that was not read. Data that came for a read that waits stays.
// The queue is locked.
func (h *handle) clearInput() error {
	if h.reads.Len() > 0 {
		return nil
	}
	h.rx.drop()
	h.rx.marker = marker{}
	h.rx.epoch++
	return h.port.flush(unix.TCIFLUSH)
}

// room returns how many bytes to read from the kernel: as many as the first read still
// needs, and up to the size of the queue; 0 if nobody waits for any.
func (h *handle) room() int {
	want := 0
	switch {
	case h.q.Ended() != pnp.S_OK:
		return 0
	case h.reads.Len() > 0:
		want = max(len(h.reads.First().R.Out), h.set.queue)
	case h.waits.Len() > 0 && h.events.mask&h.receiverEvents() != 0, h.set.hand.listens():
		want = h.set.queue
	}
	has := len(h.rx.buffer)
	more := min(max(want-has, 0), len(h.rx.scratch))
	return max(h.rx.account(has+more, h.free())-has, 0)
}

// receive serves reads with the data that is there, and starts the reader for the
// rest. The queue is locked.
func (h *handle) receive() {
	switch {
	case h.set.hand.deaf: // only the reader reads, if there is something
		h.serve(!h.driving && h.port.unread() == 0)
	case !h.driving && h.reads.Len() > 0 && h.rx.device.TryLock():
		h.receiveNow()
	default:
		h.serve(false)
	}
	h.settle()
	h.startReader()
	h.tend()
}

// receiveNow serves the reads with the data that the kernel has. The caller has locked
// the queue and rx.device; receiveNow unlocks rx.device.
func (h *handle) receiveNow() {
	defer h.rx.device.Unlock()
	// Bytes that are dropped (SERIAL_NULL_STRIPPING) do not fill a read.
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

// readDone reports whether the reader, whose wait ended with err, has nothing more to
// do.
func (h *handle) readDone(err error) bool {
	h.q.Lock()
	defer h.q.Unlock()
	if err != nil {
		// The handle was closed. (The poller never fails for a terminal.)
		h.reads.Abort(pnp.HRESULTOf(err))
	}
	if err == nil && h.room() > 0 {
		return false
	}
	h.rx.running = false
	h.wakeWatcher() // no reader notices a hangup now
	return true
}

// readReady reads until there is no more data, and returns false, or until nobody
// wants any, and returns true.
func (h *handle) readReady() bool {
	for {
		if dry, unwanted := h.readOne(h.listen()); dry || unwanted {
			return unwanted
		}
	}
}

// readOne reads once, if there is something. It returns dry if there is no more data, and
// unwanted if nobody wants any.
func (h *handle) readOne(something bool) (dry, unwanted bool) {
	h.rx.device.Lock()
	room, before := h.wanted()
	if room == 0 {
		h.rx.device.Unlock()
		return false, true
	}
	n, err := 0, error(unix.EAGAIN)
	if something {
		n, err = h.port.read(h.rx.scratch[:room])
	}
	h.q.Lock()
	defer h.q.Unlock() // completes requests, so rx.device is unlocked before
	defer h.rx.device.Unlock()
	return h.received(n, err, before), false
}

// wanted returns how much to read, and the present moment.
func (h *handle) wanted() (int, moment) {
	h.q.Lock()
	defer h.q.Unlock()
	return h.room(), h.rx.now()
}

// received takes the result of a read of the descriptor that began at before, and
// serves the reads. It returns true if there is no more data for now. The caller holds
// rx.device and has locked the queue.
func (h *handle) received(n int, err error, before moment) (dry bool) {
	switch {
	case h.q.Ended() != pnp.S_OK:
		return false // nobody wants any data
	case n > 0 && before.epoch != h.rx.epoch:
		return false // it was purged
	case n > 0:
		h.arrived(h.rx.scratch[:n])
		h.serve(false)
		h.tend()
		return false
	case err == unix.EAGAIN:
		return h.serve(before.came == h.rx.came)
	case h.port.hungUp():
		h.lost()
		return false
	}
	// The driver failed; or end of file without a hangup: another program has set
	// the terminal to canonical mode.
	hr := pnp.ERROR_IO_DEVICE
	if err != nil {
		hr = pnp.HRESULTOf(err)
	}
	h.reads.Abort(hr)
	return true
}

// arrived adds bytes from the kernel to the buffer, and records the events.
func (h *handle) arrived(b []byte) {
	h.rx.count += uint32(len(b))
	if !h.hears() {
		if h.set.marks { // one may be split
			h.rx.marker.scan(b, func(byte) {}, func(byte) {}, func() {})
		}
		return
	}
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

// badByte takes a byte that came with a parity or framing error; the kernel does not
// say which.
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

// receivedBreak takes a break, which is also a zero byte.
func (h *handle) receivedBreak() {
	switch {
	case h.set.handflow.FlowReplace&SERIAL_BREAK_CHAR != 0:
		h.rx.buffer = append(h.rx.buffer, h.set.chars.BreakChar)
	case h.set.handflow.FlowReplace&SERIAL_NULL_STRIPPING == 0:
		h.rx.buffer = append(h.rx.buffer, 0)
	}
	h.lineError(SERIAL_ERROR_BREAK)
}

// serve ends the reads that are complete. dry says that the kernel has no more data
// for them. It returns false if the kernel must be asked.
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

// completeRead ends the first read with the data in the buffer.
func (h *handle) completeRead(t *readTurn) {
	h.q.Finish(t.it, pnp.S_OK, h.rx.take(t.it.R.Out))
}

// startTimers starts the timers of a read that has to wait.
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

// restart restarts the interval.
func (t *readTurn) restart() {
	if t.interval != nil {
		t.lapses = time.Now().Add(t.plan.interval)
		t.interval.Reset(t.plan.interval)
	}
}

// readTimeout ends a read whose time ran out, unless data in the kernel completes it
// or restarts the interval.
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
