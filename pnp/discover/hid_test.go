// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/internal/hidreport"
	"freerdp-pnpdr/pnp/internal/hidreport/hidreporttest"
)

// judgeReport is what discovery says of a device that has this descriptor, and
// no boot protocol.
func judgeReport(b []byte) string {
	report, err := hidreport.Parse(b)
	return whyNotHID(usbClass{}, report, err)
}

func TestDesktopUse(t *testing.T) {
	for _, s := range hidreporttest.Samples() {
		t.Run(s.Name, func(t *testing.T) {
			got := judgeReport(s.Descriptor)
			require.Contains(t, got, s.Use)
			require.Equal(t, s.Use == hidreporttest.Other, got == "", got)
		})
	}
	for why, b := range hidreporttest.Malformed() {
		require.Equal(t, becauseReport, judgeReport(b), why)
	}
}

// TestBootProtocol: what firmware takes for a keyboard or a mouse is one,
// whatever else it says.
func TestBootProtocol(t *testing.T) {
	report, err := hidreport.Parse(hidreporttest.Vendor(hidreporttest.Input(0, 8)))
	require.NoError(t, err)
	for c, want := range map[usbClass]string{
		{classHID, 1, 1}: becauseKeyboard, {classHID, 1, 2}: becausePointer,
		{classHID, 1, 0}: "", {classHID, 0, 1}: "", {classHID, 0, 2}: "", {classVendor, 1, 1}: "",
	} {
		require.Equal(t, want, whyNotHID(c, report, nil))
		if want == "" {
			want = becauseReport
		}
		_, err := hidreport.Parse(nil)
		require.Equal(t, want, whyNotHID(c, nil, err))
	}
}

func TestHIDID(t *testing.T) {
	for text, want := range map[string]hidID{
		"0003:0000046D:0000C31C": {busUSB, 0x046d, 0xc31c},
		"0018:000004f3:00003134": {busI2C, 0x04f3, 0x3134},
		"0005:FFFF046D:1":        {busBluetooth, 0x046d, 1},
		"":                       {}, "0003": {}, "0003:1": {}, "0003:1:2:3": {}, "0003:1:x": {}, "0003::1": {},
		"0003:100000000:1": {},
	} {
		require.Equal(t, want, parseHIDID(text), text)
	}
}

// FuzzDesktopUse has what is a keyboard or a pointing device to Linux, and what
// Linux makes no device of.
func FuzzDesktopUse(f *testing.F) {
	for _, s := range hidreporttest.Samples() {
		f.Add(s.Descriptor)
	}
	for _, b := range hidreporttest.Malformed() {
		f.Add(b)
	}
	f.Fuzz(compareWithLinux)
}

func TestDesktopUseOfRandomDevices(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		compareWithLinux(t, hidreporttest.Random(r))
	}
}

func compareWithLinux(t *testing.T, b []byte) {
	l := linux{bits: make(map[[2]uint32]uint32)}
	if len(b) > hidreport.MaxDescriptor || !l.parse(b) {
		return // no driver has it
	}
	got := judgeReport(b)
	switch {
	case got == becauseReport:
		t.Fatalf("%x: Linux has a device", b)
	case (l.keyboard || l.input && l.keys) && got != becauseKeyboard:
		t.Fatalf("%x: %q, a keyboard to Linux", b, got)
	case l.pointer && got != becauseKeyboard && got != becausePointer:
		t.Fatalf("%x: %q, a pointing device to Linux", b, got)
	}
}

// linux has what Linux 6 makes of a report descriptor: of collections and fields as
// hid-core.c does, of input devices as hid-input.c does.
type linux struct {
	keyboard, pointer bool // there is an application collection of that usage
	input             bool // it is an input device
	keys              bool // it has keys if so

	page, id, size, count uint32
	pushed                [][4]uint32
	open                  int
	bits                  map[[2]uint32]uint32 // of a report

	usages          []linuxUsage
	minimum         uint32
	delimiter, pair int
}

type linuxUsage struct {
	value uint32
	short bool
}

const linuxMaxUsages = 12288

// parse reports whether Linux takes the descriptor.
func (l *linux) parse(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) > 0 {
		prefix, size := b[0], []int{0, 1, 2, 4}[b[0]&3]
		if prefix>>4 == 15 || len(b) < 1+size {
			return false // a long item, or cut off
		}
		var data [4]byte
		copy(data[:], b[1:1+size])
		if !l.item(prefix&^3, binary.LittleEndian.Uint32(data[:]), size <= 2) {
			return false
		}
		b = b[1+size:]
	}
	return l.open == 0 && l.delimiter == 0
}

func (l *linux) item(tag byte, value uint32, short bool) bool {
	switch tag >> 2 & 3 {
	case 0:
		return l.main(tag, value)
	case 1:
		return l.global(tag, value)
	case 2:
		return l.local(tag, value, short)
	}
	return true
}

func (l *linux) global(tag byte, value uint32) bool {
	switch tag {
	case 0x04:
		l.page = value & 0xffff
	case 0x74:
		l.size = value
		return value <= 256
	case 0x84:
		l.id = value
		return value > 0 && value < 256
	case 0x94:
		l.count = value
		return value <= linuxMaxUsages
	case 0xa4:
		l.pushed = append(l.pushed, [4]uint32{l.page, l.id, l.size, l.count})
		return len(l.pushed) <= 4
	case 0xb4:
		if len(l.pushed) == 0 {
			return false
		}
		last := l.pushed[len(l.pushed)-1]
		l.page, l.id, l.size, l.count = last[0], last[1], last[2], last[3]
		l.pushed = l.pushed[:len(l.pushed)-1]
	default:
		return tag < 0x74 // minima, maxima and units
	}
	return true
}

func (l *linux) local(tag byte, value uint32, short bool) bool {
	switch tag {
	case 0xa8:
		if value == 0 {
			l.delimiter--
			return l.delimiter == 0
		}
		l.delimiter++
		l.pair++
		return l.delimiter == 1
	case 0x08:
		return l.pair > 1 || l.add(value, short)
	case 0x18:
		if l.pair <= 1 {
			l.minimum = value
		}
	case 0x28:
		if l.pair > 1 {
			return true
		}
		if value-l.minimum+uint32(len(l.usages)) >= linuxMaxUsages {
			value = linuxMaxUsages - uint32(len(l.usages)) + l.minimum - 1
		}
		for n := l.minimum; n <= value; n++ {
			if !l.add(n, short) {
				return false
			}
		}
	}
	return true
}

func (l *linux) add(value uint32, short bool) bool {
	if len(l.usages) >= linuxMaxUsages {
		return false
	}
	if short {
		value = value&0xffff | l.page<<16
	}
	l.usages = append(l.usages, linuxUsage{value, short})
	return true
}

func (l *linux) main(tag byte, value uint32) bool {
	for n := len(l.usages) - 1; n >= 0; n-- {
		if u := &l.usages[n]; u.short {
			if u.value>>16 == l.page {
				break
			}
			u.value = u.value&0xffff | l.page<<16
		}
	}
	first := uint32(0)
	if len(l.usages) > 0 {
		first = l.usages[0].value
	}
	switch tag {
	case 0xa0:
		l.open++
		application := value&0xff == 1
		if application || value&0xff == 0 {
			l.input = l.input || first >= 0x10000 && first <= 0x10008 || first >= 0xd0001 && first <= 0xd0006 ||
				first == 0x10080 || first == 0xc0001 || first == 0x1000c
		}
		l.keyboard = l.keyboard || application && (first == 0x10006 || first == 0x10007)
		l.pointer = l.pointer || application && (first == 0x10001 || first == 0x10002 || first >= 0xd0001 && first <= 0xd0006)
	case 0xc0:
		if l.open == 0 {
			return false
		}
		l.open--
	case 0x80, 0x90, 0xb0:
		report := [2]uint32{uint32(tag), l.id}
		l.bits[report] += l.size * l.count
		if l.bits[report] > (16384-1)*8 {
			return false
		}
		for _, u := range l.usages {
			l.keys = l.keys || tag == 0x80 && value&1 == 0 && l.count > 0 && u.value>>16 == 7 && u.value&0xffff >= 4
		}
	}
	l.usages, l.minimum, l.delimiter, l.pair = l.usages[:0], 0, 0, 0
	return true
}
