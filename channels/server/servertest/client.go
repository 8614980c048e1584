// SPDX-License-Identifier: Apache-2.0

// Package servertest is a client for tests of the server role. It checks that
// each message from the server is well formed. Otherwise it knows only as much of
// the protocol as Fixture needs: the test reads what the server sent, and writes
// the client's answers byte by byte.
package servertest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/pnp/wire"
)

// Watchdog is how long anything may take before the test fails.
const Watchdog = time.Minute

// Client accepts every channel that the server opens. It is a channels.Opener.
type Client struct {
	t testing.TB
	// Accepting, if not nil, is called with the context of Open before a
	// channel is accepted. An error refuses the channel.
	Accepting func(ctx context.Context, name string) error
	// Attached, if not nil, is called when the channel has its receiver, before
	// Open returns.
	Attached func(*Channel)

	opened chan *Channel
}

// NewClient returns a client that fails t if it waits in vain.
func NewClient(t testing.TB) *Client {
	return &Client{t: t, opened: make(chan *Channel, 1<<12)}
}

// Open implements channels.Opener.
func (c *Client) Open(ctx context.Context, name string, attach func(channels.ServerConn) channels.Receiver) error {
	if c.Accepting != nil {
		if err := c.Accepting(ctx, name); err != nil {
			return err
		}
	}
	ch := &Channel{t: c.t, Name: name, news: make(chan struct{}, 1), closed: make(chan struct{})}
	ch.receiver = attach(ch)
	if c.Attached != nil {
		c.Attached(ch)
	}
	c.opened <- ch
	return nil
}

// Accept returns the next channel that the server has opened. Its name must be
// name.
func (c *Client) Accept(name string) *Channel {
	c.t.Helper()
	select {
	case ch := <-c.opened:
		if ch.Name != name {
			c.t.Fatalf("the server opened %s, not %s", ch.Name, name)
		}
		return ch
	case <-time.After(Watchdog):
		c.t.Fatalf("the server did not open %s", name)
		return nil
	}
}

// Opened returns the channels that Accept has not returned yet.
func (c *Client) Opened() <-chan *Channel { return c.opened }

// Channel is the client's end of a channel. Its methods Send and Close are
// called by the server.
type Channel struct {
	Name string
	// OnSend gets each message from the server, during Send. It may Inject if
	// the server does not send from Receive on this channel. Set it before the
	// server sends.
	OnSend func(msg []byte)
	// Max is what MaxMessage returns. Set it in Attached or before the server
	// sends.
	Max int
	// NoRecord gives the messages to OnSend only.
	NoRecord bool
	// Fail, if not nil, makes Send fail for the messages for which it returns
	// an error, although the channel is open.
	Fail func(msg []byte) error

	t        testing.TB
	receiver channels.Receiver
	news     chan struct{}
	closed   chan struct{} // closed when the receiver was told

	receiving sync.Mutex // held during Receive and Closed

	mu    sync.Mutex
	sent  [][]byte
	next  int
	ended bool // either side has started to end the channel
	told  bool // the receiver is being told
}

// Send implements channels.Sender. After an end it fails only as late as the
// contract allows.
func (ch *Channel) Send(msg []byte) error {
	ch.mu.Lock()
	if ch.told {
		ch.mu.Unlock()
		return channels.ErrClosed
	}
	if ch.Fail != nil {
		if err := ch.Fail(msg); err != nil {
			ch.mu.Unlock()
			return err
		}
	}
	if _, err := ch.decode(msg); err != nil {
		ch.t.Errorf("the server sent %x on %s: %v", msg, ch.Name, err)
	}
	if !ch.NoRecord {
		ch.sent = append(ch.sent, bytes.Clone(msg))
	}
	ch.mu.Unlock()
	select {
	case ch.news <- struct{}{}:
	default:
	}
	if ch.OnSend != nil {
		ch.OnSend(msg)
	}
	return nil
}

// decode decodes a message from the server.
func (ch *Channel) decode(msg []byte) (wire.Message, error) {
	if ch.Name == channels.PNPDR {
		return wire.Decode(msg, wire.InfoToClient)
	}
	return wire.Decode(msg, wire.IOToClient)
}

// MaxMessage implements channels.ServerConn.
func (ch *Channel) MaxMessage() int { return ch.Max }

// Close implements channels.ServerConn.
func (ch *Channel) Close() {
	if ch.markEnded() {
		go ch.tellClosed()
	}
}

func (ch *Channel) markEnded() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	first := !ch.ended
	ch.ended = true
	return first
}

func (ch *Channel) tellClosed() {
	ch.receiving.Lock()
	defer ch.receiving.Unlock()
	ch.mu.Lock()
	ch.told = true
	ch.mu.Unlock()
	ch.receiver.Closed()
	close(ch.closed)
}

// End ends the channel from the client's side and returns when the server has
// been told.
func (ch *Channel) End() {
	if ch.markEnded() {
		ch.tellClosed()
	}
	ch.WaitEnd()
}

// Inject gives msg to the server and returns what Receive returned. After an
// error the channel ends, as the contract of a transport demands. The memory of
// msg is overwritten afterwards, since it was only lent.
func (ch *Channel) Inject(msg []byte) error {
	lent := bytes.Clone(msg)
	ch.receiving.Lock()
	defer ch.receiving.Unlock()
	if ch.Ended() {
		return channels.ErrClosed
	}
	err := ch.receiver.Receive(lent)
	for i := range lent {
		lent[i] = 0xDB
	}
	if err != nil {
		ch.Close()
	}
	return err
}

// Lend is Inject for memory that the caller uses again: it allocates nothing.
func (ch *Channel) Lend(msg []byte) error {
	ch.receiving.Lock()
	defer ch.receiving.Unlock()
	return ch.receiver.Receive(msg)
}

// HoldClosed runs f, and tells the server of the channel's end only afterwards.
func (ch *Channel) HoldClosed(f func()) {
	ch.receiving.Lock()
	defer ch.receiving.Unlock()
	f()
}

// Late gives msg to the server although the server has closed the channel: a
// transport may deliver until it has called Closed. Call it within HoldClosed.
func (ch *Channel) Late(msg []byte) error { return ch.receiver.Receive(msg) }

// Ended reports whether either side has started to end the channel.
func (ch *Channel) Ended() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.ended
}

// Told reports whether the server has been told of the end.
func (ch *Channel) Told() bool {
	select {
	case <-ch.closed:
		return true
	default:
		return false
	}
}

// WaitEnd returns when the channel has ended and the server was told.
func (ch *Channel) WaitEnd() {
	ch.t.Helper()
	select {
	case <-ch.closed:
	case <-time.After(Watchdog):
		ch.t.Fatalf("%s did not end", ch.Name)
	}
}

// Next waits for the next message from the server.
func (ch *Channel) Next() []byte {
	ch.t.Helper()
	timeout := time.After(Watchdog)
	for {
		if msg := ch.tryNext(); msg != nil {
			return msg
		}
		select {
		case <-ch.news:
		case <-timeout:
			ch.t.Fatalf("the server did not send anything on %s", ch.Name)
		}
	}
}

// NextMessage is Next, decoded.
func (ch *Channel) NextMessage() wire.Message {
	ch.t.Helper()
	msg := ch.Next()
	m, err := ch.decode(msg)
	if err != nil {
		ch.t.Fatalf("the server sent %x on %s: %v", msg, ch.Name, err)
	}
	return m
}

// NextAs is NextMessage for a message that must be an M.
func NextAs[M wire.Body](ch *Channel) M {
	ch.t.Helper()
	m := ch.NextMessage()
	body, ok := m.Body().(M)
	if !ok {
		ch.t.Fatalf("the server sent %v, not a %T", m, body)
	}
	return body
}

func (ch *Channel) tryNext() []byte {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.next == len(ch.sent) {
		return nil
	}
	ch.next++
	return ch.sent[ch.next-1]
}

// Unread returns the messages that Next has not yet returned.
func (ch *Channel) Unread() [][]byte {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.sent[ch.next:len(ch.sent):len(ch.sent)]
}
