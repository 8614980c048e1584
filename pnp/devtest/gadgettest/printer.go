// SPDX-License-Identifier: Apache-2.0

package gadgettest

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// PrinterNode is the node of the kernel's driver.
const PrinterNode = "/dev/usb/lp0"

// Printer is a printer with a bidirectional interface (USB Printing Devices 1.1). It
// takes what is printed when the test calls Print, and keeps control requests.
type Printer struct {
	*Program

	mu      sync.Mutex
	id      []byte
	status  byte
	refuses bool
	silent  chan struct{} // no control request is answered until it is closed

	requests []Request
}

// The endpoints of a printer.
const (
	printerOut = 1 + iota
	printerIn
)

// NewPrinter makes a printer. It is unplugged at first. Elsewhere than in the virtual
// machine it skips the test.
func NewPrinter(t testing.TB) *Printer {
	t.Helper()
	p := &Printer{status: 0x18} // selected, no error
	p.SetID("MFG:pnpdr;MDL:Label;CMD:ZPL;")
	p.Program = NewProgram(t, []Interface{{
		Class: 7, SubClass: 1, Protocol: 2,
		Endpoints: []Endpoint{{}, {In: true}},
	}}, p.control, "usblp")
	return p
}

// SetID sets the IEEE 1284 device id.
func (p *Printer) SetID(id string) {
	p.SetRawID(append(binary.BigEndian.AppendUint16(nil, uint16(2+len(id))), id...))
}

// SetRawID sets the device id with the length that is sent before it.
func (p *Printer) SetRawID(id []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.id = id
}

// SetStatus sets the status of the port.
func (p *Printer) SetStatus(status byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// Refuse makes the printer refuse all control requests, or none.
func (p *Printer) Refuse(refuses bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = refuses
}

// Request is a control request that is not for the id or the status, and what the host
// sent with it.
type Request struct {
	Setup
	Data []byte
}

// Silence makes the printer answer no control request until the returned function is
// called.
func (p *Printer) Silence() (end func()) {
	silent := make(chan struct{})
	set := func(c chan struct{}) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.silent = c
	}
	set(silent)
	return func() {
		set(nil)
		close(silent)
	}
}

// Requests returns the requests since the last call.
func (p *Printer) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.requests
	p.requests = nil
	return r
}

// Requested waits for a request, and returns it.
func (p *Printer) Requested(t testing.TB) Request {
	t.Helper()
	var all []Request
	require.Eventually(t, func() bool {
		all = append(all, p.Requests()...)
		return len(all) > 0
	}, patience, time.Millisecond)
	require.Len(t, all, 1)
	return all[0]
}

// Print takes a transfer of at most len(b) bytes. It returns false if the printer was
// unplugged.
func (p *Printer) Print(b []byte) (int, bool) { return p.Receive(printerOut, b) }

// Answer sends data to the host.
func (p *Printer) Answer(data []byte) bool { return p.Send(printerIn, data) }

// control answers the requests of the class, and those of the vendor's: one for data is
// answered with its own Value and Index.
func (p *Printer) control(s Setup, data []byte) ([]byte, bool) {
	const getDeviceID, getPortStatus, softReset = 0, 1, 2
	p.mu.Lock()
	silent := p.silent
	p.mu.Unlock()
	if silent != nil {
		<-silent
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	class, vendor := s.Type&0x60 == 0x20, s.Type&0x60 == 0x40
	switch {
	case p.refuses:
		return nil, false
	case class && s.In() && s.Request == getDeviceID:
		return p.id, true
	case class && s.In() && s.Request == getPortStatus:
		return []byte{p.status}, true
	case class && !s.In() && s.Request == softReset:
		p.requests = append(p.requests, Request{s, data})
		return nil, true
	case vendor:
		p.requests = append(p.requests, Request{s, data})
		return binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, s.Value), s.Index), true
	}
	return nil, false
}
