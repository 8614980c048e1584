// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"io"
	"log/slog"
	"slices"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// Service is the other end of a handle in this process: it answers what is written to the
// handle. It is used by one goroutine at a time. dcerpc.Conn is one.
type Service interface {
	// Take takes bytes of what was written, n of p, as a stream: whatever the messages
	// were. It reports whether there is something to answer; then Answer comes next.
	Take(p []byte) (n int, whole bool)

	// Blocks reports whether Answer may block. If not, it is called on the thread that
	// brought the message, which spares two wake-ups.
	Blocks() bool

	// Answer passes the messages of an answer to write, which does not keep them. An
	// error closes the pipe behind them.
	Answer(write func(message []byte) error) error

	// Close ends the use of the service. It is called once, and nothing else after it.
	Close()
}

// Serve makes a pipe in message mode whose other end is in this process: connect makes it
// for each handle, with the request that opened it. 64 KiB of what was written wait for
// the service, and it is not asked for the next answer before the last one is in what the
// handle keeps.
func Serve(d pnp.Description, log *slog.Logger, connect func(r pnp.OpenRequest) Service) *Device {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	dev := &Device{description: &d, log: log}
	dev.connect = func(r pnp.OpenRequest) (end, error) {
		if err := r.CheckCancelled(); err != nil {
			return nil, err
		}
		p := &served{service: connect(r), workers: r.Workers}
		if p.workers == nil {
			p.workers = queue.Unbounded{}
		}
		return p, nil
	}
	return dev
}

// served is the other end of a handle, whose queue guards it.
type served struct {
	h       *handle
	service Service
	workers pnp.Workers

	in      [][]byte // what was written and not yet taken
	inBytes int
	out     [][]byte // answers that the handle does not have room for
	busy    bool     // Answer is called, or waits for a slot
	over    bool     // and there is no more behind out

	withdraw func() bool // takes back what waits for a slot
}

func (p *served) messages() bool { return true }

// start implements end.
func (p *served) start(h *handle) { p.h = h }

// send implements end. The queue is locked.
func (p *served) send(b []byte) (int, error) {
	switch {
	case p.over:
		return 0, unix.EPIPE
	case p.inBytes >= maxUnread || len(p.in) >= maxMessages:
		return 0, unix.EAGAIN
	}
	if len(b) > 0 { // of an empty message a stream has nothing
		p.in = append(p.in, slices.Clone(b))
		p.inBytes += len(b)
	}
	return len(b), nil
}

// submitted has the service do what it can.
func (p *served) submitted() {
	q := p.h.q
	q.Lock()
	defer q.Unlock()
	// Once the handle is closed, all this is close's.
	for q.EnterLocked() {
		if p.busy || p.over || len(p.in) == 0 || len(p.out) > 0 || p.h.full() {
			q.LeaveLocked()
			return
		}
		if !p.take() {
			q.LeaveLocked()
			continue
		}
		p.busy = true
		if p.service.Blocks() {
			p.withdraw = p.workers.Start(func() {
				q.Lock()
				p.withdraw = nil
				q.Unlock()
				p.answer()
				q.Leave()
				p.submitted()
			})
			return
		}
		q.Unlock()
		p.answer()
		q.Lock()
		q.LeaveLocked()
	}
}

// take passes on the next of what was written. The queue is locked.
func (p *served) take() (whole bool) {
	n, whole := p.service.Take(p.in[0])
	p.inBytes -= n
	if p.in[0] = p.in[0][n:]; len(p.in[0]) == 0 {
		p.in = p.in[1:]
	}
	p.h.writes.Kick()
	return whole
}

// answer has the service answer. The queue is not locked, since the service may ask for
// what is open and end handles.
func (p *served) answer() {
	var out [][]byte
	err := error(pnp.E_UNEXPECTED)
	func() {
		defer pnp.Guard(p.h.dev.log, "serving "+p.h.dev.description.Name, nil)
		err = p.service.Answer(func(message []byte) error {
			out = append(out, slices.Clone(message))
			return nil
		})
	}()
	if err != nil {
		p.h.dev.log.Warn("the service has hung up on its client", "pipe", p.h.dev.description.Name, "err", err)
	}
	p.h.q.Lock()
	defer p.h.q.Unlock()
	p.busy, p.over = false, err != nil
	p.out = out
	p.drained()
	p.h.reads.Kick()
}

// drained gives the handle of the answers what it has room for.
func (p *served) drained() {
	for p.h.q.Ended() == pnp.S_OK && len(p.out) > 0 && !p.h.full() {
		p.h.keep(p.out[0])
		p.out[0] = nil
		p.out = p.out[1:]
	}
	if p.over && len(p.out) == 0 && p.h.over == pnp.S_OK {
		p.h.over = pnp.ERROR_BROKEN_PIPE
	}
}

func (p *served) shutdown() {
	p.h.q.Lock()
	defer p.h.q.Unlock()
	if p.withdraw != nil && p.withdraw() {
		p.withdraw = nil
		p.h.q.LeaveLocked()
	}
}

// close implements end. What was written before is done, and answered to nobody.
func (p *served) close() {
	defer p.service.Close()
	for whole, over := p.busy, p.over; !over && (whole || len(p.in) > 0); {
		if whole {
			over = p.service.Answer(func([]byte) error { return nil }) != nil
			whole = false
			continue
		}
		var n int
		n, whole = p.service.Take(p.in[0])
		if p.in[0] = p.in[0][n:]; len(p.in[0]) == 0 {
			p.in = p.in[1:]
		}
	}
}
