// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// fakeKernel is the other end of /dev/uhid, for machines that have none: a socket that
// keeps the bounds of messages, and a copy of sysfs. TestUHID… use the kernel's own.
type fakeKernel struct {
	t    testing.TB
	file *os.File
	root string // of sysfs
	ours *os.File

	// inputs are the input devices that it makes; uninhibitable ones lack the file.
	inputs        int
	uninhibitable bool
	noDriver      bool

	made    chan created
	uevents chan discover.Uevent
	reports chan string // input reports
	answers chan answer
	gone    chan struct{} // closed when the device has gone
}

type created struct {
	identity         hidreport.Identity
	name, phys, uniq string
}

type answer struct {
	what   uint32
	id     uint32
	errno  uint16
	report string
}

func newFakeKernel(t testing.TB) *fakeKernel {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	k := &fakeKernel{
		t: t, file: os.NewFile(uintptr(fds[0]), "kernel"), ours: os.NewFile(uintptr(fds[1]), "uhid"), root: t.TempDir(),
		made: make(chan created, 1), uevents: make(chan discover.Uevent, 8), reports: make(chan string, 256), answers: make(chan answer, 64), gone: make(chan struct{}),
	}
	require.NoError(t, os.MkdirAll(filepath.Join(k.root, "devices"), 0o755))
	go k.serve()
	t.Cleanup(func() { k.file.Close(); k.ours.Close(); <-k.gone })
	return k
}

func (k *fakeKernel) system() system {
	return system{
		open: func() (io.ReadWriteCloser, error) { return k.ours, nil },
		listen: func() (discover.Source, error) {
			return &fakeSource{uevents: k.uevents, closed: make(chan struct{})}, nil
		},
		sysfs: k.root,
	}
}

// fakeSource is what the kernel tells of devices.
type fakeSource struct {
	uevents chan discover.Uevent
	closed  chan struct{}
}

func (s *fakeSource) Receive(time.Duration) ([]discover.Uevent, error) {
	select {
	case e := <-s.uevents:
		return []discover.Uevent{e}, nil
	case <-s.closed:
		return nil, os.ErrClosed
	}
}

func (s *fakeSource) Close() error { close(s.closed); return nil }

// device is the folder of the HID device below sysfs.
const device = "devices/virtual/misc/uhid/0003:1209:ABCD.0001"

// makeInput makes an input device in a folder below that of the HID device.
func (k *fakeKernel) makeInput(below, name string) {
	dir := filepath.Join(device, below, "input", name)
	require.NoError(k.t, os.MkdirAll(filepath.Join(k.root, dir), 0o755))
	if !k.uninhibitable {
		require.NoError(k.t, os.WriteFile(filepath.Join(k.root, dir, "inhibited"), []byte("0\n"), 0o644))
	}
	k.uevents <- discover.Uevent{Action: "add", Subsystem: "input", Path: dir}
}

func (k *fakeKernel) serve() {
	defer close(k.gone)
	b := make([]byte, eventSize)
	for {
		n, err := k.file.Read(b)
		if err != nil || n == 0 {
			return
		}
		clear(b[n:])
		p := b[4:]
		u16 := func(at int) int { return int(binary.NativeEndian.Uint16(p[at:])) }
		u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(p[at:]) }
		switch what := binary.NativeEndian.Uint32(b); what {
		case eventCreate2:
			c := created{name: unix.ByteSliceToString(p[:128]), phys: unix.ByteSliceToString(p[128:192]), uniq: unix.ByteSliceToString(p[192:256])}
			c.identity = hidreport.Identity{
				Bus: uint16(u16(258)), Vendor: uint16(u32(260)), Product: uint16(u32(264)), Version: uint16(u32(268)),
				Descriptor: append([]byte(nil), p[276:276+u16(256)]...),
			}
			k.makeDevices(c)
			k.made <- c
		case eventInput2:
			k.reports <- string(p[2 : 2+u16(0)])
		case eventGetReportReply:
			k.answers <- answer{what, u32(0), uint16(u16(4)), string(p[8 : 8+u16(6)])}
		case eventSetReportReply:
			k.answers <- answer{what, u32(0), uint16(u16(4)), ""}
		default:
			k.t.Errorf("uhid event %d", what)
		}
	}
}

// makeDevices makes what sysfs shows of a HID device.
func (k *fakeKernel) makeDevices(c created) {
	dir := filepath.Join(k.root, device)
	require.NoError(k.t, os.MkdirAll(dir, 0o755))
	require.NoError(k.t, os.WriteFile(filepath.Join(dir, "uevent"), []byte("HID_NAME="+c.name+"\nHID_PHYS="+c.phys+"\n"), 0o644))
	for i := range k.inputs {
		k.makeInput("", fmt.Sprintf("input%d", i))
	}
	if !k.noDriver {
		require.NoError(k.t, os.MkdirAll(filepath.Join(dir, "hidraw/hidraw7"), 0o755))
	}
}

func (k *fakeKernel) inhibited(below, name string) string {
	b, err := os.ReadFile(filepath.Join(k.root, device, below, "input", name, "inhibited"))
	require.NoError(k.t, err)
	return string(b[:1])
}

// send sends an event of the kernel's.
func (k *fakeKernel) send(what uint32, data []byte) {
	k.t.Helper()
	b := append(binary.NativeEndian.AppendUint32(nil, what), data...)
	_, err := k.file.Write(append(b, make([]byte, eventSize-len(b))...))
	require.NoError(k.t, err)
}

func (k *fakeKernel) open()  { k.t.Helper(); k.send(eventOpen, nil) }
func (k *fakeKernel) close() { k.t.Helper(); k.send(eventClose, nil) }

// The types of reports (enum uhid_report_type).
const (
	featureReport = 0
	outputReport  = 1
	inputReport   = 2
)

func (k *fakeKernel) output(report string) {
	k.t.Helper()
	b := make([]byte, maxData)
	copy(b, report)
	k.send(eventOutput, append(binary.NativeEndian.AppendUint16(b, uint16(len(report))), outputReport))
}

func (k *fakeKernel) set(id uint32, kind byte, report string) {
	k.t.Helper()
	b := append(binary.NativeEndian.AppendUint32(nil, id), report[0], kind)
	k.send(eventSetReport, append(binary.NativeEndian.AppendUint16(b, uint16(len(report))), report...))
}

func (k *fakeKernel) get(id uint32, kind, number byte) {
	k.t.Helper()
	k.send(eventGetReport, append(binary.NativeEndian.AppendUint32(nil, id), number, kind))
}

// fakeHID is a client's device.
type fakeHID struct {
	identity []byte
	strings  map[uint32]string

	mu      sync.Mutex
	handles int
	reads   []*pnp.Request
	reports []string // without a read
	stuck   []*pnp.Request
	// silent leaves requests but reads unanswered; openFails is the result of opens.
	silent    bool
	openFails pnp.HRESULT

	sent    chan string   // kind, then the report
	stucks  chan struct{} // a value for each request left unanswered
	cancels chan uint32   // IoCode of a cancelled request
	// get answers requests for reports.
	get func(code uint32, id byte) (string, pnp.HRESULT)
}

func newFakeHID(descriptor []byte) *fakeHID {
	return &fakeHID{
		identity: hidreport.Identity{Bus: 3, Vendor: 0x1209, Product: 0xABCD, Version: 0x0123, Descriptor: descriptor}.Append(nil),
		strings: map[uint32]string{
			hid.IOCTL_HID_GET_MANUFACTURER_STRING: "Maker",
			hid.IOCTL_HID_GET_PRODUCT_STRING:      "Scale ß",
			hid.IOCTL_HID_GET_SERIALNUMBER_STRING: "S 1 ",
		},
		sent: make(chan string, 256), stucks: make(chan struct{}, 256), cancels: make(chan uint32, 256),
	}
}

func (d *fakeHID) Description() *pnp.Description {
	return &pnp.Description{Name: "Scale", HardwareIDs: []string{"HID_DEVICE"}, Interfaces: []pnp.GUID{pnp.GUID_DEVINTERFACE_HID}}
}

func (d *fakeHID) Open(pnp.OpenRequest) (pnp.Handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.openFails.Failed() {
		return nil, d.openFails
	}
	d.handles++
	return &fakeHandle{d: d}, nil
}

func (d *fakeHID) set(f func()) { d.mu.Lock(); f(); d.mu.Unlock() }

func (d *fakeHID) pending() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.reads)
}

func (d *fakeHID) feed(report string) {
	d.mu.Lock()
	d.reports = append(d.reports, report)
	d.mu.Unlock()
	d.serve()
}

// serve completes reads.
func (d *fakeHID) serve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.reads) > 0 && len(d.reports) > 0 {
		r, report := d.reads[0], d.reports[0]
		d.reads, d.reports = d.reads[1:], d.reports[1:]
		r.Complete(pnp.S_OK, copy(r.Out, report))
	}
}

type fakeHandle struct{ d *fakeHID }

func (h *fakeHandle) Submit(r *pnp.Request) {
	d := h.d
	d.mu.Lock()
	silent := d.silent
	if r.Op == pnp.OpRead {
		d.reads = append(d.reads, r)
	} else if silent {
		d.stuck = append(d.stuck, r)
	}
	d.mu.Unlock()
	switch {
	case r.Op == pnp.OpRead:
		d.serve()
	case silent:
		d.stucks <- struct{}{}
	case r.Op == pnp.OpWrite:
		d.sent <- "write " + string(r.In)
		r.Complete(pnp.S_OK, len(r.In))
	default:
		r.Complete(d.control(r))
	}
}

func (d *fakeHID) control(r *pnp.Request) (pnp.HRESULT, int) {
	switch r.Code {
	case hidreport.IOCTL_PNPDR_HID_GET_IDENTITY:
		if d.identity == nil {
			return pnp.ERROR_INVALID_FUNCTION, 0
		}
		return pnp.S_OK, copy(r.Out, d.identity)
	case hid.IOCTL_HID_SET_FEATURE:
		d.sent <- "feature " + string(r.In)
		return pnp.S_OK, 0
	case hid.IOCTL_HID_SET_OUTPUT_REPORT:
		d.sent <- "output " + string(r.In)
		return pnp.S_OK, 0
	case hid.IOCTL_HID_GET_FEATURE, hid.IOCTL_HID_GET_INPUT_REPORT, hid.IOCTL_HID_GET_OUTPUT_REPORT:
		report, hr := d.get(r.Code, r.In[0])
		return hr, copy(r.Out, report)
	}
	s, ok := d.strings[r.Code]
	if !ok {
		return pnp.ERROR_INVALID_PARAMETER, 0
	}
	n := 0
	for _, c := range s + "\x00" {
		n += len(binary.LittleEndian.AppendUint16(r.Out[n:n], uint16(c)))
	}
	return pnp.S_OK, n
}

func (h *fakeHandle) Cancel(r *pnp.Request) {
	h.d.cancels <- r.Code
	r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
}

func (h *fakeHandle) Close(released func()) {
	d := h.d
	d.mu.Lock()
	d.handles--
	all := append(d.reads, d.stuck...)
	d.reads, d.stuck = nil, nil
	d.mu.Unlock()
	for _, r := range all {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
	released()
}
