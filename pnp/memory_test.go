// SPDX-License-Identifier: Apache-2.0

package pnp

import (
	"math"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	m := NewMemory(100)
	require.True(t, m.Take(60))
	require.False(t, m.Take(41))
	require.EqualValues(t, 60, m.Taken(), "a Take that fails takes nothing")
	require.True(t, m.Take(40))
	require.Zero(t, m.TakeUpTo(1))
	m.Give(30)
	require.Equal(t, 20, m.TakeUpTo(20))
	require.Equal(t, 10, m.TakeUpTo(20))
	m.Give(100)
	require.Zero(t, m.Taken())

	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 1000 {
				n := m.TakeUpTo(70)
				if m.Take(20) {
					n += 20
				}
				m.Give(n)
			}
		}()
	}
	all.Wait()
	require.Zero(t, m.Taken())

	var none *Memory
	require.True(t, none.Take(math.MaxInt))
	require.Equal(t, math.MaxInt, none.TakeUpTo(math.MaxInt))
	none.Give(math.MaxInt)
}

// TestTakeTooMuch: whoever asks for more than there is takes nothing from others.
func TestTakeTooMuch(t *testing.T) {
	m := NewMemory(100)
	done := make(chan struct{})
	var greedy sync.WaitGroup
	greedy.Add(1)
	go func() {
		defer greedy.Done()
		for {
			select {
			case <-done:
				return
			default:
			}
			assert.False(t, m.Take(101))
		}
	}()
	for range 20_000 {
		if !assert.True(t, m.Take(60)) || !assert.Equal(t, 40, m.TakeUpTo(50)) {
			break
		}
		m.Give(100)
	}
	close(done)
	greedy.Wait()
}
