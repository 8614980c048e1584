// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// Request is a request for Handle.Start.
type Request struct {
	Op     pnp.Op
	Code   uint32 // of an IOControl
	Offset uint64 // of a read or write
	In     []byte // data to write, or the input of an IOControl
	Out    []byte // receives what is read, or the output of an IOControl

	// Done receives the result; see ReadAt. It is called once, from the transport's
	// goroutine or from a call of Close, and must not block. Until then Out belongs to
	// the handle.
	Done func(n int, err error)
}

// Start sends a request without waiting for its reply. Requests are sent in the order
// of the calls. It does not block, and does not keep In.
//
// cancel asks the client to cancel the request; Done is called all the same, when the
// client replies. cancel may be called more than once, and at any time. If Start fails,
// Done is not called.
func (h *Handle) Start(r Request) (cancel func(), err error) {
	if err := checkSize(len(r.In), len(r.Out)); err != nil {
		return nil, err
	}
	kind, limit := wire.KindReadRequest, len(r.Out)
	size := wire.IOControlRequestSize + len(r.In)
	switch r.Op {
	case pnp.OpWrite:
		kind, limit = wire.KindWriteRequest, len(r.In)
	case pnp.OpIOControl:
		kind = wire.KindIOControlRequest
		if h.opt.DataOut {
			size += len(r.Out)
		}
	}
	if most := h.conn.MaxMessage(); most > 0 && size > most {
		return nil, fmt.Errorf("%v of %d bytes, at most %d: %w", kind, size, most, channels.ErrTooLong)
	}
	c := &call{op: kind, out: r.Out, limit: limit, notify: func(c *call) { r.Done(c.outcome()) }}
	if err := h.add(c); err != nil {
		return nil, err
	}
	c.msg = slices.Grow(c.msg, size)
	switch r.Op {
	case pnp.OpRead:
		c.msg = wire.ReadRequest{RequestID: c.id, CbBytesToRead: uint32(len(r.Out)), Offset: r.Offset}.Append(c.msg)
	case pnp.OpWrite:
		c.msg = wire.WriteRequest{RequestID: c.id, Offset: r.Offset, Data: r.In}.Append(c.msg)
	case pnp.OpIOControl:
		m := wire.IOControlRequest{RequestID: c.id, IoCode: r.Code, CbOut: uint32(len(r.Out)), DataIn: r.In}
		if h.opt.DataOut {
			m.DataOut = r.Out
		}
		c.msg = m.Append(c.msg)
	}
	err = h.conn.Send(c.msg)
	c.msg = nil
	if err != nil && h.withdraw(c) {
		return nil, fmt.Errorf("sending %v: %w", kind, err)
	}
	// If it was not there to be withdrawn, it is complete: Done has its result.
	cancelled := false
	return func() {
		h.mu.Lock()
		again := cancelled
		cancelled = true
		h.mu.Unlock()
		if !again { // 3.3.5.2.2.9: one IoCancel for a request
			h.cancel(c)
		}
	}, nil
}
