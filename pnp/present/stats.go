// SPDX-License-Identifier: Apache-2.0

package present

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats says what was done with a device since it came.
type Stats struct {
	// Open is the number of handles that are open, Opened that of all so far, and
	// Failed how often opening one failed.
	Open   int64  `json:"open"`
	Opened uint64 `json:"opened"`
	Failed uint64 `json:"failed"`

	Read    OpStats `json:"read"`
	Write   OpStats `json:"write"`
	Control OpStats `json:"control"`
}

// OpStats are the requests of one kind that are complete.
type OpStats struct {
	// Requests counts those that succeeded, Errors the others.
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	// Bytes is how much data they carried, for a control in both directions.
	Bytes uint64 `json:"bytes"`
	// Median, P99 and Max tell how long those took that succeeded. A read that
	// waits for the device is among them. The first two are at most a fourth too
	// high.
	Median time.Duration `json:"median_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
}

// Stats returns what was done with the device so far.
func (d *Device) Stats() Stats {
	s := &d.stats
	return Stats{
		Open:    s.handles.Load(),
		Opened:  s.opened.Load(),
		Failed:  s.failed.Load(),
		Read:    s.read.stats(),
		Write:   s.write.stats(),
		Control: s.control.stats(),
	}
}

// stats counts. The zero value is ready for use.
type stats struct {
	handles              atomic.Int64
	opened, failed       atomic.Uint64
	read, write, control opStats
}

func (s *stats) opening(err error) {
	if err != nil {
		s.failed.Add(1)
		return
	}
	s.opened.Add(1)
	s.handles.Add(1)
}

func (s *stats) closed() { s.handles.Add(-1) }

func (s *stats) begin() time.Time { return time.Now() }

// steps is how many buckets there are for each power of two.
const (
	stepBits = 2
	steps    = 1 << stepBits
)

type opStats struct {
	requests, errors, bytes atomic.Uint64
	max                     atomic.Int64
	buckets                 [64 * steps]atomic.Uint64
}

func (o *opStats) end(begun time.Time, n int, err error) {
	o.bytes.Add(uint64(n))
	if err != nil {
		o.errors.Add(1)
		return
	}
	took := time.Since(begun)
	o.requests.Add(1)
	o.buckets[bucket(took)].Add(1)
	for {
		longest := o.max.Load()
		if int64(took) <= longest || o.max.CompareAndSwap(longest, int64(took)) {
			return
		}
	}
}

// bucket returns the number of the bucket for d: its power of two, and the bits after
// the highest.
func bucket(d time.Duration) int {
	v := uint64(max(d, steps))
	power := bits.Len64(v) - 1
	return power*steps + int(v>>(power-stepBits))&(steps-1)
}

// upper returns the end of a bucket.
func upper(bucket int) time.Duration {
	power, step := bucket/steps, bucket%steps
	return time.Duration(uint64(steps+step+1) << (power - stepBits))
}

func (o *opStats) stats() OpStats {
	var counts [len(o.buckets)]uint64
	var sum uint64
	for i := range counts {
		counts[i] = o.buckets[i].Load()
		sum += counts[i]
	}
	longest := time.Duration(o.max.Load())
	// quantile returns how long at most that part of the requests took.
	quantile := func(part float64) time.Duration {
		if sum == 0 {
			return 0
		}
		rest := uint64(part * float64(sum-1))
		for i, n := range counts {
			if rest < n {
				return min(upper(i), longest)
			}
			rest -= n
		}
		return longest
	}
	return OpStats{
		Requests: o.requests.Load(), Errors: o.errors.Load(), Bytes: o.bytes.Load(),
		Median: quantile(0.5), P99: quantile(0.99), Max: longest,
	}
}
