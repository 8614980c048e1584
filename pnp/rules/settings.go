// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

// flag is the value of a setting that is given without one.
const flag = "true"

// setting takes the value of one setting.
type setting func(s *Settings, value string) error

// ruleSetting returns how the setting of a rule is read, in a file and in a rule:
// option; nil if there is no such setting.
func ruleSetting(key string, kinds backend.Table) setting {
	if key != "backend" {
		return ruleSettings[key]
	}
	return func(s *Settings, value string) error {
		choices := kinds.Choices()
		if !slices.Contains(choices, value) {
			return fmt.Errorf("%q is not one of %s%s", value, strings.Join(choices, ", "), didYouMean(value, choices))
		}
		s.Kind = kinds.Named(value)
		return nil
	}
}

// ruleSettings are the settings that are the same whatever kinds there are.
var ruleSettings = withLimits(map[string]setting{
	"name": func(s *Settings, value string) error {
		s.Description.Name = value
		return checkText(value)
	},
	"read-only": func(s *Settings, value string) (err error) {
		s.ReadOnly, err = boolean(value)
		return err
	},
	"optional": func(s *Settings, value string) (err error) {
		s.Description.Optional, err = boolean(value)
		return err
	},
})

func boolean(value string) (bool, error) {
	if value != "true" && value != "false" {
		return false, fmt.Errorf("%q is neither true nor false", value)
	}
	return value == "true", nil
}

// qualifiers are the options that describe the device named before them.
var qualifiers = withLimits(map[string]setting{
	"name": ruleSettings["name"],
	"hwid": func(s *Settings, value string) (err error) {
		s.Description.HardwareIDs, err = ids(value)
		return err
	},
	"compat": func(s *Settings, value string) (err error) {
		s.Description.CompatibleIDs, err = ids(value)
		return err
	},
	"guid": func(s *Settings, value string) error {
		var guids []pnp.GUID
		for _, text := range strings.Split(value, "+") {
			g, err := pnp.ParseGUID(text)
			if err != nil {
				return err
			}
			guids = append(guids, g)
		}
		s.Description.Interfaces = guids
		return nil
	},
	"container": func(s *Settings, value string) error {
		g, err := pnp.ParseGUID(value)
		if err != nil {
			return err
		}
		if g == pnp.ComputerContainer {
			return fmt.Errorf("%v is the computer's own; give the device another", g)
		}
		s.Description.Container = &g
		return nil
	},
	"caps": func(s *Settings, value string) error {
		var caps pnp.DeviceCaps
		for _, word := range strings.Split(value, "+") {
			bit, ok := pnp.ParseDeviceCap(word)
			if !ok {
				names := pnp.DeviceCapNames()
				return fmt.Errorf("%q is not one of %s%s", word, strings.Join(names, ", "), didYouMean(word, names))
			}
			caps |= bit
		}
		s.Description.Caps = &caps
		return nil
	},
	"optional": func(s *Settings, value string) (err error) {
		s.Description.Optional, err = switched(value)
		return err
	},
	"ro": func(s *Settings, value string) (err error) {
		s.ReadOnly, err = switched(value)
		return err
	},
})

// switched reads the value of an option that needs none.
func switched(value string) (bool, error) {
	switch value {
	case "", "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no; leave it out", value)
}

func ids(value string) ([]string, error) {
	list := strings.Split(value, "+")
	for _, id := range list {
		if id == "" {
			return nil, fmt.Errorf("an id is empty")
		}
	}
	return list, nil
}

// Apply replaces in d what the settings say otherwise.
func (s *Settings) Apply(d *pnp.Description) {
	over := &s.Description
	if over.Name != "" {
		d.Name = over.Name
	}
	if over.HardwareIDs != nil {
		d.HardwareIDs = over.HardwareIDs
	}
	if over.CompatibleIDs != nil {
		d.CompatibleIDs = over.CompatibleIDs
	}
	if over.Interfaces != nil {
		d.Interfaces = over.Interfaces
	}
	if over.Container != nil {
		d.Container = over.Container
	}
	if over.Caps != nil {
		d.Caps = over.Caps
	}
	d.Optional = d.Optional || over.Optional
}
