// SPDX-License-Identifier: Apache-2.0

package image

import (
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

const (
	// pieceSize is how much one transfer moves at most, since the kernel has memory for
	// some 16 MiB only. It is a multiple of every packet's size.
	pieceSize = 512 << 10
	// keptEvents is how many of the device's reports wait for IOCTL_WAIT_ON_DEVICE_EVENT.
	keptEvents = 64
	// closeLimit is how long an open waits for the handle before it to be closed.
	closeLimit = 5 * time.Second
	// defaultTimeout is usbscan's for reads and writes. For events it has none.
	defaultTimeout = 120 * time.Second
)

// handle is one open.
type handle struct {
	d     *Device
	c     *claim
	grant *devnode.Grant
	fd    int

	q             *queue.Queue
	reads, writes *direction
	waits         *queue.Lane // IOCTL_WAIT_ON_DEVICE_EVENT
	controls      *queue.Lane // what waits for the device's control pipe

	// The queue guards these.
	timeoutEvent time.Duration
	events       [][]byte // that nobody has waited for, oldest first
}

func newHandle(d *Device, c *claim, grant *devnode.Grant, fd int, r pnp.OpenRequest) *handle {
	h := &handle{d: d, c: c, grant: grant, fd: fd, q: queue.New(d.src.Path, r.Workers, d.log)}
	h.reads = newDirection(h, c.layout.find(transferBulk, true))
	h.writes = newDirection(h, c.layout.find(transferBulk, false))
	h.waits = h.q.Add(queue.Lane{Width: 2, Try: h.tryWait})
	h.controls = h.q.Add(queue.Lane{Do: h.control})
	if !r.WantsRead() {
		h.reads.pipe = nil
	}
	if !r.WantsWrite() {
		h.writes.pipe = nil
	}
	return h
}

// Submit implements pnp.Handle.
func (h *handle) Submit(r *pnp.Request) {
	way := h.reads
	if r.Op == pnp.OpWrite {
		way = h.writes
	}
	switch {
	case r.Op == pnp.OpIOControl:
		h.ioControl(r)
	case way.pipe == nil:
		h.q.Answer(r, pnp.ERROR_ACCESS_DENIED, 0)
	case r.Op == pnp.OpRead && len(r.Out) == 0:
		h.q.Answer(r, pnp.S_OK, 0)
	default:
		way.lane.Submit(r)
	}
}

// Cancel implements pnp.Handle. What a cancelled read has brought goes to the next read.
func (h *handle) Cancel(r *pnp.Request) {
	it := h.q.Cancel(r)
	if it == nil {
		return
	}
	h.q.Lock()
	defer h.q.Unlock()
	h.reads.stop(it)
	h.writes.stop(it)
}

// Close implements pnp.Handle.
func (h *handle) Close(released func()) {
	h.grant.Closing(closeLimit)
	h.q.Close(h.close, released)
	h.q.Lock()
	defer h.q.Unlock()
	h.reads.stopAll()
	h.writes.stopAll()
	h.reads.forget()
	h.events = nil
}

// close runs when no transfer is left.
func (h *handle) close() {
	h.c.leave(h)
	unix.Close(h.fd)
	h.grant.Release()
}

// report takes what the device has reported.
func (h *handle) report(data []byte) {
	h.q.Lock()
	defer h.q.Unlock()
	if it := h.waits.First(); it != nil {
		h.q.Finish(it, pnp.S_OK, copy(it.R.Out, data))
		return
	}
	if len(h.events) == keptEvents {
		h.events = h.events[1:]
	}
	h.events = append(h.events, data)
}

// tryWait answers a request for an event, if there is one. The queue is locked.
func (h *handle) tryWait(it *queue.Item) {
	switch p := h.c.layout.find(transferInterrupt, true); {
	case p == nil:
		h.q.Finish(it, pnp.ERROR_NOT_SUPPORTED, 0)
	case len(it.R.Out) < p.maxPacket:
		h.q.Finish(it, pnp.ERROR_INVALID_PARAMETER, 0)
	case h.c.gone():
		h.q.Finish(it, pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
	case len(h.events) > 0:
		data := h.events[0]
		h.events = h.events[1:]
		h.q.Finish(it, pnp.S_OK, copy(it.R.Out, data))
	default:
		h.wait(it)
	}
}

// wait lets a request wait for an event. The queue is locked.
func (h *handle) wait(it *queue.Item) {
	// Nobody listens to a pipe that has failed too often.
	if err := h.c.listen(); err != nil {
		h.q.Finish(it, result(err), 0)
		return
	}
	if h.timeoutEvent > 0 {
		timer := time.AfterFunc(h.timeoutEvent, func() {
			h.q.Lock()
			defer h.q.Unlock()
			h.q.Finish(it, pnp.ERROR_SEM_TIMEOUT, 0)
		})
		it.OnEnd = func() { timer.Stop() }
	}
}
