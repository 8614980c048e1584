// SPDX-License-Identifier: Apache-2.0

// Package hidreporttest has report descriptors for tests.
package hidreporttest

import "freerdp-pnpdr/pnp/internal/hidreport"

// Field is one data field of a report, of whole bytes.
type Field struct {
	kind  hidreport.Kind
	id    uint8 // 0 for none
	bytes int
}

// Input is a field of an input report. The id is 0 for a report without one.
func Input(id uint8, bytes int) Field { return Field{hidreport.Input, id, bytes} }

// Output is a field of an output report.
func Output(id uint8, bytes int) Field { return Field{hidreport.Output, id, bytes} }

// Feature is a field of a feature report.
func Feature(id uint8, bytes int) Field { return Field{hidreport.Feature, id, bytes} }

// Vendor is the report descriptor of a vendor's device with these fields, as the
// kernel accepts it.
func Vendor(fields ...Field) []byte {
	b := []byte{
		0x06, 0x00, 0xFF, // Usage Page (vendor)
		0x09, 0x01, // Usage (1)
		0xA1, 0x01, // Collection (Application)
		0x15, 0x00, 0x26, 0xFF, 0x00, // Logical 0..255
		0x75, 0x08, // Report Size (8)
	}
	for _, f := range fields {
		if f.id != 0 {
			b = append(b, 0x85, f.id) // Report ID
		}
		b = append(b, 0x96, byte(f.bytes), byte(f.bytes>>8)) // Report Count
		b = append(b, 0x09, 0x01)                            // Usage
		b = append(b, [hidreport.Kinds]byte{0x81, 0x91, 0xB1}[f.kind], 0x02)
	}
	return append(b, 0xC0) // End Collection
}
