// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/devtest/gadgettest"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// usbDevice makes a Device of an interface of a USB device.
func usbDevice(t *testing.T, u *gadgettest.HID, i int) *Device {
	t.Helper()
	d, err := New(backend.Source{Path: u.Node(i), Description: pnp.Description{Name: "test"}})
	require.NoError(t, err)
	return d
}

func TestUSBHIDInformation(t *testing.T) {
	u := gadgettest.NewHID(t, "Scale", gadgettest.HIDInterface{Descriptor: withoutIDs})
	u.Plug()
	h := open(t, usbDevice(t, u, 0))
	hr, b := control(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, 12)
	require.Equal(t, "S_OK", hr)
	require.Equal(t, []byte{0x09, 0x12, 0x02, 0x00}, b[6:10])
	for code, want := range map[uint32]string{
		IOCTL_HID_GET_MANUFACTURER_STRING: "pnpdr\x00",
		IOCTL_HID_GET_PRODUCT_STRING:      "Scale\x00",
		IOCTL_HID_GET_SERIALNUMBER_STRING: "H1\x00",
	} {
		hr, b := control(h, code, nil, 300)
		require.Equal(t, "S_OK", hr)
		var units []uint16
		for i := 0; i < len(b); i += 2 {
			units = append(units, binary.LittleEndian.Uint16(b[i:]))
		}
		require.Equal(t, want, string(utf16.Decode(units)))
	}
}

// TestUSBHIDReports passes all kinds of reports, with ids and without, to a device with
// an endpoint for output reports and to one without.
func TestUSBHIDReports(t *testing.T) {
	for name, c := range map[string]struct {
		device     gadgettest.HIDInterface
		in, read   string
		write, out string
		feature    string // SET_FEATURE
		set        string
	}{
		"without ids": {gadgettest.HIDInterface{Descriptor: withoutIDs},
			"abcdefgh", "\x00abcdefgh", "\x00ABCDEF", "ABCDEF", "\x00wxyz", "wxyz"},
		"without ids, an endpoint": {gadgettest.HIDInterface{Descriptor: withoutIDs, Out: true},
			"abcdefgh", "\x00abcdefgh", "\x00ABCDEF", "ABCDEF", "\x00wxyz", "wxyz"},
		"with ids": {gadgettest.HIDInterface{Descriptor: withIDs},
			"\x01abc", "\x01abc\x00\x00\x00\x00", "\x02ABCD", "\x02ABCD", "\xC8123456789", "\xC8123456789"},
		"with ids, an endpoint": {gadgettest.HIDInterface{Descriptor: withIDs, Out: true},
			"\x02abcdefg", "\x02abcdefg", "\x02ABCD", "\x02ABCD", "\xC8123456789", "\xC8123456789"},
	} {
		t.Run(name, func(t *testing.T) {
			u := gadgettest.NewHID(t, "Scale", c.device)
			u.Plug()
			h := open(t, usbDevice(t, u, 0))
			u.Input(0, []byte(c.in)...)
			hr, b := read(h, len(c.read))
			require.Equal(t, "S_OK", hr)
			require.Equal(t, c.read, string(b))
			hr, n := write(h, []byte(c.write)...)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, len(c.write), n)
			hr, _ = control(h, IOCTL_HID_SET_OUTPUT_REPORT, []byte(c.write), 0)
			require.Equal(t, "S_OK", hr)
			hr, _ = control(h, IOCTL_HID_SET_FEATURE, []byte(c.feature), 0)
			require.Equal(t, "S_OK", hr)
			// hidraw sends both in the same way: through the endpoint if there is one.
			out := gadgettest.Sent{How: "set", Kind: gadgettest.Output, Data: c.out}
			if c.device.Out {
				out = gadgettest.Sent{How: "out", Data: c.out}
			}
			require.ElementsMatch(t, []gadgettest.Sent{out, out, {How: "set", Kind: gadgettest.Feature, Data: c.set}}, u.Sent(3))
		})
	}
}

// TestUSBHIDGet asks for reports. The device may answer with fewer bytes than it
// declares; nothing is shifted then, with ids or without.
func TestUSBHIDGet(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor []byte
		id         byte
		answer     string
		want       string
	}{
		"without ids":            {withoutIDs, 0, "wxyz", "\x00wxyz"},
		"without ids, one short": {withoutIDs, 0, "wxy", "\x00wxy"},
		"without ids, zero":      {withoutIDs, 0, "\x00wx", "\x00\x00wx"},
		"without ids, one byte":  {withoutIDs, 0, "w", "\x00w"},
		"without ids, empty":     {withoutIDs, 0, "", "\x00"},
		"with ids":               {withIDs, 200, "\xC8123456789", "\xC8123456789"},
		"with ids, one short":    {withIDs, 200, "\xC812345678", "\xC812345678"},
		"with ids, only the id":  {withIDs, 200, "\xC8", "\xC8"},
		"with ids, another":      {withIDs, 2, "\x02w", "\x02w"},
	} {
		t.Run(name, func(t *testing.T) {
			type question struct {
				kind gadgettest.Kind
				id   byte
			}
			asked := make(chan question, 8)
			u := gadgettest.NewHID(t, "Scale", gadgettest.HIDInterface{Descriptor: c.descriptor,
				Get: func(k gadgettest.Kind, id byte) ([]byte, bool) {
					asked <- question{k, id}
					return []byte(c.answer), true
				}})
			u.Plug()
			h := open(t, usbDevice(t, u, 0))
			hr, b := control(h, IOCTL_HID_GET_FEATURE, []byte{c.id}, 64)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, c.want, string(b))
			require.Equal(t, question{gadgettest.Feature, c.id}, <-asked)
			if _, ok := h.(*handle).desc.ReportLength(hidreport.Input, c.id); ok { // an input report
				hr, b = control(h, IOCTL_HID_GET_INPUT_REPORT, []byte{c.id}, 64)
				require.Equal(t, "S_OK", hr)
				require.Equal(t, c.want, string(b))
				require.Equal(t, question{gadgettest.Input, c.id}, <-asked)
			}
		})
	}
}

// TestUSBHIDRefuses: the device stalls.
func TestUSBHIDRefuses(t *testing.T) {
	u := gadgettest.NewHID(t, "Scale", gadgettest.HIDInterface{Descriptor: withIDs})
	u.Plug()
	h := open(t, usbDevice(t, u, 0))
	hr, b := control(h, IOCTL_HID_GET_FEATURE, []byte{1}, 64)
	require.Equal(t, "ERROR_GEN_FAILURE", hr)
	require.Empty(t, b)
}

// TestUSBHIDUnplug: whatever is pending when the device goes, or comes just afterwards,
// says so.
func TestUSBHIDUnplug(t *testing.T) {
	silent := func(gadgettest.Kind, byte) ([]byte, bool) { return nil, false }
	u := gadgettest.NewHID(t, "Scale", gadgettest.HIDInterface{Descriptor: withIDs, Get: silent})
	for n := range 10 {
		u.Plug()
		d := usbDevice(t, u, 0)
		h, idle := open(t, d), open(t, d)
		reads := start(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 8)})
		asks := start(h, &pnp.Request{Op: pnp.OpIOControl, Code: IOCTL_HID_GET_FEATURE, In: []byte{1}, Out: make([]byte, 64)})
		u.Asked(n + 1)
		u.Unplug()
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), within(reads).hr.Name())
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), within(asks).hr.Name())
		for _, h := range []pnp.Handle{h, idle} {
			hr, _ := read(h, 8)
			require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
			hr, _ = write(h, 2, 'a', 'b', 'c', 'd')
			require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
			hr, _ = control(h, IOCTL_HID_SET_FEATURE, append([]byte{1}, make([]byte, 9)...), 0)
			require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
			hr, _ = control(h, IOCTL_HID_GET_FEATURE, []byte{1}, 64)
			require.Equal(t, "ERROR_DEVICE_NOT_CONNECTED", hr)
		}
		_, err := d.Open(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: pnp.OPEN_EXISTING})
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name(), "%v", err)
	}
}
