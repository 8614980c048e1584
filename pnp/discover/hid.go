// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"slices"
	"strconv"
	"strings"

	"freerdp-pnpdr/pnp/internal/hidreport"
)

// Buses of HID devices (linux/input.h).
const (
	busUSB       = 0x03
	busBluetooth = 0x05
	busVirtual   = 0x06
	busI2C       = 0x18
)

// hidID is who a HID device is. It is zero if that is not known.
type hidID struct{ bus, vendor, product uint16 }

// parseHIDID reads HID_ID of a HID device's uevent: the three as hexadecimal
// numbers with colons between them.
func parseHIDID(s string) hidID {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return hidID{}
	}
	var n [3]uint16
	for i, part := range parts {
		wide, err := strconv.ParseUint(part, 16, 32)
		if err != nil {
			return hidID{}
		}
		n[i] = uint16(wide) // more have no meaning
	}
	return hidID{n[0], n[1], n[2]}
}

// Pages of the HID usage tables.
const (
	pageDesktop   = 0x01
	pageKeyboard  = 0x07
	pageConsumer  = 0x0c
	pageDigitizer = 0x0d
	pageFIDO      = 0xf1d0
)

// What drives the local desktop, by the usages of its collections.
var (
	keyboards = []hidreport.Range{{Page: pageDesktop, First: 6, Last: 7}}
	mice      = []hidreport.Range{{Page: pageDesktop, First: 2, Last: 2}}
	pointers  = []hidreport.Range{
		{Page: pageDesktop, First: 1, Last: 2},
		{Page: pageDigitizer, First: 1, Last: 6}, // tablets, pens, touch screens and pads
	}
	controls = []hidreport.Range{
		{Page: pageConsumer, First: 1, Last: 1},
		{Page: pageDesktop, First: 0x80, Last: 0x80},
		{Page: pageDesktop, First: 0x0c, Last: 0x0c},
	}
	// inputs are the collections that make Linux take a HID device for an
	// input device, with all its reports (IS_INPUT_APPLICATION in linux/hid.h).
	inputs = []hidreport.Range{
		{Page: pageDesktop, First: 0, Last: 8},
		{Page: pageDigitizer, First: 1, Last: 6},
		{Page: pageDesktop, First: 0x80, Last: 0x80},
		{Page: pageDesktop, First: 0x0c, Last: 0x0c},
		{Page: pageConsumer, First: 1, Last: 1},
	}
	// keys are those on a keyboard; the usages before are none.
	keys = []hidreport.Range{{Page: pageKeyboard, First: 4, Last: 0xffff}}
	// fido are the collections of a security key.
	fido = []hidreport.Range{{Page: pageFIDO, First: 0, Last: 0xffff}}
)

// meet reports whether there is a usage in both lists.
func meet(a, b []hidreport.Range) bool {
	return slices.ContainsFunc(a, func(r hidreport.Range) bool {
		return slices.ContainsFunc(b, r.Meets)
	})
}

// desktopUse says how a device drives the local desktop: "" if it does not. One
// keyboard or pointing device among its collections is enough, as they share one
// node, and wherever it is; media keys only count if there is nothing else. A
// descriptor that can be read in more than one way counts by each.
func desktopUse(d *hidreport.Descriptor) string {
	var keyboard, pointer, control, other, input bool
	for _, c := range d.Collections {
		top := c.Depth == 0
		switch {
		case top, c.Type == hidreport.Application:
			keyboard = keyboard || meet(c.Usages, keyboards)
			pointer = pointer || meet(c.Usages, pointers)
		case c.Type == hidreport.Physical: // game pads have pointers in them
			keyboard = keyboard || meet(c.Usages, keyboards)
			pointer = pointer || meet(c.Usages, mice)
		}
		if top {
			is := meet(c.Usages, controls)
			control, other = control || is, other || !is
		}
		if c.Type == hidreport.Application || c.Type == hidreport.Physical {
			input = input || meet(c.Usages, inputs)
		}
	}
	switch {
	case keyboard, input && meet(d.Inputs, keys):
		return becauseKeyboard
	case pointer:
		return becausePointer
	case control && !other:
		return becauseControls
	}
	return ""
}

// bootUse is desktopUse of a USB interface that firmware can use. The protocol means
// something for the boot subclass only.
func bootUse(c usbClass) string {
	if c.class == classHID && c.sub == 1 {
		switch c.protocol {
		case 1:
			return becauseKeyboard
		case 2:
			return becausePointer
		}
	}
	return ""
}

// whyNotHID says why a HID device is not eligible.
func whyNotHID(c usbClass, report *hidreport.Descriptor, err error) string {
	if use := bootUse(c); use != "" {
		return use
	}
	switch {
	case err != nil:
		return becauseReport
	case len(report.Collections) == 0:
		return becauseNoUse
	}
	isFIDO := func(c hidreport.Collection) bool { return meet(c.Usages, fido) }
	switch use := desktopUse(report); {
	case use == becauseKeyboard, use == becausePointer:
		return use
	case slices.ContainsFunc(report.Collections, isFIDO):
		return becauseFIDO
	default:
		return use
	}
}
