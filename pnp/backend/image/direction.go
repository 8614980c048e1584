// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"slices"
	"time"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// direction is the bulk pipe of one direction. The queue's lock guards it.
//
// Several requests are with the device at a time. One that needs several transfers, or
// whose length is not a multiple of the packets', holds back those behind it.
type direction struct {
	h       *handle
	pipe    *pipe // nil if there is none, or the handle may not use it
	lane    *queue.Lane
	timeout time.Duration

	moving  map[*queue.Item]*Transfer
	alone   *queue.Item // is with the device and holds back those behind it
	blocked bool        // a request waits, so that those behind it do

	// rest is what came beyond a read, or for one that was cancelled: the next reads
	// get it.
	rest []kept
}

// kept is data in memory of a request, which is released when it is used.
type kept struct {
	data  []byte
	owner *pnp.Request // nil if the data is a copy
}

func newDirection(h *handle, p *pipe) *direction {
	d := &direction{h: h, pipe: p, timeout: defaultTimeout, moving: make(map[*queue.Item]*Transfer)}
	d.lane = h.q.Add(queue.Lane{Width: 2, Try: d.try})
	return d
}

func (d *direction) in() bool { return d.pipe.in() }

// try begins with a request, if it is its turn.
func (d *direction) try(it *queue.Item) {
	switch {
	case d.blocked:
	case d.in() && len(d.rest) > 0 && len(d.moving) == 0:
		d.h.q.Finish(it, pnp.S_OK, d.take(it.R.Out))
	case d.alone != nil, d.begin(it) != nil:
		d.blocked = true
	}
}

// next tries what waits.
func (d *direction) next() {
	if !d.blocked {
		return
	}
	d.blocked = false
	for _, it := range slices.Collect(d.lane.All()) { // some end meanwhile
		if _, moves := d.moving[it]; !moves {
			if d.try(it); d.blocked {
				return
			}
		}
	}
}

// begin begins the next transfer of a request. An error means that it has to wait for
// others to end; if it has failed, it is finished.
func (d *direction) begin(it *queue.Item) error {
	whole := it.R.Buffer()
	t := &Transfer{Endpoint: d.pipe.address, Data: whole[it.N:min(len(whole), it.N+pieceSize)], Timeout: d.timeout}
	// The device may send whole packets only.
	odd := d.in() && len(t.Data)%d.pipe.maxPacket != 0
	if odd {
		t.Data = make([]byte, (len(t.Data)/d.pipe.maxPacket+1)*d.pipe.maxPacket)
	}
	t.Done = func(n int, err error) { d.h.c.settle(err, func(err error) { d.done(it, t, n, err) }) }
	if err := d.h.c.usb.Submit(t); err != nil {
		if len(d.moving) > 0 && !errors.Is(err, ErrGone) {
			return err // there is no memory, say
		}
		d.h.q.Finish(it, result(err), it.N)
		return nil
	}
	d.h.q.EnterLocked()
	it.R.Hold()
	d.moving[it] = t
	if d.alone = nil; odd || it.N+len(t.Data) < len(whole) {
		d.alone = it
	}
	return nil
}

// done takes the result of a transfer.
func (d *direction) done(it *queue.Item, t *Transfer, n int, err error) {
	if errors.Is(err, ErrGone) {
		d.h.c.unplugged()
	}
	q := d.h.q
	q.Lock()
	delete(d.moving, it)
	wanted := min(n, len(it.R.Buffer())-it.N)
	holds := false
	if d.in() {
		holds = d.keep(it, t, n, wanted)
	}
	if !it.Ended() {
		it.N += wanted
		full := n == len(t.Data) && err == nil
		if !full || it.N == len(it.R.Buffer()) || d.begin(it) != nil {
			q.Finish(it, result(err), it.N)
		}
	}
	if _, goes := d.moving[it]; !goes {
		if d.alone == it {
			d.alone = nil
		}
		d.next()
	}
	q.Unlock()
	if !holds {
		it.R.Release()
	}
	q.Leave()
}

// keep puts what a transfer has brought where it belongs: into the request's buffer, and
// what that has no room for, or nobody waits for any more, aside. It reports whether it
// keeps the request's memory.
func (d *direction) keep(it *queue.Item, t *Transfer, n, wanted int) (holds bool) {
	own := it.R.Out[it.N:]
	apart := len(t.Data) > 0 && (len(own) == 0 || &t.Data[0] != &own[0])
	switch {
	case d.h.q.Ended() != pnp.S_OK && it.Ended(): // there is no next read
	case it.Ended() && apart && n > 0:
		d.rest = append(d.rest, kept{data: t.Data[:n]})
	case it.Ended() && n > 0:
		d.rest = append(d.rest, kept{t.Data[:n], it.R})
		return true
	case apart && n > 0:
		copy(own, t.Data[:wanted])
		if n > wanted {
			d.rest = append(d.rest, kept{data: append([]byte(nil), t.Data[wanted:n]...)})
		}
	}
	return false
}

// take moves what was kept to p.
func (d *direction) take(p []byte) (n int) {
	for n < len(p) && len(d.rest) > 0 {
		k := &d.rest[0]
		m := copy(p[n:], k.data)
		n += m
		if k.data = k.data[m:]; len(k.data) == 0 {
			k.release()
			d.rest = d.rest[1:]
		}
	}
	return n
}

func (k *kept) release() {
	if k.owner != nil {
		// Not under the lock: it may free the request.
		go k.owner.Release()
	}
}

// forget drops what was kept.
func (d *direction) forget() {
	for i := range d.rest {
		d.rest[i].release()
	}
	d.rest = nil
}

// stop ends the transfer of a request.
func (d *direction) stop(it *queue.Item) {
	if t := d.moving[it]; t != nil {
		d.h.c.usb.Cancel(t)
	}
}

func (d *direction) stopAll() {
	for _, t := range d.moving {
		d.h.c.usb.Cancel(t)
	}
}
