// SPDX-License-Identifier: Apache-2.0

package client

import (
	"time"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// request is one Read, Write or IOControl from its arrival until its reply was
// sent and its device has let go of its buffers, which can be much later.
type request struct {
	pnp.Request
	c        *ioChannel
	id       requestID
	buf      *[]byte // holds In and Out; lent by Session.buffers
	reserved int64
	sent     int64 // how many of these the reply took over

	// Guarded by c.mu.
	state     replyState
	cancelled bool
}

// replyState says whether a request still gets a reply.
type replyState uint8

const (
	waiting   replyState = iota
	answered             // when it completed, or earlier
	abandoned            // its channel has ended
)

// fill lays In and Out into the buffer of a request; each kind of request has
// its own.
type fill func(r *request, buf []byte)

// How much of the buffer of a request holds the frame of its reply.
const replyFrame = wire.DataReplyHead + wire.DataReplyTail

func (c *ioChannel) read(m wire.ReadRequest) error {
	// C-34: longer reads come back short.
	n := int(min(uint64(m.CbBytesToRead), uint64(c.quota.limits.ReplyData)))
	return c.begin(m.RequestID, pnp.OpRead, n, replyFrame+n, func(r *request, buf []byte) {
		r.Offset = m.Offset
		r.Out = buf[wire.DataReplyHead : wire.DataReplyHead+n]
	})
}

func (c *ioChannel) write(m wire.WriteRequest) error {
	return c.begin(m.RequestID, pnp.OpWrite, len(m.Data), len(m.Data), func(r *request, buf []byte) {
		r.Offset = m.Offset
		r.In = buf[:copy(buf, m.Data)]
	})
}

func (c *ioChannel) ioControl(m wire.IOControlRequest) error {
	if n := len(m.DataOut); n > 0 && uint64(n) != uint64(m.CbOut) { // 3.2.5.2.2.7
		return c.refuse(m.RequestID, pnp.OpIOControl, pnp.ERROR_INSUFFICIENT_BUFFER)
	}
	if uint64(m.CbOut) > uint64(c.quota.limits.ReplyData) {
		return c.refuse(m.RequestID, pnp.OpIOControl, pnp.ERROR_NO_SYSTEM_RESOURCES)
	}
	out := int(m.CbOut)
	size := out + len(m.DataIn)
	return c.begin(m.RequestID, pnp.OpIOControl, size, replyFrame+size, func(r *request, buf []byte) {
		r.Code = m.IoCode
		r.Out = buf[wire.DataReplyHead : wire.DataReplyHead+out]
		clear(r.Out[copy(r.Out, m.DataOut):])
		in := buf[replyFrame+out:]
		r.In = in[:copy(in, m.DataIn)]
	})
}

// begin accepts a request that holds n bytes of data and gives it to the
// device, or refuses it.
func (c *ioChannel) begin(id requestID, op pnp.Op, n, size int, lay fill) error {
	c.mu.Lock()
	h, hr := c.handle, pnp.S_OK
	switch {
	case c.gone:
		hr = pnp.ERROR_DEVICE_NOT_CONNECTED
	case c.state != open: // C-18
		hr = pnp.ERROR_INVALID_HANDLE
	case !c.s.out.reserve(c.conn, &c.quota, int64(n)): // C-34
		hr = pnp.ERROR_NO_SYSTEM_RESOURCES
	}
	if hr.Failed() {
		c.mu.Unlock()
		return c.refuse(id, op, hr)
	}
	r := &request{c: c, id: id, buf: c.s.buffers.get(size), reserved: int64(n)}
	r.Op = op
	lay(r, *r.buf)
	r.OnComplete(r.completed)
	r.OnFree(r.free)
	c.s.requests.Add(1)
	c.s.stats.active.Store(time.Now().UnixNano())
	c.pending[id] = r
	c.mu.Unlock()
	if c.s.trace {
		r.traceRequest()
	}

	r.submit(h)
	return nil
}

func (r *request) submit(h pnp.Handle) {
	defer pnp.Guard(r.c.s.log, r.Op.String(), func() { r.Complete(pnp.E_UNEXPECTED, 0) })
	h.Submit(&r.Request)
}

// cancel processes a Specific IoCancel Request: 3.2.5.2.2.9.
func (c *ioChannel) cancel(m wire.IoCancelRequest) error {
	c.mu.Lock()
	r, h := c.pending[m.IDToCancel], c.handle
	if r == nil { // W-46
		r = c.pending[m.LowID()]
	}
	if r == nil || r.cancelled { // C-26
		c.mu.Unlock()
		return nil
	}
	r.cancelled = true
	c.mu.Unlock()
	c.s.cancelRequest(h, r)
	return nil
}

func (s *Session) cancelRequest(h pnp.Handle, r *request) {
	defer pnp.Guard(s.log, "cancelling a request", func() { r.Complete(pnp.E_UNEXPECTED, 0) })
	h.Cancel(&r.Request)
}

// completed is called by the device's Complete. It replies unless the request
// was answered earlier.
func (r *request) completed(_ *pnp.Request, hr pnp.HRESULT, n int) {
	c := r.c
	c.mu.Lock()
	if r.state != waiting {
		c.mu.Unlock()
		return
	}
	r.state = answered
	delete(c.pending, r.id)
	c.mu.Unlock()
	switch r.Op {
	case pnp.OpRead:
		c.s.stats.read.Add(uint64(n))
	case pnp.OpWrite:
		c.s.stats.written.Add(uint64(n))
	}
	if c.s.trace {
		c.traceReply(r.id, r.Op, hr, n)
	}

	var small [wire.DataReplyHead + wire.DataReplyTail]byte
	var msg []byte
	switch {
	case r.Op == pnp.OpWrite:
		msg = wire.WriteReply{RequestID: r.id, Result: hr, CbBytesWritten: uint32(n)}.Append(small[:0])
	case n == 0: // a driver may still be using the buffer
		msg = wire.DataReply{RequestID: r.id, Result: hr}.Append(small[:0])
	default:
		msg = wire.FinishDataReply(*r.buf, r.id, hr, n)
		r.sent = int64(n)
	}
	c.sent(c.s.out.reply(c.conn, &c.quota, msg, r.sent))
}

// free is called with the last use of the buffers. It gives them back, and what
// was reserved for them.
func (r *request) free(*pnp.Request) {
	c, s := r.c, r.c.s
	c.mu.Lock()
	unanswered := r.state == abandoned
	c.mu.Unlock()
	s.out.release(&c.quota, r.reserved, r.sent, unanswered)
	s.buffers.put(r.buf)
	r.buf = nil // In and Out stay: a device may still look at their lengths
	s.requests.Add(-1)
}

// fail answers a request that its device has not completed yet. The device
// keeps the buffers.
func (r *request) fail(hr pnp.HRESULT) {
	c := r.c
	if c.s.trace {
		c.traceReply(r.id, r.Op, hr, 0)
	}
	c.sent(c.s.out.reply(c.conn, &c.quota, errorReply(r.id, r.Op, hr), 0))
}

// refuse answers a request that was not accepted.
func (c *ioChannel) refuse(id requestID, op pnp.Op, hr pnp.HRESULT) error {
	if c.s.trace {
		c.traceReply(id, op, hr, 0)
	}
	return c.notice(errorReply(id, op, hr))
}

// errorReply is a reply without data, in its full shape (C-36).
func errorReply(id requestID, op pnp.Op, hr pnp.HRESULT) []byte {
	if op == pnp.OpWrite {
		return wire.WriteReply{RequestID: id, Result: hr}.Append(nil)
	}
	return wire.DataReply{RequestID: id, Result: hr}.Append(nil)
}
