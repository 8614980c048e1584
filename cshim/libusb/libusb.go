// SPDX-License-Identifier: Apache-2.0

// Package libusb reaches USB devices by libusb 1.0 for the backend of cameras. The library
// is looked up when a device is first opened: programs load and run without it.
//
// Each device has a context of its own, so that one that hangs holds up no other. A
// goroutine waits for its transfers, on a thread of its own, until the device is closed.
package libusb

// #cgo LDFLAGS: -ldl
// #cgo CFLAGS: -Wall -Wextra -Werror
// #include <stdlib.h>
// #include "usb.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
	"unsafe"

	"freerdp-pnpdr/pnp/backend/image"
)

// USB implements image.USB.
type USB struct{}

// Claim implements image.USB.
func (USB) Claim(fd, number int) (image.Interface, error) {
	if why := C.pnpdr_usb_load(); why != nil {
		return nil, fmt.Errorf("libusb is missing (on Debian: apt install libusb-1.0-0): %s", C.GoString(why))
	}
	i := &claimed{transfers: make(map[uint64]*transfer), ended: make(chan struct{})}
	if err := failure(C.pnpdr_usb_open(C.int(fd), C.int(number), &i.usb)); err != nil {
		return nil, err
	}
	go i.wait()
	return i, nil
}

// claimed is an interface that is claimed.
type claimed struct {
	usb   *C.pnpdr_usb
	ended chan struct{} // closed when wait has ended

	mu        sync.Mutex
	last      uint64 // tag
	transfers map[uint64]*transfer
	closing   bool
}

// transfer is one that has not ended.
type transfer struct {
	*image.Transfer
	c *C.pnpdr_usb_transfer
}

// Submit implements image.Interface.
func (i *claimed) Submit(t *image.Transfer) error {
	var interrupt C.int
	if t.Interrupt {
		interrupt = 1
	}
	i.mu.Lock() // it may end before it is in the map
	defer i.mu.Unlock()
	if i.closing {
		return image.ErrCancelled
	}
	i.last++
	t.Tag = i.last
	own := &transfer{Transfer: t}
	rc := C.pnpdr_usb_submit(i.usb, C.uint64_t(t.Tag), C.uint8_t(t.Endpoint), interrupt,
		unsafe.Pointer(unsafe.SliceData(t.Data)), C.int(len(t.Data)), milliseconds(t.Timeout), &own.c)
	if err := failure(rc); err != nil {
		return err
	}
	i.transfers[t.Tag] = own
	return nil
}

// milliseconds returns a timeout, at least 1 unless it is 0. libusb has room for 49 days.
func milliseconds(d time.Duration) C.uint {
	return C.uint(min((d+time.Millisecond-1)/time.Millisecond, math.MaxUint32))
}

// Cancel implements image.Interface.
func (i *claimed) Cancel(t *image.Transfer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if own := i.transfers[t.Tag]; own != nil && own.Transfer == t {
		C.pnpdr_usb_cancel(own.c)
	}
}

// wait delivers what has ended until Close was called and nothing is left.
func (i *claimed) wait() {
	defer close(i.ended)
	var done [16]C.pnpdr_usb_done
	for {
		n := int(C.pnpdr_usb_wait(i.usb, &done[0], C.int(len(done))))
		for _, d := range done[:max(n, 0)] {
			i.done(d)
		}
		if n < 0 { // out of memory, say: what is there must end all the same
			time.Sleep(10 * time.Millisecond)
		}
		i.mu.Lock()
		over := i.closing && len(i.transfers) == 0
		i.mu.Unlock()
		if over {
			return
		}
	}
}

// done completes a transfer.
func (i *claimed) done(d C.pnpdr_usb_done) {
	i.mu.Lock()
	own := i.transfers[uint64(d.tag)]
	delete(i.transfers, uint64(d.tag))
	i.mu.Unlock()
	n := min(int(d.length), len(own.Data))
	if own.Endpoint&0x80 != 0 && n > 0 {
		copy(own.Data, unsafe.Slice((*byte)(C.pnpdr_usb_data(d.transfer)), n))
	}
	C.pnpdr_usb_free(d.transfer)
	own.Done(n, outcome(d.status))
}

// Control implements image.Interface.
func (i *claimed) Control(requestType, request byte, value, index uint16, data []byte, timeout time.Duration) (int, error) {
	n := C.pnpdr_usb_control(i.usb, C.uint8_t(requestType), C.uint8_t(request), C.uint16_t(value), C.uint16_t(index),
		unsafe.Pointer(unsafe.SliceData(data)), C.uint16_t(len(data)), milliseconds(timeout))
	if err := failure(n); err != nil {
		return 0, err
	}
	return int(n), nil
}

// ClearHalt implements image.Interface.
func (i *claimed) ClearHalt(endpoint byte) error {
	return failure(C.pnpdr_usb_clear_halt(i.usb, C.uint8_t(endpoint)))
}

// Reset implements image.Interface.
func (i *claimed) Reset() error { return failure(C.pnpdr_usb_reset(i.usb)) }

// Close implements image.Interface.
func (i *claimed) Close() {
	i.mu.Lock()
	i.closing = true
	for _, own := range i.transfers {
		C.pnpdr_usb_cancel(own.c)
	}
	i.mu.Unlock()
	C.pnpdr_usb_wake(i.usb)
	<-i.ended
	C.pnpdr_usb_close(i.usb)
}

// failure returns the error of one of libusb's codes; nil if it is none.
func failure(code C.int) error {
	if code >= 0 {
		return nil
	}
	err := map[C.int]error{
		-4: image.ErrGone, -5: image.ErrGone, -6: image.ErrInUse, -7: image.ErrTimeout, -8: image.ErrOverflow, -9: image.ErrStall,
	}[code]
	name := C.GoString(C.pnpdr_usb_error(code))
	switch {
	case err != nil:
		return err
	case code == -1 || code == -99: // LIBUSB_ERROR_IO and OTHER are whatever the kernel says
		return fmt.Errorf("%w (%s)", image.ErrFailed, name)
	}
	return errors.New(name)
}

// outcome returns the error of an enum libusb_transfer_status.
func outcome(status C.int) error {
	switch status {
	case 0:
		return nil
	case 2:
		return image.ErrTimeout
	case 3:
		return image.ErrCancelled
	case 4:
		return image.ErrStall
	case 5:
		return image.ErrGone
	case 6:
		return image.ErrOverflow
	}
	return fmt.Errorf("%w (LIBUSB_TRANSFER_ERROR)", image.ErrFailed)
}
