// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// TestUHIDSuite runs the acceptance suite on real hidraw nodes. Their device does not
// answer GET_REPORT, for which the kernel waits five seconds.
func TestUHIDSuite(t *testing.T) {
	acceptance.Run(t, acceptance.Fixture{Stream: true, New: func(t *testing.T) acceptance.Instance {
		u := newUHID(t, bytewise, nil)
		s := &byteStream{Device: u.device(false), report: func(b byte) { u.Feed(b) }}
		return acceptance.Instance{
			Device:   s,
			ReadOnly: u.device(true),
			Feed:     s.feed,
			Blocking: blocking,
			Unplug:   u.Unplug,
			Unstick:  u.Unplug,
		}
	}})
}

func TestUHIDInput(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor  []byte
		length      int
		feed, reads []string
	}{
		"without ids": {withoutIDs, 9, []string{"abcdefgh", "ijklmnopqrst"},
			[]string{"\x00abcdefgh", "\x00ijklmnop"}},
		"with ids": {withIDs, 8, []string{"\x02bcdefgh", "\x03bcd", "\x01bcd"},
			[]string{"\x02bcdefgh", "\x01bcd\x00\x00\x00\x00"}},
		"large": {large, 4001, []string{strings.Repeat("x", 4000)},
			[]string{"\x00" + strings.Repeat("x", 4000)}},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUHID(t, c.descriptor, nil)
			h := open(t, u.device(false))
			for _, report := range c.feed {
				u.Feed([]byte(report)...)
			}
			for _, want := range c.reads {
				hr, b := read(h, c.length)
				require.Equal(t, "S_OK", hr)
				require.Equal(t, want, string(b))
			}
			hr, _ := read(h, c.length-1)
			require.Equal(t, invalidUserBuffer, hr)
		})
	}
}

// TestUHIDShortInput sends a report that is shorter than declared. Older kernels pass it
// on, newer ones do not.
func TestUHIDShortInput(t *testing.T) {
	u := newUHID(t, withoutIDs, nil)
	h := open(t, u.device(false))
	u.Feed([]byte("ab")...)
	u.Feed([]byte("abcdefgh")...)
	hr, b := read(h, 9)
	require.Equal(t, "S_OK", hr)
	if string(b) == "\x00ab\x00\x00\x00\x00\x00\x00" {
		t.Log("this kernel passes on short reports")
		_, b = read(h, 9)
	}
	require.Equal(t, "\x00abcdefgh", string(b))
}

// TestUHIDOutput checks what arrives at the device.
func TestUHIDOutput(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		data, want string
	}{
		"without ids":       {withoutIDs, "\x00abcdef", "\x00abcdef"},
		"without ids, more": {withoutIDs, "\x09abcdefgh", "\x00abcdef"},
		"with ids":          {withIDs, "\x02abcd", "\x02abcd"},
		"with ids, short":   {withIDs, "\x01abcd", "\x01ab"},
		"large":             {large, "\x00" + strings.Repeat("x", 4000), "\x00" + strings.Repeat("x", 4000)},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUHID(t, c.descriptor, nil)
			h := open(t, u.device(false))
			hr, n := write(h, []byte(c.data)...)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, len(c.want), n)
			hr, _ = control(h, IOCTL_HID_SET_OUTPUT_REPORT, []byte(c.data), 0)
			require.Equal(t, "S_OK", hr)
			// hidraw sends both in the same way.
			require.Equal(t, []sent{{"write", hidreport.Output, c.want}, {"write", hidreport.Output, c.want}}, u.received(2))
		})
	}
}

// TestUHIDCollections uses two collections of a real node at the same time.
func TestUHIDCollections(t *testing.T) {
	u := newUHID(t, collections, func(u *uhid) {
		u.get = func(_ hidreport.Kind, id uint8) ([]byte, error) { return []byte{id, 7}, nil }
	})
	handles := make([]pnp.Handle, 2)
	for n := range handles {
		d, err := New(backend.Source{Path: u.Node, Collection: n + 1, Description: pnp.Description{Name: "test"}})
		require.NoError(t, err)
		handles[n] = open(t, d)
	}
	u.Feed([]byte("\x02bcdefghij")...)
	u.Feed([]byte("\x01bcd")...)
	u.Feed([]byte("\x03b")...)
	for n, want := range []string{"\x01bcd", "\x02bcdefghij\x03b\x00\x00\x00\x00\x00\x00\x00\x00"} {
		arrived(t, handles[n], []int{1, 2}[n])
		hr, b := read(handles[n], 100)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, want, string(b))
	}
	for n, id := range []byte{1, 2} {
		h, report := handles[n], append([]byte{id}, "abcdefghi"[:[]int{4, 9}[n]]...)
		hr, _ := control(h, IOCTL_HID_SET_FEATURE, report, 0)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, sent{"set", hidreport.Feature, string(report)}, u.received(n + 1)[n])
		hr, b := control(h, IOCTL_HID_GET_FEATURE, []byte{id}, 100)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, []byte{id, 7}, b)
		hr, _ = control(h, IOCTL_HID_GET_FEATURE, []byte{3 - id}, 100)
		require.Equal(t, "ERROR_INVALID_PARAMETER", hr)
	}
	u.Unplug()
	for _, h := range handles {
		hr, _ := read(h, 100)
		require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
	}
}

func TestUHIDReports(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		set        string // SET_FEATURE
		sent       string
		id         byte
		answer     string // to GET_FEATURE, GET_INPUT_REPORT and GET_OUTPUT_REPORT
		feature    string
	}{
		"without ids":             {withoutIDs, "\x00abcd", "\x00abcd", 0, "wxyz", "\x00wxyz"},
		"without ids, 0 in front": {withoutIDs, "\x00abcde", "\x00abcd", 0, "\x00wxyz", "\x00wxyz"},
		"with ids":                {withIDs, "\xC8abcdefghi", "\xC8abcdefghi", 200, "\xC8rstuvwxyz", "\xC8rstuvwxyz"},
		"with ids, short":         {withIDs, "\x02abcdefghi", "\x02a", 2, "\x02z", "\x02z"},
		"large":                   {large, "\x00" + strings.Repeat("x", 4000), "\x00" + strings.Repeat("x", 4000), 0, strings.Repeat("y", 4000), "\x00" + strings.Repeat("y", 4000)},
		"feature only":            {featureOnly, "\x07" + strings.Repeat("x", 16), "\x07" + strings.Repeat("x", 16), 7, "\x07z", "\x07z"},
	} {
		t.Run(name, func(t *testing.T) {
			type question struct {
				kind hidreport.Kind
				id   byte
			}
			var asked []question
			u := newUHID(t, c.descriptor, func(u *uhid) {
				u.get = func(k hidreport.Kind, id uint8) ([]byte, error) {
					asked = append(asked, question{k, id})
					return []byte(c.answer), nil
				}
			})
			h := open(t, u.device(false))
			hr, _ := control(h, IOCTL_HID_SET_FEATURE, []byte(c.set), 0)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, []sent{{"set", hidreport.Feature, c.sent}}, u.received(1))

			hr, b := control(h, IOCTL_HID_GET_FEATURE, []byte{c.id}, 5000)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, c.feature, string(b))
			want := []question{{hidreport.Feature, c.id}}
			d := h.(*handle).desc
			for k, code := range map[hidreport.Kind]uint32{hidreport.Input: IOCTL_HID_GET_INPUT_REPORT, hidreport.Output: IOCTL_HID_GET_OUTPUT_REPORT} {
				hr, b := control(h, code, []byte{c.id}, 5000)
				n, ok := d.ReportLength(k, c.id)
				switch {
				case d.ByteLength(k) == 0:
					require.Equal(t, "ERROR_INVALID_FUNCTION", hr)
				case !ok:
					require.Equal(t, "ERROR_INVALID_PARAMETER", hr)
				default:
					require.Equal(t, "S_OK", hr)
					require.LessOrEqual(t, len(b), n)
					want = append(want, question{k, c.id})
				}
			}
			// All questions have arrived, since all are answered.
			u.Stop()
			require.Equal(t, want, asked)
		})
	}
}

func TestUHIDDeviceFails(t *testing.T) {
	u := newUHID(t, withoutIDs, func(u *uhid) {
		u.get = func(hidreport.Kind, uint8) ([]byte, error) { return nil, unix.EIO }
	})
	h := open(t, u.device(false))
	hr, b := control(h, IOCTL_HID_GET_FEATURE, nil, 5)
	require.Equal(t, "ERROR_IO_DEVICE", hr)
	require.Empty(t, b)
}

func TestUHIDInformation(t *testing.T) {
	u := newUHID(t, featureOnly, nil)
	d := u.device(true)
	for _, access := range []uint32{0, pnp.GENERIC_READ, acceptance.ReadWrite.Access} {
		h, err := d.Open(pnp.OpenRequest{Access: access, Share: acceptance.ReadWrite.Share, Disposition: pnp.OPEN_EXISTING})
		require.NoError(t, err)
		hr, b := control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 12)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, []byte{0x09, 0x12, 0xCD, 0xAB}, b[6:10])
		for code, want := range map[uint32]string{
			IOCTL_HID_GET_PRODUCT_STRING:      "Test device",
			IOCTL_HID_GET_SERIALNUMBER_STRING: "pnpdr-",
		} {
			hr, b := control(h, code, nil, 300)
			require.Equal(t, "S_OK", hr)
			var units []uint16
			for i := 0; i < len(b); i += 2 {
				units = append(units, binary.LittleEndian.Uint16(b[i:]))
			}
			require.Contains(t, string(utf16.Decode(units)), want)
		}
		hr, _ = control(h, IOCTL_HID_GET_MANUFACTURER_STRING, nil, 300)
		require.Equal(t, "ERROR_INVALID_PARAMETER", hr)
		if access != 0 {
			hr, _ = read(h, 64)
			require.Equal(t, "ERROR_INVALID_FUNCTION", hr, "it has no input reports")
		}
		h.Close(func() {})
	}
}

// TestUHIDStuck cancels a request while the kernel waits for the device, and closes a
// handle with such a request. Both requests end at once, not after the kernel's five
// seconds.
func TestUHIDStuck(t *testing.T) {
	u := newUHID(t, withIDs, func(u *uhid) { u.silent = true })
	h := open(t, u.device(false))
	r := &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, In: []byte{1}, Out: make([]byte, 10)}
	done := start(h, r)
	u.questions(1)
	require.False(t, r.Completed())
	h.Cancel(r)
	require.Equal(t, ending{pnp.ERROR_OPERATION_ABORTED, 0}, within(done))
	// Meanwhile reports can be read and written.
	u.Feed(1, 2, 3, 4)
	hr, b := read(h, 8)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{1, 2, 3, 4, 0, 0, 0, 0}, b)
	hr, _ = write(h, 1, 2, 3, 4, 5)
	require.Equal(t, "S_OK", hr)

	other := open(t, u.device(false))
	done = start(other, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_HID_SET_FEATURE, In: bytes.Repeat([]byte{1}, 10)})
	other.Close(func() {})
	require.Equal(t, ending{pnp.ERROR_OPERATION_ABORTED, 0}, within(done))
}

// TestUHIDUnplugged unplugs a device with all sorts of requests pending, and plugs in
// another that takes its number.
func TestUHIDUnplugged(t *testing.T) {
	gone := pnp.ERROR_DEVICE_NOT_CONNECTED
	u := newUHID(t, bytewise, nil)
	d := u.device(false)
	h := open(t, d)
	u.Feed(1)
	u.Feed(2)
	arrived(t, h, 2)
	reading := open(t, d)
	waits := start(reading, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 2)})
	asks := start(reading, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, Out: make([]byte, 9)})
	u.questions(1)
	u.Unplug()
	require.Equal(t, gone, within(waits).hr)
	require.Equal(t, gone, within(asks).hr)

	next := newUHID(t, bytewise, nil)
	t.Logf("%s, then %s", u.Node, next.Node)
	for _, want := range []byte{1, 2} {
		hr, b := read(h, 2)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, []byte{0, want}, b)
	}
	hr, _ := read(h, 2)
	require.Equal(t, gone.Name(), hr)
	hr, _ = write(h, make([]byte, 9)...)
	require.Equal(t, gone.Name(), hr)
	hr, _ = control(h, IOCTL_HID_SET_FEATURE, make([]byte, 9), 0)
	require.Equal(t, gone.Name(), hr)

	// A handle that may only write finds out, too.
	_, err := os.Stat(next.Node)
	require.NoError(t, err)
	w, err := next.device(false).Open(pnp.OpenRequest{Access: pnp.GENERIC_WRITE, Disposition: pnp.OPEN_EXISTING})
	require.NoError(t, err)
	defer w.Close(func() {})
	hr, n := write(w, make([]byte, 9)...)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, 9, n)
	next.Unplug()
	require.Equal(t, []sent{{"write", hidreport.Output, string(make([]byte, 9))}}, next.received(1), "and nothing else")
	hr, _ = write(w, make([]byte, 9)...)
	require.Equal(t, gone.Name(), hr)
}

// TestUHIDQueue sends more reports than the kernel and the queue hold. The newest are
// kept.
func TestUHIDQueue(t *testing.T) {
	u := newUHID(t, bytewise, nil)
	h := open(t, u.device(false))
	in, q := &h.(*handle).input, h.(*handle).q
	for i := range 200 {
		u.Feed(byte(i))
		if i%32 == 31 || i == 199 {
			// Wait: a full queue of the kernel drops the newest.
			for newest := -1; newest != i; {
				q.Lock()
				if n := len(in.reports); n > 0 {
					newest = int(in.reports[n-1][1])
				}
				q.Unlock()
			}
		}
	}
	for i := 200 - defaultInputBuffers; i < 200; i++ {
		_, b := read(h, 2)
		require.Equal(t, []byte{0, byte(i)}, b)
	}
	u.Feed(1)
	hr, _ := control(h, IOCTL_HID_FLUSH_QUEUE, nil, 0)
	require.Equal(t, "S_OK", hr)
	u.Feed(2)
	_, b := read(h, 2)
	require.Equal(t, []byte{0, 2}, b)
}
