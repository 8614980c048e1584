// SPDX-License-Identifier: Apache-2.0

package char

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// TestPanicInACompletion: the lane goes on.
func TestPanicInACompletion(t *testing.T) {
	p := newPTY(t)
	h := open(t, device(t, p.path, false))
	defer h.Close(func() {})
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 4)}
	r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) { panic("a bug in the channel") })
	h.Submit(r)
	p.feed([]byte("abcd"))
	require.Eventually(t, r.Completed, 20*time.Second, time.Millisecond)
	p.feed([]byte("efgh"))
	hr, data, _ := read(h, 4)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "efgh", string(data))
}

// TestPanicInACall: the request fails, and the handle stays usable.
func TestPanicInACall(t *testing.T) {
	p := newPTY(t)
	h := open(t, device(t, p.path, false))
	q, l := h.(*handle).q, h.(*handle).reads
	usual := *l
	set := func(change func()) {
		q.Lock()
		defer q.Unlock()
		change()
	}
	set(func() { l.Await = func() error { panic("a bug in the poller") } })
	hr, _, _ := read(h, 4)
	require.Equal(t, pnp.E_UNEXPECTED, hr)
	set(func() {
		l.Await, l.Try = usual.Await, nil
		l.Do = func(*queue.Item) (pnp.HRESULT, int) { panic("a bug in the driver") }
	})
	p.feed([]byte("abcd"))
	hr, _, _ = read(h, 4)
	require.Equal(t, pnp.E_UNEXPECTED, hr)
	set(func() { l.Do = usual.Do })
	hr, data, _ := read(h, 4)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "abcd", string(data))
	closed(h)
}
