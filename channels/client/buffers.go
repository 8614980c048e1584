package client

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// buffers lends the memory of requests and replies by powers of two. What is
// lent has undefined contents.
type buffers struct {
	lent    atomic.Int64
	classes [maxClass + 1]sync.Pool
}

// maxClass bounds the pooled sizes to 2 MiB; larger buffers are left to the
// garbage collector.
const (
	minClass = 6
	maxClass = 21
)

func (b *buffers) get(n int) *[]byte {
	b.lent.Add(1)
	class := max(bits.Len(uint(max(n, 1)-1)), minClass)
	if class > maxClass {
		buf := make([]byte, n)
		return &buf
	}
	if p, ok := b.classes[class].Get().(*[]byte); ok {
		*p = (*p)[:n]
		return p
	}
	buf := make([]byte, n, 1<<class)
	return &buf
}

func (b *buffers) put(p *[]byte) {
	b.lent.Add(-1)
	if c := cap(*p); c&(c-1) == 0 && c <= 1<<maxClass {
		b.classes[bits.Len(uint(c))-1].Put(p)
	}
}
