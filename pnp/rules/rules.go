// SPDX-License-Identifier: Apache-2.0

// Package rules decides which of the devices that discovery finds are
// redirected, and how.
//
// The administrator permits, the user chooses. Each speaks in ordered rules, of
// which the first that matches a device counts. What the administrator denies
// stays denied; what the user neither allows nor names is not redirected unless
// something says "auto". docs/rules.md tells it in full.
package rules

import (
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
)

// Settings are what a rule or an option says about the devices that it allows.
// Fields that are zero leave the device as it was found.
type Settings struct {
	Kind *backend.Kind
	// Description holds the fields that replace those found.
	Description pnp.Description
	ReadOnly    bool
	Limits      pnp.DeviceLimits
	// IOControls are what the server may ask the driver; nil if nothing is said.
	IOControls []backend.IOControl
}

// Rule allows or denies the devices that match all of its conditions.
type Rule struct {
	Deny     bool
	Settings Settings
	// Comment is the rule's own explanation, shown where it decides.
	Comment string

	// Source is the file, or the option as it was given.
	Source string
	// Number counts the rules of a file from 1, Line is where it begins;
	// both are 0 for an option.
	Number, Line int
	// Broken is set on the rule that takes the place of a file or an option
	// that cannot be understood: it denies every device that reaches it.
	Broken bool

	file       bool // it comes from a file
	conditions []condition
}

// condition is one thing that a rule asks of a device.
type condition struct {
	key, pattern string
	match        func(d *discover.Device) bool
}

// Matches reports whether d meets all conditions of the rule.
func (r *Rule) Matches(d *discover.Device) bool {
	for _, c := range r.conditions {
		if !c.match(d) {
			return false
		}
	}
	return true
}

// Exact reports whether the rule names a device rather than a kind of them: it
// gives vendor and product, the port, or the node, without a wildcard. Only such a rule
// redirects a device that is otherwise not eligible.
func (r *Rule) Exact() bool {
	exact := r.exact()
	return exact["node"] || exact["port"] || exact["vid"] && exact["pid"]
}

// Names reports whether the rule asks for certain devices, so that its author wants
// to know why one of them is not redirected: it allows a node, a port or a vendor's devices.
func (r *Rule) Names() bool {
	exact := r.exact()
	return !r.Deny && (exact["node"] || exact["port"] || exact["vid"])
}

// exact are the keys of the conditions without a wildcard.
func (r *Rule) exact() map[string]bool {
	keys := make(map[string]bool)
	for _, c := range r.conditions {
		if !strings.ContainsAny(c.pattern, "*?") {
			keys[c.key] = true
		}
	}
	return keys
}

// Text is the rule in the words of the rule: option, settings left out.
func (r *Rule) Text() string {
	words := []string{"allow"}
	if r.Deny {
		words[0] = "deny"
	}
	for _, c := range r.conditions {
		words = append(words, c.key+"="+c.pattern)
	}
	if len(r.conditions) == 0 {
		words = append(words, "everything")
	}
	return strings.Join(words, " ")
}

// parseCondition makes the condition "key is pattern". known is false if there
// is no such key.
func parseCondition(key, pattern string) (c condition, known bool, err error) {
	parse := conditionKeys[key]
	if parse == nil {
		return condition{}, false, nil
	}
	match, err := parse(pattern)
	return condition{key, pattern, match}, true, err
}
