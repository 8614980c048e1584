// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/redirect"
	"freerdp-pnpdr/pnp/rules"
)

// plan is the policy that results from the options and the files.
type plan struct {
	*rules.Policy
	problems  []rules.Problem
	discovery discover.Config
	kinds     backend.Table
	// named are the devices that options name, which need not be among those
	// found.
	named []*rules.Named
	// asked are the options that name devices which have to be found.
	asked []*rules.Rule
}

// policy reads the rules as the plugin would for the same options. It prints their
// problems, which make the exit status 1; a word that is not an option is an error.
func (a *app) policy(words []string) (*plan, error) {
	if a.config != "" {
		words = append([]string{"config:" + escape.Replace(a.config)}, words...)
	}
	split, dropped := splitOptions(words)
	for _, word := range dropped {
		a.problem(noEffect(word).Error())
	}
	o := redirect.ParseOptions(split, a.kinds)
	for _, problem := range o.Problems {
		if errors.Is(problem.Err, redirect.ErrNoOption) {
			return nil, fmt.Errorf("option %q: %s", problem.Option, strings.TrimPrefix(problem.Err.Error(), "it is ignored: "))
		}
		a.problem(problem.String())
	}
	p := &plan{discovery: a.discovery(), kinds: a.kinds, named: o.Rules.Named, asked: o.Rules.Asked()}
	files := rules.DefaultFiles(&o.Rules)
	files.Admin = a.admin
	p.Policy, p.problems = rules.Load(files, &o.Rules)
	for _, problem := range append(p.problems[:len(p.problems):len(p.problems)], rules.Consequences(p.problems)...) {
		a.problem(problem.String())
	}
	return p, nil
}

// noEffect is the problem of an option that FreeRDP drops.
func noEffect(word string) error {
	return fmt.Errorf("%q has no effect: FreeRDP drops all but the first /dvc:pnpdr; put all options behind one", word)
}

// realPath returns the absolute path, without symbolic links if it exists.
func realPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// decideNamed decides about a device that an option names.
func (p *plan) decideNamed(n *rules.Named) rules.Decision {
	cfg := p.discovery
	if cfg.DevRoot != "" {
		cfg.DevRoot = realPath(cfg.DevRoot) // as the path is
	}
	decision, _ := redirect.Decide(p.Policy, cfg, n)
	return decision
}

// naming returns the first option that names the device by its node; nil if none
// does.
func (p *plan) naming(d *discover.Device) *rules.Named {
	if d.Node == "" {
		return nil
	}
	for _, n := range p.named {
		if n.Kind.Nodes != 0 && realPath(n.Path) == realPath(d.Node) {
			return n
		}
	}
	return nil
}

// outcome is what becomes of a device that an option names.
type outcome struct {
	*rules.Named
	decision rules.Decision
	device   int // the index of the device if it is among those found; else 0
}

// outcomes decides about the named devices as the plugin would now.
func (p *plan) outcomes(items []item) []outcome {
	all := make([]outcome, len(p.named))
	for n, named := range p.named {
		all[n] = p.outcome(named, items)
	}
	return all
}

func (p *plan) outcome(n *rules.Named, items []item) outcome {
	for _, i := range items {
		if i.named == n {
			o := outcome{n, i.decision, i.index}
			o.decision.Reason = i.reason()
			o.decision.Redirect = i.decision.Redirect && i.access == nil
			return o
		}
	}
	o := outcome{Named: n, decision: p.decideNamed(n)}
	if !o.decision.Redirect || n.Kind.Nodes == 0 {
		return o
	}
	if err := redirect.Obstacle(n, p.kinds); err != nil {
		o.decision.Redirect, o.decision.Reason = false, err.Error()
	} else if onlyReadable(n.Path) {
		o.decision.ReadOnly = true
	}
	return o
}

// missing returns the options that name devices of which none is plugged in.
func (p *plan) missing(items []item) []string {
	var missing []string
	for _, r := range p.asked {
		if !slices.ContainsFunc(items, func(i item) bool { return r.Matches(i.device) }) {
			missing = append(missing, r.Source)
		}
	}
	return missing
}

// String says in one line whether the device is redirected.
func (o outcome) String() string {
	switch {
	case !o.decision.Redirect:
		return fmt.Sprintf("%s is not redirected: %s", o.Option, o.decision.Reason)
	case o.Kind.Attend != nil: // only asking it would tell
		return fmt.Sprintf("%s is redirected by its name, while something answers there", o.Option)
	case o.decision.ReadOnly:
		return fmt.Sprintf("%s is redirected by its name, read-only", o.Option)
	}
	return fmt.Sprintf("%s is redirected by its name", o.Option)
}

// meant reports whether name refers to the device, by its option or its path.
func (o outcome) meant(name string) bool {
	return name == o.Option || o.Kind.Nodes != 0 && realPath(name) == realPath(o.Path)
}

// onlyReadable reports whether the user may read what is at path, but not write.
func onlyReadable(path string) bool {
	return mayOpen(path, unix.R_OK) && !mayOpen(path, unix.W_OK)
}

func mayOpen(path string, mode uint32) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS) == nil
}

// escape writes a path as the value of an option.
var escape = strings.NewReplacer("%2C", "%252C", "%2c", "%252c", "%25", "%2525", ",", "%2C")

func (a *app) problem(text string) {
	a.failed = true
	fmt.Fprintln(a.errs, cmdline.Clean(text))
}

// splitOptions splits words at commas, as FreeRDP does. It returns the words that
// FreeRDP drops, as they are options of a second /dvc:pnpdr.
func splitOptions(words []string) (split, dropped []string) {
	channel := false
	for _, word := range words {
		if rest, ok := strings.CutPrefix(word+",", "/dvc:pnpdr,"); ok {
			if channel {
				dropped = append(dropped, word)
				continue
			}
			channel, word = true, rest
		}
		for _, part := range strings.Split(word, ",") {
			if part != "" {
				split = append(split, part)
			}
		}
	}
	return split, dropped
}

// item is a device and what becomes of it.
type item struct {
	index    int // from 1, in the order of keys
	device   *discover.Device
	decision rules.Decision
	advice   string // what to do if it is not redirected
	eligible bool
	access   error
	named    *rules.Named // the option that names it by its path, if one does
}

func newItem(index int, d *discover.Device, p *plan) item {
	i := item{index: index, device: d, eligible: p.Eligible(d), access: d.Access()}
	if i.named = p.naming(d); i.named == nil {
		i.decision = p.Decide(d)
	} else {
		i.decision = p.decideNamed(i.named)
		// For a named device it is enough that it can be read or written.
		if onlyReadable(d.Node) {
			i.access, i.decision.ReadOnly = nil, true
		} else if mayOpen(d.Node, unix.W_OK) {
			i.access = nil
		}
	}
	i.advice = p.Advice(d, &i.decision)
	return i
}

// listed reports whether the device is listed without --all.
func (i item) listed() bool { return i.decision.Redirect || i.eligible }

// backend is the kind of device that it is redirected as; "" if nothing serves it.
func (i item) backend() string {
	if i.decision.Kind == nil {
		return ""
	}
	return i.decision.Kind.Name
}

// status is the verdict in words, and its colour.
func (i item) status() (string, color) {
	switch i.decision.Verdict {
	case rules.Redirected:
		if i.access != nil {
			return "no access", yellow
		}
		return "redirected", green
	case rules.Denied:
		return "denied", red
	case rules.NoBackend:
		return "no backend", faint
	case rules.NotEligible:
		return "not eligible", faint
	case rules.NoDevice:
		return "no device", faint
	}
	return "not asked for", plain
}

// reason is the decision's, with a note if the user may not open the device.
func (i item) reason() string {
	if i.decision.Redirect && i.access != nil {
		return i.decision.Reason + ", but you may not open it"
	}
	return i.decision.Reason
}

// name is the friendly name, with how many devices there are of that name and a number.
func (i item) name() string {
	name := i.decision.Description.Name
	if n := len(i.decision.Collections); n > 0 {
		name += fmt.Sprintf(" (%d collections)", n)
	}
	return name
}

// id is VID:PID; "-" without them.
func (i item) id() string {
	d := i.device
	if !d.HasIDs() {
		return "-"
	}
	return fmt.Sprintf("%04x:%04x", d.VendorID, d.ProductID)
}

// node is the path of the device node; "-" without one.
func (i item) node() string {
	if i.device.Node == "" {
		return "-"
	}
	return i.device.Node
}

// scan looks at the devices once.
func (a *app) scan(p *plan) ([]item, error) {
	devices, err := discover.Scan(a.discovery())
	if err != nil {
		return nil, cmdline.Failure(err)
	}
	items := make([]item, len(devices))
	for n, d := range devices {
		items[n] = newItem(n+1, d, p)
	}
	return items, nil
}

// completeOptions offers options for the devices of this machine, and all kinds of
// devices that can be named.
func (a *app) completeOptions(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	offers := []string{"auto\tevery eligible device", "rule:allow+", "rule:deny+", "config:"}
	for _, k := range a.kinds {
		word := k.Name
		if k.Argument != "" {
			word += ":"
		}
		offers = append(offers, word+"\t"+k.Help)
		for _, value := range k.Values {
			offers = append(offers, k.Name+":"+value)
		}
	}
	devices, _ := discover.Scan(a.discovery()) // without devices there is less to offer
	for _, d := range devices {
		name := cmdline.Clean(d.Description.Name)
		usb := fmt.Sprintf("usb:%04x:%04x\t%s", d.VendorID, d.ProductID, name)
		if d.Bus == "usb" && !slices.Contains(offers, usb) {
			offers = append(offers, usb)
		}
		if k := a.kinds.Serving(d); k != nil {
			if option, ok := k.Option(d); ok && d.Node != "" {
				offers = append(offers, option+"\t"+name)
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeExplain offers devices, then options.
func (a *app) completeExplain(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return a.completeOptions(c, args, word)
	}
	var offers []string
	devices, _ := discover.Scan(a.discovery()) // without devices nothing is offered
	for _, d := range devices {
		i := item{device: d}
		for _, offer := range []string{i.node(), i.id()} {
			described := offer + "\t" + cmdline.Clean(d.Description.Name)
			if offer != "-" && !slices.Contains(offers, described) {
				offers = append(offers, described)
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
