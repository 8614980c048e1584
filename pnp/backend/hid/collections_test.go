// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

// TestReadsOfCollections: an input report reaches the handles of its own collection, in the
// length of that one's.
func TestReadsOfCollections(t *testing.T) {
	f := newFake(t, collections)
	first, second, again := open(t, f.collection(1)), open(t, f.collection(2)), open(t, f.collection(1))
	f.feed(2, 20, 21)
	f.feed(1, 10, 11, 12)
	f.feed(3, 30)
	f.feed(4, 40) // nobody's
	f.feed(1, 13)
	arrived(t, first, 2)
	arrived(t, again, 2)
	arrived(t, second, 2)
	for h, want := range map[pnp.Handle][]byte{
		first:  {1, 10, 11, 12, 1, 13, 0, 0},
		again:  {1, 10, 11, 12, 1, 13, 0, 0},
		second: {2, 20, 21, 0, 0, 0, 0, 0, 0, 0, 3, 30, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		hr, _ := read(h, len(want)/2-1)
		require.Equal(t, invalidUserBuffer, hr)
		hr, b := read(h, 100)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, want, b)
	}

	// A read goes on waiting while only the other collection has reports, which take no
	// room in its queue.
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 100)}
	done := start(first, r)
	hr, _ := control(again, IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS, []byte{2, 0, 0, 0}, 0)
	require.Equal(t, "S_OK", hr)
	for n := range byte(50) {
		f.feed(2, n)
	}
	arrived(t, second, 50)
	require.False(t, r.Completed())
	f.feed(1, 14)
	require.Equal(t, ending{pnp.S_OK, 4}, within(done))
	require.Equal(t, []byte{1, 14, 0, 0}, r.Out[:4])
	for n := range byte(50) {
		f.feed(2, n)
	}
	arrived(t, second, 100)
	hr, b := read(again, 100)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{1, 14, 0, 0}, b)

	hr, _ = control(first, IOCTL_HID_FLUSH_QUEUE, nil, 0)
	require.Equal(t, "S_OK", hr)
	arrived(t, second, 100)
	f.unplug()
	for _, h := range []pnp.Handle{first, again} {
		hr, _ = read(h, 4)
		require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
	}
}

// TestRequestsOfCollections: a request for a report goes to the device if it is one of the
// handle's collection, and is refused like that for one which nobody declares if not.
func TestRequestsOfCollections(t *testing.T) {
	f := newFake(t, collections)
	f.set(func() { f.get = echo })
	for n, c := range []struct {
		own, other                []byte // with room for the longest output or feature report
		output, setFeature, reply string
	}{
		{[]byte{1, 5, 6, 0, 0}, []byte{2, 5, 6, 0, 0}, "\x01\x05\x06", "\x01\x05\x06\x00\x00", "\x01\x00\x00\x00\x00"},
		{append([]byte{2, 5}, make([]byte, 8)...), append([]byte{1, 5}, make([]byte, 8)...),
			"\x02\x05\x00\x00\x00\x00\x00\x00\x00\x00", "\x02\x05\x00\x00\x00\x00\x00\x00\x00\x00", "\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	} {
		h := open(t, f.collection(n+1))
		hr, _ := write(h, c.own...)
		require.Equal(t, "S_OK", hr)
		hr, _ = control(h, IOCTL_HID_SET_OUTPUT_REPORT, c.own, 0)
		require.Equal(t, "S_OK", hr)
		hr, _ = control(h, IOCTL_HID_SET_FEATURE, c.own, 0)
		require.Equal(t, "S_OK", hr)
		sentByOwn := []sent{{"write", hidreport.Output, c.output}, {"set", hidreport.Output, c.output}, {"set", hidreport.Feature, c.setFeature}}
		require.Equal(t, sentByOwn, f.received())
		hr, b := control(h, IOCTL_HID_GET_FEATURE, c.own[:1], 100)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, c.reply, string(b))

		f.set(func() { f.asked = nil })
		hr, _ = write(h, c.other...)
		require.Equal(t, "ERROR_INVALID_PARAMETER", hr)
		for _, code := range []uint32{
			IOCTL_HID_SET_OUTPUT_REPORT, IOCTL_HID_SET_FEATURE,
			IOCTL_HID_GET_FEATURE, IOCTL_HID_GET_INPUT_REPORT, IOCTL_HID_GET_OUTPUT_REPORT,
		} {
			hr, _ := control(h, code, c.other, 100)
			require.Equal(t, "ERROR_INVALID_PARAMETER", hr, "%#x", code)
		}
		require.Equal(t, sentByOwn, f.received(), "the device got what another collection's handle sent")
		require.Nil(t, f.question())
		f.set(func() { f.sent = nil })
	}
	// Too short for the second collection, but not for the first.
	hr, _ := write(open(t, f.collection(2)), 3, 5, 0)
	require.Equal(t, "ERROR_INVALID_PARAMETER", hr)
}

// TestFactsOfCollections: preparsed data and report descriptor are the collection's.
func TestFactsOfCollections(t *testing.T) {
	f := newFake(t, collections)
	for n := range 2 {
		h := open(t, f.collection(n+1))
		want, err := hidreport.Preparsed(collections, n)
		require.NoError(t, err)
		hr, b := control(h, IOCTL_HID_GET_COLLECTION_DESCRIPTOR, nil, 5000)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, want, b)
		hr, b = control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 12)
		require.Equal(t, "S_OK", hr)
		require.EqualValues(t, len(want), binary.LittleEndian.Uint32(b))

		hr, b = control(h, hidreport.IOCTL_PNPDR_HID_GET_IDENTITY, nil, hidreport.MaxIdentity)
		require.Equal(t, "S_OK", hr)
		i, err := hidreport.ParseIdentity(b)
		require.NoError(t, err)
		one, err := hidreport.Extract(collections, n)
		require.NoError(t, err)
		require.Equal(t, one, i.Descriptor)
	}
	for _, d := range []*Device{f.collection(3), newFake(t, together).collection(1), newFake(t, withIDs).collection(1)} {
		_, err := d.Open(acceptance.ReadWrite)
		require.ErrorIs(t, err, pnp.ERROR_NOT_SUPPORTED)
	}
}

// TestSharesOfCollections: on Windows they are devices of their own, with share modes of
// their own.
func TestSharesOfCollections(t *testing.T) {
	f := newFake(t, collections)
	exclusive := acceptance.ReadWrite
	exclusive.Share = 0
	for n := range 2 {
		h, err := f.collection(n + 1).Open(exclusive)
		require.NoError(t, err)
		defer h.Close(func() {})
	}
	for _, d := range []*Device{f.collection(1), f.collection(2), f.device(false)} {
		_, err := d.Open(acceptance.ReadWrite)
		require.ErrorIs(t, err, pnp.ERROR_SHARING_VIOLATION)
	}
}

// TestKeystrokesStay: a keyboard behind the same node tells a handle of another collection
// nothing, in no way.
func TestKeystrokesStay(t *testing.T) {
	keyboard := []byte{
		0x05, 0x01, 0x09, 0x06, 0xA1, 0x01, 0x85, 0x01, // Keyboard, report 1
		0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x15, 0x00, 0x25, 0x65, 0x75, 0x08, 0x95, 0x06, 0x81, 0x00, 0xC0,
	}
	f := newFake(t, slices.Concat(keyboard, hidreporttest.Vendor(hidreporttest.Input(2, 6), hidreporttest.Feature(2, 6))))
	f.set(func() { f.get = echo })
	typed, vendor := open(t, f.collection(1)), open(t, f.collection(2))
	for key := range byte(20) {
		f.feed(1, 4+key)
	}
	f.feed(2, 'v')
	arrived(t, vendor, 1)
	arrived(t, typed, 20)
	hr, b := read(vendor, 1000)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{2, 'v', 0, 0, 0, 0, 0}, b)
	for _, code := range []uint32{IOCTL_HID_GET_INPUT_REPORT, IOCTL_HID_GET_FEATURE, IOCTL_HID_GET_OUTPUT_REPORT} {
		out := append([]byte{1}, make([]byte, 99)...)
		hr, b := controlSending(vendor, code, []byte{1}, out)
		require.NotEqual(t, "S_OK", hr)
		require.Empty(t, b)
	}
	require.Nil(t, f.question())
}
