// SPDX-License-Identifier: Apache-2.0

// Package memory connects a client and a server within one process. Tests use
// it in place of an RDP connection.
package memory

import (
	"context"
	"sync"

	"freerdp-pnpdr/channels"
)

// Acceptor is the client end, such as a client.Session.
type Acceptor interface {
	Accept(name string, conn channels.Conn) (channels.Receiver, error)
}

// Link connects an Acceptor to the server role, whose Opener it is. Each
// direction of each channel delivers in order on a goroutine of its own, so the
// two ends run concurrently as over a network.
type Link struct {
	client Acceptor

	mu     sync.Mutex
	down   bool
	open   map[*pipe]struct{}
	active sync.WaitGroup
}

// NewLink makes a link to client.
func NewLink(client Acceptor) *Link {
	return &Link{client: client, open: make(map[*pipe]struct{})}
}

// Open implements channels.Opener.
func (l *Link) Open(ctx context.Context, name string, attach func(channels.ServerConn) channels.Receiver) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &pipe{link: l}
	p.toClient.init()
	p.toServer.init()

	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return channels.ErrClosed
	}
	l.open[p] = struct{}{}
	l.active.Add(2)
	l.mu.Unlock()

	receiver, err := l.client.Accept(name, clientEnd{p})
	if err != nil {
		l.forget(p)
		l.active.Add(-2)
		return channels.ErrRefused
	}
	go p.deliver(&p.toClient, receiver)
	go p.deliver(&p.toServer, attach(serverEnd{p}))
	return nil
}

// Close ends every channel, as losing the connection does, and waits until both
// ends of each have been told.
func (l *Link) Close() {
	l.mu.Lock()
	l.down = true
	pipes := make([]*pipe, 0, len(l.open))
	for p := range l.open {
		pipes = append(pipes, p)
	}
	l.mu.Unlock()
	for _, p := range pipes {
		p.close()
	}
	l.active.Wait()
}

func (l *Link) forget(p *pipe) {
	l.mu.Lock()
	delete(l.open, p)
	l.mu.Unlock()
}

// pipe is one channel.
type pipe struct {
	link               *Link
	toClient, toServer queue
}

func (p *pipe) close() {
	p.toClient.close()
	p.toServer.close()
	p.link.forget(p)
}

// deliver is one direction of a channel until it ends.
func (p *pipe) deliver(q *queue, r channels.Receiver) {
	defer p.link.active.Done()
	for {
		msg, ok := q.take()
		if !ok {
			break
		}
		if err := r.Receive(msg); err != nil {
			p.close()
			break
		}
	}
	r.Closed()
}

type clientEnd struct{ p *pipe }

func (e clientEnd) Send(msg []byte) error { return e.p.toServer.put(msg) }

// Sent implements channels.Conn. There is no wire here to count bytes on.
func (e clientEnd) Sent() (uint64, error) { return 0, channels.ErrNotCounted }

type serverEnd struct{ p *pipe }

func (e serverEnd) Send(msg []byte) error { return e.p.toClient.put(msg) }
func (e serverEnd) Close()                { e.p.close() }

// MaxMessage implements channels.ServerConn.
func (e serverEnd) MaxMessage() int { return 0 }

// queue holds the messages of one direction.
type queue struct {
	mu       sync.Mutex
	filled   sync.Cond
	messages [][]byte
	closed   bool
}

func (q *queue) init() { q.filled.L = &q.mu }

func (q *queue) put(msg []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return channels.ErrClosed
	}
	q.messages = append(q.messages, append([]byte(nil), msg...))
	q.filled.Signal()
	return nil
}

// take returns the next message. Messages left when the channel ends are lost,
// as on a connection.
func (q *queue) take() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.messages) == 0 && !q.closed {
		q.filled.Wait()
	}
	if q.closed {
		return nil, false
	}
	msg := q.messages[0]
	q.messages = q.messages[1:]
	return msg, true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}
