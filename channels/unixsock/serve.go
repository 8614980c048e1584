// SPDX-License-Identifier: Apache-2.0

package unixsock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"freerdp-pnpdr/channels"
)

// Acceptor takes the channels that are opened, as client.Session does. An error refuses
// one.
type Acceptor interface {
	Accept(name string, conn channels.Conn) (channels.Receiver, error)
}

const (
	// maxConns is how many connections there may be at a time.
	maxConns = 1024
	// nameTimeout is how long a connection may take to say which channel it is.
	nameTimeout = 10 * time.Second
)

// Listener accepts connections. A net.Listener is one.
type Listener[C Conn] interface {
	Accept() (C, error)
	Close() error
}

// Serve accepts connections until ctx is done or l fails, and hands each as a channel to
// session. It closes l, ends all channels, and returns when their receivers were told;
// the error is nil if ctx was done.
func Serve[C Conn](ctx context.Context, l Listener[C], session Acceptor, log *slog.Logger) error {
	var (
		sent    atomic.Uint64
		running sync.WaitGroup
		mu      sync.Mutex
		open    = make(map[Conn]struct{})
	)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var failed error
	for {
		nc, err := l.Accept()
		if err != nil {
			var passing interface{ Temporary() bool }
			if ctx.Err() == nil && errors.As(err, &passing) && passing.Temporary() { // out of descriptors
				select {
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
				continue
			}
			failed = err
			break
		}
		mu.Lock()
		full := len(open) >= maxConns
		if !full {
			open[nc] = struct{}{}
		}
		mu.Unlock()
		if full {
			log.Warn("connection is refused: there are too many", "most", maxConns)
			nc.Close()
			continue
		}
		running.Add(1)
		go func() {
			defer running.Done()
			serveOne(nc, &sent, session, log)
			mu.Lock()
			delete(open, nc)
			mu.Unlock()
		}()
	}
	l.Close()
	mu.Lock()
	for nc := range open {
		nc.Close()
	}
	mu.Unlock()
	running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return failed
}

// serveOne serves one connection until it ends.
func serveOne(nc Conn, sent *atomic.Uint64, session Acceptor, log *slog.Logger) {
	defer nc.Close()
	_ = nc.SetReadDeadline(time.Now().Add(nameTimeout))
	name, err := readName(nc)
	if err != nil {
		log.Debug("connection is closed: it names no channel", "err", err)
		return
	}
	_ = nc.SetReadDeadline(time.Time{})
	c := newConn(nc, sent)
	r, err := session.Accept(name, c)
	if err != nil {
		c.Close()
		log.Warn("channel is refused", "channel", name, "err", err)
		return
	}
	if err := c.serve(r); err != nil {
		log.Warn("channel is closed", "channel", name, "err", err)
	}
}

// readName reads the first message of a connection.
func readName(c io.Reader) (string, error) {
	const longest = len(channels.FileRedirectorChannel)
	var buf [4 + longest]byte
	if _, err := io.ReadFull(c, buf[:4]); err != nil {
		return "", err
	}
	n := binary.LittleEndian.Uint32(buf[:])
	if n == 0 || n > uint32(longest) {
		return "", fmt.Errorf("a channel's name of %d bytes", n)
	}
	if _, err := io.ReadFull(c, buf[4:4+n]); err != nil {
		return "", err
	}
	return string(buf[4 : 4+n]), nil
}
