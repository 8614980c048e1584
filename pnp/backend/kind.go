// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"path/filepath"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
)

// Kind is a kind of device: a row of the table that options, help, completion,
// rules, advice and the lister use.
type Kind struct {
	// Name is the name of the option, and a value of the setting backend in a
	// rule.
	Name string
	// Argument names the option's argument, for example "PATH"; "" if it takes
	// none.
	Argument string
	// Values are what an option without an argument may take all the same; the
	// source has it for a path.
	Values []string
	// ByPort is set if the argument is the USB port that the device is at, instead of
	// a path: "1-2.1". Such a device is always found by discovery.
	ByPort bool
	// Help says in a few words what the option redirects.
	Help string
	// Nodes are the types of nodes that the argument may lead to. The argument of
	// a kind without any is not a node: nothing is watched, and no rule is
	// asked unless Judged is set.
	Nodes Nodes
	// Judged is set if the administrator's rules are asked about a kind without
	// nodes, by its description.
	Judged bool
	// Subsystem is the one that the nodes belong to in sysfs; "" for any. Nodes that
	// sysfs does not have, such as pseudo terminals, are not held to it.
	Subsystem string
	// Rules says what rules may do with the kind.
	Rules Rules
	// AlwaysWritable is set if a device of the kind cannot be read-only: one that
	// should be is not redirected.
	AlwaysWritable bool
	// Collections is set if each collection of a HID device that Windows makes a device
	// of is one here, too: Source.Collection says which one New makes.
	Collections bool
	// Description describes a device that discovery has not found. If it has no
	// name, the device has the name of its node.
	Description pnp.Description
	// Serves reports whether a device that discovery has found is of this kind.
	// It is nil for a kind that discovery never finds.
	Serves func(*discover.Device) bool
	// New makes the device. It does not block: the node is looked at when the
	// device is opened.
	New func(Source) (pnp.Device, error)
	// Attend takes the place of New where devices come and go by themselves, such as
	// those of another process. It runs while the path leads to the node that was
	// judged, until ctx is done: it calls come for each device, and gone when that has
	// ended. If come fails, the device is not redirected. Each device describes itself
	// with Source.Describe.
	Attend func(ctx context.Context, src Source, come func(pnp.Device) (gone func(), err error)) error
}

// Constructor converts a backend's constructor to the type of Kind.New.
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
	// Named is a kind that a rule can choose. Its option is itself a rule of the
	// user, rule:allow+node=PATH or +port=PORT with this backend, and discovery
	// describes the device.
	Named
)

// Usage is the option as help and documents show it: "serial:PATH", "srvsvc[:read-only]".
func (k *Kind) Usage() string {
	switch {
	case k.Argument != "":
		return k.Name + ":" + k.Argument
	case len(k.Values) > 0:
		return k.Name + "[:" + strings.Join(k.Values, "|") + "]"
	}
	return k.Name
}

// Option returns the option that names a device which discovery has found, if the kind has
// one for it.
func (k *Kind) Option(d *discover.Device) (option string, ok bool) {
	argument := d.Node
	if k.ByPort {
		argument = d.Port
	}
	return k.Name + ":" + argument, k.Rules == Named && argument != ""
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

// Table is a table of kinds with different names. The first kind that serves a device
// is used. A table does not change.
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

// Serving returns the kind that serves a device that discovery has found; nil if none
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

// Choices returns the names of the kinds that a rule can choose.
func (t Table) Choices() []string {
	var names []string
	for _, k := range t {
		if k.Rules != NotChosen {
			names = append(names, k.Name)
		}
	}
	return names
}
