// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"fmt"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/cshim/server/servertest"
)

// BenchmarkEcho measures the transport without a plugin: the test plugin echoes
// from within FreeRDP's callback.
func BenchmarkEcho(b *testing.B) {
	for _, major := range []int{2, 3} {
		binary := servertest.RequireClient(b, major)
		for _, c := range []struct{ size, outstanding int }{{64, 1}, {64, 64}, {64 << 10, 8}, {1 << 20, 4}} {
			b.Run(fmt.Sprintf("xfreerdp%d/%dx%d", major, c.outstanding, c.size), func(b *testing.B) {
				f := newFixture(b, binary)
				_, s := f.client()
				b.SetBytes(2 * int64(c.size))
				benchmarkEcho(b, s, c.size, c.outstanding)
				s.release()
			})
		}
	}
}

// benchmarkEcho sends the next message from Receive, like a driver that has
// nothing else to do.
func benchmarkEcho(b *testing.B, s *session, size, outstanding int) {
	msg := pattern(size, 0)
	sent, received := 0, 0
	done := make(chan struct{})
	e := newEndpoint(b)
	e.reject = func([]byte) error {
		received++
		if received == b.N {
			close(done)
		}
		if sent < b.N {
			sent++
			return e.conn.Send(msg)
		}
		return nil
	}
	e.discard = true
	if err := s.peer.Open(context.Background(), channels.FileRedirectorChannel, e.attach); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	// Receive owns sent from the first message on.
	n := min(outstanding, b.N)
	sent = n
	for i := 0; i < n; i++ {
		e.send(msg)
	}
	wait(b, done, "the echo stops")
	b.StopTimer()
}
