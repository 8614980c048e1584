// SPDX-License-Identifier: Apache-2.0

package pnp

import "sync/atomic"

// Memory bounds what the handles of a session keep although no request asked for it,
// such as reports and characters that nobody has read yet. A handle takes bytes before
// it keeps them and gives them back by the time it is released.
//
// The methods may be called from any goroutine. A nil Memory has no bound.
type Memory struct {
	limit int64
	taken atomic.Int64
}

// NewMemory makes a Memory of limit bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Take takes n bytes, or none and returns false if fewer are left.
func (m *Memory) Take(n int) bool {
	if m == nil {
		return true
	}
	for { // not more than there is even for a moment, in which others would get less
		taken := m.taken.Load()
		if taken+int64(n) > m.limit {
			return false
		}
		if m.taken.CompareAndSwap(taken, taken+int64(n)) {
			return true
		}
	}
}

// TakeUpTo takes n bytes, or as many as are left, and returns their number.
func (m *Memory) TakeUpTo(n int) int {
	if m == nil {
		return n
	}
	for {
		taken := m.taken.Load()
		got := min(n, int(m.limit-taken))
		if got <= 0 {
			return 0
		}
		if m.taken.CompareAndSwap(taken, taken+int64(got)) {
			return got
		}
	}
}

// Give gives back n bytes.
func (m *Memory) Give(n int) {
	if m != nil {
		m.taken.Add(int64(-n))
	}
}

// Taken returns how many bytes are taken.
func (m *Memory) Taken() int64 { return m.taken.Load() }
