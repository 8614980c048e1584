// SPDX-License-Identifier: Apache-2.0

package gadgettest

import (
	"encoding/binary"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// InstrumentNode is the node of the kernel's driver.
const InstrumentNode = "/dev/usbtmc0"

// InstrumentName is what the instrument answers to *IDN?, without the line's end.
const InstrumentName = "pnpdr,Instrument,I1,1.0"

// Instrument is a measuring instrument (USBTMC 1.0 with the USB488 subclass). Each
// message that it gets is a question. It answers *IDN?, and lets a read wait for ever that
// follows any other.
type Instrument struct {
	*Program
	Asked chan string // the messages; it takes 64 without a reader

	reading chan struct{} // a read waits
	mu      sync.Mutex
	answer  []byte
}

// The endpoints of an instrument.
const (
	bulkOut = 1 + iota
	bulkIn
	interruptIn
)

// NewInstrument makes an instrument. It is unplugged at first. Elsewhere than in the
// virtual machine it skips the test.
func NewInstrument(t testing.TB) *Instrument {
	t.Helper()
	i := &Instrument{Asked: make(chan string, 64), reading: make(chan struct{}, 64)}
	i.Program = NewProgram(t, []Interface{{
		Class: 0xFE, SubClass: 3, Protocol: 1,
		Endpoints: []Endpoint{{}, {In: true}, {In: true, Interrupt: true}},
	}}, control488, "usbtmc")
	i.set("strings/0x409/product", "Instrument")
	i.set("strings/0x409/serialnumber", "I1")
	b := make([]byte, 16<<10)
	i.Run(func() {
		if n, ok := i.Receive(bulkOut, b); ok {
			i.message(b[:n])
		}
	})
	return i
}

// control488 answers GET_CAPABILITIES (USBTMC 4.2.1.8): none.
func control488(s Setup, _ []byte) ([]byte, bool) {
	const getCapabilities = 7
	if s.Type != 0xA1 || s.Request != getCapabilities {
		return nil, false
	}
	const success = 1
	reply := make([]byte, 0x18)
	reply[0], reply[3] = success, 1
	return reply, true
}

// message handles a transfer on Bulk-OUT (USBTMC 3.2): a header of 12 bytes, with the
// message's kind, its tag and the length of what follows or is asked for.
func (i *Instrument) message(b []byte) {
	const header, devDepMsgOut, requestDevDepMsgIn = 12, 1, 2
	if len(b) < header {
		return
	}
	tag, n := b[1], binary.LittleEndian.Uint32(b[4:])
	switch b[0] {
	case devDepMsgOut:
		question := string(b[header:min(header+int(n), len(b))])
		i.mu.Lock()
		if i.answer = nil; question == "*IDN?\n" {
			i.answer = []byte(InstrumentName + "\n")
		}
		i.mu.Unlock()
		i.Asked <- question
	case requestDevDepMsgIn:
		i.mu.Lock()
		answer := i.answer
		i.answer = nil
		i.mu.Unlock()
		if answer == nil {
			i.reading <- struct{}{}
			return
		}
		answer = answer[:min(len(answer), int(n))]
		const endOfMessage = 1
		reply := binary.LittleEndian.AppendUint32([]byte{requestDevDepMsgIn, tag, ^tag, 0}, uint32(len(answer)))
		reply = append(append(reply, endOfMessage, 0, 0, 0), answer...)
		i.Send(bulkIn, append(reply, make([]byte, -len(answer)&3)...))
	}
}

// Reading waits until the host reads what the instrument does not answer.
func (i *Instrument) Reading() { <-i.reading }

// RequestService asks the host for attention (USB488 3.4.1): programs that poll for it
// wake up.
func (i *Instrument) RequestService() { i.Send(interruptIn, []byte{0x81, 0x40}) }

// WaitForAnswers makes the driver wait ten minutes for an answer to a read through this
// descriptor, instead of five seconds: longer than any test.
func WaitForAnswers(fd int) error { return SetAnswerTimeout(fd, 10*60*1000) }

// SetAnswerTimeout makes the driver wait that many milliseconds for an answer to a read
// through this descriptor (USBTMC_IOCTL_SET_TIMEOUT).
func SetAnswerTimeout(fd int, milliseconds int32) error {
	const setTimeout = 1<<30 | 4<<16 | 91<<8 | 10
	return unix.IoctlSetPointerInt(fd, setTimeout, int(milliseconds))
}
