// SPDX-License-Identifier: Apache-2.0

// Command pnpdr-server is the reference server of [MS-RDPEPNP]: an RDP server
// that sees the Plug and Play devices which a client redirects and uses them as
// a script says. It serves tests, tries without Windows, and as an example of
// how the packages cshim/server and channels/server are used.
//
//	go build ./cmd/pnpdr-server                  stands on FreeRDP 3
//	go build -tags freerdp2 ./cmd/pnpdr-server   stands on FreeRDP 2.11
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

const version = "0.1.0"

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // of the script or the session
	exitUsage  = 2 // of the command line, or a script that cannot be understood
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	quietFreeRDP(os.Args[1:])
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// quietFreeRDP keeps FreeRDP's own log for --verbose, as it takes every client
// that hangs up for an error. It does what WLOG_LEVEL says if that is set.
func quietFreeRDP(args []string) {
	o, err := parseFlags(args)
	if _, set := os.LookupEnv("WLOG_LEVEL"); !set && err == nil && !o.verbose {
		// FreeRDP reads it when it is first used. Failing costs only quiet.
		_ = os.Setenv("WLOG_LEVEL", "OFF")
	}
}

// options are the command line.
type options struct {
	listen, portFile string
	cert, key        string
	script           string
	once             bool
	verbose          bool
	runOptions
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(status int, err error) int {
		fmt.Fprintln(stderr, "pnpdr-server:", err)
		return status
	}
	o, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return exitOK
	case errors.Is(err, errVersion):
		fmt.Fprintf(stdout, "pnpdr-server %s (%s)\n", version, runtime.Version())
		return exitOK
	case err != nil:
		return fail(exitUsage, fmt.Errorf("%w; --help describes the options", err))
	}

	a := &app{opt: o, out: &transcript{w: stdout}, log: newLog(stderr, o.verbose)}
	if o.script != "" {
		if a.next, a.out.typed, err = openScript(o.script, stdin); err != nil {
			return fail(exitUsage, err)
		}
	}
	if err := a.serve(ctx); err != nil {
		if err == errFailed {
			return exitFailed // the transcript says all
		}
		return fail(exitFailed, err)
	}
	return exitOK
}

func newLog(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

var errVersion = errors.New("version")

// parseFlags returns flag.ErrHelp or errVersion if that is what was asked for.
func parseFlags(args []string) (options, error) {
	var o options
	var showVersion bool
	flags := newFlags(&o, &showVersion)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case showVersion:
		return o, errVersion
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no option", flags.Arg(0))
	case (o.cert == "") != (o.key == ""):
		return o, errors.New("--cert and --key go together")
	case o.patience <= 0:
		return o, errors.New("--timeout must be more than 0")
	}
	return o, nil
}

func newFlags(o *options, showVersion *bool) *flag.FlagSet {
	f := flag.NewFlagSet("pnpdr-server", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.listen, "listen", "127.0.0.1:3389", "accept clients on `ADDRESS`; port 0 is any that is free")
	f.StringVar(&o.portFile, "port-file", "", "write the port to `FILE` once clients can come")
	f.StringVar(&o.cert, "cert", "", "PEM `FILE` of the TLS certificate; without it one is made at each start")
	f.StringVar(&o.key, "key", "", "PEM `FILE` of the certificate's private key")
	f.StringVar(&o.script, "script", "", "carry out the commands in `FILE`, or - for standard input, with the first client's devices, and end")
	f.BoolVar(&o.once, "once", false, "end after the first client")
	f.BoolVar(&o.allowShell, "allow-shell", false, "let the script run programs on this machine")
	f.DurationVar(&o.patience, "timeout", 30*time.Second, "give up on a command of the script after this `TIME`")
	f.BoolVar(&o.verbose, "verbose", false, "log what goes on to standard error")
	f.BoolVar(showVersion, "version", false, "print the version")
	return f
}

func usage() string {
	var b strings.Builder
	b.WriteString(`Usage: pnpdr-server [OPTION]...

An RDP server that uses the Plug and Play devices of its clients [MS-RDPEPNP].
Without --script it tells which devices come and go, for every client, until it
is interrupted. Everybody who can connect is welcome, whatever the password.

Options:
`)
	newFlags(new(options), new(bool)).VisitAll(func(f *flag.Flag) {
		name, about := flag.UnquoteUsage(f)
		line := strings.TrimSpace("--" + f.Name + " " + name)
		if f.DefValue != "" && f.DefValue != "false" {
			about += " (" + f.DefValue + ")"
		}
		for i, text := range wrap(about, 56, "") {
			if i > 0 {
				line = ""
			}
			fmt.Fprintf(&b, "  %-20s %s\n", line, text)
		}
	})
	b.WriteString(`
The exit status is 0 if every command of the script did what it should, 1 if one
did not, and 2 if the options or the script cannot be understood.

Commands of a script:
`)
	for _, line := range scriptHelp() {
		b.WriteString(strings.TrimRight("  "+line, " ") + "\n")
	}
	return b.String()
}

// openScript returns what gives one command after the other. Those of a file
// have all been read.
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
