package hid

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// The events of linux/uhid.h that matter here. All structures are packed.
const (
	uhidDestroy        = 1
	uhidOutput         = 6
	uhidGetReport      = 9
	uhidGetReportReply = 10
	uhidCreate2        = 11
	uhidInput2         = 12
	uhidSetReport      = 13
	uhidSetReportReply = 14

	uhidDataMax = 4096
	// uhidEvent is the size of struct uhid_event: its type and the largest of
	// its union, uhid_create2_req.
	uhidEvent = 4 + 128 + 64 + 64 + 2 + 2 + 4*4 + 4096
)

// uhidKinds are the kinds of reports by enum uhid_report_type.
var uhidKinds = [kinds]Kind{Feature, Output, Input}

// uhid is a HID device of the real kernel's, made by /dev/uhid. It remembers
// what is sent to it and answers as it is told.
type uhid struct {
	t    testing.TB
	file *os.File
	node string // /dev/hidrawN
	done chan struct{}

	// get answers GET_REPORT; nil does not answer.
	get func(k Kind, id uint8) ([]byte, error)
	// silent has SET_REPORT go without an answer.
	silent bool

	mu      sync.Mutex
	changed sync.Cond
	sent    []sent
	asked   int // GET_REPORT and SET_REPORT that came
	gone    bool
}

var uhidNumber atomic.Int64

// newUHID makes a device with a report descriptor and waits for its node. It
// skips the test where the kernel does not have uhid.
func newUHID(t testing.TB, descriptor []byte, setup func(u *uhid)) *uhid {
	t.Helper()
	file, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no HID devices can be made here: %v (modprobe uhid, as root)", err)
	}
	u := &uhid{t: t, file: file, done: make(chan struct{})}
	u.changed.L = &u.mu
	if setup != nil {
		setup(u)
	}
	uniq := fmt.Sprintf("pnpdr-%d-%d", os.Getpid(), uhidNumber.Add(1))
	var b []byte
	b = append(b, padded("Test device", 128)...)
	b = append(b, padded("", 64)...)
	b = append(b, padded(uniq, 64)...)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(descriptor)))
	const busUSB = 3
	b = binary.NativeEndian.AppendUint16(b, busUSB)
	for _, v := range []uint32{0x1209, 0xABCD, 0x0123, 0} { // vendor, product, version, country
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	u.event(uhidCreate2, append(b, descriptor...))
	go u.serve()
	t.Cleanup(func() {
		u.unplug()
		u.file.Close()
		<-u.done
	})
	u.node = findNode(t, uniq)
	return u
}

// findNode waits for the node of the device with this uniq.
func findNode(t testing.TB, uniq string) string {
	t.Helper()
	node := ""
	require.Eventually(t, func() bool {
		dirs, _ := filepath.Glob("/sys/class/hidraw/hidraw*")
		for _, dir := range dirs {
			if uevent(filepath.Join(dir, "device"), "HID_UNIQ") == uniq {
				node = "/dev/" + filepath.Base(dir)
				_, err := os.Stat(node)
				return err == nil
			}
		}
		return false
	}, 30*time.Second, 5*time.Millisecond, "no hidraw node comes of the device: is hid_generic loaded?")
	return node
}

func padded(s string, n int) []byte { return append([]byte(s), make([]byte, n-len(s))...) }

// event sends an event to the kernel, which extends it with zeros.
func (u *uhid) event(kind uint32, data []byte) {
	_, err := u.file.Write(append(binary.NativeEndian.AppendUint32(nil, kind), data...))
	if err != nil && !errors.Is(err, os.ErrClosed) {
		u.t.Errorf("uhid event %d: %v", kind, err)
	}
}

// serve takes the kernel's events until the file is closed.
func (u *uhid) serve() {
	defer close(u.done)
	b := make([]byte, uhidEvent)
	for {
		n, err := u.file.Read(b)
		if err != nil {
			return
		}
		clear(b[n:])
		u.handle(binary.NativeEndian.Uint32(b), b[4:])
	}
}

func (u *uhid) handle(kind uint32, p []byte) {
	switch kind {
	case uhidOutput: // data[4096], size, rtype
		size := binary.NativeEndian.Uint16(p[uhidDataMax:])
		u.record(sent{"write", uhidKinds[p[uhidDataMax+2]], string(p[:size])})
	case uhidSetReport: // id, rnum, rtype, size, data
		size := binary.NativeEndian.Uint16(p[6:])
		u.record(sent{"set", uhidKinds[p[5]], string(p[8 : 8+size])})
		if !u.silent {
			u.event(uhidSetReportReply, append(bytes.Clone(p[:4]), 0, 0))
		}
	case uhidGetReport: // id, rnum, rtype
		u.record(sent{})
		if u.get == nil {
			return
		}
		data, err := u.get(uhidKinds[p[5]], p[4])
		reply := append(bytes.Clone(p[:4]), 0, 0) // id, err, size, data
		if err != nil {
			reply[4] = 5
		}
		reply = binary.NativeEndian.AppendUint16(reply, uint16(len(data)))
		u.event(uhidGetReportReply, append(reply, data...))
	}
}

// record remembers what came. An empty one is a question.
func (u *uhid) record(s sent) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.how != "write" {
		u.asked++
	}
	if s.how != "" {
		u.sent = append(u.sent, s)
	}
	u.changed.Broadcast()
}

// received waits for n reports and returns them.
func (u *uhid) received(n int) []sent {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.sent) < n {
		u.changed.Wait()
	}
	return u.sent
}

// questions waits for n GET_REPORT or SET_REPORT.
func (u *uhid) questions(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.asked < n {
		u.changed.Wait()
	}
}

// feed sends an input report.
func (u *uhid) feed(report ...byte) {
	b := binary.NativeEndian.AppendUint16(nil, uint16(len(report)))
	u.event(uhidInput2, append(b, report...))
}

// unplug takes the device away.
func (u *uhid) unplug() {
	u.mu.Lock()
	gone := u.gone
	u.gone = true
	u.mu.Unlock()
	if !gone {
		u.event(uhidDestroy, nil)
	}
}

// device is a Device of the node.
func (u *uhid) device(readOnly bool) *Device {
	d, err := New(u.node, Options{Description: pnp.Description{Name: "test"}, ReadOnly: readOnly})
	require.NoError(u.t, err)
	return d
}
