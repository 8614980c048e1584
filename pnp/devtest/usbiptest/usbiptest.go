// SPDX-License-Identifier: Apache-2.0

// Package usbiptest makes USB devices for tests whose firmware is the test, down to single
// packets: a USB/IP server on the loopback, to which the kernel's vhci_hcd is attached. A
// gadget of gadgettest cannot be told to leave a transfer half done, or to fail as a cable
// does that is being pulled out. It works as root in the virtual machine of scripts/vm.
package usbiptest

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/devtest/gadgettest"
)

// Endpoint is an endpoint beside the control endpoint.
type Endpoint struct {
	Address   byte // with the direction
	Interrupt bool // or else bulk
	MaxPacket int  // in bytes
}

// Config describes a high-speed device with one interface.
type Config struct {
	Vendor, Product           uint16
	Name                      string
	Class, SubClass, Protocol byte
	Endpoints                 []Endpoint
	// Control answers requests on the control pipe other than those of chapter 9.
	Control gadgettest.Control
}

// Device is a USB device. It is unplugged at first, and again when the test ends.
type Device struct {
	t    testing.TB
	cfg  Config
	port int // of vhci_hcd's
	bus  int

	mu     sync.Mutex
	change *sync.Cond    // something of the following has changed
	conn   net.Conn      // nil while it is unplugged
	pulled chan struct{} // closed when the cable is pulled out: every transfer fails
	pipes  map[byte]*pipe
	served sync.WaitGroup
}

// pipe is an endpoint.
type pipe struct {
	Endpoint
	halted  bool
	waiting []*urb   // of the host's, oldest first
	packets [][]byte // that the device wants to send
}

// urb is a transfer that the host has asked for.
type urb struct {
	seq    uint32
	length int
	data   []byte // what the host sends, or has so far
}

// patience is a watchdog.
const patience = 20 * time.Second

const controller = "/sys/devices/platform/vhci_hcd.0"

// New makes a device. Elsewhere than in the virtual machine it skips the test.
func New(t testing.TB, cfg Config) *Device {
	t.Helper()
	if os.Getenv("PNPDR_VM") == "" {
		t.Skip("NOT TESTED: USB devices by USB/IP, which scripts/vm/tests uses in a virtual machine")
	}
	out, err := exec.Command("modprobe", "vhci-hcd").CombinedOutput()
	require.NoError(t, err, "%s", out)
	d := &Device{t: t, cfg: cfg, pipes: make(map[byte]*pipe)}
	d.change = sync.NewCond(&d.mu)
	for _, e := range cfg.Endpoints {
		d.pipes[e.Address] = &pipe{Endpoint: e}
	}
	// It has two buses. The one of USB 2.0 has the first ports.
	buses, err := filepath.Glob(controller + "/usb*")
	require.NoError(t, err)
	for _, dir := range buses {
		if speed, _ := os.ReadFile(dir + "/speed"); string(speed) == "480\n" {
			_, _ = fmt.Sscanf(filepath.Base(dir), "usb%d", &d.bus)
		}
	}
	require.NotZero(t, d.bus)
	t.Cleanup(func() {
		d.Unplug()
		require.Eventually(t, d.isFree, patience, time.Millisecond)
	})
	return d
}

// Port returns the USB port, such as 3-1, by which options name it.
func (d *Device) Port() string { return fmt.Sprintf("%d-%d", d.bus, d.port+1) }

// isFree reports whether nothing is at the port any more.
func (d *Device) isFree() bool {
	const free = 4 // VDEV_ST_NULL
	status, _ := os.ReadFile(controller + "/status")
	return strings.Contains(string(status), fmt.Sprintf("\nhs  %04d %03d ", d.port, free))
}

// Plug plugs the device in. The host's drivers notice later.
func (d *Device) Plug() {
	d.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(d.t, err)
	defer l.Close()
	host, err := net.Dial("tcp", l.Addr().String())
	require.NoError(d.t, err)
	defer host.Close()
	conn, err := l.Accept()
	require.NoError(d.t, err)
	file, err := host.(*net.TCPConn).File()
	require.NoError(d.t, err)
	defer file.Close()

	d.mu.Lock()
	require.Nil(d.t, d.conn, "it is plugged in")
	d.conn, d.pulled = conn, make(chan struct{})
	for _, p := range d.pipes {
		p.halted, p.waiting, p.packets = false, nil, nil
	}
	d.mu.Unlock()
	d.served.Add(1)
	go d.serve(conn)

	require.Eventually(d.t, d.isFree, patience, time.Millisecond)
	const highSpeed, id = 3, 1
	attach := fmt.Sprintf("%d %d %d %d", d.port, file.Fd(), id, highSpeed)
	require.NoError(d.t, os.WriteFile(controller+"/attach", []byte(attach), 0))
}

// pulling is how long transfers fail before the host notices that the device has gone: a
// hub is asked a few times a second.
const pulling = 100 * time.Millisecond

// Unplug pulls out the cable. As with real ones, transfers fail first (EPROTO), those that
// are under way and those that begin, and only then the host learns that the device has
// gone.
func (d *Device) Unplug() {
	d.mu.Lock()
	conn := d.conn
	if conn != nil {
		close(d.pulled)
		for _, p := range d.pipes {
			d.failAll(p, eproto)
		}
		d.change.Broadcast()
	}
	d.mu.Unlock()
	if conn == nil {
		return
	}
	time.Sleep(pulling)
	d.Drop()
}

// Drop ends the connection at once, as when the device is a virtual one that somebody
// takes away.
func (d *Device) Drop() {
	d.mu.Lock()
	conn := d.conn
	if d.conn = nil; conn != nil && !d.isPulled() {
		close(d.pulled)
	}
	d.change.Broadcast()
	d.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	d.served.Wait()
}

// Unplugged returns a channel that is closed when the device is unplugged the next time.
func (d *Device) Unplugged() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pulled
}

// isPulled reports whether the device is unplugged. d.mu is held.
func (d *Device) isPulled() bool {
	select {
	case <-d.pulled:
		return true
	default:
		return false
	}
}

// Send sends packets to the host, once it asks for them. A packet that is shorter than the
// endpoint's, or empty, ends a transfer; others are part of what the host has room for.
func (d *Device) Send(address byte, packets ...[]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pipes[address]
	p.packets = append(p.packets, packets...)
	d.move(p)
}

// Receive waits for a transfer of the host's, and takes it: until then it is pending.
func (d *Device) Receive(address byte) []byte {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pipes[address]
	d.await(func() bool { return len(p.waiting) > 0 }, "no transfer waits at 0x%02X", address)
	u := p.waiting[0]
	p.waiting = p.waiting[1:]
	d.complete(p, u, 0)
	return u.data
}

// Await waits until n transfers of the host's wait at an endpoint.
func (d *Device) Await(address byte, n int) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pipes[address]
	d.await(func() bool { return len(p.waiting) == n }, "not %d transfers wait at 0x%02X", n, address)
}

// await waits for something to come true. d.mu is held.
func (d *Device) await(is func() bool, otherwise string, args ...any) {
	d.t.Helper()
	late := time.AfterFunc(patience, d.change.Broadcast)
	defer late.Stop()
	for end := time.Now().Add(patience); !is(); {
		require.True(d.t, time.Now().Before(end), append([]any{otherwise}, args...)...)
		d.change.Wait()
	}
}

// Halt halts an endpoint until the host clears that: its transfers fail.
func (d *Device) Halt(address byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pipes[address]
	p.halted = true
	d.failAll(p, epipe)
}

// The results of transfers, errnos of the host's.
const (
	epipe      = -32  // halted
	eproto     = -71  // nobody answers
	eoverflow  = -75  // the device sends more than the host has room for
	econnreset = -104 // cancelled
)

// failAll ends the transfers of a pipe. d.mu is held.
func (d *Device) failAll(p *pipe, status int) {
	for _, u := range p.waiting {
		d.complete(p, u, status)
	}
	p.waiting = nil
}

// move gives packets to the transfers that wait for them. d.mu is held.
func (d *Device) move(p *pipe) {
	for len(p.waiting) > 0 && len(p.packets) > 0 {
		u, b := p.waiting[0], p.packets[0]
		p.packets = p.packets[1:]
		status := 0
		if len(u.data)+len(b) > u.length {
			status = eoverflow
		} else if u.data = append(u.data, b...); len(b) == p.MaxPacket && len(u.data) < u.length {
			continue
		}
		p.waiting = p.waiting[1:]
		d.complete(p, u, status)
	}
}

// complete tells the host the result of a transfer. d.mu is held.
func (d *Device) complete(p *pipe, u *urb, status int) {
	in := p.Address&0x80 != 0
	n := len(u.data)
	if !in && status != 0 {
		n = 0
	}
	d.reply(retSubmit, u.seq, status, n, u.data[:n], in)
	d.change.Broadcast()
}

// reply sends a USBIP_RET_SUBMIT or USBIP_RET_UNLINK: a header of 48 bytes, and data if it
// goes to the host. An error means that the device is unplugged. d.mu is held.
func (d *Device) reply(command, seq uint32, status, length int, data []byte, in bool) {
	b := make([]byte, 48, 48+len(data))
	for i, v := range []uint32{command, seq, 0, 0, 0, uint32(int32(status)), uint32(length)} {
		binary.BigEndian.PutUint32(b[4*i:], v)
	}
	if in {
		b = append(b, data...)
	}
	if d.conn != nil {
		_, _ = d.conn.Write(b)
	}
}
