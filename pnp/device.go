// SPDX-License-Identifier: Apache-2.0

// Package pnp is the domain of the project: what a redirectable device is, how
// it describes itself and how it is read, written and controlled. It knows no
// transport and no FreeRDP.
//
// The wire format lives in pnp/wire, the devices in packages of their own
// below this one.
package pnp

import (
	"errors"
	"sync/atomic"
)

// Description is what the server is told of a device (PNP_DEVICE_DESCRIPTION,
// 2.2.1.3.1.1). It does not change while the device is redirected.
type Description struct {
	// Name is the friendly name, DeviceDescription on the wire.
	Name string
	// HardwareIDs are what a Windows server matches drivers by, most
	// specific first; CompatibleIDs are its second choice.
	HardwareIDs   []string
	CompatibleIDs []string
	// Interfaces are the device interface classes.
	Interfaces []GUID
	// Container is shared by the functions of one physical device; nil if
	// the device is not part of one.
	Container *GUID
	// Caps are the capability bits; nil leaves the field out.
	Caps *DeviceCaps
	// Optional lets the server decline the device (CustomFlag 1).
	Optional bool
}

// Access rights, share modes and creation dispositions of a CreateFile Request
// (2.2.2.3.1), by their Windows names.
const (
	GENERIC_READ    = 0x80000000
	GENERIC_WRITE   = 0x40000000
	GENERIC_ALL     = 0x10000000
	MAXIMUM_ALLOWED = 0x02000000
	FILE_READ_DATA  = 0x1
	FILE_WRITE_DATA = 0x2
	FILE_APPEND     = 0x4

	FILE_SHARE_READ  = 0x1
	FILE_SHARE_WRITE = 0x2

	CREATE_NEW        = 1
	CREATE_ALWAYS     = 2
	OPEN_EXISTING     = 3
	OPEN_ALWAYS       = 4
	TRUNCATE_EXISTING = 5
)

// OpenRequest carries the parameters of a CreateFile Request. Bits without a
// meaning on this system are tolerated (C-38).
type OpenRequest struct {
	Access      uint32
	Share       uint32
	Disposition uint32
	Flags       uint32

	// NoBlock asks the device to open only if that cannot block, and to
	// return ErrWouldBlock otherwise.
	NoBlock bool
}

// WantsRead reports whether the access mask includes reading.
func (r OpenRequest) WantsRead() bool {
	return r.Access&(GENERIC_READ|GENERIC_ALL|MAXIMUM_ALLOWED|FILE_READ_DATA) != 0
}

// WantsWrite reports whether the access mask includes writing.
func (r OpenRequest) WantsWrite() bool {
	return r.Access&(GENERIC_WRITE|GENERIC_ALL|MAXIMUM_ALLOWED|FILE_WRITE_DATA|FILE_APPEND) != 0
}

// ErrWouldBlock is what Open returns for a request with NoBlock that it cannot
// grant at once. It never reaches the wire.
var ErrWouldBlock = errors.New("pnp: opening would block")

// Device is one redirectable device. Its methods may be called from any
// goroutine, Open several times at once.
type Device interface {
	// Description returns the same value each time; the caller does not
	// change it.
	Description() *Description

	// Open makes a handle. It may block unless r.NoBlock is set. An error
	// reaches the server as HRESULTOf(err).
	Open(r OpenRequest) (Handle, error)
}

// Event is a custom Plug and Play event of a device (2.2.2.3.10).
type Event struct {
	GUID GUID
	Data []byte
}

// EventSource is implemented by a device that raises custom events.
type EventSource interface {
	// Notify makes sink the receiver of the device's events; nil ends it.
	// The device may call sink from any goroutine, but holds no lock of its
	// own meanwhile; sink does not block and does not keep Data. A call
	// under way may still end after Notify(nil) has returned.
	Notify(sink func(Event))
}

// Handle is one open of a device. The channel calls Try in the order in which
// requests arrived, from one goroutine at a time; Do, Cancel and Close may run
// beside it and beside each other.
//
// Every request that Try accepted or that was given to Do is completed exactly
// once by Request.Complete, whatever happens: success, failure, Cancel, Close.
type Handle interface {
	// Try performs or begins r if that cannot block the caller: it has
	// completed r, or has taken it to complete it later from another
	// goroutine, and returns true. If it returns false it has not touched r,
	// and the channel hands r to Do on a goroutine of its own.
	Try(r *Request) bool

	// Do performs r; it may block until r is complete, and returns only
	// after it has completed r or arranged for that.
	Do(r *Request)

	// Cancel asks that r be completed soon, normally with
	// ERROR_OPERATION_ABORTED. It does not block. r may have completed
	// already; then Cancel does nothing. It may also come just before the
	// Do of r: Do sees it by r.Cancelled.
	Cancel(r *Request)

	// Close ends the handle: it is called once, does not block, and makes
	// every pending request complete soon. A Try or Do that comes after it
	// completes its request with an error.
	Close()
}

// Op is the kind of a request.
type Op uint8

// The operations of a handle.
const (
	OpRead Op = iota
	OpWrite
	OpIOControl
)

func (o Op) String() string {
	switch o {
	case OpRead:
		return "Read"
	case OpWrite:
		return "Write"
	case OpIOControl:
		return "IOControl"
	}
	return "unknown operation"
}

// Request is one operation on a handle. The fields are read-only to the device.
//
// The buffers belong to the device from the moment it accepts the request until
// it calls Complete, and to the channel before and after. A device that may
// have to complete a request while something still uses its buffers (a read
// stuck in the kernel) must therefore use buffers of its own.
type Request struct {
	Op Op
	// Code is the IoCode of an IOControl.
	Code uint32
	// Offset is the unsigned 64-bit offset of a Read or Write. A stream
	// device ignores it.
	Offset uint64
	// In is the data to write or the input of an IOControl.
	In []byte
	// Out is the room for what is read or for the output of an IOControl,
	// of exactly the length asked for. A read finds anything in it; an
	// IOControl what the server sent along of its output buffer, as a driver
	// sees it for METHOD_OUT_DIRECT and METHOD_NEITHER, or else zeros.
	Out []byte

	done      func(r *Request, hr HRESULT, n int)
	completed atomic.Bool
	cancelled atomic.Bool
}

// OnComplete sets the function that Complete calls. It is for whoever makes
// the request, before any device sees it.
func (r *Request) OnComplete(done func(r *Request, hr HRESULT, n int)) { r.done = done }

// Complete ends the request with its result and the number of bytes that are
// in Out (Read, IOControl) or were taken from In (Write). A failing result may
// come with data. Only the first call counts; Complete reports whether this one
// was it. The device calls it without holding a lock that Try, Cancel or Close
// take.
func (r *Request) Complete(hr HRESULT, n int) bool {
	if r.completed.Swap(true) {
		return false
	}
	// C-24: a device that claims more than there is room for is cut.
	r.done(r, hr, min(max(n, 0), len(r.Buffer())))
	return true
}

// Buffer returns the buffer that the operation moves data through: In of a
// Write, Out of any other.
func (r *Request) Buffer() []byte {
	if r.Op == OpWrite {
		return r.In
	}
	return r.Out
}

// MarkCancelled is called by the channel before it calls the handle's Cancel.
func (r *Request) MarkCancelled() { r.cancelled.Store(true) }

// Cancelled reports whether the server has cancelled the request.
func (r *Request) Cancelled() bool { return r.cancelled.Load() }

// Completed reports whether Complete was called.
func (r *Request) Completed() bool { return r.completed.Load() }
