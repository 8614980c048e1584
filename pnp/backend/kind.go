// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"path/filepath"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
)

// Kind is a kind of device: a row of the table from which options, help,
// completion, rules, advice and the lister are derived.
type Kind struct {
	// Name is the word of the option, and of the setting backend in a rule.
	Name string
	// Argument is what the option takes, as "PATH"; "" for nothing.
	Argument string
	// Help says what the option redirects, for people.
	Help string
	// Nodes are the nodes that the argument may lead to. A kind without any
	// takes its argument as it is: no node is watched, and no rule is asked.
	Nodes Nodes
	// Rules says what rules may do with the kind.
	Rules Rules
	// Description is what the server is told about a device if nothing else is
	// known about it. Without a name, the device has that of its node.
	Description pnp.Description
	// Serves is the classifier: it reports whether a device that discovery has
	// found is of this kind. It is nil for a kind that is never found.
	Serves func(*discover.Device) bool
	// New makes the device. It does not block: the node is looked at when the
	// device is opened.
	New func(Source) (pnp.Device, error)
}

// Constructor makes a backend's constructor one that a row can have.
func Constructor[D pnp.Device](new func(Source) (D, error)) func(Source) (pnp.Device, error) {
	return func(src Source) (pnp.Device, error) {
		d, err := new(src)
		if err != nil {
			return nil, err // not an interface that holds a nil pointer
		}
		return d, nil
	}
}

// Rules says what rules may do with a kind.
type Rules uint8

const (
	// NotChosen is a kind that no rule can choose.
	NotChosen Rules = iota
	// Chosen is a kind that a rule can choose by its setting backend.
	Chosen
	// Named is a kind that a rule can choose, and whose option is itself a
	// rule of the user: rule:allow+node=PATH, with this backend. What it
	// names is described as discovery finds it.
	Named
)

// Usage is the option as help and documents show it: "serial:PATH".
func (k *Kind) Usage() string {
	if k.Argument == "" {
		return k.Name
	}
	return k.Name + ":" + k.Argument
}

// Describe returns the description of a device if only the path of its node is
// known.
func (k *Kind) Describe(path string) pnp.Description {
	d := k.Description
	if d.Name == "" {
		d.Name = filepath.Base(path)
	}
	return d
}

// Table is a table of kinds, each with a name of its own. The first that serves
// a device is the one that does. It does not change.
type Table []*Kind

// Named returns the kind with that name; nil if there is none.
func (t Table) Named(name string) *Kind {
	for _, k := range t {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// Serving returns the kind that serves a device which was found; nil if none
// does.
func (t Table) Serving(d *discover.Device) *Kind {
	for _, k := range t {
		if k.Serves != nil && k.Serves(d) {
			return k
		}
	}
	return nil
}

// Plain returns the kind that serves any node of the given types, whatever
// device is behind it; nil if none does.
func (t Table) Plain(n Nodes) *Kind {
	for _, k := range t {
		if k.Rules != Named && k.Nodes&n != 0 {
			return k
		}
	}
	return nil
}

// Choices are the names of the kinds that a rule can choose.
func (t Table) Choices() []string {
	var names []string
	for _, k := range t {
		if k.Rules != NotChosen {
			names = append(names, k.Name)
		}
	}
	return names
}
