// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"slices"
	"sync"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// arrivals tells of devices whose nodes were there before them, which the watch of
// their paths does not notice.
type arrivals struct {
	source discover.Source
	over   sync.WaitGroup
}

// awaitDevice has a named node redirected when its device comes. It returns true if
// that may have happened just now. s.following is held.
func (s *Session) awaitDevice(n *node, place devnode.Place) (again bool) {
	n.waits = place.ID
	if s.arrivals != nil {
		return false // its messages about the device are taken after this
	}
	source, err := s.discovery.Subscribe()
	if err != nil {
		s.log.Warn("the coming of a device whose node is there cannot be noticed; connect again when it is there", "option", n.Option, "err", err)
		return false
	}
	a := &arrivals{source: source}
	s.arrivals = a
	a.over.Add(1)
	go func() {
		defer a.over.Done()
		defer pnp.Guard(s.log, "following devices of named nodes", nil)
		s.followArrivals(a)
	}()
	return true
}

// close ends the goroutine.
func (a *arrivals) close() {
	a.source.Close()
	a.over.Wait()
}

func (s *Session) followArrivals(a *arrivals) {
	for {
		messages, err := a.source.Receive(-1)
		lost := errors.Is(err, discover.ErrLost)
		s.arrived(func(id devnode.ID) bool {
			return lost || slices.ContainsFunc(messages, func(e discover.Uevent) bool {
				return e.IsAbout(id)
			})
		})
		if err != nil && !lost {
			if !s.over.Load() {
				s.log.Error("devices of named nodes are no longer followed", "err", err)
			}
			return
		}
	}
}

// arrived looks again at the named nodes whose device may have come. One that has come
// may not be complete yet: udev's message follows the kernel's.
func (s *Session) arrived(mayHave func(devnode.ID) bool) {
	s.following.Lock()
	defer s.following.Unlock()
	for _, n := range s.named {
		if n.waits != (devnode.ID{}) && len(n.ids) == 0 && mayHave(n.waits) {
			s.follow(n.Path, true)
		}
	}
}
