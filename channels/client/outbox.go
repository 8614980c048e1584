// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"sync"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp"
)

// errFlood ends a channel whose server keeps sending requests over a limit
// without reading the refusals.
var errFlood = errors.New("the server sends requests faster than it reads replies: the limit of unsent replies is reached")

const (
	// chunkMemory is what each chunk of a message takes in the transport's queue,
	// measured on FreeRDP.
	chunkMemory = 1600

	// settleEvery is how many messages may pile up before the transport's
	// counter is read although no limit is near.
	settleEvery = 32

	// assumedRate is used where the transport does not count, in bytes per
	// second.
	assumedRate = 8 << 20
)

// outbox is what a session sends through. FreeRDP queues without a bound, so a
// server that asks for more than it reads could make the client's memory grow
// for ever. The outbox therefore counts what was accepted or sent and is not
// yet known to have left. It knows from the transport's counter of bytes sent
// on all channels: messages leave in order, so each advance of the counter
// covers the oldest messages first. Bytes of other channels make it run ahead
// by as much as they carry.
type outbox struct {
	limits *pnp.SessionLimits // the session's
	start  time.Time

	mu     sync.Mutex
	last   uint64 // the counter when it was last read
	queue  []message
	head   int   // queue[:head] is proven
	bytes  int64 // outstanding data of the session
	memory int64 // transport memory of queue[head:]
	// held is the transport memory that the replies to the requests now with
	// devices will take. It limits those requests as well, whatever their size
	// and even if they were answered early.
	held int64
}

// message was sent and is not yet known to have left.
type message struct {
	quota   *quota
	data    int64 // outstanding bytes to give back
	wire    int64 // bytes of it that have not left yet
	memory  int64
	request bool // counts as an outstanding request
}

// quota is what one channel has outstanding; the outbox's lock guards it.
type quota struct {
	requests int
	bytes    int64
	device   *usage // of the device; of its own before CreateFile
	// limits are the session's until CreateFile, then the device's. They change
	// on Receive's thread, before the channel is open.
	limits *pnp.SessionLimits
}

// usage is what all handles of a device have outstanding, including closed
// ones.
type usage struct{ bytes int64 }

func newOutbox(limits *pnp.SessionLimits) *outbox {
	return &outbox{limits: limits, start: time.Now()}
}

// assign makes a channel one of dev's. What it sent before may be on its way still.
func (o *outbox) assign(q *quota, dev *device) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q.limits, q.device = &dev.limits, &dev.usage
}

// sent reads the counter. A channel that has ended cannot say: the last value
// counts until another channel is asked.
func (o *outbox) sent(conn channels.Conn) uint64 {
	n, err := conn.Sent()
	switch {
	case err == nil:
		return n
	case errors.Is(err, channels.ErrNotCounted):
		return uint64(time.Since(o.start).Seconds() * assumedRate)
	}
	return o.last
}

// reserve accepts a request that will hold n bytes, or reports that there is no
// room.
func (o *outbox) reserve(conn channels.Conn, q *quota, n int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	fits := func() bool {
		return q.requests < q.limits.HandleRequests &&
			q.bytes+n <= q.limits.HandleBytes &&
			q.device.bytes+n <= o.limits.DeviceBytes() &&
			o.bytes+n <= o.limits.SessionBytes &&
			o.memory <= o.limits.SessionBytes &&
			o.memory+o.held+replyMemory(n) <= 2*o.limits.SessionBytes
	}
	if !fits() {
		if o.settle(conn); !fits() {
			return false
		}
	}
	o.held += replyMemory(n)
	q.requests++
	o.take(q, n)
	return true
}

// take adds n bytes, which may be negative.
func (o *outbox) take(q *quota, n int64) {
	q.bytes += n
	q.device.bytes += n
	o.bytes += n
}

// replyMemory is the most transport memory that the reply to a request of n
// bytes can take.
func replyMemory(n int64) int64 {
	return chunkMemory * chunks(n+replyFrame)
}

func chunks(n int64) int64 { return (n + channels.ChunkData - 1) / channels.ChunkData }

// release ends a request that reserved n bytes. Its reply took over sent of
// them. abandoned says that there was no reply.
func (o *outbox) release(q *quota, n, sent int64, abandoned bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held -= replyMemory(n)
	o.take(q, sent-n)
	if abandoned {
		q.requests--
	}
}

// reply sends the reply to a request. It takes over n of the request's bytes
// until it has left.
func (o *outbox) reply(conn channels.Conn, q *quota, msg []byte, n int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.send(conn, msg, message{quota: q, data: n, request: true})
}

// notice sends a message for which nothing was reserved: a refusal, an answer
// to an opening message, an announcement.
func (o *outbox) notice(conn channels.Conn, q *quota, msg []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	flooded := func() bool {
		return q.requests >= 2*o.limits.HandleRequests || o.memory > 2*o.limits.SessionBytes
	}
	if flooded() {
		if o.settle(conn); flooded() {
			return errFlood
		}
	}
	q.requests++
	return o.send(conn, msg, message{quota: q, request: true})
}

// event sends msg if it fits the budget, and reports whether it did.
func (o *outbox) event(conn channels.Conn, q *quota, msg []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := int64(len(msg))
	fits := func() bool {
		return q.bytes+n <= q.limits.HandleBytes && q.device.bytes+n <= o.limits.DeviceBytes() && o.bytes+n <= o.limits.SessionBytes && o.memory <= o.limits.SessionBytes
	}
	if !fits() {
		if o.settle(conn); !fits() {
			return false
		}
	}
	o.take(q, n)
	return o.send(conn, msg, message{quota: q, data: n}) == nil
}

// send passes msg to the transport under the lock, so that the queue has the
// order of the wire.
func (o *outbox) send(conn channels.Conn, msg []byte, m message) error {
	if o.head == len(o.queue) {
		o.last = o.sent(conn)
	} else if len(o.queue)-o.head >= settleEvery && len(o.queue)%settleEvery == 0 {
		o.settle(conn)
	}
	m.wire = channels.WireSize(len(msg))
	m.memory = chunkMemory * chunks(int64(len(msg)))
	if err := conn.Send(msg); err != nil {
		o.proven(m)
		return err
	}
	o.memory += m.memory
	o.queue = append(o.queue, m)
	return nil
}

// settle removes from the queue what has left according to the transport's
// counter.
func (o *outbox) settle(conn channels.Conn) {
	now := o.sent(conn)
	credit := int64(now - o.last) // negative if the counter has restarted: says nothing
	o.last = now
	for o.head < len(o.queue) && credit > 0 {
		m := &o.queue[o.head]
		if m.wire > credit {
			m.wire -= credit
			break
		}
		credit -= m.wire
		o.memory -= m.memory
		o.proven(*m)
		*m = message{}
		o.head++
	}
	if o.head > len(o.queue)/2 {
		n := copy(o.queue, o.queue[o.head:])
		clear(o.queue[n:])
		o.queue, o.head = o.queue[:n], 0
	}
}

func (o *outbox) proven(m message) {
	o.take(m.quota, -m.data)
	if m.request {
		m.quota.requests--
	}
}
