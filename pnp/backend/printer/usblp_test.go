// SPDX-License-Identifier: Apache-2.0

package printer

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/char"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/devtest/gadgettest"
)

// patience is a watchdog.
const patience = 30 * time.Second

// result is the end of a request.
type result struct {
	hr pnp.HRESULT
	n  int
}

func submit(h pnp.Handle, r *pnp.Request) <-chan result {
	done := make(chan result, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) { done <- result{hr, n} })
	h.Submit(r)
	return done
}

func await(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("never completed")
		panic("unreachable")
	}
}

// control does one IOControl, and returns the name of its result.
func control(t *testing.T, h pnp.Handle, code uint32, in []byte, room int) (string, []byte) {
	t.Helper()
	out := bytes.Repeat([]byte{0xEE}, room)
	r := await(t, submit(h, &pnp.Request{Op: pnp.OpIOControl, Code: code, In: in, Out: out}))
	return r.hr.Name(), out[:r.n]
}

func openPrinter(t *testing.T, readOnly bool) pnp.Handle {
	t.Helper()
	d, err := New(backend.Source{Path: gadgettest.PrinterNode, ReadOnly: readOnly})
	require.NoError(t, err)
	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	return h
}

func closed(t *testing.T, h pnp.Handle) {
	t.Helper()
	released := make(chan struct{})
	h.Close(func() { close(released) })
	select {
	case <-released:
	case <-time.After(patience):
		t.Fatal("the handle was never released")
	}
}

func plugged(t *testing.T) *gadgettest.Printer {
	t.Helper()
	p := gadgettest.NewPrinter(t)
	p.Plug(gadgettest.PrinterNode)
	return p
}

func TestUSBLPDeviceID(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, false)
	defer closed(t, h)
	const id = "MFG:pnpdr;MDL:Label;CMD:ZPL;"
	whole := "\x00\x1e" + id + "\x00"
	for room, want := range map[int]string{1000: whole, len(whole): whole, len(whole) - 1: whole[:len(whole)-2] + "\x00", 3: "\x00\x1e\x00"} {
		hr, out := control(t, h, IOCTL_USBPRINT_GET_1284_ID, nil, room)
		require.Equal(t, "S_OK", hr)
		require.Equal(t, want, string(out), room)
	}
	for room := range 3 {
		hr, out := control(t, h, IOCTL_USBPRINT_GET_1284_ID, nil, room)
		require.Equal(t, "ERROR_INSUFFICIENT_BUFFER", hr)
		require.Empty(t, out)
	}

	// It is asked for each time. The length is what the printer claims it is.
	p.SetID(strings.Repeat("x", 2000))
	hr, out := control(t, h, IOCTL_USBPRINT_GET_1284_ID, nil, 4096)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, "\x03\xff"+strings.Repeat("x", longestID-2)+"\x00", string(out))
	p.SetRawID([]byte{0, 0, 'x'})
	hr, out = control(t, h, IOCTL_USBPRINT_GET_1284_ID, nil, 4096)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, "\x00\x02\x00", string(out))
}

func TestUSBLPStatus(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, true)
	defer closed(t, h)
	for _, status := range []byte{0x18, 0x90, 0xFF} {
		p.SetStatus(status)
		for room, want := range map[int][]byte{1: {status}, 2: {status, 0}, 4: {status, 0, 0, 0}, 100: {status, 0, 0, 0}} {
			hr, out := control(t, h, IOCTL_USBPRINT_GET_LPT_STATUS, nil, room)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, want, out)
		}
	}
	hr, _ := control(t, h, IOCTL_USBPRINT_GET_LPT_STATUS, nil, 0)
	require.Equal(t, "ERROR_INSUFFICIENT_BUFFER", hr)
}

func TestUSBLPReset(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, false)
	defer closed(t, h)
	hr, out := control(t, h, IOCTL_USBPRINT_SOFT_RESET, nil, 10)
	require.Equal(t, "S_OK", hr)
	require.Empty(t, out)
	require.EqualValues(t, 2, p.Requested(t).Request)
}

// TestUSBLPVendor: the vendor's requests reach the interface of the printer, which the
// kernel's driver has, as Windows sends them.
func TestUSBLPVendor(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, false)
	defer closed(t, h)
	for room, want := range map[int]string{0: "", 2: "\x34\x12", 4: "\x34\x12\x00\x00", 1 << 16: "\x34\x12\x00\x00"} {
		hr, out := control(t, h, IOCTL_USBPRINT_VENDOR_GET_COMMAND, []byte{0x8A, 0x12, 0x34, 9, 9}, room)
		require.Equal(t, "S_OK", hr, room)
		require.Equal(t, want, string(out), room)
		require.Equal(t, gadgettest.Setup{Type: 0xC1, Request: 0x8A, Value: 0x1234, Length: uint16(min(room, longest))}, p.Requested(t).Setup)
	}
	for _, n := range []int{3, 4, 64, 100, longest} {
		in := acceptance.Pattern(n)
		copy(in, []byte{0x85, 0xAB, 0xCD})
		hr, out := control(t, h, IOCTL_USBPRINT_VENDOR_SET_COMMAND, in, 10)
		require.Equal(t, "S_OK", hr)
		require.Empty(t, out)
		require.Equal(t, gadgettest.Request{Setup: gadgettest.Setup{Type: 0x41, Request: 0x85, Value: 0xABCD, Length: uint16(n)}, Data: in}, p.Requested(t))
	}
	for code, lengths := range map[uint32][]int{
		IOCTL_USBPRINT_VENDOR_GET_COMMAND: {0, 2}, IOCTL_USBPRINT_VENDOR_SET_COMMAND: {0, 2, longest + 1},
	} {
		for _, n := range lengths {
			hr, _ := control(t, h, code, make([]byte, n), 10)
			require.Equal(t, "ERROR_INVALID_PARAMETER", hr, n)
		}
	}
	require.Empty(t, p.Requests())
}

func TestUSBLPReadOnly(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, true)
	defer closed(t, h)
	for _, code := range []uint32{IOCTL_USBPRINT_SOFT_RESET, IOCTL_USBPRINT_VENDOR_GET_COMMAND, IOCTL_USBPRINT_VENDOR_SET_COMMAND} {
		hr, _ := control(t, h, code, []byte{1, 2, 3}, 10)
		require.Equal(t, "ERROR_ACCESS_DENIED", hr)
	}
	hr, _ := control(t, h, IOCTL_USBPRINT_GET_1284_ID, nil, 100)
	require.Equal(t, "S_OK", hr)
	hr, _ = control(t, h, 0x220044, nil, 100)
	require.Equal(t, "ERROR_INVALID_FUNCTION", hr)
	require.Empty(t, p.Requests())
}

// TestUSBLPRefuses: a printer that refuses a request still works, and one that has gone
// says so.
func TestUSBLPRefuses(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, false)
	defer closed(t, h)
	p.Refuse(true)
	for code, want := range map[uint32]string{
		IOCTL_USBPRINT_GET_LPT_STATUS:     "ERROR_IO_DEVICE",
		IOCTL_USBPRINT_SOFT_RESET:         "ERROR_GEN_FAILURE",
		IOCTL_USBPRINT_VENDOR_GET_COMMAND: "ERROR_GEN_FAILURE",
	} {
		hr, _ := control(t, h, code, []byte{1, 2, 3}, 10)
		require.Equal(t, want, hr, "0x%X", code)
	}
	p.Refuse(false)
	hr, _ := control(t, h, IOCTL_USBPRINT_GET_LPT_STATUS, nil, 1)
	require.Equal(t, "S_OK", hr)
	p.Unplug()
	for _, code := range []uint32{
		IOCTL_USBPRINT_GET_LPT_STATUS, IOCTL_USBPRINT_GET_1284_ID, IOCTL_USBPRINT_SOFT_RESET,
		IOCTL_USBPRINT_VENDOR_GET_COMMAND, IOCTL_USBPRINT_VENDOR_SET_COMMAND,
	} {
		hr, _ := control(t, h, code, []byte{1, 2, 3}, 10)
		require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr, "0x%X", code)
	}
}

// TestUSBLPSilent: while a printer does not answer a control request, which holds a lock
// that polling its node takes too, other devices work, also one that waits in the
// runtime's poller. A cancel is answered at once.
func TestUSBLPSilent(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, false)
	master, path := devtest.OpenPTY(t)
	d, err := char.New(backend.Source{Path: path})
	require.NoError(t, err)
	terminal, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer closed(t, terminal)
	read := submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 16)})
	for _, code := range []uint32{IOCTL_USBPRINT_GET_LPT_STATUS, IOCTL_USBPRINT_SOFT_RESET, IOCTL_USBPRINT_VENDOR_GET_COMMAND} {
		end := p.Silence()
		r := &pnp.Request{Op: pnp.OpIOControl, Code: code, In: []byte{1, 2, 3}, Out: make([]byte, 4)}
		asked := submit(h, r)
		for range 20 {
			works := submit(terminal, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 4)})
			time.Sleep(5 * time.Millisecond) // the read waits in the poller
			_, err := master.Write([]byte("ping"))
			require.NoError(t, err)
			require.Equal(t, result{pnp.S_OK, 4}, await(t, works))
		}
		require.Empty(t, asked)
		h.Cancel(r)
		require.Equal(t, pnp.ERROR_OPERATION_ABORTED.Name(), await(t, asked).hr.Name())
		end()
	}
	require.Empty(t, read)
	closed(t, h)
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED.Name(), await(t, read).hr.Name())
	again := openPrinter(t, false)
	closed(t, again)
}

// TestUSBLPStream: IOControls work while a write waits for a printer that is paused. The
// write is complete when the printer has the data, and an empty transfer is not the end.
// Package char tests that closing loses nothing.
func TestUSBLPStream(t *testing.T) {
	p := plugged(t)
	h := openPrinter(t, false)
	label := acceptance.Pattern(3000)
	done := submit(h, &pnp.Request{Op: pnp.OpWrite, In: label})
	p.SetStatus(0x10)
	hr, out := control(t, h, IOCTL_USBPRINT_GET_LPT_STATUS, nil, 1)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{0x10}, out)
	require.Empty(t, done)
	got := make([]byte, 4096)
	n, ok := p.Print(got)
	require.True(t, ok)
	require.Equal(t, label, got[:n])
	require.Equal(t, result{pnp.S_OK, len(label)}, await(t, done))

	answer := make([]byte, 16)
	read := submit(h, &pnp.Request{Op: pnp.OpRead, Out: answer})
	require.True(t, p.Answer(nil))
	require.Equal(t, result{pnp.S_OK, 0}, await(t, read))
	read = submit(h, &pnp.Request{Op: pnp.OpRead, Out: answer})
	require.True(t, p.Answer([]byte("ready")))
	require.Equal(t, result{pnp.S_OK, 5}, await(t, read))
	closed(t, h)
}
