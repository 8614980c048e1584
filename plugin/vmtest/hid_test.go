// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/hid"
)

// Reports of odd sizes, with ids out of order, in a collection and one nested
// in it.
var oddDescriptor = []byte{
	0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01, // vendor's page, Collection (Application)
	0x15, 0x00, 0x25, 0x01, // Logical 0..1
	0x85, 0xC8, 0x75, 0x01, 0x95, 0x0D, 0x09, 0x02, 0x81, 0x02, // report 200: 13 bits of input
	0x95, 0x03, 0x81, 0x03, // and 3 of padding
	0x26, 0xFF, 0x00, 0x75, 0x08, // Logical 0..255, bytes
	0x09, 0x03, 0xA1, 0x02, // Collection (Logical)
	0xA4,                                           // Push
	0x85, 0x07, 0x95, 0x05, 0x09, 0x04, 0x81, 0x02, // report 7: 5 bytes of input,
	0x95, 0x03, 0x09, 0x05, 0x91, 0x02, // 3 of output
	0x95, 0x20, 0x09, 0x06, 0xB1, 0x02, // and 32 of feature
	0xB4,                                                 // Pop
	0xC0,                                                 // End Collection
	0x85, 0x01, 0x96, 0x2C, 0x01, 0x09, 0x07, 0x91, 0x02, // report 1: 300 bytes of output
	0xC0,
}

// Without ids.
var plainDescriptor = []byte{
	0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01,
	0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08,
	0x95, 0x02, 0x09, 0x02, 0x81, 0x02,
	0x95, 0x01, 0x09, 0x03, 0x91, 0x02,
	0x95, 0x04, 0x09, 0x04, 0xB1, 0x02,
	0xC0,
}

// testHID passes all kinds of reports in both directions, and unplugs the
// device during all kinds of requests. A device with two collections is two.
func testHID(t *testing.T, f *fixture) {
	feature := "\x07" + strings.Repeat("f", 32)
	odd := newUHID(t, "Odd", oddDescriptor, map[byte]string{7: feature})
	plain := newUHID(t, "Plain", plainDescriptor, map[byte]string{0: "wxyz"})
	panel := newUHID(t, "Panel", panelDescriptor, panelFeatures)
	r := f.connect(t, "loopback,hid:"+odd.Node+",hid:"+plain.Node+",hid:"+panel.Node)
	devices := map[string]*server.Device{}
	for len(devices) < 5 {
		d := r.event().Device
		devices[d.Description().Name] = d
	}
	require.Contains(t, devices, fakeDevice)
	r.useCollections(panel, devices["Panel (collection 1)"], devices["Panel (collection 2)"])
	h, p := r.open(devices["Odd"]), r.open(devices["Plain"])
	read := func(h *server.Handle, room int) string {
		t.Helper()
		b := make([]byte, room)
		n, err := h.ReadAt(r.ctx, b, 0)
		require.NoError(t, err)
		return string(b[:n])
	}

	require.Equal(t, "\x09\x12\x02\x00", string(r.control(h, hid.IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 12)[6:10]))
	// A report is as long as the longest of its kind: the id and five bytes.
	reads := make(chan string, 1)
	go func() {
		b := make([]byte, 6)
		n, _ := h.ReadAt(r.ctx, b, 0)
		reads <- string(b[:n])
	}()
	odd.Feed([]byte("\xC8\x55\x15")...)
	require.Equal(t, "\xC8\x55\x15\x00\x00\x00", <-reads)
	odd.Feed([]byte("\x0712345")...)
	odd.Feed([]byte("\xC8\x01\x00")...)
	require.Equal(t, "\x0712345", read(h, 6))
	require.Equal(t, "\xC8\x01\x00\x00\x00\x00", read(h, 6))
	plain.Feed([]byte("ab")...)
	require.Equal(t, "\x00ab", read(p, 3))

	// A write is as long as the longest report: the id and 300 bytes.
	long := "\x01" + strings.Repeat("o", 300)
	n, err := h.WriteAt(r.ctx, []byte(long), 0)
	require.NoError(t, err)
	require.Equal(t, 301, n)
	require.Equal(t, "w"+long, <-odd.sent)
	n, err = h.WriteAt(r.ctx, append([]byte("\x07out"), make([]byte, 297)...), 0)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.Equal(t, "w\x07out", <-odd.sent)
	_, err = p.WriteAt(r.ctx, []byte("\x00p"), 0)
	require.NoError(t, err)
	require.Equal(t, "w\x00p", <-plain.sent)

	require.Equal(t, feature, string(r.control(h, hid.IOCTL_HID_GET_FEATURE, []byte{7}, 33)))
	require.EqualValues(t, 7, <-odd.asked)
	r.control(h, hid.IOCTL_HID_SET_FEATURE, []byte(feature), 0)
	require.Equal(t, "s"+feature, <-odd.sent)
	require.Equal(t, "\x00wxyz", string(r.control(p, hid.IOCTL_HID_GET_FEATURE, []byte{0}, 5)))
	<-plain.asked

	// A waiting read is cancelled, and the next input goes to the next read.
	ctx, cancel := context.WithCancel(r.ctx)
	ended := pending(func() (int, error) { return p.ReadAt(ctx, make([]byte, 3), 0) })
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	plain.Feed([]byte("cd")...)
	require.Equal(t, "\x00cd", read(p, 3))

	// The device stops answering; then it goes.
	odd.silent.Store(true)
	asks := pending(func() (int, error) { return h.IOControl(r.ctx, hid.IOCTL_HID_GET_FEATURE, []byte{7}, make([]byte, 33)) })
	waits := pending(func() (int, error) { return h.ReadAt(r.ctx, make([]byte, 6), 0) })
	require.EqualValues(t, 7, <-odd.asked)
	odd.Unplug()
	r.requireGone(asks)
	r.requireGone(waits)
	r.removed(devices["Odd"])
	_, err = h.WriteAt(r.ctx, []byte(long), 0)
	r.notConnected(err)
	plain.Feed([]byte("ef")...)
	require.Equal(t, "\x00ef", read(p, 3))
	r.stillThere(fakeDevice)
	_, err = devices["Odd"].Open(r.ctx, server.OpenOptions{})
	r.notConnected(err)
	r.finish()
}
