// SPDX-License-Identifier: Apache-2.0

package client

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// buffers lends the memory for requests and replies. Its contents are
// undefined. Sizes are powers of two plus the frame of a reply, so that common
// requests fill their buffers.
type buffers struct {
	lent    atomic.Int64
	classes [maxClass + 1]sync.Pool
}

// maxClass limits the pool to buffers of 1 MiB of data; the garbage collector
// gets larger ones.
const (
	minClass = 6
	maxClass = 20
)

func (b *buffers) get(n int) *[]byte {
	b.lent.Add(1)
	class := max(bits.Len(uint(max(n-replyFrame, 1)-1)), minClass)
	if class > maxClass {
		buf := make([]byte, n)
		return &buf
	}
	if p, ok := b.classes[class].Get().(*[]byte); ok {
		*p = (*p)[:n]
		return p
	}
	buf := make([]byte, n, 1<<class+replyFrame)
	return &buf
}

func (b *buffers) put(p *[]byte) {
	b.lent.Add(-1)
	c := cap(*p) - replyFrame
	if c >= 1<<minClass && c <= 1<<maxClass && c&(c-1) == 0 {
		b.classes[bits.Len(uint(c))-1].Put(p)
	}
}
