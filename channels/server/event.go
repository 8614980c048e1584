// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"sync"
	"time"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// CustomEvent is a custom event, the handle that it came on, and when. All who get the
// event share its Data, which must not be changed.
type CustomEvent struct {
	Handle *Handle
	Time   time.Time
	pnp.Event
}

// Events returns the custom events that arrive on this handle. Every call
// returns the same channel. It has room for Limits.Events and is closed when
// the handle has ended. Events that do not fit are dropped, and so may be those
// that came before the first call, once memory is short (Limits.EventMemory).
func (h *Handle) Events() <-chan pnp.Event { return h.events.channel() }

// RegisterEvent returns the custom events with the given GUID on all handles of
// the session. An event that the client sends on several handles of a device comes
// once, with the first of them. The channel has room for Limits.Events; events that
// do not fit are dropped. It is closed by cancel, which may be called more than
// once, and by Close.
func (s *Session) RegisterEvent(guid pnp.GUID) (events <-chan CustomEvent, cancel func()) {
	q := newEventQueue[CustomEvent](&s.waiting)
	s.events.add(guid, &q)
	return q.channel(), func() { s.events.remove(guid, &q) }
}

// Events returns the custom events of the device, whatever their GUID. It is like
// Session.RegisterEvent otherwise, and the channel is closed when the device has gone,
// too. A client sends events to open handles only.
func (d *Device) Events() (events <-chan CustomEvent, cancel func()) {
	q := newEventQueue[CustomEvent](&d.s.waiting)
	d.events.add(anyGUID, &q)
	return q.channel(), func() { d.events.remove(anyGUID, &q) }
}

// anyGUID is what those are registered for who want every event of a device.
var anyGUID pnp.GUID

// takesEvents reports whether the handle may have custom events yet, and logs
// if not.
func (h *Handle) takesEvents() bool {
	h.mu.Lock()
	takes, version := h.hasEvents(), h.version
	h.mu.Unlock()
	if !takes {
		// This includes the time before Capabilities Reply, when the version is 0.
		h.late.log(h.s.log, "custom event is ignored: it needs version 6 on both sides", "device", h.device.id, "version", min(version, h.opt.Version))
	}
	return takes
}

// hasEvents reports whether both versions have custom events. h.mu is held.
func (h *Handle) hasEvents() bool {
	return min(h.version, h.opt.Version) >= wire.VersionWithCustomEvents
}

// customEvent processes Client Device Custom Event (3.3.5.2.2.10).
func (h *Handle) customEvent(m wire.CustomEvent) {
	ev := CustomEvent{h, time.Now(), pnp.Event{GUID: m.CustomEventGUID}}
	dropped := len(m.Data) > h.s.cfg.Limits.EventBytes
	if !dropped {
		ev.Data = bytes.Clone(m.Data)
		h.device.copies.original(h, ev.Event, func() {
			dropped = !h.s.events.put(ev.GUID, ev)
			dropped = !h.device.events.put(anyGUID, ev) || dropped
		})
		// Nobody misses it on a handle whose events nobody has asked for.
		dropped = !h.events.put(ev.Event, len(ev.Data)) && h.events.isRead() || dropped
	}
	if dropped {
		h.events.dropped.log(h.s.log, "custom event is dropped: it is too long, or others were not read in time",
			"device", h.device.id, "event", ev.GUID, "size", len(m.Data))
	}
}

// registrations are the applications that registered for custom events.
type registrations struct {
	mu     sync.Mutex
	closed bool
	byGUID map[pnp.GUID]map[*eventQueue[CustomEvent]]struct{}
}

func (r *registrations) add(guid pnp.GUID, q *eventQueue[CustomEvent]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		q.close()
		return
	}
	if r.byGUID == nil {
		r.byGUID = make(map[pnp.GUID]map[*eventQueue[CustomEvent]]struct{})
	}
	if r.byGUID[guid] == nil {
		r.byGUID[guid] = make(map[*eventQueue[CustomEvent]]struct{})
	}
	r.byGUID[guid][q] = struct{}{}
}

func (r *registrations) remove(guid pnp.GUID, q *eventQueue[CustomEvent]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byGUID[guid], q)
	if len(r.byGUID[guid]) == 0 {
		delete(r.byGUID, guid)
	}
	q.close()
}

// put reports whether every application registered for guid had room for ev.
func (r *registrations) put(guid pnp.GUID, ev CustomEvent) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := true
	for q := range r.byGUID[guid] {
		all = q.put(ev, len(ev.Data)) && all
	}
	return all
}

func (r *registrations) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, queues := range r.byGUID {
		for q := range queues {
			q.close()
		}
	}
	r.byGUID = nil
}
