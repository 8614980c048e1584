// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// handle is one connection.
type handle struct {
	dev         *Device
	end         end
	message     bool
	read, write bool

	q             *queue.Queue
	reads, writes *queue.Lane

	// received is what nobody has read yet: messages, or in byte mode pieces. While
	// a read waits there is none.
	received [][]byte
	unread   int         // bytes in received
	over     pnp.HRESULT // why nothing more comes; S_OK while it may
	memory   *pnp.Memory // the session's
	taken    int         // bytes of memory
}

func newHandle(d *Device, e end, read, write bool, r pnp.OpenRequest) *handle {
	h := &handle{
		dev: d, end: e, message: e.messages(), read: read, write: write,
		q: queue.New(d.description.Name, r.Workers, d.log), memory: r.Memory, taken: leastMemory,
	}
	h.reads = h.q.Add(queue.Lane{Try: h.tryRead})
	writes := queue.Lane{Try: func(it *queue.Item) { h.send(it) }}
	if s, ok := e.(*socket); ok {
		writes.Do, writes.Await = h.doWrite, s.await
	}
	h.writes = h.q.Add(writes)
	e.start(h)
	return h
}

// Submit implements pnp.Handle.
func (h *handle) Submit(r *pnp.Request) {
	h.submit(r)
	h.end.submitted()
}

func (h *handle) submit(r *pnp.Request) {
	switch {
	case r.Op == pnp.OpIOControl:
		h.ioControl(r)
	case r.Op == pnp.OpRead && !h.read, r.Op == pnp.OpWrite && !h.write:
		h.q.Answer(r, pnp.ERROR_ACCESS_DENIED, 0)
	case len(r.Buffer()) == 0 && (r.Op == pnp.OpRead || !h.message):
		h.q.Answer(r, pnp.S_OK, 0)
	case r.Op == pnp.OpRead:
		h.reads.Submit(r)
	default: // even an empty message
		h.writes.Submit(r)
	}
}

// Cancel implements pnp.Handle. A cancelled read loses nothing. The count of a
// cancelled write is what was written.
func (h *handle) Cancel(r *pnp.Request) { h.q.Cancel(r) }

// Close implements pnp.Handle. What was written reaches the other end; what was not
// read is dropped.
func (h *handle) Close(released func()) {
	h.q.Close(h.end.close, func() {
		h.dev.instances.Add(-1)
		released()
	})
	h.end.shutdown()
	h.q.Lock()
	defer h.q.Unlock()
	h.received, h.unread = nil, 0
	h.memory.Give(h.taken)
	h.taken = 0
	h.end.drained()
}

// keep keeps what was received for the reads. The queue is locked.
func (h *handle) keep(p []byte) {
	h.received = append(h.received, p)
	h.unread += len(p)
}

// full reports whether nothing more may be received for now. The queue is locked.
func (h *handle) full() bool {
	if more := h.unread - h.taken; more > 0 && h.memory.Take(more) {
		h.taken += more
	}
	return h.unread >= maxUnread || len(h.received) >= maxMessages || h.unread > h.taken
}

// tryRead serves a read, or a transceive whose message is sent. The queue is locked.
func (h *handle) tryRead(it *queue.Item) {
	switch {
	case len(h.received) > 0:
		hr, n := h.move(it.R.Out)
		h.q.Finish(it, hr, n)
	case h.over != pnp.S_OK:
		h.q.Finish(it, h.over, 0)
	}
}

// move moves the next message, or in byte mode what there is, to out. The queue is
// locked.
func (h *handle) move(out []byte) (hr pnp.HRESULT, n int) {
	for len(h.received) > 0 && hr == pnp.S_OK {
		first := h.received[0]
		k := copy(out[n:], first)
		n += k
		h.unread -= k
		if k < len(first) {
			h.received[0] = first[k:]
			if h.message {
				hr = pnp.ERROR_MORE_DATA
			}
			break
		}
		h.received[0] = nil
		h.received = h.received[1:]
		if h.message {
			break
		}
	}
	less := max(h.taken-max(h.unread, leastMemory), 0)
	h.memory.Give(less)
	h.taken -= less
	h.end.drained()
	return hr, n
}

// send sends as much of a write as there is room for, and reports whether that was
// all. The queue is locked.
func (h *handle) send(it *queue.Item) (all bool) {
	sent := it.N
	for {
		n, err := h.end.send(it.R.In[sent:])
		sent += n
		if it.R.Op == pnp.OpWrite {
			it.N = sent
		}
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			h.q.Finish(it, writeFailure(err), it.N)
			return true
		case sent < len(it.R.In):
			continue
		}
		break
	}
	if it.R.Op == pnp.OpWrite {
		h.q.Finish(it, pnp.S_OK, sent)
		return true
	}
	it.Move(h.reads)
	h.reads.Kick()
	return true
}

// doWrite goes on with a write once there is room again.
func (h *handle) doWrite(it *queue.Item) (pnp.HRESULT, int) {
	h.q.Lock()
	defer h.q.Unlock()
	if it.Ended() || h.send(it) {
		return pnp.S_OK, it.N
	}
	return queue.NotReady, 0
}

func (h *handle) ioControl(r *pnp.Request) {
	reads, writes := r.Code == FSCTL_PIPE_PEEK || r.Code == FSCTL_PIPE_TRANSCEIVE, r.Code == FSCTL_PIPE_TRANSCEIVE
	switch {
	case reads && !h.read, writes && !h.write:
		h.q.Answer(r, pnp.ERROR_ACCESS_DENIED, 0)
	case r.Code == FSCTL_PIPE_PEEK:
		h.peek(r)
	case r.Code == FSCTL_PIPE_TRANSCEIVE:
		h.transceive(r)
	default:
		h.q.Answer(r, pnp.ERROR_INVALID_FUNCTION, 0)
	}
}

// transceive sends a message and waits for the next one. As on Windows nothing else
// may be there to read, which would be taken for the answer, and nobody else may wait for
// a message, who would get it.
func (h *handle) transceive(r *pnp.Request) {
	h.q.Lock()
	defer h.q.Unlock()
	switch {
	case !h.message, h.over != pnp.S_OK && len(h.received) == 0:
		h.q.AnswerLocked(r, pnp.ERROR_BAD_PIPE, 0)
	case len(r.In) == 0:
		h.q.AnswerLocked(r, pnp.ERROR_INVALID_PARAMETER, 0)
	case len(h.received) > 0, h.reads.Len() > 0, h.transceives():
		h.q.AnswerLocked(r, pnp.ERROR_PIPE_BUSY, 0)
	default:
		h.writes.Put(r)
	}
}

// transceives reports whether a transceive waits until its message is sent. The queue is
// locked.
func (h *handle) transceives() bool {
	for it := range h.writes.All() {
		if it.R.Op == pnp.OpIOControl {
			return true
		}
	}
	return false
}

// The layout of FILE_PIPE_PEEK_BUFFER ([MS-FSCC] 2.3.46), and its states.
const (
	peekHead  = 16
	connected = 3
	closing   = 4
)

// peek says what can be read. In message mode it shows no more than one message.
func (h *handle) peek(r *pnp.Request) {
	h.q.Lock()
	defer h.q.Unlock()
	switch {
	case len(r.Out) < peekHead:
		h.q.AnswerLocked(r, pnp.ERROR_INVALID_PARAMETER, 0)
		return
	case h.over != pnp.S_OK && len(h.received) == 0:
		h.q.AnswerLocked(r, h.over, 0)
		return
	}
	state, messages, length := uint32(connected), 0, 0
	if h.over != pnp.S_OK {
		state = closing
	}
	show := h.received
	left := h.unread
	if h.message && len(h.received) > 0 {
		show = h.received[:1]
		messages, length = len(h.received), len(h.received[0])
		left = length
	}
	le := binary.LittleEndian
	le.PutUint32(r.Out, state)
	le.PutUint32(r.Out[4:], uint32(h.unread))
	le.PutUint32(r.Out[8:], uint32(messages))
	le.PutUint32(r.Out[12:], uint32(length))
	n := peekHead
	for _, p := range show {
		k := copy(r.Out[n:], p)
		n += k
		left -= k
	}
	hr := pnp.S_OK
	if left > 0 && (h.message || n == peekHead) {
		hr = pnp.ERROR_MORE_DATA
	}
	h.q.AnswerLocked(r, hr, n)
}

// readFailure is the result of reads once receive has failed.
func readFailure(err error) pnp.HRESULT {
	switch {
	case errors.Is(err, io.EOF):
		return pnp.ERROR_BROKEN_PIPE
	case errors.Is(err, unix.ECONNRESET):
		return pnp.ERROR_PIPE_NOT_CONNECTED
	}
	return pnp.HRESULTOf(err)
}

// writeFailure is the result of a write that failed.
func writeFailure(err error) pnp.HRESULT {
	switch {
	case errors.Is(err, unix.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return pnp.ERROR_NO_DATA
	case errors.Is(err, unix.ECONNRESET):
		return pnp.ERROR_PIPE_NOT_CONNECTED
	case errors.Is(err, unix.EMSGSIZE): // longer than the socket can ever take
		return pnp.ERROR_NOT_ENOUGH_QUOTA
	}
	return pnp.HRESULTOf(err)
}
