// SPDX-License-Identifier: Apache-2.0

// Package loopback is the "Ts Fake Device" of [MS-RDPEPNP] 4.2: a device made
// of memory. It lets a user check a set-up without hardware and serves the
// tests and benchmarks.
package loopback

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/pnp"
)

// Size of the store that all handles of a device share, in bytes.
const Size = 1 << 20

// The IoCodes. Any other fails with ERROR_INVALID_FUNCTION.
const (
	// IOCTL_ECHO returns DataIn cut to cbOut.
	IOCTL_ECHO = 0x00222440
	// IOCTL_RAISE_EVENT takes a GUID and a payload and raises that custom
	// event on every open handle of the device.
	IOCTL_RAISE_EVENT = 0x00222444
	// IOCTL_WAIT takes a u32 of milliseconds and completes after that time;
	// Forever waits until it is cancelled.
	IOCTL_WAIT = 0x00222448

	Forever = 0xFFFFFFFF
)

// DefaultDescription describes the device as in example 4.2.
func DefaultDescription() pnp.Description {
	return pnp.Description{
		Name:        "Ts Fake Device",
		HardwareIDs: []string{`WUDF\LB`},
		Interfaces:  []pnp.GUID{pnp.MustGUID("{2B4A9C46-658D-4AF2-A91D-1E691861706C}")},
	}
}

// Device is the loopback device. Nothing it does blocks.
type Device struct {
	description pnp.Description

	mu    sync.RWMutex
	store [Size]byte
	sink  func(pnp.Event)
}

// New makes a device whose store is zero.
func New(d pnp.Description) *Device { return &Device{description: d} }

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.description }

// Notify implements pnp.EventSource.
func (d *Device) Notify(sink func(pnp.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sink = sink
}

// Open implements pnp.Device. It always succeeds at once.
func (d *Device) Open(pnp.OpenRequest) (pnp.Handle, error) {
	return &handle{d: d, waiting: make(map[*pnp.Request]*time.Timer)}, nil
}

type handle struct {
	d      *Device
	closed atomic.Bool

	mu      sync.Mutex                   // also while closed is set
	waiting map[*pnp.Request]*time.Timer // nil timer: for ever
}

// Try implements pnp.Handle. It accepts everything.
func (h *handle) Try(r *pnp.Request) bool {
	if h.closed.Load() {
		r.Complete(pnp.ERROR_INVALID_HANDLE, 0)
		return true
	}
	switch r.Op {
	case pnp.OpRead:
		h.d.read(r)
	case pnp.OpWrite:
		h.d.write(r)
	case pnp.OpIOControl:
		h.ioControl(r)
	}
	return true
}

// Do implements pnp.Handle.
func (h *handle) Do(r *pnp.Request) { h.Try(r) }

func (d *Device) read(r *pnp.Request) {
	if r.Offset >= Size && len(r.Out) > 0 {
		r.Complete(pnp.ERROR_HANDLE_EOF, 0)
		return
	}
	d.mu.RLock()
	n := copy(r.Out, d.store[min(r.Offset, Size):])
	d.mu.RUnlock()
	r.Complete(pnp.S_OK, n)
}

func (d *Device) write(r *pnp.Request) {
	if r.Offset >= Size && len(r.In) > 0 {
		r.Complete(pnp.ERROR_DISK_FULL, 0)
		return
	}
	d.mu.Lock()
	n := copy(d.store[min(r.Offset, Size):], r.In)
	d.mu.Unlock()
	r.Complete(pnp.S_OK, n)
}

func (h *handle) ioControl(r *pnp.Request) {
	switch r.Code {
	case IOCTL_ECHO:
		r.Complete(pnp.S_OK, copy(r.Out, r.In))
	case IOCTL_RAISE_EVENT:
		if len(r.In) < 16 {
			r.Complete(pnp.ERROR_INVALID_PARAMETER, 0)
			return
		}
		h.d.mu.RLock()
		sink := h.d.sink
		h.d.mu.RUnlock()
		if sink != nil {
			sink(pnp.Event{GUID: pnp.GUID(r.In[:16]), Data: r.In[16:]})
		}
		r.Complete(pnp.S_OK, 0)
	case IOCTL_WAIT:
		if len(r.In) < 4 {
			r.Complete(pnp.ERROR_INVALID_PARAMETER, 0)
			return
		}
		h.wait(r, binary.LittleEndian.Uint32(r.In))
	default:
		r.Complete(pnp.ERROR_INVALID_FUNCTION, 0)
	}
}

func (h *handle) wait(r *pnp.Request, ms uint32) {
	h.mu.Lock()
	if h.closed.Load() || r.Cancelled() {
		h.mu.Unlock()
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
		return
	}
	defer h.mu.Unlock()
	h.waiting[r] = nil
	if ms != Forever {
		h.waiting[r] = time.AfterFunc(time.Duration(ms)*time.Millisecond, func() { h.finish(r, pnp.S_OK) })
	}
}

// finish completes a waiting request, once.
func (h *handle) finish(r *pnp.Request, hr pnp.HRESULT) {
	h.mu.Lock()
	timer, ok := h.waiting[r]
	delete(h.waiting, r)
	h.mu.Unlock()
	if !ok {
		return
	}
	if timer != nil {
		timer.Stop()
	}
	r.Complete(hr, 0)
}

// Cancel implements pnp.Handle.
func (h *handle) Cancel(r *pnp.Request) { h.finish(r, pnp.ERROR_OPERATION_ABORTED) }

// Close implements pnp.Handle.
func (h *handle) Close() {
	h.mu.Lock()
	h.closed.Store(true)
	pending := make([]*pnp.Request, 0, len(h.waiting))
	for r := range h.waiting {
		pending = append(pending, r)
	}
	h.mu.Unlock()
	for _, r := range pending {
		h.finish(r, pnp.ERROR_OPERATION_ABORTED)
	}
}
