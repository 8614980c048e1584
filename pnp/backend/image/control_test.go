// SPDX-License-Identifier: Apache-2.0

package image

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

func TestImmediate(t *testing.T) {
	d, b := camera(t)
	h := open(t, d)
	defer closed(h)
	for code, want := range map[uint32][]byte{
		IOCTL_GET_VERSION:            u32s(1, 0, 0),
		IOCTL_GET_DEVICE_DESCRIPTOR:  {0xA9, 0x04, 0x18, 0x32, 0x02, 0, 0x09, 0x04},
		IOCTL_GET_CHANNEL_ALIGN_RQST: u32s(8, packet, packet),
		IOCTL_GET_PIPE_CONFIGURATION: append(append(u32s(3),
			packet, 0, bulkIn, 0, 2, 0, 0, 0, packet, 0, bulkOut, 0, 2, 0, 0, 0, 8, 0, interruptIn, 10, 3, 0, 0, 0), make([]byte, 40)...),
	} {
		hr, got := control(h, code, nil, len(want))
		require.Equal(t, pnp.S_OK, hr, "0x%X", code)
		require.Equal(t, want, got, "0x%X", code)
		hr, _ = control(h, code, nil, len(want)-1)
		require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr, "0x%X", code)
	}
	hr, _ := control(h, IOCTL_SET_TIMEOUT, make([]byte, 11), 0)
	require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr)
	hr, _ = control(h, IOCTL_SET_TIMEOUT, u32s(7, 9, 0), 0)
	require.Equal(t, pnp.S_OK, hr)
	_, done := read(h, 64)
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.pending[bulkIn]) == 1 && b.pending[bulkIn][0].Timeout == 7*time.Second
	}, time.Minute, time.Millisecond)

	for _, in := range [][]byte{nil, u32s(ALL_PIPE + 1)} {
		hr, _ = control(h, IOCTL_CANCEL_IO, in, 0)
		require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr)
		hr, _ = control(h, IOCTL_RESET_PIPE, in, 0)
		require.Equal(t, pnp.ERROR_INVALID_PARAMETER, hr)
	}
	hr, _ = control(h, IOCTL_CANCEL_IO, u32s(WRITE_DATA_PIPE), 0)
	require.Equal(t, pnp.S_OK, hr)
	require.Empty(t, done)
	waiting := start(h, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_WAIT_ON_DEVICE_EVENT, Out: make([]byte, 8)})
	hr, _ = control(h, IOCTL_CANCEL_IO, u32s(ALL_PIPE), 0)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, (<-done).hr)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, (<-waiting).hr)
	hr, _ = control(h, 0x80002034, nil, 0)
	require.Equal(t, pnp.ERROR_INVALID_FUNCTION, hr)
}

// ioBlock makes an IO_BLOCK_EX of a process with 32 or 64 bits.
func ioBlock(bits int, offset, length, index uint32, request, kind, in byte) []byte {
	b := u32s(offset, length)
	b = append(b, make([]byte, bits/8)...) // an address
	b = append(b, u32s(index)...)
	return append(b, request, kind, in, 0)
}

// TestControlRequests: which requests reach the device, and how.
func TestControlRequests(t *testing.T) {
	d, b := camera(t)
	h := open(t, d)
	defer closed(h)
	last := func() string {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.controls) == 0 {
			return ""
		}
		s := b.controls[len(b.controls)-1]
		b.controls = nil
		return s
	}
	for _, c := range []struct {
		name string
		code uint32
		in   []byte
		room int
		hr   pnp.HRESULT
		out  string
		sent string
	}{
		{"descriptor", IOCTL_GET_USB_DESCRIPTOR, []byte{3, 2, 9, 4}, 6, pnp.S_OK, "answer", "\x80\x06\x02\x03\x09\x04"},
		{"descriptor of what", IOCTL_GET_USB_DESCRIPTOR, []byte{3, 2, 9}, 6, pnp.ERROR_INVALID_PARAMETER, "", ""},
		{"read register, 32 bits", IOCTL_READ_REGISTERS, ioBlock(32, 0x1234, 1, 0, 0, 0, 0)[:16], 1, pnp.S_OK, "a", "\xC0\x0C\x34\x12\x00\x00"},
		{"read registers, 64 bits", IOCTL_READ_REGISTERS, ioBlock(64, 0x1234, 6, 5, 0, 0, 0), 6, pnp.S_OK, "answer", "\xC0\x04\x34\x12\x05\x00"},
		{"no room", IOCTL_READ_REGISTERS, ioBlock(64, 0, 6, 0, 0, 0, 0), 5, pnp.ERROR_INVALID_PARAMETER, "", ""},
		{"no block", IOCTL_READ_REGISTERS, make([]byte, 15), 8, pnp.ERROR_INVALID_PARAMETER, "", ""},
		{"write registers, data behind", IOCTL_WRITE_REGISTERS, append(ioBlock(64, 7, 2, 0, 0, 0, 0), "xy"...), 0, pnp.S_OK, "", "\x40\x04\x07\x00\x00\x00xy"},
		{"write registers without data", IOCTL_WRITE_REGISTERS, ioBlock(64, 7, 2, 0, 0, 0, 0), 0, pnp.ERROR_INVALID_PARAMETER, "", ""},
		{"write more than the kernel takes", IOCTL_WRITE_REGISTERS, append(ioBlock(64, 7, 4097, 0, 0, 0, 0), make([]byte, 4097)...), 0, pnp.ERROR_INVALID_PARAMETER, "", ""},
		{"vendor's, in", IOCTL_SEND_USB_REQUEST, ioBlock(64, 1, 6, 2, 0x55, 0, 1), 6, pnp.S_OK, "answer", "\xC0\x55\x01\x00\x02\x00"},
		{"vendor's, in, 32 bits", IOCTL_SEND_USB_REQUEST, ioBlock(32, 1, 6, 2, 0x55, 0, 1), 6, pnp.S_OK, "answer", "\xC0\x55\x01\x00\x02\x00"},
		{"vendor's, out", IOCTL_SEND_USB_REQUEST, ioBlock(64, 1, 0, 2, 0x55, 0, 0), 0, pnp.S_OK, "", "\x40\x55\x01\x00\x02\x00"},
		{"standard is vendor's", IOCTL_SEND_USB_REQUEST, ioBlock(64, 1, 0, 2, 9, 0, 0), 0, pnp.S_OK, "", "\x40\x09\x01\x00\x02\x00"},
		{"PTP's status", IOCTL_SEND_USB_REQUEST_PTP, ioBlock(64, 0, 6, 9, ptpStatus, 0, 1), 6, pnp.S_OK, "answer", "\xA1\x67\x00\x00\x01\x00"},
		{"class", IOCTL_SEND_USB_REQUEST, ioBlock(64, 0, 0, 9, ptpReset, typeClass, 0), 0, pnp.S_OK, "", "\x21\x66\x00\x00\x01\x00"},
		{"another of the class", IOCTL_SEND_USB_REQUEST_PTP, ioBlock(64, 0, 0, 0, 0xFF, 0, 0), 0, pnp.ERROR_ACCESS_DENIED, "", ""},
		{"reset", IOCTL_RESET_PIPE, u32s(WRITE_DATA_PIPE), 0, pnp.S_OK, "", "c\x02"},
	} {
		hr, out := control(h, c.code, c.in, c.room)
		require.Equal(t, c.hr, hr, c.name)
		require.Equal(t, c.out, string(out), c.name)
		require.Equal(t, c.sent, last(), c.name)
	}
}

// FuzzDescriptors: whatever a device says of itself, nothing breaks.
func FuzzDescriptors(f *testing.F) {
	f.Add(descriptors, -1)
	f.Add(descriptors[:40], 1)
	f.Fuzz(func(t *testing.T, b []byte, number int) {
		l, err := parse(b, number)
		if err == nil {
			require.Len(t, l.configuration(), 68)
			for _, p := range l.pipes {
				require.Positive(t, p.maxPacket)
			}
		}
	})
}

func TestDescriptors(t *testing.T) {
	l, err := parse(descriptors, -1)
	require.NoError(t, err)
	require.Equal(t, layout{vendor: 0x04A9, product: 0x3218, revision: 2, number: 1, pipes: []pipe{
		{bulkIn, 2, 0, packet}, {bulkOut, 2, 0, packet}, {interruptIn, 3, 10, 8},
	}}, l)
	l, err = parse(descriptors, 0)
	require.NoError(t, err)
	require.Len(t, l.pipes, 1)
	_, err = parse(descriptors, 2)
	require.Equal(t, errDescriptors, err)
	long := append([]byte{0xFF}, descriptors[1:]...)
	_, err = parse(long, -1)
	require.Equal(t, errDescriptors, err)
}
