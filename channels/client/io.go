// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

type requestID = wire.RequestID

// ioState is how far a FileRedirectorChannel has come.
type ioState uint8

const (
	awaitingCapabilities ioState = iota
	awaitingCreateFile
	opening
	open
	openFailed
	closed
)

// ioChannel is one FileRedirectorChannel: one handle and its requests
// (3.2.5.2).
type ioChannel struct {
	s     *Session
	conn  channels.Conn
	quota quota // guarded by the outbox

	mu            sync.Mutex
	state         ioState
	serverVersion uint16
	openID        requestID // of the CreateFile, while opening
	dev           *device   // from the CreateFile on; the channel is attached to it
	handleID      uint32    // of the handle; from attach on
	access        uint32    // that the CreateFile asks for
	inOpen        bool      // Open has not returned: the channel stays attached until then
	gone          bool      // the device was removed, or the handle ended
	ended         bool      // the handle was ended: the channel ends with the next message
	handle        pnp.Handle
	pending       map[requestID]*request // not answered yet
	withdraw      func() bool            // cancels an Open that still waits for a slot
	unwanted      chan struct{}          // OpenRequest.Cancelled, while opening
	dropping      bool                   // the last event was dropped
	broken        error                  // why a reply could not be sent: the next Receive ends the channel
}

// Errors that terminate a channel.
var (
	errNotCapabilities = errors.New("3.2.5.2.1.1: the first message on the channel was not a Capabilities Request")
	errDuplicateID     = errors.New("3.1.1: a request has the id of one that is still outstanding")
	errSecondOpen      = errors.New("2.2.2.3.1: a second CreateFile on the channel")
)

// Receive implements channels.Receiver.
func (c *ioChannel) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.IOToClient)
	if err != nil {
		return err
	}
	c.mu.Lock()
	state := c.state
	switch {
	case state == closed:
		err = channels.ErrClosed
	case c.broken != nil:
		err = c.broken
	case state == awaitingCapabilities && m.Kind != wire.KindCapabilitiesRequest:
		err = errNotCapabilities
	case m.Kind != wire.KindIoCancelRequest && c.outstanding(m.RequestID): // C-28, C-35
		err = errDuplicateID
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := c.process(m); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return errHandleEnded
	}
	return nil
}

func (c *ioChannel) process(m wire.Message) error {
	switch m.Kind {
	case wire.KindCapabilitiesRequest:
		return c.capabilities(m.CapabilitiesRequest())
	case wire.KindCreateFileRequest:
		return c.createFile(m.CreateFileRequest())
	case wire.KindReadRequest:
		return c.read(m.ReadRequest())
	case wire.KindWriteRequest:
		return c.write(m.WriteRequest())
	case wire.KindIOControlRequest:
		return c.ioControl(m.IOControlRequest())
	case wire.KindIoCancelRequest:
		return c.cancel(m.IoCancelRequest())
	}
	return nil
}

func (c *ioChannel) outstanding(id requestID) bool {
	return c.pending[id] != nil || c.state == opening && c.openID == id
}

func (c *ioChannel) capabilities(m wire.CapabilitiesRequest) error {
	c.mu.Lock()
	if c.state == awaitingCapabilities { // C-12: later ones change nothing
		c.state = awaitingCreateFile
		c.serverVersion = m.Version
	}
	c.mu.Unlock()
	reply := wire.CapabilitiesReply{RequestID: m.RequestID, Version: wire.VersionWithCustomEvents}
	return c.notice(reply.Append(nil))
}

func (c *ioChannel) createFile(m wire.CreateFileRequest) error {
	c.mu.Lock()
	switch c.state {
	case closed:
		c.mu.Unlock()
		return channels.ErrClosed
	case opening, open:
		c.mu.Unlock()
		return errSecondOpen
	case openFailed:
		c.mu.Unlock()
		return c.notice(wire.CreateFileReply{RequestID: m.RequestID, Result: pnp.ERROR_INVALID_HANDLE}.Append(nil))
	}
	c.state, c.openID, c.access = opening, m.RequestID, m.DwDesiredAccess
	unwanted := make(chan struct{})
	c.unwanted = unwanted
	c.mu.Unlock()

	dev, hr := c.s.attach(c, m.DeviceID)
	if hr.Failed() {
		return c.opened(nil, hr)
	}
	r := pnp.OpenRequest{
		Access:      m.DwDesiredAccess,
		Share:       m.DwShareMode,
		Disposition: m.DwCreationDisposition,
		Flags:       m.DwFlagsAndAttributes,
		Handle:      c.handleID, // which only this goroutine sets
		NoBlock:     true,
		Workers:     dev.workers,
		Memory:      c.s.memory,
		Cancelled:   unwanted,
	}
	h, err := c.s.openDevice(dev, r)
	if !errors.Is(err, pnp.ErrWouldBlock) {
		return c.opened(h, pnp.HRESULTOf(err))
	}
	r.NoBlock = false
	c.mu.Lock()
	if c.state != opening { // it has ended, or the device was removed
		c.mu.Unlock()
		return c.opened(nil, pnp.ERROR_OPERATION_ABORTED)
	}
	defer c.mu.Unlock()
	c.withdraw = dev.workers.Start(func() { c.openInSlot(dev, r) })
	return nil
}

// openInSlot opens the device, unless the channel has ended or the device was removed
// meanwhile: opening alone can reset a device.
func (c *ioChannel) openInSlot(dev *device, r pnp.OpenRequest) {
	var h pnp.Handle
	err := r.CheckCancelled()
	if err == nil {
		h, err = c.s.openDevice(dev, r)
	}
	c.sent(c.opened(h, pnp.HRESULTOf(err)))
}

// cancelOpen tells a device that it need not open any more. c.mu is held.
func (c *ioChannel) cancelOpen() {
	if c.unwanted != nil {
		close(c.unwanted)
		c.unwanted = nil
	}
}

// attach binds the channel to the device with this id, if the server was told
// of it.
func (s *Session) attach(c *ioChannel, id uint32) (*device, pnp.HRESULT) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dev := s.devices[id]
	switch {
	case s.closed:
		return nil, pnp.ERROR_DEVICE_NOT_CONNECTED
	case dev == nil && id != 0 && id <= s.lastID:
		return nil, pnp.ERROR_DEVICE_NOT_CONNECTED
	case dev == nil || !dev.announced:
		return nil, pnp.ERROR_FILE_NOT_FOUND
	case s.handles.Load() >= int64(s.limits.Handles):
		s.log.Warn("device is not opened: the session's limit of open handles is reached", "device", dev.name, "limit", s.limits.Handles)
		return nil, pnp.ERROR_TOO_MANY_OPEN_FILES
	case len(dev.channels) >= dev.limits.Handles:
		s.log.Warn("device is not opened: its limit of open handles is reached", "device", dev.name, "limit", dev.limits.Handles)
		return nil, pnp.ERROR_TOO_MANY_OPEN_FILES
	}
	s.handles.Add(1)
	s.released.Add(1)
	dev.channels[c] = struct{}{}
	c.mu.Lock()
	s.handleID++
	c.dev, c.handleID, c.inOpen = dev, s.handleID, true
	s.out.assign(&c.quota, dev)
	c.mu.Unlock()
	return dev, pnp.S_OK
}

// detach undoes attach, except that the handle counts until it is released.
func (s *Session) detach(c *ioChannel, dev *device) {
	s.mu.Lock()
	delete(dev.channels, c)
	s.mu.Unlock()
}

// openDevice calls the device and turns a panic in it into an error.
func (s *Session) openDevice(dev *device, r pnp.OpenRequest) (h pnp.Handle, err error) {
	defer pnp.Guard(s.log, "opening "+dev.name, func() { h, err = nil, pnp.E_UNEXPECTED })
	h, err = dev.Open(r)
	if pnp.HRESULTOf(err) == pnp.ERROR_TOO_MANY_OPEN_FILES {
		s.crowded.Do(func() { s.log.Warn("no room for more open devices", "err", err) })
	}
	return h, err
}

// opened answers the CreateFile: h is the handle, or hr says why there is none.
// If the channel has ended or the device was removed in the meantime, there is
// nothing left to answer.
func (c *ioChannel) opened(h pnp.Handle, hr pnp.HRESULT) error {
	if h == nil && !hr.Failed() {
		hr = pnp.E_UNEXPECTED
	}
	c.mu.Lock()
	dev := c.dev
	c.inOpen, c.withdraw, c.unwanted = false, nil, nil
	answer := c.state == opening
	kept := answer && !hr.Failed()
	var err error
	switch {
	case kept:
		c.state, c.handle = open, h
		// Under the lock, so that no event overtakes it.
		err = c.notice(wire.CreateFileReply{RequestID: c.openID, Result: hr}.Append(nil))
	case answer:
		err = c.openFails(hr)
	}
	if !kept {
		c.dev = nil
	}
	c.mu.Unlock()

	if !kept && dev != nil {
		c.s.closeHandle(h)
		c.s.detach(c, dev)
	}
	switch {
	case kept:
		c.s.stats.opens.Add(1)
		c.s.log.Info("the server opened a device", "device", dev.name)
	case answer && dev != nil:
		c.s.log.Warn("the server could not open a device", "device", dev.name, "err", hr)
	case answer:
		c.s.log.Debug("CreateFile was refused", "err", hr)
	}
	return err
}

// openFails answers the CreateFile with a failure. c.mu is held.
func (c *ioChannel) openFails(hr pnp.HRESULT) error {
	c.state = openFailed
	return c.notice(wire.CreateFileReply{RequestID: c.openID, Result: hr}.Append(nil))
}

// closeHandle closes the handle of an attached channel; h is nil if it has
// none.
func (s *Session) closeHandle(h pnp.Handle) {
	released := sync.OnceFunc(func() {
		s.handles.Add(-1)
		s.released.Done()
	})
	if h == nil {
		released()
		return
	}
	defer pnp.Guard(s.log, "closing a handle", released)
	h.Close(released)
}

// deviceGone answers what is pending and closes the handle. The channel stays
// open and refuses further requests (C-32).
func (c *ioChannel) deviceGone() {
	c.mu.Lock()
	if c.gone || c.state == closed {
		c.mu.Unlock()
		return
	}
	c.gone = true
	c.cancelOpen()
	var err error
	if c.state == opening { // C-16: even if the device never returns from Open
		err = c.openFails(pnp.ERROR_DEVICE_NOT_CONNECTED)
	}
	h, withdraw := c.handle, c.withdraw
	c.handle = nil
	pending := c.takePending(answered)
	c.mu.Unlock()

	c.sent(err)
	for _, r := range pending {
		r.fail(pnp.ERROR_DEVICE_NOT_CONNECTED)
	}
	if h != nil {
		c.s.closeHandle(h)
	}
	c.takeBack(withdraw)
}

// takeBack cancels an Open if it still waits for a slot.
func (c *ioChannel) takeBack(withdraw func() bool) {
	if withdraw != nil && withdraw() {
		c.sent(c.opened(nil, pnp.ERROR_OPERATION_ABORTED))
	}
}

// takePending empties the list of pending requests. From then on the caller
// must answer them, or they get no answer, as state says. c.mu is held.
func (c *ioChannel) takePending(state replyState) []*request {
	pending := slices.Collect(maps.Values(c.pending))
	for _, r := range pending {
		r.state = state
	}
	clear(c.pending)
	return pending
}

// Closed implements channels.Receiver (C-17).
func (c *ioChannel) Closed() {
	c.mu.Lock()
	if c.state == closed {
		c.mu.Unlock()
		return
	}
	wasOpen := c.state == open
	c.state = closed
	c.cancelOpen()
	h, dev, inOpen, withdraw := c.handle, c.dev, c.inOpen, c.withdraw
	c.handle = nil
	c.takePending(abandoned)
	c.mu.Unlock()

	if h != nil {
		c.s.closeHandle(h)
	}
	if dev != nil && !inOpen { // otherwise opened detaches it
		c.s.detach(c, dev)
	}
	c.takeBack(withdraw)
	if wasOpen {
		c.s.log.Info("the server closed a device", "device", dev.name)
	}
	c.s.mu.Lock()
	delete(c.s.channels, c)
	c.s.mu.Unlock()
}

// event sends a custom event if the handle is open and the server's version has
// events (C-13, C-31).
func (c *ioChannel) event(msg []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open || c.gone || c.serverVersion < wire.VersionWithCustomEvents {
		return
	}
	sent := c.s.out.event(c.conn, &c.quota, msg)
	if !sent && !c.dropping {
		c.s.log.Warn("events are dropped: the server does not take them fast enough", "device", c.dev.name)
	}
	c.dropping = !sent
}

func (c *ioChannel) notice(msg []byte) error {
	err := c.s.out.notice(c.conn, &c.quota, msg)
	if errors.Is(err, channels.ErrClosed) {
		return nil // Closed follows
	}
	return err
}

// sent handles the result of sending outside Receive. A channel on which a
// reply could not be sent ends with the next message: no other way to end it
// works with every version of FreeRDP.
func (c *ioChannel) sent(err error) {
	if err == nil || errors.Is(err, channels.ErrClosed) {
		return
	}
	c.mu.Lock()
	c.broken = err
	c.mu.Unlock()
}
