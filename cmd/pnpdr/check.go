// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/rules"
)

// check looks for errors in the files, or without any in those that the plugin
// would read.
func (a *app) check(files []string) error {
	named := len(files) > 0
	if !named {
		usual := rules.DefaultFiles(&rules.Options{Config: a.config})
		files = []string{a.admin}
		if usual.User != "" {
			files = append(files, usual.User)
		}
	}
	for _, file := range files {
		if !named && file != a.config && rules.Missing(file) {
			fmt.Fprintf(a.out, "%s: not there\n", cmdline.Clean(file))
			continue
		}
		count, problems := rules.Check(file, a.kinds)
		for _, p := range append(problems, rules.Consequences(problems)...) {
			a.problem(p.String())
		}
		if len(problems) == 0 {
			fmt.Fprintf(a.out, "%s: %s, %d %s\n", cmdline.Clean(file), a.paint(green, "no errors"), count, number(count, "rule", "rules"))
		}
	}
	if a.failed {
		return errTold
	}
	return nil
}
