// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"sync/atomic"
	"time"
)

// USB reaches USB devices. cshim/libusb implements it; the program that wants it says so
// by Use, because this package knows no C.
type USB interface {
	// Claim claims an interface of the device behind fd, the descriptor of its node,
	// which is open until Close. It may wait.
	Claim(fd, number int) (Interface, error)
}

// Interface is an interface that is claimed. Its methods may be called from any
// goroutine. After Close none may.
type Interface interface {
	// Submit begins a transfer. It does not wait.
	Submit(t *Transfer) error
	// Cancel asks a transfer to end soon. It may have ended.
	Cancel(t *Transfer)
	// Control does a transfer on the control pipe. It waits for the device. data is sent
	// or filled, as the direction in requestType says.
	Control(requestType, request byte, value, index uint16, data []byte, timeout time.Duration) (n int, err error)
	// ClearHalt resets an endpoint. It waits for the device.
	ClearHalt(endpoint byte) error
	// Reset resets the device. It waits for it.
	Reset() error
	// Close gives the interface back once all transfers have ended; it cancels them.
	Close()
}

// Transfer is a transfer on a pipe.
type Transfer struct {
	Endpoint  byte // its address, with the direction
	Interrupt bool // else bulk
	// Data is what is sent, or receives what comes. It belongs to the Interface until
	// Done is called.
	Data []byte
	// Timeout, if not 0, ends the transfer.
	Timeout time.Duration
	// Done is called once, unless Submit fails, and must not block. n bytes have been
	// moved even if there is an error.
	Done func(n int, err error)

	// Tag is for the Interface.
	Tag uint64
}

// The errors of transfers and of Claim, as far as they matter here. Others may be wrapped.
var (
	ErrGone      = errors.New("the device is not connected")
	ErrTimeout   = errors.New("the device did not answer in time")
	ErrCancelled = errors.New("the transfer was cancelled")
	ErrStall     = errors.New("the endpoint is halted")
	ErrOverflow  = errors.New("the device sent more than was asked for")
	ErrFailed    = errors.New("the transfer failed") // as when the device was just unplugged
	ErrInUse     = errors.New("the interface is in use")
)

var used atomic.Pointer[USB]

// Use makes the backend reach devices by u.
func Use(u USB) { used.Store(&u) }
