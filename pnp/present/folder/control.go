// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
)

// The protocol of the socket "control". docs/agent.md specifies it.
const (
	controlName = "control"

	requestIOControl = 0
	requestCancel    = 1
	requestEvents    = 2

	packetReply = 0
	packetEvent = 1

	requestHeader = 16 // u32 request, id, code, room for output
	replyHeader   = 12 // u32 packet, id, result

	// maxData bounds the input of a request, and its output.
	maxData = 64 << 10
	// maxRequests of a connection may be outstanding.
	maxRequests = 16
	// maxConnections to one socket may be open.
	maxConnections = 16
)

var le = binary.LittleEndian

// control is the socket of a device. Each connection has a handle of its own.
type control struct {
	dev    *present.Device
	path   string
	ln     *net.UnixListener
	active sync.WaitGroup

	// ctx ends when close begins.
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	conns map[*connection]struct{}
}

func newControl(dev *present.Device) (*control, error) {
	c := &control{dev: dev, path: filepath.Join(dev.Dir, controlName), conns: make(map[*connection]struct{})}
	ln, err := listen("unixpacket", c.path)
	if err != nil {
		return nil, err
	}
	c.ln = ln
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.active.Add(1)
	go c.accept()
	return c, nil
}

// close removes the socket and ends all connections.
func (c *control) close() {
	_ = os.Remove(c.path)
	c.cancel()
	_ = c.ln.Close()
	c.active.Wait()
}

func (c *control) accept() {
	defer c.active.Done()
	for {
		conn, err := c.ln.AcceptUnix()
		switch {
		case err == nil:
			if !c.serve(conn) {
				_ = conn.Close()
			}
		case c.ctx.Err() != nil:
			return
		default: // too many files are open: the program waits until there are fewer
			c.dev.Log.Warn("nobody can connect to the control socket now", "err", err)
			select {
			case <-time.After(time.Second):
			case <-c.ctx.Done():
				return
			}
		}
	}
}

// serve reports whether the connection is served.
func (c *control) serve(conn *net.UnixConn) bool {
	if err := checkPeer(conn); err != nil {
		c.dev.Log.Warn("connection to the control socket is refused", "err", err)
		return false
	}
	n := &connection{c: c, conn: conn, opening: make(chan struct{}, 1), requests: make(map[uint32]outstanding)}
	n.ctx, n.cancel = context.WithCancel(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) >= maxConnections {
		n.cancel()
		c.dev.Log.Warn("connection to the control socket is refused: there are too many", "most", maxConnections)
		return false
	}
	c.conns[n] = struct{}{}
	c.active.Add(1)
	go n.run()
	return true
}

func (c *control) forget(n *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, n)
}

// connection is a program that has connected.
type connection struct {
	c    *control
	conn *net.UnixConn

	// ctx ends with the connection, and with it every request.
	ctx    context.Context
	cancel context.CancelFunc
	active sync.WaitGroup // requests, and the one who sends events

	sending sync.Mutex

	opening chan struct{}   // has a value while somebody opens the device
	handle  *present.Handle // once a request was made

	mu       sync.Mutex
	requests map[uint32]outstanding // by their ids
	events   bool
}

// outstanding is a request that is outstanding. ended is closed when nothing comes for it any
// more; nil for one that gets a reply then.
type outstanding struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func (n *connection) run() {
	defer n.c.active.Done()
	defer n.c.forget(n)
	stop := context.AfterFunc(n.ctx, func() { _ = n.conn.Close() })
	defer stop()
	n.read()
	n.cancel()
	_ = n.conn.Close()
	n.closeHandle() // first: requests that the client does not answer end with it
	n.active.Wait()
}

func (n *connection) closeHandle() {
	n.opening <- struct{}{} // whoever opens it gives up now
	defer func() { <-n.opening }()
	if n.handle != nil {
		_ = n.handle.Close()
	}
}

// read takes requests until the program closes the connection, or sends what is none.
func (n *connection) read() {
	packet := make([]byte, requestHeader+maxData)
	for {
		// Whatever descriptors come along are dropped by the kernel.
		size, _, flags, _, err := n.conn.ReadMsgUnix(packet, nil)
		if err != nil || size < requestHeader {
			return
		}
		r := request{
			kind: le.Uint32(packet), id: le.Uint32(packet[4:]),
			code: le.Uint32(packet[8:]), room: le.Uint32(packet[12:]),
		}
		switch {
		case r.kind == requestCancel:
			n.abort(r.id)
		case r.kind > requestEvents:
			n.reply(r.id, pnp.ERROR_INVALID_FUNCTION, nil)
		case flags&unix.MSG_TRUNC != 0, r.kind == requestIOControl && r.room > maxData:
			n.reply(r.id, pnp.ERROR_INVALID_PARAMETER, nil)
		default:
			if r.kind == requestIOControl {
				r.in = append([]byte(nil), packet[requestHeader:size]...)
			}
			n.start(r)
		}
	}
}

type request struct {
	kind, id, code, room uint32
	in                   []byte
}

// start carries out a request on a goroutine of its own.
func (n *connection) start(r request) {
	ctx, cancel := context.WithCancel(n.ctx)
	n.mu.Lock()
	_, taken := n.requests[r.id]
	refused := pnp.S_OK
	var ended chan struct{}
	switch {
	case taken, r.kind == requestEvents && n.events:
		refused = pnp.ERROR_INVALID_PARAMETER
	case len(n.requests) >= maxRequests:
		refused = pnp.ERROR_NO_SYSTEM_RESOURCES
	default:
		if r.kind == requestEvents {
			n.events, ended = true, make(chan struct{})
		}
		n.requests[r.id] = outstanding{cancel, ended}
	}
	n.mu.Unlock()
	if refused.Failed() {
		cancel()
		n.reply(r.id, refused, nil)
		return
	}
	n.active.Add(1)
	go func() {
		defer n.active.Done()
		defer cancel()
		if r.kind == requestEvents {
			defer close(ended)
			n.sendEvents(ctx, r)
			return
		}
		result, out := n.ioControl(ctx, r)
		n.end(r.id)
		n.reply(r.id, result, out)
	}()
}

// end takes a request off the list, before its reply is sent: the program may use the id
// again then.
func (n *connection) end(id uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.requests, id)
}

func (n *connection) abort(id uint32) {
	n.mu.Lock()
	r, ok := n.requests[id]
	n.mu.Unlock()
	if !ok {
		return
	}
	r.cancel()
	if r.ended != nil { // there is no reply that would tell when events may be asked for again
		<-r.ended
	}
}

func (n *connection) ioControl(ctx context.Context, r request) (pnp.HRESULT, []byte) {
	h, err := n.open(ctx)
	if err != nil {
		return resultOf(err), nil
	}
	out := make([]byte, r.room)
	size, err := h.IOControl(ctx, r.code, r.in, out)
	return resultOf(err), out[:size]
}

// open returns the connection's handle, and opens it for the first request. A handle
// that has ended stays so.
func (n *connection) open(ctx context.Context) (*present.Handle, error) {
	select {
	case n.opening <- struct{}{}:
		defer func() { <-n.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if n.handle != nil {
		return n.handle, nil
	}
	h, err := n.c.dev.Open(ctx, server.OpenOptions{})
	if err == nil {
		n.handle = h
	}
	return h, err
}

// sendEvents sends the custom events of the device until the request is cancelled.
func (n *connection) sendEvents(ctx context.Context, r request) {
	events, cancel := n.c.dev.Events()
	defer cancel()
	n.reply(r.id, pnp.S_OK, nil)
	for {
		select {
		case ev, ok := <-events:
			if !ok {
				return
			}
			b := header(packetEvent, r.id, pnp.S_OK)
			n.send(append(append(b, ev.GUID[:]...), ev.Data...))
		case <-ctx.Done():
			n.mu.Lock()
			delete(n.requests, r.id)
			n.events = false
			n.mu.Unlock()
			return
		}
	}
}

func (n *connection) reply(id uint32, result pnp.HRESULT, out []byte) {
	n.send(append(header(packetReply, id, result), out...))
}

func header(kind, id uint32, result pnp.HRESULT) []byte {
	b := le.AppendUint32(make([]byte, 0, replyHeader), kind)
	b = le.AppendUint32(b, id)
	return le.AppendUint32(b, uint32(result))
}

// send sends a packet. While the program does not read, nothing is taken from it.
func (n *connection) send(packet []byte) {
	n.sending.Lock()
	defer n.sending.Unlock()
	if _, err := n.conn.Write(packet); err != nil {
		n.cancel()
	}
}

// resultOf is the result that a program is told.
func resultOf(err error) pnp.HRESULT {
	switch {
	case errors.Is(err, channels.ErrTooLong):
		return pnp.ERROR_NOT_ENOUGH_QUOTA
	case errors.Is(err, channels.ErrClosed):
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	}
	return pnp.HRESULTOf(err)
}
