// SPDX-License-Identifier: Apache-2.0

package file

import (
	"math"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// depth is how many requests of one handle the kernel gets at a time: the depth of
// the disk's queue.
const depth = 16

// handle is one open. Requests that are not done at once are done in any order. A
// read of a disk cannot be interrupted: if it is cancelled, it completes at once, and
// the kernel keeps its buffer until it is done.
type handle struct {
	dev         *Device
	fd          int
	read, write bool
	memory      bool // see inMemory
	block       bool // a block device, which can be unplugged
	grant       *devnode.Grant

	q      *queue.Queue
	lane   *queue.Lane
	noWait bool // RWF_NOWAIT may work; guarded by q
}

func newHandle(d *Device, n devnode.Node, g *devnode.Grant, w pnp.Workers) *handle {
	h := &handle{
		dev: d, fd: n.FD, read: n.Read, write: n.Write, grant: g,
		memory: inMemory(n), block: n.Stat.Mode&unix.S_IFMT == unix.S_IFBLK, noWait: true, q: queue.New(d.path, w, d.log),
	}
	h.lane = h.q.Add(queue.Lane{Width: depth, Try: h.try, Do: h.do})
	return h
}

// Submit implements pnp.Handle. It reads from the page cache, and it reads and writes
// files in memory. A slot does the rest.
func (h *handle) Submit(r *pnp.Request) { h.lane.Submit(r) }

// check returns the result of a request that does not reach the kernel.
func (h *handle) check(r *pnp.Request) (hr pnp.HRESULT, done bool) {
	switch {
	case r.Op == pnp.OpIOControl:
		return h.checkControl(r)
	case r.Op == pnp.OpRead && !h.read, r.Op == pnp.OpWrite && !h.write:
		return pnp.ERROR_ACCESS_DENIED, true
	case r.Offset > math.MaxInt64: // C-19
		return pnp.ERROR_INVALID_PARAMETER, true
	}
	return pnp.S_OK, len(r.Buffer()) == 0
}

// Cancel implements pnp.Handle: r completes at once. A read or write in the kernel
// goes on there, and the write may still take effect.
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
