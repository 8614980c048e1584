// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/rules"
)

// Options are what the user asks for.
type Options struct {
	// Help asks for a list of the options.
	Help bool
	// Rules say what is redirected and how; Rules.Named are the devices that
	// are named.
	Rules rules.Options
	// Limits are those of the session.
	Limits pnp.SessionLimits
	// Problems are the options that could not be understood.
	Problems []Problem
}

// Problem is an option that could not be understood. Err says why, and what
// becomes of it.
type Problem struct {
	Option string
	Err    error
}

func (p Problem) String() string { return fmt.Sprintf("option %q: %v", p.Option, p.Err) }

// ErrNoOption is wrapped by the problem of a word that is not an option.
var ErrNoOption = errors.New("there is no such option")

// ParseOptions reads the words of /dvc:pnpdr behind the plugin's name. What
// cannot be understood is a problem; the rest counts.
func ParseOptions(words []string, kinds backend.Table) *Options {
	o := &Options{Rules: rules.Options{Kinds: kinds}, Limits: pnp.DefaultLimits()}
	for _, word := range words {
		if err := o.take(word); err != nil {
			o.Problems = append(o.Problems, Problem{word, err})
		}
	}
	return o
}

func (o *Options) take(word string) error {
	key, value, _ := strings.Cut(word, ":")
	switch key {
	case "": // FreeRDP 2 passes empty words on
		return nil
	case "help":
		o.Help = true
		return nil
	}
	if l := limitOf(key); l != nil {
		return ignored(l.parse(&o.Limits, rules.Unescape(value)))
	}
	known, err := o.Rules.Take(word)
	if !known {
		return ignored(ErrNoOption)
	}
	return err
}

func ignored(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("it is ignored: %w", err)
}
