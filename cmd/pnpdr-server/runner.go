// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/cmd/internal/cmdline"
)

// runner carries out a script in one session, on one goroutine.
type runner struct {
	session *server.Session
	out     *transcript
	opt     runOptions

	ctx     context.Context // of the session
	devices map[string]*server.Device
	handles map[string]*server.Handle
	jobs    map[string]*job
}

// runOptions are the options of the command line for scripts.
type runOptions struct {
	// patience is how long a command may take.
	patience time.Duration
	// allowShell lets scripts run programs.
	allowShell bool
}

// errFailed says that a command failed. The transcript shows why.
var errFailed = cmdline.Exit{Status: cmdline.Failed}

// errDisconnect ends a script early.
var errDisconnect = errors.New("disconnect")

func newRunner(s *server.Session, out *transcript, opt runOptions) *runner {
	return &runner{
		session: s,
		out:     out,
		opt:     opt,
		devices: make(map[string]*server.Device),
		handles: make(map[string]*server.Handle),
		jobs:    make(map[string]*job),
	}
}

// run carries out the commands from next until io.EOF. A script ends at its
// first failure; at a terminal the user may try again. Handles that are still
// open are closed at the end.
func (r *runner) run(ctx context.Context, next func() (*statement, error)) error {
	r.ctx = ctx
	defer r.end()
	for count := 0; ; count++ {
		r.out.prompt()
		st, err := next()
		if err == nil {
			err = r.execute(st)
		} else if err != io.EOF && ctx.Err() == nil {
			r.out.failed(result{}, err)
			err = errFailed
		}
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return errors.New("the session ended before the script")
		case err == io.EOF || err == errDisconnect:
			if !r.out.typed {
				r.out.note("\n%s, all as expected", plural(count, "command"))
			}
			return nil
		case !r.out.typed:
			return err
		}
	}
}

// end closes what is left.
func (r *runner) end() {
	for _, j := range r.jobs {
		j.cancel()
	}
	for _, h := range r.handles {
		h.Close()
	}
	for _, j := range r.jobs {
		<-j.done
	}
}

func (r *runner) execute(st *statement) error {
	if st.cmd.name != "echo" {
		r.out.command(st.text)
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.opt.patience)
	defer cancel()
	began := time.Now()
	res, err := st.do(ctx, r)
	switch {
	case err == errDisconnect:
		return err
	case err != nil:
		if r.ctx.Err() != nil {
			err = errors.New("the session has ended")
		} else if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("gave up after %s: %w", short(time.Since(began)), err)
		}
		r.out.failed(res, err)
		return errFailed
	}
	r.out.done(res, time.Since(began))
	return nil
}

func echo(_ context.Context, r *runner, st *statement) (result, error) {
	text, err := st.args[0].text()
	if err == nil {
		r.out.heading(text)
	}
	return result{}, err
}

func disconnect(context.Context, *runner, *statement) (result, error) {
	return result{}, errDisconnect
}

func shell(ctx context.Context, r *runner, st *statement) (result, error) {
	if !r.opt.allowShell {
		return result{}, errors.New("scripts may run programs only if the server was started with --allow-shell")
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", string(st.args[0]))
	// Programs left running in the background hold nobody up.
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	res := summary("done")
	if text := strings.TrimRight(string(out), "\n"); text != "" {
		res.details = strings.Split(text, "\n")
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return res, err
}
