// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// claim is the interface while handles are open.
type claim struct {
	d      *Device
	fd     int
	layout layout
	usb    Interface

	settling sync.WaitGroup // goroutines of settle

	mu       sync.Mutex
	handles  map[*handle]struct{}
	event    *Transfer // that listens; nil while none does
	unplug   bool
	over     bool // the interface is given back
	restarts int  // of listen since something came
}

// maxRestarts is how often the interrupt pipe is tried again after an error.
const maxRestarts = 3

// gone reports whether the device was unplugged.
func (c *claim) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unplug
}

func (c *claim) join(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handles[h] = struct{}{}
}

// leave is called when h has no transfer any more. The last gives the interface back. It
// may wait.
func (c *claim) leave(h *handle) {
	c.d.opening.Lock()
	defer c.d.opening.Unlock()
	c.mu.Lock()
	delete(c.handles, h)
	last := len(c.handles) == 0
	c.mu.Unlock()
	if !last {
		return
	}
	c.d.mu.Lock()
	if c.d.claim == c {
		c.d.claim = nil
	}
	c.d.mu.Unlock()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.usb.Close()
	c.settling.Wait()
	unix.Close(c.fd)
}

// failure returns the error of a transfer, or ErrGone if the device was unplugged. The
// kernel learns that after transfers have failed, so it may wait a second.
func (c *claim) failure(err error) error { return failure(c.fd, err) }

func failure(fd int, err error) error {
	if errors.Is(err, ErrFailed) && devnode.Gone(fd) {
		return fmt.Errorf("%w (%w)", ErrGone, err)
	}
	return err
}

// settle calls done with what failure returns, and does not wait.
func (c *claim) settle(err error, done func(error)) {
	if !errors.Is(err, ErrFailed) {
		done(err)
		return
	}
	c.settling.Add(1)
	go func() {
		defer c.settling.Done()
		done(c.failure(err))
	}()
}

// listen waits for what the device reports, if nothing does yet.
func (c *claim) listen() error {
	p := c.layout.find(transferInterrupt, true)
	if p == nil {
		return nil
	}
	t := &Transfer{Endpoint: p.address, Interrupt: true, Data: make([]byte, p.maxPacket)}
	t.Done = func(n int, err error) { c.settle(err, func(err error) { c.reported(t, n, err) }) }
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.event != nil:
		return nil
	case c.unplug:
		return ErrGone
	case c.over:
		return ErrCancelled
	}
	if err := c.usb.Submit(t); err != nil {
		c.d.log.Debug("the device's events are not read", "err", err)
		return err
	}
	c.event = t
	return nil
}

// reported passes on what came on the interrupt pipe.
func (c *claim) reported(t *Transfer, n int, err error) {
	if err == nil && n > 0 {
		c.tell(append([]byte(nil), t.Data[:n]...))
	}
	c.mu.Lock()
	c.event = nil
	again := err == nil
	switch {
	case again:
		c.restarts = 0
	case errors.Is(err, ErrGone):
		c.unplug = true
	case !errors.Is(err, ErrCancelled) && c.restarts < maxRestarts:
		c.restarts++
		again = true
	}
	c.mu.Unlock()
	if again {
		err = c.listen()
	}
	if err != nil && !errors.Is(err, ErrCancelled) {
		c.d.log.Debug("the device's events are no longer read", "err", err)
		c.fail(result(err))
	}
}

// tell gives an event to each handle, and raises it.
func (c *claim) tell(data []byte) {
	for _, h := range c.all() {
		h.report(data)
	}
	c.d.mu.Lock()
	sink := c.d.sink
	c.d.mu.Unlock()
	if sink != nil {
		sink(pnp.Event{GUID: GUID_DEVICE_EVENT, Data: data})
	}
}

// fail ends all who wait for an event.
func (c *claim) fail(hr pnp.HRESULT) {
	for _, h := range c.all() {
		h.q.Lock()
		h.waits.Abort(hr)
		h.q.Unlock()
	}
}

func (c *claim) all() (all []*handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range c.handles {
		all = append(all, h)
	}
	return all
}

// unplugged notes that a transfer has found the device gone.
func (c *claim) unplugged() {
	c.mu.Lock()
	c.unplug = true
	c.mu.Unlock()
}
