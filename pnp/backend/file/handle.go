// SPDX-License-Identifier: Apache-2.0

package file

import (
	"math"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// depth bounds how many requests of one handle the kernel has at a time: on a
// disk that answers it is the depth of its queue.
const depth = 16

// handle is one open. Requests are done in any order, as far as they cannot be
// done at once. A read of a disk cannot be interrupted: one that is cancelled
// is answered, and the kernel keeps its buffer until it is through.
type handle struct {
	dev         *Device
	fd          int
	read, write bool
	memory      bool // see inMemory
	grant       *devnode.Grant

	q      *queue.Queue
	lane   *queue.Lane
	noWait bool // RWF_NOWAIT is worth a try; guarded by q
}

func newHandle(d *Device, n devnode.Node, g *devnode.Grant, w pnp.Workers) *handle {
	h := &handle{
		dev: d, fd: n.FD, read: n.Read, write: n.Write, grant: g,
		memory: inMemory(n), noWait: true, q: queue.New(d.path, w, d.log),
	}
	h.lane = h.q.Add(queue.Lane{Width: depth, Try: h.try, Do: h.do})
	return h
}

// Submit implements pnp.Handle. It reads what is in the page cache, and reads
// and writes files that live in memory. The rest is done in a slot.
func (h *handle) Submit(r *pnp.Request) { h.lane.Submit(r) }

// check returns the result of a request that need not reach the kernel.
func (h *handle) check(r *pnp.Request) (hr pnp.HRESULT, done bool) {
	switch {
	case r.Op == pnp.OpIOControl:
		return pnp.ERROR_INVALID_FUNCTION, true
	case r.Op == pnp.OpRead && !h.read, r.Op == pnp.OpWrite && !h.write:
		return pnp.ERROR_ACCESS_DENIED, true
	case r.Offset > math.MaxInt64: // C-19
		return pnp.ERROR_INVALID_PARAMETER, true
	}
	return pnp.S_OK, len(r.Buffer()) == 0
}

// Cancel implements pnp.Handle: r completes at once. A read or write that the
// kernel is at goes on there, and a write may still take effect.
func (h *handle) Cancel(r *pnp.Request) { h.q.Cancel(r) }

// Close implements pnp.Handle.
func (h *handle) Close(released func()) {
	h.grant.Release()
	h.q.Close(h.close, released)
}

func (h *handle) close() {
	if err := unix.Close(h.fd); err != nil {
		h.dev.log.Warn("closing failed; written data may be lost", "err", err)
	}
}
