// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// ioControl is one IOControl of the table.
type ioControl struct {
	// in and out are the least sizes of input and output, in bytes. serial.sys
	// fails with STATUS_BUFFER_TOO_SMALL below them. As much as out is what a
	// success returns.
	in, out int
	// quick reports whether run cannot wait for hardware. nil for never.
	quick func(h *handle) bool
	// arrive, if any, is called with mu held when the request comes, before
	// those that came earlier are done.
	arrive func(h *handle, in []byte)
	// run carries it out without a lock, one IOControl at a time, on copies of
	// the request's buffers.
	run func(h *handle, in, out []byte) pnp.HRESULT
	// begin, instead of run, takes the request with mu held to complete it
	// later.
	begin func(h *handle, r *pnp.Request)
}

func always(*handle) bool { return true }

// controls are the IOControls, in the order of their codes. Any other fails with
// ERROR_INVALID_FUNCTION.
var controls = map[uint32]ioControl{
	IOCTL_SERIAL_SET_BAUD_RATE:    {in: sizeULONG, run: (*handle).setBaudRate},
	IOCTL_SERIAL_SET_QUEUE_SIZE:   {in: sizeQueueSize, quick: always, run: (*handle).setQueueSize},
	IOCTL_SERIAL_SET_LINE_CONTROL: {in: sizeLineControl, run: (*handle).setLineControl},
	IOCTL_SERIAL_SET_BREAK_ON:     {run: (*handle).setBreakOn},
	IOCTL_SERIAL_SET_BREAK_OFF:    {run: (*handle).setBreakOff},
	IOCTL_SERIAL_IMMEDIATE_CHAR:   {in: 1, quick: always, begin: (*handle).beginImmediate},
	IOCTL_SERIAL_SET_TIMEOUTS:     {in: sizeTimeouts, quick: always, run: (*handle).setTimeouts},
	IOCTL_SERIAL_GET_TIMEOUTS:     {out: sizeTimeouts, quick: always, run: (*handle).getTimeouts},
	IOCTL_SERIAL_SET_DTR:          {run: (*handle).setDTR},
	IOCTL_SERIAL_CLR_DTR:          {run: (*handle).clrDTR},
	IOCTL_SERIAL_RESET_DEVICE:     {quick: always, run: (*handle).resetDevice},
	IOCTL_SERIAL_SET_RTS:          {run: (*handle).setRTS},
	IOCTL_SERIAL_CLR_RTS:          {run: (*handle).clrRTS},
	IOCTL_SERIAL_SET_XOFF:         {run: (*handle).setXoff},
	IOCTL_SERIAL_SET_XON:          {run: (*handle).setXon},
	IOCTL_SERIAL_GET_WAIT_MASK:    {out: sizeULONG, quick: always, run: (*handle).getWaitMask},
	IOCTL_SERIAL_SET_WAIT_MASK:    {in: sizeULONG, quick: noLines, run: (*handle).setWaitMask},
	IOCTL_SERIAL_WAIT_ON_MASK:     {out: sizeULONG, quick: always, begin: (*handle).beginWait},
	IOCTL_SERIAL_PURGE:            {in: sizeULONG, quick: always, arrive: (*handle).abortPurged, run: (*handle).purge},
	IOCTL_SERIAL_GET_BAUD_RATE:    {out: sizeULONG, quick: always, run: (*handle).getBaudRate},
	IOCTL_SERIAL_GET_LINE_CONTROL: {out: sizeLineControl, quick: always, run: (*handle).getLineControl},
	IOCTL_SERIAL_GET_CHARS:        {out: sizeChars, quick: always, run: (*handle).getChars},
	IOCTL_SERIAL_SET_CHARS:        {in: sizeChars, run: (*handle).setChars},
	IOCTL_SERIAL_GET_HANDFLOW:     {out: sizeHandflow, quick: always, run: (*handle).getHandflow},
	IOCTL_SERIAL_SET_HANDFLOW:     {in: sizeHandflow, run: (*handle).setHandflow},
	IOCTL_SERIAL_GET_MODEMSTATUS:  {out: sizeULONG, quick: noLines, run: (*handle).getModemStatus},
	IOCTL_SERIAL_GET_COMMSTATUS:   {out: sizeStatus, quick: noHold, run: (*handle).getCommStatus},
	IOCTL_SERIAL_XOFF_COUNTER:     {quick: always, run: (*handle).notSupported},
	IOCTL_SERIAL_GET_PROPERTIES:   {out: sizeCommProp, quick: always, run: (*handle).getProperties},
	IOCTL_SERIAL_GET_DTRRTS:       {out: sizeULONG, quick: noLines, run: (*handle).getDTRRTS},
	IOCTL_SERIAL_LSRMST_INSERT:    {quick: always, run: (*handle).notSupported},
	IOCTL_SERIAL_CONFIG_SIZE:      {out: sizeULONG, quick: always, run: (*handle).configSize},
	IOCTL_SERIAL_GET_STATS:        {out: sizePerfStats, quick: always, run: (*handle).getStats},
	IOCTL_SERIAL_CLEAR_STATS:      {quick: always, run: (*handle).clearStats},
}

// controller carries out the IOControls in the order in which they came, one at
// a time. Guarded by the handle's mu.
//
// Reads and writes do not wait for them: as on Windows, an application that
// needs an order waits for the one before it sends the other.
type controller struct {
	queue []*pnp.Request
	// current is being carried out without the lock; nil once it was
	// cancelled.
	current *pnp.Request
	busy    bool // something is being carried out
	running bool // there is a controller goroutine
}

func (h *handle) doControl(r *pnp.Request) {
	c, known := controls[r.Code]
	h.mu.Lock()
	defer h.unlock()
	switch {
	case !known:
		h.finish(r, pnp.ERROR_INVALID_FUNCTION, 0)
	case len(r.In) < c.in || len(r.Out) < c.out:
		h.finish(r, pnp.ERROR_INSUFFICIENT_BUFFER, 0)
	case h.refuse(r):
	default:
		if c.arrive != nil {
			c.arrive(h, r.In)
		}
		h.control.queue = append(h.control.queue, r)
		if h.control.busy || h.control.running {
			return
		}
		if c.quick != nil && c.quick(h) {
			h.carryOut()
		}
		h.startController()
	}
}

// carryOut does the first IOControl of the queue. The caller holds mu, which
// carryOut gives up meanwhile.
func (h *handle) carryOut() {
	r := h.control.queue[0]
	h.control.queue = slices.Delete(h.control.queue, 0, 1)
	c := controls[r.Code]
	if c.begin != nil {
		h.beginGuarded(c, r)
		return
	}
	in, out := bytes.Clone(r.In[:c.in]), make([]byte, c.out)
	h.control.current, h.control.busy = r, true
	h.users.Add(1)
	h.unlock()
	hr := h.runGuarded(c, in, out)
	h.mu.Lock()
	h.leave()
	h.control.busy = false
	if h.control.current == r {
		h.control.current = nil
		n := 0
		if !hr.Failed() {
			n = copy(r.Out, out)
		}
		h.finish(r, hr, n)
	}
	// Those that came meanwhile were not tried at once.
	h.receive()
	h.transmit()
}

// runGuarded is c.run, unless the port hung up, which what is answered from
// memory would not notice. After a panic it fails: carryOut has to get mu back
// whatever happens.
func (h *handle) runGuarded(c ioControl, in, out []byte) (hr pnp.HRESULT) {
	defer pnp.Guard(h.dev.log, "controlling "+h.dev.path, func() { hr = pnp.E_UNEXPECTED })
	if h.port.hungUp() {
		return h.failure(unix.EIO)
	}
	return c.run(h, in, out)
}

// beginGuarded is c.begin; after a panic it fails r, which is in nobody else's
// hands. The caller holds mu.
func (h *handle) beginGuarded(c ioControl, r *pnp.Request) {
	defer pnp.Guard(h.dev.log, "controlling "+h.dev.path, func() {
		if h.tx.immediate == r {
			h.tx.immediate = nil
		}
		if h.events.wait == r {
			h.events.wait = nil
		}
		h.finish(r, pnp.E_UNEXPECTED, 0)
	})
	c.begin(h, r)
}

func (h *handle) startController() {
	if len(h.control.queue) > 0 {
		h.spawn("controlling", &h.control.running, h.controlLoop)
	}
}

// controlLoop is the controller.
func (h *handle) controlLoop() {
	for h.controlNext() {
	}
}

// controlNext carries out what is first in the queue, and returns false if there
// is nothing.
func (h *handle) controlNext() bool {
	h.mu.Lock()
	defer h.unlock()
	if len(h.control.queue) == 0 {
		h.control.running = false
		return false
	}
	h.carryOut()
	return true
}

// cancelControl finishes r. What the driver is at goes on, its result is
// dropped.
func (h *handle) cancelControl(r *pnp.Request) {
	if at := slices.Index(h.control.queue, r); at >= 0 {
		h.control.queue = slices.Delete(h.control.queue, at, at+1)
		h.finish(r, pnp.ERROR_OPERATION_ABORTED, 0)
	} else if h.control.current == r {
		h.control.current = nil
		h.finish(r, pnp.ERROR_OPERATION_ABORTED, 0)
	}
}

func (h *handle) abortControls(hr pnp.HRESULT) {
	if h.control.current != nil {
		h.finish(h.control.current, hr, 0)
		h.control.current = nil
	}
	for _, r := range h.control.queue {
		h.finish(r, hr, 0)
	}
	h.control.queue = nil
}

// noLines reports whether there are no lines or counters to ask the driver for.
func noLines(h *handle) bool { return !h.port.hasLines && !h.port.hasCounters }

// noHold reports whether no line can hold output up.
func noHold(h *handle) bool { return !h.port.hasLines || !h.set.handflow.ctsHandshake() }
