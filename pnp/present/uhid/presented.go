// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/present"
)

const (
	// readAhead is how many reads are pending while a program has the device open.
	readAhead = 4
	// maxRequests is how many reports may be on their way to the client, or wait for
	// the device to be opened there. The kernel's own queue has room for 32.
	maxRequests = 64
	// lingerLimit is how long a device that no program has open any more stays open for
	// reports that the client has not answered.
	lingerLimit = 5 * time.Second
	// minRetry and maxRetry are how long to wait before opening the device again.
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// presented is a HID device of this machine. Two goroutines serve it: read takes events
// from the kernel, and run does the rest. A third opens the device at the client.
type presented struct {
	dev    *present.Device
	kernel *kernel
	layout layout
	inputs inputs
	source discover.Source // tells of input devices; nil if they may be there
	link   string          // in the device's folder; "" if there is none

	ctx     context.Context
	cancel  context.CancelFunc
	served  sync.WaitGroup
	events  chan event
	lost    chan struct{} // closed when the kernel's device is of no use any more
	opened  chan opened
	settled chan error    // the result of inhibiting
	appears chan struct{} // an input device has appeared
	// results has room for those of all requests that are outstanding.
	results chan result

	// All below is for run alone.
	using    bool // a program has the kernel's device open
	settling bool // settled gets a value
	unready  bool // input may not be passed on
	handle   *present.Handle
	opening  bool
	retry    *time.Timer // runs while opening the device has to wait
	retries  bool        // retry runs
	backoff  time.Duration
	linger   *time.Timer
	waiting  []request
	reads    int // outstanding, as are requests
	requests int
	giveUp   func() // cancels the question that came last
	dropped  bool   // the last output report was dropped
}

// opened is the result of opening the device.
type opened struct {
	handle *present.Handle
	err    error
}

// request is one for the client.
type request struct {
	op   pnp.Op
	code uint32
	data []byte
	room int
	// question is what the kernel wants to be answered; nil for an output report.
	question *event
	asked    question // of a report that is asked for
}

// result is the result of a request of a handle, or of a read if request is nil.
type result struct {
	handle  *present.Handle
	request *request
	out     []byte
	n       int
	err     error
}

func newPresented(d *present.Device, k *kernel, l layout, source discover.Source) *presented {
	p := &presented{
		dev: d, kernel: k, layout: l, source: source,
		events:  make(chan event, maxRequests),
		lost:    make(chan struct{}),
		opened:  make(chan opened, 1),
		settled: make(chan error, 1),
		appears: make(chan struct{}, 1),
		results: make(chan result, readAhead+maxRequests),
		retry:   time.NewTimer(0),
		linger:  time.NewTimer(0),
		backoff: minRetry,

		settling: true, unready: true, // until ready
	}
	stopTimer(p.retry)
	stopTimer(p.linger)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.served.Add(2)
	go p.read()
	go p.run()
	return p
}

// ready is called once the kernel has made its devices: from now on input is passed on.
func (p *presented) ready(in inputs) {
	p.inputs = in
	if p.source != nil {
		p.served.Add(1)
		go p.watch()
	}
	p.settled <- nil
}

// Close implements present.Presentation.
func (p *presented) Close() {
	p.cancel()
	p.kernel.close()
	if p.source != nil {
		p.source.Close()
	}
	p.served.Wait()
	if p.link != "" {
		os.Remove(p.link)
	}
}

// read takes the kernel's events.
func (p *presented) read() {
	defer p.served.Done()
	defer close(p.lost)
	b := make([]byte, eventSize)
	for {
		e, err := p.kernel.next(b)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				p.dev.Log.Error("HID device is of no use any more", "err", err)
			}
			return
		}
		select {
		case p.events <- e:
		case <-p.ctx.Done():
			return
		}
	}
}

// watch watches out for input devices that a driver makes later.
func (p *presented) watch() {
	defer p.served.Done()
	for {
		list, err := p.source.Receive(-1)
		switch {
		case err != nil && !errors.Is(err, discover.ErrLost):
			if p.ctx.Err() == nil {
				p.takeAway(err)
			}
			return
		case err != nil || slices.ContainsFunc(list, p.inputs.concerns):
			select {
			case p.appears <- struct{}{}:
			default:
			}
		}
	}
}

// takeAway removes the device, which must not do what err says.
func (p *presented) takeAway(err error) {
	p.dev.Log.Error("HID device is taken away", "err", err)
	p.kernel.close()
}

// run serves the device. It never waits for the client.
func (p *presented) run() {
	defer p.served.Done()
	defer p.end()
	defer pnp.Guard(p.dev.Log, "serving a HID device", p.kernel.close)
	for {
		var over <-chan struct{} // the handle has ended
		if p.handle != nil {
			over = p.handle.Done()
		}
		select {
		case <-p.lost:
			return
		case e := <-p.events:
			p.event(e)
		case err := <-p.settled:
			if p.settling, p.unready = false, err != nil; err != nil && p.ctx.Err() == nil {
				p.takeAway(err)
			}
		case <-p.appearing():
			p.settling, p.unready = true, true
			p.served.Add(1)
			go func() {
				defer p.served.Done()
				p.settled <- p.inputs.inhibit(p.ctx)
			}()
		case o := <-p.opened:
			p.opening = false
			p.openedAs(o)
		case r := <-p.results:
			p.result(r)
		case <-over:
			p.dev.Log.Debug("handle has ended", "err", p.handle.Err())
			p.close()
			p.wait()
		case <-p.retry.C:
			p.retries = false
		case <-p.linger.C:
			if !p.using {
				p.close()
			}
		}
		p.step()
	}
}

// appearing returns appears, unless what appeared before is still being inhibited.
func (p *presented) appearing() <-chan struct{} {
	if p.settling {
		return nil
	}
	return p.appears
}

// end closes what run has opened.
func (p *presented) end() {
	stopTimer(p.retry)
	stopTimer(p.linger)
	if p.opening {
		if o := <-p.opened; o.handle != nil {
			o.handle.Close()
		}
	}
	p.close()
}

// step opens the device at the client if it is needed, closes it if it is not, and
// sends what waits.
func (p *presented) step() {
	reading := p.using && !p.unready
	switch {
	case p.handle != nil && !p.using && p.requests+len(p.waiting) == 0:
		p.close()
	case p.handle == nil && !p.opening && (len(p.waiting) > 0 || reading && !p.retries):
		p.opening = true
		go func() {
			h, err := p.dev.Open(p.ctx, server.OpenOptions{})
			p.opened <- opened{h, err}
		}()
	}
	if p.handle == nil {
		return
	}
	for _, r := range p.waiting {
		p.start(&r)
	}
	p.waiting = nil
	for reading && p.handle != nil && p.reads < readAhead && p.layout.ByteLength(hidreport.Input) > 0 {
		p.startRead(make([]byte, p.layout.room()))
	}
}

// openedAs takes over a handle.
func (p *presented) openedAs(o opened) {
	if o.err == nil {
		p.handle = o.handle
		return
	}
	for _, r := range p.waiting {
		p.finish(&r, nil, o.err)
	}
	p.waiting = nil
	p.wait()
}

// wait makes opening the device wait.
func (p *presented) wait() {
	p.retries = true
	p.retry.Reset(p.backoff)
	p.backoff = min(2*p.backoff, maxRetry)
}

// close closes the device at the client.
func (p *presented) close() {
	if p.handle != nil {
		p.handle.Close()
		p.handle, p.giveUp = nil, nil
	}
	stopTimer(p.linger)
}

// event handles an event of the kernel's.
func (p *presented) event(e event) {
	switch e.what {
	case eventOpen:
		p.using = true
		stopTimer(p.linger)
		stopTimer(p.retry) // a program has come that may find the device free
		p.retries, p.backoff = false, minRetry
	case eventClose:
		p.using = false
		p.linger.Reset(lingerLimit)
	case eventOutput, eventSetReport:
		data, ok := p.layout.outgoing(e.kind, e.data)
		r := request{op: pnp.OpIOControl, data: data}
		switch {
		case e.kind == hidreport.Feature:
			r.code = hid.IOCTL_HID_SET_FEATURE
		case e.what == eventSetReport:
			r.code = hid.IOCTL_HID_SET_OUTPUT_REPORT
		default:
			r.op = pnp.OpWrite
		}
		if e.what == eventSetReport {
			r.question = &e
		}
		p.submit(r, ok && e.kind != hidreport.Input)
	case eventGetReport:
		q, ok := p.layout.question(e.kind, e.number)
		p.submit(request{op: pnp.OpIOControl, code: q.code, data: []byte{q.id}, room: q.room, question: &e, asked: q}, ok)
	}
}

// errRefused is for a report that the device does not have.
var errRefused = errors.New("the device has no such report")

// errTooMany is for a report that finds maxRequests before it.
var errTooMany = errors.New("the client does not take the reports before it")

// submit makes a request wait for step.
func (p *presented) submit(r request, ok bool) {
	if r.question != nil && p.giveUp != nil {
		// The kernel has one question at a time: it has given up the one before.
		p.giveUp()
		p.giveUp = nil
	}
	switch {
	case !ok:
		p.finish(&r, nil, errRefused)
	case p.requests+len(p.waiting) >= maxRequests:
		p.finish(&r, nil, errTooMany)
	default:
		p.waiting = append(p.waiting, r)
	}
}

// start sends a request.
func (p *presented) start(r *request) {
	out := make([]byte, r.room)
	h := p.handle
	cancel, err := h.Start(server.Request{Op: r.op, Code: r.code, In: r.data, Out: out, Done: func(n int, err error) {
		p.results <- result{h, r, out, n, err}
	}})
	if err != nil {
		p.finish(r, nil, err)
		return
	}
	p.requests++
	if r.question != nil {
		p.giveUp = cancel
	}
}

// startRead sends a read into b.
func (p *presented) startRead(b []byte) {
	h := p.handle
	_, err := h.Start(server.Request{Op: pnp.OpRead, Out: b, Done: func(n int, err error) {
		p.results <- result{h, nil, b, n, err}
	}})
	if err != nil {
		p.readFailed(err)
		return
	}
	p.reads++
}

// result handles the result of a request.
func (p *presented) result(r result) {
	switch {
	case r.request != nil:
		p.requests--
		p.finish(r.request, r.out[:min(r.n, len(r.out))], r.err)
	case r.err != nil:
		p.reads--
		if r.handle == p.handle {
			p.readFailed(r.err)
		}
	default:
		p.reads--
		p.backoff = minRetry
		if !p.unready && len(p.appears) == 0 {
			p.input(r.out[:r.n])
		}
	}
}

// readFailed gives the device a rest: a client that fails at once would keep us busy.
func (p *presented) readFailed(err error) {
	p.dev.Log.Debug("reading a report failed", "err", err)
	p.close()
	p.wait()
}

// input passes on an input report.
func (p *presented) input(b []byte) {
	for len(b) > 0 {
		report, rest, ok := p.layout.input(b)
		if !ok {
			p.dev.Log.Debug("dropped input reports that are not declared", "bytes", len(b))
			return
		}
		p.told(p.kernel.input(report))
		b = rest
	}
}

// finish ends a request.
func (p *presented) finish(r *request, out []byte, err error) {
	if r.question == nil {
		// Nobody waits for it. One line tells of many.
		if err != nil && !p.dropped {
			p.dev.Log.Warn("output reports are lost", "err", err)
		}
		p.dropped = err != nil
		return
	}
	errno := uint16(present.Errno(err))
	var report []byte
	if err == nil && r.question.what == eventGetReport {
		if report = r.asked.answer(out); report == nil {
			errno = uint16(present.Errno(pnp.ERROR_IO_DEVICE))
		}
	}
	p.told(p.kernel.answer(*r.question, errno, report))
}

// told looks at what the kernel says to an event.
func (p *presented) told(err error) {
	if err != nil && p.ctx.Err() == nil {
		p.dev.Log.Debug("the kernel refused an event", "err", err)
	}
}

// stopTimer stops a timer that only the caller reads.
func stopTimer(t *time.Timer) {
	if !t.Stop() {
		select {
		case <-t.C:
		default:
		}
	}
}
