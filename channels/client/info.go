// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"maps"
	"slices"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp/wire"
)

// infoChannel is the PNPDR channel (3.2.5.1). Session.mu guards it.
type infoChannel struct {
	s     *Session
	conn  channels.Conn
	quota quota

	versioned     bool
	dynamic       bool // the server's capability
	authenticated bool
	initial       bool // the devices present at logon have been announced
	announced     map[uint32]bool
	closed        bool
	broken        error // why a message could not be sent: the next Receive ends the channel
}

var errNotVersion = errors.New("3.2.5.1.1.1: the first message on PNPDR was not a Server Version")

// Receive implements channels.Receiver.
func (c *infoChannel) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.InfoToClient)
	if err != nil {
		return err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.closed {
		return channels.ErrClosed
	}
	if c.broken != nil {
		return c.broken
	}
	if !c.versioned && m.Kind != wire.KindVersion {
		return errNotVersion
	}
	switch m.Kind {
	case wire.KindVersion:
		if v := m.Version(); !c.versioned {
			c.versioned = true
			c.dynamic = v.Capabilities&wire.CapDynamicAddition != 0
			c.s.log.Debug("Server Version", "major", v.MajorVersion, "minor", v.MinorVersion, "capabilities", v.Capabilities)
		}
		return c.s.out.notice(c.conn, &c.quota, wire.OurVersion.Append(nil))
	case wire.KindAuthenticatedClient:
		c.authenticated = true
		c.announce()
	}
	return c.broken
}

// Closed implements channels.Receiver. C-37: the next PNPDR starts over.
func (c *infoChannel) Closed() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.closed = true
	if c.s.info == c {
		c.s.info = nil
	}
}

// announce tells the server about every device that it has not heard of on this
// channel, once it has asked for them. A server that declines an optional device
// may drop the whole message (3.3.5.1.2.1), so each of those has its own. Session.mu
// is held.
func (c *infoChannel) announce() {
	if !c.authenticated || c.initial && !c.dynamic {
		return
	}
	c.initial = true
	var m wire.DeviceAddition
	flush := func() {
		if m.DeviceCount > 0 {
			c.send(m.Append(nil))
			m = wire.DeviceAddition{}
		}
	}
	// In order of id: the server sees the devices in the order in which the user named them.
	for _, id := range slices.Sorted(maps.Keys(c.s.devices)) {
		if c.announced[id] {
			continue
		}
		dev := c.s.devices[id]
		c.announced[id] = true
		dev.announced = true
		if dev.description.Optional { // C-40
			flush()
		}
		m.DeviceCount++
		m.DeviceDescriptions = wire.NewDeviceDescription(id, dev.description).Append(m.DeviceDescriptions)
		if dev.description.Optional || len(m.DeviceDescriptions) >= announceBytes {
			flush()
		}
	}
	flush()
}

// retract tells the server that a device has gone, if it was announced.
// Session.mu is held.
func (c *infoChannel) retract(id uint32) {
	if c.announced[id] {
		delete(c.announced, id)
		c.send(wire.DeviceRemoval{ClientDeviceID: id}.Append(nil))
	}
}

// send queues a message that the server did not ask for. If that fails, the
// server's list is wrong from then on: the channel ends with the next message,
// and a new one starts over.
func (c *infoChannel) send(msg []byte) {
	if err := c.s.out.notice(c.conn, &c.quota, msg); err != nil && c.broken == nil {
		c.broken = err
	}
}
