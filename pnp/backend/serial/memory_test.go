// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// openWithin opens a port of a session that has limit bytes for what nobody has read.
func openWithin(t *testing.T, limit int64) (*opened, *pnp.Memory) {
	r := acceptance.ReadWrite
	r.Memory = pnp.NewMemory(limit)
	return newBench(t).openAs(r), r.Memory
}

// numbered returns n bytes, of which no two thousand in a row are found twice.
func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

// TestQueueWithinMemory asks for a queue that is larger than the session's memory. The
// port keeps what fits, leaves the rest in the kernel, and loses nothing.
func TestQueueWithinMemory(t *testing.T) {
	const limit, queue = 8192, 64 << 10
	o, memory := openWithin(t, limit)
	o.set(IOCTL_SERIAL_SET_QUEUE_SIZE, queue, 0)
	o.mask(SERIAL_EV_RX80FULL)
	wait := o.waitOnMask()
	data := numbered(queue)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		o.feed(data)
	}()
	o.buffered(defaultQueue + limit)
	wait.pending()
	require.EqualValues(t, limit, memory.Taken())
	for at := 0; at < len(data); at += 1000 {
		part := data[at:min(at+1000, len(data))]
		o.read(len(part)).ends(pnp.S_OK, string(part))
		require.LessOrEqual(t, memory.Taken(), int64(limit))
		o.h.q.Lock()
		require.LessOrEqual(t, o.h.rx.head, len(o.h.rx.buffer), "memory of what was read stays")
		o.h.q.Unlock()
	}
	<-fed
	o.close()
	require.Zero(t, memory.Taken())
}

// TestLongReadsWithinMemory: a read may be longer than the session's memory, which is
// not about what was asked for. What has come when it is cancelled counts; what is
// beyond the memory is lost, and the application can find that out.
func TestLongReadsWithinMemory(t *testing.T) {
	const limit, long = 8192, 50_000
	o, memory := openWithin(t, limit)
	data := numbered(long)
	r := o.read(long)
	o.feed(data)
	r.ends(pnp.S_OK, string(data))
	require.Zero(t, memory.Taken())

	for _, end := range []func(*call){
		func(r *call) { o.cancel(r) },
		func(*call) { o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXABORT) },
	} {
		r = o.read(long)
		o.feed(data[:long-1])
		o.buffered(long - 1)
		end(r)
		r.ends(pnp.ERROR_OPERATION_ABORTED, "")
		require.LessOrEqual(t, memory.Taken(), int64(limit))
		require.EqualValues(t, SERIAL_ERROR_QUEUEOVERRUN, o.status().Errors)
		o.read(defaultQueue+limit).ends(pnp.S_OK, string(data[:defaultQueue+limit]))
	}
	r = o.read(long)
	o.feed(data[:defaultQueue+limit])
	o.buffered(defaultQueue + limit)
	o.cancel(r)
	require.Zero(t, o.status().Errors)
	require.EqualValues(t, limit, memory.Taken())
	o.close()
	require.Zero(t, memory.Taken())
}
