// SPDX-License-Identifier: Apache-2.0

// Package uhidtest lets tests act as a HID device through /dev/uhid. The kernel gives
// it nodes, drivers and messages as it does any other device.
package uhidtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// Kind is enum uhid_report_type.
type Kind byte

// The kinds of reports.
const (
	Feature Kind = iota
	Output
	Input
)

// Config describes a device. Its functions are called from one goroutine.
type Config struct {
	// Name is the product name. Two devices must not share one.
	Name            string
	Vendor, Product uint16
	Version         uint16
	Descriptor      []byte
	// Write receives an output report that was not sent by SET_REPORT.
	Write func(report []byte)
	// Set receives a report sent by SET_REPORT, and returns whether the device
	// answers.
	Set func(k Kind, report []byte) (answers bool)
	// Get answers GET_REPORT with a report or an error, or does not answer.
	Get func(k Kind, id byte) (report []byte, answers bool, err error)
}

// Device is a plugged-in device.
type Device struct {
	Node string // /dev/hidrawN

	t      testing.TB
	cfg    Config
	file   *os.File
	served chan struct{}
	gone   atomic.Bool
	stop   sync.Once
}

// The events of linux/uhid.h that are used here. All structures are packed.
const (
	destroy        = 1
	output         = 6
	getReport      = 9
	getReportReply = 10
	create2        = 11
	input2         = 12
	setReport      = 13
	setReportReply = 14

	dataMax = 4096
	// eventSize is the size of struct uhid_event: a type, and a union whose
	// largest member is struct uhid_create2_req.
	eventSize = 4 + 128 + 64 + 64 + 2 + 2 + 4*4 + dataMax
	busUSB    = 3
)

// patience is how long to wait before a test fails.
const patience = 30 * time.Second

// serial makes serial numbers unique.
var serial atomic.Int64

// Plug makes a device and waits until the kernel has set it up: reports that are sent
// earlier are lost. It skips the test if the kernel has no uhid. The device is unplugged
// when the test ends.
func Plug(t testing.TB, cfg Config) *Device {
	t.Helper()
	file, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no HID devices can be made here: %v (modprobe uhid, as root)", err)
	}
	d := &Device{t: t, cfg: cfg, file: file, served: make(chan struct{})}
	go d.serve()
	t.Cleanup(func() {
		d.Unplug()
		d.Stop()
	})
	messages, err := discover.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	uniq := fmt.Sprintf("pnpdr-%d-%d", os.Getpid(), serial.Add(1))
	b := append(padded(cfg.Name, 128), padded("", 64)...)
	b = append(b, padded(uniq, 64)...)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(cfg.Descriptor)))
	b = binary.NativeEndian.AppendUint16(b, busUSB)
	for _, v := range []uint16{cfg.Vendor, cfg.Product, cfg.Version, 0} { // the last is the country
		b = binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	d.event(create2, append(b, cfg.Descriptor...))
	d.await(messages, uniq)
	return d
}

func padded(s string, n int) []byte { return append([]byte(s), make([]byte, n-len(s))...) }

// await waits for the message that a driver has taken the device, and for its node.
func (d *Device) await(messages discover.Source, uniq string) {
	d.t.Helper()
	tree, err := sysfs.Open("/sys")
	if err != nil {
		d.t.Fatal(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		list, err := messages.Receive(time.Second)
		if err != nil && !errors.Is(err, discover.ErrLost) {
			d.t.Fatal(err)
		}
		for _, m := range list {
			if m.Action == "bind" && m.Subsystem == "hid" && tree.Uevent(m.Path)["HID_UNIQ"] == uniq {
				d.awaitNode(tree, m.Path)
				return
			}
		}
	}
	d.t.Fatal("no driver took the device: is hid_generic loaded?")
}

func (d *Device) awaitNode(tree *sysfs.Tree, path string) {
	d.t.Helper()
	nodes := tree.List(path, "hidraw")
	if len(nodes) != 1 {
		d.t.Fatalf("%s has the nodes %q, not just one", path, nodes)
	}
	d.Node = "/dev/" + nodes[0]
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(d.Node); err == nil {
			return
		}
	}
	d.t.Fatalf("%s was not made", d.Node)
}

// event sends an event to the kernel, which pads it with zeros.
func (d *Device) event(kind uint32, data []byte) {
	_, err := d.file.Write(append(binary.NativeEndian.AppendUint32(nil, kind), data...))
	// An answer may come after the device was unplugged.
	if err != nil && !errors.Is(err, os.ErrClosed) && !d.gone.Load() {
		d.t.Errorf("uhid event %d: %v", kind, err)
	}
}

// serve handles the kernel's events until the file is closed.
func (d *Device) serve() {
	defer close(d.served)
	b := make([]byte, eventSize)
	for {
		n, err := d.file.Read(b)
		if err != nil {
			return
		}
		clear(b[n:])
		d.handle(binary.NativeEndian.Uint32(b), b[4:])
	}
}

func (d *Device) handle(kind uint32, p []byte) {
	switch kind {
	case output: // data[4096], size, rtype
		if d.cfg.Write != nil {
			d.cfg.Write(p[:binary.NativeEndian.Uint16(p[dataMax:])])
		}
	case setReport: // id, rnum, rtype, size, data
		report := p[8 : 8+binary.NativeEndian.Uint16(p[6:])]
		if d.cfg.Set == nil || d.cfg.Set(Kind(p[5]), report) {
			d.event(setReportReply, []byte{p[0], p[1], p[2], p[3], 0, 0})
		}
	case getReport: // id, rnum, rtype
		if d.cfg.Get == nil {
			return
		}
		report, answers, err := d.cfg.Get(Kind(p[5]), p[4])
		if !answers {
			return
		}
		reply := []byte{p[0], p[1], p[2], p[3], 0, 0} // id, err, size, data
		if err != nil {
			const eio = 5
			reply[4] = eio
		}
		reply = binary.NativeEndian.AppendUint16(reply, uint16(len(report)))
		d.event(getReportReply, append(reply, report...))
	}
}

// Feed sends an input report.
func (d *Device) Feed(report ...byte) {
	b := binary.NativeEndian.AppendUint16(nil, uint16(len(report)))
	d.event(input2, append(b, report...))
}

// Unplug unplugs the device.
func (d *Device) Unplug() {
	if !d.gone.Swap(true) {
		d.event(destroy, nil)
	}
}

// Stop ends the device and waits until its functions have returned.
func (d *Device) Stop() {
	d.stop.Do(func() { d.file.Close() })
	<-d.served
}
