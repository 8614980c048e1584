// SPDX-License-Identifier: Apache-2.0

// Package porttest has serial ports for tests of what uses them: ports that answer as they
// like, and one with modem lines.
package porttest

import (
	"sync"
	"sync/atomic"

	"freerdp-pnpdr/pnp"
)

// Forged is a serial port that answers as it likes.
type Forged struct {
	Desc pnp.Description
	// Answer takes a request. It may keep it: Close completes what is left.
	Answer func(*pnp.Request)
	// Deaf has Cancel do nothing.
	Deaf bool
	// Refuse is how many opens fail with ERROR_ACCESS_DENIED.
	Refuse atomic.Int32

	mu      sync.Mutex
	pending map[*pnp.Request]bool
	counts  map[pnp.Op]int
}

var _ pnp.Device = (*Forged)(nil)

// NewForged makes a port with that name.
func NewForged(name string, answer func(*pnp.Request)) *Forged {
	return &Forged{
		Desc: pnp.Description{Name: name}, Answer: answer,
		pending: make(map[*pnp.Request]bool), counts: make(map[pnp.Op]int),
	}
}

// Description implements pnp.Device.
func (d *Forged) Description() *pnp.Description { return &d.Desc }

// Open implements pnp.Device.
func (d *Forged) Open(pnp.OpenRequest) (pnp.Handle, error) {
	if d.Refuse.Add(-1) >= 0 {
		return nil, pnp.ERROR_ACCESS_DENIED
	}
	return d, nil
}

// Submit implements pnp.Handle.
func (d *Forged) Submit(r *pnp.Request) {
	d.mu.Lock()
	d.pending[r] = true
	d.counts[r.Op]++
	d.mu.Unlock()
	d.Answer(r)
}

// Count returns how many requests of a kind have come.
func (d *Forged) Count(op pnp.Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[op]
}

// Cancel implements pnp.Handle.
func (d *Forged) Cancel(r *pnp.Request) {
	if !d.Deaf {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
}

// Close implements pnp.Handle.
func (d *Forged) Close(released func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for r := range d.pending {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
	clear(d.pending)
	released()
}

// Obey is the answer of a port that takes everything and never has data.
func Obey(r *pnp.Request) {
	if r.Op != pnp.OpRead {
		r.Complete(pnp.S_OK, len(r.Buffer()))
	}
}
