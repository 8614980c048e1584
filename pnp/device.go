// SPDX-License-Identifier: Apache-2.0

// Package pnp is the model of redirectable devices: how a device describes itself and
// how it is read, written and controlled. It knows neither the transport nor FreeRDP.
//
// The wire format is in pnp/wire, and the devices are in packages below
// pnp/backend.
package pnp

import (
	"errors"
	"sync/atomic"
)

// Description describes a device to the server (PNP_DEVICE_DESCRIPTION,
// 2.2.1.3.1.1). It does not change while the device is redirected.
type Description struct {
	// Name is the friendly name, DeviceDescription on the wire.
	Name string
	// A Windows server chooses a driver by HardwareIDs, most specific first;
	// CompatibleIDs are its second choice.
	HardwareIDs   []string
	CompatibleIDs []string
	// Interfaces are the device interface classes.
	Interfaces []GUID
	// Container is the same for all functions of one physical device; nil if
	// the device is not known to be one of several. See NewContainer.
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

	// Handle is the number of the handle in its session; see SessionHandle. 0
	// outside a session.
	Handle uint32

	// NoBlock asks the device to open only if that cannot block, and to
	// return ErrWouldBlock otherwise.
	NoBlock bool

	// Workers runs the calls of the handle that may block, including the one
	// that closes the node; nil for goroutines without a bound.
	Workers Workers

	// Memory is what handles may keep although no request asked for it; nil for no
	// bound.
	Memory *Memory

	// Cancelled is closed when nobody wants the handle any more. From then on
	// Open must not open the device: that alone can reset it. nil for never.
	Cancelled <-chan struct{}
}

// CheckCancelled returns ERROR_OPERATION_ABORTED if r is cancelled. A device calls it
// right before it opens its node.
func (r OpenRequest) CheckCancelled() error {
	select {
	case <-r.Cancelled:
		return ERROR_OPERATION_ABORTED
	default:
		return nil
	}
}

// WantsRead reports whether the access mask includes reading.
func (r OpenRequest) WantsRead() bool {
	return r.Access&(GENERIC_READ|GENERIC_ALL|MAXIMUM_ALLOWED|FILE_READ_DATA) != 0
}

// WantsWrite reports whether the access mask includes writing.
func (r OpenRequest) WantsWrite() bool {
	return r.Access&(GENERIC_WRITE|GENERIC_ALL|MAXIMUM_ALLOWED|FILE_WRITE_DATA|FILE_APPEND) != 0
}

// ErrWouldBlock is the error of an Open with NoBlock that may block. It never reaches
// the wire.
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
	// Notify makes sink the receiver of the device's events; nil ends that. The
	// device may call sink from any goroutine, but holds none of its locks
	// meanwhile; sink does not block and does not keep Data. A call of sink may
	// still be running when Notify(nil) returns.
	Notify(sink func(Event))
}

// Workers runs calls that may block. A session bounds how many run at a time.
type Workers interface {
	// Start runs f on a goroutine of its own as soon as a slot is free; f keeps
	// the slot until it returns. Start does not block. withdraw takes f back; it
	// returns true if f has not begun and never will.
	Start(f func()) (withdraw func() bool)
}

// Handle is one open of a device. Its methods do not block, whatever the driver
// does. The channel calls Submit in the order in which requests arrived, from
// one goroutine at a time; Cancel and Close may run beside it.
//
// The device completes every request exactly once with Request.Complete, whether it
// succeeds, fails, is cancelled or the handle is closed. Package queue does most of
// this for a device.
type Handle interface {
	// Submit takes r. It completes r if that cannot block; otherwise the device
	// completes r later.
	Submit(r *Request)

	// Cancel asks the device to complete r soon, normally with
	// ERROR_OPERATION_ABORTED. If r has completed already, Cancel does nothing.
	Cancel(r *Request)

	// Close ends the handle. It is called once, and every pending request
	// completes soon. A later Submit completes its request with an error. The
	// device calls released once, from any goroutine, when it holds nothing for
	// the handle any more: no call is in the driver, settings are restored, the
	// node is closed.
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

// Request is one operation on a handle. The device does not change its fields.
//
// The buffers belong to the device from Submit until it calls Complete, and to the
// channel before and after. If a use of the buffers can outlast Complete (a read that
// is stuck in the kernel), the device calls Hold before that use and Release after it.
type Request struct {
	Op Op
	// Code is the IoCode of an IOControl.
	Code uint32
	// Offset is the offset of a Read or Write, in bytes. A stream device
	// ignores it.
	Offset uint64
	// In is the data to write or the input of an IOControl.
	In []byte
	// Out is the buffer for the data that is read or the output of an
	// IOControl, exactly as long as requested. For a read its contents are
	// undefined at first. For an IOControl it holds the contents of the output
	// buffer that the server sent along, as a driver sees them for
	// METHOD_OUT_DIRECT and METHOD_NEITHER, and zeros behind.
	Out []byte

	done      func(r *Request, hr HRESULT, n int)
	free      func(r *Request)
	completed atomic.Bool
	// holds counts the uses of the buffers, without the one that Complete ends.
	holds atomic.Int32
}

// OnComplete sets the function that Complete calls. The maker of the request calls it
// before any device sees the request.
func (r *Request) OnComplete(done func(r *Request, hr HRESULT, n int)) { r.done = done }

// OnFree sets a function that is called once, after Complete, when nobody uses the
// buffers any more.
func (r *Request) OnFree(free func(r *Request)) { r.free = free }

// Complete ends the request with its result and the number of bytes that are in Out
// (Read, IOControl) or were taken from In (Write). A failing result may come with
// data. Only the first call counts; Complete reports whether this was the first. The
// device holds no lock meanwhile that Submit, Cancel or Close take.
func (r *Request) Complete(hr HRESULT, n int) bool {
	if r.completed.Swap(true) {
		return false
	}
	// C-24: the count is at most the length of the buffer.
	r.done(r, hr, min(max(n, 0), len(r.Buffer())))
	r.Release()
	return true
}

// Hold keeps the buffers alive after Complete, until Release has been called as often
// as Hold. A held request that completes with a count other than 0 has its final data
// in the buffers; with 0 they may still be written to.
func (r *Request) Hold() { r.holds.Add(1) }

// Release ends a Hold, before or after Complete.
func (r *Request) Release() {
	if r.holds.Add(-1) < 0 && r.free != nil {
		r.free(r)
	}
}

// Buffer returns In for a Write and Out for any other operation.
func (r *Request) Buffer() []byte {
	if r.Op == OpWrite {
		return r.In
	}
	return r.Out
}

// Completed reports whether Complete was called.
func (r *Request) Completed() bool { return r.completed.Load() }
