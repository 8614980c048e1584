// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// workload is one row of the table.
type workload struct {
	name        string
	outstanding int
	size        int  // of the buffer that run gets
	bulk        bool // measured in bytes, not in operations
	run         func(ctx context.Context, r *remote, h *server.Handle, buf []byte) error
}

const kib, mib = 1 << 10, 1 << 20

var workloads = []workload{
	{name: "read_64_B", outstanding: 1, size: 64, run: read},
	{name: "read_64_B", outstanding: 64, size: 64, run: read},
	{name: "IOControl_64_B", outstanding: 1, size: 64, run: control},
	{name: "open_and_close", outstanding: 1, run: openClose},
	{name: "read_64_KiB", outstanding: 1, size: 64 * kib, bulk: true, run: read},
	{name: "read_64_KiB", outstanding: 8, size: 64 * kib, bulk: true, run: read},
	{name: "read_1_MiB", outstanding: 1, size: mib, bulk: true, run: read},
	{name: "read_1_MiB", outstanding: 4, size: mib, bulk: true, run: read},
	{name: "write_64_KiB", outstanding: 1, size: 64 * kib, bulk: true, run: write},
	{name: "write_64_KiB", outstanding: 8, size: 64 * kib, bulk: true, run: write},
}

func (w workload) unit() string {
	if w.bulk {
		return "MiB/s"
	}
	return "ops/s"
}

func read(ctx context.Context, _ *remote, h *server.Handle, buf []byte) error {
	n, err := h.ReadAt(ctx, buf, 0)
	return whole(n, len(buf), err)
}

func write(ctx context.Context, _ *remote, h *server.Handle, buf []byte) error {
	n, err := h.WriteAt(ctx, buf, 0)
	return whole(n, len(buf), err)
}

func control(ctx context.Context, _ *remote, h *server.Handle, buf []byte) error {
	n, err := h.IOControl(ctx, loopback.IOCTL_ECHO, buf, buf)
	return whole(n, len(buf), err)
}

func openClose(ctx context.Context, r *remote, _ *server.Handle, _ []byte) error {
	h, err := r.device.Open(ctx, server.OpenOptions{})
	if err != nil {
		return err
	}
	return h.Close()
}

func whole(n, want int, err error) error {
	if err == nil && n != want {
		err = fmt.Errorf("%d bytes of %d", n, want)
	}
	return err
}

// slice is how long one plugin is measured before it is the other's turn.
const slice = 100 * time.Millisecond

// result is what a slice of time gave.
type result struct {
	rate float64 // operations or MiB per second
	cpu  float64 // seconds of the client's processor time per operation
}

// BenchmarkSession measures each workload with both plugins in turn. One
// iteration is a pair of slices, one for each plugin: their order changes from
// one pair to the next, so that neither has a quieter machine than the other.
func BenchmarkSession(b *testing.B) {
	for _, major := range []int{2, 3} {
		b.Run(fmt.Sprintf("xfreerdp%d", major), func(b *testing.B) {
			f := newFixture(b, major)
			plugin, baseline := requireLibraries(b)
			both := [2]*remote{f.start(plugin), f.start(baseline)}
			handles := [2]*server.Handle{both[0].open(), both[1].open()}
			for _, w := range workloads {
				b.Run(fmt.Sprintf("%s_x%d", w.name, w.outstanding), func(b *testing.B) {
					var results [2][]result
					for i := range b.N {
						for turn := range 2 {
							who := (i + turn) % 2
							results[who] = append(results[who], w.measure(b, both[who], handles[who]))
						}
					}
					report(b, w, results[0], results[1])
				})
			}
		})
	}
}

// measure keeps the workload's requests outstanding for a slice of time.
func (w workload) measure(b *testing.B, r *remote, h *server.Handle) result {
	var (
		wg   sync.WaitGroup
		over atomic.Bool
		done atomic.Int64
	)
	began, spent := time.Now(), r.cpu()
	for range w.outstanding {
		wg.Add(1)
		go func() {
			defer wg.Done()
			buf := make([]byte, w.size)
			for !over.Load() {
				if err := w.run(r.ctx, r, h, buf); err != nil {
					b.Error(err)
					return
				}
				done.Add(1)
			}
		}()
	}
	time.Sleep(slice)
	over.Store(true)
	wg.Wait()
	n := float64(done.Load())
	m := result{rate: n / time.Since(began).Seconds(), cpu: (r.cpu() - spent).Seconds() / n}
	if w.bulk {
		m.rate *= float64(w.size) / mib
	}
	return m
}

// report tells the median of each plugin, and the median of the quotients of
// the pairs: the two of a pair were measured one right after the other.
func report(b *testing.B, w workload, plugin, c []result) {
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
