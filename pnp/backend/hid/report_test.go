// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/hidreport"
)

func TestWrites(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor, data []byte
		want             string
		n                int
		sent             string // to the device
	}{
		"exactly":                    {withoutIDs, []byte{0, 1, 2, 3, 4, 5, 6}, "S_OK", 7, "\x00\x01\x02\x03\x04\x05\x06"},
		"more":                       {withoutIDs, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8}, "S_OK", 7, "\x00\x01\x02\x03\x04\x05\x06"},
		"less":                       {withoutIDs, []byte{0, 1, 2, 3, 4, 5}, "ERROR_INVALID_PARAMETER", 0, ""},
		"an id for a device without": {withoutIDs, []byte{9, 1, 2, 3, 4, 5, 6}, "S_OK", 7, "\x00\x01\x02\x03\x04\x05\x06"},
		"the longest":                {withIDs, []byte{2, 1, 2, 3, 4}, "S_OK", 5, "\x02\x01\x02\x03\x04"},
		"a shorter one padded":       {withIDs, []byte{1, 1, 2, 3, 4}, "S_OK", 3, "\x01\x01\x02"},
		"a shorter one":              {withIDs, []byte{1, 1, 2}, "ERROR_INVALID_PARAMETER", 0, ""},
		"not declared":               {withIDs, []byte{3, 1, 2, 3, 4}, "ERROR_INVALID_PARAMETER", 0, ""},
		"no id":                      {withIDs, []byte{0, 1, 2, 3, 4}, "ERROR_INVALID_PARAMETER", 0, ""},
		"no output reports":          {featureOnly, []byte{7, 1}, "ERROR_INVALID_FUNCTION", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.descriptor)
			h := open(t, f.device(false))
			before := bytes.Clone(c.data)
			hr, n := write(h, c.data...)
			require.Equal(t, c.want, hr)
			require.Equal(t, c.n, n)
			require.Equal(t, before, c.data, "what is written is not the device's to change")
			hr, _ = control(h, IOCTL_HID_SET_OUTPUT_REPORT, c.data, 0)
			require.Equal(t, c.want, hr)
			if c.sent == "" {
				require.Empty(t, f.received())
			} else {
				require.Equal(t, []sent{{"write", hidreport.Output, c.sent}, {"set", hidreport.Output, c.sent}}, f.received())
			}
		})
	}
}

func TestSetFeature(t *testing.T) {
	f := newFake(t, withIDs)
	h := open(t, f.device(false))
	for _, c := range []struct {
		in   []byte
		want string
	}{
		{nil, invalidUserBuffer},
		{[]byte{1}, "ERROR_INVALID_PARAMETER"},
		{make([]byte, 10), "ERROR_INVALID_PARAMETER"}, // id 0
		{append([]byte{2, 22}, make([]byte, 7)...), "ERROR_INVALID_PARAMETER"},
		{append([]byte{2, 22}, make([]byte, 8)...), "S_OK"},
		{append([]byte{200, 1}, make([]byte, 30)...), "S_OK"},
	} {
		hr, out := control(h, IOCTL_HID_SET_FEATURE, c.in, 5)
		require.Equal(t, c.want, hr, "% x", c.in)
		require.Empty(t, out)
	}
	require.Equal(t, []sent{{"set", hidreport.Feature, "\x02\x16"}, {"set", hidreport.Feature, "\xc8\x01\x00\x00\x00\x00\x00\x00\x00\x00"}}, f.received())
}

// TestGetReportOfOutputBuffer passes the report id where Windows looks for it.
func TestGetReportOfOutputBuffer(t *testing.T) {
	f := newFake(t, withIDs)
	f.set(func() { f.get = func(_ hidreport.Kind, b []byte) (int, error) { return len(b), nil } })
	h := open(t, f.device(false))
	for _, c := range []struct {
		in    []byte
		first byte
		want  string
	}{
		{nil, 2, "S_OK"},
		{[]byte{2, 9}, 2, "S_OK"},
		{[]byte{9}, 2, "S_OK"},
		{[]byte{2}, 0, "S_OK"},
		{[]byte{2}, 9, "ERROR_INVALID_PARAMETER"},
		{nil, 0, "ERROR_INVALID_PARAMETER"},
	} {
		out := make([]byte, 100)
		out[0], out[1] = c.first, 0xCD
		hr, reply := controlSending(h, IOCTL_HID_GET_FEATURE, c.in, out)
		require.Equal(t, c.want, hr, "%+v", c)
		if hr == "S_OK" {
			require.Equal(t, []byte{2, 0}, reply, "the rest of the buffer is not the device's")
		}
	}
	information := bytes.Repeat([]byte{0xCD}, 12)
	hr, reply := controlSending(h, IOCTL_HID_GET_COLLECTION_INFORMATION, nil, information)
	require.Equal(t, "S_OK", hr)
	require.NotContains(t, reply[:6], byte(0xCD))
}

func TestGetReports(t *testing.T) {
	type answer struct {
		data string
		err  error
	}
	for name, c := range map[string]struct {
		descriptor []byte
		code       uint32
		in         []byte
		out        int
		asked      []byte // nil if the device is not asked
		answer     answer
		want       string
		reply      []byte
	}{
		"feature with id": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2, 9, 9}, 2, []byte{2, 0},
			answer{"\x02\x55", nil}, "S_OK", []byte{2, 0x55}},
		"short answer": {withIDs, IOCTL_HID_GET_FEATURE, []byte{1}, 100, []byte{1, 0, 0, 0, 0, 0},
			answer{"\x01\x07", nil}, "S_OK", []byte{1, 7}},
		"input with id": {withIDs, IOCTL_HID_GET_INPUT_REPORT, []byte{1}, 4, []byte{1, 0, 0, 0},
			answer{"\x01\x02\x03\x04", nil}, "S_OK", []byte{1, 2, 3, 4}},
		"output with id": {withIDs, IOCTL_HID_GET_OUTPUT_REPORT, []byte{1}, 3, []byte{1, 0, 0},
			answer{"\x01\x02\x03", nil}, "S_OK", []byte{1, 2, 3}},
		"no room": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2}, 0, nil,
			answer{}, invalidUserBuffer, []byte{}},
		"not enough room": {withIDs, IOCTL_HID_GET_FEATURE, []byte{1}, 5, nil,
			answer{}, "ERROR_INVALID_PARAMETER", []byte{}},
		"not declared": {withIDs, IOCTL_HID_GET_FEATURE, []byte{3}, 100, nil,
			answer{}, "ERROR_INVALID_PARAMETER", []byte{}},
		"which of several": {withIDs, IOCTL_HID_GET_FEATURE, nil, 100, nil,
			answer{}, "ERROR_INVALID_PARAMETER", []byte{}},
		"the only one": {featureOnly, IOCTL_HID_GET_FEATURE, nil, 17, append([]byte{7}, make([]byte, 16)...),
			answer{"\x07\x01", nil}, "S_OK", []byte{7, 1}},
		"no such kind": {featureOnly, IOCTL_HID_GET_INPUT_REPORT, nil, 0, nil,
			answer{}, "ERROR_INVALID_FUNCTION", []byte{}},
		"without ids, as USB answers": {withoutIDs, IOCTL_HID_GET_FEATURE, []byte{0}, 5, []byte{0, 0, 0, 0, 0},
			answer{"\x00abcd", nil}, "S_OK", []byte("\x00abcd")},
		"without ids, as Bluetooth answers": {withoutIDs, IOCTL_HID_GET_FEATURE, []byte{0}, 5, []byte{0, 0, 0, 0, 0},
			answer{"abcd", nil}, "S_OK", []byte("\x00abcd")},
		"without ids, the first byte stays": {withoutIDs, IOCTL_HID_GET_FEATURE, []byte{0x5A}, 9, []byte{0, 0, 0, 0, 0},
			answer{"\x00abcd", nil}, "S_OK", []byte("\x5Aabcd")},
		"without ids, an empty answer": {withoutIDs, IOCTL_HID_GET_FEATURE, nil, 5, []byte{0, 0, 0, 0, 0},
			answer{"", nil}, "S_OK", []byte{0}},
		"stall": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2}, 2, []byte{2, 0},
			answer{"", unix.EPIPE}, "ERROR_GEN_FAILURE", []byte{}},
		"timeout": {withIDs, IOCTL_HID_GET_FEATURE, []byte{2}, 2, []byte{2, 0},
			answer{"", unix.ETIMEDOUT}, "ERROR_SEM_TIMEOUT", []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.descriptor)
			f.set(func() {
				f.get = func(_ hidreport.Kind, b []byte) (int, error) { return copy(b, c.answer.data), c.answer.err }
			})
			h := open(t, f.device(false))
			hr, out := control(h, c.code, c.in, c.out)
			require.Equal(t, c.want, hr)
			require.Equal(t, c.reply, out)
			require.Equal(t, c.asked, f.question())
		})
	}
}

// TestShortAnswers: a device without ids may answer with less than the whole report. The
// bus tells whether the first byte of the answer is an id.
func TestShortAnswers(t *testing.T) {
	const usb, bluetooth, i2c = 0x03, 0x05, 0x18
	for name, c := range map[string]struct {
		bus    uint32
		onUSB  bool
		answer string
		want   string
	}{
		"USB":                             {usb, true, "\x00abcd", "\x5Aabcd"},
		"USB, one byte short":             {usb, true, "\x00abc", "\x5Aabc"},
		"USB, two bytes short":            {usb, true, "\x00ab", "\x5Aab"},
		"USB, nothing":                    {usb, true, "", "\x5A"},
		"Bluetooth":                       {bluetooth, false, "abcd", "\x5Aabcd"},
		"Bluetooth, one byte short":       {bluetooth, false, "abc", "\x5Aabc"},
		"Bluetooth, two bytes short":      {bluetooth, false, "ab", "\x5Aab"},
		"Bluetooth, one byte too many":    {bluetooth, false, "abcde", "\x5Aabcd"},
		"Bluetooth, nothing":              {bluetooth, false, "", "\x5A"},
		"I2C":                             {i2c, false, "\x00abcd", "\x5Aabcd"},
		"I2C before Linux 5.18":           {i2c, false, "abcd", "\x5Aabcd"},
		"a program that calls itself USB": {usb, false, "abcd", "\x5Aabcd"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, withoutIDs)
			f.set(func() {
				f.facts.bus = c.bus
				f.get = func(_ hidreport.Kind, b []byte) (int, error) { return copy(b, c.answer), nil }
			})
			if c.onUSB {
				f.sysfs = makeSysfs(t, "usb1/1-2/1-2:1.0/0003:1209:ABCD.0001", map[string]string{
					"usb1/1-2/1-2:1.0/bInterfaceNumber": "00\n",
				})
			}
			h := open(t, f.device(false))
			hr, out := control(h, IOCTL_HID_GET_FEATURE, []byte{0x5A}, 9)
			require.Equal(t, "S_OK", hr)
			require.Equal(t, c.want, string(out))
		})
	}
}
