// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
)

// TestWaitingEventsAreBounded: a client that floods all handles and readers with the longest
// events cannot make the session keep more than EventMemory.
func TestWaitingEventsAreBounded(t *testing.T) {
	const handles, longest, memory = 14, 64 << 10, 8 << 20
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	var readers []<-chan server.CustomEvent
	for range 3 {
		all, _ := d.Events()
		byGUID, _ := f.RegisterEvent(eventGUID)
		readers = append(readers, all, byGUID)
	}
	var open []*server.Handle
	for range handles {
		h, ch := f.Open(d, 6, server.OpenOptions{})
		open = append(open, h)
		for range 100 {
			inject(t, ch, event(strings.Repeat("x", longest)))
		}
	}
	kept := 0
	for _, r := range readers {
		for len(r) > 0 {
			kept += len((<-r).Data)
		}
	}
	require.NotZero(t, kept)
	for _, h := range open {
		for events := h.Events(); len(events) > 0; {
			kept += len((<-events).Data)
		}
	}
	require.Less(t, kept, memory)
	require.Greater(t, kept, memory/2)
}

// TestWaitingEvents: there is room again for what was read, discarded or closed. Those of
// handles whose events nobody has asked for make room for others.
func TestWaitingEvents(t *testing.T) {
	f := servertest.Started(t, server.Config{Limits: server.Limits{EventMemory: 1000}})
	d := f.AddDevice(4)
	unasked, ch := f.Open(d, 6, server.OpenOptions{})
	flood := func() {
		for range 20 {
			inject(t, ch, event(strings.Repeat("x", 200)))
		}
	}
	flood()
	first, cancel := f.RegisterEvent(eventGUID)
	flood()
	require.Len(t, first, 3, "3 times 200 bytes, and what they take beside that")
	require.Empty(t, unasked.Events())

	second, _ := f.RegisterEvent(eventGUID)
	flood()
	require.Empty(t, second, "the first reader has all")
	require.Empty(t, unasked.Events(), "as above, now that it is asked")
	<-first
	flood()
	require.Equal(t, 3, len(first)+len(second)+len(unasked.Events()))
	for len(first) > 0 {
		<-first
	}
	inject(t, ch, event("small"))
	require.Len(t, first, 1)

	cancel()
	for len(second) > 0 {
		<-second
	}
	for len(unasked.Events()) > 0 {
		<-unasked.Events()
	}
	flood()
	require.Equal(t, 3, len(second)+len(unasked.Events()))
	unasked.Close()
	third, _ := f.RegisterEvent(eventGUID)
	_, ch = f.Open(d, 6, server.OpenOptions{})
	for len(second) > 0 {
		<-second
	}
	flood()
	require.Equal(t, 3, len(second)+len(third))
}
