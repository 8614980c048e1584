// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/folder"
)

// show prints the answer as JSON, or as print does.
func (c *cli) show(print func(w io.Writer, r folder.Report)) error {
	r, err := c.query()
	switch {
	case errors.Is(err, folder.ErrNotServed):
		return cmdline.Failure(fmt.Errorf("%w; is pnpdr-agent running in this session?", err))
	case err != nil:
		return cmdline.Failure(err)
	}
	if !c.opt.json {
		print(c.stdout, r)
		return nil
	}
	text, err := folder.Marshal(r)
	if err == nil {
		_, err = c.stdout.Write(text)
	}
	if err != nil {
		return cmdline.Failure(err)
	}
	return nil
}

func (c *cli) list() error { return c.show(printList) }

func (c *cli) status() error { return c.show(printStatus) }

func printList(w io.Writer, r folder.Report) {
	if len(r.Devices) == 0 {
		fmt.Fprintln(w, "no devices: "+connection(r))
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tFOLDER\tWITH")
	for _, d := range r.Devices {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", clean(d.Name), d.Kind, filepath.Join(r.Folder, d.Folder), strings.Join(d.Files, " "))
	}
	_ = t.Flush() // a problem of the terminal's
}

func printStatus(w io.Writer, r folder.Report) {
	fmt.Fprintf(w, "agent %d, %s\n", r.PID, connection(r))
	for _, d := range r.Devices {
		fmt.Fprintf(w, "\n%s (%s) in %s\n", clean(d.Name), d.Kind, filepath.Join(r.Folder, d.Folder))
		if d.Problem != "" {
			fmt.Fprintf(w, "  in part only: %s\n", clean(d.Problem))
		}
		fmt.Fprintf(w, "  handles: %d open, %d so far, %d could not be opened\n", d.Open, d.Opened, d.Failed)
		for _, op := range []struct {
			name string
			present.OpStats
		}{{"reads", d.Read}, {"writes", d.Write}, {"controls", d.Control}} {
			if op.Requests+op.Errors == 0 {
				continue
			}
			fmt.Fprintf(w, "  %-8s %d, %d failed, %s, median %v, 99%% %v, longest %v\n", op.name,
				op.Requests, op.Errors, amount(op.Bytes), short(op.Median), short(op.P99), short(op.Max))
		}
	}
}

func connection(r folder.Report) string {
	if r.Connected != nil {
		return "a client is connected since " + r.Connected.Local().Format(time.DateTime)
	}
	return clean(r.Problem)
}

// amount returns a number of bytes with three or four digits.
func amount(n uint64) string {
	unit := 0
	v := float64(n)
	for v >= 10_000 && unit < 4 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.0f %s", v, []string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// short leaves out digits that nobody needs.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// maxText is how much is shown of a text that comes from the client, in characters.
const maxText = 200

// clean shortens a text, and replaces characters that a terminal would act on: a client
// chooses the names of its devices.
func clean(s string) string {
	text := []rune(s)
	if len(text) > maxText {
		text = append(text[:maxText-1], '…')
	}
	return cmdline.Clean(string(text))
}
