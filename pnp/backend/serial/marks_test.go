// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// TestMarker splits every stream at every place.
func TestMarker(t *testing.T) {
	for in, want := range map[string]string{
		"abc":                      "abc",
		"a\xff\xffb":               "a\xffb",
		"a\xff\x00bc":              "a(bad 62)c",
		"a\xff\x00\x00b":           "a(break)b",
		"\xff\xff\x00\x00":         "\xff\x00\x00",
		"\xff\x00\xff\xff\xff\x00": "(bad ff)\xff\x00",
		"\xff\x00\x00\xff\x00\x01": "(break)(bad 01)",
		"a\xffb":                   "ab", // the kernel makes no such mark
	} {
		for at := range len(in) + 1 {
			var m marker
			got := ""
			for _, part := range []string{in[:at], in[at:]} {
				m.scan([]byte(part),
					func(c byte) { got += string([]byte{c}) },
					func(c byte) { got += fmt.Sprintf("(bad %02x)", c) },
					func() { got += "(break)" })
			}
			require.Equal(t, want, got, "%q split at %d", in, at)
		}
	}
}

// come makes the port receive data as a terminal with PARMRK reads it.
func (o *opened) come(data string) {
	o.h.rx.device.Lock()
	o.h.q.Lock()
	o.h.arrived([]byte(data))
	o.h.serve(false)
	o.h.rx.device.Unlock()
	o.h.q.Unlock()
}

func (o *opened) handflow(control, replace uint32) {
	o.t.Helper()
	o.set(IOCTL_SERIAL_SET_HANDFLOW, control, replace, 0, 0)
}

func TestBadBytesAndBreaks(t *testing.T) {
	const in = "a\x00\xff\xffb\xff\x00c\xff\x00\x00d"
	for _, c := range []struct {
		replace uint32
		want    string
	}{
		{SERIAL_ERROR_CHAR, "a\x00\xffbE\x00d"},
		{SERIAL_BREAK_CHAR, "a\x00\xffbcBd"},
		{SERIAL_ERROR_CHAR | SERIAL_BREAK_CHAR, "a\x00\xffbEBd"},
		{SERIAL_ERROR_CHAR | SERIAL_NULL_STRIPPING, "a\xffbEd"},
		{SERIAL_BREAK_CHAR | SERIAL_NULL_STRIPPING, "a\xffbcBd"},
	} {
		o := openBench(t)
		o.control(IOCTL_SERIAL_SET_CHARS, []byte{0, 'E', 'B', 0, 0x11, 0x13}, 0).ends(pnp.S_OK, "")
		o.handflow(0, c.replace)
		r := o.read(len(c.want))
		o.come(in)
		r.ends(pnp.S_OK, c.want)
		require.EqualValues(t, SERIAL_ERROR_FRAMING|SERIAL_ERROR_BREAK, o.status().Errors)
		require.Zero(t, o.status().Errors)
		o.control(IOCTL_SERIAL_SET_LINE_CONTROL, []byte{STOP_BIT_1, EVEN_PARITY, 8}, 0).ends(pnp.S_OK, "")
		o.come("\xff\x00x")
		require.EqualValues(t, SERIAL_ERROR_PARITY, o.status().Errors)
		o.close()
	}
}

// TestMarksOfTheKernel uses marks that the kernel makes.
func TestMarksOfTheKernel(t *testing.T) {
	o := openBench(t)
	// Data that came before the marks is not searched for them.
	o.feed([]byte("\xff\x00a"))
	o.arrived(3)
	o.handflow(0, SERIAL_ERROR_CHAR)
	o.feed([]byte("\xffb\xff\x00"))
	o.read(7).ends(pnp.S_OK, "\xff\x00a\xffb\xff\x00")
	// And the other way round.
	o.feed([]byte("\xff"))
	o.arrived(2)
	o.handflow(0, 0)
	o.feed([]byte("\xff\xff"))
	o.read(3).ends(pnp.S_OK, "\xff\xff\xff")
}

func TestNullStripping(t *testing.T) {
	o := openBench(t)
	o.handflow(0, SERIAL_NULL_STRIPPING)
	r := o.read(3)
	o.feed([]byte("\x00a\x00\x00b"))
	o.feed([]byte("\x00c"))
	r.ends(pnp.S_OK, "abc")
}

// TestErrorAbort: an error aborts pending and later requests until the application has
// asked for it.
func TestErrorAbort(t *testing.T) {
	o := openBench(t)
	o.handflow(SERIAL_ERROR_ABORT, 0)
	r, w := o.read(10), o.write(make([]byte, 1<<18))
	o.come("a\xff\x00b")
	r.ends(pnp.ERROR_OPERATION_ABORTED, "")
	w.wait()
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED.Name(), w.hr.Name())
	o.read(1).ends(pnp.ERROR_OPERATION_ABORTED, "")
	o.write([]byte("x")).wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	o.control(IOCTL_SERIAL_GET_TIMEOUTS, nil, sizeTimeouts).ends(pnp.ERROR_OPERATION_ABORTED, "")
	require.EqualValues(t, SERIAL_ERROR_FRAMING, o.status().Errors)
	o.read(2).ends(pnp.S_OK, "ab")
}
