// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/framer"
)

var le = binary.LittleEndian

// channel is one dynamic channel. One goroutine reads and calls the receiver,
// another one writes.
type channel struct {
	s        *session
	name     string
	conn     *net.UnixConn
	receiver channels.Receiver
	framer   *framer.Framer

	queued chan struct{} // has a value if queue is not empty or over is set

	mu    sync.Mutex
	queue [][]byte
	over  bool
}

func newChannel(s *session, name string, conn *net.UnixConn) *channel {
	return &channel{
		s: s, name: name, conn: conn,
		framer: framer.New(name, counter{conn, s}),
		queued: make(chan struct{}, 1),
	}
}

// counter counts what is heard of the client.
type counter struct {
	io.Reader
	s *session
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.s.heard.Add(uint64(n))
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

// end reports whether this call was the first.
func (ch *channel) end() bool {
	ch.mu.Lock()
	first := !ch.over
	ch.over, ch.queue = true, nil
	ch.mu.Unlock()
	if first {
		ch.wake()
		_ = ch.conn.Close()
	}
	return first
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
	raw, err := ch.conn.SyscallConn()
	if err != nil {
		return err
	}
	for {
		msg, over := ch.take()
		switch {
		case over:
			return nil
		case msg == nil:
			<-ch.queued
		default:
			if err := ch.writeMessage(raw, msg); err != nil {
				return err
			}
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
	return msg, ch.over
}

// writeMessage waits until chansrv has taken the message before, and writes msg.
func (ch *channel) writeMessage(raw syscall.RawConn, msg []byte) error {
	var failed error
	err := raw.Write(func(fd uintptr) bool {
		var waiting int
		waiting, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		// The kernel wakes us just before it takes off the last 1. If the recv has
		// not returned yet, the barrier keeps msg out of it.
		return waiting <= 1 || failed != nil
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	n, _, err := ch.conn.WriteMsgUnix(msg, ch.s.barrier, nil)
	if err == nil && n < len(msg) {
		err = io.ErrShortWrite
	}
	return err
}
