// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/discover"
)

// What ids say, in the forms that Windows makes: USB\VID_0403&PID_6001&REV_0600&MI_00,
// HID\VID_05E0&PID_1200, HID\{00001124-…}_VID&00020001_PID&05C4,
// FTDIBUS\COMPORT&VID_0403&PID_6001, USB\Class_07&SubClass_01&Prot_02.
var (
	vidPattern       = regexp.MustCompile(`(?i)[\\&_]VID[_&](?:000[12])?([0-9A-F]{4})(?:[&_]|$)`)
	pidPattern       = regexp.MustCompile(`(?i)[&_]PID[_&]([0-9A-F]{4})(?:&|$)`)
	revPattern       = regexp.MustCompile(`(?i)&REV_([0-9A-F]{4})(?:&|$)`)
	interfacePattern = regexp.MustCompile(`(?i)&MI_([0-9A-F]{2})(?:&|$)`)
	classPattern     = regexp.MustCompile(`(?i)^USB\\Class_([0-9A-F]{2})(?:&SubClass_([0-9A-F]{2}))?(?:&Prot_([0-9A-F]{2}))?$`)
)

const classHID = 3

// found returns what the description says in the form in which rules know devices.
func found(desc *pnp.Description) *discover.Device {
	d := &discover.Device{Product: desc.Name, Interface: -1, Description: *desc}
	for _, id := range desc.HardwareIDs {
		number(vidPattern, id, &d.VendorID)
		number(pidPattern, id, &d.ProductID)
		number(revPattern, id, &d.Revision)
		var n uint16
		if number(interfacePattern, id, &n) {
			d.Interface, d.Composite = int(n), true
		}
		if bus := busOf(id); d.Bus == "" {
			d.Bus = bus
		}
		if prefix(id, `HID\`) {
			d.Subsystem = "hidraw"
			if d.Bus == "usb" {
				d.Class = classHID
			}
		}
	}
	for _, id := range slices.Concat(desc.CompatibleIDs, desc.HardwareIDs) {
		m := classPattern.FindStringSubmatch(id)
		if m == nil {
			continue
		}
		// The most specific one comes first.
		d.Bus, d.Class, d.SubClass, d.Protocol = "usb", hex8(m[1]), hex8(m[2]), hex8(m[3])
		break
	}
	return d
}

// busOf returns the bus that an id tells of; "" for none.
func busOf(id string) string {
	switch {
	case prefix(id, `USB\`), prefix(id, `FTDIBUS\`):
		return "usb"
	case prefix(id, `HID\{00001124-`), prefix(id, `BTHENUM\`):
		return "bluetooth"
	case prefix(id, `HID\`) && revPattern.MatchString(id):
		return "usb" // only there do HID devices have revisions
	case prefix(id, `*PNP`), prefix(id, `ACPI\`):
		return "pnp"
	}
	return ""
}

func prefix(s, p string) bool { return len(s) >= len(p) && strings.EqualFold(s[:len(p)], p) }

// number takes the first number of that kind. It reports whether there is one.
func number(pattern *regexp.Regexp, id string, n *uint16) bool {
	m := pattern.FindStringSubmatch(id)
	if m == nil {
		return false
	}
	if *n == 0 {
		v, _ := strconv.ParseUint(m[1], 16, 16) // the pattern has checked it
		*n = uint16(v)
	}
	return true
}

func hex8(s string) uint8 {
	v, _ := strconv.ParseUint(s, 16, 8) // the pattern has checked it; "" is 0
	return uint8(v)
}
