// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/rules"
)

// Options are what the user asks for.
type Options struct {
	// Help asks for a list of the options.
	Help bool
	// Rules say what is redirected and how; Rules.Named are the devices that
	// are named.
	Rules rules.Options
	// Shares are folders that the Server Service lists.
	Shares []backend.Share
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
	word = strings.TrimLeft(word, " \t") // a blank after a comma
	key, value, _ := strings.Cut(word, ":")
	switch key {
	case "": // FreeRDP 2 passes empty words on
		return nil
	case "help":
		o.Help = true
		return nil
	case "share":
		return ignored(o.share(rules.Unescape(value)))
	}
	if l := limitOf(key); l != nil {
		return ignored(l.parse(&o.Limits, rules.Unescape(value)))
	}
	known, err := o.Rules.Take(word)
	if !known {
		return ignored(o.unknown(word))
	}
	return err
}

// share takes the value of the option share:.
func (o *Options) share(value string) error {
	name, path, _ := strings.Cut(value, "=")
	if name == "" || path == "" {
		return errors.New("it is written share:NAME=PATH")
	}
	path, err := rules.Absolute(path)
	if err == nil {
		o.Shares = append(o.Shares, backend.Share{Name: name, Path: path})
	}
	return err
}

var (
	vidPID = regexp.MustCompile(`^[0-9a-fA-F]{4}:([0-9a-fA-F]{4}|\*)$`)
	isPath = regexp.MustCompile(`^(/|\./|\.\./|~/)`)
)

// unknown suggests what a word that is not an option was probably meant to be.
func (o *Options) unknown(word string) error {
	key, value, hasValue := strings.Cut(word, ":")
	meant := ""
	switch near := rules.Nearest(strings.ToLower(key), o.words()); {
	case vidPID.MatchString(word):
		meant = "usb:" + word
	case isPath.MatchString(word):
		if k := kindOfPath(word, o.Rules.Kinds); k != nil {
			meant = k.Name + ":" + word
		}
	case near != "" && hasValue:
		meant = near + ":" + value
	default:
		meant = near
	}
	if meant == "" {
		return ErrNoOption
	}
	return fmt.Errorf("%w (did you mean %q?)", ErrNoOption, meant)
}

// words returns all options, without their values.
func (o *Options) words() []string {
	words := append(o.Rules.Words(), "help", "share")
	for _, l := range limits {
		words = append(words, l.key)
	}
	return words
}

// kindOfPath guesses the kind of device at a path by its name, without looking at
// it, which could take long; nil if nothing serves it.
func kindOfPath(path string, kinds backend.Table) *backend.Kind {
	if !strings.HasPrefix(path, "/dev/") {
		return kinds.Plain(backend.RegularFile)
	}
	for subsystem, pattern := range map[string]string{"tty": "/dev/tty*", "hidraw": "/dev/hidraw*"} {
		usual, _ := filepath.Match(pattern, path) // the patterns are correct
		if usual || subsystem == "tty" && strings.HasPrefix(path, "/dev/serial/") {
			return kinds.Serving(&discover.Device{Node: path, Subsystem: subsystem, Interface: -1})
		}
	}
	return kinds.Plain(backend.CharDevice)
}

func ignored(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("it is ignored: %w", err)
}
