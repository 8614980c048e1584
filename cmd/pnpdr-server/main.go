// SPDX-License-Identifier: Apache-2.0

// Command pnpdr-server is the reference server of [MS-RDPEPNP]: an RDP server
// that finds the Plug and Play devices that a client redirects, and uses them as a
// script says. It is for tests, for trying things without Windows, and an example
// of how to use the packages cshim/server and channels/server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"freerdp-pnpdr/cmd/internal/cmdline"
)

const version = "0.1.0"

// Exit statuses.
const (
	exitOK     = cmdline.OK
	exitFailed = cmdline.Failed // of the script or the session
	exitUsage  = cmdline.Usage  // of the command line, or a script that cannot be understood
)

// quietFreeRDP turns FreeRDP's own log off unless WLOG_LEVEL is set: FreeRDP
// logs every client that hangs up as an error. It reads the variable when it is
// first used.
func quietFreeRDP() {
	if _, set := os.LookupEnv("WLOG_LEVEL"); !set {
		_ = os.Setenv("WLOG_LEVEL", "OFF") // at worst FreeRDP is not quiet
	}
}

// cli is one run of the program.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// quiet is called before FreeRDP is used, unless --verbose was given.
	quiet func()

	opt options
}

// options are the command line.
type options struct {
	listen, portFile string
	cert, key        string
	script           string
	pipes            []string
	ncalrpc          string
	once             bool
	mount            string
	as               []string
	input            bool
	verbose          bool
	runOptions
}

// run carries out the command line and returns the exit status.
func (c *cli) run(ctx context.Context, args []string) int {
	return cmdline.Run(ctx, c.command(), args, c.stdout, c.stderr)
}

// command returns the command line: one command, with the script language as a
// topic of its help.
func (c *cli) command() *cobra.Command {
	o := &c.opt
	root := &cobra.Command{
		Use:   "pnpdr-server",
		Short: "Use the Plug and Play devices that RDP clients redirect",
		Long: `pnpdr-server is an RDP server that uses the Plug and Play devices of its clients
[MS-RDPEPNP]. Without --script it reports which devices come and go, for every
client, until it is interrupted. Anyone who can connect is let in, whatever the
password.

"pnpdr-server help script" describes the commands of a script.

The exit status is 0 if every command of the script did what it should, 1 if one
did not, and 2 if the options or the script cannot be understood.`,
		Example: `  pnpdr-server                        report the devices of all clients
  pnpdr-server --script -             type commands for the first client
  pnpdr-server --mount /run/devices   let programs use the devices of all clients
  pnpdr-server --script check.pnpdr   run a script, exit 0 if all went as expected
  pnpdr-server --pipe srvsvc=tcp:127.0.0.1:1445
                                      let local programs use a client's pipe`,
		Version: version + " (" + runtime.Version() + ")",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unexpected argument %q", args[0])
			}
			return nil
		},
		PreRunE: func(*cobra.Command, []string) error { return o.check() },
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.serve(cmd.Context()) },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	f := root.Flags()
	f.SortFlags = false
	f.StringVar(&o.listen, "listen", "127.0.0.1:3389", "accept clients on `ADDRESS`; port 0 is any that is free")
	f.StringVar(&o.portFile, "port-file", "", "write the port to `FILE` once clients can connect")
	f.StringVar(&o.cert, "cert", "", "PEM `FILE` of the TLS certificate; without it one is made at each start")
	f.StringVar(&o.key, "key", "", "PEM `FILE` of the certificate's private key")
	f.StringVar(&o.script, "script", "", "run the commands in `FILE`, or - for standard input, with the first client's devices, and end")
	f.StringArrayVar(&o.pipes, "pipe", nil, "give local programs the pipe of the client's that is called NAME, at `NAME=unix:PATH` or NAME=tcp:127.0.0.1:PORT; may be repeated")
	f.StringVar(&o.ncalrpc, "ncalrpc", "", "give Samba's programs the client's srvsvc, and an endpoint mapper, in the folder `DIR` (their \"ncalrpc dir\")")
	f.BoolVar(&o.once, "once", false, "end after the first client")
	f.StringVar(&o.mount, "mount", "", "make a folder for each session in `FOLDER`, with its devices for the programs of this machine, as pnpdr-agent does")
	f.StringArrayVar(&o.as, "as", nil, "with --mount, present a device as another kind: `DEVICE=KIND`")
	f.BoolVar(&o.input, "input", false, "with --mount, let the desktop of this machine use HID devices as input devices, too")
	f.BoolVar(&o.allowShell, "allow-shell", false, "let the script run programs on this machine")
	f.DurationVar(&o.patience, "timeout", 30*time.Second, "give up on a client that does not connect, or a command of the script, after this `TIME`")
	f.BoolVar(&o.verbose, "verbose", false, "log what goes on to standard error")
	_ = root.MarkFlagDirname("mount") // the flag exists
	for _, name := range []string{"port-file", "cert", "key", "script"} {
		_ = root.MarkFlagFilename(name) // the flag exists
	}
	root.AddCommand(&cobra.Command{
		Use:   "script",
		Short: "The commands of a script",
		Long:  strings.Join(scriptHelp(), "\n"),
	})
	return root
}

// check rejects options that make no sense.
func (o *options) check() error {
	switch {
	case (o.cert == "") != (o.key == ""):
		return errors.New("--cert and --key go together")
	case o.mount == "" && (len(o.as) > 0 || o.input):
		return errors.New("--as and --input need --mount")
	case o.patience <= 0:
		return errors.New("--timeout must be more than 0")
	}
	for _, text := range o.pipes {
		if _, err := parsePipe(text); err != nil {
			return err
		}
	}
	_, err := o.choices()
	return err
}

// serve does the program's work.
func (c *cli) serve(ctx context.Context) (err error) {
	if !c.opt.verbose {
		c.quiet()
	}
	a := &app{opt: c.opt, out: &transcript{w: c.stdout}, log: newLog(c.stderr, c.opt.verbose)}
	if c.opt.script != "" {
		if a.next, a.out.typed, err = openScript(c.opt.script, c.stdin); err != nil {
			return cmdline.Exit{Status: exitUsage, Err: err}
		}
	}
	if c.opt.mount != "" {
		if a.mounts, err = openMounts(&c.opt, a.log); err != nil {
			return cmdline.Failure(err)
		}
		defer a.mounts.close()
	}
	if err := a.serve(ctx); err != nil {
		return cmdline.Failure(err)
	}
	return nil
}

func newLog(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// openScript returns a function that returns the commands one by one. A file is
// read completely first.
func openScript(name string, stdin io.Reader) (next func() (*statement, error), typed bool, err error) {
	if name == "-" {
		return newLines(stdin).next, isTerminal(stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	script, err := parseScript(f)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	return func() (*statement, error) {
		if len(script) == 0 {
			return nil, io.EOF
		}
		st := script[0]
		script = script[1:]
		return st, nil
	}, false, nil
}

func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
