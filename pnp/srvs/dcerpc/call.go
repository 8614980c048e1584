// SPDX-License-Identifier: Apache-2.0

package dcerpc

import (
	"encoding/binary"
	"errors"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// A Call is a request with all its fragments. It belongs to the operation until
// that returns.
type Call struct {
	Opnum  uint16
	Stub   []byte           // with what may follow the parameters
	Order  binary.ByteOrder // of Stub
	Caller any              // what Serve was given

	header     header // of the first fragment
	context    uint16
	iface      Syntax
	headerSign bool
}

// oldCalls is how far back the calls reach whose late fragments are dropped
// ([MS-RPCE] 3.3.3.5.6).
const oldCalls = 150

// request takes a fragment of a request (C706 12.6.4.9).
func (c *Conn) request(h *header, body []byte) error {
	order := h.order()
	hint, context, opnum := order.Uint32(body), order.Uint16(body[4:]), order.Uint16(body[6:])
	stub := body[h.fixedSize()-headerSize:]
	deny := func(format string, args ...any) error {
		return c.end(fault(0, h.callID, context, StatusAccessDenied), format, args...)
	}
	if h.authLength > 0 {
		return deny("a request with authentication")
	}
	last := h.flags&flagLast != 0
	if h.flags&flagFirst != 0 {
		if old := c.call; old != nil {
			if c.multiplex {
				return c.hangUp(h, 0, "call %d within call %d", h.callID, old.header.callID)
			}
			return c.end(fault(0, old.header.callID, old.context, StatusProtocolError),
				"call %d within call %d", h.callID, old.header.callID)
		}
		c.called, c.lastID = true, h.callID
		iface, ok := c.contexts[context]
		switch {
		case !ok:
			return c.write(fault(flagDidNotExecute, h.callID, 0, StatusUnknownIf))
		case int(opnum) >= len(c.iface.Operations) || c.iface.Operations[opnum] == nil:
			return c.write(fault(flagDidNotExecute, h.callID, context, StatusOpRange))
		case h.flags&flagPendingCancel != 0:
			return c.write(fault(flagDidNotExecute, h.callID, context, StatusNoCallActive))
		}
		c.call = &Call{Opnum: opnum, Order: order, Caller: c.caller, header: *h, context: context,
			iface: iface, headerSign: c.headerSign}
	}
	call := c.call
	switch {
	case call == nil && c.called && c.lastID-h.callID < oldCalls:
		return nil
	case call == nil:
		return c.hangUp(h, 0, "call %d lacks its first fragment", h.callID)
	case call.header.callID != h.callID || call.Opnum != opnum || call.context != context || call.header.drep != h.drep:
		return c.hangUp(h, 0, "a fragment of another call within call %d", call.header.callID)
	case !last && hint > maxStub || !c.hold(len(stub)):
		return deny("requests of more than %d bytes, or %d with those of others", maxStub, maxStubs)
	}
	call.Stub = append(call.Stub, stub...)
	if !last {
		return nil
	}
	c.call = nil
	return c.answer(call)
}

// answer runs the operation and writes its response or fault.
func (c *Conn) answer(call *Call) error {
	stub, err := c.runOperation(call)
	call.Stub = nil // the answer may wait for the peer
	c.release()
	if err != nil {
		return c.write(fault(0, call.header.callID, call.context, status(err)))
	}
	flags := uint8(flagFirst)
	room := (int(c.frag) - requestSize) &^ 7
	for {
		part := stub[:min(len(stub), room)]
		if len(part) == len(stub) {
			flags |= flagLast
		}
		c.out = appendResponse(c.out[:0], flags, call.header.callID, call.context, part, len(stub))
		if err := c.write(c.out); err != nil || flags&flagLast != 0 {
			return err
		}
		stub, flags = stub[len(part):], 0
	}
}

// runOperation returns a fault for a panic: one call of a peer does not end the
// process.
func (c *Conn) runOperation(call *Call) (stub []byte, err error) {
	defer pnp.Guard(c.log, "answering an RPC call", func() { err = Fault(StatusCallFailed) })
	return c.iface.Operations[call.Opnum](call)
}

func status(err error) uint32 {
	var f Fault
	switch {
	case errors.As(err, &f):
		return uint32(f)
	case errors.Is(err, ndr.ErrBadStub):
		return StatusBadStubData
	}
	return StatusCallFailed
}
