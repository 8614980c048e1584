// SPDX-License-Identifier: Apache-2.0

// Package choose is what the server's user wishes of redirected devices: which to
// present, and as what. The words are those of the client's rules.
package choose

import (
	"errors"
	"fmt"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/rules"
)

// Choices is what the user wishes. The zero value presents every device as what it is.
// Its methods may be called from any goroutine once everything was added.
type Choices struct {
	only, deny []*rules.Rule
	as         []as
}

type as struct {
	matches [2]*rules.Rule // either
	kind    *present.Kind
}

// Keys are the words of rules for what a client tells of its devices.
var Keys = []string{"bus", "vid", "pid", "class", "subclass", "protocol", "interface", "product", "hardware-id"}

// Only leaves out devices that neither this rule nor another one of Only's matches:
// "vid=0403+product=Scale*".
func (c *Choices) Only(rule string) error { return add(&c.only, rule) }

// Deny leaves out the devices that the rule matches, also those of Only.
func (c *Choices) Deny(rule string) error { return add(&c.deny, rule) }

func add(list *[]*rules.Rule, rule string) error {
	r, err := rules.Conditions(rule, Keys...)
	if err != nil {
		return fmt.Errorf("rule %q: %w", rule, err)
	}
	*list = append(*list, r)
	return nil
}

// As has a device presented as another kind: "DEVICE=KIND", where DEVICE is its name or
// one of its hardware ids, with * and ? for any characters. The first that is for a
// device counts.
func (c *Choices) As(wish string, table present.Table) error {
	err := c.addAs(wish, table)
	if err != nil {
		return fmt.Errorf("%q: %w", wish, err)
	}
	return nil
}

func (c *Choices) addAs(wish string, table present.Table) error {
	at := strings.LastIndexByte(wish, '=')
	if at < 0 {
		return errors.New(`it is not DEVICE=KIND, such as "Label printer=stream"`)
	}
	a := as{kind: table.Named(wish[at+1:])}
	if a.kind == nil {
		names := make([]string, 0, len(table))
		for _, k := range table {
			names = append(names, k.Name)
		}
		return fmt.Errorf("%q is not one of %s", wish[at+1:], strings.Join(names, ", "))
	}
	for i, key := range []string{"product", "hardware-id"} {
		r, err := rules.Conditions(key+"="+escape.Replace(wish[:at]), key)
		if err != nil {
			return err
		}
		a.matches[i] = r
	}
	c.as = append(c.as, a)
	return nil
}

// escape keeps what is given from being read as several conditions.
var escape = strings.NewReplacer("%", "%25", "+", "%2B")

// Wanted reports whether to present a device.
func (c *Choices) Wanted(d *pnp.Description) bool {
	if len(c.only)+len(c.deny) == 0 {
		return true
	}
	f := found(d)
	for _, r := range c.deny {
		if r.Matches(f) {
			return false
		}
	}
	for _, r := range c.only {
		if r.Matches(f) {
			return true
		}
	}
	return len(c.only) == 0
}

// Kind returns the kind that a device is to be presented as; nil for the one that serves
// it.
func (c *Choices) Kind(d *pnp.Description) *present.Kind {
	if len(c.as) == 0 {
		return nil
	}
	f := found(d)
	for _, a := range c.as {
		if a.matches[0].Matches(f) || a.matches[1].Matches(f) {
			return a.kind
		}
	}
	return nil
}
