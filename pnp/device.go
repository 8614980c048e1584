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

	// Workers runs what may block while the handle lives, the closing of its
	// node included; nil for goroutines without a bound.
	Workers Workers
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

// Workers runs what may block. A session bounds how many of its calls do.
type Workers interface {
	// Start runs f on a goroutine of its own as soon as there is a slot for it;
	// f keeps the slot until it returns. Start does not block. withdraw takes f
	// back and reports whether it could: f has not begun then, and never will.
	Start(f func()) (withdraw func() bool)
}

// Handle is one open of a device. Its methods do not block, whatever the driver
// does. The channel calls Submit in the order in which requests arrived, from
// one goroutine at a time; Cancel and Close may run beside it.
//
// Every request is completed exactly once by Request.Complete, whatever
// happens: success, failure, Cancel, Close. Package queue does most of this for
// a device.
type Handle interface {
	// Submit takes r: it completes r if that cannot block, or sees to it that r
	// is completed later.
	Submit(r *Request)

	// Cancel asks that r be completed soon, normally with
	// ERROR_OPERATION_ABORTED. r may have completed already; then Cancel does
	// nothing.
	Cancel(r *Request)

	// Close ends the handle: it is called once, and makes every pending request
	// complete soon. A Submit that comes after it completes its request with an
	// error. released is called once, from any goroutine, when the device holds
	// nothing for the handle any more: no call is in the driver, settings are
	// restored, the node is closed.
	Close(released func())
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
// The buffers belong to the device from Submit until it calls Complete, and to
// the channel before and after. A device that has to complete a request while
// something still uses its buffers (a read stuck in the kernel) calls Hold
// before and Release after that use.
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
	free      func(r *Request)
	completed atomic.Bool
	// holds counts the uses of the buffers beside the one that Complete ends.
	holds atomic.Int32
}

// OnComplete sets the function that Complete calls. It is for whoever makes the
// request, before any device sees it.
func (r *Request) OnComplete(done func(r *Request, hr HRESULT, n int)) { r.done = done }

// OnFree sets the function that is called once, after Complete, when nobody uses
// the buffers any more.
func (r *Request) OnFree(free func(r *Request)) { r.free = free }

// Complete ends the request with its result and the number of bytes that are
// in Out (Read, IOControl) or were taken from In (Write). A failing result may
// come with data. Only the first call counts; Complete reports whether this one
// was it. The device calls it without holding a lock that Submit, Cancel or
// Close take.
func (r *Request) Complete(hr HRESULT, n int) bool {
	if r.completed.Swap(true) {
		return false
	}
	// C-24: a device that claims more than there is room for is cut.
	r.done(r, hr, min(max(n, 0), len(r.Buffer())))
	r.Release()
	return true
}

// Hold keeps the buffers as they are beyond Complete, until Release is called as
// often. Whoever completes a held request with a count of 0 need not own the
// buffers; any other count says that they hold their final contents.
func (r *Request) Hold() { r.holds.Add(1) }

// Release ends what Hold began. It may come before or after Complete.
func (r *Request) Release() {
	if r.holds.Add(-1) < 0 && r.free != nil {
		r.free(r)
	}
}

// Buffer returns the buffer that the operation moves data through: In of a
// Write, Out of any other.
func (r *Request) Buffer() []byte {
	if r.Op == OpWrite {
		return r.In
	}
	return r.Out
}

// Completed reports whether Complete was called.
func (r *Request) Completed() bool { return r.completed.Load() }
