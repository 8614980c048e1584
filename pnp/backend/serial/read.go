// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// receiver is the direction from the line. What the kernel received stays there
// until a read or a wait for an event asks for it; then it comes into buffer,
// and leaves it with the read that it completes. All but device is guarded by
// the handle's mu.
type receiver struct {
	device sync.Mutex // reading from the descriptor

	queue   []*read // the first one's time runs
	came    uint64  // how many reads were ever queued
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

// read is a request to read.
type read struct {
	r      *pnp.Request
	number uint64 // of the receiver's came
	plan   readPlan
	begun  bool // its turn has come
	probed bool // and the kernel had nothing more for it at once
	// lapses is when the interval after the last byte is over.
	lapses          time.Time
	total, interval *time.Timer
}

func (op *read) stop() {
	for _, t := range []*time.Timer{op.total, op.interval} {
		if t != nil {
			t.Stop()
		}
	}
}

// pop takes the first read out of the queue.
func (x *receiver) pop() {
	x.queue[0].stop()
	x.queue = slices.Delete(x.queue, 0, 1)
}

// take moves what is in the buffer to out.
func (x *receiver) take(out []byte) int {
	n := copy(out, x.buffer)
	x.buffer = x.buffer[n:]
	return n
}

func (h *handle) doRead(r *pnp.Request) {
	h.mu.Lock()
	defer h.unlock()
	switch {
	case h.refuse(r):
	case !h.read:
		h.finish(r, pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Out) == 0:
		h.finish(r, pnp.S_OK, 0)
	default:
		h.rx.came++
		h.rx.queue = append(h.rx.queue, &read{r: r, number: h.rx.came})
		h.receive()
	}
}

func (h *handle) cancelRead(r *pnp.Request) {
	at := slices.IndexFunc(h.rx.queue, func(op *read) bool { return op.r == r })
	if at < 0 {
		return
	}
	h.rx.queue[at].stop()
	h.rx.queue = slices.Delete(h.rx.queue, at, at+1)
	h.finish(r, pnp.ERROR_OPERATION_ABORTED, 0)
	if at == 0 {
		h.receive() // for the next one, whose turn it is
	}
}

// abortReads finishes all reads. What came for the first one stays.
func (h *handle) abortReads(hr pnp.HRESULT) {
	for _, op := range h.rx.queue {
		op.stop()
		h.finish(op.r, hr, 0)
	}
	h.rx.queue = nil
}

// clearInput drops what came and was not read. What came for a read that waits
// counts as read.
func (h *handle) clearInput() error {
	h.mu.Lock()
	defer h.unlock()
	if len(h.rx.queue) > 0 {
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
	case h.closed || h.gone:
		return 0
	case len(h.rx.queue) > 0:
		want = max(len(h.rx.queue[0].r.Out), h.set.queue)
	case h.events.wait != nil && h.events.mask&h.receiverEvents() != 0:
		want = h.set.queue
	}
	return min(max(want-len(h.rx.buffer), 0), len(h.rx.scratch))
}

// receive serves the reads as far as that can be done at once, and has the
// reader do the rest. The caller holds mu.
func (h *handle) receive() {
	// A control that is at the driver might hold a read up.
	if !h.control.busy && len(h.rx.queue) > 0 && h.rx.device.TryLock() {
		h.receiveNow()
	} else {
		h.serve(0)
	}
	h.startReader()
}

// receiveNow serves the reads with what the kernel has. The caller holds mu and
// rx.device, which receiveNow gives up.
func (h *handle) receiveNow() {
	defer h.rx.device.Unlock()
	// What is dropped (SERIAL_NULL_STRIPPING) fills no read.
	for dry, limit := false, burst; !dry && limit > 0; {
		h.serve(0)
		room := h.room()
		if room == 0 || len(h.rx.queue) == 0 {
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
	h.mu.Lock()
	defer h.unlock()
	if err != nil && !h.closed {
		// The poller failed, which it does for no terminal.
		h.abortReads(pnp.HRESULTOf(err))
	}
	if err == nil && h.room() > 0 {
		return false
	}
	h.rx.running = false
	if h.events.wait != nil {
		h.startWatcher() // with no reader to see a hangup
	}
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
	defer h.settle() // once the device is free too
	h.rx.device.Lock()
	defer h.rx.device.Unlock()
	room, before := h.wanted()
	if room == 0 {
		return false, true
	}
	n, err := h.port.read(h.rx.scratch[:room])
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.received(n, err, before), false
}

// wanted is how much to read, and the moment at which that begins.
func (h *handle) wanted() (int, moment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.room(), h.rx.now()
}

// received takes what a read of the descriptor gave that began at before, and
// serves the reads. It returns true if there is nothing more for now. The caller
// holds rx.device and mu.
func (h *handle) received(n int, err error, before moment) (dry bool) {
	switch {
	case h.closed || h.gone:
		return false // and nobody wants any more
	case n > 0 && before.epoch != h.rx.epoch:
		return false // it was purged
	case n > 0:
		h.arrived(h.rx.scratch[:n])
		h.serve(0)
		return false
	case err == unix.EAGAIN:
		return h.serve(before.came)
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
	h.abortReads(hr)
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
	if len(h.rx.queue) > 0 && h.rx.queue[0].probed {
		h.rx.queue[0].restart()
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

// serve finishes the reads that are complete. The kernel had nothing more for
// those up to number dry. It returns false if the kernel is to be asked for one
// that came later.
func (h *handle) serve(dry uint64) bool {
	for len(h.rx.queue) > 0 {
		op := h.rx.queue[0]
		if !op.begun {
			op.begun = true
			op.plan = h.set.timeouts.read(len(op.r.Out))
		}
		has := len(h.rx.buffer)
		complete := has >= len(op.r.Out) || op.plan.first && has > 0
		if !complete && !op.probed && op.number <= dry {
			op.probed = true
			complete = op.plan.immediate || op.plan.present && has > 0
			if !complete {
				h.startTimers(op)
			}
		}
		if !complete {
			return op.probed
		}
		h.completeRead()
	}
	return true
}

// completeRead finishes the first read with what there is.
func (h *handle) completeRead() {
	op := h.rx.queue[0]
	h.rx.pop()
	h.finish(op.r, pnp.S_OK, h.rx.take(op.r.Out))
}

// startTimers begins the time of a read that has to wait.
func (h *handle) startTimers(op *read) {
	if op.plan.bounded {
		op.total = h.after(op.plan.total, func() { h.readTimeout(op, false) })
	}
	if op.plan.interval > 0 {
		op.interval = h.after(op.plan.interval, func() { h.readTimeout(op, true) })
		op.interval.Stop()
		if len(h.rx.buffer) > 0 {
			op.restart()
		}
	}
}

// restart begins the interval again.
func (op *read) restart() {
	if op.interval != nil {
		op.lapses = time.Now().Add(op.plan.interval)
		op.interval.Reset(op.plan.interval)
	}
}

// readTimeout ends a read whose time ran out, unless what the kernel has for it
// completes it, or is the byte that the interval waited for.
func (h *handle) readTimeout(op *read, interval bool) {
	h.mu.Lock()
	defer h.unlock()
	first := func() bool { return len(h.rx.queue) > 0 && h.rx.queue[0] == op }
	if !first() {
		return
	}
	h.receive()
	if !first() || interval && (len(h.rx.buffer) == 0 || time.Now().Before(op.lapses)) {
		return
	}
	h.completeRead()
	h.receive()
}
