// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"bytes"
	"sync"
	"sync/atomic"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// handle is one open: an input queue, and a lane each for writes and for
// IOControls that go to the device.
//
// Shutdown: Close empties the queue and the lanes and interrupts the goroutine
// that fills the queue; the last of the goroutines and Close to be through
// starts the one that closes the node. A worker that is stuck in the kernel is
// through when the driver lets it go; until then it keeps the node.
type handle struct {
	dev         *Device
	node        node
	facts       facts
	desc        *hidreport.Descriptor
	read, write bool
	grant       *devnode.Grant

	input            input
	writes, controls lane
	mu               sync.Mutex
	closed           bool
	// users are the goroutines, the requests in Do and the open handle
	// itself.
	users atomic.Int32
}

// newHandle makes the handle of an opened node, which it owns unless it fails.
func newHandle(d *Device, o opened, r pnp.OpenRequest) (*handle, error) {
	if r.Disposition == pnp.CREATE_NEW {
		return nil, pnp.ERROR_FILE_EXISTS
	}
	desc, err := hidreport.Parse(o.descriptor)
	if err != nil {
		return nil, notSupported{err}
	}
	h := &handle{dev: d, node: o.node, facts: o.facts, desc: desc, read: o.read, write: o.write}
	if h.grant, err = d.share.Open(h.read, h.write, r.Share); err != nil {
		return nil, err
	}
	h.users.Store(1)
	h.writes.h, h.controls.h = h, h
	h.input.start(h)
	return h, nil
}

// notSupported is an error of ERROR_NOT_SUPPORTED with a reason.
type notSupported struct{ error }

func (e notSupported) Unwrap() error { return pnp.ERROR_NOT_SUPPORTED }

// Try implements pnp.Handle. It takes every request: what cannot wait is done,
// the rest is queued.
func (h *handle) Try(r *pnp.Request) bool {
	h.Do(r)
	return true
}

// Do implements pnp.Handle. It does not wait.
func (h *handle) Do(r *pnp.Request) {
	if !h.enter() {
		h.complete(r, pnp.ERROR_OPERATION_ABORTED, 0)
		return
	}
	defer h.leave()
	switch r.Op {
	case pnp.OpRead:
		h.doRead(r)
	case pnp.OpWrite:
		h.doWrite(r)
	case pnp.OpIOControl:
		h.doControl(r)
	default:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
	}
}

// enter begins a use of the node, which leave ends. It fails once the handle is
// closed: by then the number of the descriptor may be somebody else's.
func (h *handle) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.users.Add(1)
	}
	return !h.closed
}

func (h *handle) doRead(r *pnp.Request) {
	length := h.desc.ByteLength(Input)
	switch {
	case !h.read:
		r.Complete(pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Out) == 0:
		r.Complete(pnp.S_OK, 0)
	case length == 0:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
	case len(r.Out) < length:
		r.Complete(ERROR_INVALID_USER_BUFFER, 0)
	default:
		h.input.submit(r)
	}
}

func (h *handle) doWrite(r *pnp.Request) {
	switch {
	case !h.write:
		r.Complete(pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.In) == 0:
		r.Complete(pnp.S_OK, 0)
	default:
		report, hr := h.outgoing(Output, r.In)
		if hr.Failed() {
			r.Complete(hr, 0)
			return
		}
		h.writes.submit(r, func() (pnp.HRESULT, int, []byte) {
			n, err := h.node.write(report)
			if err == nil && n == 0 {
				return pnp.ERROR_IO_DEVICE, 0, nil
			}
			return result(h.node, err), n, nil
		})
	}
}

// outgoing is the report of kind k in data, in a buffer of its own, as hidraw
// takes it.
func (h *handle) outgoing(k Kind, data []byte) ([]byte, pnp.HRESULT) {
	longest := h.desc.ByteLength(k)
	switch {
	case longest == 0:
		return nil, pnp.ERROR_INVALID_FUNCTION
	case len(data) == 0:
		return nil, ERROR_INVALID_USER_BUFFER
	case len(data) < longest:
		return nil, pnp.ERROR_INVALID_PARAMETER
	}
	id := data[0]
	if !h.desc.UsesIDs(k) {
		id = 0
	}
	n, ok := h.desc.ReportLength(k, id)
	if !ok {
		return nil, pnp.ERROR_INVALID_PARAMETER
	}
	report := bytes.Clone(data[:n])
	report[0] = id
	return report, pnp.S_OK
}

// Cancel implements pnp.Handle. A cancelled read loses nothing: the next report
// goes to the next read.
func (h *handle) Cancel(r *pnp.Request) {
	var found bool
	switch r.Op {
	case pnp.OpRead:
		found = h.input.cancel(r)
	case pnp.OpWrite:
		found = h.writes.cancel(r)
	case pnp.OpIOControl:
		found = h.controls.cancel(r)
	}
	// Otherwise it is about to be completed, or yet to come: then Cancelled
	// says so.
	if found {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
}

// Close implements pnp.Handle.
func (h *handle) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.grant.Release()
	pending := append(h.input.close(), append(h.writes.close(), h.controls.close()...)...)
	h.node.interrupt()
	h.leave()
	for _, r := range pending {
		h.complete(r, pnp.ERROR_OPERATION_ABORTED, 0)
	}
}

// complete lets no panic out: it would keep the requests behind r from
// completing.
func (h *handle) complete(r *pnp.Request, hr pnp.HRESULT, n int) {
	defer pnp.Guard(h.dev.log, "completing a request for "+h.dev.path, nil)
	r.Complete(hr, n)
}

// leave ends one use of the node. Closing may wait, which no caller of the
// handle may.
func (h *handle) leave() {
	if h.users.Add(-1) > 0 {
		return
	}
	go func() {
		defer pnp.Guard(h.dev.log, "closing "+h.dev.path, nil)
		if err := h.node.close(); err != nil {
			h.dev.log.Warn("closing failed", "err", err)
		}
	}()
}
