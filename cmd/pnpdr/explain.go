// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/rules"
)

// explain prints why the devices that name refers to are redirected or not.
func (a *app) explain(name string, words []string) error {
	option, _, _ := strings.Cut(name, ",")
	if kind, _, _ := strings.Cut(option, ":"); a.kinds.Named(kind) != nil {
		name, words = option, append([]string{name}, words...) // an option names it
	}
	p, err := a.policy(words)
	if err != nil {
		return err
	}
	items, err := a.scan(p)
	if err != nil {
		return err
	}
	var meant []item
	for _, i := range items {
		if i.meant(name) {
			meant = append(meant, i)
		}
	}
	var named, alone []outcome
	for _, o := range p.outcomes(items) {
		if !o.meant(name) {
			continue
		}
		named = append(named, o)
		switch {
		case o.device == 0:
			alone = append(alone, o)
		case len(meant) == 0:
			meant = append(meant, items[o.device-1])
		}
	}
	if len(meant)+len(named) == 0 {
		return cmdline.Failure(noDevice(name))
	}
	if a.json {
		return a.printJSON(document{jsonProblems(p.problems), jsonDevices(meant), jsonOutcomes(named)}, "  ")
	}
	for n, i := range meant {
		if n > 0 {
			fmt.Fprintln(a.out)
		}
		a.explainItem(i)
	}
	for n, o := range alone {
		if n+len(meant) > 0 {
			fmt.Fprintln(a.out)
		}
		a.explainNamed(o)
	}
	return nil
}

// noDevice says what to do about a name that nothing has.
func noDevice(name string) error {
	if info, err := os.Stat(name); err == nil && !info.IsDir() && strings.Contains(name, "/") {
		kind := "file"
		if info.Mode()&os.ModeCharDevice != 0 {
			kind = "char"
		}
		return fmt.Errorf("%s was not found among the devices, but an option can name it: pnpdr explain %s:%s", name, kind, name)
	}
	return fmt.Errorf("there is no device %q; pnpdr list --all shows all devices", name)
}

// meant reports whether name refers to the device, by its number, node, a link to
// the node, VID:PID, or key.
func (i item) meant(name string) bool {
	d := i.device
	if n, err := strconv.Atoi(name); err == nil {
		return n == i.index
	}
	if name == d.Key || strings.TrimPrefix(name, "/sys/") == d.Key {
		return true
	}
	if id := strings.ToLower(strings.TrimPrefix(name, "usb:")); id == i.id() {
		return true
	}
	if d.Node == "" {
		return false
	}
	if name == d.Node || name == path.Base(d.Node) {
		return true
	}
	target, err := filepath.EvalSymlinks(name)
	return err == nil && target == d.Node
}

func (a *app) explainItem(i item) {
	d, dec := i.device, i.decision
	title := []string{i.decision.Description.Name}
	for _, part := range []string{i.id(), i.node()} {
		if part != "-" {
			title = append(title, part)
		}
	}
	fmt.Fprintln(a.out, a.paint(bold, cmdline.Clean(strings.Join(title, "  "))))

	status, c := i.status()
	a.field("status", status, c)
	a.field("why", dec.Reason, plain)
	a.field("to do", i.advice, plain)
	switch {
	case d.Node == "":
	case i.access == nil:
		a.field("permission", "you may open "+d.Node, plain)
	default:
		a.field("permission", i.access.Error(), yellow)
	}
	a.explainUse(i.backend(), dec)
	a.explainDevice(d)
	a.explainDescription(dec)
}

// explainNamed explains a device that an option names and that was not found.
func (a *app) explainNamed(o outcome) {
	title := o.Option
	if o.decision.Description.Name != "" {
		title = o.decision.Description.Name + "  " + title
	}
	fmt.Fprintln(a.out, a.paint(bold, cmdline.Clean(title)))
	if o.decision.Redirect {
		a.field("status", "redirected", green)
	} else {
		a.field("status", "not redirected", yellow)
	}
	a.field("why", o.decision.Reason, plain)
	a.explainUse(o.Kind.Name, o.decision)
	a.explainDescription(o.decision)
}

// explainUse prints how the device is redirected.
func (a *app) explainUse(backend string, dec rules.Decision) {
	a.field("backend", backend, plain)
	if dec.ReadOnly {
		a.field("read-only", "yes", plain)
	}
	a.fields("limits", dec.LimitTexts())
}

// explainDescription prints the device as the server would see it.
func (a *app) explainDescription(dec rules.Decision) {
	if dec.Collections == nil {
		fmt.Fprintln(a.out, "  The server would see:")
	} else {
		fmt.Fprintf(a.out, "  The server would see %d devices, one of each collection:\n", len(dec.Collections))
	}
	told := describe(dec.Description)
	for _, d := range dec.Devices() { // the rest is the same
		a.field("name", d.Name, plain)
		a.fields("hardware ids", d.HardwareIDs)
	}
	a.fields("compatible", told.CompatibleIDs)
	a.fields("interfaces", told.Interfaces)
	a.field("container", told.Container, plain)
	a.field("caps", strings.Join(told.Caps, ", "), plain)
	if told.Optional {
		a.field("optional", "yes", plain)
	}
}

// explainDevice prints the properties that rules can match.
func (a *app) explainDevice(d *discover.Device) {
	fmt.Fprintln(a.out, "  The device:")
	a.field("bus", strings.TrimSpace(d.Bus+" "+d.Port), plain)
	a.field("manufacturer", d.Manufacturer, plain)
	a.field("product", d.Product, plain)
	a.field("serial", d.Serial, plain)
	a.field("driver", d.Driver, plain)
	if d.Bus == "usb" {
		a.field("class", fmt.Sprintf("%02x, subclass %02x, protocol %02x, interface %02x", d.Class, d.SubClass, d.Protocol, d.Interface), plain)
	}
	a.field("key", d.Key, plain)
}

// label is how wide the names of fields are.
const label = 14

// field prints a name and its value, or nothing if the value is empty.
func (a *app) field(name, value string, c color) {
	if value == "" {
		return
	}
	lines := []string{cmdline.Clean(value)}
	if a.width > 0 {
		lines = wrap(lines[0], a.width-label-2)
	}
	for n, line := range lines {
		if n > 0 {
			name = ""
		}
		fmt.Fprintf(a.out, "  %-*s%s\n", label, name, a.paint(c, line))
	}
}

func (a *app) fields(name string, values []string) {
	for n, v := range values {
		if n > 0 {
			name = ""
		}
		a.field(name, v, plain)
	}
}
