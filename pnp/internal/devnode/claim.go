// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"
	"time"

	"freerdp-pnpdr/pnp"
)

// Claim is the exclusive right to have a node open. One open at a time has it in
// this process, whatever path or device it uses. Opens that do not claim the node
// are not kept out.
type Claim struct {
	key      key
	released chan struct{} // closed by Release

	// Guarded by nodes.mu.
	fd      int           // of the node once it is open, before that -1
	closing time.Duration // how long an open waits for Release; 0 while the node is in use
}

// ClaimNode claims the node at path. The caller opens it afterwards: open(2) fails
// as long as an earlier open has the node exclusive (TIOCEXCL). If that open is being
// closed, ClaimNode waits for its Release, for as long as its Closing says. After
// that, and at once if the node is in use, it fails with ERROR_ACCESS_DENIED. Closing
// cancelled ends the wait with ERROR_OPERATION_ABORTED; nil never does.
//
// Without an error Release must follow.
func ClaimNode(path string, cancelled <-chan struct{}) (*Claim, error) {
	id, err := Identify(path)
	if err != nil {
		return nil, openFailure(path, err)
	}
	c := &Claim{key: keyOf(id), released: make(chan struct{}), fd: -1}
	if before, _ := nodes.claim(c.key); before != nil && before.hungUp() {
		before.Release() // another device is there now, or the same one again
	}
	before, limit := c.enter()
	switch {
	case before == nil:
		return c, nil
	case limit == 0:
		return nil, inUse()
	}
	if err := await(before.released, limit, cancelled); err != nil {
		c.giveBack(before)
		return nil, err
	}
	return c, nil
}

// AwaitClose is for an open that does not claim its node and failed with EBUSY, since
// the node is exclusive. It waits while this process is closing the node, until
// cancelled is closed. If it returns nil, open the node once more.
func AwaitClose(path string, cancelled <-chan struct{}) error {
	id, err := Identify(path)
	if err != nil {
		return openFailure(path, err)
	}
	c, limit := nodes.claim(keyOf(id))
	if c != nil {
		if limit == 0 {
			return inUse()
		}
		if err := await(c.released, limit, cancelled); err != nil {
			return err
		}
	}
	for _, g := range nodes.closing(keyOf(id)) {
		if err := await(g.released, g.limit, cancelled); err != nil {
			return err
		}
	}
	return nil
}

func inUse() error { return fmt.Errorf("the node is open already: %w", pnp.ERROR_ACCESS_DENIED) }

// claim returns the claim of a node, nil if there is none, and how long to wait for
// its release; 0 for not at all.
func (g *registry) claim(k key) (c *Claim, limit time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.open[k]; s != nil && s.claim != nil {
		return s.claim, s.claim.closing
	}
	return nil, 0
}

// enter makes c the claim of its node, unless one is in use. It returns the previous
// claim and how long to wait for its release.
func (c *Claim) enter() (before *Claim, limit time.Duration) {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	s := nodes.of(c.key)
	if before = s.claim; before != nil && before.closing == 0 {
		return before, 0
	}
	s.claim = c
	if before != nil {
		limit = before.closing
	}
	return before, limit
}

// await waits until released is closed, for at most limit and until cancelled is
// closed.
func await(released <-chan struct{}, limit time.Duration, cancelled <-chan struct{}) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-released:
		return nil
	case <-cancelled:
		return pnp.ERROR_OPERATION_ABORTED
	case <-timer.C:
		return fmt.Errorf("the node is still being closed: %w", pnp.ERROR_ACCESS_DENIED)
	}
}

// giveBack undoes c.enter: the next claim waits for before, too.
func (c *Claim) giveBack(before *Claim) {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	select {
	case <-before.released:
		before = nil
	default:
	}
	nodes.of(c.key).claim = before
	nodes.tidy(c.key)
}

// Opened records the node that was opened. It fails if that is not the node that was
// claimed: the path leads elsewhere now.
func (c *Claim) Opened(n *Node) error {
	if n.key() != c.key {
		return fmt.Errorf("the path led to another node a moment ago: %w", pnp.ERROR_ACCESS_DENIED)
	}
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	c.fd = n.FD
	return nil
}

// hungUp reports whether the device that was opened has gone. The descriptor may have
// been closed meanwhile; then there is nothing to wait for either.
func (c *Claim) hungUp() bool {
	nodes.mu.Lock()
	fd := c.fd
	nodes.mu.Unlock()
	return fd >= 0 && HungUp(fd)
}

// Closing makes the next claim wait until Release is called, for at most limit. The
// limit must be longer than closing takes, unless a driver hangs.
func (c *Claim) Closing(limit time.Duration) {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	c.closing = limit
}

// Release gives the claim up. Call it when the node is closed. Further calls do
// nothing.
func (c *Claim) Release() {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	select {
	case <-c.released:
		return
	default:
	}
	close(c.released)
	if s := nodes.open[c.key]; s != nil && s.claim == c {
		s.claim = nil
		nodes.tidy(c.key)
	}
}
