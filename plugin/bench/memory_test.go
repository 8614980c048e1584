// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"freerdp-pnpdr/channels/server"
)

// settle is how long a client may take to come to rest before its memory counts.
const settle = 300 * time.Millisecond

// manyHandles is how many handles are open for the second measurement.
const manyHandles = 1000

// usage is the resident memory of one client in KiB.
type usage struct{ idle, handles float64 }

// BenchmarkMemory measures the resident memory that each plugin adds to a client
// which is idle, and what a thousand open handles add to that. One iteration
// starts three clients: without a plugin, with the plugin, with the one in C.
func BenchmarkMemory(b *testing.B) {
	for _, major := range []int{2, 3} {
		b.Run(fmt.Sprintf("xfreerdp%d", major), func(b *testing.B) {
			f := newFixture(b, major)
			plugin, baseline := requireLibraries(b)
			b.Run("resident", func(b *testing.B) {
				var none, ours, c []usage
				for range b.N {
					// FreeRDP's own echo: without any plugin of
					// that kind it has no dynamic channels.
					r := f.connect("", "/echo")
					none = append(none, usage{idle: r.resident()})
					r.leave()
					ours = append(ours, f.use(plugin))
					c = append(c, f.use(baseline))
				}
				idle := func(u usage) float64 { return u.idle }
				handles := func(u usage) float64 { return u.handles }
				nothing := median(none, idle)
				b.ReportMetric(median(ours, idle)-nothing, "plugin_idle_KiB")
				b.ReportMetric(median(c, idle)-nothing, "C_idle_KiB")
				b.ReportMetric(median(ours, handles), "plugin_handles_KiB")
				b.ReportMetric(median(c, handles), "C_handles_KiB")
				b.ReportMetric(0, "ns/op")
			})
		})
	}
}

func (f *fixture) use(plugin string) usage {
	r := f.start(plugin, loopbackDevice)
	defer r.leave()
	u := usage{idle: r.resident()}
	handles := make([]*server.Handle, manyHandles)
	for i := range handles {
		handles[i] = r.open()
	}
	u.handles = r.resident() - u.idle
	for _, h := range handles {
		if err := h.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
	return u
}

// resident returns the client's VmRSS in KiB.
func (r *remote) resident() float64 {
	r.t.Helper()
	time.Sleep(settle)
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", r.client.Pid()))
	if err != nil {
		r.t.Fatal(err)
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			var kib float64
			if _, err := fmt.Sscan(value, &kib); err != nil {
				r.t.Fatal(err)
			}
			return kib
		}
	}
	r.t.Fatal("the client has no VmRSS")
	return 0
}
