// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// workload is one row of a table: what the server asks for, of which size, and
// how many requests of it are outstanding.
type workload struct {
	command     string // read, write, control or open: as testdata/server.c has them
	size        int
	outstanding int
}

const kib, mib = 1 << 10, 1 << 20

func (w workload) name() string {
	what := map[string]string{"read": "read", "write": "write", "control": "IOControl", "open": "open_and_close"}[w.command]
	switch {
	case w.size >= mib:
		what += fmt.Sprintf("_%d_MiB", w.size/mib)
	case w.size >= kib:
		what += fmt.Sprintf("_%d_KiB", w.size/kib)
	case w.size > 0:
		what += fmt.Sprintf("_%d_B", w.size)
	}
	return fmt.Sprintf("%s_x%d", what, w.outstanding)
}

// bulk reports whether bytes are what counts, rather than operations.
func (w workload) bulk() bool { return w.size >= kib }

func (w workload) unit() string {
	if w.bulk() {
		return "MiB/s"
	}
	return "ops/s"
}

// slice is how long one plugin is measured before it is the other's turn.
const slice = 100 * time.Millisecond

// result is what a slice of time gave.
type result struct {
	rate float64 // operations or MiB per second
	cpu  float64 // seconds of the client's processor time per operation
}

// result of n operations.
func (w workload) result(n float64, took, cpu time.Duration) result {
	r := result{rate: n / took.Seconds(), cpu: cpu.Seconds() / n}
	if w.bulk() {
		r.rate *= float64(w.size) / mib
	}
	return r
}

// turns measures a workload with both plugins in turn. One iteration is a pair
// of slices, one for each plugin: their order changes from one pair to the next,
// so that neither has a quieter machine than the other.
func (w workload) turns(b *testing.B, measure func(who int) result) {
	var results [2][]result
	for i := range b.N {
		for turn := range 2 {
			who := (i + turn) % 2
			results[who] = append(results[who], measure(who))
		}
	}
	w.report(b, results[0], results[1])
}

// report tells the median of each plugin, and the median of the quotients of
// the pairs: the two of a pair were measured one right after the other.
func (w workload) report(b *testing.B, plugin, c []result) {
	rate := func(r result) float64 { return r.rate }
	cpu := func(r result) float64 { return 1e6 * r.cpu }
	quotients := make([]float64, len(plugin))
	for i := range quotients {
		quotients[i] = plugin[i].rate / c[i].rate
	}
	b.ReportMetric(median(plugin, rate), "plugin_"+w.unit())
	b.ReportMetric(median(c, rate), "C_"+w.unit())
	b.ReportMetric(median(quotients, func(q float64) float64 { return q }), "ratio")
	b.ReportMetric(median(plugin, cpu), "plugin_cpu_us")
	b.ReportMetric(median(c, cpu), "C_cpu_us")
	b.ReportMetric(0, "ns/op") // the length of a pair says nothing
}

func median[T any](all []T, value func(T) float64) float64 {
	v := make([]float64, len(all))
	for i := range v {
		v[i] = value(all[i])
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
