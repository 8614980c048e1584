// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp/wire"
)

// TestYield: whoever waits for a reply goes on before the transport does.
func TestYield(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // nobody else may go on meanwhile
	const rounds = 100
	first := func(yield bool) (n int) {
		_, h, ch := servertest.OpenedHandle(t, server.Config{Yield: yield})
		for range rounds {
			var wentOn atomic.Bool
			result := servertest.Go(func() (int, error) {
				n, err := h.ReadAt(bg, make([]byte, 8), 0)
				wentOn.Store(true)
				return n, err
			})
			r := servertest.NextAs[wire.ReadRequest](ch)
			for range 10 {
				runtime.Gosched() // until it waits
			}
			if err := ch.Inject(wire.DataReply{RequestID: r.RequestID, Data: make([]byte, 8)}.Append(nil)); err != nil {
				t.Fatal(err)
			}
			if wentOn.Load() {
				n++
			}
			servertest.Wait(t, "the read", result)
		}
		return n
	}
	// The runtime has its own ideas now and then, and the race detector has it choose at
	// random.
	if n := first(true); n < rounds/2 && !raceDetector {
		t.Errorf("in %d of %d rounds", n, rounds)
	}
	if n := first(false); n > rounds/2 && !raceDetector {
		t.Errorf("in %d of %d rounds without yielding", n, rounds)
	}
}
