// SPDX-License-Identifier: Apache-2.0

package queue_test

import (
	"fmt"
	"log/slog"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// A handle with a lane for reads that may block: each one runs in a slot of the
// session's pool.
func Example() {
	pool := queue.NewPool(256, 32, slog.Default())
	q := queue.New("a device", pool.NewShare(), slog.Default())
	reads := q.Add(queue.Lane{
		Do: func(it *queue.Item) (pnp.HRESULT, int) { return pnp.S_OK, copy(it.R.Out, "data") },
	})

	done := make(chan struct{})
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 16)}
	r.OnComplete(func(r *pnp.Request, hr pnp.HRESULT, n int) {
		fmt.Printf("%v: %q\n", hr, r.Out[:n])
		close(done)
	})
	reads.Submit(r)
	<-done

	released := make(chan struct{})
	q.Close(func() { fmt.Println("closing the node") }, func() { close(released) })
	<-released
	// Output:
	// success (S_OK 0x00000000): "data"
	// closing the node
}
