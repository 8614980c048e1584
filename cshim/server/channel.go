// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"math"
	"unsafe"

	"freerdp-pnpdr/channels"
)

var (
	errEmpty    = errors.New("server: empty message")
	errTooLarge = errors.New("server: message does not fit a dynamic channel")
)

// channel is one dynamic channel, and the ServerConn that attach is given.
type channel struct {
	p      *Peer
	name   string
	attach func(channels.ServerConn) channels.Receiver
	opened chan error // takes what Open returns; has room for it

	state channelState // guarded by p.mu

	// The loop's own:
	c    unsafe.Pointer // FreeRDP's channel
	id   uint32
	recv channels.Receiver // nil until the client has accepted
}

type channelState int

const (
	opening   channelState = iota
	abandoned              // still opening, but Open waits no more
	attached
	over // or about to be: takes nothing more to send
)

func (ch *channel) Send(msg []byte) error {
	if len(msg) == 0 {
		return errEmpty
	}
	if len(msg) > math.MaxInt32 {
		return errTooLarge
	}
	// FreeRDP copies again, but later: msg is the caller's.
	cmd := command{verb: writeChannel, ch: ch, msg: append([]byte(nil), msg...)}
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	if ch.state != attached || !ch.p.pushLocked(cmd) {
		return channels.ErrClosed
	}
	return nil
}

func (ch *channel) Close() {
	ch.p.mu.Lock()
	defer ch.p.mu.Unlock()
	if ch.state == attached {
		ch.state = over
		ch.p.pushLocked(command{verb: closeChannel, ch: ch})
	}
}

// abandon gives the opening up. It reports false if it has been decided.
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

// decide moves the channel on from opening. It reports whether Open waits for
// the decision, which the caller must then send to opened.
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
}
