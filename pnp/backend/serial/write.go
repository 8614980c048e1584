// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// transmitter is the direction to the line. All but device is guarded by the
// handle's queue. The IOCTL_SERIAL_IMMEDIATE_CHAR that is under way is in the lane
// immediate: it goes before what the kernel does not have yet.
type transmitter struct {
	device sync.Mutex // writing to the descriptor

	timed   *queue.Item // the write whose turn has come
	running bool        // there is a writer
	count   uint32
	// dirty is set by what is written, until its end was told as
	// SERIAL_EV_TXEMPTY.
	dirty bool
}

// pending is how many bytes the kernel has yet to take. The queue is locked.
func (h *handle) pending() int {
	n := h.immediate.Len()
	for it := range h.writes.All() {
		n += len(it.R.In) - it.N
	}
	return n
}

// next is what to write next, for which request; nothing for nil. The queue is
// locked.
func (h *handle) next() (*queue.Item, []byte) {
	if it := h.immediate.First(); it != nil {
		return it, it.R.In[:1]
	}
	if it := h.writes.First(); it != nil {
		return it, it.R.In[it.N:]
	}
	return nil, nil
}

// beginImmediate takes an IOCTL_SERIAL_IMMEDIATE_CHAR, which needs the right to
// write.
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

// abortWrites ends all writes, each with what was written of it. The queue is
// locked.
func (h *handle) abortWrites(hr pnp.HRESULT) {
	h.writes.Abort(hr)
	h.immediate.Abort(hr)
}

// transmit writes what can be written at once, and has the writer do the rest.
// The queue is locked.
func (h *handle) transmit() {
	if !h.driving && h.tx.device.TryLock() {
		h.transmitNow()
	}
	h.beginWrite()
	h.startWriter()
}

// transmitNow writes until the kernel takes no more. The caller has locked the
// queue and tx.device, which transmitNow gives up.
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

// beginWrite starts the time of the first write.
func (h *handle) beginWrite() {
	it := h.writes.First()
	if it == nil || it == h.tx.timed {
		return
	}
	h.tx.timed = it
	if limit, bounded := h.set.timeouts.write(len(it.R.In)); bounded {
		total := h.after(limit, func() { h.writeTimeout(it) })
		it.OnEnd = func() { total.Stop() }
	}
}

func (h *handle) writeTimeout(it *queue.Item) {
	h.q.Lock()
	defer h.q.Unlock()
	if h.q.Finish(it, pnp.S_OK, it.N) {
		h.transmit()
	}
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

// writeDone reports whether the writer, whose wait ended with err, has nothing
// more to do.
func (h *handle) writeDone(err error) bool {
	h.q.Lock()
	defer h.q.Unlock()
	if err != nil {
		// The handle was closed, or the poller failed, which it does for no
		// terminal.
		h.abortWrites(pnp.HRESULTOf(err))
	}
	if it, _ := h.next(); err == nil && it != nil {
		return false
	}
	h.tx.running = false
	return true
}

// writeReady writes until the kernel takes no more, which it returns false for,
// or there is nothing to write.
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
	defer h.q.Unlock() // which completes requests, once the device is free too
	defer h.tx.device.Unlock()
	return h.wrote(it, n, err), false
}

// take is what to write next, for which request, whose buffers are held: it can
// be completed meanwhile.
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

// wrote takes what a write to the descriptor gave for a request, which may have
// ended meanwhile. It returns true if the kernel takes no more for now. The queue
// is locked.
func (h *handle) wrote(it *queue.Item, n int, err error) (full bool) {
	h.tx.count += uint32(n)
	h.tx.dirty = h.tx.dirty || n > 0
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
		if it.N == len(it.R.In) || hr.Failed() {
			h.q.Finish(it, hr, it.N)
		}
	}
	return false
}
