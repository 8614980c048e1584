// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// TestMove: a request that moves to another lane no longer holds up the first one.
func TestMove(t *testing.T) {
	for _, inDo := range []bool{false, true} {
		q := New("test", nil, nil)
		parked := q.Add(Lane{})
		ordered := q.Add(Lane{
			Try: func(it *Item) {
				if !inDo && len(it.R.Out) == 2 {
					it.Move(parked)
				}
			},
			Do: func(it *Item) (pnp.HRESULT, int) {
				q.Lock()
				defer q.Unlock()
				if len(it.R.Out) == 2 {
					it.Move(parked)
				}
				return pnp.S_OK, 1
			},
		})
		first, parks, last := ask(2), ask(2), ask(1)
		for _, a := range []*asked{first, parks, last} {
			ordered.Submit(a.Request)
		}
		last.ends(t, pnp.S_OK, 1)
		q.Lock()
		require.Equal(t, 2, parked.Len())
		var waiting []*pnp.Request
		for it := range parked.All() {
			waiting = append(waiting, it.R)
		}
		require.Equal(t, []*pnp.Request{first.Request, parks.Request}, waiting)
		require.Zero(t, ordered.Len())
		q.Unlock()
		require.NotNil(t, q.Cancel(first.Request))
		first.ends(t, pnp.ERROR_OPERATION_ABORTED, 0)
		require.False(t, parks.Completed())
		closed(t, q, nil)
		parks.ends(t, pnp.ERROR_OPERATION_ABORTED, 0)
		<-parks.freed
	}
}

// TestMoveToALaneThatIsServed moves a request while its Do goes on.
func TestMoveToALaneThatIsServed(t *testing.T) {
	q := New("test", nil, nil)
	c := newStickyCalls()
	served := q.Add(Lane{Do: func(*Item) (pnp.HRESULT, int) { return pnp.S_OK, 2 }})
	from := q.Add(Lane{Do: func(it *Item) (pnp.HRESULT, int) {
		q.Lock()
		it.Move(served)
		q.Unlock()
		c.f()
		return pnp.E_FAIL, 1
	}})
	a := ask(2)
	from.Submit(a.Request)
	a.ends(t, pnp.S_OK, 2)
	require.False(t, a.isFree(), "the one that moved it still has its buffers")
	close(c.release)
	select {
	case <-a.freed:
	case <-time.After(watchdog):
		t.Fatal("never freed")
	}
	closed(t, q, nil)
}
