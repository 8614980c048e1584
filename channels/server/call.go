// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// call is one outstanding request. Until it is complete, out belongs to the
// receiver, and the caller only waits for done.
type call struct {
	op    wire.Kind
	id    wire.RequestID
	out   []byte // takes the data of the reply
	limit int    // the highest count that the reply may have
	msg   []byte // the request; its memory is used again

	result  pnp.HRESULT
	n       int
	err     error // why there is no result
	version uint16

	done   chan struct{} // gets one value when the call is complete
	notify func(*call)   // is called in place of that
	yield  bool          // Config.Yield
}

// complete tells whoever waits for the call. The caller holds no lock.
func (c *call) complete() {
	if c.notify != nil {
		c.notify(c)
		return
	}
	yield := c.yield
	c.done <- struct{}{} // from here on, c is its caller's again
	if yield {
		runtime.Gosched()
	}
}

// keepMessage is the size up to which the memory of a message is kept for the
// next.
const keepMessage = 128 << 10

// maxTransfer bounds one request, so that each count and the size of each
// message fits its field.
const maxTransfer = 1 << 30

// ReadAt reads up to len(p) bytes at offset off, which devices without a
// position ignore. It returns what one Read Reply brought: n may be less than
// len(p) without an error, and more than 0 with one (ERROR_MORE_DATA).
//
// If ctx ends, the client is asked to cancel the request, and ReadAt waits at
// most Config.CancelWait more for its reply or the end of the handle. It
// succeeds if the request did; otherwise the error wraps both ctx.Err() and the
// client's result. Without a reply it wraps ctx.Err() and ErrNoReply: nobody
// knows what became of the request, and it counts as outstanding until the
// reply comes. p is not written to once ReadAt has returned.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off uint64) (n int, err error) {
	if err := checkSize(len(p)); err != nil {
		return 0, err
	}
	c, err := h.begin(ctx, wire.KindReadRequest, p, len(p))
	if err != nil {
		return 0, err
	}
	c.msg = wire.ReadRequest{RequestID: c.id, CbBytesToRead: uint32(len(p)), Offset: off}.Append(c.msg)
	return h.perform(ctx, c)
}

// WriteAt writes p at offset off and returns how many bytes the device took,
// which may be less than len(p) without an error. See ReadAt for ctx.
//
// If the transport cannot carry p in one message (channels.ServerConn.MaxMessage),
// it is written with several requests, one after the other; n counts what they have
// written when one of them fails or falls short. Other requests may come between
// them.
func (h *Handle) WriteAt(ctx context.Context, p []byte, off uint64) (n int, err error) {
	if err := checkSize(len(p)); err != nil {
		return 0, err
	}
	most := min(len(p), h.MaxWrite())
	if most < len(p) && off > math.MaxUint64-uint64(len(p)) {
		// The parts would go on at offset 0.
		return 0, fmt.Errorf("%d bytes at offset %d: %w", len(p), off, pnp.ERROR_INVALID_PARAMETER)
	}
	for {
		part := p[n:min(n+most, len(p))]
		k, err := h.write(ctx, part, off+uint64(n))
		n += k
		if err != nil || k < len(part) || n == len(p) {
			return n, err
		}
	}
}

// MaxWrite returns how many bytes one request can write. A caller that has more can write
// the parts at once rather than one after the other.
func (h *Handle) MaxWrite() int {
	if limit := h.conn.MaxMessage(); limit > 0 {
		return limit - wire.WriteRequestSize
	}
	return maxTransfer
}

// write writes p with one request.
func (h *Handle) write(ctx context.Context, p []byte, off uint64) (int, error) {
	c, err := h.begin(ctx, wire.KindWriteRequest, nil, len(p))
	if err != nil {
		return 0, err
	}
	c.msg = slices.Grow(c.msg, wire.WriteRequestSize+len(p))
	c.msg = wire.WriteRequest{RequestID: c.id, Offset: off, Data: p}.Append(c.msg)
	return h.perform(ctx, c)
}

// IOControl sends the control code with the input in, and returns how many
// bytes of output are in out. As with ReadAt, there may be output along with an
// error. See ReadAt for ctx.
//
// A request that the transport cannot carry in one message fails with
// channels.ErrTooLong before it is sent.
func (h *Handle) IOControl(ctx context.Context, code uint32, in, out []byte) (n int, err error) {
	if err := checkSize(len(in), len(out)); err != nil {
		return 0, err
	}
	m := wire.IOControlRequest{IoCode: code, CbOut: uint32(len(out)), DataIn: in}
	if h.opt.DataOut {
		m.DataOut = out
	}
	size := wire.IOControlRequestSize + len(m.DataIn) + len(m.DataOut)
	if limit := h.conn.MaxMessage(); limit > 0 && size > limit {
		return 0, fmt.Errorf("%v of %d bytes, at most %d: %w", wire.KindIOControlRequest, size, limit, channels.ErrTooLong)
	}
	c, err := h.begin(ctx, wire.KindIOControlRequest, out, len(out))
	if err != nil {
		return 0, err
	}
	m.RequestID = c.id
	c.msg = slices.Grow(c.msg, size)
	c.msg = m.Append(c.msg)
	return h.perform(ctx, c)
}

func checkSize(sizes ...int) error {
	for _, n := range sizes {
		if n > maxTransfer {
			return fmt.Errorf("%d bytes are too many for one request: %w", n, pnp.ERROR_INVALID_PARAMETER)
		}
	}
	return nil
}

// begin adds a request to the list of outstanding ones. The caller appends the
// message to c.msg and sends it.
func (h *Handle) begin(ctx context.Context, op wire.Kind, out []byte, limit int) (*call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := h.s.calls.Get().(*call)
	c.op, c.out, c.limit = op, out, limit
	if err := h.add(c); err != nil {
		h.s.putCall(c)
		return nil, err
	}
	return c, nil
}

// add adds c to the list of outstanding requests and gives it its id.
func (h *Handle) add(c *call) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	if len(h.calls) >= h.s.cfg.Limits.Requests {
		return fmt.Errorf("%d requests are outstanding: %w", len(h.calls), pnp.ERROR_NO_SYSTEM_RESOURCES)
	}
	c.id = h.takeID()
	h.calls[c.id] = c
	return nil
}

// putCall gives back a call that is complete.
func (s *Session) putCall(c *call) {
	msg := c.msg[:0]
	if cap(msg) > keepMessage {
		msg = nil
	}
	*c = call{msg: msg, done: c.done, yield: c.yield}
	s.calls.Put(c)
}

// send sends the request. After an error the call is over.
func (h *Handle) send(c *call) error {
	err := h.conn.Send(c.msg)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("sending %v: %w", c.op, err)
	if !h.withdraw(c) {
		// Completed in the meantime: by end, or by a reply to a request that was never sent.
		<-c.done
		if c.err != nil {
			err = c.err
		}
	}
	h.s.putCall(c)
	return err
}

// withdraw removes c from the list and reports whether it was there.
func (h *Handle) withdraw(c *call) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[c.id] != c {
		return false
	}
	delete(h.calls, c.id)
	return true
}

// outstanding reports whether c waits for its reply.
func (h *Handle) outstanding(c *call) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[c.id] == c
}

// perform sends an I/O request and waits until it is complete.
func (h *Handle) perform(ctx context.Context, c *call) (int, error) {
	if err := h.send(c); err != nil {
		return 0, err
	}
	var cancelled error
	select {
	case <-c.done:
	case <-ctx.Done():
		cancelled = ctx.Err()
		h.cancel(c)
		if !h.awaitReply(c) {
			h.s.putCall(c)
			return 0, fmt.Errorf("%w: %w", cancelled, ErrNoReply)
		}
	}
	n, err := c.outcome()
	h.s.putCall(c)
	if err != nil && cancelled != nil {
		err = fmt.Errorf("%w: %w", cancelled, err)
	}
	return n, err
}

// awaitReply waits for the reply to a cancelled call, which completes it
// (3.3.5.2.2.9). If none comes in time, c is the caller's again, and another call
// without a caller takes its place until the reply comes or the handle ends.
func (h *Handle) awaitReply(c *call) bool {
	patience := time.NewTimer(h.s.cfg.CancelWait)
	defer patience.Stop()
	select {
	case <-c.done:
		return true
	case <-patience.C:
	}
	h.mu.Lock()
	abandoned := h.calls[c.id] == c
	if abandoned {
		h.calls[c.id] = &call{op: c.op, id: c.id, limit: c.limit, done: make(chan struct{}, 1)}
	}
	h.mu.Unlock()
	if !abandoned { // it is just being completed
		<-c.done
	}
	return !abandoned
}

// cancel sends the one IoCancel that c may have (3.3.5.2.2.9).
func (h *Handle) cancel(c *call) {
	if !h.outstanding(c) {
		return
	}
	m := wire.IoCancelRequest{RequestID: wire.CancelID, IDToCancel: c.id}
	if err := h.conn.Send(m.Append(nil)); err != nil {
		h.s.log.Debug("IoCancel was not sent", "device", h.device.id, "request", c.id, "err", err)
	}
}

// outcome returns the result of a complete call.
func (c *call) outcome() (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.n, c.result.Err()
}

// fail completes the call with err in place of a result.
func (c *call) fail(err error) {
	c.err = err
	c.complete()
}

// decode reads the reply m to what was asked. An error means that the reply
// breaks the protocol.
func (c *call) decode(m wire.Message) error {
	m, err := m.ReplyTo(c.op)
	if err != nil {
		return err
	}
	switch m.Kind {
	case wire.KindCapabilitiesReply:
		c.version = m.CapabilitiesReply().Version
	case wire.KindCreateFileReply:
		c.result = m.CreateFileReply().Result
	case wire.KindWriteReply:
		r := m.WriteReply()
		if uint64(r.CbBytesWritten) > uint64(c.limit) {
			return tooMuch("3.3.5.2.2.6", m.Kind, "cbBytesWritten", uint64(r.CbBytesWritten), c.limit)
		}
		c.result, c.n = r.Result, int(r.CbBytesWritten)
	case wire.KindReadReply:
		return c.data(m, "2.2.2.3.4", "cbBytesRead")
	case wire.KindIOControlReply:
		return c.data(m, "3.3.5.2.2.8", "cbBytesReadReturned")
	}
	return nil
}

func (c *call) data(m wire.Message, section, field string) error {
	r := m.DataReply()
	if len(r.Data) > c.limit {
		return tooMuch(section, m.Kind, field, uint64(len(r.Data)), c.limit)
	}
	c.result, c.n = r.Result, copy(c.out, r.Data)
	return nil
}

func tooMuch(section string, message wire.Kind, field string, got uint64, asked int) error {
	return &wire.Error{Section: section, Message: message.String(), Problem: fmt.Sprintf("%s is %d, but only %d were asked for", field, got, asked)}
}
