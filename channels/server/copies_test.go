// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"freerdp-pnpdr/pnp"
)

// TestCopiesThatNeverCome: a client that has dropped a copy is not waited for, and
// what waits is bounded.
func TestCopiesThatNeverCome(t *testing.T) {
	c := newCopies()
	a, b := new(Handle), new(Handle)
	c.join(a)
	c.join(b)
	event := func(data string) pnp.Event { return pnp.Event{Data: []byte(data)} }
	original := func(h *Handle, data string, want bool) {
		t.Helper()
		got := false
		if c.original(h, event(data), func() { got = true }); got != want {
			t.Errorf("%q is an original: %v", data, got)
		}
	}

	original(a, "dropped", true)
	for i := range c.events {
		c.events[i].came = time.Now().Add(-2 * keptFor)
	}
	original(b, "dropped", true) // another of the same kind
	original(a, "dropped", false)

	for i := range 3 * keptEvents {
		original(a, fmt.Sprint(i), true)
	}
	if len(c.events) > keptEvents {
		t.Errorf("%d events are kept", len(c.events))
	}
	original(b, "0", true) // forgotten
	original(b, fmt.Sprint(3*keptEvents-1), false)

	c.leave(a)
	c.leave(b)
	original(a, "alone", true)
	original(a, "alone", true)
	if len(c.handles) != 0 || len(c.events) != 0 {
		t.Errorf("%d handles and %d events are kept", len(c.handles), len(c.events))
	}
}

// TestOriginalsAreInOrder: whatever handle an event arrives on first, those who get it
// once get all in the order in which the client sent them.
func TestOriginalsAreInOrder(t *testing.T) {
	c := newCopies()
	handles := make([]*Handle, 8)
	for i := range handles {
		handles[i] = new(Handle)
		c.join(handles[i])
	}
	for round := range 500 {
		var sent, got []string
		for i := range 8 {
			sent = append(sent, fmt.Sprint(round, " ", i))
		}
		var all sync.WaitGroup
		for _, h := range handles {
			all.Add(1)
			go func() {
				defer all.Done()
				for _, data := range sent {
					c.original(h, pnp.Event{Data: []byte(data)}, func() { got = append(got, data) })
				}
			}()
		}
		all.Wait()
		if !slices.Equal(sent, got) {
			t.Fatalf("%q, not %q", got, sent)
		}
	}
}
