// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"sync"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// Handle is one open handle of a device, and the receiver of its
// FileRedirectorChannel (3.3.5.2). It lives as long as the channel: until
// Close, or until the client or a protocol error ends it.
type Handle struct {
	s      *Session
	device *Device
	opt    OpenOptions
	done   chan struct{}
	closed chan struct{}
	events eventQueue[pnp.Event]
	late   quiet

	mu      sync.Mutex
	conn    channels.ServerConn
	release func()
	err     error // why the handle has ended
	version uint16
	calls   map[wire.RequestID]*call // the outstanding requests list (3.1.1)
	nextID  wire.RequestID
}

const (
	// maxRequests is how many ids there are; see takeID.
	maxRequests = int(wire.CancelID) - 1<<16
	// firstID is near the end of the range of ids, so that every longer-lived
	// handle wraps round soon, and nobody can rely on it not happening.
	firstID = wire.CancelID - 0xFF
)

func newHandle(d *Device, opt OpenOptions) *Handle {
	return &Handle{
		s:      d.s,
		device: d,
		opt:    opt,
		done:   make(chan struct{}),
		closed: make(chan struct{}),
		calls:  make(map[wire.RequestID]*call),
		nextID: firstID,
		events: newEventQueue[pnp.Event](&d.s.waiting),
	}
}

// attach is called by the transport once the channel is open.
func (h *Handle) attach(conn channels.ServerConn, release func()) channels.Receiver {
	h.mu.Lock()
	h.conn, h.release = conn, release
	h.mu.Unlock()
	h.s.mu.Lock()
	h.s.handles[h] = struct{}{}
	h.s.mu.Unlock()
	return h
}

// create exchanges versions and sends CreateFile.
func (h *Handle) create(ctx context.Context) error {
	// 3.3.5.2.1.1: the first message on the channel. Only its reply is
	// processed (3.3.5.2.1.2), since nothing else is outstanding.
	c, err := h.begin(ctx, wire.KindCapabilitiesRequest, nil, 0)
	if err != nil {
		return err
	}
	c.msg = wire.CapabilitiesRequest{RequestID: c.id, Version: h.opt.Version}.Append(c.msg)
	if err := h.initialize(ctx, c); err != nil {
		return err
	}

	// 3.3.5.2.2.1. The device, and with it the id, may have gone in the
	// meantime.
	if h.device.isGone() {
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	}
	c, err = h.begin(ctx, wire.KindCreateFileRequest, nil, 0)
	if err != nil {
		return err
	}
	c.msg = wire.CreateFileRequest{
		RequestID:             c.id,
		DeviceID:              h.device.id,
		DwDesiredAccess:       h.opt.Access,
		DwShareMode:           h.opt.Share,
		DwCreationDisposition: h.opt.Disposition,
		DwFlagsAndAttributes:  h.opt.Flags,
	}.Append(c.msg)
	return h.initialize(ctx, c)
}

// initialize sends c and waits for its reply. Unlike I/O, it can only be
// cancelled by ending the channel.
func (h *Handle) initialize(ctx context.Context, c *call) error {
	if err := h.send(c); err != nil {
		return err
	}
	var given error
	select {
	case <-c.done:
	case <-ctx.Done():
		given = ctx.Err()
		h.end(fmt.Errorf("%w: %w", channels.ErrClosed, given))
		<-c.done
	}
	_, err := c.outcome()
	h.s.putCall(c)
	if given != nil {
		return given
	}
	return err
}

// Device returns the device that was opened.
func (h *Handle) Device() *Device { return h.device }

// Done is closed when the handle has ended.
func (h *Handle) Done() <-chan struct{} { return h.done }

// ChannelClosed is closed when the transport has closed the channel, which may be later
// than Done.
func (h *Handle) ChannelClosed() <-chan struct{} { return h.closed }

// Err returns why the handle has ended: an error that wraps channels.ErrClosed.
// Before that it returns nil.
func (h *Handle) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Close ends the channel, and with it the handle on the client. All outstanding
// requests complete with an error. It always returns nil, and may be called
// again.
func (h *Handle) Close() error {
	h.end(errHandleClosed)
	return nil
}

var errHandleClosed = fmt.Errorf("the handle was closed: %w", channels.ErrClosed)

// end ends the handle because of err, which wraps ErrClosed: the channel is
// closed, and all outstanding requests complete with err (3.1.1). Only the
// first call counts.
func (h *Handle) end(err error) {
	h.mu.Lock()
	if h.err != nil {
		h.mu.Unlock()
		return
	}
	h.err = err
	calls, conn := h.calls, h.conn
	h.calls = nil
	h.mu.Unlock()

	close(h.done)
	h.device.copies.leave(h)
	h.events.close()
	conn.Close()
	for _, c := range calls {
		c.fail(err)
	}
}

// Receive implements channels.Receiver.
func (h *Handle) Receive(msg []byte) error {
	if h.Err() != nil {
		return nil // sent before the channel was closed
	}
	m, err := wire.Decode(msg, wire.IOToServer)
	switch {
	case m.Kind == wire.KindCustomEvent && !h.takesEvents():
		return nil // even if it is malformed
	case err != nil:
		h.broken(err)
		return err
	case m.Kind == wire.KindCustomEvent:
		h.customEvent(m.CustomEvent())
		return nil
	}
	return h.reply(m)
}

// broken ends the channel because the client broke the protocol.
func (h *Handle) broken(err error) {
	h.s.log.Error("FileRedirectorChannel is closed: the client broke the protocol", "device", h.device.id, "err", err)
	h.end(fmt.Errorf("%w: %w", channels.ErrClosed, err))
}

// Closed implements channels.Receiver.
func (h *Handle) Closed() {
	h.end(channels.ErrClosed)
	h.s.mu.Lock()
	delete(h.s.handles, h)
	h.s.mu.Unlock()
	h.release()
	close(h.closed)
}

// reply completes the request to which m is the reply.
func (h *Handle) reply(m wire.Message) error {
	h.mu.Lock()
	c, ok := h.calls[m.RequestID]
	// From here on c is ours: nobody else completes it, and its caller waits.
	delete(h.calls, m.RequestID)
	h.mu.Unlock()
	if !ok {
		// 3.3.5.2.2: a reply to nothing is ignored, whatever it says. So is
		// everything before Capabilities Reply (3.3.5.2.1.2): the specification
		// says "not processed", not "terminate".
		h.late.log(h.s.log, "reply is ignored: no request with its id is outstanding", "device", h.device.id, "request", m.RequestID)
		return nil
	}

	if err := c.decode(m); err != nil {
		h.broken(err)
		c.fail(h.Err())
		return err
	}
	h.mu.Lock()
	switch c.op {
	case wire.KindCapabilitiesRequest:
		h.version = c.version
	case wire.KindCreateFileRequest:
		if h.err == nil && !c.result.Failed() && h.hasEvents() {
			h.device.copies.join(h)
		}
	}
	h.mu.Unlock()
	c.complete()
	return nil
}

// takeID returns an id that is not outstanding. It goes through all ids in
// turn, so that a reply that comes too late or twice does not meet another
// request (2.2.2.1.1). It leaves out those whose low byte is 0: a client that
// accepts both forms of IoCancel (W-46) could read such an id where another one was
// meant. The caller holds h.mu, and h.calls is not full.
func (h *Handle) takeID() wire.RequestID {
	for {
		id := h.nextID
		h.nextID++
		if h.nextID == wire.CancelID {
			h.nextID = 0
		}
		if _, taken := h.calls[id]; !taken && id&0xFF != 0 {
			return id
		}
	}
}
