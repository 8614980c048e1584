// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/rules"
)

// discovered is a device that discovery has found and that is redirected.
type discovered struct {
	path string
	node devnode.ID
	as   rules.Decision
	ids  []uint32 // in the session: of the device, or of each collection's
}

// discover follows what is plugged in.
func (s *Session) discover() {
	m, err := discover.Start(s.discovery, s.plugged)
	if err != nil {
		s.log.Error("what is plugged in is not found", "err", err)
		return
	}
	s.monitor = m
}

// plugged follows a device that comes, goes or changes.
func (s *Session) plugged(e discover.Event) {
	defer pnp.Guard(s.log, "following what is plugged in", nil)
	if s.over.Load() {
		return
	}
	d := e.Device
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Kind != discover.Removed {
		// A rule may match the device now, or match it no longer.
		s.known[d.Key] = d
		_, was := s.found[d.Key]
		s.judge(d)
		if _, is := s.found[d.Key]; was && !is {
			s.fill()
		}
		return
	}
	delete(s.known, d.Key)
	delete(s.excess, d.Key)
	delete(s.refused, d.Key)
	if _, redirected := s.found[d.Key]; redirected {
		s.log.Info("device has gone", "device", d.Description.Name, "node", d.Node)
		s.drop(d.Key)
		s.fill()
	}
}

// fill redirects as many of the devices that there was no room for as there is
// room for now. s.mu is held.
func (s *Session) fill() {
	for _, key := range slices.Sorted(maps.Keys(s.excess)) {
		delete(s.excess, key)
		if s.judge(s.known[key]); s.excess[key] {
			return
		}
	}
}

// judge redirects a device, or not any more, as the rules say. s.mu is held.
func (s *Session) judge(d *discover.Device) {
	have, redirected := s.found[d.Key]
	log := s.log.With("device", d.Description.Name, "node", d.Node)
	decision := s.policy.Decide(d)
	place, err := devnode.Look(d.Node)
	unchanged := have.path == d.Node && have.node == place.ID && sameRedirection(&have.as, &decision)
	wanted := decision.Redirect && !s.isNamed(d.Node)
	if redirected && (!wanted || !unchanged) {
		log.Info("device is no longer redirected as it was", "why", decision.Reason)
		s.drop(d.Key)
		redirected = false
	}
	switch {
	case redirected:
		return
	case !decision.Redirect && s.policy.Named(d) && !s.isNamed(d.Node):
		err := refusal(&decision)
		if advice := s.policy.Advice(d, &decision); advice != "" {
			err = fmt.Errorf("%w; %s", err, advice)
		}
		s.refuse(d, err)
		return
	case !wanted:
		delete(s.refused, d.Key)
		log.Debug("device is left as it is", "key", d.Key, "why", decision.Reason)
		return
	}
	if err == nil {
		err = d.Access()
	}
	var ids []uint32
	if err == nil {
		verify := s.verify(place, log, func() error { return s.stillThere(d, &decision, place) })
		ids, err = s.redirect(backend.Source{Path: d.Node, Found: d, Verify: verify}, &decision)
	}
	switch {
	case errors.Is(err, pnp.ErrTooMany):
		s.excess[d.Key] = true
	case errors.Is(err, fs.ErrNotExist): // it is going; the message is on its way
		log.Debug("device is not redirected", "err", err)
		return
	}
	if err != nil {
		s.refuse(d, err)
		return
	}
	delete(s.excess, d.Key)
	delete(s.refused, d.Key)
	s.found[d.Key] = discovered{path: d.Node, node: place.ID, as: decision, ids: ids}
	log.Info("device is redirected"+several(ids), "as", decision.Description.Name, "why", decision.Reason)
}

// refuse notes why a device is not redirected, and logs it unless it has been. s.mu
// is held.
func (s *Session) refuse(d *discover.Device, why error) {
	if before := s.refused[d.Key]; before == nil || before.Error() != why.Error() {
		s.log.Warn("device is not redirected", "device", d.Description.Name, "node", d.Node, "err", why)
	}
	s.refused[d.Key] = why
}

// stillThere checks that a node is still the device's, and that the device may still
// be redirected as it was decided.
func (s *Session) stillThere(d *discover.Device, decision *rules.Decision, place devnode.Place) error {
	functions, err := discover.AtPlace(s.discovery, place)
	if errors.Is(err, discover.ErrNoDevice) {
		return fmt.Errorf("%w: %w", err, pnp.ERROR_DEVICE_NOT_CONNECTED)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", err, pnp.ERROR_ACCESS_DENIED)
	}
	for _, f := range functions {
		if f.Key == d.Key {
			now := s.policy.Decide(f)
			return stillAllowed(decision, &now)
		}
	}
	return fmt.Errorf("the node is another device's now: %w", pnp.ERROR_ACCESS_DENIED)
}

// sameRedirection reports whether a device is redirected alike by either
// decision, whatever the reason.
func sameRedirection(a, b *rules.Decision) bool {
	return a.Kind == b.Kind && a.ReadOnly == b.ReadOnly && a.Limits == b.Limits &&
		reflect.DeepEqual(a.Description, b.Description) && reflect.DeepEqual(a.Collections, b.Collections) && slices.Equal(a.IOControls, b.IOControls)
}

// drop takes a discovered device out of the session. s.mu is held.
func (s *Session) drop(key string) {
	s.devices.remove(s.found[key].ids...)
	delete(s.found, key)
}

// isNamed reports whether an option names the node by a path that leads to it
// now. s.mu is held.
func (s *Session) isNamed(node string) bool {
	for _, list := range s.byPath {
		for _, n := range list {
			if node != "" && n.real == node {
				return true
			}
		}
	}
	return false
}
