// SPDX-License-Identifier: Apache-2.0

// Package unixsock carries the channels of [MS-RDPEPNP] between two processes of one
// machine: each channel is a connection to a Unix stream socket. A process that has
// devices listens, as the client role (Serve); one that uses them connects, as the
// server role (Dialer).
//
// On a connection, each message is preceded by its length, a little-endian u32. The
// first message, from the one who connects, is the name of the channel. What follows is
// exactly what the channel carries in an RDP session. Shutting the connection down for
// writing closes the channel; the other end closes the connection when it has let go of
// what was open. A channel that is refused is closed at once.
package unixsock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/channels"
)

// MaxMessage is how long a message may be, in bytes: as long as the longest that the
// client role accepts. Memory for one grows as it arrives.
const MaxMessage = 65 << 20

// maxQueued is how many bytes may wait for a peer that does not read. Beyond that the
// channel ends.
const maxQueued = 2 * MaxMessage

// lingerTime is how long the end that closes a channel waits for the other end to have
// closed it.
const lingerTime = 5 * time.Second

// keepBuffer is the size up to which memory is kept for the next message.
const keepBuffer = 128 << 10

// Conn is a connection. A net.Conn is one, but this package does without Go's package net,
// which does not belong in a library in somebody else's process. Without a method
// CloseWrite() error, channels are closed at once.
type Conn interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// conn is one channel: the sending end, and the two goroutines that serve the connection
// until it ends.
type conn struct {
	net  Conn
	sent *atomic.Uint64 // by all channels of the session

	mu     sync.Mutex
	wake   sync.Cond // queue or closed has changed
	queue  [][]byte
	queued int
	closed bool
}

func newConn(c Conn, sent *atomic.Uint64) *conn {
	k := &conn{net: c, sent: sent}
	k.wake.L = &k.mu
	return k
}

// Send implements channels.Sender.
func (c *conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return channels.ErrClosed
	}
	if len(msg) > MaxMessage {
		return fmt.Errorf("a message of %d bytes: %w", len(msg), channels.ErrTooLong)
	}
	if c.queued+len(msg) > maxQueued {
		c.closeLocked()
		return fmt.Errorf("the peer does not read: %w", channels.ErrClosed)
	}
	framed := make([]byte, 4, 4+len(msg))
	binary.LittleEndian.PutUint32(framed, uint32(len(msg)))
	c.queue = append(c.queue, append(framed, msg...))
	c.queued += len(msg)
	c.wake.Signal()
	return nil
}

// Sent implements channels.Conn.
func (c *conn) Sent() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, channels.ErrClosed
	}
	return c.sent.Load(), nil
}

// left counts messages that do not wait any more, for Sent.
func (c *conn) left(framed ...[]byte) {
	for _, b := range framed {
		c.sent.Add(uint64(channels.WireSize(len(b) - 4)))
	}
}

// drop drops what waits. c.mu is held.
func (c *conn) drop() {
	c.left(c.queue...)
	c.queue, c.queued = nil, 0
}

// MaxMessage implements channels.ServerConn.
func (c *conn) MaxMessage() int { return MaxMessage }

// Close implements channels.ServerConn. What is queued is dropped. The channel has ended
// when the other end has closed it, too, or has not for lingerTime.
func (c *conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	half, ok := c.net.(interface{ CloseWrite() error })
	if c.closed || !ok || c.net.SetDeadline(time.Now().Add(lingerTime)) != nil {
		c.closeLocked()
		return
	}
	c.closed = true
	c.drop()
	c.wake.Signal()
	_ = half.CloseWrite() // or else the reader ends at once
}

// abort ends the channel at once.
func (c *conn) abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeLocked()
}

func (c *conn) closeLocked() {
	c.closed = true
	c.drop()
	c.wake.Signal()
	c.net.Close() // ends the reader, and a write
}

// write sends what is queued until the connection is closed.
func (c *conn) write() {
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && !c.closed {
			c.wake.Wait()
		}
		if c.closed {
			c.mu.Unlock()
			return
		}
		batch := c.queue
		c.queue = nil
		c.mu.Unlock()

		for i, b := range batch {
			_, err := c.net.Write(b)
			c.left(b)
			if err != nil {
				c.left(batch[i+1:]...)
				c.abort()
				return
			}
		}
		c.mu.Lock()
		if !c.closed {
			c.queued = 0
			for _, b := range c.queue {
				c.queued += len(b) - 4
			}
		}
		c.mu.Unlock()
	}
}

// serve delivers what comes to r until the connection ends, and returns when nothing of
// it is left.
func (c *conn) serve(r channels.Receiver) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	err := c.read(r)
	closedHere := c.net.SetReadDeadline(time.Time{}) != nil
	c.mu.Lock()
	c.closed = true
	c.wake.Signal()
	_ = c.net.SetWriteDeadline(time.Now())
	c.mu.Unlock()
	<-written
	r.Closed()
	c.abort() // tells the other end that this one has let go
	if closedHere || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func (c *conn) read(r channels.Receiver) error {
	in := newReader(c.net)
	for {
		msg, err := in.next()
		if err != nil {
			return err
		}
		if err := r.Receive(msg); err != nil {
			return err
		}
	}
}

// reader reads messages. Each is valid until the next one is read.
type reader struct {
	r   io.Reader
	buf bytes.Buffer
}

func newReader(r io.Reader) *reader { return &reader{r: r} }

func (r *reader) next() ([]byte, error) {
	if r.buf.Cap() > keepBuffer {
		r.buf = bytes.Buffer{}
	}
	r.buf.Reset()
	var head [4]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size == 0 || size > MaxMessage {
		return nil, fmt.Errorf("a message of %d bytes: a message has 1 to %d", size, MaxMessage)
	}
	if _, err := io.CopyN(&r.buf, r.r, int64(size)); err != nil {
		return nil, fmt.Errorf("reading a message of %d bytes: %w", size, io.ErrUnexpectedEOF)
	}
	return r.buf.Bytes(), nil
}
