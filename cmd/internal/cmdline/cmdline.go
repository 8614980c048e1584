// SPDX-License-Identifier: Apache-2.0

// Package cmdline runs the command line of a program, and says what went wrong in the same
// way in all of them.
package cmdline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	OK     = 0
	Failed = 1
	Usage  = 2 // of the command line
)

// Exit is an error with an exit status. Without an Err, all has been said already.
type Exit struct {
	Status int
	Err    error
}

func (e Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprint("exit status ", e.Status)
	}
	return e.Err.Error()
}

func (e Exit) Unwrap() error { return e.Err }

// Failure is an error that is not in the command line.
func Failure(err error) error {
	var exit Exit
	if errors.As(err, &exit) {
		return err
	}
	return Exit{Failed, err}
}

// Run carries out a command line, says what went wrong and returns the exit status. An error
// is one of the command line unless it is an Exit.
func Run(ctx context.Context, root *cobra.Command, args []string, out, errs io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return OK
	}
	var exit Exit
	if !errors.As(err, &exit) {
		err = fmt.Errorf("%w; see %s --help", err, root.Name())
		exit = Exit{Usage, err}
	}
	if exit.Err != nil {
		fmt.Fprintf(errs, "%s: %s\n", root.Name(), Clean(err.Error()))
	}
	return exit.Status
}

// Clean replaces characters that a terminal would act on: others choose the names of devices.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
