// SPDX-License-Identifier: Apache-2.0

package gadgettest

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Kind is the type of a report as USB numbers it (HID 1.11, 7.2.1).
type Kind byte

// The kinds of reports.
const (
	Input Kind = 1 + iota
	Output
	Feature
)

// HIDInterface describes an interface of a HID device.
type HIDInterface struct {
	Descriptor []byte // the report descriptor
	Keyboard   bool   // it supports the boot protocol of keyboards
	// Out gives it an endpoint for output reports, which are sent by SET_REPORT
	// otherwise.
	Out bool
	// Get answers GET_REPORT. Without an answer the device is silent until it is
	// unplugged.
	Get func(k Kind, id byte) (report []byte, answers bool)
}

// Sent is a report that the host sent.
type Sent struct {
	How  string // "set" for SET_REPORT, "out" for the endpoint
	Kind Kind   // of a SET_REPORT
	Data string // as it was on the wire
}

// HID is a USB device with HID interfaces.
type HID struct {
	*Program
	interfaces []HIDInterface
	ins        []int // endpoints

	mu    sync.Mutex
	sent  []Sent
	asked int // GET_REPORTs
}

// hidClass is the class of HID interfaces.
const hidClass = 3

// NewHID makes a HID device. It is unplugged at first. Elsewhere than in the virtual
// machine it skips the test.
func NewHID(t testing.TB, name string, interfaces ...HIDInterface) *HID {
	t.Helper()
	h := &HID{interfaces: interfaces}
	var list []Interface
	outs := map[int]int{} // endpoints and their interfaces
	number := 0
	for i, f := range interfaces {
		d := Interface{Class: hidClass, Endpoints: []Endpoint{{In: true, Interrupt: true}}}
		if f.Keyboard {
			d.SubClass, d.Protocol = 1, 1
		}
		// HID 1.11, 6.2.1: version 1.11, no country, one descriptor of a report.
		d.Extra = binary.LittleEndian.AppendUint16([]byte{9, 0x21, 0x11, 1, 0, 1, 0x22}, uint16(len(f.Descriptor)))
		number++
		h.ins = append(h.ins, number)
		if f.Out {
			d.Endpoints = append(d.Endpoints, Endpoint{Interrupt: true})
			number++
			outs[number] = i
		}
		list = append(list, d)
	}
	h.Program = NewProgram(t, list, h.control, "usbhid", "hid_generic")
	h.set("strings/0x409/product", name)
	h.set("strings/0x409/manufacturer", "pnpdr")
	h.set("strings/0x409/serialnumber", "H1")
	for endpoint := range outs {
		h.Run(func() {
			b := make([]byte, 64)
			if n, ok := h.Receive(endpoint, b); ok {
				h.record(Sent{How: "out", Data: string(b[:n])})
			}
		})
	}
	return h
}

func (h *HID) record(s Sent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = append(h.sent, s)
}

// control answers the requests of HID 1.11, 7.
func (h *HID) control(s Setup, data []byte) ([]byte, bool) {
	const (
		getDescriptor = 0x06
		getReport     = 0x01
		setReport     = 0x09
		setIdle       = 0x0A
		setProtocol   = 0x0B
	)
	if int(s.Index) >= len(h.interfaces) {
		return nil, false
	}
	f := &h.interfaces[s.Index]
	kind, id := Kind(s.Value>>8), byte(s.Value)
	switch {
	case s.Type == 0x81 && s.Request == getDescriptor && s.Value == 0x2200:
		return f.Descriptor, true
	case s.Type == 0xA1 && s.Request == getReport:
		return h.get(f, kind, id)
	case s.Type == 0x21 && s.Request == setReport:
		h.record(Sent{"set", kind, string(data)})
		return nil, true
	case s.Type == 0x21 && (s.Request == setIdle || s.Request == setProtocol):
		return nil, true
	}
	return nil, false
}

func (h *HID) get(f *HIDInterface, k Kind, id byte) ([]byte, bool) {
	h.mu.Lock()
	h.asked++
	h.mu.Unlock()
	if f.Get == nil {
		return nil, false
	}
	report, answers := f.Get(k, id)
	if !answers {
		select {
		case <-h.Unplugged():
		case <-h.ended:
		}
	}
	return report, answers
}

// Input sends an input report, as it is on the wire, and returns when the host has
// fetched it, which a host does while a program has the device open.
func (h *HID) Input(i int, report ...byte) { h.Send(h.ins[i], report) }

// Sent waits for n reports and returns them.
func (h *HID) Sent(n int) (sent []Sent) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		sent = append([]Sent(nil), h.sent...)
		return len(sent) >= n
	}, patience, time.Millisecond)
	return sent
}

// Asked waits until the host has asked for n reports.
func (h *HID) Asked(n int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.asked >= n
	}, patience, time.Millisecond)
}

// Node waits for the hidraw node of an interface and returns it.
func (h *HID) Node(i int) (node string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		found, _ := filepath.Glob(fmt.Sprintf("/sys/bus/usb/devices/*:1.%d/*:1209:0002.*/hidraw/hidraw*", i))
		for _, dir := range found {
			at := "/dev/" + filepath.Base(dir)
			if _, err := os.Stat(at); err == nil {
				node = at
			}
		}
		return node != ""
	}, patience, time.Millisecond)
	return node
}
