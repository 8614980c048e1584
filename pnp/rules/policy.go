// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
)

// Verdict is the kind of a decision.
type Verdict string

// The verdicts.
const (
	Redirected  Verdict = "redirected"
	Denied      Verdict = "denied"       // by the administrator or the user
	NoBackend   Verdict = "no-backend"   // it is known, but nothing serves it
	NotEligible Verdict = "not-eligible" // it has to be named exactly
	NotAsked    Verdict = "not-asked"    // nothing asks for it
	NoDevice    Verdict = "no-device"    // no device has the number of its node
)

// Decision is what becomes of a device.
type Decision struct {
	Redirect bool
	Verdict  Verdict
	// Reason is why, for people: it names the rule or the option.
	Reason string
	// Rule is the one that decided; nil if none did.
	Rule *Rule
	// Admin is set if it was the administrator who decided.
	Admin bool

	// Allowed is set if a rule of the user's or the administrator's allows the device,
	// beside the option that names it.
	Allowed bool

	// The rest is how the device is redirected, or would be; Kind is nil if
	// nothing serves it.
	Kind        *backend.Kind
	Description pnp.Description
	// Collections are the descriptions of the devices of its collections, in place of
	// one with that description; nil if they are not devices of their own.
	Collections []pnp.Description
	ReadOnly    bool
	Limits      pnp.DeviceLimits
	IOControls  []backend.IOControl
}

// Policy is what the administrator and the user say together. It does not
// change, and may be used by several goroutines.
type Policy struct {
	kinds       backend.Table
	admin, user side
}

// side is what one of the two says.
type side struct {
	rules []*Rule
	// optionAuto and fileAuto ask for every eligible device.
	optionAuto, fileAuto bool
	// fallback is the file's default: "allow", "deny" or "".
	fallback string
	file     string
}

// opinion is what a side says of one device.
type opinion struct {
	allow, deny bool
	rule        *Rule  // nil if no rule matches
	reason      string // "" without an opinion
}

func (s *side) of(d *discover.Device) opinion {
	for _, r := range s.rules {
		if r.Matches(d) {
			return opinion{allow: !r.Deny, deny: r.Deny, rule: r, reason: r.reason()}
		}
	}
	switch {
	case s.optionAuto:
		return opinion{allow: true, reason: "option auto"}
	case s.fallback == "deny":
		return opinion{deny: true, reason: fmt.Sprintf(`no rule of %s allows it, and its default is "deny"`, s.file)}
	case s.fallback == "allow":
		return opinion{allow: true, reason: fmt.Sprintf(`no rule of %s denies it, and its default is "allow"`, s.file)}
	}
	return opinion{}
}

// reason names the rule, for a decision.
func (r *Rule) reason() string {
	var text string
	switch {
	case r.Broken && r.file:
		text = r.Source + " has errors, so it denies every device"
	case r.Broken:
		text = "option " + r.Source + " cannot be understood, so it denies every device"
	case r.file:
		text = fmt.Sprintf("rule %d of %s (line %d): %s", r.Number, r.Source, r.Line, r.Text())
	default:
		text = "option " + r.Source
	}
	if r.Comment != "" {
		text += " (" + r.Comment + ")"
	}
	return text
}

// exact reports whether the opinion rests on a rule that names the device.
func (o opinion) exact() bool { return o.rule != nil && o.rule.Exact() }

// Decide says what becomes of the device.
func (p *Policy) Decide(d *discover.Device) Decision {
	admin, user := p.admin.of(d), p.user.of(d)
	if !user.allow && !user.deny && p.user.fileAuto {
		user = opinion{allow: true, reason: "auto in " + p.user.file}
	}
	out := p.describe(d, admin, user)
	excluded := p.excluded(d)
	end := func(v Verdict, r *Rule, reason string) Decision {
		out.Verdict, out.Redirect, out.Rule, out.Reason = v, v == Redirected, r, reason
		return out
	}
	switch {
	case admin.deny:
		out.Admin = true
		return end(Denied, admin.rule, admin.reason)
	case user.deny:
		return end(Denied, user.rule, user.reason)
	case out.Kind == nil && excluded != "":
		return end(NoBackend, nil, excluded)
	case out.Kind == nil:
		return end(NoBackend, nil, "no backend yet")
	case d.Node == "":
		return end(NoBackend, nil, "it has no device node")
	}
	exact := user.exact() || p.admin.fileAuto && admin.exact()
	switch {
	case excluded != "" && !exact:
		return end(NotEligible, nil, "not eligible: "+excluded)
	case user.allow:
		return end(Redirected, user.rule, user.reason)
	case p.admin.fileAuto:
		reason := "auto in " + p.admin.file
		if admin.rule != nil {
			reason = admin.reason
		}
		out.Admin = true
		return end(Redirected, admin.rule, reason)
	}
	return end(NotAsked, nil, "nothing asks for it")
}

// Named reports whether a rule or an option of the user's names the device.
func (p *Policy) Named(d *discover.Device) bool {
	return slices.ContainsFunc(p.user.rules, func(r *Rule) bool { return r.Names() && r.Matches(d) })
}

// excluded says why the device is not eligible; "" if it is. A device that is
// excluded only because nothing serves it is eligible for a kind that does.
func (p *Policy) excluded(d *discover.Device) string {
	if d.Unserved() && p.kinds.Serving(d) != nil {
		return ""
	}
	return d.Excluded
}

// Eligible reports whether the device is redirected if something asks for it,
// without being named exactly.
func (p *Policy) Eligible(d *discover.Device) bool {
	return p.kinds.Serving(d) != nil && p.excluded(d) == "" && d.Node != ""
}

// Advice says what the user can do about a device that is not redirected by the
// decision o; "" if nothing.
func (p *Policy) Advice(d *discover.Device, o *Decision) string {
	const allow = "rule:allow+node="
	node := allow + d.Node
	if o.Kind != nil {
		if option, ok := o.Kind.Option(d); ok {
			node = option
		}
	}
	plain := p.kinds.Plain(backend.CharDevice)
	usb := ""
	if d.Bus == "usb" {
		usb = fmt.Sprintf("usb:%04x:%04x", d.VendorID, d.ProductID)
	}
	broken := o.Rule != nil && o.Rule.Broken
	switch {
	case o.Verdict == Denied && o.Admin && broken:
		return "the administrator of this machine has to correct it; pnpdr check says what is wrong"
	case o.Verdict == Denied && o.Admin:
		return "only the administrator of this machine can change that"
	case o.Verdict == Denied && broken:
		return "correct it; pnpdr check says what is wrong with a file"
	case o.Verdict == Denied:
		return "change the rule, or put one that allows the device before it"
	case o.Verdict == NoBackend && (d.Excluded != "" && !d.Unserved() || d.Node == "" || d.Subsystem == "usb"):
		return ""
	case o.Verdict == NoBackend && plain != nil && plain.Rules == backend.Chosen:
		return "to pass its bytes as they are: " + allow + d.Node + "+backend=" + plain.Name
	case o.Verdict == NotEligible && usb != "":
		return "to redirect it anyway, name it: " + node + ", or " + usb + " for everything in it"
	case o.Verdict == NotEligible:
		return "to redirect it anyway, name it: " + node
	case o.Verdict == NotAsked && usb != "":
		return "ask for it: " + usb + ", or auto for everything that is eligible"
	case o.Verdict == NotAsked:
		return "ask for it: " + node + ", or auto for everything that is eligible"
	}
	return ""
}

// describe applies the settings of both sides: the administrator's win, and
// restrictions of either side hold.
func (p *Policy) describe(d *discover.Device, admin, user opinion) Decision {
	out := Decision{Kind: p.kinds.Serving(d), Description: d.Description}
	for _, o := range []opinion{user, admin} {
		if o.rule == nil { // a rule that denies sets nothing
			continue
		}
		s := &o.rule.Settings
		s.Apply(&out.Description)
		if s.Kind != nil {
			out.Kind = s.Kind
		}
		if s.IOControls != nil {
			out.IOControls = s.IOControls
		}
		out.restrict(s)
	}
	out.split(d)
	return out
}

// Devices returns the descriptions of the devices that it is redirected as.
func (o *Decision) Devices() []pnp.Description {
	if o.Collections != nil {
		return o.Collections
	}
	return []pnp.Description{o.Description}
}

// split makes a device of each collection that is one on Windows. All have what was
// decided for the whole, but for the ids, unless a setting has given them, and a number
// behind the name.
func (o *Decision) split(d *discover.Device) {
	if o.Kind == nil || !o.Kind.Collections {
		return
	}
	for n, ids := range d.Collections {
		c := o.Description
		c.Name = fmt.Sprintf("%s (collection %d)", c.Name, n+1)
		if slices.Equal(c.HardwareIDs, d.Description.HardwareIDs) {
			c.HardwareIDs = ids
		}
		o.Collections = append(o.Collections, c)
	}
}

// Idle reports whether nothing can be redirected, so that there is no need to look
// for devices.
func (p *Policy) Idle() bool {
	if p.user.optionAuto || p.user.fileAuto || p.admin.fileAuto || p.user.fallback == "allow" {
		return false
	}
	for _, r := range p.user.rules {
		if !r.Deny {
			return false
		}
	}
	return true
}
