// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// ioControl is one IOControl of the table. It has one of quick, slow and park, or
// both of the first two.
type ioControl struct {
	// in and out are the least sizes of input and output, in bytes. Below them
	// serial.sys fails with STATUS_BUFFER_TOO_SMALL. A success returns out bytes.
	in, out int
	// arrive, if any, is called when the request arrives, before earlier ones are
	// done. The queue is locked.
	arrive func(h *handle, in []byte)
	// quick carries it out with the queue locked: it cannot wait for hardware.
	quick func(h *handle, in, out []byte) pnp.HRESULT
	// slow carries it out without a lock, in a slot. If there is quick, too, asks
	// chooses.
	slow func(h *handle, in, out []byte) pnp.HRESULT
	asks func(h *handle, in []byte) bool
	// still is set if slow changes the settings of the terminal: nobody reads or
	// writes meanwhile.
	still bool
	// park ends the request, or moves it to another lane where it waits for
	// something else than the driver. The queue is locked.
	park func(h *handle, it *queue.Item)
}

// isSlow reports whether slow is to carry it out. The queue is locked.
func (c *ioControl) isSlow(h *handle, in []byte) bool {
	return c.slow != nil && (c.asks == nil || c.asks(h, in))
}

// controls are the IOControls, in the order of their codes. Any other fails with
// ERROR_INVALID_FUNCTION.
var controls = map[uint32]*ioControl{
	IOCTL_SERIAL_SET_BAUD_RATE:    {in: sizeULONG, slow: (*handle).setBaudRate, still: true},
	IOCTL_SERIAL_SET_QUEUE_SIZE:   {in: sizeQueueSize, quick: (*handle).setQueueSize},
	IOCTL_SERIAL_SET_LINE_CONTROL: {in: sizeLineControl, slow: (*handle).setLineControl, still: true},
	IOCTL_SERIAL_SET_BREAK_ON:     {slow: (*handle).setBreakOn},
	IOCTL_SERIAL_SET_BREAK_OFF:    {slow: (*handle).setBreakOff},
	IOCTL_SERIAL_IMMEDIATE_CHAR:   {in: 1, park: (*handle).beginImmediate},
	IOCTL_SERIAL_SET_TIMEOUTS:     {in: sizeTimeouts, quick: (*handle).setTimeouts},
	IOCTL_SERIAL_GET_TIMEOUTS:     {out: sizeTimeouts, quick: (*handle).getTimeouts},
	IOCTL_SERIAL_SET_DTR:          {slow: (*handle).setDTR},
	IOCTL_SERIAL_CLR_DTR:          {slow: (*handle).clrDTR},
	IOCTL_SERIAL_RESET_DEVICE:     {quick: (*handle).resetDevice},
	IOCTL_SERIAL_SET_RTS:          {slow: (*handle).setRTS},
	IOCTL_SERIAL_CLR_RTS:          {slow: (*handle).clrRTS},
	IOCTL_SERIAL_SET_XOFF:         {slow: (*handle).setXoff},
	IOCTL_SERIAL_SET_XON:          {slow: (*handle).setXon},
	IOCTL_SERIAL_GET_WAIT_MASK:    {out: sizeULONG, quick: (*handle).getWaitMask},
	IOCTL_SERIAL_SET_WAIT_MASK: {in: sizeULONG, quick: (*handle).setWaitMask, slow: (*handle).setWaitMaskAfterALook,
		asks: (*handle).asksForMask},
	IOCTL_SERIAL_WAIT_ON_MASK:     {out: sizeULONG, park: (*handle).beginWait},
	IOCTL_SERIAL_PURGE:            {in: sizeULONG, arrive: (*handle).abortPurged, quick: (*handle).purge},
	IOCTL_SERIAL_GET_BAUD_RATE:    {out: sizeULONG, quick: (*handle).getBaudRate},
	IOCTL_SERIAL_GET_LINE_CONTROL: {out: sizeLineControl, quick: (*handle).getLineControl},
	IOCTL_SERIAL_GET_CHARS:        {out: sizeChars, quick: (*handle).getChars},
	IOCTL_SERIAL_SET_CHARS:        {in: sizeChars, slow: (*handle).setChars, still: true},
	IOCTL_SERIAL_GET_HANDFLOW:     {out: sizeHandflow, quick: (*handle).getHandflow},
	IOCTL_SERIAL_SET_HANDFLOW:     {in: sizeHandflow, slow: (*handle).setHandflow, still: true},
	IOCTL_SERIAL_GET_MODEMSTATUS: {out: sizeULONG, quick: (*handle).getModemStatus, slow: (*handle).askModemStatus,
		asks: (*handle).hasLines},
	IOCTL_SERIAL_GET_COMMSTATUS: {out: sizeStatus, quick: (*handle).getCommStatus, slow: (*handle).askCommStatus,
		asks: (*handle).asksForStatus},
	IOCTL_SERIAL_XOFF_COUNTER:   {quick: (*handle).notSupported},
	IOCTL_SERIAL_GET_PROPERTIES: {out: sizeCommProp, quick: (*handle).getProperties},
	IOCTL_SERIAL_GET_DTRRTS: {out: sizeULONG, quick: (*handle).getDTRRTS, slow: (*handle).askDTRRTS,
		asks: (*handle).hasLines},
	IOCTL_SERIAL_LSRMST_INSERT: {quick: (*handle).notSupported},
	IOCTL_SERIAL_CONFIG_SIZE:   {out: sizeULONG, quick: (*handle).configSize},
	IOCTL_SERIAL_GET_STATS: {out: sizePerfStats, quick: (*handle).getStats, slow: (*handle).askStats,
		asks: (*handle).hasCounters},
	IOCTL_SERIAL_CLEAR_STATS: {quick: (*handle).clearStats, slow: (*handle).askAndClearStats,
		asks: (*handle).hasCounters},
}

// check returns the failure of an IOControl that does not exist or whose buffers are
// too short, and S_OK for other requests.
func check(r *pnp.Request) pnp.HRESULT {
	if r.Op != pnp.OpIOControl {
		return pnp.S_OK
	}
	c := controls[r.Code]
	switch {
	case c == nil:
		return pnp.ERROR_INVALID_FUNCTION
	case len(r.In) < c.in || len(r.Out) < c.out:
		return pnp.ERROR_INSUFFICIENT_BUFFER
	}
	return pnp.S_OK
}

// submitControl takes an IOControl. They are carried out in the order in which
// they came, one at a time. The queue is locked.
//
// Reads and writes do not wait for them. As on Windows, an application that needs an
// order waits for one request before it sends the next.
func (h *handle) submitControl(r *pnp.Request) {
	if c := controls[r.Code]; c.arrive != nil {
		c.arrive(h, r.In)
	}
	h.controls.Put(r)
}

// tryControl carries out an IOControl if that does not take a slot. The queue is
// locked.
func (h *handle) tryControl(it *queue.Item) {
	c := controls[it.R.Code]
	in, out := it.R.In[:c.in], it.R.Out[:c.out]
	switch {
	case c.isSlow(h, in):
	case c.park != nil:
		c.park(h, it)
	case h.port.hungUp(): // quick alone may not notice
		h.lost()
	default:
		hr := c.quick(h, in, out)
		h.q.Finish(it, hr, c.returns(hr))
	}
}

// returns is the count of a result.
func (c *ioControl) returns(hr pnp.HRESULT) int {
	if hr.Failed() {
		return 0
	}
	return c.out
}

// doControl carries out an IOControl in a slot.
func (h *handle) doControl(it *queue.Item) (pnp.HRESULT, int) {
	if h.needsNoSlot(it) {
		return pnp.S_OK, 0 // it has ended, or waits for something else
	}
	defer h.driven()
	c := controls[it.R.Code]
	if c.still {
		h.rx.device.Lock()
		defer h.rx.device.Unlock()
		h.tx.device.Lock()
		defer h.tx.device.Unlock()
	}
	if h.port.hungUp() {
		return h.failure(unix.EIO), 0
	}
	hr := c.slow(h, it.R.In[:c.in], it.R.Out[:c.out])
	return hr, c.returns(hr)
}

// needsNoSlot carries out an IOControl that waited behind one in the driver. If it
// needs the driver itself, needsNoSlot sets driving and returns false.
func (h *handle) needsNoSlot(it *queue.Item) bool {
	h.q.Lock()
	defer h.q.Unlock()
	c := controls[it.R.Code]
	switch {
	case it.Ended():
		return true
	case c.isSlow(h, it.R.In[:c.in]):
		h.driving = true
		return false
	}
	h.tryControl(it)
	return true
}

// driven is called after an IOControl was in the driver.
func (h *handle) driven() {
	h.q.Lock()
	defer h.q.Unlock()
	h.driving = false
	// Reads and writes that came meanwhile were not tried.
	h.receive()
	h.transmit()
}

func (h *handle) hasLines([]byte) bool    { return h.port.hasLines }
func (h *handle) hasCounters([]byte) bool { return h.port.hasCounters }

// asksForStatus reports whether the driver counts errors, or a line can stop data.
func (h *handle) asksForStatus([]byte) bool { return h.port.hasCounters || h.watchesLines() }

// watchesCTS reports whether CTS can stop output.
func (h *handle) watchesCTS() bool { return h.port.hasLines && h.set.rtscts }

// watchesLines reports whether a line can stop data.
func (h *handle) watchesLines() bool {
	return h.watchesCTS() || h.set.hand.out != 0 || h.set.hand.deaf
}

// asksForMask reports whether a mask has events that only the driver knows.
func (h *handle) asksForMask(in []byte) bool { return h.watched(get[uint32](in)) }
