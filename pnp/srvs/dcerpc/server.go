// SPDX-License-Identifier: Apache-2.0

package dcerpc

import (
	"bufio"
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
	c := &connection{Server: s, conn: conn, in: bufio.NewReaderSize(conn, maxFrag), caller: caller}
	err := c.run()
	c.release()
	c.leaveGroup()
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

func (c *connection) leaveGroup() {
	if c.group == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[c.group]--; c.groups[c.group] == 0 {
		delete(c.groups, c.group)
	}
}

// A connection belongs to the goroutine of its Serve.
type connection struct {
	*Server
	conn   io.ReadWriteCloser
	in     *bufio.Reader
	pdu    []byte // the one being worked on
	out    []byte
	caller any

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

// hold counts n bytes of a request. It returns false if there are too many.
func (c *connection) hold(n int) bool {
	c.held += n
	return c.Server.held.Add(int64(n)) <= maxStubs && c.held <= maxStub
}

// release forgets what hold counted.
func (c *connection) release() {
	c.Server.held.Add(-int64(c.held))
	c.held = 0
}

// run reads and answers PDUs.
func (c *connection) run() error {
	for {
		h, body, err := c.read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.dispatch(h, body); err != nil {
			return err
		}
	}
}

// read returns the next PDU, its body being what follows the header until the next
// call of read.
func (c *connection) read() (*header, []byte, error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(c.in, b[:]); err != nil {
		if err == io.EOF {
			return nil, nil, io.EOF
		}
		return nil, nil, fmt.Errorf("reading the header of a PDU: %w", err)
	}
	h := parseHeader(b[:])
	switch {
	case h.major != 5 || h.minor != 0:
		return nil, nil, c.hangUp(&h, nakVersion, "version %d.%d", h.major, h.minor)
	case !h.lengthsFit():
		return nil, nil, c.hangUp(&h, nakUnspecified, "a PDU of type %d with %d bytes, %d of them for authentication",
			h.ptype, h.fragLength, h.authLength)
	case h.ptype == ptypeRequest && h.fragLength > maxFrag:
		return nil, nil, c.hangUp(&h, nakUnspecified, "a fragment of %d bytes", h.fragLength)
	}
	n := int(h.fragLength) - headerSize
	if cap(c.pdu) < n {
		c.pdu = make([]byte, n)
	}
	body := c.pdu[:n]
	if _, err := io.ReadFull(c.in, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, nil, fmt.Errorf("reading a PDU: %w", err)
	}
	return &h, body, nil
}

// dispatch works on one PDU. An error ends the connection.
func (c *connection) dispatch(h *header, body []byte) error {
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
func (c *connection) hangUp(h *header, reason uint16, format string, args ...any) error {
	if h.ptype == ptypeBind {
		return c.end(bindNak(h.callID, reason), format, args...)
	}
	return c.end(fault(0, h.callID, 0, StatusProtocolError), format, args...)
}

// end sends a last PDU and returns the error that ends the connection.
func (c *connection) end(pdu []byte, format string, args ...any) error {
	err := fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
	return errors.Join(err, c.write(pdu))
}

func (c *connection) write(pdu []byte) error {
	if _, err := c.conn.Write(pdu); err != nil {
		return fmt.Errorf("writing a PDU: %w", err)
	}
	return nil
}
