// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"sync"
	"testing"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// BenchmarkRead64 has 64 callers, and a client that answers in turn on a
// goroutine of its own.
func BenchmarkRead64(b *testing.B) {
	const callers = 64
	_, h, ch := servertest.OpenedHandle(b, server.Config{})
	ids := make(chan wire.RequestID, callers)
	ch.NoRecord = true
	ch.OnSend = func(msg []byte) {
		m, _ := wire.Decode(msg, wire.IOToClient)
		ids <- m.RequestID
	}
	go func() {
		reply := make([]byte, wire.DataReplyHead+64+wire.DataReplyTail)
		for id := range ids {
			ch.Lend(wire.FinishDataReply(reply, id, pnp.S_OK, 64))
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p := make([]byte, 64)
			for range b.N / callers {
				if _, err := h.ReadAt(bg, p, 0); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	close(ids)
}
