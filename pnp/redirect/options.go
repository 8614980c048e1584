// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/rules"
)

// usage returns what the option help prints.
func usage() []string {
	lines := []string{
		"/dvc:pnpdr,OPTION[,OPTION]... redirects Plug and Play devices. A comma in a value is written %2C, a percent sign before 2C or 25 is written %25.",
		"Devices by name:",
		"  loopback              a device made of memory, to check a set-up without hardware",
		"  file:PATH             a regular file or block image, random access",
		"  char:PATH             a character device node, a stream",
	}
	lines = append(lines, rules.Usage...)
	return append(lines,
		"Of the device before it:",
		"  name:TEXT             friendly name",
		"  hwid:ID[+ID...]       hardware ids, by which a Windows server finds the driver",
		"  compat:ID[+ID...]     compatible ids",
		"  guid:GUID[+GUID...]   device interface classes",
		"  container:GUID        shared by the functions of one physical device",
		"  caps:CAP[+CAP...]     "+strings.Join(pnp.DeviceCapNames(), ", "),
		"  handles:N, requests:N, handle-bytes:BYTES, reply:BYTES, event:BYTES",
		"                        as max-handles and so on below, for this device",
		"  optional              the server may decline the device",
		"  ro                    read-only",
		"Limits, numbers with an optional K or M behind them:",
		"  max-reply:BYTES (1M)           data in one reply",
		"  max-requests:N (1024)          outstanding requests of a handle",
		"  max-handle-bytes:BYTES (16M)   outstanding bytes of a handle",
		"  max-session-bytes:BYTES (64M)  outstanding bytes of the session",
		"  max-handles:N (4096)           open handles",
		"  max-devices:N (256)            devices",
		"  max-event:BYTES (64K)          data of a custom event",
	)
}

// kind is the kind of a device that an option names.
type kind string

const (
	kindLoopback kind = "loopback"
	kindFile     kind = "file"
	kindChar     kind = "char"
	kindSerial   kind = kind(discover.BackendSerial)
	kindHID      kind = kind(discover.BackendHID)
)

// namedDevice is a device that an option names, by its path if it has one.
type namedDevice struct {
	option   string
	kind     kind
	path     string
	settings *rules.Settings
}

func (d *namedDevice) String() string { return d.option }

// isRule reports whether the option that names the device is one of package
// rules.
func (d *namedDevice) isRule() bool { return d.kind == kindSerial || d.kind == kindHID }

// describe returns what can be said of any device of its kind, with the settings
// applied.
func (d *namedDevice) describe() pnp.Description {
	p := loopback.DefaultDescription()
	if d.kind != kindLoopback {
		p = rules.PlainDescription(discover.Backend(d.kind), d.path)
	}
	d.settings.Apply(&p)
	return p
}

// options are what the user asked for.
type options struct {
	help    bool
	devices []*namedDevice
	rules   rules.Options
	limits  client.Limits
}

// parseOptions reads the words of FreeRDP's argument behind the plugin's name.
// For a word that cannot be understood there is a problem that says which, why
// and what becomes of it.
func parseOptions(words []string) (o options, problems []string) {
	o.limits = client.DefaultLimits()
	for _, word := range words {
		if err := o.take(word); err != nil {
			problems = append(problems, fmt.Sprintf("option %q: %v; /dvc:pnpdr,help lists the options", word, err))
		}
	}
	return o, problems
}

func (o *options) take(word string) error {
	key, value, hasValue := strings.Cut(word, ":")
	value = rules.Unescape(value)
	switch {
	case word == "": // FreeRDP 2 passes empty words on
		return nil
	case key == "help":
		o.help = true
		return nil
	case key == string(kindLoopback), key == string(kindFile), key == string(kindChar):
		// What follows a device that is left out must not be taken for the
		// device before it.
		o.rules.Begin(nil)
		d := &namedDevice{option: word, kind: kind(key), path: value, settings: new(rules.Settings)}
		if err := d.check(hasValue); err != nil {
			return ignored(err)
		}
		o.devices = append(o.devices, d)
		o.rules.Begin(d.settings)
		return nil
	}
	if known, err := o.limit(key, value); known {
		return ignored(err)
	}
	before := len(o.rules.Rules)
	known, err := o.rules.Take(word)
	if !known {
		return ignored(errors.New("there is no such option"))
	}
	// A serial port or HID device that is named need not be one that discovery
	// knows of: it is watched by its path.
	if err == nil && len(o.rules.Rules) > before {
		r := o.rules.Rules[before]
		d := &namedDevice{option: word, kind: kind(key), path: r.Node(), settings: &r.Settings}
		if d.isRule() {
			o.devices = append(o.devices, d)
		}
	}
	return err
}

func ignored(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("it is ignored: %w", err)
}

// check completes a device's path.
func (d *namedDevice) check(hasValue bool) (err error) {
	switch {
	case d.kind == kindLoopback && hasValue:
		return fmt.Errorf("it takes no value")
	case d.kind == kindLoopback:
		return nil
	case d.path == "":
		return fmt.Errorf("the path is missing, as in %s:/dev/NAME", d.kind)
	}
	d.path, err = filepath.Abs(d.path)
	return err
}

// limit sets the limit that key names; known is false if key names none.
func (o *options) limit(key, value string) (known bool, err error) {
	l := &o.limits
	set := func(min int64, put func(int64)) (bool, error) {
		n, err := rules.ParseNumber(value, min)
		if err == nil {
			put(n)
		}
		return true, err
	}
	// The least values leave room for what every session needs.
	switch key {
	case "max-reply":
		return set(1, func(n int64) { l.ReplyData = int(n) })
	case "max-requests":
		return set(4, func(n int64) { l.HandleRequests = int(n) })
	case "max-handle-bytes":
		return set(1, func(n int64) { l.HandleBytes = n })
	case "max-session-bytes":
		return set(64<<10, func(n int64) { l.SessionBytes = n })
	case "max-handles":
		return set(1, func(n int64) { l.Handles = int(n) })
	case "max-devices":
		return set(1, func(n int64) { l.Devices = int(n) })
	case "max-event":
		return set(0, func(n int64) { l.EventData = int(n) })
	}
	return false, nil
}
