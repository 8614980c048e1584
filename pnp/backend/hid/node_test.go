// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/internal/fusetest"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

// TestNodeReports sends and receives reports of every kind and size through a node's
// system calls.
func TestNodeReports(t *testing.T) {
	longest := hidreporttest.Vendor(hidreporttest.Input(0, 8190), hidreporttest.Output(0, 8190), hidreporttest.Feature(0, 8190))
	for name, c := range map[string]struct {
		descriptor []byte
		id         byte
		lengths    [hidreport.Kinds]int // without the id
	}{
		"without ids": {withoutIDs, 0, [hidreport.Kinds]int{8, 6, 4}},
		"with ids":    {withIDs, 1, [hidreport.Kinds]int{3, 2, 5}},
		"large":       {large, 0, [hidreport.Kinds]int{4000, 4000, 4000}},
		"longest":     {longest, 0, [hidreport.Kinds]int{8190, 8190, 8190}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFuseFake(t, c.descriptor)
			payload := func(k hidreport.Kind) string { return string(acceptance.Pattern(c.lengths[k])) }
			report := func(k hidreport.Kind) string { return string(c.id) + payload(k) }
			padded := func(k hidreport.Kind, s string) string {
				return s + strings.Repeat("\x00", open(t, f.device(true)).(*handle).desc.ByteLength(k)-len(s))
			}
			f.set(func() {
				f.get = func(k hidreport.Kind, b []byte) (int, error) { return copy(b, report(k)), nil }
			})
			h := open(t, f.device(false))
			if c.id == 0 {
				f.feed([]byte(payload(hidreport.Input))...)
			} else {
				f.feed([]byte(report(hidreport.Input))...)
			}
			hr, b := read(h, 9000)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, padded(hidreport.Input, report(hidreport.Input)), string(b))

			hr, n := write(h, []byte(padded(hidreport.Output, report(hidreport.Output)))...)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, 1+c.lengths[hidreport.Output], n)
			for k, code := range map[hidreport.Kind]uint32{hidreport.Feature: IOCTL_HID_SET_FEATURE, hidreport.Output: IOCTL_HID_SET_OUTPUT_REPORT} {
				hr, _ = control(h, code, []byte(padded(k, report(k))), 0)
				require.Equal(t, "S_OK", hr)
			}
			require.ElementsMatch(t, []sent{
				{"write", hidreport.Output, report(hidreport.Output)}, {"set", hidreport.Output, report(hidreport.Output)}, {"set", hidreport.Feature, report(hidreport.Feature)},
			}, f.received())

			for k, code := range []uint32{hidreport.Input: IOCTL_HID_GET_INPUT_REPORT,
				hidreport.Output: IOCTL_HID_GET_OUTPUT_REPORT, hidreport.Feature: IOCTL_HID_GET_FEATURE} {
				hr, b = control(h, code, []byte{c.id}, 9000)
				require.Equal(t, "S_OK", hr, hidreport.Kind(k))
				require.Equal(t, report(hidreport.Kind(k)), string(b))
				require.Len(t, f.question(), 1+c.lengths[k])
			}
		})
	}
}

// TestNodeReportsTooLong uses reports whose length does not fit in an ioctl code. They
// can be read and written.
func TestNodeReportsTooLong(t *testing.T) {
	f := newFuseFake(t, hidreporttest.Vendor(hidreporttest.Input(0, 8191), hidreporttest.Output(0, 8191), hidreporttest.Feature(0, 8191)))
	h := open(t, f.device(false))
	for _, code := range []uint32{IOCTL_HID_SET_FEATURE, IOCTL_HID_GET_FEATURE} {
		hr, _ := control(h, code, make([]byte, 8192), 8192)
		require.Equal(t, "ERROR_NOT_SUPPORTED", hr)
	}
	f.feed(make([]byte, 8191)...)
	hr, b := read(h, 8192)
	require.Equal(t, "S_OK", hr)
	require.Len(t, b, 8192)
	_, n := write(h, make([]byte, 8192)...)
	require.Equal(t, 8192, n)
}

// TestNodeOfAnOldKernel acts as Linux before 5.11, whose hidraw has no ioctls for input
// and output reports: to set one is to write it.
func TestNodeOfAnOldKernel(t *testing.T) {
	f := newFuseFake(t, withIDs)
	f.set(func() { f.old, f.get = true, echo })
	h := open(t, f.device(false))
	hr, _ := control(h, IOCTL_HID_SET_OUTPUT_REPORT, []byte{1, 2, 3, 4, 5}, 0)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []sent{{"write", hidreport.Output, "\x01\x02\x03"}}, f.received())
	for code, want := range map[uint32]string{
		IOCTL_HID_GET_INPUT_REPORT:  "ERROR_NOT_SUPPORTED",
		IOCTL_HID_GET_OUTPUT_REPORT: "ERROR_NOT_SUPPORTED",
		IOCTL_HID_GET_FEATURE:       "S_OK",
	} {
		hr, _ = control(h, code, []byte{1}, 100)
		require.Equal(t, want, hr)
	}
}

// TestNodeInterrupted interrupts calls in the driver by a signal, so that they fail with
// EINTR. They are repeated.
func TestNodeInterrupted(t *testing.T) {
	f := newFuseFake(t, withoutIDs)
	f.set(func() { f.get = echo })
	h := open(t, f.device(false))
	f.hold()
	asks := start(h, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, Out: make([]byte, 5)})
	writes := start(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 7)})
	f.stuck(2)
	signalThreads(t)
	f.interrupted(2)
	f.stuck(2)
	f.release()
	require.Equal(t, ending{pnp.S_OK, 5}, within(asks))
	require.Equal(t, ending{pnp.S_OK, 7}, within(writes))
	require.Len(t, f.received(), 1)
}

// signalThreads sends every thread of the process a signal that Go's runtime
// expects at any time.
func signalThreads(t *testing.T) {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*")
	require.NoError(t, err)
	for _, thread := range threads {
		var tid int
		_, err := fmt.Sscan(filepath.Base(thread), &tid)
		require.NoError(t, err)
		_ = unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // it may have ended
	}
}

// TestNodeKind opens a file that answers as a hidraw node does. It is refused because it
// is not a device.
func TestNodeKind(t *testing.T) {
	d := newFuseFake(t, withIDs).device(false)
	d.open = openHidraw
	_, err := d.Open(acceptance.ReadWrite)
	require.Equal(t, "ERROR_NOT_SUPPORTED", pnp.HRESULTOf(err).Name())
	require.ErrorContains(t, err, "not a character device")
}

// TestNodeDriver opens a node that answers as a hidraw node does, but which sysfs shows
// as another driver's or not at all.
func TestNodeDriver(t *testing.T) {
	f := newFuseFake(t, withIDs)
	subsystem := filepath.Join(f.sysfs, sysfsLink, "subsystem")
	require.NoError(t, os.Remove(subsystem))
	for range 2 {
		_, err := f.device(false).Open(acceptance.ReadWrite)
		require.Equal(t, "ERROR_NOT_SUPPORTED", pnp.HRESULTOf(err).Name())
		require.ErrorContains(t, err, "hidraw")
		_ = os.Symlink("../../../../class/cuse", subsystem)
	}
	require.NoError(t, os.Remove(subsystem))
	require.NoError(t, os.Symlink("../../../../class/hidraw", subsystem))
	open(t, f.device(false))
}

// TestNodeSerialNumber asks for a serial number that only the kernel knows.
func TestNodeSerialNumber(t *testing.T) {
	f := newFuseFake(t, withIDs)
	f.set(func() { f.facts.serial = "7" })
	h := open(t, f.device(false))
	hr, b := control(h, IOCTL_HID_GET_SERIALNUMBER_STRING, nil, 100)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{'7', 0, 0, 0}, b)
	hr, _ = control(h, IOCTL_HID_GET_MANUFACTURER_STRING, nil, 100)
	require.Equal(t, "ERROR_INVALID_PARAMETER", hr)
}

// TestNodeOpenFails opens nodes that fail one of the calls that opening makes.
func TestNodeOpenFails(t *testing.T) {
	number := func(n uint32) func(*fusetest.Request) {
		return func(r *fusetest.Request) { r.Returns(0, []byte{byte(n), byte(n >> 8), 0, 0}) }
	}
	fails := func(errno unix.Errno) func(*fusetest.Request) {
		return func(r *fusetest.Request) { r.Fail(errno) }
	}
	for name, c := range map[string]struct {
		size, descriptor, info func(r *fusetest.Request)
		want                   pnp.HRESULT
		why                    string
	}{
		"no such ioctl":          {fails(unix.ENOTTY), nil, nil, pnp.ERROR_NOT_SUPPORTED, "not a hidraw node"},
		"too large":              {number(4097), nil, nil, pnp.ERROR_NOT_SUPPORTED, "4097 bytes"},
		"descriptor fails":       {number(20), fails(unix.EINVAL), nil, pnp.ERROR_NOT_SUPPORTED, "not a hidraw node"},
		"unplugged":              {fails(unix.ENODEV), nil, nil, pnp.ERROR_DEVICE_NOT_CONNECTED, "not a hidraw node"},
		"unplugged a bit later":  {number(20), fails(unix.ENODEV), nil, pnp.ERROR_DEVICE_NOT_CONNECTED, "not a hidraw node"},
		"unplugged at the third": {number(20), number(20), fails(unix.ENODEV), pnp.ERROR_DEVICE_NOT_CONNECTED, "identifying it"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := fusetest.Mount(t, func(r *fusetest.Request) {
				switch {
				case r.Op == fusetest.Open:
					r.Opened(fusetest.DirectIO)
				case r.Code == unix.HIDIOCGRDESCSIZE:
					c.size(r)
				case r.Code == unix.HIDIOCGRDESC:
					c.descriptor(r)
				case r.Code == unix.HIDIOCGRAWINFO:
					c.info(r)
				}
			})
			d, err := New(backend.Source{Path: fs.Path})
			require.NoError(t, err)
			_, err = openNode(d, unix.S_IFREG, acceptance.ReadWrite)
			require.Equal(t, c.want.Name(), pnp.HRESULTOf(err).Name())
			require.ErrorContains(t, err, fs.Path)
			require.ErrorContains(t, err, c.why)
		})
	}
}
