// SPDX-License-Identifier: Apache-2.0

package dcerpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
)

const (
	minFrag     = 2048        // fragments that every peer is expected to take
	maxFrag     = 4280        // fragments that Windows uses on named pipes
	maxStub     = 4 << 20     // bytes of a request, [MS-RPCE] 3.3.3.5.4
	maxStubs    = 4 * maxStub // of all requests that a Server is at
	maxContexts = 4000        // of a connection to one interface, [MS-RPCE] 3.3.3.5.5
)

// A Server serves one interface to any number of connections at once.
type Server struct {
	iface       *Interface
	log         *slog.Logger
	maxContexts int
	held        atomic.Int64 // bytes of requests

	mu        sync.Mutex
	groups    map[uint32]int // association groups: how many connections each has
	lastGroup uint32
}

// NewServer returns a Server of iface, which must not change any more. log takes
// what goes wrong in the operations.
func NewServer(iface *Interface, log *slog.Logger) *Server {
	return &Server{iface: iface, log: log, maxContexts: maxContexts, groups: make(map[uint32]int)}
}

// Serve answers the calls that come by conn, and closes it, until conn ends or
// fails, the peer breaks the protocol, or ctx is done. A Read may return any part
// of the stream; each Write is one whole PDU. The operations find caller in their
// calls.
//
// Serve returns nil if conn ended between two PDUs or ctx is done, and an error
// with ErrProtocol if it hung up on the peer, whose last PDU tells why.
func (s *Server) Serve(ctx context.Context, conn io.ReadWriteCloser, caller any) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.Close()
		close(closed)
	})
	c := s.Connect(caller)
	err := c.serve(conn)
	c.Close()
	if !stop() {
		<-closed
		return nil
	}
	conn.Close()
	return err
}

// joinGroup adds a connection to an association group: a new one if id is 0. It
// returns 0 if there is no such group.
func (s *Server) joinGroup(id uint32) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 {
		for id == 0 || s.groups[id] > 0 {
			s.lastGroup++
			id = s.lastGroup
		}
	} else if s.groups[id] == 0 {
		return 0
	}
	s.groups[id]++
	return id
}

func (c *Conn) leaveGroup() {
	if c.group == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[c.group]--; c.groups[c.group] == 0 {
		delete(c.groups, c.group)
	}
}

// A Conn is one connection without its transport, for those who have the bytes already.
// It belongs to one goroutine at a time.
type Conn struct {
	*Server
	caller any

	pdu    []byte // the one that is being taken or worked on
	header header // of it, once that is there
	bad    error  // what is wrong with the header
	out    []byte // of the answer
	to     func(pdu []byte) error

	bound      bool
	frag       uint16 // longest PDU that the client takes
	group      uint32
	multiplex  bool // the client may have several calls at once
	headerSign bool // the client offered it when it bound
	contexts   map[uint16]Syntax

	call   *Call // whose fragments are being collected
	held   int   // bytes of its stub, which count with the Server's
	called bool  // there was a request
	lastID uint32
}

// Connect begins a connection. The operations find caller in their calls.
func (s *Server) Connect(caller any) *Conn { return &Conn{Server: s, caller: caller} }

// Close ends the connection.
func (c *Conn) Close() {
	c.release()
	c.leaveGroup()
	c.group = 0
}

// hold counts n bytes of a request. It returns false if there are too many.
func (c *Conn) hold(n int) bool {
	c.held += n
	return c.Server.held.Add(int64(n)) <= maxStubs && c.held <= maxStub
}

// release forgets what hold counted.
func (c *Conn) release() {
	c.Server.held.Add(-int64(c.held))
	c.held = 0
}

// serve reads and answers PDUs.
func (c *Conn) serve(conn io.ReadWriter) error {
	write := func(pdu []byte) error {
		if _, err := conn.Write(pdu); err != nil {
			return fmt.Errorf("writing a PDU: %w", err)
		}
		return nil
	}
	in := make([]byte, maxFrag)
	for {
		n, err := conn.Read(in)
		for p := in[:n]; len(p) > 0; {
			taken, whole := c.Take(p)
			p = p[taken:]
			if whole {
				if err := c.Answer(write); err != nil {
					return err
				}
			}
		}
		switch {
		case err == io.EOF && len(c.pdu) == 0:
			return nil
		case err == io.EOF:
			return fmt.Errorf("reading a PDU: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return fmt.Errorf("reading a PDU: %w", err)
		}
	}
}

// Take takes bytes of the stream, n of p, and reports whether there is a whole PDU: then
// Answer comes next.
func (c *Conn) Take(p []byte) (n int, whole bool) {
	if len(c.pdu) < headerSize {
		n = min(len(p), headerSize-len(c.pdu))
		if c.pdu = append(c.pdu, p[:n]...); len(c.pdu) < headerSize {
			return n, false
		}
		c.header = parseHeader(c.pdu)
		if c.bad = c.header.check(); c.bad != nil {
			return n, true // what follows is of no use
		}
	}
	more := min(len(p)-n, int(c.header.fragLength)-len(c.pdu))
	c.pdu = append(c.pdu, p[n:n+more]...)
	return n + more, len(c.pdu) == int(c.header.fragLength)
}

// check returns what is wrong with a header, so that its PDU cannot be taken.
func (h *header) check() error {
	switch {
	case h.major != 5 || h.minor != 0:
		return fmt.Errorf("version %d.%d", h.major, h.minor)
	case !h.lengthsFit():
		return fmt.Errorf("a PDU of type %d with %d bytes, %d of them for authentication", h.ptype, h.fragLength, h.authLength)
	case h.ptype == ptypeRequest && h.fragLength > maxFrag:
		return fmt.Errorf("a fragment of %d bytes", h.fragLength)
	}
	return nil
}

// Blocks reports whether Answer is to call an operation that may block.
func (c *Conn) Blocks() bool {
	h := &c.header
	return c.bad == nil && h.ptype == ptypeRequest && h.flags&flagLast != 0 && c.iface.Blocks != nil &&
		c.iface.Blocks(h.order().Uint16(c.pdu[headerSize+6:]))
}

// Answer works on the PDU that was taken: it passes each PDU of the answer to write, which
// does not keep it. An error ends the connection: it is that of write, or has ErrProtocol.
func (c *Conn) Answer(write func(pdu []byte) error) error {
	c.to = write
	h := c.header
	body := c.pdu[headerSize:]
	c.pdu = c.pdu[:0]
	if c.bad != nil {
		reason := uint16(nakUnspecified)
		if h.major != 5 || h.minor != 0 {
			reason = nakVersion
		}
		return c.hangUp(&h, reason, "%w", c.bad)
	}
	return c.dispatch(&h, body)
}

// dispatch works on one PDU. An error ends the connection.
func (c *Conn) dispatch(h *header, body []byte) error {
	if !c.bound && h.ptype != ptypeBind {
		return c.hangUp(h, nakUnspecified, "a PDU of type %d before a bind", h.ptype)
	}
	switch h.ptype {
	case ptypeBind:
		return c.bind(h, body)
	case ptypeAlterContext:
		return c.alterContext(h, body)
	case ptypeRequest:
		return c.request(h, body)
	case ptypeOrphaned:
		if c.call != nil && c.call.header.callID == h.callID {
			c.call = nil
			c.release()
		}
		return nil
	case ptypeRPCAuth3, ptypeCoCancel:
		return nil
	}
	return c.hangUp(h, nakUnspecified, "a PDU of type %d from a client", h.ptype)
}

// hangUp tells the peer of a protocol error in the PDU with that header, in the way
// that suits its type, and returns the error that ends the connection.
func (c *Conn) hangUp(h *header, reason uint16, format string, args ...any) error {
	if h.ptype == ptypeBind {
		return c.end(bindNak(h.callID, reason), format, args...)
	}
	return c.end(fault(0, h.callID, 0, StatusProtocolError), format, args...)
}

// end sends a last PDU and returns the error that ends the connection.
func (c *Conn) end(pdu []byte, format string, args ...any) error {
	err := fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
	return errors.Join(err, c.write(pdu))
}

func (c *Conn) write(pdu []byte) error { return c.to(pdu) }
