// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"math"
	"time"
)

// maxULONG has a special meaning in SERIAL_TIMEOUTS (MAXDWORD in Win32).
const maxULONG = math.MaxUint32

// valid reports whether IOCTL_SERIAL_SET_TIMEOUTS accepts t.
func (t timeouts) valid() bool {
	return t.ReadIntervalTimeout != maxULONG || t.ReadTotalTimeoutMultiplier != maxULONG ||
		t.ReadTotalTimeoutConstant != maxULONG
}

// readPlan says when a read completes with fewer bytes than it asked for.
type readPlan struct {
	// immediate: at once, even with no bytes.
	immediate bool
	// present: at once, if there are any bytes.
	present bool
	// first: as soon as there are any bytes.
	first bool
	// interval: this long after the last byte, if there is one; 0 for never.
	interval time.Duration
	// total: this long after the read's turn came, if bounded.
	total   time.Duration
	bounded bool
}

// read returns the plan for a read of n bytes, by the rules of SERIAL_TIMEOUTS:
//
//	interval    multiplier, constant   the read completes early
//	MAXULONG    0, 0                   at once
//	MAXULONG    MAXULONG, c            with the first bytes, or after c
//	MAXULONG    m, c                   at once if something is there, or after n*m+c
//	MAXULONG    m, MAXULONG            never
//	i           m, c                   i after the last byte, or after n*m+c
//
// If i is 0, there is no limit between bytes; if m and c are 0, there is none for the
// whole read. It is not valid to set all three to MAXULONG.
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

// write returns the time after which a write of n bytes ends; if it is not bounded,
// never.
func (t timeouts) write(n int) (limit time.Duration, bounded bool) {
	m, c := t.WriteTotalTimeoutMultiplier, t.WriteTotalTimeoutConstant
	return total(m, c, n), m != 0 || c != 0
}

func total(multiplier, constant uint32, n int) time.Duration {
	// No overflow: (2^32-1)^2 + 2^32-1 < 2^64.
	return milliseconds(uint64(multiplier)*min(uint64(n), maxULONG) + uint64(constant))
}

// milliseconds returns n milliseconds, or the longest duration.
func milliseconds(n uint64) time.Duration {
	if n > uint64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Millisecond
}
