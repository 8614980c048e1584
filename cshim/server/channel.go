// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"math"
	"time"
	"unsafe"

	"freerdp-pnpdr/channels"
)

var (
	errEmpty    = errors.New("server: empty message")
	errTooLarge = errors.New("server: message does not fit a dynamic channel")
)

// channel is one dynamic channel, and the ServerConn that attach gets.
type channel struct {
	p      *Peer
	name   string
	attach func(channels.ServerConn) channels.Receiver
	opened chan error // gets what Open returns; buffered

	state channelState // guarded by p.mu
	timer *time.Timer  // guarded by p.mu; makes a Close overdue

	// Used by the loop only:
	c    unsafe.Pointer // FreeRDP's channel
	id   uint32
	recv channels.Receiver // nil until the client has accepted
}

type channelState int

const (
	opening   channelState = iota
	abandoned              // still opening, but Open has returned
	attached
	over // or about to be: nothing more can be sent
)

func (ch *channel) Send(msg []byte) error {
	if len(msg) == 0 {
		return errEmpty
	}
	if len(msg) > math.MaxInt32 {
		return errTooLarge
	}
	// FreeRDP copies msg again, but later, when the caller may have changed it.
	cmd := command{verb: writeChannel, ch: ch, msg: append([]byte(nil), msg...)}
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	if ch.state != attached || !ch.p.pushLocked(cmd) {
		return channels.ErrClosed
	}
	return nil
}

// MaxMessage implements channels.ServerConn: FreeRDP cuts messages into PDUs.
func (ch *channel) MaxMessage() int { return 0 }

func (ch *channel) Close() {
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	if ch.state == attached {
		ch.state = over
		if ch.p.pushLocked(command{verb: closeChannel, ch: ch}) {
			ch.timer = time.AfterFunc(goodbyeTimeout, func() { ch.p.isOverdue(ch) })
		}
	}
}

// abandon gives up the opening. It reports false if the opening is decided
// already.
func (ch *channel) abandon() bool {
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	if ch.state != opening {
		return false
	}
	ch.state = abandoned
	return true
}

func (ch *channel) isAbandoned() bool {
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	return ch.state == abandoned
}

// decide ends the opening. It reports whether Open still waits: then the caller
// must send Open's result to opened.
func (ch *channel) decide(next channelState) bool {
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	if ch.state != opening {
		ch.state = over
		return false
	}
	ch.state = next
	return true
}

// refuse tells Open, if it still waits, why there is no channel.
func (ch *channel) refuse(err error) {
	if ch.decide(over) {
		ch.opened <- err
	}
}

// finish marks the channel as over.
func (ch *channel) finish() {
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	ch.state = over
	if ch.timer != nil {
		ch.timer.Stop()
	}
}
