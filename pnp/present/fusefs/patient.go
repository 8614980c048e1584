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
)

// patiently calls do, which waits for the client on behalf of a program's call on a file
// whose bytes stay where they are. On a disk such a call is not interrupted by a signal,
// and programs do not expect EINTR from close: timers and child processes that end are no
// reason to fail, and Go's runtime sends signals to its threads all the time. The kernel
// does not say which signal it was. So a call that was interrupted is made again, unless
// the signal is one by which a program is stopped.
func patiently(cancel <-chan struct{}, thread uint32, do func(context.Context) error) error {
	err := do(interrupt(cancel))
	if err == nil || present.Errno(err) != unix.EINTR || isStopped(thread) {
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
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if isStopped(thread) {
					stop()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return do(ctx)
}

// isStopped reports whether a signal that stops programs waits for a thread, or another
// one that it does not handle. A thread that cannot be looked at is stopped, too.
func isStopped(thread uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if err != nil {
		return true
	}
	var pending, caught uint64
	for _, line := range bytes.Split(status, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		set, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "SigPnd", "ShdPnd":
			pending |= set
		case "SigCgt":
			caught = set
		}
	}
	const stops = 1<<(unix.SIGINT-1) | 1<<(unix.SIGTERM-1) | 1<<(unix.SIGQUIT-1) | 1<<(unix.SIGHUP-1)
	return pending&(stops|^caught) != 0
}
