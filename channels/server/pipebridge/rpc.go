// SPDX-License-Identifier: Apache-2.0

package pipebridge

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/pipe"
)

// The parts of PDUs (C706 12.6) that tell where they end and which one answers another.
const (
	pduHeader      = 16
	responseHeader = 24

	ptypeRequest, ptypeResponse, ptypeFault = 0, 2, 3
	ptypeBindNak                            = 13
	ptypeAuth3, ptypeCancel, ptypeOrphaned  = 16, 18, 19

	flagLast = 2
)

// calls passes DCE/RPC on, a PDU at a time. What has an answer is transceived: a call whose
// answer is one fragment costs a message each way, and no other. Further fragments are
// read, several at a time, since the first one tells how much there is.
//
// Nothing is read between two calls, except behind a fault: then the service may hang up.
// What a program sends before it has the answer to a call waits.
type calls struct {
	h     Handle
	gone  <-chan struct{} // closed when the device goes
	to    io.Writer
	plain bool       // nothing can be transceived
	reads []*reading // that are under way, in order
	free  []*reading
}

// reading is a read, or a transceive.
type reading struct {
	buf  [readSize]byte
	n    int
	done chan error
}

// start begins a read, or a transceive if there is something to write.
func (c *calls) start(pdu []byte) error {
	if len(c.free) == 0 {
		c.free = append(c.free, &reading{done: make(chan error, 1)})
	}
	r := c.free[len(c.free)-1]
	request := server.Request{Op: pnp.OpRead, Out: r.buf[:], Done: func(n int, err error) {
		r.n = n
		r.done <- err
	}}
	if pdu != nil {
		request.Op, request.Code, request.In = pnp.OpIOControl, pipe.FSCTL_PIPE_TRANSCEIVE, pdu
	}
	if _, err := c.h.Start(request); err != nil {
		return err
	}
	c.free = c.free[:len(c.free)-1]
	c.reads = append(c.reads, r)
	return nil
}

// ended receives the result of the first read. It is nil if no read is under way.
func (c *calls) ended() <-chan error {
	if len(c.reads) == 0 {
		return nil
	}
	return c.reads[0].done
}

// take returns what the first read has read; p is valid until the next one begins. more
// says that the message goes on.
func (c *calls) take(err error) (p []byte, more bool, _ error) {
	r := c.reads[0]
	c.reads = c.reads[1:]
	c.free = append(c.free, r)
	if errors.Is(err, pnp.ERROR_MORE_DATA) {
		return r.buf[:r.n], true, nil
	}
	return r.buf[:r.n], false, err
}

// relay passes on what comes from a program, until it or the handle ends. The error is nil
// if the program has.
func (c *calls) relay(ctx context.Context, from <-chan []byte) error {
	var rest []byte
	for {
		if c.plain && len(c.reads) == 0 {
			if err := c.start(nil); err != nil {
				return err
			}
		}
		select {
		case p, ok := <-from:
			if !ok {
				return nil
			}
			rest = append(rest, p...)
			for n := pduLength(rest); n > 0; n = pduLength(rest) {
				if err := c.call(ctx, rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
		case err := <-c.ended(): // behind a fault, or if nothing can be transceived
			p, _, err := c.take(err)
			if err != nil {
				return err
			}
			if _, err := c.to.Write(p); err != nil {
				return nil
			}
		case <-c.gone:
			return pnp.ERROR_DEVICE_NOT_CONNECTED
		case <-ctx.Done():
			return nil
		}
	}
}

// pduLength returns how long the PDU at the beginning of p is, or 0 if there is not all of
// it. The service decides what to do with what is none.
func pduLength(p []byte) int {
	switch {
	case len(p) > 0 && p[0] != 5:
		return len(p)
	case len(p) < pduHeader:
		return 0
	}
	switch n := int(order(p).Uint16(p[8:])); {
	case n < pduHeader:
		return len(p)
	case n > len(p):
		return 0
	default:
		return n
	}
}

func order(pdu []byte) binary.ByteOrder {
	if pdu[4]>>4 == 0 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// call passes a PDU on, and its answer if it has one.
func (c *calls) call(ctx context.Context, pdu []byte) error {
	if !answered(pdu) {
		return c.write(ctx, pdu)
	}
	if len(c.reads) == 0 && !c.plain {
		if err := c.start(pdu); err != nil {
			return err
		}
		err := <-c.ended()
		if !c.refused(err) {
			return c.answer(err)
		}
		_, _, _ = c.take(err)
	}
	if len(c.reads) == 0 {
		if err := c.start(nil); err != nil {
			return err
		}
	}
	if err := c.write(ctx, pdu); err != nil {
		return err
	}
	return c.answer(<-c.ended())
}

// answered reports whether a PDU has an answer.
func answered(pdu []byte) bool {
	if len(pdu) < pduHeader {
		return true // it is none
	}
	switch pdu[2] {
	case ptypeAuth3, ptypeCancel, ptypeOrphaned:
		return false
	}
	return pdu[2] != ptypeRequest || pdu[3]&flagLast != 0
}

// refused reports whether a transceive has done nothing: there is something to read that
// belongs to no call, or the pipe is not in message mode. From then on there is always a
// read under way.
func (c *calls) refused(err error) bool {
	for _, hr := range []pnp.HRESULT{pnp.ERROR_PIPE_BUSY, pnp.ERROR_BAD_PIPE, pnp.ERROR_INVALID_FUNCTION} {
		c.plain = c.plain || errors.Is(err, hr)
	}
	return c.plain
}

func (c *calls) write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		n, err := c.h.WriteAt(ctx, p, 0)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		p = p[n:]
	}
	return nil
}

// answer passes on an answer with all its fragments; result is that of the first read.
func (c *calls) answer(result error) error {
	for left, last, fault := 0, false, false; ; result = <-c.ended() {
		p, more, err := c.take(result)
		if err != nil {
			return err
		}
		if _, err := c.to.Write(p); err != nil {
			return nil // the program has closed, and nothing more comes from it
		}
		switch {
		case left > 0:
		case len(p) < pduHeader:
			left, last = len(p), true
		default:
			left = max(len(p), int(order(p).Uint16(p[8:])))
			fault = p[2] == ptypeFault || p[2] == ptypeBindNak
			last = p[3]&flagLast != 0 || fault
			for n := fragmentsBehind(p); len(c.reads) < min(n, pending); {
				if err := c.start(nil); err != nil {
					return err
				}
			}
		}
		left = max(0, left-len(p))
		over := last && left == 0 && !more
		if over && !fault {
			return nil
		}
		if len(c.reads) == 0 {
			if err := c.start(nil); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
	}
}

// fragmentsBehind returns how many fragments follow that one of a response, as far as it
// tells.
func fragmentsBehind(p []byte) int {
	if p[2] != ptypeResponse || p[3]&flagLast != 0 || len(p) <= responseHeader {
		return 0
	}
	here := int64(len(p) - responseHeader)
	behind := int64(order(p).Uint32(p[pduHeader:])) - here
	return int(max(0, (behind+here-1)/here))
}
