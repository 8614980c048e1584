// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// transmitter is the direction to the line: the writes in the order of their
// arrival. All but device is guarded by the handle's mu.
type transmitter struct {
	device sync.Mutex // writing to the descriptor

	queue []*write // the first one's time runs
	// immediate is the IOCTL_SERIAL_IMMEDIATE_CHAR that is under way. It goes
	// before what the kernel does not have yet.
	immediate *pnp.Request
	running   bool // there is a writer
	count     uint32
	// dirty is set by what is written, until its end was told as
	// SERIAL_EV_TXEMPTY.
	dirty   bool
	scratch [4096]byte // belongs to who holds device
}

// write is a request to write.
type write struct {
	r     *pnp.Request
	n     int  // bytes that the kernel has
	begun bool // its turn has come
	total *time.Timer
}

func (op *write) stop() {
	if op.total != nil {
		op.total.Stop()
	}
}

func (x *transmitter) pop() {
	x.queue[0].stop()
	x.queue = slices.Delete(x.queue, 0, 1)
}

// pending is how many bytes the kernel has yet to take.
func (x *transmitter) pending() int {
	n := 0
	for _, op := range x.queue {
		n += len(op.r.In) - op.n
	}
	if x.immediate != nil {
		n++
	}
	return n
}

// next is what to write next, for which request; nothing for nil.
func (x *transmitter) next() (*pnp.Request, []byte) {
	switch {
	case x.immediate != nil:
		return x.immediate, x.immediate.In[:1]
	case len(x.queue) > 0:
		return x.queue[0].r, x.queue[0].r.In[x.queue[0].n:]
	}
	return nil, nil
}

func (h *handle) doWrite(r *pnp.Request) {
	h.mu.Lock()
	defer h.unlock()
	switch {
	case h.refuse(r):
	case !h.write:
		h.finish(r, pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.In) == 0:
		h.finish(r, pnp.S_OK, 0)
	default:
		h.tx.queue = append(h.tx.queue, &write{r: r})
		h.transmit()
	}
}

// beginImmediate takes an IOCTL_SERIAL_IMMEDIATE_CHAR, which needs the right to
// write. The caller holds mu.
func (h *handle) beginImmediate(r *pnp.Request) {
	switch {
	case !h.write:
		h.finish(r, pnp.ERROR_ACCESS_DENIED, 0)
	case h.tx.immediate != nil:
		h.finish(r, pnp.ERROR_INVALID_PARAMETER, 0)
	default:
		h.tx.immediate = r
		h.transmit()
	}
}

func (h *handle) cancelWrite(r *pnp.Request) {
	at := slices.IndexFunc(h.tx.queue, func(op *write) bool { return op.r == r })
	if at < 0 {
		return
	}
	op := h.tx.queue[at]
	op.stop()
	h.tx.queue = slices.Delete(h.tx.queue, at, at+1)
	h.finish(r, pnp.ERROR_OPERATION_ABORTED, op.n)
	if at == 0 {
		h.transmit() // the next one's time begins
	}
}

// abortWrites finishes all writes, each with what was written of it.
func (h *handle) abortWrites(hr pnp.HRESULT) {
	for _, op := range h.tx.queue {
		op.stop()
		h.finish(op.r, hr, op.n)
	}
	h.tx.queue = nil
	if h.tx.immediate != nil {
		h.finish(h.tx.immediate, hr, 0)
		h.tx.immediate = nil
	}
}

// transmit writes what can be written at once, and has the writer do the rest.
// The caller holds mu.
func (h *handle) transmit() {
	// A control that is at the driver might hold a write up.
	if !h.control.busy && h.tx.device.TryLock() {
		h.transmitNow()
	}
	h.beginWrite()
	h.startWriter()
}

// transmitNow writes until the kernel takes no more. The caller holds mu and
// tx.device, which transmitNow gives up.
func (h *handle) transmitNow() {
	defer h.tx.device.Unlock()
	for full := false; !full; {
		r, data := h.tx.next()
		if r == nil {
			return
		}
		h.beginWrite()
		n, err := h.port.write(data)
		full = h.wrote(r, n, err)
	}
}

// beginWrite starts the time of the first write.
func (h *handle) beginWrite() {
	if len(h.tx.queue) == 0 || h.tx.queue[0].begun {
		return
	}
	op := h.tx.queue[0]
	op.begun = true
	if limit, bounded := h.set.timeouts.write(len(op.r.In)); bounded {
		op.total = h.after(limit, func() { h.writeTimeout(op) })
	}
}

func (h *handle) writeTimeout(op *write) {
	h.mu.Lock()
	defer h.unlock()
	if len(h.tx.queue) == 0 || h.tx.queue[0] != op {
		return
	}
	h.tx.pop()
	h.finish(op.r, pnp.S_OK, op.n)
	h.transmit()
}

func (h *handle) startWriter() {
	if r, _ := h.tx.next(); r != nil {
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
	h.mu.Lock()
	defer h.unlock()
	if err != nil && !h.closed {
		// The poller failed, which it does for no terminal.
		h.abortWrites(pnp.HRESULTOf(err))
	}
	if r, _ := h.tx.next(); err == nil && r != nil {
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
	defer h.settle() // once the device is free too
	h.tx.device.Lock()
	defer h.tx.device.Unlock()
	r, chunk := h.chunk()
	if r == nil {
		return false, true
	}
	n, err := h.port.write(chunk)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wrote(r, n, err), false
}

// chunk is what to write next, for which request. The data is copied, so that
// the request can be completed meanwhile. The caller holds tx.device.
func (h *handle) chunk() (*pnp.Request, []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.beginWrite()
	r, data := h.tx.next()
	return r, h.tx.scratch[:copy(h.tx.scratch[:], data)]
}

// wrote takes what a write to the descriptor gave for r, which may have been
// cancelled meanwhile. It returns true if the kernel takes no more for now. The
// caller holds mu.
func (h *handle) wrote(r *pnp.Request, n int, err error) (full bool) {
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
	case h.tx.immediate == r:
		h.tx.immediate = nil
		h.finish(r, hr, 0)
	case len(h.tx.queue) > 0 && h.tx.queue[0].r == r:
		op := h.tx.queue[0]
		op.n += n
		if op.n == len(r.In) || hr.Failed() {
			h.tx.pop()
			h.finish(r, hr, op.n)
		}
	}
	return false
}
