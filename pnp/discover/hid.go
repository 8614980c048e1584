// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/binary"
	"errors"
	"slices"
)

// maxReport is the kernel's limit on report descriptors.
const maxReport = 4096

var errReport = errors.New("discover: malformed report descriptor")

// Items of a report descriptor, without their size bits (HID 1.11, 6.2.2).
const (
	itemUsagePage     = 0x04
	itemUsage         = 0x08
	itemUsageMinimum  = 0x18
	itemInput         = 0x80
	itemOutput        = 0x90
	itemCollection    = 0xa0
	itemPush          = 0xa4
	itemFeature       = 0xb0
	itemPop           = 0xb4
	itemEndCollection = 0xc0
	itemLong          = 0xfe

	collectionApplication = 1
)

// topLevel returns the usages of the top-level collections.
func topLevel(report []byte) ([]Usage, error) {
	top, _, err := applications(report)
	return top, err
}

// applications returns the usages of the application collections: those at the
// top, and those inside of other collections, which the kernel's input drivers
// heed as well.
func applications(report []byte) (found, nested []Usage, err error) {
	var (
		depth int
		page  uint16
		pages []uint16 // pushed
		usage *Usage   // the first since the last main item
	)
	for len(report) > 0 {
		prefix := report[0]
		if prefix == itemLong {
			if len(report) < 3 || len(report) < 3+int(report[1]) {
				return nil, nil, errReport
			}
			report = report[3+int(report[1]):]
			continue
		}
		size := []int{0, 1, 2, 4}[prefix&3]
		if len(report) < 1+size {
			return nil, nil, errReport
		}
		var buf [4]byte
		copy(buf[:], report[1:1+size])
		value := binary.LittleEndian.Uint32(buf[:])
		report = report[1+size:]

		switch prefix &^ 3 {
		case itemUsagePage:
			page = uint16(value)
		case itemPush:
			pages = append(pages, page)
		case itemPop:
			if len(pages) == 0 {
				return nil, nil, errReport
			}
			page, pages = pages[len(pages)-1], pages[:len(pages)-1]
		case itemUsage, itemUsageMinimum:
			if usage == nil {
				usage = &Usage{ID: uint16(value)}
				if size == 4 {
					usage.Page = uint16(value >> 16)
				}
			}
		case itemCollection:
			if value == collectionApplication {
				u := Usage{}
				if usage != nil {
					u = *usage
				}
				if u.Page == 0 {
					u.Page = page
				}
				if depth == 0 {
					found = append(found, u)
				} else {
					nested = append(nested, u)
				}
			}
			depth++
			usage = nil
		case itemEndCollection:
			if depth == 0 {
				return nil, nil, errReport
			}
			depth--
			usage = nil
		case itemInput, itemOutput, itemFeature:
			usage = nil
		}
	}
	if depth != 0 || len(found) == 0 {
		return nil, nil, errReport
	}
	return found, nested, nil
}

// Pages of the HID usage tables.
const (
	pageDesktop   = 0x01
	pageConsumer  = 0x0c
	pageDigitizer = 0x0d
)

// desktopUse says how a collection drives the local desktop: "" if it does not.
func desktopUse(u Usage) string {
	switch {
	case u.Page == pageDesktop && (u.ID == 6 || u.ID == 7):
		return becauseKeyboard
	case u.Page == pageDesktop && (u.ID == 1 || u.ID == 2):
		return becausePointer
	case u.Page == pageDigitizer && u.ID >= 1 && u.ID <= 6:
		return becausePointer // tablets, pens, touch screens and pads
	case u == Usage{pageConsumer, 1}, u == Usage{pageDesktop, 0x80}, u == Usage{pageDesktop, 0x0c}:
		return becauseControls
	}
	return ""
}

// whyNotHID says why a HID device is not eligible. One keyboard or pointing
// device among its collections is enough, as they share one node, and wherever
// it is; media keys only count if there is nothing else.
func whyNotHID(c usbClass, top, nested []Usage, err error) string {
	// Interfaces that firmware can use. The protocol means something for the
	// boot subclass only.
	if c.class == classHID && c.sub == 1 {
		switch c.protocol {
		case 1:
			return becauseKeyboard
		case 2:
			return becausePointer
		}
	}
	if err != nil {
		return becauseReport
	}
	var uses []string
	for _, u := range top {
		uses = append(uses, desktopUse(u))
	}
	other := slices.Contains(uses, "")
	for _, u := range nested {
		uses = append(uses, desktopUse(u))
	}
	for _, use := range []string{becauseKeyboard, becausePointer} {
		if slices.Contains(uses, use) {
			return use
		}
	}
	if slices.Contains(uses, becauseControls) && !other {
		return becauseControls
	}
	return ""
}
