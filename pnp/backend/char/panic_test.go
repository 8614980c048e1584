// SPDX-License-Identifier: Apache-2.0

package char

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// TestPanicInACompletion leaves the lane as it is.
func TestPanicInACompletion(t *testing.T) {
	p := newPTY(t)
	h := open(t, device(t, p.path, false))
	defer h.Close()
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 4)}
	r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) { panic("a bug in the channel") })
	require.True(t, h.Try(r))
	p.feed([]byte("abcd"))
	require.Eventually(t, r.Completed, 20*time.Second, time.Millisecond)
	p.feed([]byte("efgh"))
	hr, data, _ := read(h, 4)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, "efgh", string(data))
}

// TestPanicInAWorker completes what is pending, and the handle can be closed.
func TestPanicInAWorker(t *testing.T) {
	p := newPTY(t)
	h := open(t, device(t, p.path, false))
	l := &h.(*handle).reads
	poll := l.wait
	l.wait = func(f func(fd uintptr) bool) error {
		return poll(func(fd uintptr) bool {
			f(fd)
			panic("a bug in the poller")
		})
	}
	hr, _, _ := read(h, 4)
	require.Equal(t, pnp.E_UNEXPECTED, hr)
	hr, _, _ = read(h, 4)
	require.True(t, hr.Failed())
	h.Close()
}
