// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

func TestReadsOfADeviceWithoutIDs(t *testing.T) {
	f := newFake(t, withoutIDs)
	h := open(t, f.device(false))
	for _, c := range []struct {
		report, want []byte
	}{
		{[]byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{[]byte{1, 2}, []byte{0, 1, 2, 0, 0, 0, 0, 0, 0}},
		{bytes.Repeat([]byte{7}, 20), []byte{0, 7, 7, 7, 7, 7, 7, 7, 7}},
		{[]byte{0, 0xFF}, []byte{0, 0, 0xFF, 0, 0, 0, 0, 0, 0}},
	} {
		f.feed(c.report...)
		hr, b := read(h, 9)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, c.want, b)
	}
	f.feed(9)
	hr, b := read(h, 100) // a larger buffer does not wait for more
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{0, 9, 0, 0, 0, 0, 0, 0, 0}, b)

	f.feed(5)
	for _, n := range []int{1, 8} {
		hr, b := read(h, n)
		require.Equal(t, invalidUserBuffer, hr)
		require.Empty(t, b)
	}
	_, b = read(h, 9) // the failed reads took nothing
	require.Equal(t, []byte{0, 5, 0, 0, 0, 0, 0, 0, 0}, b)
}

func TestReadsOfADeviceWithIDs(t *testing.T) {
	f := newFake(t, withIDs)
	h := open(t, f.device(false))
	f.feed(1, 10, 11, 12)
	f.feed(3, 1, 2, 3) // not declared
	f.feed(200, 1)     // declared for a feature only
	f.feed(0, 1)
	f.feed(2, 20, 21, 22, 23, 24, 25, 26)
	for _, want := range [][]byte{
		{1, 10, 11, 12, 0, 0, 0, 0},
		{2, 20, 21, 22, 23, 24, 25, 26},
	} {
		hr, b := read(h, 8)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, want, b)
	}
	hr, _ := read(h, 7) // long enough for report 1 only
	require.Equal(t, invalidUserBuffer, hr)
}

// TestReadsOfSeveralReports: a read takes all reports that it has room for.
func TestReadsOfSeveralReports(t *testing.T) {
	f := newFake(t, withIDs)
	h := open(t, f.device(false))
	one, two, three := []byte{1, 10, 11, 12, 0, 0, 0, 0}, []byte{2, 20, 21, 0, 0, 0, 0, 0}, []byte{1, 14, 0, 0, 0, 0, 0, 0}
	for _, c := range []struct {
		room int
		want [][]byte // of one read after the other
	}{
		{1000, [][]byte{slices.Concat(one, two, three)}},
		{24, [][]byte{slices.Concat(one, two, three)}},
		{23, [][]byte{slices.Concat(one, two), three}},
		{15, [][]byte{one, two, three}},
	} {
		f.feed(1, 10, 11, 12)
		f.feed(2, 20, 21)
		f.feed(1, 14)
		arrived(t, h, 3)
		for _, want := range c.want {
			r := &pnp.Request{Op: pnp.OpRead, Out: bytes.Repeat([]byte{0xCD}, c.room)}
			require.Equal(t, ending{pnp.S_OK, len(want)}, within(start(h, r)), "room for %d", c.room)
			require.Equal(t, want, r.Out[:len(want)], "room for %d", c.room)
			require.Equal(t, bytes.Repeat([]byte{0xCD}, c.room-len(want)), r.Out[len(want):])
		}
	}
}

// TestPenOverASlowLink: a program at the other end of a link of 40 ms reads a pen that
// sends 400 reports a second, one read at a time. So 32 reports come between the answer
// to a read and the next one. The program loses none, not even if three answers more take
// as long.
func TestPenOverASlowLink(t *testing.T) {
	const perRoundTrip = 400 * 2 * 40 / 1000
	f := newFake(t, bytewise)
	h := open(t, f.device(false))
	var sent, got byte
	trip := func(queued int) {
		for range perRoundTrip {
			f.feed(sent)
			sent++
		}
		arrived(t, h, queued+perRoundTrip)
	}
	for range 20 {
		for n := range 4 {
			trip(n * perRoundTrip)
		}
		hr, b := read(h, 2*4*perRoundTrip)
		require.Equal(t, "S_OK", hr)
		require.Len(t, b, 2*4*perRoundTrip)
		for i := 0; i < len(b); i += 2 {
			require.Equal(t, []byte{0, got}, b[i:i+2])
			got++
		}
	}
}

// TestInputQueue: each handle has its own queue, which drops the oldest reports.
func TestInputQueue(t *testing.T) {
	f := newFake(t, bytewise)
	d := f.device(false)
	a, b := open(t, d), open(t, d)
	for code, c := range map[uint32]struct {
		in   []byte
		out  int
		want string
	}{
		IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS: {out: 3, want: invalidUserBuffer},
		IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS: {in: []byte{1, 0, 0}, want: invalidUserBuffer},
	} {
		hr, _ := control(a, code, c.in, c.out)
		require.Equal(t, c.want, hr)
	}
	for _, c := range []struct {
		n    uint32
		want string
	}{{0, "ERROR_INVALID_PARAMETER"}, {1, "ERROR_INVALID_PARAMETER"}, {513, "ERROR_INVALID_PARAMETER"},
		{1 << 31, "ERROR_INVALID_PARAMETER"}, {512, "S_OK"}, {2, "S_OK"}, {5, "S_OK"}} {
		hr, _ := control(a, IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS, binary.LittleEndian.AppendUint32(nil, c.n), 0)
		require.Equal(t, c.want, hr, "%d", c.n)
	}
	_, n := control(a, IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS, nil, 4)
	require.Equal(t, []byte{5, 0, 0, 0}, n)
	_, n = control(b, IOCTL_GET_NUM_DEVICE_INPUT_BUFFERS, nil, 9)
	require.Equal(t, []byte{128, 0, 0, 0}, n)

	hr, _ := control(b, IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS, []byte{32, 0, 0, 0}, 0)
	require.Equal(t, "S_OK", hr)
	for i := range byte(40) {
		f.feed(i)
	}
	last := func(h pnp.Handle) byte {
		in, q := &h.(*handle).input, h.(*handle).q
		q.Lock()
		defer q.Unlock()
		if len(in.reports) == 0 {
			return 0
		}
		return in.reports[len(in.reports)-1][1]
	}
	require.Eventually(t, func() bool { return last(a) == 39 && last(b) == 39 }, 20*time.Second, time.Millisecond)
	for h, first := range map[pnp.Handle]byte{a: 35, b: 8} {
		for i := first; i < 40; i++ {
			_, got := read(h, 2)
			require.Equal(t, []byte{0, i}, got)
		}
	}

	// Making the queue smaller drops reports at once.
	for i := range byte(10) {
		f.feed(i)
	}
	arrived(t, b, 10)
	hr, _ = control(b, IOCTL_SET_NUM_DEVICE_INPUT_BUFFERS, []byte{3, 0, 0, 0}, 0)
	require.Equal(t, "S_OK", hr)
	_, got := read(b, 2)
	require.Equal(t, []byte{0, 7}, got)
}

// TestFlushQueue: a flush drops the reports that came before it, wherever they are, and
// leaves those that come later and the pending reads.
func TestFlushQueue(t *testing.T) {
	f := newFake(t, bytewise)
	h := open(t, f.device(false))
	for i := range 50 {
		f.feed(1)
		f.feed(2)
		if i%2 == 0 {
			arrived(t, h, 2)
		}
		hr, _ := control(h, IOCTL_HID_FLUSH_QUEUE, nil, 0)
		require.Equal(t, "S_OK", hr)
		f.feed(3)
		_, b := read(h, 2)
		require.Equal(t, []byte{0, 3}, b)
	}
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 2)}
	done := start(h, r)
	control(h, IOCTL_HID_FLUSH_QUEUE, nil, 0)
	f.feed(4)
	require.Equal(t, ending{pnp.S_OK, 2}, within(done))
	require.Equal(t, []byte{0, 4}, r.Out)
}

// TestFlushFindsTheEnd: if a flush is the first to see that the device has gone, it
// ends the pending reads.
func TestFlushFindsTheEnd(t *testing.T) {
	f := newFake(t, bytewise)
	h := open(t, f.device(false))
	done := start(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 2)})
	q := h.(*handle).q
	q.Lock() // keeps fill out, as a flush does
	f.unplug()
	h.(*handle).input.drain()
	q.Unlock()
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, within(done).hr)
}
