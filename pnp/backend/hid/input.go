// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/queue"
)

// How many reports the input queue of a handle holds at first, and the limits of
// HidD_SetNumInputBuffers.
const (
	// defaultInputBuffers is more than Windows' 32, because between two reads lies the
	// way to the server and back: 32 reports of a pen that sends 400 a second, if
	// a way takes 40 ms. So there is room for three times more.
	defaultInputBuffers = 128
	minInputBuffers     = 2
	maxInputBuffers     = 512

	// inputBytes is how much memory the input queues of all handles of a device
	// may take. Each handle may use an equal part of it, but at least one report.
	inputBytes = 1 << 20
	// reportOverhead is what a report takes beside its bytes, at most.
	reportOverhead = 64

	// kernelQueue is no less than the kernel's own queue can hold
	// (HIDRAW_BUFFER_SIZE).
	kernelQueue = 64
)

// input is the input queue of a handle. Reads wait while there is no report. The handle's
// queue is its lock.
type input struct {
	h *handle

	reports [][]byte // in Windows' layout, not padded
	limit   int      // of reports
	bytes   int      // that the reports take
	// memory is the session's. Of it, taken bytes are this queue's: at least least,
	// which are enough for buffer and one report.
	memory       *pnp.Memory
	taken, least int
	// buffer has room for the longest report in Windows' layout; nil if the
	// device has no input reports or the handle may not read.
	buffer []byte
	// end is the error of reads once the reports are used up; S_OK while more
	// reports can come.
	end pnp.HRESULT
}

// start initializes the queue, and starts the goroutine that fills it if the handle
// can read reports. It fails if the session has no memory left.
func (in *input) start(h *handle, memory *pnp.Memory) error {
	in.h, in.limit = h, defaultInputBuffers
	n := h.desc.ByteLength(hidreport.Input)
	if !h.read || n == 0 {
		return nil
	}
	in.memory, in.least = memory, 2*n+reportOverhead
	if !memory.Take(in.least) {
		return fmt.Errorf("the session's memory for input is used up: %w", pnp.ERROR_NO_SYSTEM_RESOURCES)
	}
	in.taken = in.least
	in.buffer = make([]byte, n)
	h.dev.queues.Add(1)
	h.q.Enter()
	go in.fill()
	return nil
}

// tryRead completes a read if there is a report for it or the end has come. If there is room,
// the read takes the reports that follow too. The queue is locked.
func (h *handle) tryRead(it *queue.Item) {
	in, out := &h.input, it.R.Out
	if len(in.reports) == 0 {
		if in.end != pnp.S_OK {
			h.q.Finish(it, in.end, 0)
		}
		return
	}
	n := h.desc.ByteLength(hidreport.Input)
	count := min(len(in.reports), len(out)/n)
	for i, report := range in.reports[:count] {
		room := out[i*n:][:n]
		clear(room[copy(room, report):])
	}
	in.drop(count)
	h.q.Finish(it, pnp.S_OK, count*n)
}

// fill moves reports from the kernel's queue to this one until the device or the
// handle goes away. It needs no slot, because it only waits in the runtime's poller.
// hidraw's read honours O_NONBLOCK: it takes reports from a list in memory, under a
// lock that is never held while waiting for the device.
func (in *input) fill() {
	h := in.h
	defer h.q.Leave()
	defer pnp.Guard(h.dev.log, "reading "+h.dev.path, func() { in.fail(pnp.E_UNEXPECTED) })
	err := h.node.wait(func() bool {
		for {
			switch in.take() {
			case nothing:
				return false
			case ended:
				return true
			}
		}
	})
	if err != nil {
		// The handle is closing, or else the poller failed.
		in.fail(result(h.node, err, 0))
	}
}

// fail ends the queue with hr unless it has ended already.
func (in *input) fail(hr pnp.HRESULT) {
	in.h.q.Lock()
	defer in.h.q.Unlock()
	in.finish(hr)
}

// finish is fail for a caller that has locked the queue.
func (in *input) finish(hr pnp.HRESULT) {
	if in.end != pnp.S_OK {
		return
	}
	in.end = hr
	in.h.reads.Kick()
}

// forget drops all reports when the handle closes.
func (in *input) forget() {
	in.h.q.Lock()
	defer in.h.q.Unlock()
	in.reports, in.bytes = nil, 0
	in.memory.Give(in.taken)
	in.taken = 0
	if in.buffer != nil {
		in.h.dev.queues.Add(-1)
	}
}

// outcome is the result of an attempt to read a report.
type outcome uint8

const (
	took    outcome = iota // a report was read
	nothing                // no report yet
	ended                  // no more reports will come
)

// take moves one report from the kernel's queue to this one, and serves the first
// read that waits.
func (in *input) take() outcome {
	q := in.h.q
	q.Lock()
	defer q.Unlock()
	if in.end != pnp.S_OK || q.Ended() != pnp.S_OK {
		return ended
	}
	report, o := in.next()
	if report != nil {
		in.reports = append(in.reports, slices.Clone(report))
		in.bytes += len(report) + reportOverhead
		in.h.reads.Kick()
		in.trim()
	}
	return o
}

// next reads a report into the buffer and returns it in Windows' layout. It returns
// nil for a report that is not the device's. The queue is locked: reading does not
// block.
func (in *input) next() ([]byte, outcome) {
	ids := in.h.desc.UsesIDs(hidreport.Input)
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
		in.finish(result(in.h.node, err, 0))
		return nil, ended
	case n == 0: // hidraw never returns an empty report
		in.finish(pnp.ERROR_DEVICE_NOT_CONNECTED)
		return nil, ended
	case !ids:
		return in.buffer[:1+n], took
	}
	if _, ok := in.h.desc.ReportLength(hidreport.Input, b[0]); !ok {
		// Each handle to the node gets the reports of all its collections.
		if in.h.dev.src.Collection == 0 {
			in.h.dev.log.Debug("dropped an input report with an undeclared id", "id", b[0])
		}
		return nil, took
	}
	return b[:n], took
}

// trim drops the oldest reports beyond the limit, beyond the handle's part of the
// device's memory, and beyond what is left of the session's. The queue is locked.
func (in *input) trim() {
	share := inputBytes / max(int(in.h.dev.queues.Load()), 1)
	over, bytes := 0, in.bytes
	for n := len(in.reports); n-over > in.limit || n-over > 1 && (bytes > share || !in.reserve(bytes)); over++ {
		bytes -= len(in.reports[over]) + reportOverhead
	}
	if over > 0 {
		in.drop(over)
		in.h.dev.log.Debug("input queue full: dropped the oldest reports", "reports", over)
	}
}

// reserve makes sure that the queue has taken enough of the session's memory for reports of
// that many bytes. It returns false if there is not enough. The queue is locked.
func (in *input) reserve(bytes int) bool {
	more := max(len(in.buffer)+bytes, in.least) - in.taken
	if more > 0 && !in.memory.Take(more) {
		return false
	}
	in.taken += max(more, 0)
	return true
}

// drop takes out the first n reports. The queue is locked.
func (in *input) drop(n int) {
	for _, report := range in.reports[:n] {
		in.bytes -= len(report) + reportOverhead
	}
	in.reports = slices.Delete(in.reports, 0, n)
	in.give()
}

// give gives back what the reports do not need any more. The queue is locked.
func (in *input) give() {
	less := max(in.taken-max(len(in.buffer)+in.bytes, in.least), 0)
	in.memory.Give(less)
	in.taken -= less
}

// buffers returns how many reports the queue can hold.
func (in *input) buffers() int {
	in.h.q.Lock()
	defer in.h.q.Unlock()
	return in.limit
}

// setBuffers sets how many reports the queue can hold.
func (in *input) setBuffers(n uint32) pnp.HRESULT {
	if n < minInputBuffers || n > maxInputBuffers {
		return pnp.ERROR_INVALID_PARAMETER
	}
	in.h.q.Lock()
	defer in.h.q.Unlock()
	in.limit = int(n)
	in.trim()
	return pnp.S_OK
}

// flush drops every report that has arrived, including those in the kernel's queue.
// Pending reads go on waiting.
func (in *input) flush() {
	in.h.q.Lock()
	defer in.h.q.Unlock()
	in.reports, in.bytes = nil, 0
	if in.buffer != nil {
		in.give()
		in.drain()
	}
}

// drain empties the kernel's queue. The queue is locked.
func (in *input) drain() {
	for range kernelQueue {
		if in.end != pnp.S_OK {
			return
		}
		if _, o := in.next(); o != took {
			return
		}
	}
}
