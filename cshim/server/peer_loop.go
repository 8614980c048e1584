// SPDX-License-Identifier: Apache-2.0

package server

// #include <stdlib.h>
// #include "peer.h"
import "C"

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"freerdp-pnpdr/channels"
)

const (
	// burstBytes is how much is written before looking again whether the client
	// still reads. FreeRDP buffers at most this beyond the socket, and the rest
	// of one message.
	burstBytes = 64 << 10

	// turnBytes is how much is written before reading from the client again.
	turnBytes = 256 << 10

	// turnReads is how many messages of one channel are delivered before the
	// other channels get their turn.
	turnReads = 32

	// keepBytes is how much of the read buffer is kept from one turn to the
	// next.
	keepBytes = 1 << 20
)

// loop is the state of the peer's thread. No other goroutine uses it.
//
// A turn waits for the socket, a channel or the queue, lets FreeRDP read, and
// passes the messages that arrived to their Receivers. Then it writes what has
// been queued, mostly by the Receivers. While the client does not read, the queue
// keeps what is in it and only reading goes on: waiting for a client that writes
// before it reads would block both sides. While messages wait for their Receivers,
// the socket is not read, so that a fast client fills its own memory, not ours.
type loop struct {
	p     *Peer
	c     *C.rds_peer
	turn  *C.rds_turn // of the last turn; nil before the first
	chans map[uint32]*channel

	behind bool // some messages may still wait after the last turn
	unsent bool // a channel was closed, and the client has not been told

	todo []command // taken from the queue
	next int       // the first of todo that is not done yet

	buf  []byte        // for reading
	size C.uint32_t    // of what was read
	end  func()        // ends the Session's context
	done chan struct{} // closed when Session has returned; nil if there is none
}

var errPanic = errors.New("panic in a Receiver")

// run serves the client until it goes. It takes sockfd.
//
// The order at the end:
//  1. The queue accepts nothing more: Send and Open fail.
//  2. The Session's context ends.
//  3. Each channel is closed in FreeRDP, then its Receiver or Open is told, and
//     so is each Open that is still in the queue.
//  4. FreeRDP's peer is freed, which closes the socket.
//  5. Session has returned.
//  6. The descriptors that Kill could still use are closed.
func (p *Peer) run(sockfd int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	livePeers.Add(1)
	defer livePeers.Add(-1)
	defer p.release()

	cert, key := C.CString(string(p.srv.cert)), C.CString(string(p.srv.key))
	c := C.rds_peer_new(C.int(sockfd), C.int(p.wakefd), cert, key, C.uint32_t(p.srv.cfg.MaxMessage), C.uint64_t(p.srv.cfg.MaxMessages))
	C.free(unsafe.Pointer(cert))
	C.free(unsafe.Pointer(key))
	if c == nil {
		p.log.Error("FreeRDP could not make a peer")
		return
	}
	p.mu.Lock()
	p.timer = time.AfterFunc(p.srv.cfg.ConnectTimeout, p.Kill)
	p.mu.Unlock()

	l := loop{p: p, c: c, chans: make(map[uint32]*channel), buf: make([]byte, 64<<10)}
	for !p.killed.Load() && l.work() && l.wait() {
		l.closeOverdue()
		l.dispatch()
	}
	l.explainRefusal()

	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	if l.end != nil {
		l.end()
	}
	l.closeAll()
	for l.more() {
		if cmd := l.take(); cmd.verb == openChannel {
			cmd.ch.refuse(channels.ErrClosed)
		}
	}
	C.rds_peer_free(c)
	if l.done != nil {
		<-l.done
	}
	p.log.Debug("client is gone")
}

// explainRefusal says which message of the client ended the session, if one did.
func (l *loop) explainRefusal() {
	var n C.uint64_t
	why, limit := "", l.p.srv.cfg.MaxMessage
	switch C.rds_peer_refused(l.c, &n) {
	case C.RDS_DOOR_OPEN:
		return
	case C.RDS_DOOR_PDU:
		why, limit = "it sent a PDU that is too long", C.RDS_MAX_PDU
	case C.RDS_DOOR_MESSAGE:
		why = "it announced a message that is too long; raise MaxMessage if it has to be"
	case C.RDS_DOOR_TOTAL:
		why = "its longest messages on all open channels are too long together; raise MaxMessages if they have to be"
		limit = l.p.srv.cfg.MaxMessages
	}
	l.p.log.Error("client is disconnected: "+why, "bytes", uint64(n), "limit", limit)
}

// more takes over the queue and reports whether anything is left to do.
func (l *loop) more() bool {
	if l.next < len(l.todo) {
		return true
	}
	if cap(l.todo) > 1<<14 { // grown by a flood that has ended
		l.todo = nil
	}
	l.next = 0
	l.p.mu.Lock()
	l.todo, l.p.queue = l.p.queue, l.todo[:0]
	l.p.mu.Unlock()
	return len(l.todo) > 0
}

// take returns the next command. There must be one.
func (l *loop) take() command {
	cmd := l.todo[l.next]
	l.todo[l.next] = command{} // for the garbage collector
	l.next++
	return cmd
}

func (l *loop) blocked() bool { return l.turn != nil && l.turn.blocked != 0 }

// work does what is queued for as long as the client reads. It reports false
// when the session has ended.
func (l *loop) work() bool {
	burst := 0
	for total := 0; total < turnBytes && !l.blocked() && l.more(); {
		n := l.do(l.take())
		burst += n
		total += n
		if burst >= burstBytes {
			if !l.flush() {
				return false
			}
			burst = 0
		}
	}
	return burst == 0 && !l.unsent || l.flush()
}

// flush reports false when the session has ended.
func (l *loop) flush() bool {
	l.unsent = false
	return C.rds_peer_flush(l.c) >= 0
}

// do carries out one command and returns roughly how many bytes it wrote.
func (l *loop) do(cmd command) int {
	const header = 64 // of TLS, RDP and DRDYNVC, or a whole message of DRDYNVC
	ch := cmd.ch
	switch cmd.verb {
	case openChannel:
		l.open(ch)
	case writeChannel:
		if ch.c == nil {
			break // closed in the meantime
		}
		if C.rds_channel_write(ch.c, unsafe.Pointer(&cmd.msg[0]), C.uint32_t(len(cmd.msg))) < 0 {
			// FreeRDP may have sent part of the message. The client could not
			// make sense of what follows.
			l.p.log.Error("writing to a channel failed", "channel", ch.name)
			l.close(ch)
		}
		return len(cmd.msg) + header
	case closeChannel:
		if ch.c != nil {
			l.close(ch)
		}
	case disconnect:
		l.closeAll()
		if l.flush() {
			C.rds_peer_close(l.c)
		}
		// Now the client hangs up, or the timer ends the connection.
	}
	return header
}

func (l *loop) open(ch *channel) {
	if ch.isAbandoned() {
		return
	}
	name := C.CString(ch.name)
	defer C.free(unsafe.Pointer(name))
	ch.c = C.rds_channel_open(l.c, name, &l.size)
	if ch.c == nil {
		ch.refuse(&openError{ch.name, "FreeRDP is out of memory or descriptors"})
		return
	}
	ch.id = uint32(l.size)
	l.chans[ch.id] = ch
	liveChannels.Add(1)
}

// wait is one turn of FreeRDP. It reports false when the session has ended.
func (l *loop) wait() bool {
	p := l.p
	timeout := C.int(0)
	p.mu.Lock()
	switch {
	case l.behind, l.turn != nil && l.turn.more != 0:
	case l.blocked():
		// The queue must wait for the client anyway: no need to be woken for it.
		timeout = -1
	case l.next == len(l.todo) && len(p.queue) == 0:
		timeout = -1
		p.sleeping = true
	}
	p.mu.Unlock()

	input := C.int(1)
	if l.behind {
		input = 0
	}
	l.turn = C.rds_peer_turn(l.c, timeout, input)

	if timeout < 0 {
		p.mu.Lock()
		p.sleeping = false
		p.mu.Unlock()
	}
	return l.turn != nil
}

// dispatch passes on what the turn brought.
func (l *loop) dispatch() {
	switch l.turn.state {
	case C.RDS_READY:
		if l.done == nil {
			l.begin()
		}
	case C.RDS_NO_DRDYNVC:
		l.p.log.Warn("client has no dynamic channels")
		l.p.Kill()
		return
	}
	for _, a := range unsafe.Slice(l.turn.answers, l.turn.nanswers) {
		l.answer(uint32(a.id), int32(a.status))
	}
	l.behind = l.turn.nreadable == C.RDS_MAX_READABLE
	for _, id := range l.turn.readable[:l.turn.nreadable] {
		if ch := l.chans[uint32(id)]; ch != nil && l.read(ch) {
			l.behind = true
		}
	}
	if len(l.buf) > keepBytes {
		l.buf = make([]byte, keepBytes)
	}
}

// begin starts the Session.
func (l *loop) begin() {
	p := l.p
	p.mu.Lock()
	p.ready = true
	p.timer.Stop()
	p.mu.Unlock()
	p.srv.established(p)
	p.log.Debug("client is ready")
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		defer p.Disconnect()
		defer func() {
			if r := recover(); r != nil {
				p.panicked(r)
			}
		}()
		p.srv.cfg.Session(ctx, p)
	}()
}

// answer processes the answer of the client to the creation of a channel.
func (l *loop) answer(id uint32, status int32) {
	ch := l.chans[id]
	switch {
	case ch == nil:
	case ch.recv != nil:
		// A second answer. FreeRDP ends the channel if it is a refusal.
		if status < 0 {
			l.close(ch)
		}
	case status < 0:
		l.drop(ch)
		ch.refuse(channels.ErrRefused)
	case C.rds_channel_watch(l.c, ch.c, C.uint32_t(id)) < 0:
		l.drop(ch)
		ch.refuse(&openError{ch.name, "out of memory"})
	case !ch.decide(attached):
		l.drop(ch) // abandoned
	default:
		if ch.recv = l.callAttach(ch); ch.recv == nil {
			l.drop(ch)
			ch.finish()
			ch.opened <- channels.ErrClosed
			return
		}
		ch.opened <- nil
	}
}

// read delivers the messages that wait on the channel. It reports whether there
// may be more.
func (l *loop) read(ch *channel) bool {
	for n := 0; n < turnReads; n++ {
		if l.p.killed.Load() {
			return false
		}
		r := C.rds_channel_read(ch.c, unsafe.Pointer(&l.buf[0]), C.uint32_t(len(l.buf)), &l.size)
		switch r {
		case C.RDS_READ_GROW:
			l.buf = make([]byte, l.size)
			continue
		case C.RDS_READ_CLOSED:
			l.close(ch)
			return false
		case C.RDS_READ_NONE:
			return false
		}
		if err := l.callReceive(ch, l.buf[:l.size]); err != nil {
			l.p.log.Info("channel is closed: its receiver refused a message", "channel", ch.name, "err", err)
			l.close(ch)
			return false
		}
		if r == C.RDS_READ_LAST {
			return false
		}
	}
	return true
}

// drop gives the channel back to FreeRDP.
func (l *loop) drop(ch *channel) {
	C.rds_channel_close(l.c, ch.c)
	l.unsent = true
	delete(l.chans, ch.id)
	ch.c = nil
	liveChannels.Add(-1)
}

// close ends a channel that the client has accepted.
func (l *loop) close(ch *channel) {
	l.drop(ch)
	ch.finish()
	l.callClosed(ch)
}

// closeOverdue closes the channels whose Close has waited for too long, and drops
// what was to be sent before it.
func (l *loop) closeOverdue() {
	l.p.mu.Lock()
	overdue := l.p.overdue
	l.p.overdue = nil
	for _, ch := range overdue {
		dropMessages(l.p.queue, ch)
	}
	l.p.mu.Unlock()
	for _, ch := range overdue {
		if ch.c != nil {
			dropMessages(l.todo[l.next:], ch)
			l.close(ch)
		}
	}
}

func dropMessages(queue []command, ch *channel) {
	for i := range queue {
		if queue[i].ch == ch {
			queue[i].msg = nil
		}
	}
}

func (l *loop) closeAll() {
	for _, ch := range l.chans {
		if ch.recv != nil {
			l.close(ch)
			continue
		}
		l.drop(ch)
		ch.refuse(channels.ErrClosed)
	}
}

// The calls to the owners of the channels follow. A panic there ends the
// session of this client and nothing else.

func (l *loop) callAttach(ch *channel) (recv channels.Receiver) {
	defer func() {
		if r := recover(); r != nil {
			l.p.panicked(r)
			recv = nil
		}
	}()
	if recv = ch.attach(ch); recv == nil {
		panic("attach returned no Receiver")
	}
	return recv
}

func (l *loop) callReceive(ch *channel, msg []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			l.p.panicked(r)
			err = errPanic
		}
	}()
	return ch.recv.Receive(msg)
}

func (l *loop) callClosed(ch *channel) {
	defer func() {
		if r := recover(); r != nil {
			l.p.panicked(r)
		}
	}()
	ch.recv.Closed()
}

func (p *Peer) panicked(r any) {
	p.log.Error("panic in a session", "panic", r, "stack", string(debug.Stack()))
	p.Kill()
}
