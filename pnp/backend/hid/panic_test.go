// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// bomb is a node that panics.
type bomb struct{ node }

func (bomb) read([]byte) (int, error)  { panic("a bug in read") }
func (bomb) write([]byte) (int, error) { panic("a bug in write") }

// TestPanic: a panic completes the request, and the handle can still be closed.
func TestPanic(t *testing.T) {
	f := newFake(t, bytewise)
	d := f.device(false)
	d.open = func(d *Device, r pnp.OpenRequest) (opened, error) {
		n, err := f.open(d, r)
		n.node = bomb{n.node}
		return n, err
	}
	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	for range 2 {
		hr, _ := transact(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 64)})
		require.Equal(t, pnp.E_UNEXPECTED, hr)
		hr, _ = transact(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 64)})
		require.Equal(t, pnp.E_UNEXPECTED, hr)
	}
}

// TestPanicInACompletion: after a panic in a completion the lane still works.
func TestPanicInACompletion(t *testing.T) {
	f := newFake(t, bytewise)
	h, err := f.device(false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	r := &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 64)}
	r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) { panic("a bug in the channel") })
	h.Submit(r)
	hr, _ := transact(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 64)})
	require.Equal(t, pnp.S_OK, hr)
}
