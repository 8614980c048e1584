// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"path/filepath"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
)

// Named is a device that an option names by its kind.
type Named struct {
	// Option is the option as it was given.
	Option string
	Kind   *backend.Kind
	// Path is the option's argument, absolute if it is the path of a node.
	Path string
	// Settings are those of the option; if it is a rule, the rule's own.
	Settings *Settings
}

func (n *Named) String() string { return n.Option }

// isRule reports whether the option is a rule among the user's own.
func (n *Named) isRule() bool { return n.Kind.Rules == backend.Named }

// Unjudged is the decision about a device that no rule can match, because it is not a
// device node.
func (n *Named) Unjudged() Decision {
	out := Decision{
		Redirect: true, Verdict: Redirected, Reason: "option " + n.Option,
		Kind: n.Kind, Description: n.Kind.Describe(n.Path),
	}
	n.Settings.Apply(&out.Description)
	n.contain(&out.Description, nil)
	out.restrict(n.Settings)
	if out.ReadOnly && n.Kind.AlwaysWritable {
		out.Redirect, out.Verdict, out.Reason = false, NoBackend, n.Kind.Name+" cannot be read-only"
	}
	return out
}

// Describe returns the description of a device that describes itself, with what the
// option's settings say.
func (n *Named) Describe(own pnp.Description) pnp.Description {
	if own.Name == "" {
		own.Name = n.Kind.Describe(n.Path).Name
	}
	n.Settings.Apply(&own)
	n.contain(&own, nil)
	return own
}

// contain gives a device the container of its functions, whatever it is redirected
// as. If nothing is known of those, one with capabilities, which are not sent
// without a container, gets one of its own; but without a path there is nothing to
// know the device by tomorrow.
func (n *Named) contain(d *pnp.Description, functions []*discover.Device) {
	switch {
	case d.Container != nil:
	case len(functions) > 0 && functions[0].Description.Container != nil:
		d.Container = functions[0].Description.Container
	case d.Caps != nil && n.Path != "":
		d.Container = pnp.NewContainer(n.Kind.Name + ":" + n.Path)
	}
}

// DecideNamed says what becomes of a named device. node is the real path of its
// node, and functions are what discovery knows about it: all the functions behind
// the node. Without any the device is judged by its node alone.
//
// The user's settings are not judged: a hardware id that the user has given must
// neither match a rule of the administrator's nor escape one.
func (p *Policy) DecideNamed(n *Named, node string, functions []*discover.Device) Decision {
	judged := judge(n, node, functions)
	own := opinion{allow: true, reason: "option " + n.Option}
	users, admins := make([]opinion, len(judged)), make([]opinion, len(judged))
	for i, d := range judged {
		users[i], admins[i] = own, p.admin.of(d)
		if n.isRule() {
			users[i] = p.user.upTo(n, d)
		}
	}

	out := Decision{Kind: n.Kind, Description: n.Kind.Describe(n.Path)}
	if n.isRule() && len(functions) > 0 && !undescribed(functions[0]) {
		out.Description = functions[0].Description
	}
	n.Settings.Apply(&out.Description)
	out.restrict(n.Settings)
	for _, o := range []opinion{p.user.of(judged[0]), admins[0]} {
		if o.rule != nil && o.allow {
			out.Allowed = true
			if s := &o.rule.Settings; s.IOControls != nil {
				out.IOControls = s.IOControls
			}
		}
	}
	if rule := admins[0].rule; rule != nil && n.isRule() {
		rule.Settings.Apply(&out.Description)
		if rule.Settings.Kind != nil {
			out.Kind = rule.Settings.Kind
		}
	}
	n.contain(&out.Description, functions)
	for i := range judged {
		for _, o := range []opinion{users[i], admins[i]} {
			if o.rule != nil {
				out.restrict(&o.rule.Settings)
			}
		}
	}

	if len(functions) > 0 {
		out.split(functions[0])
	}

	end := func(v Verdict, o opinion) Decision {
		out.Verdict, out.Redirect, out.Rule, out.Reason = v, v == Redirected, o.rule, o.reason
		return out
	}
	for _, o := range admins {
		if o.deny {
			out.Admin = true
			return end(Denied, o)
		}
		// Bytes as they are would get around the backend that was permitted.
		if o.rule != nil && !n.isRule() && o.rule.Settings.Kind != nil && o.rule.Settings.Kind != n.Kind {
			out.Admin = true
			o.reason += fmt.Sprintf("; it permits backend %s alone", o.rule.Settings.Kind.Name)
			return end(Denied, o)
		}
	}
	for _, o := range users {
		if o.deny {
			return end(Denied, o)
		}
	}
	return end(Redirected, users[0])
}

// judge returns what the rules are asked about. A function that has a node of its
// own is judged by that and by the named one, as rules may name either.
func judge(n *Named, node string, functions []*discover.Device) []*discover.Device {
	plain := n.Kind.Describe(node)
	if len(functions) == 0 {
		return []*discover.Device{{Node: node, Interface: -1, Description: plain}}
	}
	var judged, again []*discover.Device
	for _, f := range functions {
		d := *f
		if undescribed(f) {
			d.Description = plain
		}
		judged = append(judged, &d)
		if own, err := filepath.EvalSymlinks(d.Node); d.Node != node && (err != nil || own != node) {
			other := d
			other.Node = node
			again = append(again, &other)
		}
	}
	return append(judged, again...)
}

// undescribed reports whether discovery knows no more than that the device is
// there.
func undescribed(d *discover.Device) bool {
	return d.Description.Name == "" && d.Description.HardwareIDs == nil
}

// upTo is what the rules say of d before the one that names n, and then that
// one: it names the device whatever else is behind the node.
func (s *side) upTo(n *Named, d *discover.Device) opinion {
	for _, r := range s.rules {
		if &r.Settings == n.Settings || r.Matches(d) {
			return opinion{allow: !r.Deny, deny: r.Deny, rule: r, reason: r.reason()}
		}
	}
	return opinion{allow: true, reason: "option " + n.Option}
}

// restrict adds the restrictions of s, which hold whichever side gives them.
func (o *Decision) restrict(s *Settings) {
	o.ReadOnly = o.ReadOnly || s.ReadOnly
	o.Limits.Tighten(s.Limits)
}

// MayDeny reports whether any rule could deny the device: the administrator says
// anything at all, or a rule of the user's that denies comes before the option. If so,
// a node that cannot be identified must not be redirected.
func (p *Policy) MayDeny(n *Named) bool {
	if len(p.admin.rules) > 0 || p.admin.fallback != "" {
		return true
	}
	for _, r := range p.user.rules {
		switch {
		case !n.isRule() || &r.Settings == n.Settings:
			return false
		case r.Deny:
			return true
		}
	}
	return false
}
