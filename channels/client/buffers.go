// SPDX-License-Identifier: Apache-2.0

package client

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// buffers lends the memory of requests and replies. What is lent has undefined
// contents. The sizes are powers of two and a reply's frame, so that the usual
// requests fill their buffers.
type buffers struct {
	lent    atomic.Int64
	classes [maxClass + 1]sync.Pool
}

// maxClass bounds the pooled sizes to 1 MiB of data; larger buffers are left to
// the garbage collector.
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
