// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"sync"
	"testing"
	"time"

	"freerdp-pnpdr/pnp"
)

// scriptedDevice is a device that does what its test says. Unless told
// otherwise, every open succeeds and every request waits until the test
// completes it.
type scriptedDevice struct {
	desc pnp.Description
	// open, if not nil, is called for each Open. Otherwise Open succeeds.
	open func(r pnp.OpenRequest) error
	// try, if not nil, is called for each request; if it returns false, the
	// request waits.
	try func(r *pnp.Request) bool
	// stubborn keeps Cancel and Close from completing requests.
	stubborn bool

	mu      sync.Mutex
	opens   []pnp.OpenRequest
	sink    func(pnp.Event)
	handles chan *scriptedHandle
}

func newScriptedDevice(name string) *scriptedDevice {
	return &scriptedDevice{desc: pnp.Description{Name: name}, handles: make(chan *scriptedHandle, 64)}
}

// lateDevice is a scriptedDevice whose Open blocks until it may proceed.
type lateDevice struct {
	*scriptedDevice
	began   chan struct{} // gets a value when it waits
	proceed chan struct{} // for the test to close
}

func newLateDevice() *lateDevice {
	d := &lateDevice{newScriptedDevice("d"), make(chan struct{}, 16), make(chan struct{})}
	d.open = func(r pnp.OpenRequest) error {
		if r.NoBlock {
			return pnp.ErrWouldBlock
		}
		d.began <- struct{}{}
		<-d.proceed
		return nil
	}
	return d
}

// Description implements pnp.Device.
func (d *scriptedDevice) Description() *pnp.Description { return &d.desc }

// Open implements pnp.Device.
func (d *scriptedDevice) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	d.mu.Lock()
	r.Workers, r.Memory, r.Cancelled = nil, nil, nil // come from the session, not from the server
	d.opens = append(d.opens, r)
	d.mu.Unlock()
	if d.open != nil {
		if err := d.open(r); err != nil {
			return nil, err
		}
	}
	h := &scriptedHandle{
		d:         d,
		requests:  make(chan *pnp.Request, 64),
		cancelled: make(chan *pnp.Request, 64),
		closed:    make(chan struct{}),
		waiting:   make(map[*pnp.Request]bool),
	}
	d.handles <- h
	return h, nil
}

// Notify implements pnp.EventSource.
func (d *scriptedDevice) Notify(sink func(pnp.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sink = sink
}

// raise raises a custom event.
func (d *scriptedDevice) raise(t *testing.T, e pnp.Event) {
	t.Helper()
	d.mu.Lock()
	sink := d.sink
	d.mu.Unlock()
	if sink == nil {
		t.Fatal("the session did not call Notify")
	}
	sink(e)
}

// handle returns the next handle that was opened.
func (d *scriptedDevice) handle(t *testing.T) *scriptedHandle {
	t.Helper()
	return await(t, d.handles, "an Open")
}

// opened returns the parameters of every Open so far.
func (d *scriptedDevice) opened() []pnp.OpenRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]pnp.OpenRequest(nil), d.opens...)
}

// scriptedHandle is a handle of a scriptedDevice.
type scriptedHandle struct {
	d         *scriptedDevice
	requests  chan *pnp.Request // as they come
	cancelled chan *pnp.Request // the arguments of Cancel
	closed    chan struct{}

	mu      sync.Mutex
	ended   bool
	waiting map[*pnp.Request]bool
}

// Submit implements pnp.Handle.
func (h *scriptedHandle) Submit(r *pnp.Request) {
	if h.d.try != nil && h.d.try(r) {
		return
	}
	h.mu.Lock()
	ended := h.ended
	if !ended {
		h.waiting[r] = true
	}
	h.mu.Unlock()
	if ended {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
		return
	}
	h.requests <- r
}

// Cancel implements pnp.Handle.
func (h *scriptedHandle) Cancel(r *pnp.Request) {
	h.cancelled <- r
	if !h.d.stubborn {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
}

// Close implements pnp.Handle. A second call panics.
func (h *scriptedHandle) Close(released func()) {
	close(h.closed)
	if !h.d.stubborn {
		h.abandon()
	}
	released()
}

// abandon completes every waiting request.
func (h *scriptedHandle) abandon() {
	h.mu.Lock()
	h.ended = true
	waiting := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	for r := range waiting {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
}

// request returns the next request that reached the handle.
func (h *scriptedHandle) request(t *testing.T) *pnp.Request {
	t.Helper()
	return await(t, h.requests, "a request")
}

// untouched checks that the handle has got no request.
func (h *scriptedHandle) untouched(t *testing.T) {
	t.Helper()
	select {
	case r := <-h.requests:
		t.Errorf("a %v has reached the device", r.Op)
	default:
	}
}

// isClosed reports whether the handle was closed.
func (h *scriptedHandle) isClosed() bool {
	select {
	case <-h.closed:
		return true
	default:
		return false
	}
}

// await receives from a channel.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(watchdog):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
