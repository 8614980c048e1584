// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/discover"
)

// monitor prints what comes and goes until ctx is done.
func (a *app) monitor(ctx context.Context, words []string) error {
	p, err := a.policy(words)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	m, err := discover.Start(a.discovery(), func(e discover.Event) {
		i := newItem(0, e.Device, p)
		if !a.all && !i.listed() {
			return
		}
		if err := a.printEvent(e.Kind, i); err != nil {
			select {
			case failed <- err:
			default: // the first is enough
			}
		}
	})
	if err != nil {
		return cmdline.Failure(err)
	}
	defer m.Close()
	if !a.json {
		fmt.Fprintln(a.errs, "pnpdr: waiting for devices; press Ctrl-C to end")
	}
	select {
	case <-ctx.Done():
		a.failed = false // it ended as it should
		return nil
	case err := <-failed:
		return err
	}
}

// printEvent prints one line.
func (a *app) printEvent(kind discover.EventKind, i item) error {
	if a.json {
		e := jsonEvent{kind.String(), i.json()}
		if kind == discover.Removed {
			e.Device.Access = nil
		}
		return a.printJSON(e, "")
	}
	how := map[discover.EventKind]color{discover.Added: green, discover.Removed: red, discover.Changed: yellow}[kind]
	line := fmt.Sprintf("%s  %-9s  %s  %s", a.paint(how, fmt.Sprintf("%-7s", kind)), i.id(), i.node(), i.name())
	if kind != discover.Removed {
		status, c := i.status()
		line += "  " + a.paint(c, status) + ": " + i.reason()
	}
	if _, err := fmt.Fprintln(a.out, line); err != nil {
		return cmdline.Failure(err)
	}
	return nil
}
