// SPDX-License-Identifier: Apache-2.0

package server

import (
	"hash/maphash"
	"maps"
	"sync"
	"time"

	"freerdp-pnpdr/pnp"
)

const (
	// keptEvents is how many events of a device may wait for their copies.
	keptEvents = 64

	// keptFor is how long an event waits. The client may have dropped a copy,
	// and a later event must not be mistaken for it.
	keptFor = 5 * time.Second
)

// copies recognizes the copies of the custom events of one device: the client
// sends each event on every open handle (C-31), but an application that has
// registered gets it once (S-24).
type copies struct {
	mu      sync.Mutex
	seed    maphash.Seed
	handles map[*Handle]struct{} // that are open and have events
	events  []original           // oldest first
}

// original is an event that has arrived on one handle and not yet on all others.
type original struct {
	guid pnp.GUID
	data uint64 // hash
	came time.Time
	owed map[*Handle]struct{} // the others
}

func newCopies() copies {
	return copies{seed: maphash.MakeSeed(), handles: make(map[*Handle]struct{})}
}

// join is called when h is open and has events.
func (c *copies) join(h *Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handles[h] = struct{}{}
}

// leave is called when h has ended.
func (c *copies) leave(h *Handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.handles, h)
	for _, o := range c.events {
		delete(o.owed, h)
	}
}

// original takes an event that has arrived on h, and calls offer if it is new rather
// than a copy of one that arrived on another handle. Equal events in a row are not copies
// of each other: each arrives on each handle. offer does not block: it is called with the
// lock held, so that the event does not get behind a later one of another handle.
func (c *copies) original(h *Handle, e pnp.Event, offer func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for len(c.events) > 0 && (len(c.events[0].owed) == 0 || now.Sub(c.events[0].came) > keptFor) {
		c.drop()
	}
	data := maphash.Bytes(c.seed, e.Data)
	for _, o := range c.events {
		if _, owed := o.owed[h]; owed && o.guid == e.GUID && o.data == data {
			delete(o.owed, h)
			return
		}
	}
	owed := maps.Clone(c.handles)
	delete(owed, h)
	if len(owed) > 0 {
		if len(c.events) == keptEvents {
			c.drop()
		}
		c.events = append(c.events, original{e.GUID, data, now, owed})
	}
	offer()
}

// drop forgets the oldest event.
func (c *copies) drop() {
	c.events[0] = original{}
	c.events = c.events[1:]
}
