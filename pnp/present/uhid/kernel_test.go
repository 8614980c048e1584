// SPDX-License-Identifier: Apache-2.0

package uhid

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/hid"
	"freerdp-pnpdr/pnp/devtest/uhidtest"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// original is a HID device of this kernel that is redirected, to this machine again.
type original struct {
	*uhidtest.Device
	t    testing.TB
	sent chan string // what it gets: how, then the report
	pair *presenttest.Pair
	id   uint32
	dev  *present.Device
}

func newOriginal(t testing.TB, descriptor []byte, get func(k uhidtest.Kind, id byte) []byte) *original {
	t.Helper()
	o := &original{t: t, sent: make(chan string, 64)}
	o.Device = uhidtest.Plug(t, uhidtest.Config{
		Name: "Scale ß", Vendor: 0x1209, Product: 0xABCD, Version: 0x0123, Descriptor: descriptor,
		Write: func(report []byte) { o.sent <- "output " + string(report) },
		Set: func(k uhidtest.Kind, report []byte) bool {
			o.sent <- fmt.Sprintf("set %d %s", k, report)
			return true
		},
		Get: func(k uhidtest.Kind, id byte) ([]byte, bool, error) {
			if get == nil {
				return nil, false, nil
			}
			return get(k, id), true, nil
		},
	})
	d, err := hid.New(backend.Source{Path: o.Node, Description: pnp.Description{Name: "Scale", HardwareIDs: []string{"HID_DEVICE"}}})
	require.NoError(t, err)
	o.pair = presenttest.NewPair(t, server.Config{})
	o.id = o.pair.Add(d)
	o.dev = o.pair.Device("Scale", &present.Kind{})
	return o
}

// present makes the copy and returns its node.
func (o *original) present() (present.Presentation, string) {
	o.t.Helper()
	p, err := Present(bg, o.dev)
	require.NoError(o.t, err)
	node, err := os.Readlink(filepath.Join(o.dev.Dir, Link))
	require.NoError(o.t, err)
	require.NotEqual(o.t, o.Node, node)
	return p, node
}

// eventually waits for what happens at the other end.
func (o *original) eventually(what string, is func() bool) {
	o.t.Helper()
	require.Eventually(o.t, is, presenttest.Patience, time.Millisecond, what)
}

// use opens a node and waits until the original is open.
func (o *original) use(node string) *os.File {
	o.t.Helper()
	var file *os.File
	o.eventually(node, func() (ok bool) { // udev may be about to make it
		fd, err := unix.Open(node, unix.O_RDWR|unix.O_NONBLOCK, 0)
		if err == nil {
			file = os.NewFile(uintptr(fd), node)
		}
		return err == nil
	})
	require.NoError(o.t, file.SetReadDeadline(time.Now().Add(presenttest.Patience)))
	o.eventually("opening", func() bool { return o.dev.Stats().Open == 1 })
	return file
}

// ioctl calls an ioctl of hidraw.h that takes a report.
func ioctl(t testing.TB, f *os.File, number uintptr, b []byte) string {
	t.Helper()
	raw, err := f.SyscallConn()
	require.NoError(t, err)
	n, errno := uintptr(0), unix.Errno(0)
	require.NoError(t, raw.Control(func(fd uintptr) {
		n, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, 0xC0000000|uintptr(len(b))<<16|'H'<<8|number, uintptr(unsafe.Pointer(&b[0])))
	}))
	require.Zero(t, errno, "%v", errno)
	return string(b[:n])
}

const (
	setFeature = 0x06
	getFeature = 0x07
)

// TestUHIDBothEnds: reports are the same at both ends, byte by byte, in all directions;
// and so is what the device says of itself.
func TestUHIDBothEnds(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		in         []string
		out        []string // full reports of a program
		features   []string
		short      string // GET_FEATURE, answered with less than declared
	}{
		"with ids": {withIDs, []string{"\x01abc", "\x02abcdefg", "\x01\x00\x00\x00"}, []string{"\x01ab", "\x02abcd"},
			[]string{"\x01vwxyz", "\x02v"}, "\x01v"},
		"without ids": {withoutIDs, []string{"abcdefgh", "\x00\x00\x00\x00\x00\x00\x00\x00"}, []string{"\x00abcdef", "\x00\x00\x00\x00\x00\x00\x00"},
			[]string{"\x00wxyz", "\x00\x00\x00\x00\x00"}, "\x00wx"},
		"large": {hidreporttest.Vendor(hidreporttest.Input(0, 4000), hidreporttest.Output(0, 4000), hidreporttest.Feature(0, 4000)),
			[]string{strings.Repeat("i", 4000)}, []string{"\x00" + strings.Repeat("o", 4000)}, []string{"\x00" + strings.Repeat("f", 4000)}, "\x00f"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := make(chan string, 1)
			o := newOriginal(t, c.descriptor, func(_ uhidtest.Kind, id byte) []byte { return []byte(<-answer) })
			p, node := o.present()
			defer p.Close()
			require.Zero(t, o.dev.Stats().Open)
			copied, first := o.use(node), o.useOriginal()
			defer copied.Close()
			defer first.Close()
			require.Equal(t, facts(t, first), facts(t, copied))
			version := func(node string) string {
				at, _ := filepath.EvalSymlinks("/sys/class/hidraw/" + filepath.Base(node) + "/device")
				return at[:strings.LastIndexByte(at, '.')]
			}
			require.Equal(t, version(o.Node), version(node), "bus, vendor and product")

			b := make([]byte, 8192)
			for _, report := range c.in {
				o.Feed([]byte(report)...)
				for _, f := range []*os.File{copied, first} {
					n, err := f.Read(b)
					require.NoError(t, err)
					require.Equal(t, report, string(b[:n]))
				}
			}
			for _, report := range c.out {
				for _, f := range []*os.File{copied, first} {
					n, err := f.Write([]byte(report))
					require.NoError(t, err)
					require.Equal(t, len(report), n)
					require.Equal(t, "output "+report, next(t, o.sent))
				}
			}
			for _, report := range c.features {
				for _, f := range []*os.File{copied, first} {
					require.Equal(t, report, ioctl(t, f, setFeature, []byte(report)))
					require.Equal(t, "set 0 "+report, next(t, o.sent))
					answer <- report
					require.Equal(t, report, ioctl(t, f, getFeature, append([]byte{report[0]}, make([]byte, len(report)-1)...)))
				}
			}
			for _, f := range []*os.File{copied, first} {
				answer <- c.short
				require.Equal(t, c.short, ioctl(t, f, getFeature, append([]byte{c.short[0]}, make([]byte, 63)...)))
			}

			require.NoError(t, copied.Close())
			o.eventually("closing", func() bool { return o.dev.Stats().Open == 0 })
		})
	}
}

// TestUHIDCollections: each collection of the original is a device of its own here, with a
// node that has its part of the report descriptor. Reports are those of the original.
func TestUHIDCollections(t *testing.T) {
	whole := slices.Concat(
		hidreporttest.Vendor(hidreporttest.Input(1, 3), hidreporttest.Output(1, 2), hidreporttest.Feature(1, 5)),
		hidreporttest.Vendor(hidreporttest.Input(2, 9), hidreporttest.Output(2, 4), hidreporttest.Feature(2, 7)))
	o := newOriginal(t, whole, func(_ uhidtest.Kind, id byte) []byte { return []byte{id, 'v'} })
	first := o.useOriginal()
	defer first.Close()
	copies := make([]*os.File, 2)
	for n := range copies {
		d, err := hid.New(backend.Source{Path: o.Node, Collection: n + 1, Description: pnp.Description{Name: fmt.Sprint("Scale ", n+1)}})
		require.NoError(t, err)
		c := *o
		c.id = o.pair.Add(d)
		c.dev = o.pair.Device(fmt.Sprint("Scale ", n+1), &present.Kind{})
		p, node := c.present()
		defer p.Close()
		copies[n] = c.use(node)
		defer copies[n].Close()
		one, err := hidreport.Extract(whole, n)
		require.NoError(t, err)
		require.Contains(t, facts(t, copies[n]), fmt.Sprintf("%x ", one))
	}
	for _, report := range []string{"\x02ABCDEFGHI", "\x01abc", "\x01def", "\x02abcdefghi"} {
		o.Feed([]byte(report)...)
		for _, f := range []*os.File{first, copies[report[0]-1]} { // the next one of each
			b := make([]byte, 100)
			n, err := f.Read(b)
			require.NoError(t, err)
			require.Equal(t, report, string(b[:n]))
		}
	}
	for n, report := range []string{"\x01ab", "\x02abcd"} {
		_, err := copies[n].Write([]byte(report))
		require.NoError(t, err)
		require.Equal(t, "output "+report, next(t, o.sent))
		feature := report[:1] + "vwxyz12"[:[]int{5, 7}[n]]
		require.Equal(t, feature, ioctl(t, copies[n], setFeature, []byte(feature)))
		require.Equal(t, "set 0 "+feature, next(t, o.sent))
		require.Equal(t, report[:1]+"v", ioctl(t, copies[n], getFeature, []byte{report[0], 0}))
	}
}

// useOriginal opens the original's own node.
func (o *original) useOriginal() *os.File {
	o.t.Helper()
	fd, err := unix.Open(o.Node, unix.O_RDWR|unix.O_NONBLOCK, 0)
	require.NoError(o.t, err)
	f := os.NewFile(uintptr(fd), o.Node)
	require.NoError(o.t, f.SetReadDeadline(time.Now().Add(presenttest.Patience)))
	return f
}

// facts returns the report descriptor, the ids and the strings of a device.
func facts(t testing.TB, f *os.File) string {
	t.Helper()
	raw, err := f.SyscallConn()
	require.NoError(t, err)
	var s string
	require.NoError(t, raw.Control(func(fd uintptr) {
		size, err := unix.IoctlGetUint32(int(fd), unix.HIDIOCGRDESCSIZE)
		require.NoError(t, err)
		d := unix.HIDRawReportDescriptor{Size: size}
		require.NoError(t, unix.IoctlHIDGetDesc(int(fd), &d))
		info, err := unix.IoctlHIDGetRawInfo(int(fd))
		require.NoError(t, err)
		name, err := unix.IoctlHIDGetRawName(int(fd))
		require.NoError(t, err)
		serial, err := unix.IoctlHIDGetRawUniq(int(fd))
		require.NoError(t, err)
		s = fmt.Sprintf("%x %+v %q %q", d.Value[:size], *info, name, serial)
	}))
	return s
}

// TestUHIDGone: the copy goes with the original and with the presentation, and a program
// that has it open is told.
func TestUHIDGone(t *testing.T) {
	o := newOriginal(t, withIDs, nil)
	for range 10 {
		p, node := o.present()
		f := o.use(node)
		p.Close()
		_, err := f.Read(make([]byte, 8))
		require.ErrorIs(t, err, unix.EIO)
		_, err = f.Write([]byte("\x01ab"))
		require.ErrorIs(t, err, unix.ENODEV)
		require.NoError(t, f.Close())
		gone(t, node)
		require.Zero(t, o.dev.Stats().Open)
	}
	p, node := o.present()
	f := o.use(node)
	defer f.Close()
	o.Unplug()
	o.pair.Client.Remove(o.id)
	<-o.dev.Gone()
	p.Close()
	gone(t, node)
	_, err := f.Read(make([]byte, 8))
	require.ErrorIs(t, err, unix.EIO)
}

func gone(t testing.TB, node string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(node)
		return os.IsNotExist(err)
	}, presenttest.Patience, time.Millisecond, node)
}

// keyboard has an array of six keys.
var keyboard = []byte{
	0x05, 0x01, 0x09, 0x06, 0xA1, 0x01, // Generic Desktop, Keyboard, Collection (Application)
	0x05, 0x07, 0x19, 0x00, 0x29, 0x65, // keys 0..101
	0x15, 0x00, 0x25, 0x65, 0x75, 0x08, 0x95, 0x06, 0x81, 0x00,
	0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x25, 0x01, 0x75, 0x01, 0x95, 0x05, 0x91, 0x02, // five LEDs
	0x75, 0x03, 0x95, 0x01, 0x91, 0x03,
	0xC0,
}

// TestUHIDInputEvents: what a keyboard sends reaches hidraw, and the desktop only if the
// user wishes it.
func TestUHIDInputEvents(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		t.Run(fmt.Sprint(wanted), func(t *testing.T) {
			o := newOriginal(t, keyboard, nil)
			require.NoError(t, exec.Command("modprobe", "evdev").Run())
			o.dev.Options.Input = wanted
			p, node := o.present()
			defer p.Close()
			events := eventNode(t, node)
			if !wanted {
				// The console had opened the keyboard.
				o.eventually("closing", func() bool { return o.dev.Stats().Open == 0 })
			}
			f := o.use(node)
			defer f.Close()
			o.Feed(4, 0, 0, 0, 0, 0) // A
			b := make([]byte, 4096)
			n, err := f.Read(b)
			require.NoError(t, err)
			require.Equal(t, []byte{4, 0, 0, 0, 0, 0}, b[:n])
			n, err = unix.Read(int(events.Fd()), b)
			if !wanted {
				require.ErrorIs(t, err, unix.EAGAIN)
				return
			}
			require.NoError(t, err)
			const key, keyA = 1, 30
			require.True(t, bytes.Contains(b[:n], []byte{key, 0, keyA, 0, 1, 0, 0, 0}), "% x", b[:n])

			// The kernel sets the LEDs: its report has no id in front.
			const led, capsLock = 0x11, 1
			event := make([]byte, 24)
			event[16], event[18], event[20] = led, capsLock, 1
			_, err = unix.Write(int(events.Fd()), event)
			require.NoError(t, err)
			for next(t, o.sent) != "output \x00\x02" {
			}
		})
	}
}

// eventNode opens the event node of the device that has a hidraw node.
func eventNode(t testing.TB, hidraw string) *os.File {
	t.Helper()
	var f *os.File
	require.Eventually(t, func() bool {
		found, _ := filepath.Glob("/sys/class/hidraw/" + filepath.Base(hidraw) + "/device/input/input*/event*")
		if len(found) != 1 {
			return false
		}
		fd, err := unix.Open("/dev/input/"+filepath.Base(found[0]), unix.O_RDWR|unix.O_NONBLOCK, 0)
		if err == nil {
			f = os.NewFile(uintptr(fd), "events")
		}
		return err == nil
	}, presenttest.Patience, time.Millisecond)
	t.Cleanup(func() { f.Close() })
	return f
}

// TestUHIDKilled: the copy goes with the process that made it.
func TestUHIDKilled(t *testing.T) {
	if os.Getenv("PNPDR_TEST_PRESENT") != "" {
		_, node := newOriginal(t, withIDs, nil).present()
		fmt.Println("made", node)
		select {}
	}
	if _, err := os.Stat("/dev/uhid"); err != nil {
		t.Skipf("no HID devices can be made here: %v", err)
	}
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestUHIDKilled$")
		cmd.Env = append(os.Environ(), "PNPDR_TEST_PRESENT=1")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var node string
		_, err = fmt.Fscanf(out, "made %s\n", &node)
		require.NoError(t, err)
		require.FileExists(t, node)
		f, err := os.OpenFile(node, os.O_RDWR|unix.O_NONBLOCK, 0)
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		gone(t, node)
		_, err = f.Read(make([]byte, 8))
		require.ErrorIs(t, err, unix.EIO)
		require.NoError(t, f.Close())
	}
}
