// SPDX-License-Identifier: Apache-2.0

// Package pipe redirects named pipes as Windows knows them (npfs). Each handle is a
// connection of its own to the other end: a Unix socket of this machine (New), or a
// function of this process (Serve).
//
// A pipe is in byte mode or in message mode. In message mode a write is a message, and
// a read returns one: if its buffer is too small, it fails with ERROR_MORE_DATA and as
// much as fits, and the next reads return the rest. FSCTL_PIPE_TRANSCEIVE writes a
// message and reads the next one. Reads wait until there is something to read;
// FSCTL_PIPE_PEEK never waits. Offsets are ignored.
//
// Once the other end has closed the pipe and everything is read, reads fail with
// ERROR_BROKEN_PIPE, and writes at once with ERROR_NO_DATA. If it has thrown data
// away, both fail with ERROR_PIPE_NOT_CONNECTED.
package pipe

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
)

// The IoCodes of pipes that a client's end can use ([MS-FSCC] 2.3). Any other fails
// with ERROR_INVALID_FUNCTION.
const (
	FSCTL_PIPE_PEEK       = 0x0011400C
	FSCTL_PIPE_TRANSCEIVE = 0x0011C017
)

const (
	// maxInstances is how many handles of a pipe can be open.
	maxInstances = 64
	// maxMessage is the length of the longest message that is received, in bytes.
	maxMessage = 1 << 20
	// maxUnread is how many bytes a handle receives before somebody reads them; the
	// last message may exceed it. maxMessages is how many messages.
	maxUnread   = 64 << 10
	maxMessages = 64
	// leastMemory is what a handle takes of the session's memory, in bytes, even if
	// there is nothing unread.
	leastMemory = 4 << 10
)

// Device is one pipe.
type Device struct {
	description *pnp.Description
	readOnly    bool
	log         *slog.Logger
	connect     func(pnp.OpenRequest) (end, error)

	instances atomic.Int64 // handles that are not released
}

var _ pnp.Device = (*Device)(nil)

// end is the other end of the pipe, as one handle uses it.
type end interface {
	// messages reports whether the pipe is in message mode.
	messages() bool
	// start is called first. From then on the handle gets what the other end sends.
	start(h *handle)
	// send takes a message, or some of the bytes, without waiting. The error is EAGAIN
	// if there is no room. The queue is locked.
	send(p []byte) (n int, err error)
	// drained is called when the handle has room for more, or is closed. The queue is
	// locked.
	drained()
	// submitted is called after each request. The queue is not locked.
	submitted()
	// shutdown ends whatever waits, now and later.
	shutdown()
	// close is called last, when no other method runs.
	close()
}

// New makes a pipe of the Unix socket at src.Path: in byte mode if it is a stream
// socket, in message mode if it keeps messages apart (SOCK_SEQPACKET). Nothing is
// connected until the pipe is opened.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{
		description: &src.Description, readOnly: src.ReadOnly, log: log,
		connect: func(r pnp.OpenRequest) (end, error) { return connect(&src, r) },
	}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return d.description }

// Open implements pnp.Device. Share modes are not looked at: each handle has a
// connection of its own. As on Windows it fails with ERROR_PIPE_BUSY if there are too
// many of them, and with ERROR_FILE_NOT_FOUND if nobody serves the pipe.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	read, write := r.WantsRead(), r.WantsWrite() && !d.readOnly
	if r.WantsWrite() && !read && !write {
		return nil, fmt.Errorf("open %s: %w", d.description.Name, pnp.ERROR_ACCESS_DENIED)
	}
	if d.instances.Add(1) > maxInstances {
		d.instances.Add(-1)
		return nil, fmt.Errorf("open %s: it has %d handles: %w", d.description.Name, maxInstances, pnp.ERROR_PIPE_BUSY)
	}
	if !r.Memory.Take(leastMemory) {
		d.instances.Add(-1)
		return nil, fmt.Errorf("open %s: the session's memory for input is used up: %w", d.description.Name, pnp.ERROR_NO_SYSTEM_RESOURCES)
	}
	e, err := d.connect(r)
	if err != nil {
		r.Memory.Give(leastMemory)
		d.instances.Add(-1)
		return nil, err
	}
	return newHandle(d, e, read, write, r), nil
}

// connect connects to the socket at the path of src. What was allowed is what is
// connected to: the node is looked at, and used without following the path again.
func connect(src *backend.Source, r pnp.OpenRequest) (end, error) {
	r.Access = 0 // a socket cannot be opened for more
	node, err := src.OpenNode(r)
	if err != nil {
		return nil, err
	}
	defer unix.Close(node.FD)
	err = error(pnp.ERROR_NOT_SUPPORTED)
	if node.Stat.Mode&unix.S_IFMT == unix.S_IFSOCK {
		var s *socket
		if s, err = dial(fmt.Sprintf("/proc/self/fd/%d", node.FD)); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("connect %s: %w", src.Path, err)
}
