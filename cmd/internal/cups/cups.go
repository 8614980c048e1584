// SPDX-License-Identifier: Apache-2.0

// Package cups is a backend of CUPS for the printers that the clients of remote sessions
// redirect, and that pnpdr-agent serves there: the program that CUPS runs to find printers,
// and for each job.
//
// CUPS runs it as root. What it looks for belongs to a user, who may have put anything
// there, and the kernel lets nobody else into a file system of FUSE. So root looks at
// nothing that is a user's: a process that does has become that user before, for good. For
// a job that is the process itself, which has no way back, and which the user cannot trace,
// as it was root.
package cups

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// The exit statuses of a backend, see cups/backend.h. CUPS keeps the job with all of them
// but the first; with statusFailed the queue's error policy decides.
const (
	statusOK           = 0
	statusFailed       = 1
	statusStop         = 4 // stop the queue
	statusRetryCurrent = 7 // try the job again at once
)

// Backend is one run of the program.
type Backend struct {
	stdin          *os.File
	stdout, stderr io.Writer
	env            func(key string) string
	// sessions has a folder for each user who is logged in: his XDG_RUNTIME_DIR, named by
	// his number.
	sessions string
	// self is how to run this program without arguments.
	self []string
	// again is the time before a printer that is not there is looked for again, and
	// patience how long that goes on. Then CUPS is asked to begin anew: it cancels a job
	// that runs for longer than MaxJobTime, three hours as a rule.
	again, patience time.Duration
	// listPatience is how long the list of one user's printers may take: CUPS waits for 15
	// seconds.
	listPatience time.Duration
}

// New returns a backend that self runs, a command without the arguments of CUPS.
func New(self ...string) *Backend {
	return &Backend{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv,
		sessions: "/run/user", self: self,
		again: time.Second, patience: 5 * time.Minute, listPatience: 8 * time.Second,
	}
}

// Run does what CUPS wants and returns the exit status. The process must exit then: when
// ctx ends, which is how CUPS ends a job, a call to the printer may still be under way. The
// process may have become another user, too.
func (b *Backend) Run(ctx context.Context, args []string) int {
	switch len(args) {
	case 0:
		return b.list(ctx)
	case 5, 6:
		return b.print(ctx, args)
	}
	fmt.Fprintln(b.stderr, "usage, by CUPS: no arguments, or JOB USER TITLE COPIES OPTIONS [FILE]")
	return statusFailed
}

// say tells CUPS something: a line that begins with its kind.
func (b *Backend) say(format string, args ...any) {
	fmt.Fprintf(b.stderr, format+"\n", args...)
}
