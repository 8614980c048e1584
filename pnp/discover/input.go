// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"math/bits"
	"path"
	"slices"
	"strconv"
	"strings"

	"freerdp-pnpdr/pnp/internal/hidreport"
)

// Why a function of a USB device is not eligible although it is neither a keyboard nor a
// pointing device itself.
const (
	becauseBesideKeyboard = "part of a device that is also a keyboard: what is typed may pass through it"
	becauseBesidePointer  = "part of a device that is also a pointing device, which drives the local desktop"
)

// Codes of linux/input-event-codes.h.
const (
	keyEnter = 28
	keySpace = 57

	buttonMouse, buttonTask = 0x110, 0x117 // the first and last button of a mouse
	toolPen, toolFinger     = 0x140, 0x145
	buttonTouch             = 0x14a
	buttonStylus            = 0x14b

	relX, relY     = 0, 1
	absX, absY     = 0, 1
	absMTX, absMTY = 0x35, 0x36

	propPointer, propDirect = 0, 1
)

// typing are the ranges of keys that something is typed with: digits, letters, and
// the digits of the keypad. Media keys are not among them, nor are the keys that
// Linux makes of the controls of a headset or a monitor.
var typing = [][2]int{
	{2, 11}, {16, 25}, {30, 38}, {44, 50}, {71, 73}, {75, 77}, {79, 82},
	{keyEnter, keyEnter}, {keySpace, keySpace},
}

// bitmap is a set of codes as sysfs shows it: words in hexadecimal, the most
// significant first.
type bitmap []uint

func parseBitmap(text string) bitmap {
	var b bitmap
	for _, word := range strings.Fields(text) {
		n, err := strconv.ParseUint(word, 16, bits.UintSize) // the kernel's words are as long as the reader's
		if err != nil {
			return nil
		}
		b = append(b, uint(n))
	}
	slices.Reverse(b)
	return b
}

func (b bitmap) has(code int) bool {
	word := code / bits.UintSize
	return word < len(b) && b[word]>>(code%bits.UintSize)&1 != 0
}

func (b bitmap) hasAny(first, last int) bool {
	for code := first; code <= last; code++ {
		if b.has(code) {
			return true
		}
	}
	return false
}

// inputUse says what an input device of the kernel does on the local desktop:
// becauseKeyboard, becausePointer, or "" for neither. Like udev it goes by the codes
// that the device can send. A game pad is neither; its touch pad is a pointer.
func (s *scan) inputUse(dir string) string {
	read := func(name ...string) bitmap {
		return parseBitmap(s.fs.Line(append([]string{dir}, name...)...))
	}
	keys := read("capabilities", "key")
	if slices.ContainsFunc(typing, func(r [2]int) bool { return keys.hasAny(r[0], r[1]) }) {
		return becauseKeyboard
	}
	rel, abs, properties := read("capabilities", "rel"), read("capabilities", "abs"), read("properties")
	button := keys.hasAny(buttonMouse, buttonTask)
	touch := keys.has(toolPen) || keys.has(toolFinger) || keys.has(buttonTouch) || keys.has(buttonStylus) ||
		properties.has(propPointer) || properties.has(propDirect)
	absolute := abs.has(absX) && abs.has(absY) || abs.has(absMTX) && abs.has(absMTY)
	if rel.has(relX) && rel.has(relY) && button || absolute && (button || touch) {
		return becausePointer
	}
	return ""
}

// inputsBelow says what the kernel's input devices below dir do on the local desktop,
// whatever lies between: a receiver has those of the keyboards behind it.
func (s *scan) inputsBelow(dir string) string {
	if s.inputs == nil {
		s.inputs = []string{}
		for _, name := range s.fs.List("class/input") {
			if target := s.fs.Target("class/input", name); strings.HasPrefix(name, "input") && target != "" {
				s.inputs = append(s.inputs, path.Join("class/input", target))
			}
		}
	}
	use := ""
	for _, input := range s.inputs {
		if use != becauseKeyboard && isBelow(input, dir) {
			use = stronger(use, s.inputUse(input))
		}
	}
	return use
}

// stronger returns the more serious one of two uses.
func stronger(a, b string) string {
	if a == becauseKeyboard || b != becauseKeyboard && a != "" {
		return a
	}
	return b
}

// usbUse says what a USB device as a whole does on the local desktop: by what its
// interfaces say of themselves, by their report descriptors, and by the input devices
// that the kernel has made.
func (s *scan) usbUse(u *usbDevice) string {
	if u.judged {
		return u.use
	}
	u.judged = true
	u.use = s.inputsBelow(u.path)
	for _, i := range u.interfaces {
		if i.class != classHID {
			continue
		}
		u.use = stronger(u.use, bootUse(i.usbClass))
		for _, name := range i.children {
			if !strings.Contains(name, ":") { // not a HID device
				continue
			}
			report, err := hidreport.Parse(s.fs.Read(hidreport.MaxDescriptor+1, i.path, name, "report_descriptor"))
			if err == nil {
				if use := desktopUse(report); use == becauseKeyboard || use == becausePointer {
					u.use = stronger(u.use, use)
				}
			}
		}
	}
	return u.use
}

// excludeShared excludes a function of a USB device that is also a keyboard or a
// pointing device: what is typed may pass through it, as through the vendor interface
// of a wireless receiver.
func (s *scan) excludeShared(d *Device, u *usbDevice) {
	if u == nil || d.Excluded != "" && !d.Unserved() {
		return
	}
	switch s.usbUse(u) {
	case becauseKeyboard:
		d.Excluded = becauseBesideKeyboard
	case becausePointer:
		d.Excluded = becauseBesidePointer
	}
}
