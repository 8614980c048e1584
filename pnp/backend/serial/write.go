// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// transmitter is the direction to the line. The handle's queue guards all but device.
// A pending IOCTL_SERIAL_IMMEDIATE_CHAR is in the lane immediate: it goes before the
// bytes that the kernel does not have yet.
type transmitter struct {
	device sync.Mutex // held while the descriptor is written

	timed   *queue.Item // the write whose turn has come
	bounded bool        // it has a time-out
	sending *queue.Item // the kernel has all of that write, and has not sent it
	look    *time.Timer // for that
	running bool        // there is a writer
	count   uint32
	// dirty is set by writing, until SERIAL_EV_TXEMPTY happened.
	dirty bool
}

// pending returns how many bytes the kernel still has to take. The queue is locked.
func (h *handle) pending() int {
	n := h.immediate.Len()
	for it := range h.writes.All() {
		n += len(it.R.In) - it.N
	}
	return n
}

// next returns the next request to write for and the data that may be written; nil if
// there is none. The queue is locked.
func (h *handle) next() (*queue.Item, []byte) {
	it, data := h.waiting()
	if it == nil {
		return nil, nil
	}
	n := min(len(data), h.allowance())
	if n == 0 {
		return nil, nil // tend sees to it
	}
	return it, data[:n]
}

// waiting returns the request whose turn it is and its data. The queue is locked.
func (h *handle) waiting() (*queue.Item, []byte) {
	if it := h.immediate.First(); it != nil {
		return it, it.R.In[:1]
	}
	if it := h.writes.First(); it != nil && it != h.tx.sending {
		return it, it.R.In[it.N:]
	}
	return nil, nil
}

// beginImmediate takes an IOCTL_SERIAL_IMMEDIATE_CHAR, which needs write access.
func (h *handle) beginImmediate(it *queue.Item) {
	switch {
	case !h.write:
		h.q.Finish(it, pnp.ERROR_ACCESS_DENIED, 0)
	case h.immediate.Len() > 0:
		h.q.Finish(it, pnp.ERROR_INVALID_PARAMETER, 0)
	default:
		it.Move(h.immediate)
		h.transmit()
	}
}

// abortWrites ends all writes, each with the count of what was written. The queue is
// locked.
func (h *handle) abortWrites(hr pnp.HRESULT) {
	h.writes.Abort(hr)
	h.immediate.Abort(hr)
	h.tend()
}

// transmit writes what the kernel takes at once, and starts the writer for the rest.
// The queue is locked.
func (h *handle) transmit() {
	if !h.driving && h.tx.device.TryLock() {
		h.transmitNow()
	}
	h.beginWrite()
	h.startWriter()
	h.tend()
}

// transmitNow writes until the kernel takes no more. The caller has locked the queue
// and tx.device; transmitNow unlocks tx.device.
func (h *handle) transmitNow() {
	defer h.tx.device.Unlock()
	for full := false; !full; {
		h.beginWrite()
		it, data := h.next()
		if it == nil {
			return
		}
		n, err := h.port.write(data)
		full = h.wrote(it, n, err)
	}
}

// beginWrite starts the timer of the first write.
func (h *handle) beginWrite() {
	it := h.writes.First()
	if it == nil || it == h.tx.timed {
		return
	}
	h.tx.timed = it
	limit, bounded := h.set.timeouts.write(len(it.R.In))
	if h.tx.bounded = bounded; bounded {
		total := h.after(limit, func() { h.writeTimeout(it) })
		it.OnEnd = func() {
			total.Stop()
			if h.tx.sending == it {
				h.tx.look.Stop()
				h.tx.sending, h.tx.look = nil, nil
			}
		}
	}
}

func (h *handle) writeTimeout(it *queue.Item) {
	h.q.Lock()
	defer h.q.Unlock()
	if it.Ended() {
		return
	}
	// Data of earlier writes, which are complete, must not be discarded.
	if unsent := h.port.unsent(); unsent > 0 && unsent <= it.N && h.flushOutput() == nil {
		it.N -= unsent
		h.tx.count -= uint32(unsent)
	}
	h.q.Finish(it, pnp.S_OK, it.N)
	h.transmit()
}

// taken ends a write that the kernel has all of, once it is sent if it has a time-out.
// The queue is locked.
func (h *handle) taken(it *queue.Item) {
	unsent := 0
	if h.tx.bounded && it == h.tx.timed {
		unsent = h.port.unsent()
	}
	if unsent == 0 {
		h.q.Finish(it, pnp.S_OK, it.N)
		return
	}
	h.tx.sending = it
	h.lookAgain(it, unsent)
}

// lookAgain looks whether the rest of a write has been sent, when that can be. The queue is
// locked.
func (h *handle) lookAgain(it *queue.Item, unsent int) {
	const shortest, longest = time.Millisecond, 20 * time.Millisecond
	wait := min(max(lineTime(unsent, &h.set.termios), shortest), longest)
	h.tx.look = h.after(wait, func() {
		h.q.Lock()
		defer h.q.Unlock()
		if it.Ended() {
			return
		}
		unsent := h.port.unsent()
		switch {
		case h.port.hungUp(): // then there is nothing to send
			h.lost()
		case unsent > 0:
			h.lookAgain(it, unsent)
		default:
			h.q.Finish(it, pnp.S_OK, it.N)
			h.transmit()
		}
	})
}

func (h *handle) startWriter() {
	if it, _ := h.next(); it != nil {
		h.spawn("writing", &h.tx.running, h.writeLoop)
	}
}

// writeLoop is the writer.
func (h *handle) writeLoop() {
	for {
		err := h.conn.Write(func(uintptr) bool { return h.writeReady() })
		if h.writeDone(err) {
			return
		}
	}
}

// writeDone reports whether the writer, whose wait ended with err, has nothing more to
// do.
func (h *handle) writeDone(err error) bool {
	h.q.Lock()
	defer h.q.Unlock()
	if err != nil {
		// The handle was closed. (The poller never fails for a terminal.)
		h.abortWrites(pnp.HRESULTOf(err))
	}
	if it, _ := h.next(); err == nil && it != nil {
		return false
	}
	h.tx.running = false
	h.tend()
	return true
}

// writeReady writes until the kernel takes no more, and returns false, or until there
// is nothing to write, and returns true.
func (h *handle) writeReady() bool {
	for {
		if full, nothing := h.writeOne(); full || nothing {
			return nothing
		}
	}
}

// writeOne writes once. It returns full if the kernel takes no more, and nothing
// if there is nothing to write.
func (h *handle) writeOne() (full, nothing bool) {
	h.tx.device.Lock()
	it, data := h.take()
	if it == nil {
		h.tx.device.Unlock()
		return false, true
	}
	n, err := h.port.write(data)
	it.R.Release()
	h.q.Lock()
	defer h.q.Unlock() // completes requests, so tx.device is unlocked before
	defer h.tx.device.Unlock()
	return h.wrote(it, n, err), false
}

// take is next, and holds the buffers of the request, which may be completed
// meanwhile.
func (h *handle) take() (*queue.Item, []byte) {
	h.q.Lock()
	defer h.q.Unlock()
	h.beginWrite()
	it, data := h.next()
	if it != nil {
		it.R.Hold()
	}
	return it, data
}

// wrote takes the result of a write to the descriptor for a request, which may have
// ended meanwhile. It returns true if the kernel takes no more for now. The queue is
// locked.
func (h *handle) wrote(it *queue.Item, n int, err error) (full bool) {
	h.tx.count += uint32(n)
	h.tx.dirty = h.tx.dirty || n > 0
	h.wroteToLine(n)
	if err == unix.EAGAIN {
		return true
	}
	hr := pnp.S_OK
	if err != nil || n == 0 {
		if h.port.hungUp() {
			h.lost()
			return false
		}
		hr = pnp.ERROR_IO_DEVICE
		if err != nil {
			hr = pnp.HRESULTOf(err)
		}
	}
	switch {
	case it.Ended():
	case it.R.Op == pnp.OpIOControl:
		h.q.Finish(it, hr, 0)
	default:
		it.N += n
		switch {
		case hr.Failed():
			h.q.Finish(it, hr, it.N)
		case it.N == len(it.R.In):
			h.taken(it)
		}
	}
	return false
}
