// SPDX-License-Identifier: Apache-2.0

// Package rng redirects a hardware random number generator. A read gives random
// bytes, however long the driver takes to gather them.
//
// It is the example of docs/backends.md.
package rng

import (
	"encoding/binary"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/queue"
)

// IOCTL_RNG_GET_COUNT returns how many bytes the handle has read, as a u64.
const IOCTL_RNG_GET_COUNT = 0x00222000

// Device is one generator.
type Device struct {
	src backend.Source
	log *slog.Logger
}

// New makes the device. The node is not looked at until it is opened.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{src, log}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Open implements pnp.Device.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	node, err := d.src.OpenNode(r)
	if err != nil {
		return nil, err
	}
	if node.Read { // a read that waits has a slot to wait in
		err = unix.SetNonblock(node.FD, false)
	}
	var grant *devnode.Grant
	if err == nil {
		grant, err = node.Share(r.Share)
	}
	if err != nil {
		unix.Close(node.FD)
		return nil, fmt.Errorf("open %s: %w", d.src.Path, err)
	}
	h := &handle{node: node, grant: grant, q: queue.New(d.src.Path, r.Workers, d.log)}
	h.reads = h.q.Add(queue.Lane{Do: h.read})
	return h, nil
}

// handle is one open of the device.
type handle struct {
	node  devnode.Node
	grant *devnode.Grant
	q     *queue.Queue
	reads *queue.Lane
	count uint64 // guarded by q
}

// Submit implements pnp.Handle. It must not block: the lane does what may.
func (h *handle) Submit(r *pnp.Request) {
	switch {
	case r.Op == pnp.OpIOControl:
		h.ioControl(r)
	case r.Op == pnp.OpWrite && !h.node.Write, r.Op == pnp.OpRead && !h.node.Read:
		h.q.Answer(r, pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Buffer()) == 0:
		h.q.Answer(r, pnp.S_OK, 0)
	case r.Op == pnp.OpWrite:
		h.q.Answer(r, pnp.ERROR_NOT_SUPPORTED, 0)
	default:
		h.reads.Submit(r)
	}
}

// read does one request. It may block, for it runs in a slot of the session's.
func (h *handle) read(it *queue.Item) (pnp.HRESULT, int) {
	n, err := unix.Read(h.node.FD, it.R.Out)
	for err == unix.EINTR {
		n, err = unix.Read(h.node.FD, it.R.Out)
	}
	if err != nil {
		return pnp.HRESULTOf(devnode.Failure(h.node.FD, err)), 0
	}
	h.q.Lock()
	defer h.q.Unlock()
	h.count += uint64(n)
	return pnp.S_OK, n
}

func (h *handle) ioControl(r *pnp.Request) {
	if r.Code != IOCTL_RNG_GET_COUNT {
		h.q.Answer(r, pnp.ERROR_INVALID_FUNCTION, 0)
		return
	}
	h.q.Lock()
	defer h.q.Unlock()
	h.q.AnswerLocked(r, pnp.S_OK, copy(r.Out, binary.LittleEndian.AppendUint64(nil, h.count)))
}

// Cancel implements pnp.Handle.
func (h *handle) Cancel(r *pnp.Request) { h.q.Cancel(r) }

// Close implements pnp.Handle. The node is closed when no read is in the driver.
func (h *handle) Close(released func()) {
	h.grant.Release()
	h.q.Close(func() { unix.Close(h.node.FD) }, released)
}
