// SPDX-License-Identifier: Apache-2.0

// Command pnpdr-agent runs in a user's remote session and makes the devices that the
// client redirects usable by the programs there: it joins the session, as
// channels/insession can, and presents the devices in a folder (pnp/present/folder).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"freerdp-pnpdr/channels/insession"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/cmd/internal/cups"
	"freerdp-pnpdr/cmd/internal/logging"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/choose"
	"freerdp-pnpdr/pnp/present/folder"
	"freerdp-pnpdr/pnp/present/kinds"
)

const version = "0.1.0"

// Exit statuses.
const (
	exitOK     = cmdline.OK
	exitFailed = cmdline.Failed
	exitUsage  = cmdline.Usage
)

// cli is one run of the program.
type cli struct {
	stdout, stderr io.Writer
	env            func(key string) string
	servers        []insession.Server
	pace           pace
	opt            options
}

func newCLI() *cli {
	return &cli{
		stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv,
		servers: []insession.Server{xrdp.Server{}},
		pace: pace{
			again: 2 * time.Second, most: time.Minute,
			refused: 30 * time.Second, mostRefused: 30 * time.Minute,
			patience: 30 * time.Second,
		},
	}
}

// options are the command line.
type options struct {
	dir            string
	only, deny, as []string
	input          bool
	autostart      bool
	jsonLog        bool
	verbose        bool
	json           bool // of list and status
}

// run carries out the command line and returns the exit status.
func (c *cli) run(ctx context.Context, args []string) int {
	return cmdline.Run(ctx, c.command(), args, c.stdout, c.stderr)
}

func (c *cli) command() *cobra.Command {
	o := &c.opt
	root := &cobra.Command{
		Use:   "pnpdr-agent",
		Short: "Use the Plug and Play devices that the client of this session redirects",
		Long: `pnpdr-agent runs in a session of xrdp and makes the devices that its client
redirects usable by the programs there. Each device has a folder; what is in it depends
on the kind of the device, see "pnpdr-agent help kinds".

It runs in the foreground until the session ends. When the client reconnects, the
devices come back under the same names.

A RULE is one or more of ` + strings.Join(choose.Keys, ", ") + `, joined
by plus signs, as in vid=0403+pid=6001 or product=Scale*; the words are those of rule:
on the client. A DEVICE is a name or a hardware id, with * and ? for any characters.`,
		Example: `  pnpdr-agent
  pnpdr-agent --only vid=0403 --deny 'product=*debug*'
  pnpdr-agent --as 'Label printer=stream'
  pnpdr-agent list`,
		Version:           version + " (" + runtime.Version() + ")",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.serve(cmd.Context()) },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.PersistentFlags().StringVar(&o.dir, "dir", "", "the `FOLDER` with the devices' folders; without it $XDG_RUNTIME_DIR/pnpdr")
	_ = root.MarkPersistentFlagDirname("dir") // the flag exists
	f := root.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.only, "only", nil, "present only devices that this `RULE`, or another one of --only, matches")
	f.StringArrayVar(&o.deny, "deny", nil, "do not present devices that this `RULE` matches")
	f.StringArrayVar(&o.as, "as", nil, "present a device as another kind: `DEVICE=KIND`")
	f.BoolVar(&o.input, "input", false, "let the desktop use HID devices as input devices, too")
	f.BoolVar(&o.autostart, "autostart", false, "end without an error outside of a remote session, or if an agent is running and goes on")
	f.BoolVar(&o.jsonLog, "json-log", false, "log lines of JSON")
	f.BoolVar(&o.verbose, "verbose", false, "log what goes on in detail")
	root.AddCommand(c.listCommand(), c.statusCommand(), cupsCommand(), &cobra.Command{
		Use:   "kinds",
		Short: "The kinds of devices",
		Long:  strings.Join(kindHelp(), "\n"),
	})
	return root
}

// kindHelp says what devices become.
func kindHelp() []string {
	lines := []string{
		"A device is of the first of these kinds that its client's description fits, or of",
		"the one that --as says.",
		"",
	}
	for _, k := range kinds.All() {
		lines = append(lines, fmt.Sprintf("  %-9s%s", k.Name, k.Help))
	}
	return append(lines,
		"",
		"Each has these in its folder:",
		"",
		"  info.json   what the client says about it",
		"  data        reads, writes and controls it",
		"  events      a line of JSON for each of its custom events",
		"  control     a socket for control codes")
}

func (c *cli) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "Show the devices that are there",
		Long:              "Show the devices that the agent presents, and what each of them has for programs.",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return c.list() },
	}
	cmd.Flags().BoolVar(&c.opt.json, "json", false, "print JSON")
	return cmd
}

func (c *cli) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is done with the devices",
		Long: `Show whether a client is connected, and for each device how many handles are
open, how many bytes went through, and how long requests took. Reads that waited for
the device are among them.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return c.status() },
	}
	cmd.Flags().BoolVar(&c.opt.json, "json", false, "print JSON")
	return cmd
}

// cupsCommand is what CUPS runs.
func cupsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cups [JOB USER TITLE COPIES OPTIONS [FILE]]",
		Short: "Be a backend of CUPS",
		Long: `Be a backend of CUPS for the printers in the sessions of this machine. CUPS runs it
as root. Without arguments it lists them; otherwise it prints the file, or standard input,
on the printer that the variable DEVICE_URI names: pnpdr://USER/NAME. NAME is the printer's
folder. While the printer is not there, the job waits.`,
		Example:            `  DEVICE_URI=pnpdr://alice/Zebra pnpdr-agent cups 1 alice test 1 '' <label.zpl`,
		DisableFlagParsing: true, // a title may look like a flag
		ValidArgsFunction:  cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if s := cups.New("/proc/self/exe", "cups").Run(cmd.Context(), args); s != 0 {
				return cmdline.Exit{Status: s}
			}
			return nil
		},
	}
}

// serve presents devices until the session ends.
func (c *cli) serve(ctx context.Context) error {
	choices, err := choicesOf(&c.opt, kinds.All())
	if err != nil {
		return err
	}
	if c.opt.autostart && !insession.Inside(c.env, c.servers...) {
		return nil
	}
	log := logging.New(c.stderr, c.opt.jsonLog, c.opt.verbose)
	f, err := c.open(ctx, folder.Config{
		Session: c.session(),
		Table:   kinds.All(),
		As:      choices.Kind,
		Wanted:  choices.Wanted,
		Options: present.Options{Input: c.opt.input},
		Log:     log,
	})
	if c.opt.autostart && errors.Is(err, folder.ErrInUse) {
		log.Info("an agent is running already")
		return nil
	}
	if err != nil {
		return cmdline.Failure(err)
	}
	defer f.Close()
	a := &agent{log: log, env: c.env, servers: c.servers, pace: c.pace, folder: f, wanted: choices.Wanted, problem: "no client is connected yet"}
	if err := f.Publish(a.connection); err != nil {
		return cmdline.Failure(err)
	}
	if err := a.run(ctx); err != nil {
		return cmdline.Failure(err)
	}
	return nil
}

func choicesOf(o *options, table present.Table) (*choose.Choices, error) {
	c := new(choose.Choices)
	for _, rule := range o.only {
		if err := c.Only(rule); err != nil {
			return nil, fmt.Errorf("--only: %w", err)
		}
	}
	for _, rule := range o.deny {
		if err := c.Deny(rule); err != nil {
			return nil, fmt.Errorf("--deny: %w", err)
		}
	}
	for _, wish := range o.as {
		if err := c.As(wish, table); err != nil {
			return nil, fmt.Errorf("--as: %w", err)
		}
	}
	return c, nil
}
