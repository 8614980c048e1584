// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/redirect"
)

// list prints the devices of this machine.
func (a *app) list(words []string) error {
	p, err := a.policy(words)
	if err != nil {
		return err
	}
	items, err := a.scan(p)
	if err != nil {
		return err
	}
	shown := items
	if !a.all {
		shown = nil
		for _, i := range items {
			if i.listed() {
				shown = append(shown, i)
			}
		}
	}
	if a.json {
		return a.printJSON(document{jsonProblems(p.problems), jsonDevices(shown), append(jsonOutcomes(p.outcomes(items)), jsonMissing(p.missing(items))...)}, "  ")
	}
	if len(shown) > 0 {
		a.printTable(shown)
	} else {
		fmt.Fprintln(a.out, "No device here can be redirected.")
	}
	if more := len(items) - len(shown); more > 0 {
		fmt.Fprintf(a.out, "%d more %s not eligible or %s no backend yet: --all shows %s.\n",
			more, number(more, "is", "are"), number(more, "has", "have"), number(more, "it", "them"))
	}
	for _, o := range p.outcomes(items) {
		if o.device == 0 {
			fmt.Fprintln(a.out, cmdline.Clean(o.String())+".")
		}
	}
	for _, option := range p.missing(items) {
		fmt.Fprintf(a.out, "%s is not redirected: %s.\n", cmdline.Clean(option), redirect.NotPluggedIn)
	}
	if len(shown) > 0 && p.Idle() && len(p.named) == 0 {
		fmt.Fprintln(a.out, "Nothing asks for a device: try an option, as in: pnpdr list auto")
	}
	return nil
}

func number(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// printTable prints the devices in columns. The reasons are in the last column, or
// below the devices if the terminal is too narrow.
func (a *app) printTable(items []item) {
	head := []string{"#", "STATUS", "ID", "NODE", "NAME", "WHY"}
	rows := make([][]string, len(items))
	for n, i := range items {
		status, _ := i.status()
		rows[n] = []string{strconv.Itoa(i.index), status, i.id(), i.node(), i.name(), i.reason()}
	}
	t := layout(head, rows, a.width)
	fmt.Fprintln(a.out, a.paint(bold, t.line(head)))
	for n, i := range items {
		_, c := i.status()
		t.print(a, rows[n], c)
	}
}
