// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"freerdp-pnpdr/pnp"
)

// Pool bounds the calls of a session that may block in a driver, and so its
// threads. Each device has a Share of it. A call keeps its slot until it returns,
// even if its handle is closed before.
//
// A device gets at most perDevice slots, so that a device that hangs leaves room for
// others. If all of the session's slots are taken, each device still gets one, so
// that devices that hang do not stop those that work.
type Pool struct {
	total, perDevice int
	log              *slog.Logger

	mu      sync.Mutex
	running int
	// ready are the shares that have calls waiting, in the order in which they
	// get a slot.
	ready []*Share
	idle  chan struct{} // closed when running drops to 0; nil if nobody waits
}

// NewPool makes a pool of total slots, with at most perDevice for each device.
// Panics of calls are written to log, which may be nil.
func NewPool(total, perDevice int, log *slog.Logger) *Pool {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Pool{total: total, perDevice: perDevice, log: log}
}

// Share is a device's part of a Pool. It implements pnp.Workers.
type Share struct {
	pool *Pool

	// Guarded by pool.mu.
	running int
	waiting []*call
}

var _ pnp.Workers = (*Share)(nil)

// call is a call that waits for a slot.
type call struct{ f func() }

// NewShare makes a device's part of the pool.
func (p *Pool) NewShare() *Share { return &Share{pool: p} }

// Start implements pnp.Workers.
func (s *Share) Start(f func()) (withdraw func() bool) {
	p := s.pool
	c := &call{f}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.waiting = append(s.waiting, c)
	if len(s.waiting) == 1 {
		p.ready = append(p.ready, s)
	}
	if owner, next := p.next(); next != nil {
		go p.work(owner, next)
	}
	return func() bool { return s.withdraw(c) }
}

// withdraw takes back a call that has not begun.
func (s *Share) withdraw(c *call) bool {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(s.waiting, c)
	if i < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if len(s.waiting) == 0 {
		p.ready = slices.DeleteFunc(p.ready, func(o *Share) bool { return o == s })
	}
	return true
}

// next takes a free slot and the call that gets it; nil if no slot is free or no
// call waits. Devices take turns. mu is held.
func (p *Pool) next() (*Share, *call) {
	for i, s := range p.ready {
		if s.running >= p.perDevice || p.running >= p.total && s.running > 0 {
			continue
		}
		c := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		p.ready = slices.Delete(p.ready, i, i+1)
		if len(s.waiting) > 0 {
			p.ready = append(p.ready, s)
		} else {
			s.waiting = nil
		}
		s.running++
		p.running++
		return s, c
	}
	return nil, nil
}

// stuck is the time after which the runtime has surely started another thread in
// place of the one that the call blocks.
const stuck = 10 * time.Millisecond

// work makes calls until none waits.
func (p *Pool) work(owner *Share, c *call) {
	for c != nil {
		began := time.Now()
		p.call(c)
		if time.Since(began) < stuck {
			owner, c = p.done(owner)
			continue
		}
		// The runtime never ends a thread that it has started, except one that
		// is locked to a goroutine that ends. Without this, hundreds would stay
		// after a driver hung once.
		runtime.LockOSThread()
		if owner, c = p.done(owner); c != nil {
			go p.work(owner, c)
		}
		return
	}
}

func (p *Pool) call(c *call) {
	defer pnp.Guard(p.log, "calling a device", nil)
	c.f()
}

// done gives a slot back and takes the next one.
func (p *Pool) done(owner *Share) (*Share, *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	owner.running--
	p.running--
	next, c := p.next()
	if p.running == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
	return next, c
}

// Running returns how many calls have a slot.
func (p *Pool) Running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// Wait waits until no call has a slot, or ctx is done.
func (p *Pool) Wait(ctx context.Context) error {
	p.mu.Lock()
	if p.running == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.idle == nil {
		p.idle = make(chan struct{})
	}
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unbounded is a pnp.Workers without a bound, for devices outside a session.
type Unbounded struct{}

// Start implements pnp.Workers.
func (Unbounded) Start(f func()) (withdraw func() bool) {
	go f()
	return func() bool { return false }
}
