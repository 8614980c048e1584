// SPDX-License-Identifier: Apache-2.0

package unixsock

import (
	"context"
	"sync"
	"sync/atomic"

	"freerdp-pnpdr/channels"
)

// Dialer opens channels to the process that listens at a socket. It is the Opener of a
// server role. Close it when that has ended.
type Dialer struct {
	dial func(context.Context) (Conn, error)

	sent    atomic.Uint64
	mu      sync.Mutex
	closed  bool
	open    map[*conn]struct{}
	running sync.WaitGroup
}

// NewDialer makes a Dialer that connects with dial.
func NewDialer[C Conn](dial func(context.Context) (C, error)) *Dialer {
	d := &Dialer{open: make(map[*conn]struct{})}
	d.dial = func(ctx context.Context) (Conn, error) { return dial(ctx) }
	return d
}

// Open implements channels.Opener. A channel that the other end refuses is opened, and
// closed at once.
func (d *Dialer) Open(ctx context.Context, name string, attach func(channels.ServerConn) channels.Receiver) error {
	nc, err := d.dial(ctx)
	if err != nil {
		return err
	}
	c := newConn(nc, &d.sent)
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		nc.Close()
		return channels.ErrClosed
	}
	d.open[c] = struct{}{}
	d.running.Add(1)
	d.mu.Unlock()

	_ = c.Send([]byte(name)) // the queue is empty
	r := attach(c)
	go func() {
		defer d.running.Done()
		_ = c.serve(r) // the receiver has logged what was wrong with its messages
		d.mu.Lock()
		delete(d.open, c)
		d.mu.Unlock()
	}()
	return nil
}

// Close ends all channels, and waits until their receivers were told.
func (d *Dialer) Close() {
	d.mu.Lock()
	d.closed = true
	for c := range d.open {
		c.abort()
	}
	d.mu.Unlock()
	d.running.Wait()
}
