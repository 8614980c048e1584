// SPDX-License-Identifier: Apache-2.0

// Package client joins a Go plugin to FreeRDP's dynamic virtual channel client:
// a thin C shim registers the listeners and forwards buffers, this file gives
// them Go types. It knows nothing of the protocol.
//
// Build it with FreeRDP's headers: those of 3.x by default, with the build tag
// freerdp2 those of 2.11. What comes out serves both; the library is linked to
// neither.
//
// # Ownership
//
// FreeRDP holds the C objects: the plugin until Terminated, each channel until
// OnClose. Go values travel through C's void* as go-pointer handles, saved once
// per plugin and channel and given up in the last call that C makes with them:
// pnpdrEnded and pnpdrClosed. Buffers are lent for the duration of a call, both
// ways.
//
// # Threads
//
// FreeRDP calls from its own threads, which see Go's callbacks as ordinary C
// functions. A panic in Go ends in the export that it reached: it closes that
// channel, or for an entry leaves the plugin out, and never unwinds into C.
package client

// #cgo CFLAGS: -fvisibility=hidden
// #cgo LDFLAGS: -Wl,--as-needed -ldl
// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"github.com/mattn/go-pointer"

	"freerdp-pnpdr/channels"
)

// Session is what the Go program makes for one RDP session.
type Session interface {
	// Accept takes a channel that the server opens; an error refuses it. It
	// does not block: FreeRDP holds a lock.
	Accept(name string, conn channels.Conn) (channels.Receiver, error)

	// Ended is called once, after FreeRDP has let go of the plugin and of
	// every channel.
	Ended()
}

// Entry makes the Session of one connection. args are the words of FreeRDP's
// argument, the plugin's name first.
type Entry func(args []string, host *Host) Session

var entry Entry

// SetEntry names the function that DVCPluginEntry calls; once, from an init
// function or main.
func SetEntry(e Entry) { entry = e }

// Errors that FreeRDP sees, from winpr/error.h.
const (
	channelRCOK        = 0
	errorInternalError = 1359
)

// session is what the plugin's void* stands for.
type session struct {
	Session
	host *Host
	self unsafe.Pointer
}

// UINT DVCPluginEntry calls this once per connection. argv and host are lent.
// Returns NULL if there is no session; otherwise C passes the result to
// pnpdrEnded exactly once.
//
//export pnpdrEntry
func pnpdrEntry(argc C.int, argv **C.char, cHost *C.pnpdr_host) (self unsafe.Pointer) {
	host := &Host{c: *cHost, turn: turn{began: time.Now()}}
	defer func() {
		if p := recover(); p != nil {
			host.panicked("starting", p)
			self = nil
		}
	}()
	if entry == nil {
		return nil
	}
	args := make([]string, 0, int(argc))
	for _, a := range unsafe.Slice(argv, int(argc)) {
		args = append(args, C.GoString(a))
	}
	s := entry(args, host)
	if s == nil {
		return nil
	}
	p := &session{Session: s, host: host}
	p.self = pointer.Save(p)
	return p.self
}

// The last call with a session: no channel of it is open any more.
//
//export pnpdrEnded
func pnpdrEnded(self unsafe.Pointer) {
	s, ok := pointer.Restore(self).(*session)
	if !ok {
		return
	}
	pointer.Unref(self)
	defer func() {
		if p := recover(); p != nil {
			s.host.panicked("ending", p)
		}
	}()
	s.Ended()
}

// OnNewChannelConnection. name is static; channel is valid until pnpdrClosed
// returns. Returns NULL to refuse; otherwise C passes the result to
// pnpdrClosed exactly once.
//
//export pnpdrAccept
func pnpdrAccept(self unsafe.Pointer, name *C.char, channel *C.pnpdr_channel) (receiver unsafe.Pointer) {
	s, ok := pointer.Restore(self).(*session)
	if !ok {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			s.host.panicked("accepting a channel", p)
			receiver = nil
		}
	}()
	c := &conn{
		name:    C.GoString(name),
		host:    s.host,
		counts:  C.pnpdr_host_counts(&s.host.c) != 0,
		channel: channel,
	}
	r, err := s.Accept(c.name, c)
	if err != nil {
		s.host.log(C.PNPDR_LOG_WARN, fmt.Sprintf("%s refused: %v", c.name, err))
		return nil
	}
	c.receiver = r
	return pointer.Save(c)
}

// OnDataReceived. data is lent. A result other than 0 makes FreeRDP close the
// channel.
//
//export pnpdrReceive
func pnpdrReceive(receiver unsafe.Pointer, data *C.uint8_t, size C.size_t) (status C.uint32_t) {
	c, ok := pointer.Restore(receiver).(*conn)
	if !ok {
		return errorInternalError
	}
	defer func() {
		if p := recover(); p != nil {
			c.host.panicked("receiving on "+c.name, p)
			status = errorInternalError
		}
	}()
	msg := unsafe.Slice((*byte)(unsafe.Pointer(data)), int(size))
	if err := c.receiver.Receive(msg); err != nil {
		c.host.log(C.PNPDR_LOG_WARN, fmt.Sprintf("%s closed: %v", c.name, err))
		return errorInternalError
	}
	if c.host.turn.over() {
		c.flush() // the reply does not wait for it
		runtime.Gosched()
	}
	return channelRCOK
}

// OnClose, whoever closed: the last call with a channel. Waits for a Write that
// is under way, and none begins after it.
//
//export pnpdrClosed
func pnpdrClosed(receiver unsafe.Pointer) {
	c, ok := pointer.Restore(receiver).(*conn)
	if !ok {
		return
	}
	pointer.Unref(receiver)
	c.mu.Lock()
	c.channel = nil
	c.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			c.host.panicked("closing "+c.name, p)
		}
	}()
	c.receiver.Closed()
}

// conn implements channels.Conn on a DVC.
type conn struct {
	name     string
	host     *Host
	counts   bool // this FreeRDP counts what it sends
	receiver channels.Receiver

	mu      sync.Mutex // held during Write: FreeRDP frees the channel after OnClose
	channel *C.pnpdr_channel
}

// Send implements channels.Conn. FreeRDP copies msg into its queue.
func (c *conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channel == nil {
		return channels.ErrClosed
	}
	if status := C.pnpdr_channel_write(c.channel, unsafe.Pointer(unsafe.SliceData(msg)), C.uint32_t(len(msg))); status != channelRCOK {
		return fmt.Errorf("FreeRDP could not write to %s: error %d", c.name, uint32(status))
	}
	return nil
}

// flush writes what pnpdr_channel_write has kept.
func (c *conn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channel != nil {
		C.pnpdr_channel_flush(c.channel)
	}
}

// Sent implements channels.Conn.
func (c *conn) Sent() (uint64, error) {
	if !c.counts {
		return 0, channels.ErrNotCounted
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channel == nil {
		return 0, channels.ErrClosed
	}
	return uint64(C.pnpdr_channel_sent(c.channel)), nil
}

// LiveObjects returns the number of C objects of the shim in this process.
func LiveObjects() int { return int(C.pnpdr_live_objects()) }

func (h *Host) panicked(while string, p any) {
	h.log(C.PNPDR_LOG_ERROR, fmt.Sprintf("panic while %s: %v\n%s", while, p, debug.Stack()))
}
