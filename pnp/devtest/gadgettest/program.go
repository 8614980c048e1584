// SPDX-License-Identifier: Apache-2.0

package gadgettest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Interface is an interface of a device.
type Interface struct {
	Class, SubClass, Protocol byte
	// Extra are descriptors that follow the interface's own.
	Extra     []byte
	Endpoints []Endpoint
}

// Endpoint is an endpoint beside the control endpoint.
type Endpoint struct {
	In        bool // to the host
	Interrupt bool // or else bulk
}

// Setup is the first packet of a control request (USB 2.0, 9.3).
type Setup struct {
	Type, Request byte
	Value         uint16
	Index         uint16
	Length        uint16
}

// In reports whether the host asks for data.
func (s Setup) In() bool { return s.Type&0x80 != 0 }

// Control answers a control request to an interface. data is what the host sends along.
// If it returns false, the device stalls. It may block: so does the device then.
type Control func(s Setup, data []byte) (reply []byte, ok bool)

// Program is a USB device whose firmware is the test (functionfs).
type Program struct {
	*Gadget
	mount   string
	ep0     *os.File
	control Control
	files   []int // of the other endpoints
	ended   chan struct{}
	served  sync.WaitGroup

	mu        sync.Mutex
	unplugged chan struct{} // closed when it is unplugged the next time
}

// NewProgram makes a device of interfaces, and loads the drivers that its host needs.
// Their endpoints are numbered from 1, in order. control is called from one goroutine.
// The device is unplugged at first. Elsewhere than in the virtual machine it skips the
// test.
func NewProgram(t testing.TB, interfaces []Interface, control Control, drivers ...string) *Program {
	t.Helper()
	const name = "test"
	p := &Program{
		Gadget:  newGadget(t, "ffs", name, append(drivers, "usb_f_fs")),
		mount:   t.TempDir(),
		control: control,
		ended:   make(chan struct{}),
	}
	p.unplugged = make(chan struct{})
	require.NoError(t, unix.Mount(name, p.mount, "functionfs", 0, ""))
	t.Cleanup(p.end) // before the gadget is removed
	fd, err := unix.Open(filepath.Join(p.mount, "ep0"), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	p.ep0 = os.NewFile(uintptr(fd), "ep0")
	descriptors, endpoints := describe(interfaces)
	for _, b := range [][]byte{descriptors, noStrings()} {
		_, err := p.ep0.Write(b)
		require.NoError(t, err)
	}
	for n := range endpoints {
		fd, err := unix.Open(filepath.Join(p.mount, fmt.Sprintf("ep%d", n+1)), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		p.files = append(p.files, fd)
	}
	p.served.Add(1)
	go p.serve()
	p.configure()
	return p
}

// The numbers of linux/usb/functionfs.h.
const (
	descriptorsMagicV2 = 3
	stringsMagic       = 2
	hasFullSpeed       = 1
	hasHighSpeed       = 2
	allRecipients      = 64 // FUNCTIONFS_ALL_CTRL_RECIP: control requests to whatever part

	eventSetup = 4
	eventSize  = 12 // struct usb_functionfs_event
)

// describe returns the descriptors of a device, as functionfs wants them, and the number
// of its endpoints.
func describe(interfaces []Interface) (b []byte, endpoints int) {
	var bodies []byte
	count := 0
	for _, high := range []bool{false, true} {
		number := byte(0)
		count = 0
		for i, f := range interfaces {
			bodies = append(bodies, 9, 4, byte(i), 0, byte(len(f.Endpoints)), f.Class, f.SubClass, f.Protocol, 0)
			bodies = append(bodies, f.Extra...)
			count += 1 + descriptorsIn(f.Extra) + len(f.Endpoints)
			for _, e := range f.Endpoints {
				number++
				bodies = append(bodies, e.descriptor(number, high)...)
			}
		}
		endpoints = int(number)
	}
	head := []uint32{descriptorsMagicV2, uint32(20 + len(bodies)), hasFullSpeed | hasHighSpeed | allRecipients, uint32(count), uint32(count)}
	for _, v := range head {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return append(b, bodies...), endpoints
}

func descriptorsIn(b []byte) (n int) {
	for ; len(b) > 0; b = b[b[0]:] {
		n++
	}
	return n
}

// descriptor is that of USB 2.0, 9.6.6.
func (e Endpoint) descriptor(number byte, high bool) []byte {
	address, kind, size, interval := number, byte(2), 64, byte(0)
	if e.In {
		address |= 0x80
	}
	switch {
	case e.Interrupt:
		kind, interval = 3, 1
	case high:
		size = 512
	}
	return []byte{7, 5, address, kind, byte(size), byte(size >> 8), interval}
}

func noStrings() (b []byte) {
	for _, v := range []uint32{stringsMagic, 16, 0, 0} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// serve answers control requests until the control endpoint is closed.
func (p *Program) serve() {
	defer p.served.Done()
	b := make([]byte, eventSize)
	for {
		switch _, err := p.ep0.Read(b); {
		case errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, unix.EIDRM), errors.Is(err, unix.EINTR): // the host gave up a request
		case err != nil:
			p.t.Errorf("reading events: %v", err)
			return
		case b[8] == eventSetup:
			p.setup(Setup{b[0], b[1], binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])})
		}
	}
}

// setup carries out a control request. A transfer in the wrong direction stalls it. The
// host may give up meanwhile, or the device be unplugged: then the transfers fail.
func (p *Program) setup(s Setup) {
	var data []byte
	if !s.In() && s.Length > 0 {
		data = make([]byte, s.Length)
		if n, err := p.ep0.Read(data); err == nil {
			data = data[:n]
		}
	}
	reply, ok := p.control(s, data)
	switch {
	case s.In() && ok:
		_, _ = p.ep0.Write(reply[:min(len(reply), int(s.Length))])
	case s.In():
		p.transfer(unix.Read)
	case s.Length > 0: // it is acknowledged already
	case ok:
		p.transfer(unix.Read)
	default:
		p.transfer(unix.Write)
	}
}

// transfer moves no bytes.
func (p *Program) transfer(f func(fd int, b []byte) (int, error)) {
	if raw, err := p.ep0.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = f(int(fd), nil) })
	}
}

// Send sends data to the host through an endpoint, and returns when the host has it. It
// returns false if the device was unplugged.
func (p *Program) Send(endpoint int, data []byte) bool {
	_, ok := p.move(unix.Write, endpoint, data)
	return ok
}

// Receive waits for a transfer of the host's. It returns false if the device was
// unplugged.
func (p *Program) Receive(endpoint int, b []byte) (int, bool) { return p.move(unix.Read, endpoint, b) }

func (p *Program) move(f func(int, []byte) (int, error), endpoint int, b []byte) (int, bool) {
	for {
		n, err := f(p.files[endpoint-1], b)
		switch err {
		case nil:
			return n, true
		case unix.EINTR:
		case unix.EAGAIN: // the host has not configured the device yet
			select {
			case <-p.ended:
				return 0, false
			case <-time.After(time.Millisecond):
			}
		default:
			return 0, false
		}
	}
}

// Plug is Gadget.Plug.
func (p *Program) Plug(nodes ...string) {
	p.t.Helper()
	p.mu.Lock()
	p.unplugged = make(chan struct{})
	p.mu.Unlock()
	p.Gadget.Plug(nodes...)
}

// Unplug is Gadget.Unplug.
func (p *Program) Unplug() {
	p.t.Helper()
	p.Gadget.Unplug()
	close(p.Unplugged())
}

// Unplugged returns a channel that is closed when the device is unplugged the next time.
func (p *Program) Unplugged() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unplugged
}

// Run runs f until the test ends, which unplugs the device first.
func (p *Program) Run(f func()) {
	p.served.Add(1)
	go func() {
		defer p.served.Done()
		for !p.isOver() {
			f()
		}
	}()
}

func (p *Program) isOver() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// end ends the firmware.
func (p *Program) end() {
	close(p.ended)
	_ = os.WriteFile(filepath.Join(p.dir, "UDC"), []byte("\n"), 0o644) // it fails if nothing is plugged in
	p.ep0.Close()
	p.served.Wait()
	for _, fd := range p.files {
		unix.Close(fd)
	}
	if err := unix.Unmount(p.mount, 0); err != nil {
		p.t.Errorf("unmounting: %v", err)
	}
}
