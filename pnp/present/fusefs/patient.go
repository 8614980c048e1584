// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/ahead"
)

// patiently calls do, which waits for the client on behalf of a program's call on a file
// whose bytes stay where they are. On a disk such a call is not interrupted by a signal,
// and programs do not expect EINTR from close: timers and child processes that end are no
// reason to fail, and Go's runtime sends signals to its threads all the time. The kernel
// does not say which signal it was. So a call that was interrupted is made again, unless
// the signal is one that ends a program.
func patiently(cancel <-chan struct{}, thread uint32, do func(context.Context) error) error {
	err := do(interrupt(cancel))
	if err == nil || present.Errno(err) != unix.EINTR || isEnding(thread) {
		return err
	}
	// The kernel interrupts a request only once.
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan struct{})
	defer func() { <-done }()
	defer stop()
	go func() {
		defer close(done)
		tick := time.NewTicker(endingInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if isEnding(thread) {
					stop()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return do(ctx)
}

// WhileRunning returns a context for a call of a program's thread, of which ctx ends when the
// kernel interrupts it: it ends then only if the program ends, see patiently. stop is called
// at the end of the call.
func WhileRunning(ctx context.Context, thread uint32) (running context.Context, stop func()) {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		for !isEnding(thread) {
			select {
			case <-time.After(endingInterval):
			case <-running.Done():
				return
			}
		}
		end()
	})
	return running, func() { forget(); end() }
}

// unhurried is a handle whose requests wait while the client has too many of others.
type unhurried struct{ *handle }

func (h unhurried) ReadAt(ctx context.Context, p []byte, off uint64) (int, error) {
	return ahead.Patiently(ctx, func() (int, error) { return h.handle.ReadAt(ctx, p, off) })
}

func (h unhurried) WriteAt(ctx context.Context, p []byte, off uint64) (int, error) {
	return ahead.Patiently(ctx, func() (int, error) { return h.handle.WriteAt(ctx, p, off) })
}

func (h unhurried) IOControl(ctx context.Context, code uint32, in, out []byte) (int, error) {
	return ahead.Patiently(ctx, func() (int, error) { return h.handle.IOControl(ctx, code, in, out) })
}

// endingInterval is how often to look whether a program ends.
const endingInterval = 50 * time.Millisecond

// isEnding reports whether a signal that ends programs waits for a thread, or another one
// that it does not handle: neither one that it blocks, nor one that only suspends it
// (SIGSTOP), since it goes on after that. A thread that cannot be looked at is ending, too.
func isEnding(thread uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return true
	}
	var pending, blocked, caught uint64
	for _, line := range bytes.Split(status, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "SigPnd", "ShdPnd":
			pending |= set
		case "SigBlk":
			blocked = set
		case "SigCgt":
			caught = set
		}
	}
	const ends = 1<<(unix.SIGINT-1) | 1<<(unix.SIGTERM-1) | 1<<(unix.SIGQUIT-1) | 1<<(unix.SIGHUP-1)
	const suspends = 1<<(unix.SIGSTOP-1) | 1<<(unix.SIGTSTP-1) | 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)
	return pending&^blocked&(ends|^(caught|suspends)) != 0
}
