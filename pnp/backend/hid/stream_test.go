// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/pnp"
)

// byteStream makes a device with input reports of one byte look like the stream of bytes
// that the acceptance suite feeds, so that the suite checks the order of reports and
// cancelled reads. Each of its reads returns one byte.
type byteStream struct {
	*Device
	report func(b byte) // makes the device send an input report

	mu     sync.Mutex
	open   *handle      // the last handle that was opened
	fed    int          // bytes fed to it
	served atomic.Int64 // bytes read from it
}

func (s *byteStream) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	h, err := s.Device.Open(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.fed = h.(*handle), 0
	s.served.Store(0)
	s.open.input.setBuffers(maxInputBuffers)
	return &byteHandle{Handle: h, s: s, inner: map[*pnp.Request]*pnp.Request{}}, nil
}

// feed sends data as reports, no faster than they leave the kernel's queue. A full queue
// drops reports, and the suite would take that for a loss.
func (s *byteStream) feed(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range data {
		for s.fed-int(s.served.Load())-s.queued() >= kernelQueue/2 || s.queued() >= maxInputBuffers/2 {
			time.Sleep(10 * time.Microsecond)
		}
		s.report(b)
		s.fed++
	}
}

func (s *byteStream) queued() int {
	s.open.q.Lock()
	defer s.open.q.Unlock()
	return len(s.open.input.reports)
}

// byteHandle translates the reads of one handle.
type byteHandle struct {
	pnp.Handle
	s     *byteStream
	mu    sync.Mutex
	inner map[*pnp.Request]*pnp.Request
}

func (h *byteHandle) Submit(r *pnp.Request) {
	if r.Op != pnp.OpRead || len(r.Out) == 0 {
		h.Handle.Submit(r)
		return
	}
	inner := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 2)}
	inner.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) {
		h.mu.Lock()
		delete(h.inner, r)
		h.mu.Unlock()
		if n == 2 {
			r.Out[0] = inner.Out[1]
			n = 1
			h.s.served.Add(1)
		}
		r.Complete(hr, n)
	})
	h.mu.Lock()
	h.inner[r] = inner
	h.mu.Unlock()
	h.Handle.Submit(inner)
}

func (h *byteHandle) Cancel(r *pnp.Request) {
	h.mu.Lock()
	if inner := h.inner[r]; inner != nil {
		r = inner
	}
	h.mu.Unlock()
	h.Handle.Cancel(r)
}
