// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
)

// goodbyeTimeout ends a disconnected client that has not read what is still to be
// sent, or has not hung up. It also ends the wait of a Close.
const goodbyeTimeout = 2 * time.Second

// Peer is one connected client. Its methods may be called from any goroutine,
// except that Open must not be called from a Receiver.
type Peer struct {
	srv  *Server
	log  *slog.Logger
	addr net.Addr
	gone chan struct{} // closed when nothing is left of the peer

	killed atomic.Bool // the loop ends as soon as it sees this

	mu       sync.Mutex
	shutfd   int         // guarded by mu; the socket, -1 after release
	wakefd   int         // guarded by mu; eventfd the loop waits on, -1 after release
	queue    []command   // guarded by mu; what the loop must do, in order
	overdue  []*channel  // guarded by mu; what the loop must close out of turn
	sleeping bool        // guarded by mu; the loop waits and has not been woken
	ready    bool        // guarded by mu; channels can be opened
	ending   bool        // guarded by mu; the queue accepts nothing more
	timer    *time.Timer // guarded by mu; kills the peer
}

// command asks the loop to do something.
type command struct {
	verb verb
	ch   *channel
	msg  []byte
}

type verb int

const (
	openChannel verb = iota
	writeChannel
	closeChannel
	disconnect // the last one of all
)

var _ channels.Opener = (*Peer)(nil)

func newPeer(s *Server, addr net.Addr, shutfd, wakefd int) *Peer {
	return &Peer{
		srv:    s,
		log:    s.log.With("peer", addr.String()),
		addr:   addr,
		gone:   make(chan struct{}),
		shutfd: shutfd,
		wakefd: wakefd,
	}
}

// RemoteAddr returns the client's address.
func (p *Peer) RemoteAddr() net.Addr { return p.addr }

// Open implements channels.Opener. attach and the Receiver's methods are
// called on the client's own thread, which all of its channels share. Besides
// the errors of the interface it may fail for lack of memory or descriptors:
// each channel takes one.
//
// Messages that the client does not read yet wait in memory without a bound: the
// caller must limit how much is outstanding. A Close waits for its turn behind
// them, but not for more than two seconds: then they are dropped.
func (p *Peer) Open(ctx context.Context, name string, attach func(channels.ServerConn) channels.Receiver) error {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return &openError{name, "it is not a possible name"}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ch := &channel{p: p, name: name, attach: attach, opened: make(chan error, 1)}
	p.mu.Lock()
	ok := p.pushLocked(command{verb: openChannel, ch: ch})
	p.mu.Unlock()
	if !ok {
		return channels.ErrClosed
	}
	select {
	case err := <-ch.opened:
		return err
	case <-ctx.Done():
		if ch.abandon() {
			return ctx.Err()
		}
		return <-ch.opened
	}
}

// Disconnect sends what is queued, closes the channels and tells the client
// that the session is over, all within two seconds. It returns at once; the
// context of the Session ends when it is done. Nothing can be sent or opened
// from here on.
func (p *Peer) Disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ending:
	case !p.ready: // perhaps in the middle of the handshake: there is no session to end
		p.killLocked()
	default:
		p.pushLocked(command{verb: disconnect})
		p.ending = true
		p.timer = time.AfterFunc(goodbyeTimeout, p.Kill)
	}
}

// Kill cuts the connection at once, as if the server had crashed.
func (p *Peer) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killLocked()
}

func (p *Peer) killLocked() {
	p.killed.Store(true)
	p.ending = true
	if p.shutfd >= 0 {
		// This ends every wait of the loop, even in the handshake. It fails if
		// the connection is gone already.
		_ = unix.Shutdown(p.shutfd, unix.SHUT_RDWR)
	}
}

// pushLocked queues cmd and wakes the loop. It reports false if the peer has
// ended or is about to.
func (p *Peer) pushLocked(cmd command) bool {
	if p.ending {
		return false
	}
	p.queue = append(p.queue, cmd)
	if p.sleeping {
		p.wakeLocked()
	}
	return true
}

func (p *Peer) wakeLocked() {
	p.sleeping = false
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// This only fails if the eventfd is full, which wakes the loop as well.
	_, _ = unix.Write(p.wakefd, one[:])
}

// isOverdue has the loop close a channel out of turn: the client does not read what
// is before the Close in the queue.
func (p *Peer) isOverdue(ch *channel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ending {
		p.overdue = append(p.overdue, ch)
		p.wakeLocked()
	}
}

// release closes what only the Go side holds of the connection.
func (p *Peer) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
	if p.timer != nil {
		p.timer.Stop()
	}
	unix.Close(p.shutfd)
	unix.Close(p.wakefd)
	p.shutfd, p.wakefd = -1, -1
}

// openError is a failure of Open on the side of the server.
type openError struct{ name, why string }

func (e *openError) Error() string {
	return "server: opening channel \"" + e.name + "\": " + e.why
}
