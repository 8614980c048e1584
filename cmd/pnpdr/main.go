// SPDX-License-Identifier: Apache-2.0

// Command pnpdr shows which devices of this machine the plugin would redirect,
// and why. It decides with the same packages as the plugin, opens no device,
// and needs no FreeRDP.
package main

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"freerdp-pnpdr/cmd/internal/cmdline"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/redirect"
	"freerdp-pnpdr/pnp/rules"
)

const version = "0.1.0"

// Exit statuses.
const (
	exitOK     = cmdline.OK
	exitFailed = cmdline.Failed // something cannot be read or understood, or does not exist
	exitUsage  = cmdline.Usage  // the command line is wrong
)

// app is one run of the program.
type app struct {
	out, errs io.Writer
	kinds     backend.Table
	width     int  // of the terminal; 0 without one
	color     bool // out is a terminal that shows colours
	listen    func() (discover.Source, error)

	sysRoot, devRoot, udevRoot string
	config, admin              string
	all, json                  bool

	// failed is set when something could not be read or understood and the rest
	// is shown all the same.
	failed bool
}

// errTold ends a command whose errors have been printed.
var errTold = cmdline.Exit{Status: cmdline.Failed}

// run carries out the command line and returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	status := cmdline.Run(ctx, a.command(), args, a.out, a.errs)
	if status == exitOK && a.failed {
		return exitFailed
	}
	return status
}

// command is the tree of commands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "pnpdr",
		Short: "Show which devices FreeRDP's pnpdr plugin redirects, and why",
		Long: `pnpdr shows which devices of this machine the plugin freerdp-pnpdr would
redirect to a remote session, and why. Pass it the options that you would pass
to /dvc:pnpdr, separated by spaces or commas; "pnpdr help options" lists them.

The administrator's rules are read from /etc/freerdp/pnpdr.toml and yours from
$XDG_CONFIG_HOME/freerdp/pnpdr.toml, by default in ~/.config. What the
administrator denies stays denied. A session reads these files when it begins, pnpdr
each time. If NO_COLOR is set, there are no colours.

The exit status is 0 if everything could be read and understood, 1 if something
could not (the rest is shown all the same) or there is no such device, and 2 if
the command line is wrong.`,
		Example: `  pnpdr list                         the devices of this machine
  pnpdr list auto                    what /dvc:pnpdr,auto would redirect
  pnpdr list --all 'usb:046d:*'      all devices, and what one option would do
  pnpdr explain /dev/ttyUSB0 auto    why, and what to do
  pnpdr check ~/.config/freerdp/pnpdr.toml
  pnpdr monitor auto                 follow devices as they come and go`,
		Version: version,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.config, "config", "", "read your rules from `FILE`, as option config: does")
	f.StringVar(&a.admin, "admin", rules.AdminFile, "read the administrator's rules from `FILE`, to try them")
	f.StringVar(&a.sysRoot, "sys-root", "", "look for devices in `DIR` instead of /sys")
	f.StringVar(&a.devRoot, "dev-root", "", "look for device nodes in `DIR` instead of /dev")
	f.StringVar(&a.udevRoot, "udev-root", "", "look for udev's records in `DIR` instead of /run/udev")
	for _, name := range []string{"sys-root", "dev-root", "udev-root"} {
		_ = f.MarkHidden(name) // fails only for unknown flags
	}
	root.AddCommand(a.listCommand(), a.explainCommand(), a.checkCommand(), a.monitorCommand(), a.provideCommand(), &cobra.Command{
		Use:   "options",
		Short: "The options of /dvc:pnpdr",
		Long:  strings.Join(redirect.Usage(a.kinds), "\n"),
	})
	return root
}

func (a *app) listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [OPTION...]",
		Short: "Show the devices and whether they are redirected",
		Long: `Show the devices that could be redirected, under the names that the server would
see, whether they are redirected, and which rule or option decides.

OPTIONs are those of /dvc:pnpdr; "pnpdr help options" lists them.`,
		Example: `  pnpdr list
  pnpdr list auto
  pnpdr list rule:deny+vid=1050,auto
  pnpdr list --json --all | jq '.devices[].reason'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeOptions,
		RunE:              func(_ *cobra.Command, args []string) error { return a.list(args) },
	}
	c.Flags().BoolVarP(&a.all, "all", "a", false, "also devices that are not eligible or have no backend yet")
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

func (a *app) explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain DEVICE [OPTION...]",
		Short: "Explain why a device is redirected or not, and what to do",
		Long: `Explain which rule decides about a device, whether you may open it, what to do if
it is not redirected, and how the server would see it.

DEVICE is its node, VID:PID, its number in the list, its key in sysfs, or an option
that names it and need not be plugged in.`,
		Example: `  pnpdr explain /dev/ttyUSB0
  pnpdr explain serial:/dev/ttyUSB0
  pnpdr explain 046d:c31c auto
  pnpdr explain 3 'usb:0403:*,ro'`,
		Args:              wantDevice,
		ValidArgsFunction: a.completeExplain,
		RunE:              func(_ *cobra.Command, args []string) error { return a.explain(args[0], args[1:]) },
	}
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

func wantDevice(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("which device? Name its node, VID:PID, or number in the list")
	}
	return nil
}

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Look for errors in files of rules",
		Long: `Look for errors in files of rules; without FILE, in the administrator's and yours.
The exit status is 1 if there are any.`,
		Example: `  pnpdr check
  pnpdr check draft.toml && sudo install -m 644 draft.toml /etc/freerdp/pnpdr.toml`,
		Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.check(args) },
	}
}

func (a *app) monitorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "monitor [OPTION...]",
		Short: "Follow devices as they come and go",
		Long: `Show the devices of this machine, and then those that come, go and change, until
Ctrl-C. OPTIONs are as for list.`,
		Example: `  pnpdr monitor auto
  pnpdr monitor --json auto`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeOptions,
		RunE:              func(c *cobra.Command, args []string) error { return a.monitor(c.Context(), args) },
	}
	c.Flags().BoolVarP(&a.all, "all", "a", false, "also devices that are not eligible or have no backend yet")
	c.Flags().BoolVar(&a.json, "json", false, "print a line of JSON for each event")
	return c
}

func (a *app) discovery() discover.Config {
	return discover.Config{SysRoot: a.sysRoot, DevRoot: a.devRoot, UdevRoot: a.udevRoot, Listen: a.listen}
}
