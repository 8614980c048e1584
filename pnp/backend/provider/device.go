// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/queue"
)

// Device is the device that a provider has.
type Device struct {
	remote      *server.Device
	description pnp.Description
	readOnly    bool
	log         *slog.Logger

	mu      sync.Mutex
	sink    func(pnp.Event)
	closing map[*handle]struct{} // that the provider has not let go of
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.description }

// Notify implements pnp.EventSource.
func (d *Device) Notify(sink func(pnp.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sink = sink
}

// raise passes an event on.
func (d *Device) raise(e pnp.Event) {
	d.mu.Lock()
	sink := d.sink
	d.mu.Unlock()
	if sink != nil {
		sink(e)
	}
}

// Open implements pnp.Device. The provider opens its device, which may take as long as
// the server waits for it.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	if r.NoBlock {
		return nil, pnp.ErrWouldBlock
	}
	if err := r.CheckCancelled(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opened := make(chan struct{})
	defer close(opened)
	go func() {
		select {
		case <-r.Cancelled:
			cancel()
		case <-opened:
		}
	}()
	if err := d.awaitClosing(r.Cancelled); err != nil {
		return nil, err
	}
	opt := server.OpenOptions{
		Access: r.Access, Share: r.Share & (pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE),
		Disposition: r.Disposition, Flags: r.Flags & server.FlagBits,
		Exact: true, DataOut: true,
	}
	if d.readOnly {
		opt.Access = pnp.GENERIC_READ
	}
	if opt.Disposition > pnp.TRUNCATE_EXISTING {
		opt.Disposition = pnp.OPEN_EXISTING
	}
	remote, err := d.remote.Open(ctx, opt)
	if err != nil {
		return nil, failure(err)
	}
	h := &handle{d: d, remote: remote, q: queue.New(d.description.Name, r.Workers, d.log)}
	h.requests = h.q.Add(queue.Lane{Width: 2, Try: h.send}) // each is sent when it arrives
	h.sent = make(map[*queue.Item]func())
	return h, nil
}

// awaitClosing waits until the provider has let go of what was closed: a device that is
// opened after it was closed is not in use.
func (d *Device) awaitClosing(cancelled <-chan struct{}) error {
	d.mu.Lock()
	var closing []*handle
	for h := range d.closing {
		closing = append(closing, h)
	}
	d.mu.Unlock()
	for _, h := range closing {
		select {
		case <-h.remote.ChannelClosed():
		case <-cancelled:
			return pnp.ERROR_OPERATION_ABORTED
		}
	}
	return nil
}

// failure returns the result of a request that failed. If the connection has ended, the
// device has gone, or is about to.
func failure(err error) pnp.HRESULT {
	if errors.Is(err, channels.ErrClosed) {
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	}
	return pnp.HRESULTOf(err)
}

// handle is one open handle: a connection to the provider.
type handle struct {
	d        *Device
	remote   *server.Handle
	q        *queue.Queue
	requests *queue.Lane
	sent     map[*queue.Item]func() // outstanding requests, with how to cancel each; guarded by q
}

// Submit implements pnp.Handle.
func (h *handle) Submit(r *pnp.Request) {
	if h.d.readOnly && r.Op == pnp.OpWrite {
		h.q.Answer(r, pnp.ERROR_ACCESS_DENIED, 0)
		return
	}
	h.requests.Submit(r)
}

// send passes a request on. The buffers are in use until the provider replies, even if
// the request is cancelled before. The queue is locked.
func (h *handle) send(it *queue.Item) {
	r := it.R
	cancel, err := h.remote.Start(server.Request{
		Op: r.Op, Code: r.Code, Offset: r.Offset, In: r.In, Out: r.Out,
		Done: func(n int, err error) { h.done(it, n, err) },
	})
	if err != nil {
		h.q.Finish(it, failure(err), 0)
		return
	}
	// done waits for the lock.
	h.q.EnterLocked()
	r.Hold()
	h.sent[it] = cancel
}

// done takes the provider's reply, or the end of the connection.
func (h *handle) done(it *queue.Item, n int, err error) {
	hr := pnp.S_OK
	if err != nil {
		hr = failure(err)
	}
	h.q.Lock()
	h.q.Finish(it, hr, n)
	delete(h.sent, it)
	h.q.Unlock()
	it.R.Release()
	h.q.Leave()
}

// Cancel implements pnp.Handle.
func (h *handle) Cancel(r *pnp.Request) {
	it := h.q.Cancel(r)
	if it == nil {
		return
	}
	h.q.Lock()
	cancel := h.sent[it]
	h.q.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Close implements pnp.Handle.
func (h *handle) Close(released func()) {
	h.d.mu.Lock()
	h.d.closing[h] = struct{}{}
	h.d.mu.Unlock()
	h.q.Enter()
	h.q.Close(nil, released)
	h.remote.Close()
	go func() {
		<-h.remote.ChannelClosed()
		h.d.mu.Lock()
		delete(h.d.closing, h)
		h.d.mu.Unlock()
		h.q.Leave()
	}()
}
