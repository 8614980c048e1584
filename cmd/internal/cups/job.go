// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// job is what CUPS wants printed.
type job struct {
	from   *os.File
	copies int
}

// newJob opens the job: a file that is to be printed several times, or standard input, which
// has all copies already.
func (b *Backend) newJob(args []string) (job, error) {
	if len(args) < 6 {
		return job{b.stdin, 1}, nil
	}
	copies, err := strconv.Atoi(args[3])
	if err != nil || copies < 1 {
		return job{}, fmt.Errorf("%q is not a number of copies", args[3])
	}
	f, err := os.Open(args[5])
	return job{f, copies}, err
}

// print prints a job.
func (b *Backend) print(ctx context.Context, args []string) int {
	to, err := parse(b.env("DEVICE_URI"))
	if err != nil {
		b.say("ERROR: %v", err)
		return statusStop
	}
	j, err := b.newJob(args) // as root: the file is CUPS's
	if err != nil {
		b.say("ERROR: opening the job: %v", err)
		return statusFailed
	}
	u, err := byName(ctx, to.user)
	if err == nil {
		err = u.become()
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return statusRetryCurrent
	default:
		b.say("ERROR: %v", err)
		return statusStop
	}
	done := make(chan int, 1)
	go func() { done <- b.deliver(ctx, u, to, j) }()
	select {
	case status := <-done:
		return status
	case <-ctx.Done():
		// CUPS knows what becomes of a job that it ends itself: it was cancelled, or is
		// to be printed later. But the signal may also be the machine's that shuts down,
		// and any other status would lose the job then.
		return statusRetryCurrent
	}
}

// deliver prints the job when the printer is there. Signals end calls to the printer, and
// Go's runtime sends some to all its threads. So it has a thread of its own that takes none.
func (b *Backend) deliver(ctx context.Context, u user, to destination, j job) int {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	if err := blockSignals(); err != nil {
		b.say("ERROR: blocking signals: %v", err)
		return statusFailed
	}
	fd, err := b.await(ctx, u, to)
	switch {
	case err == nil:
	case !waitFor(err):
		b.say("ERROR: %s of %s cannot be opened: %v", to.name, to.user, err)
		return statusFailed
	case b.env("CLASS") != "":
		b.say("INFO: %s of %s does not take jobs (%v): another printer of the class may", to.name, to.user, err)
		return statusFailed // with which CUPS takes the next one
	default:
		return statusRetryCurrent
	}
	b.say("STATE: -offline-report")
	b.say("INFO: sending the job to %s of %s", to.name, to.user)
	switch err := j.send(fd); {
	case err == nil:
		b.say("INFO: %s of %s has the job", to.name, to.user)
		return statusOK
	case isOne(err, gone):
		b.say("INFO: %s of %s has gone: the job begins anew", to.name, to.user)
		sleep(ctx, b.again) // if it has not really gone, the next job would fail at once
		return statusRetryCurrent
	default:
		b.say("ERROR: %v", err)
		return statusFailed
	}
}

func blockSignals() error {
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i]--
	}
	return unix.PthreadSigmask(unix.SIG_BLOCK, &all, nil)
}

// waitFor reports whether a printer that cannot be opened may be there later.
func waitFor(err error) bool {
	return errors.Is(err, errAbsent) || errors.Is(err, errNoPrinter) || isOne(err, gone) || isOne(err, later)
}

// await opens the printer, once it is there.
func (b *Backend) await(ctx context.Context, u user, to destination) (int, error) {
	patience := b.patience
	if b.env("CLASS") != "" {
		patience = 0
	}
	said := ""
	for end := time.Now().Add(patience); ; {
		p, err := find(b.sessions, u, to.name)
		if err == nil {
			var fd int
			if fd, err = p.open(); err == nil {
				return fd, nil
			}
		}
		if !waitFor(err) {
			return -1, err
		}
		if why := err.Error(); why != said {
			said = why
			if !isOne(err, later) {
				b.say("STATE: +offline-report")
			}
			b.say("INFO: waiting for %s of %s: %s", to.name, to.user, why)
		}
		sleep(ctx, b.again)
		if ctx.Err() != nil || !time.Now().Before(end) {
			return -1, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// send writes the job and closes fd. Without an error, the client has answered that it has
// everything.
func (j job) send(fd int) (err error) {
	defer func() {
		if e := unix.Close(fd); err == nil && e != nil {
			err = fmt.Errorf("closing the printer: %w", e)
		}
	}()
	buf := make([]byte, 128<<10)
	for i := range j.copies {
		if i > 0 {
			if _, err := j.from.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("reading the job: %w", err)
			}
		}
		if err := j.copyTo(fd, buf); err != nil {
			return err
		}
	}
	if err := unix.Fsync(fd); err != nil && err != unix.EINVAL { // not of FUSE
		return fmt.Errorf("writing to the printer: %w", err)
	}
	return nil
}

func (j job) copyTo(fd int, buf []byte) error {
	for {
		n, err := j.from.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return fmt.Errorf("writing to the printer: %w", err)
			}
			rest = rest[n:]
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the job: %w", err)
		}
	}
}
