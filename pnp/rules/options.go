// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"freerdp-pnpdr/pnp/backend"
)

// Options are what the user's command line says of devices.
type Options struct {
	// Kinds are what options name devices by, and what rules choose among.
	Kinds backend.Table
	// Auto asks for every eligible device.
	Auto bool
	// Config is the user's file; "" for the usual one.
	Config string
	// Rules are the options that are rules, in order.
	Rules []*Rule
	// Named are the devices that options name by their kind, in order.
	Named []*Named

	current *Settings // of the device that qualifiers belong to
	// cut is set after a rule: option, which the next word may be a part of.
	cut bool
}

var (
	unescape      = strings.NewReplacer("%2C", ",", "%2c", ",", "%25", "%")
	unescapeValue = strings.NewReplacer("%2C", ",", "%2c", ",", "%2B", "+", "%2b", "+", "%25", "%")
)

// Unescape is how the value of an option is read: FreeRDP splits options at
// commas, so that one in a value is written %2C.
func Unescape(value string) string { return unescape.Replace(value) }

// begin makes s the settings that the qualifiers which follow (name:, ro and so
// on) belong to; nil if they belong to nothing.
func (o *Options) begin(s *Settings) { o.current, o.cut = s, false }

// Take reads one option. known is false if it does not belong to this package. An
// error says what the option does instead, for a line that begins with its text.
// A word that does not belong to this package may be the end of a rule that a comma cut
// off, so the caller takes its own words first.
func (o *Options) Take(word string) (known bool, err error) {
	key, value, hasValue := strings.Cut(word, ":")
	if k := o.Kinds.Named(key); k != nil {
		return true, o.name(k, word, value, hasValue)
	}
	switch key {
	case "auto":
		o.begin(nil)
		if hasValue {
			// Less is redirected, not more.
			return true, ignored(fmt.Errorf("it takes no value"))
		}
		o.Auto = true
		return true, nil
	case "config":
		value, err := Absolute(Unescape(value))
		if !hasValue || word == "config:" {
			err = fmt.Errorf("the path is missing, as in config:/home/me/pnpdr.toml")
		}
		if err != nil {
			return true, o.deny(word, err)
		}
		o.Config = value
		return true, nil
	case "usb", "rule":
		o.begin(nil)
		o.cut = key == "rule"
		r := &Rule{Source: word}
		read := r.usb
		if o.cut {
			read = func(value string) error { return r.parse(value, o.Kinds) }
		}
		if err := read(value); err != nil {
			return true, o.deny(word, err)
		}
		o.add(r)
		if !r.Deny {
			o.current = &r.Settings
		}
		return true, nil
	}
	if part, _, ok := strings.Cut(word, "="); ok && isRuleKey(part) {
		o.breakLast(word)
		return true, denies(fmt.Errorf("it looks like the end of a rule that a comma cut off; + joins the parts, as in rule:deny+vid=046d+pid=*"))
	}
	set := qualifiers[key]
	switch {
	case set == nil && o.cut && word != "":
		o.breakLast(word)
		o.cut = true // there may be more of it
		return true, denies(fmt.Errorf("there is no such option; if it is the end of the rule before it, the comma in between is written %%2C"))
	case set == nil:
		return false, nil
	}
	o.cut = false
	if o.current == nil {
		return true, ignored(fmt.Errorf("there is no device before it for it to describe"))
	}
	// On a copy, so that what is ignored has no effect at all.
	changed := *o.current
	if err := set(&changed, Unescape(value)); err != nil {
		return true, ignored(err)
	}
	*o.current = changed
	return true, nil
}

// Asked returns the options that name devices which have to be found, and so are not
// among Named.
func (o *Options) Asked() []*Rule {
	named := make(map[*Settings]bool)
	for _, n := range o.Named {
		named[n.Settings] = true
	}
	var asked []*Rule
	for _, r := range o.Rules {
		if r.Names() && !named[&r.Settings] {
			asked = append(asked, r)
		}
	}
	return asked
}

// Words returns all options that Take reads, without their values.
func (o *Options) Words() []string {
	words := append([]string{"auto", "config", "rule", "usb"}, keys(qualifiers)...)
	for _, k := range o.Kinds {
		words = append(words, k.Name)
	}
	return words
}

// Absolute returns the absolute path for the value of an option. No shell expands a
// ~ in it.
func Absolute(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(home, rest)
	}
	return filepath.Abs(path)
}

// name takes a device that an option names by its kind. What follows an option
// that is left out must not be taken for the device before it.
func (o *Options) name(k *backend.Kind, word, value string, hasValue bool) error {
	o.begin(nil)
	if k.ByPort {
		return o.port(k, word, value)
	}
	n := &Named{Option: word, Kind: k}
	err := n.locate(Unescape(value), hasValue)
	if !n.isRule() {
		if err != nil {
			return ignored(err)
		}
		n.Settings = new(Settings)
	} else {
		r := &Rule{Source: word, Settings: Settings{Kind: k}}
		if err == nil {
			err = r.require("node", n.Path)
		}
		if err != nil {
			return o.deny(word, err)
		}
		o.add(r)
		n.Settings = &r.Settings
	}
	o.Named = append(o.Named, n)
	o.current = n.Settings
	return nil
}

// port takes a device that an option names by its USB port.
func (o *Options) port(k *backend.Kind, word, value string) error {
	r := &Rule{Source: word, Settings: Settings{Kind: k}}
	err := fmt.Errorf("the port is missing, as in %s:1-2 (pnpdr explain shows it)", k.Name)
	if value != "" {
		err = r.require("bus", "usb", "port", Unescape(value))
	}
	if err == nil && !r.exact()["port"] {
		err = fmt.Errorf("%q does not name a single port", value)
	}
	if err != nil {
		return o.deny(word, err)
	}
	o.add(r)
	o.current = &r.Settings
	return nil
}

// locate completes the path of a device.
func (n *Named) locate(value string, hasValue bool) (err error) {
	switch n.Path = value; {
	case n.Kind.Argument == "" && hasValue && len(n.Kind.Values) > 0:
		if !slices.Contains(n.Kind.Values, value) {
			return fmt.Errorf("%q is not %s%s", value, strings.Join(n.Kind.Values, " or "), didYouMean(value, n.Kind.Values))
		}
		return nil
	case n.Kind.Argument == "" && hasValue:
		return fmt.Errorf("it takes no value")
	case n.Kind.Argument == "":
		return nil
	case value == "":
		return fmt.Errorf("the %s is missing, as in %s:/dev/NAME", strings.ToLower(n.Kind.Argument), n.Kind.Name)
	case n.isRule() && strings.ContainsAny(value, "*?"):
		return fmt.Errorf("%q does not name a single device; a pattern is written rule:allow+node=%s", value, value)
	case n.Kind.Nodes != 0:
		n.Path, err = Absolute(value)
	}
	return err
}

func (o *Options) add(r *Rule) { o.Rules = append(o.Rules, r) }

// deny takes an option that cannot be understood.
func (o *Options) deny(word string, err error) error {
	o.add(&Rule{Deny: true, Broken: true, Source: word})
	return denies(err)
}

// breakLast makes the last rule one that cannot be understood. If there is none,
// word, which is a part of it, takes its place.
func (o *Options) breakLast(word string) {
	o.begin(nil)
	n := len(o.Rules)
	if n == 0 {
		o.add(&Rule{Deny: true, Broken: true, Source: word})
		return
	}
	o.Rules[n-1] = &Rule{Deny: true, Broken: true, Source: o.Rules[n-1].Source}
}

func ignored(err error) error { return fmt.Errorf("it is ignored: %w", err) }

func denies(err error) error {
	return fmt.Errorf("%w; until it is corrected, it denies every device that no earlier option has decided on", err)
}

// usb reads the value of a usb: option.
func (r *Rule) usb(value string) error {
	vid, pid, ok := strings.Cut(value, ":")
	if !ok {
		return fmt.Errorf("vendor and product are missing, as in usb:0403:6001 or usb:0403:*")
	}
	return r.require("bus", "usb", "vid", vid, "pid", pid)
}

// require adds conditions, given as keys and patterns in turn.
func (r *Rule) require(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		c, _, err := parseCondition(pairs[i], pairs[i+1])
		if err != nil {
			return fmt.Errorf("%s: %w", pairs[i], err)
		}
		r.conditions = append(r.conditions, c)
	}
	return nil
}

// parse reads the value of a rule: option: allow or deny, then key=value and
// flags, separated by plus signs.
func (r *Rule) parse(value string, kinds backend.Table) error {
	words := strings.Split(value, "+")
	if err := r.setAction(words[0]); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, word := range words[1:] {
		key, value, hasValue := strings.Cut(word, "=")
		if key == "ro" {
			key = "read-only"
		}
		if seen[key] {
			return fmt.Errorf("%q is given twice", key)
		}
		seen[key] = true
		if !hasValue && (key == "read-only" || key == "optional") {
			value, hasValue = flag, true
		}
		if !hasValue && isRuleKey(key) {
			return fmt.Errorf("%q needs a value, as in %s=VALUE", key, key)
		}
		if err := r.set(key, unescapeValue.Replace(value), kinds); err != nil {
			return err
		}
	}
	return r.check()
}

func (r *Rule) setAction(word string) error {
	switch word {
	case "allow", "deny":
		r.Deny = word == "deny"
		return nil
	}
	return fmt.Errorf("%q is neither allow nor deny%s", word, didYouMean(word, []string{"allow", "deny"}))
}

// set takes one condition or setting.
func (r *Rule) set(key, value string, kinds backend.Table) error {
	if c, known, err := parseCondition(key, value); known {
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		r.conditions = append(r.conditions, c)
		return nil
	}
	if put := ruleSetting(key, kinds); put != nil {
		if err := put(&r.Settings, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
	return fmt.Errorf("there is no %q%s", key, didYouMean(key, ruleKeys()))
}

// check refuses what only an allowing rule can say.
func (r *Rule) check() error {
	if !r.Deny {
		return nil
	}
	s := &r.Settings
	type given struct {
		key string
		set bool
	}
	settings := []given{
		{"backend", s.Kind != nil},
		{"name", s.Description.Name != ""},
		{"read-only", s.ReadOnly},
		{"optional", s.Description.Optional},
		{"iocontrols", s.IOControls != nil},
	}
	for _, limit := range limitSettings {
		settings = append(settings, given{limit.key, limit.get(&s.Limits) != 0})
	}
	for _, setting := range settings {
		if setting.set {
			return fmt.Errorf("a rule that denies has no use for %q", setting.key)
		}
	}
	return nil
}

func isRuleKey(key string) bool { return conditionKeys[key] != nil || ruleSetting(key, nil) != nil }

// ruleKeys are all words of a rule: option behind allow or deny.
func ruleKeys() []string {
	return append(append(keys(conditionKeys), "backend"), keys(ruleSettings)...)
}
