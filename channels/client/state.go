// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/pnp"
)

// statistics are what a session counts for State.
type statistics struct {
	opens         atomic.Uint32
	read, written atomic.Uint64
	active        atomic.Int64 // Unix time of the last request, in nanoseconds
}

// errHandleEnded ends a channel whose handle was ended.
var errHandleEnded = errors.New("its handle was ended on this side")

var _ pnp.Session = (*Session)(nil)

// State implements pnp.Session. The kinds of the devices are not known here.
func (s *Session) State() pnp.SessionState {
	state := pnp.SessionState{
		Opens: s.stats.opens.Load(), Read: s.stats.read.Load(), Written: s.stats.written.Load(),
	}
	if active := s.stats.active.Load(); active != 0 {
		state.Active = time.Unix(0, active)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.devices)) {
		dev := s.devices[id]
		state.Devices = append(state.Devices, pnp.SessionDevice{ID: id, Description: dev.description, Since: dev.since})
		for c := range dev.channels {
			if h, ok := c.openHandle(); ok {
				state.Handles = append(state.Handles, h)
			}
		}
	}
	slices.SortFunc(state.Handles, func(a, b pnp.SessionHandle) int { return cmp.Compare(a.ID, b.ID) })
	return state
}

// openHandle describes the handle of an attached channel, if it is open.
func (c *ioChannel) openHandle() (pnp.SessionHandle, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open || c.gone {
		return pnp.SessionHandle{}, false
	}
	return pnp.SessionHandle{ID: c.handleID, Device: c.dev.id, Access: c.access}, true
}

// EndHandle implements pnp.Session. What is pending fails with
// ERROR_DEVICE_NOT_CONNECTED, and so does the next request; then the channel is closed.
// It cannot be earlier: only a message that is received can end a channel in every version
// of FreeRDP.
func (s *Session) EndHandle(id uint32) bool {
	s.mu.Lock()
	var channel *ioChannel
	var device *device
	for _, dev := range s.devices {
		for c := range dev.channels {
			if h, ok := c.openHandle(); ok && h.ID == id {
				channel, device = c, dev
			}
		}
	}
	s.mu.Unlock()
	if channel == nil || !channel.endHandle() {
		return false
	}
	s.detach(channel, device) // it makes room for another handle
	s.log.Info("a handle is ended", "device", device.name, "handle", id)
	return true
}

// endHandle ends the handle, unless that was done already.
func (c *ioChannel) endHandle() bool {
	c.mu.Lock()
	first := c.state == open && !c.gone
	c.ended = c.ended || first
	c.mu.Unlock()
	if first {
		c.deviceGone()
	}
	return first
}
