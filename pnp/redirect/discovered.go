// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/rules"
)

// discovered is a device that discovery has found and that is redirected.
type discovered struct {
	path   string
	node   devnode.ID
	as     rules.Decision
	device uint32 // id in the session
}

// discover follows what is plugged in.
func (s *session) discover() {
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
	d := e.Device
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Kind != discover.Removed {
		// A change can be what a rule speaks of: it is judged again.
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
	if _, redirected := s.found[d.Key]; redirected {
		s.log.Info(fmt.Sprintf("%s (%s) has gone", d.Description.Name, d.Node))
		s.drop(d.Key)
		s.fill()
	}
}

// fill redirects of those that there was no room for as many as there is room for
// now. s.mu is held.
func (s *session) fill() {
	for key := range s.excess {
		delete(s.excess, key)
		if s.judge(s.known[key]); s.excess[key] {
			return
		}
	}
}

// judge redirects a device, or not any more, as the rules say. s.mu is held.
func (s *session) judge(d *discover.Device) {
	have, redirected := s.found[d.Key]
	name := fmt.Sprintf("%s (%s)", d.Description.Name, d.Node)
	decision := s.policy.Decide(d)
	node, err := devnode.Identify(d.Node)
	unchanged := have.path == d.Node && have.node == node && sameRedirection(&have.as, &decision)
	wanted := decision.Redirect && !s.isNamed(d.Node)
	if redirected && (!wanted || !unchanged) {
		s.log.Info(fmt.Sprintf("%s is not redirected any more as it was: %s", name, decision.Reason))
		s.drop(d.Key)
		redirected = false
	}
	if redirected || !wanted {
		s.log.Debug(fmt.Sprintf("%s (%s): %s", d.Description.Name, d.Key, decision.Reason))
		return
	}
	if err == nil {
		err = d.Access()
	}
	var id uint32
	if err == nil {
		id, err = s.redirect(backend.Source{Path: d.Node, Found: d, Verify: same(node, nil)}, &decision)
	}
	switch {
	case errors.Is(err, client.ErrTooMany):
		s.excess[d.Key] = true
	case errors.Is(err, fs.ErrNotExist): // it is going; the message is on its way
		s.log.Debug(fmt.Sprintf("%s is not redirected: %v", name, err))
		return
	}
	if err != nil {
		s.log.Warn(fmt.Sprintf("%s is not redirected: %v", name, err))
		return
	}
	delete(s.excess, d.Key)
	s.found[d.Key] = discovered{path: d.Node, node: node, as: decision, device: id}
	s.log.Info(fmt.Sprintf("%s (%s) is redirected: %s", decision.Description.Name, d.Node, decision.Reason))
}

// sameRedirection reports whether a device is redirected alike by either
// decision, whatever the reason.
func sameRedirection(a, b *rules.Decision) bool {
	return a.Kind == b.Kind && a.ReadOnly == b.ReadOnly && a.Limits == b.Limits &&
		reflect.DeepEqual(a.Description, b.Description)
}

// drop takes a discovered device out of the session. s.mu is held.
func (s *session) drop(key string) {
	s.core.Remove(s.found[key].device)
	delete(s.found, key)
}

// isNamed reports whether an option names the node by a path that leads to it
// now. s.mu is held.
func (s *session) isNamed(node string) bool {
	for _, list := range s.byPath {
		for _, n := range list {
			if node != "" && n.real == node {
				return true
			}
		}
	}
	return false
}
