// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"math"
	"time"
)

// maxULONG is the value with a meaning of its own in SERIAL_TIMEOUTS (MAXDWORD
// in Win32).
const maxULONG = math.MaxUint32

// valid reports whether IOCTL_SERIAL_SET_TIMEOUTS takes t.
func (t timeouts) valid() bool {
	return t.ReadIntervalTimeout != maxULONG || t.ReadTotalTimeoutMultiplier != maxULONG ||
		t.ReadTotalTimeoutConstant != maxULONG
}

// readPlan is when a read is complete although not everything it asked for has
// come.
type readPlan struct {
	// immediate: at once, with what there is, be it nothing.
	immediate bool
	// present: at once, if there is something.
	present bool
	// first: as soon as there is something.
	first bool
	// interval after the last byte, if there is one; 0 for never.
	interval time.Duration
	// total after the read's turn came, if bounded.
	total   time.Duration
	bounded bool
}

// read is the plan for a read of n bytes, by the rules of SERIAL_TIMEOUTS:
//
//	interval    multiplier, constant   the read completes early
//	MAXULONG    0, 0                   at once
//	MAXULONG    MAXULONG, c            with the first bytes, or after c
//	MAXULONG    m, c                   at once if something is there, or after n*m+c
//	MAXULONG    m, MAXULONG            never
//	i           m, c                   i after the last byte, or after n*m+c
//
// Where i is 0 there is no limit between bytes, where m and c are 0 none for
// all of them. All three MAXULONG are not valid.
func (t timeouts) read(n int) readPlan {
	m, c := t.ReadTotalTimeoutMultiplier, t.ReadTotalTimeoutConstant
	if t.ReadIntervalTimeout != maxULONG {
		return readPlan{
			interval: milliseconds(uint64(t.ReadIntervalTimeout)),
			total:    total(m, c, n),
			bounded:  m != 0 || c != 0,
		}
	}
	switch {
	case m == 0 && c == 0:
		return readPlan{immediate: true}
	case c == maxULONG:
		return readPlan{}
	case m == maxULONG:
		return readPlan{first: true, total: total(0, c, n), bounded: true}
	}
	return readPlan{present: true, total: total(m, c, n), bounded: true}
}

// write is after which time a write of n bytes ends; not bounded for never.
func (t timeouts) write(n int) (limit time.Duration, bounded bool) {
	m, c := t.WriteTotalTimeoutMultiplier, t.WriteTotalTimeoutConstant
	return total(m, c, n), m != 0 || c != 0
}

func total(multiplier, constant uint32, n int) time.Duration {
	// No overflow: (2^32-1)^2 + 2^32-1 < 2^64.
	return milliseconds(uint64(multiplier)*min(uint64(n), maxULONG) + uint64(constant))
}

// milliseconds is n milliseconds, or the longest time there is.
func milliseconds(n uint64) time.Duration {
	if n > uint64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Millisecond
}
