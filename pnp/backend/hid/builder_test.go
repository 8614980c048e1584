// SPDX-License-Identifier: Apache-2.0

package hid

// field is one data field of a report, of whole bytes.
type field struct {
	kind  Kind
	id    uint8 // 0 for none
	bytes int
}

// descriptor is the report descriptor of a vendor's device with these fields, as
// the kernel accepts it.
func descriptor(fields ...field) []byte {
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
		b = append(b, [kinds]byte{0x81, 0x91, 0xB1}[f.kind], 0x02)
	}
	return append(b, 0xC0) // End Collection
}

// The devices that the tests use, fake and real.
var (
	withoutIDs = descriptor(field{Input, 0, 8}, field{Output, 0, 6}, field{Feature, 0, 4})
	withIDs    = descriptor(
		field{Input, 1, 3}, field{Output, 1, 2}, field{Feature, 1, 5},
		field{Input, 2, 7}, field{Output, 2, 4}, field{Feature, 2, 1},
		field{Feature, 200, 9})
	large       = descriptor(field{Input, 0, 4000}, field{Output, 0, 4000}, field{Feature, 0, 4000})
	featureOnly = descriptor(field{Feature, 7, 16})
	// bytewise has reports of one byte, from which tests make a stream.
	bytewise = descriptor(field{Input, 0, 1}, field{Output, 0, 8}, field{Feature, 0, 8})
)
