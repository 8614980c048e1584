// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/loopback"
)

// together are the workloads with two clients at once: what is small, and what
// moves the most bytes.
var together = []workload{
	{"read", 64, 1},
	{"read", 64, 64},
	{"control", 64, 1},
	{"open", 0, 1},
	{"read", 64 * kib, 8},
	{"write", 64 * kib, 8},
}

// BenchmarkTogether measures with both clients connected at the same time, to the
// reference server.
func BenchmarkTogether(b *testing.B) {
	for _, major := range []int{2, 3} {
		b.Run(fmt.Sprintf("xfreerdp%d", major), func(b *testing.B) {
			f := newFixture(b, major)
			plugin, baseline := requireLibraries(b)
			both := [2]*remote{f.start(plugin, loopbackDevice), f.start(baseline, loopbackDevice)}
			handles := [2]*server.Handle{both[0].open(), both[1].open()}
			for _, w := range together {
				b.Run(w.name(), func(b *testing.B) {
					w.turns(b, func(who int) result { return both[who].measure(w, handles[who]) })
				})
			}
		})
	}
}

// measure keeps the workload's requests outstanding for a slice of time.
func (r *remote) measure(w workload, h *server.Handle) result {
	var (
		wg   sync.WaitGroup
		over atomic.Bool
		done atomic.Int64
	)
	began, spent := time.Now(), processorTime(r.t, r.client)
	for range w.outstanding {
		wg.Add(1)
		go func() {
			defer wg.Done()
			buf := make([]byte, w.size)
			for !over.Load() {
				if err := r.request(w.command, h, buf); err != nil {
					r.t.Error(err)
					return
				}
				done.Add(1)
			}
		}()
	}
	time.Sleep(slice)
	over.Store(true)
	wg.Wait()
	return w.result(float64(done.Load()), time.Since(began), processorTime(r.t, r.client)-spent)
}

func (r *remote) request(command string, h *server.Handle, buf []byte) error {
	var n int
	var err error
	switch command {
	case "open":
		return r.openClose()
	case "read":
		n, err = h.ReadAt(r.ctx, buf, 0)
	case "write":
		n, err = h.WriteAt(r.ctx, buf, 0)
	case "control":
		n, err = h.IOControl(r.ctx, loopback.IOCTL_ECHO, buf, buf)
	}
	if err == nil && n != len(buf) {
		err = fmt.Errorf("%d bytes of %d", n, len(buf))
	}
	return err
}

func (r *remote) openClose() error {
	h, err := r.device.Open(r.ctx, server.OpenOptions{})
	if err != nil {
		return err
	}
	return h.Close()
}
