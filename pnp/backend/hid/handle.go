// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"bytes"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/queue"
)

// handle is one open of the device: an input queue with the reads that wait for it,
// and one lane each for writes and for IOControls that go to the device.
type handle struct {
	dev         *Device
	node        node
	facts       facts
	raw         []byte // the report descriptor, of the device's collection alone
	desc        *hidreport.Descriptor
	read, write bool
	grant       *devnode.Grant

	q                       *queue.Queue
	reads, writes, controls *queue.Lane
	input                   input
}

// newHandle makes the handle of an opened node. It takes over the node unless it
// fails.
func newHandle(d *Device, o opened, r pnp.OpenRequest) (*handle, error) {
	raw, desc, err := d.part(o.descriptor)
	if err != nil {
		return nil, notSupported{err}
	}
	o.at.Part = d.src.Collection
	h := &handle{
		dev: d, node: o.node, facts: o.facts, raw: raw, desc: desc, read: o.at.Read, write: o.at.Write,
		q: queue.New(d.path, r.Workers, d.log),
	}
	if h.grant, err = o.at.Share(r.Share); err != nil {
		return nil, err
	}
	h.reads = h.q.Add(queue.Lane{Try: h.tryRead})
	h.writes = h.q.Add(queue.Lane{Do: h.doWrite})
	h.controls = h.q.Add(queue.Lane{Do: h.doControl})
	if err = h.input.start(h, r.Memory); err != nil {
		h.grant.Release()
		return nil, err
	}
	return h, nil
}

// part returns what the device is of a node's report descriptor. All that a handle does
// follows it: the reports of other collections are unknown to it.
func (d *Device) part(descriptor []byte) (raw []byte, desc *hidreport.Descriptor, err error) {
	if n := d.src.Collection; n != 0 {
		if descriptor, err = hidreport.Extract(descriptor, n-1); err != nil {
			return nil, nil, err
		}
	}
	desc, err = hidreport.Parse(descriptor)
	return descriptor, desc, err
}

// notSupported is ERROR_NOT_SUPPORTED with a reason.
type notSupported struct{ error }

func (e notSupported) Unwrap() error { return pnp.ERROR_NOT_SUPPORTED }

// Submit implements pnp.Handle.
func (h *handle) Submit(r *pnp.Request) {
	switch r.Op {
	case pnp.OpRead:
		h.submitRead(r)
	case pnp.OpWrite:
		h.submitWrite(r)
	case pnp.OpIOControl:
		h.submitControl(r)
	default:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
	}
}

func (h *handle) submitRead(r *pnp.Request) {
	longest := h.desc.ByteLength(hidreport.Input)
	switch {
	case !h.read:
		r.Complete(pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Out) == 0:
		h.q.Answer(r, pnp.S_OK, 0)
	case longest == 0:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
	case len(r.Out) < longest:
		r.Complete(ERROR_INVALID_USER_BUFFER, 0)
	default:
		h.reads.Submit(r)
	}
}

func (h *handle) submitWrite(r *pnp.Request) {
	switch {
	case !h.write:
		r.Complete(pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.In) == 0:
		h.q.Answer(r, pnp.S_OK, 0)
	default:
		if _, hr := h.outgoing(hidreport.Output, r.In); hr.Failed() {
			r.Complete(hr, 0)
			return
		}
		h.writes.Submit(r)
	}
}

// doWrite sends the report of a write.
func (h *handle) doWrite(it *queue.Item) (pnp.HRESULT, int) {
	report, _ := h.outgoing(hidreport.Output, it.R.In)
	n, err := h.node.write(report)
	if err == nil && n == 0 {
		return pnp.ERROR_IO_DEVICE, 0
	}
	return result(h.node, err, leaving), n
}

// outgoing returns the report of kind k in data, as hidraw takes it. The result is
// a part of data, or a copy if the id has to be changed.
func (h *handle) outgoing(k hidreport.Kind, data []byte) ([]byte, pnp.HRESULT) {
	switch {
	case h.desc.ByteLength(k) == 0:
		return nil, pnp.ERROR_INVALID_FUNCTION
	case len(data) == 0:
		return nil, ERROR_INVALID_USER_BUFFER
	}
	id := data[0]
	if !h.desc.UsesIDs(k) {
		id = 0
	}
	n, ok := h.desc.ReportLength(k, id)
	if !ok || len(data) < h.desc.ByteLength(k) {
		return nil, pnp.ERROR_INVALID_PARAMETER
	}
	report := data[:n]
	if report[0] != id {
		report = bytes.Clone(report)
		report[0] = id
	}
	return report, pnp.S_OK
}

// Cancel implements pnp.Handle. A cancelled read loses nothing: the next report
// goes to the next read.
func (h *handle) Cancel(r *pnp.Request) { h.q.Cancel(r) }

// Close implements pnp.Handle.
func (h *handle) Close(released func()) {
	h.grant.Release()
	h.q.Close(h.close, released)
	h.input.forget()
	h.node.interrupt()
}

func (h *handle) close() {
	if err := h.node.close(); err != nil {
		h.dev.log.Warn("closing failed", "err", err)
	}
}
