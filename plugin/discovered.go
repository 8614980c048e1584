package main

import (
	"fmt"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/watch"
)

// discovered is a device that discovery has found and that is redirected.
type discovered struct {
	node string
	id   uint32
}

// discover follows what is plugged in, if the policy can come to redirect any
// of it.
func (s *session) discover() {
	if s.policy.Idle() {
		return
	}
	cfg := s.discovery
	cfg.Log = s.log
	m, err := discover.Start(cfg, s.plugged)
	if err != nil {
		s.log.Error(fmt.Sprintf("devices that are plugged in are not found: %v", err))
		return
	}
	s.monitor = m
}

// plugged follows a device that comes, goes or changes.
func (s *session) plugged(e discover.Event) {
	defer pnp.Guard(s.log, "following what is plugged in", nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := e.Device
	have, redirected := s.found[d.Key]
	if redirected && (e.Kind == discover.Removed || have.node != d.Node) {
		s.log.Info(fmt.Sprintf("%s has gone (%s)", d.Description.Name, have.node))
		s.core.Remove(have.id)
		delete(s.found, d.Key)
		redirected = false
	}
	if e.Kind == discover.Removed || redirected || s.isNamed(d.Node) {
		return
	}
	decision := s.policy.Decide(d)
	if !decision.Redirect {
		s.log.Debug(fmt.Sprintf("%s (%s) is not redirected: %s", d.Description.Name, d.Key, decision.Reason))
		return
	}
	name := fmt.Sprintf("%s (%s)", decision.Description.Name, d.Node)
	// One that may only be read is redirected read-only (C-38).
	if err := d.Access(); err != nil && !watch.Present(d.Node) {
		s.log.Warn(fmt.Sprintf("%s is not redirected: %v", name, err))
		return
	}
	dev, err := newBackend(backend(decision.Backend), d.Node, decision.Description, decision.ReadOnly, s.log)
	var id uint32
	if err == nil {
		id, err = s.core.Add(limit(dev, decision.Handles))
	}
	if err != nil {
		s.log.Warn(fmt.Sprintf("%s is not redirected: %v", name, err))
		return
	}
	s.found[d.Key] = discovered{node: d.Node, id: id}
	s.log.Info(fmt.Sprintf("%s is redirected: %s", name, decision.Reason))
}

// isNamed reports whether an option names the node by a path that is watched.
// s.mu is held.
func (s *session) isNamed(node string) bool {
	if node == "" {
		return false
	}
	for path := range s.byPath {
		if realPath(path) == node {
			return true
		}
	}
	return false
}
