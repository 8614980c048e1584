// SPDX-License-Identifier: Apache-2.0

package fusetest

import (
	"sync"

	"golang.org/x/sys/unix"
)

// HungDriver is a driver that hangs. It lets its file be opened, claims to be ready
// whenever it is polled, and knows no ioctl; it answers nothing else until Unstick. The
// zero value is ready for use.
type HungDriver struct {
	mu      sync.Mutex
	pending []*Request
	unstuck bool
}

// Serve is the Handler for Mount.
func (d *HungDriver) Serve(r *Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case r.Op == Open:
		r.Opened(DirectIO)
	case r.Op == Interrupt || r.Op == Release: // these take no answer
	case r.Op == Poll:
		r.Polled(unix.POLLIN | unix.POLLOUT)
	case r.Op == Ioctl:
		r.Fail(unix.ENOTTY)
	case d.unstuck:
		r.Fail(unix.EIO)
	default:
		d.pending = append(d.pending, r)
	}
}

// Unstick fails all requests with EIO, those that wait and those still to come.
func (d *HungDriver) Unstick() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unstuck = true
	for _, r := range d.pending {
		r.Fail(unix.EIO)
	}
	d.pending = nil
}
