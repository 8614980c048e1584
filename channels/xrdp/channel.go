// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/framer"
)

var le = binary.LittleEndian

const (
	// The pieces of a long message are left in the socket for as long as the rest of the
	// message would take at gatherRate, in bytes per second: one pause and one read in
	// place of many. That is more than xrdp carries, so no message comes later for it.
	gatherRate = 128 << 20

	// shortestPause is worth it. During longestPause the socket is not filled: it has room
	// for 90 pieces, which xrdp takes some 2 ms for.
	shortestPause = 100 * time.Microsecond
	longestPause  = 250 * time.Microsecond

	// Whoever waits until chansrv has taken a message looks again after firstLook, and after
	// twice as long each time, up to lastLook.
	firstLook = 50 * time.Microsecond
	lastLook  = 5 * time.Millisecond
)

// channel is one dynamic channel. One goroutine reads and calls the receiver, another
// one writes what Send could not write at once.
type channel struct {
	s        *session
	name     string
	sock     *socket
	receiver channels.Receiver
	framer   *framer.Framer

	queued chan struct{} // has a value if queue is not empty or over is set

	mu      sync.Mutex
	queue   [][]byte
	writing bool // a message that was in queue
	over    bool
}

func newChannel(s *session, name string, sock *socket) *channel {
	ch := &channel{s: s, name: name, sock: sock, queued: make(chan struct{}, 1)}
	ch.framer = framer.New(name, (*arrivals)(ch))
	return ch
}

// arrivals is a channel as its framer reads it.
type arrivals channel

// Read implements io.Reader. It counts what is heard of the client.
func (ch *arrivals) Read(p []byte) (int, error) {
	rest := min(ch.framer.Missing(), gatherRate) // so that the product fits
	if d := time.Duration(rest) * time.Second / gatherRate; d >= shortestPause {
		pause(min(d, longestPause))
	}
	n, err := ch.sock.Read(p)
	ch.s.heard.Add(uint64(n))
	return n, err
}

// MaxMessage implements channels.ServerConn.
func (ch *channel) MaxMessage() int { return maxMessage }

// Send implements channels.Sender. What waits to be sent is bounded by the requests
// that may be outstanding.
func (ch *channel) Send(msg []byte) error {
	if len(msg) > maxMessage {
		return fmt.Errorf("%d bytes, at most %d: %w", len(msg), maxMessage, channels.ErrTooLong)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.over {
		return channels.ErrClosed
	}
	if err := ch.framer.Sent(msg); err != nil {
		return err
	}
	// Whatever fails here, fails again in write.
	if len(ch.queue) == 0 && !ch.writing && ch.sock.taken() && ch.sock.send(msg, ch.s.barrier, unix.MSG_DONTWAIT) == nil {
		return nil
	}
	ch.queue = append(ch.queue, append([]byte(nil), msg...))
	ch.wake()
	return nil
}

func (ch *channel) wake() {
	select {
	case ch.queued <- struct{}{}:
	default:
	}
}

// Close implements channels.ServerConn.
func (ch *channel) Close() { ch.end() }

// end reports whether this call was the first. Whoever calls it may close the socket after
// that: the first call has shut it down.
func (ch *channel) end() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.over {
		return false
	}
	ch.over, ch.queue = true, nil
	ch.sock.shutdown()
	ch.wake()
	return true
}

// fail ends the channel because of err, unless it has ended.
func (ch *channel) fail(err error) {
	if !ch.end() {
		return
	}
	ch.s.suspect()
	// These are how chansrv ends a channel.
	if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		ch.s.log.Error("channel is closed", "channel", ch.name, "err", err)
	}
}

// run serves the channel until it ends.
func (ch *channel) run() {
	defer ch.s.active.Done()
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := ch.write(); err != nil {
			ch.fail(err)
		}
	}()
	if err := ch.read(); err != nil {
		ch.fail(err)
	}
	ch.end()
	<-written
	ch.sock.close()
	// Before Closed: its owner may open another channel in this one's place.
	ch.s.forget(ch)
	ch.receiver.Closed()
}

// read delivers messages until the channel ends.
func (ch *channel) read() error {
	for {
		msg, err := ch.framer.Next()
		if err != nil {
			return err
		}
		if ch.receiver.Receive(msg) != nil {
			return nil // the receiver has logged it
		}
	}
}

// write sends what is queued until the channel ends.
func (ch *channel) write() error {
	for {
		msg, over := ch.take()
		switch {
		case over:
			return nil
		case msg == nil:
			<-ch.queued
			continue
		}
		for look := firstLook; !ch.sock.taken() && !ch.ended(); look = min(2*look, lastLook) {
			time.Sleep(look)
		}
		if err := ch.sock.send(msg, ch.s.barrier, 0); err != nil {
			return err
		}
	}
}

// take returns the next message in the queue, or nil.
func (ch *channel) take() (msg []byte, over bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if len(ch.queue) > 0 {
		msg = ch.queue[0]
		ch.queue[0] = nil
		ch.queue = ch.queue[1:]
	}
	ch.writing = msg != nil
	return msg, ch.over
}

func (ch *channel) ended() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.over
}
