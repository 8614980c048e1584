package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/rules"
)

// plan is what the options and the files come to.
type plan struct {
	*rules.Policy
	problems []rules.Problem
	// others are the devices that options name and that need not be among
	// those found.
	others []other
}

// other is such a device. Its path is "" if it has none.
type other struct {
	option, path string
	found        bool // an option of discovery, which Decide has heard of
}

// policy reads the rules as the plugin would for the same options. What is
// wrong with them is printed, and counts as a failure in the end; a word that is
// no option at all is an error.
func (a *app) policy(words []string) (*plan, error) {
	o, p := new(rules.Options), new(plan)
	if a.config != "" {
		words = append([]string{"config:" + escape.Replace(a.config)}, words...)
	}
	for _, word := range splitOptions(words) {
		before := len(o.Rules)
		known, err := o.Take(word)
		key, value, _ := strings.Cut(word, ":")
		switch {
		case err != nil:
			a.problem(fmt.Sprintf("option %q: %v", word, err))
		case known && len(o.Rules) > before && (key == "serial" || key == "hid"):
			p.others = append(p.others, other{word, o.Rules[before].Node(), true})
		case known || key == "help" || strings.HasPrefix(key, "max-"):
		case key == "loopback" || key == "file":
			o.Begin(new(rules.Settings))
			p.others = append(p.others, other{option: word})
		case key == "char":
			o.Begin(new(rules.Settings))
			p.others = append(p.others, other{option: word, path: rules.Unescape(value)})
		default:
			return nil, fmt.Errorf("there is no option %q", word)
		}
	}
	files := rules.DefaultFiles(o)
	files.Admin = a.admin
	p.Policy, p.problems = rules.Load(files, o)
	for _, problem := range p.problems {
		a.problem(problem.String())
	}
	return p, nil
}

// tell says of an other device what becomes of it, unless items say so.
func (p *plan) tell(o other, items []item) string {
	d := &discover.Device{Node: o.path, Interface: -1}
	if target, err := filepath.EvalSymlinks(o.path); err == nil {
		d.Node = target
	}
	for _, i := range items {
		if d.Node != "" && i.device.Node == d.Node {
			if o.found {
				return ""
			}
			d = i.device
		}
	}
	if reason, denied := p.Denied(d); denied && o.path != "" {
		return fmt.Sprintf("%s is not redirected: %s", o.option, reason)
	}
	return fmt.Sprintf("%s is redirected as it is named, whatever is found", o.option)
}

// escape writes a path as the value of an option.
var escape = strings.NewReplacer("%2C", "%252C", "%2c", "%252c", "%25", "%2525", ",", "%2C")

func (a *app) problem(text string) {
	a.failed = true
	fmt.Fprintln(a.errs, clean(text))
}

// splitOptions splits words at commas, as FreeRDP does.
func splitOptions(words []string) []string {
	var split []string
	for _, word := range words {
		for _, part := range strings.Split(strings.TrimPrefix(word, "/dvc:pnpdr,"), ",") {
			if part != "" {
				split = append(split, part)
			}
		}
	}
	return split
}

// item is a device and what becomes of it.
type item struct {
	index    int // from 1, in the order of keys
	device   *discover.Device
	decision rules.Decision
	access   error
}

func newItem(index int, d *discover.Device, p *plan) item {
	return item{index, d, p.Decide(d), d.Access()}
}

// listed reports whether the device is listed without --all.
func (i item) listed() bool {
	d := i.device
	return i.decision.Redirect || d.Backend != discover.BackendNone && d.Excluded == "" && d.Node != ""
}

// status is the verdict for people, with how it is coloured.
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
	}
	return "not asked for", plain
}

// reason is the decision's, unless the way is barred by something else.
func (i item) reason() string {
	if i.decision.Redirect && i.access != nil {
		return i.decision.Reason + ", but you may not open it"
	}
	return i.decision.Reason
}

// id is VID:PID; "-" without them.
func (i item) id() string {
	d := i.device
	if d.VendorID == 0 && d.ProductID == 0 {
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
		return nil, failure{err}
	}
	items := make([]item, len(devices))
	for n, d := range devices {
		items[n] = newItem(n+1, d, p)
	}
	return items, nil
}

// completeOptions offers options for the devices that are here.
func (a *app) completeOptions(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	offers := []string{"auto\tevery eligible device", "rule:allow+", "rule:deny+", "config:"}
	devices, _ := discover.Scan(a.discovery()) // without devices there is less to offer
	for _, d := range devices {
		name := clean(d.Description.Name)
		usb := fmt.Sprintf("usb:%04x:%04x\t%s", d.VendorID, d.ProductID, name)
		if d.Bus == "usb" && !slices.Contains(offers, usb) {
			offers = append(offers, usb)
		}
		if d.Node != "" && (d.Backend == discover.BackendSerial || d.Backend == discover.BackendHID) {
			offers = append(offers, fmt.Sprintf("%s:%s\t%s", d.Backend, d.Node, name))
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
	devices, _ := discover.Scan(a.discovery()) // without devices there is nothing to offer
	for _, d := range devices {
		i := item{device: d}
		for _, offer := range []string{i.node(), i.id()} {
			described := offer + "\t" + clean(d.Description.Name)
			if offer != "-" && !slices.Contains(offers, described) {
				offers = append(offers, described)
			}
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}
