// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/rules"
)

// NotPluggedIn is why an option that names devices which have to be found redirects none.
const NotPluggedIn = "it is not plugged in; it will be redirected when it is"

// summary says what is redirected now, and what the user asked for and does not get.
func (s *Session) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var redirected, not []string
	refuse := func(what string, why any) { not = append(not, fmt.Sprintf("%s (%v)", what, why)) }
	for _, n := range s.named {
		switch {
		case len(n.ids) > 0:
			redirected = append(redirected, n.Option+several(n.ids))
		case n.why != nil:
			refuse(n.Option, n.why)
		default:
			refuse(n.Option, "its path cannot be watched; see the log")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.known)) {
		if f, ok := s.found[key]; ok {
			redirected = append(redirected, called(f.as.Description.Name, s.known[key])+several(f.ids))
		} else if why := s.refused[key]; why != nil {
			refuse(called(s.known[key].Description.Name, s.known[key]), why)
		}
	}
	for _, r := range s.asked {
		if !s.matched(r) {
			refuse(r.Source, NotPluggedIn)
		}
	}
	text := "redirecting " + strings.Join(redirected, ", ")
	switch {
	case len(redirected) > 0:
	case len(not) > 0:
		text = "nothing is redirected"
	case s.rulesKnown() && !s.policy.Idle():
		return "nothing is redirected: no device that is there is eligible and allowed (pnpdr list --all shows them)"
	default:
		return "nothing is redirected; name devices as in /dvc:pnpdr,loopback,char:/dev/ttyUSB0 (/dvc:pnpdr,help lists the options)"
	}
	if len(not) > 0 {
		text += "; not redirected: " + strings.Join(not, ", ")
	}
	return text
}

// matched reports whether a rule matches a device that is plugged in. s.mu is held.
func (s *Session) matched(r *rules.Rule) bool {
	for _, d := range s.known {
		if r.Matches(d) {
			return true
		}
	}
	return false
}

// called is a found device's name, and its node to tell it from others of that name.
func called(name string, d *discover.Device) string {
	if d.Node == "" {
		return name
	}
	return name + " at " + d.Node
}

// several says how many devices a node is if there is one for each of its collections.
func several(ids []uint32) string {
	if len(ids) < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d collections)", len(ids))
}
