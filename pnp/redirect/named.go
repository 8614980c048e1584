// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/redirect/internal/watch"
	"freerdp-pnpdr/pnp/rules"
)

// node is a named device. One with a path comes and goes.
type node struct {
	*rules.Named

	waits devnode.ID // the node whose device is waited for, guarded by Session.following

	// Session.mu guards these; only follow changes ids, except for kinds with Attend.
	ids  []uint32 // while it is redirected: of the device, or of each collection's
	why  error    // why it is not redirected
	real string   // where the path leads while it is present

	detach func() // ends the attendance, guarded by Session.following
}

func (s *Session) watch(paths []string) {
	w, err := watch.New(paths, s.changed, s.log)
	if err != nil {
		s.log.Error("devices with a path are not redirected", "err", err)
		return
	}
	s.watcher = w
}

// changed follows a path that appears or vanishes; it is told the first state
// as well.
func (s *Session) changed(path string, present bool) {
	s.following.Lock()
	defer s.following.Unlock()
	s.follow(path, present)
}

// follow is changed for a caller that holds s.following.
func (s *Session) follow(path string, present bool) {
	if s.over.Load() {
		return
	}
	for _, n := range s.byPath[path] {
		if n.detach != nil {
			if !present {
				n.detach()
				n.detach = nil
			}
			continue
		}
		was := len(n.ids) > 0
		if was && !present {
			s.log.Info("device has gone", "option", n.Option)
			s.devices.remove(n.ids...)
			s.set(n, nil, errors.New("it has gone"))
		}
		// A node or link that is replaced is told as gone and come; what it
		// names is not offered otherwise in between.
		if !present && !watch.Present(path) {
			s.leads(n, "")
		}
		if was {
			continue
		}
		if !present {
			n.waits = devnode.ID{}
		}
		if err := Obstacle(n.Named, s.kinds); err != nil {
			s.leave(n, err)
			continue
		}
		if present {
			place, err := devnode.Look(path)
			if err != nil {
				s.leave(n, err)
				continue
			}
			s.leads(n, place.Real)
			s.add(n, place)
			s.mu.Lock()
			s.fill() // leads may have made room that add did not take
			s.mu.Unlock()
		}
	}
}

// leads notes where a named path leads: what was found there is redirected as
// the option says, not twice. What the path led to before is its own again.
func (s *Session) leads(n *node, real string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := n.real
	n.real = real
	for _, key := range slices.Sorted(maps.Keys(s.found)) {
		if real != "" && s.found[key].path == real {
			s.drop(key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		if d := s.known[key]; d.Node != "" && d.Node == before {
			s.judge(d)
		}
	}
	if real == "" {
		s.fill()
	}
}

// add makes the device, if it can be redirected.
func (s *Session) add(n *node, place devnode.Place) {
	ids, err := s.redirectNamed(n, place)
	if errors.Is(err, discover.ErrNoDevice) && s.awaitDevice(n, place) {
		ids, err = s.redirectNamed(n, place) // it may have come meanwhile
	}
	if err != nil {
		s.leave(n, err)
		return
	}
	if n.detach != nil {
		return // devices come by themselves
	}
	s.set(n, ids, nil)
	s.log.Info("device is redirected"+several(ids), "option", n.Option)
}

// leave notes why a device is not redirected, and logs it unless it has been.
func (s *Session) leave(n *node, why error) {
	s.mu.Lock()
	before := n.why
	s.mu.Unlock()
	s.set(n, nil, why)
	if before == nil || before.Error() != why.Error() {
		s.log.Warn("device is not redirected", "option", n.Option, "err", why)
	}
}

// set notes that a device is redirected, or why it is not.
func (s *Session) set(n *node, ids []uint32, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.ids, n.why = ids, why
}

// redirectNamed redirects a named device, unless a rule denies it. place is where its
// path led when it was followed: what is judged here is what is opened.
func (s *Session) redirectNamed(n *node, place devnode.Place) (ids []uint32, err error) {
	if n.Kind.Nodes == 0 {
		var p *rules.Policy
		if n.Kind.Judged { // only then the rules have surely been read
			p = s.policy
		}
		decision := decideNodeless(p, n.Named)
		if err := refusal(&decision); err != nil {
			return nil, err
		}
		return s.redirect(backend.Source{Path: n.Path}, &decision)
	}
	// The path was looked at before, but may have led elsewhere then.
	if err := wrongNode(n.Named, s.kinds, typeOf(place.ID), place.Rdev); err != nil {
		return nil, err
	}
	decision, found := decideAt(s.policy, s.discovery, n.Named, place)
	if err := refusal(&decision); err != nil {
		return nil, err
	}
	verify := s.verify(place, s.log.With("option", n.Option), func() error {
		now, _ := decideAt(s.policy, s.discovery, n.Named, place)
		return stillAllowed(&decision, &now)
	})
	src := backend.Source{Path: n.Path, Found: found, Verify: verify}
	if n.Kind.Attend != nil {
		s.attend(n, src, &decision)
		return nil, nil
	}
	return s.redirect(src, &decision)
}

// noDevice is discover.ErrNoDevice with the words of a decision.
type noDevice struct{ reason string }

func (e noDevice) Error() string { return e.reason }
func (e noDevice) Unwrap() error { return discover.ErrNoDevice }

// refusal says why a device is not redirected; nil if it is.
func refusal(d *rules.Decision) error {
	switch {
	case d.Redirect:
		return nil
	case d.Verdict == rules.NoDevice:
		return noDevice{d.Reason}
	case d.Verdict != rules.Denied:
		return errors.New(d.Reason)
	case d.Admin:
		return fmt.Errorf("the administrator denies it: %s", d.Reason)
	}
	return fmt.Errorf("it is denied: %s", d.Reason)
}
