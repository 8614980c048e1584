// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// network is a link in memory that takes its time, in both directions. Like a real one, it
// counts what the client has sent, so that the client bounds what is under way and not what
// it has sent in a while.
type network struct {
	link  *memory.Link
	delay time.Duration
	sent  atomic.Uint64
}

// newNetwork connects a session with a client that has these devices.
func newNetwork(t testing.TB, delay time.Duration, devices ...pnp.Device) *server.Session {
	t.Helper()
	n := &network{delay: delay}
	c := client.NewSession(client.Config{})
	for _, d := range devices {
		_, err := c.Add(d)
		require.NoError(t, err)
	}
	n.link = memory.NewLink(acceptor{n, c})
	s := server.New(n, server.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), presenttest.Patience)
	defer cancel()
	t.Cleanup(func() {
		s.Close()
		n.link.Close()
		ctx, cancel := context.WithTimeout(context.Background(), presenttest.Patience)
		defer cancel()
		require.NoError(t, c.Close(ctx))
	})
	require.NoError(t, s.Start(ctx))
	require.NoError(t, s.LoggedOn())
	return s
}

// device presents the one device of a session.
func theDevice(t testing.TB, s *server.Session, kind *present.Kind) *present.Device {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), presenttest.Patience)
	defer cancel()
	d, err := s.WaitDevice(ctx, nil)
	require.NoError(t, err)
	return present.NewDevice(d, kind, d.Description().Name, t.TempDir(), presenttest.Log(t), present.Options{})
}

type acceptor struct {
	n *network
	*client.Session
}

func (a acceptor) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	return a.Session.Accept(name, counted{conn, a.n})
}

type counted struct {
	channels.Conn
	n *network
}

func (c counted) Send(msg []byte) error {
	err := c.Conn.Send(msg)
	if err == nil {
		// With the headers of each 1600 bytes, as on a connection.
		c.n.sent.Add(uint64(len(msg) + 32*(len(msg)/1590+1)))
	}
	return err
}

func (c counted) Sent() (uint64, error) { return c.n.sent.Load(), nil }

// Open implements channels.Opener.
func (n *network) Open(ctx context.Context, name string, attach func(channels.ServerConn) channels.Receiver) error {
	return n.link.Open(ctx, name, func(conn channels.ServerConn) channels.Receiver {
		if n.delay == 0 {
			return attach(conn)
		}
		out := newPipe(n.delay)
		in := newPipe(n.delay)
		r := attach(slowConn{conn, out})
		go out.run(func(msg []byte) { _ = conn.Send(msg) }, func() {})
		go in.run(func(msg []byte) {
			if r.Receive(msg) != nil {
				conn.Close()
			}
		}, r.Closed)
		return slowReceiver{in, out}
	})
}

type slowConn struct {
	channels.ServerConn
	out *pipe
}

func (c slowConn) Send(msg []byte) error { return c.out.put(msg) }

type slowReceiver struct{ in, out *pipe }

func (r slowReceiver) Receive(msg []byte) error { return r.in.put(msg) }
func (r slowReceiver) Closed()                  { r.out.end(); r.in.end() }

// pipe delivers messages later.
type pipe struct {
	delay time.Duration
	more  chan struct{}
	mu    sync.Mutex
	queue []late
	ended bool
}

type late struct {
	due time.Time
	msg []byte
}

func newPipe(delay time.Duration) *pipe { return &pipe{delay: delay, more: make(chan struct{}, 1)} }

func (p *pipe) put(msg []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return channels.ErrClosed
	}
	p.queue = append(p.queue, late{time.Now().Add(p.delay), bytes.Clone(msg)})
	p.wake()
	return nil
}

func (p *pipe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.wake()
}

func (p *pipe) wake() {
	select {
	case p.more <- struct{}{}:
	default:
	}
}

func (p *pipe) run(deliver func([]byte), closed func()) {
	defer closed()
	for {
		p.mu.Lock()
		ended := p.ended
		queue := p.queue
		p.queue = nil
		p.mu.Unlock()
		if ended {
			return
		}
		for _, m := range queue {
			time.Sleep(time.Until(m.due))
			deliver(m.msg)
		}
		if len(queue) == 0 {
			<-p.more
		}
	}
}
