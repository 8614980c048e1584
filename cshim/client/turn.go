// SPDX-License-Identifier: Apache-2.0

package client

import (
	"sync/atomic"
	"time"
)

// turn keeps Go's runtime from taking the callbacks of FreeRDP's thread for one
// goroutine that never makes room for others.
//
// A thread that has called Go holds one of the runtime's processors while it is
// back in C, so that its next call finds it there. But the runtime's monitor
// takes away the processor of a goroutine that has not been scheduled for 10 ms,
// and a callback's goroutine never is. From then on each call finds its processor
// gone, fetches one, and wakes up the monitor in doing so, which takes it again
// after 20 µs: some 15 µs of processor time per request, far more than the plugin
// itself needs for it.
//
// Gosched has the goroutine scheduled. That takes some 30 µs and wakes up two other
// threads, so it is done as rarely as will do.
type turn struct {
	began time.Time
	last  atomic.Int64 // when Gosched was called, in ns from began
}

// turnTime is short enough for the monitor never to find a busy goroutine older
// than 10 ms.
const turnTime = 9 * time.Millisecond

// over reports, at the end of a callback from C, whether it is time for Gosched.
func (t *turn) over() bool {
	now := int64(time.Since(t.began))
	if now-t.last.Load() < int64(turnTime) {
		return false
	}
	t.last.Store(now)
	return true
}
