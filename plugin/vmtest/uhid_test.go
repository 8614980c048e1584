package vmtest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// The events of linux/uhid.h that matter here; its structures are packed.
const (
	uhidDestroy        = 1
	uhidOutput         = 6
	uhidGetReport      = 9
	uhidGetReportReply = 10
	uhidCreate2        = 11
	uhidInput2         = 12
	uhidSetReport      = 13
	uhidSetReportReply = 14

	uhidData = 4096
)

// uhid is a HID device that this process is to the kernel.
type uhid struct {
	t    testing.TB
	file *os.File
	node string
	// sent is what the kernel sends to the device: w or s for a write or
	// SET_REPORT, then the report.
	sent chan string
	// asked is told the id of each GET_REPORT; what answer has for it, if
	// anything, is sent back.
	asked  chan byte
	answer map[byte]string
	silent atomic.Bool // has it answer nothing any more
	done   chan struct{}
	gone   bool
}

// newUHID makes a device of that name and waits for its node.
func newUHID(t testing.TB, name string, descriptor []byte, answer map[byte]string) *uhid {
	t.Helper()
	file, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	require.NoError(t, err)
	u := &uhid{t: t, file: file, sent: make(chan string, 64), asked: make(chan byte, 64), answer: answer, done: make(chan struct{})}
	const busUSB, vendor, product = 3, 0x1209, 0x0002
	b := make([]byte, 128+64+64)
	copy(b, name)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(descriptor)))
	b = binary.NativeEndian.AppendUint16(b, busUSB)
	for _, v := range []uint32{vendor, product, 0x0100, 0} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	u.event(uhidCreate2, append(b, descriptor...))
	go u.serve()
	t.Cleanup(func() {
		u.unplug()
		u.file.Close()
		<-u.done
	})
	waitFor(t, "a node of the device", func() bool { u.node = hidraw(name); return u.node != "" })
	return u
}

// hidraw returns the node of the HID device of a name.
func hidraw(name string) string {
	uevents, _ := filepath.Glob("/sys/class/hidraw/*/device/uevent")
	for _, uevent := range uevents {
		b, err := os.ReadFile(uevent)
		node := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(uevent)))
		if err == nil && strings.Contains(string(b), "HID_NAME="+name+"\n") {
			if _, err := os.Stat(node); err == nil {
				return node
			}
		}
	}
	return ""
}

func (u *uhid) event(kind uint32, data []byte) {
	u.t.Helper()
	if _, err := u.file.Write(append(binary.NativeEndian.AppendUint32(nil, kind), data...)); err != nil {
		u.t.Errorf("uhid event %d: %v", kind, err)
	}
}

// serve takes the kernel's events until the file is closed.
func (u *uhid) serve() {
	defer close(u.done)
	b := make([]byte, 8<<10)
	for {
		n, err := u.file.Read(b)
		if err != nil {
			return
		}
		clear(b[n:])
		p := b[4:]
		switch binary.NativeEndian.Uint32(b) {
		case uhidOutput: // data, size
			u.sent <- "w" + string(p[:binary.NativeEndian.Uint16(p[uhidData:])])
		case uhidSetReport: // id, rnum, rtype, size, data
			u.sent <- "s" + string(p[8:8+binary.NativeEndian.Uint16(p[6:])])
			u.event(uhidSetReportReply, []byte{p[0], p[1], p[2], p[3], 0, 0})
		case uhidGetReport: // id, rnum, rtype
			if a, ok := u.answer[p[4]]; ok && !u.silent.Load() {
				reply := []byte{p[0], p[1], p[2], p[3], 0, 0}
				reply = binary.NativeEndian.AppendUint16(reply, uint16(len(a)))
				u.event(uhidGetReportReply, append(reply, a...))
			}
			u.asked <- p[4]
		}
	}
}

// feed has the device send an input report.
func (u *uhid) feed(report string) {
	u.t.Helper()
	u.event(uhidInput2, append(binary.NativeEndian.AppendUint16(nil, uint16(len(report))), report...))
}

func (u *uhid) unplug() {
	if !u.gone {
		u.gone = true
		u.event(uhidDestroy, nil)
	}
}
