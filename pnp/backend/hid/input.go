// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// The number of reports that the input queue of a handle holds, and what it can
// be set to (HidD_SetNumInputBuffers).
const (
	defaultInputBuffers = 32
	minInputBuffers     = 2
	maxInputBuffers     = 512

	// kernelQueue is at least what the kernel's own queue holds
	// (HIDRAW_BUFFER_SIZE).
	kernelQueue = 64
)

// input is the input queue of a handle. Either reads wait or reports do, never
// both.
type input struct {
	h *handle

	mu      sync.Mutex
	waiting []*pnp.Request
	reports [][]byte // in Windows' layout, not padded
	limit   int      // of reports
	// buffer is what a report is read into, as long as the longest one in
	// Windows' layout.
	buffer []byte
	// end is what reads fail with once the reports are gone; S_OK as long as
	// there will be more.
	end pnp.HRESULT
}

// start makes the queue ready for use and starts the goroutine that fills it, if
// there is anything to fill it with.
func (in *input) start(h *handle) {
	in.h, in.limit = h, defaultInputBuffers
	if n := h.desc.ByteLength(Input); h.read && n > 0 {
		in.buffer = make([]byte, n)
		h.users.Add(1)
		go in.fill()
	}
}

// submit serves r, whose buffer is large enough, or lets it wait.
func (in *input) submit(r *pnp.Request) {
	if hr, n, done := in.begin(r); done {
		in.h.complete(r, hr, n)
	}
}

// begin serves r, or else has it wait.
func (in *input) begin(r *pnp.Request) (hr pnp.HRESULT, n int, done bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case r.Cancelled(): // before it came here
		return pnp.ERROR_OPERATION_ABORTED, 0, true
	case len(in.reports) > 0:
		n = in.give(r, in.reports[0])
		in.reports = slices.Delete(in.reports, 0, 1)
		return pnp.S_OK, n, true
	case in.end != pnp.S_OK:
		return in.end, 0, true
	}
	in.waiting = append(in.waiting, r)
	return pnp.S_OK, 0, false
}

// give puts a report into the buffer of r, which is out of everybody else's
// reach, and returns its length.
func (in *input) give(r *pnp.Request, report []byte) int {
	n := in.h.desc.ByteLength(Input)
	clear(r.Out[copy(r.Out, report):n])
	return n
}

func (in *input) cancel(r *pnp.Request) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	at := slices.Index(in.waiting, r)
	if at < 0 {
		return false
	}
	in.waiting = slices.Delete(in.waiting, at, at+1)
	return true
}

// close returns what is to be cancelled. Nothing begins after it.
func (in *input) close() []*pnp.Request {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reports, in.end = nil, pnp.ERROR_OPERATION_ABORTED
	return in.stop()
}

// stop takes all reads that wait out of the queue. The caller holds mu.
func (in *input) stop() []*pnp.Request {
	pending := in.waiting
	in.waiting = nil
	return pending
}

// fill reads reports until the device or the handle goes away.
func (in *input) fill() {
	defer in.h.leave()
	defer pnp.Guard(in.h.dev.log, "reading "+in.h.dev.path, func() { in.fail(pnp.E_UNEXPECTED) })
	err := in.h.node.wait(func() bool {
		for {
			switch in.readOne() {
			case nothing:
				return false
			case ended:
				return true
			}
		}
	})
	if err != nil {
		// The handle is closing, or else the poller failed.
		in.fail(result(in.h.node, err))
	}
}

// fail ends the reads with hr, if nothing else has ended them.
func (in *input) fail(hr pnp.HRESULT) {
	in.mu.Lock()
	if in.end == pnp.S_OK {
		in.end = hr
	}
	end, pending := in.end, in.stop()
	in.mu.Unlock()
	for _, r := range pending {
		in.h.complete(r, end, 0)
	}
}

// outcome is what came of trying to read a report.
type outcome uint8

const (
	took    outcome = iota // a report
	nothing                // there is none
	ended                  // there will be none any more
)

// readOne reads a report, if there is one, and completes the read that waits
// for it.
func (in *input) readOne() outcome {
	o, served, hr, n := in.takeOne()
	for _, r := range served {
		in.h.complete(r, hr, n)
	}
	return o
}

// takeOne reads a report, if there is one, and returns which reads that
// completes, and how.
func (in *input) takeOne() (_ outcome, served []*pnp.Request, hr pnp.HRESULT, n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var report []byte
	o := ended
	if in.end == pnp.S_OK {
		report, o = in.next()
	}
	switch {
	case o == ended:
		return ended, in.stop(), in.end, 0
	case report == nil:
		return o, nil, pnp.S_OK, 0
	case len(in.waiting) > 0:
		r := in.waiting[0]
		in.waiting = slices.Delete(in.waiting, 0, 1)
		return took, []*pnp.Request{r}, pnp.S_OK, in.give(r, report)
	}
	in.reports = append(in.reports, slices.Clone(report))
	in.trim()
	return took, nil, pnp.S_OK, 0
}

// next reads a report into the buffer and returns it in Windows' layout; nil
// for one that Windows would not let through. The caller holds mu: reading does
// not wait.
func (in *input) next() ([]byte, outcome) {
	ids := in.h.desc.UsesIDs(Input)
	b := in.buffer
	if !ids {
		b[0] = 0
		b = b[1:]
	}
	n, err := in.h.node.read(b)
	switch {
	case err == unix.EAGAIN:
		return nil, nothing
	case err != nil:
		in.end = result(in.h.node, err)
		return nil, ended
	case n == 0: // hidraw has no empty reports
		in.end = pnp.ERROR_DEVICE_NOT_CONNECTED
		return nil, ended
	case !ids:
		return in.buffer[:1+n], took
	}
	if _, ok := in.h.desc.ReportLength(Input, b[0]); !ok {
		in.h.dev.log.Debug("dropped an input report with an id that is not declared", "id", b[0])
		return nil, took
	}
	return b[:n], took
}

// trim drops what is too much, the oldest first. The caller holds mu.
func (in *input) trim() {
	if over := len(in.reports) - in.limit; over > 0 {
		in.reports = slices.Delete(in.reports, 0, over)
		in.h.dev.log.Debug("input queue full: dropped the oldest reports", "reports", over)
	}
}

// buffers is how many reports the queue holds at most.
func (in *input) buffers() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.limit
}

// setBuffers sets how many reports the queue holds at most.
func (in *input) setBuffers(n uint32) pnp.HRESULT {
	if n < minInputBuffers || n > maxInputBuffers {
		return pnp.ERROR_INVALID_PARAMETER
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.limit = int(n)
	in.trim()
	return pnp.S_OK
}

// flush drops every report that has come, in the kernel's queue too. Reads that
// wait go on waiting.
func (in *input) flush() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reports = nil
	if in.buffer != nil {
		in.drain()
	}
}

// drain empties the kernel's queue. The caller holds mu.
func (in *input) drain() {
	for range kernelQueue {
		if in.end != pnp.S_OK {
			return
		}
		if _, o := in.next(); o != took {
			return // if the device has gone, fill goes on from there
		}
	}
}
