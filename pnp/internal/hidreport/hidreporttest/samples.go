// SPDX-License-Identifier: Apache-2.0

package hidreporttest

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"

	"freerdp-pnpdr/pnp/internal/hidreport"
)

// Use is how Linux or Windows uses a device for the local desktop.
type Use string

// The uses of a device.
const (
	Other    Use = ""
	Keyboard Use = "keyboard"
	Pointer  Use = "pointing"
	Controls Use = "media or system keys"
	Security Use = "a security key"
	// Unsaid is for a descriptor without a collection.
	Unsaid Use = "does not say"
)

// Sample is a report descriptor and what a parser should find in it.
type Sample struct {
	Name       string
	Descriptor []byte
	// Top are the usages of the top-level collections.
	Top []hidreport.Usage
	Use Use
}

// Pieces of descriptors: the contents of a collection and its end.
const (
	byteIn = "75 08 95 01 81 02 C0 "                                  // a byte without a usage
	xy     = "05 01 09 30 09 31 15 81 25 7F 75 08 95 02 81 06 C0 "    // X and Y, relative
	pad    = "05 09 19 01 29 08 15 00 25 01 75 01 95 08 81 02 C0 "    // eight buttons
	keys   = "05 07 19 00 29 65 15 00 25 65 75 08 95 06 81 00 C0 "    // an array of six keys
	shifts = "05 07 19 E0 29 E7 15 00 25 01 75 01 95 08 81 02 "       // the keys that modify
	bytes8 = "15 00 26 FF 00 75 08 95 08 09 02 81 02 09 03 91 02 C0 " // eight bytes either way
	axes   = "A1 00 09 30 09 31 15 81 25 7F 75 08 95 02 81 02 C0 "    // X and Y in a physical collection
)

// Samples are well-formed descriptors.
func Samples() []Sample {
	u := func(usages ...uint32) (list []hidreport.Usage) {
		for _, n := range usages {
			list = append(list, hidreport.Usage{Page: uint16(n >> 16), ID: uint16(n)})
		}
		return list
	}
	vendor := uint32(0xFF000001)
	return []Sample{
		{"keyboard", items("05 01 09 06 A1 01 " + shifts + keys), u(0x10006), Keyboard},
		{"keypad", items("05 01 09 07 A1 01 " + keys), u(0x10007), Keyboard},
		{"mouse", items("05 01 09 02 A1 01 09 01 A1 00 " + xy + "C0"), u(0x10002), Pointer},
		{"pen", items("05 0D 09 02 A1 01 " + xy), u(0xD0002), Pointer},
		{"game pad with a pointer in it", items("05 01 09 05 A1 01 09 01 " + axes + pad), u(0x10005), Other},
		{"media keys", items("05 0C 09 01 A1 01 " + byteIn + "05 01 09 80 A1 01 " + byteIn), u(0xC0001, 0x10080), Controls},
		{"media keys beside something else", items("05 0C 09 01 A1 01 " + byteIn + "06 00 FF 09 01 A1 01 " + bytes8), u(0xC0001, vendor), Other},
		{"security key", items("06 D0 F1 09 01 A1 01 " + bytes8), u(0xF1D00001), Security},
		{"security key beside something else", items("06 00 FF 09 01 A1 01 " + bytes8 + "06 D0 F1 09 01 A1 01 " + bytes8), u(vendor, 0xF1D00001), Security},
		{"security key with media keys", items("05 0C 09 01 A1 01 " + byteIn + "06 D0 F1 09 01 A1 01 " + bytes8), u(0xC0001, 0xF1D00001), Security},
		{"security key inside of a vendor's collection", items("06 00 FF 09 01 A1 01 06 D0 F1 09 01 A1 02 " + bytes8 + "C0"), u(vendor), Security},
		{"keyboard with a security key", items("05 01 09 06 A1 01 " + keys + "06 D0 F1 09 01 A1 01 " + bytes8), u(0x10006, 0xF1D00001), Keyboard},
		{"power supply", items("05 84 09 04 A1 01 09 24 A1 02 85 01 09 FE 75 08 95 01 B1 02 C0 C0"), u(0x840004), Other},
		{"bar code scanner", items("05 8C 09 02 A1 01 " + bytes8), u(0x8C0002), Other},
		{"magnetic stripe reader", items("05 8E 09 01 A1 01 " + bytes8), u(0x8E0001), Other},
		{"sensors", items("05 20 09 01 A1 00 09 73 A1 00 " + bytes8 + "C0"), u(0x200001), Other},

		// Windows makes a device of each top-level collection, whatever its type.
		{"physical at the top", items("06 00 FF 09 01 A1 00 " + bytes8), u(vendor), Other},
		{"logical at the top", items("06 00 FF 09 01 A1 02 " + bytes8), u(vendor), Other},
		{"vendor's type at the top", items("06 00 FF 09 01 A1 80 " + bytes8), u(vendor), Other},
		{"a report at the top, without a usage", items("A1 03 " + bytes8), u(0), Other},
		{"physical keyboard at the top", items("05 01 09 06 A1 00 " + keys), u(0x10006), Keyboard},
		{"logical mouse at the top", items("05 01 09 02 A1 02 " + xy), u(0x10002), Pointer},
		{"physical beside application", items("05 01 09 05 A1 01 " + pad + "05 01 09 03 A1 00 " + byteIn), u(0x10005, 0x10003), Other},
		{"physical media keys at the top", items("05 0C 09 01 A1 00 " + byteIn), u(0xC0001), Controls},

		// Nested collections.
		{"keyboard in a vendor's collection", items("06 00 FF 09 01 A1 02 05 01 09 06 A1 01 " + keys + "C0"), u(vendor), Keyboard},
		{"physical keyboard in a vendor's application", items("06 00 FF 09 01 A1 01 05 01 09 06 A1 00 " + keys + "C0"), u(vendor), Keyboard},
		{"physical mouse in a vendor's application", items("06 00 FF 09 01 A1 01 05 01 09 02 A1 00 " + xy + "C0"), u(vendor), Pointer},
		{"logical mouse in a vendor's application", items("06 00 FF 09 01 A1 01 05 01 09 02 A1 02 " + xy + "C0"), u(vendor), Other},

		// Linux makes an input device of all reports if one collection is for
		// input.
		{"keys in a game pad", items("05 01 09 05 A1 01 09 01 " + axes + keys), u(0x10005), Keyboard},
		{"keys in a vendor's application", items("06 00 FF 09 01 A1 01 " + keys), u(vendor), Other},
		{"keys beside a game pad", items("05 01 09 05 A1 01 " + pad + "06 00 FF 09 01 A1 01 " + keys), u(0x10005, vendor), Keyboard},
		{"keys that are padding", items("05 01 09 05 A1 01 05 07 19 04 29 0B 75 01 95 08 81 03 " + pad), u(0x10005), Other},
		{"keys to the device", items("05 01 09 05 A1 01 05 07 19 04 29 0B 75 01 95 08 91 02 B1 02 " + pad), u(0x10005), Other},
		{"errors of keys", items("05 01 09 05 A1 01 05 07 19 00 29 03 75 01 95 08 81 02 " + pad), u(0x10005), Other},

		// Delimiters, and several usages.
		{"delimiters", items("05 01 A9 01 09 05 09 06 A9 00 A1 01 " + keys), u(0x10005), Keyboard},
		{"keyboard is not the preferred one", items("06 00 FF 09 01 A9 01 0B 02 00 00 FF 0B 06 00 01 00 A9 00 A1 01 " + bytes8), u(vendor), Keyboard},
		{"keyboard in the second pair of delimiters", items("05 01 A9 01 09 05 A9 00 A9 01 09 06 A9 00 A1 01 " + bytes8), u(0x10005), Keyboard},
		{"delimiters in a field", items("05 01 09 05 A1 01 05 07 A9 01 0B 01 00 09 00 09 04 A9 00 75 08 95 01 81 02 " + pad), u(0x10005), Keyboard},
		{"delimiters without keys", items("05 01 A9 01 09 05 09 04 A9 00 A1 01 " + pad), u(0x10005), Other},
		{"delimiters that do not match", items("06 00 FF A9 00 A9 01 A9 01 09 01 A1 01 " + bytes8), u(vendor), Other},
		{"two usages", items("05 01 09 05 09 06 A1 01 " + bytes8), u(0x10005), Keyboard},

		// Usage ranges.
		{"range with a keyboard in it", items("05 01 19 04 29 07 A1 01 " + bytes8), u(0x10004), Keyboard},
		{"range without", items("05 01 19 03 29 05 A1 01 " + pad), u(0x10003), Other},
		{"minimum without a maximum", items("05 01 19 05 A1 01 " + pad), u(0x10005), Other},
		{"minimum without a maximum, keyboard", items("05 01 19 06 A1 01 " + keys), u(0x10006), Keyboard},
		{"minimum without a maximum before a keyboard", items("05 01 19 05 09 06 A1 01 " + bytes8), u(0x10006), Keyboard},
		{"keyboard inside of a range", items("05 01 19 04 09 06 29 05 A1 01 " + bytes8), u(0x10006), Keyboard},
		{"maximum without a minimum", items("05 01 29 07 A1 01 " + bytes8), u(0x10000), Keyboard},
		{"maximum below the minimum", items("05 01 19 05 29 04 A1 01 " + bytes8), u(0x10005), Keyboard},
		{"range of four bytes", items("05 0C 1B 05 00 01 00 2B 07 00 01 00 A1 01 " + bytes8), u(0x10005), Keyboard},
		{"range over a page without keys into the keyboard's", items("05 01 09 05 A1 01 1B 00 F0 06 00 2B 00 00 08 00 75 08 95 06 81 00 C0"), u(0x10005), Keyboard},
		{"range from a page down", items("05 01 09 05 A1 01 1B 00 F0 06 00 2B 00 00 00 00 75 08 95 06 81 00 C0"), u(0x10005), Keyboard},
		{"range from the keyboard's page to no page", items("05 01 09 05 A1 01 1B 01 00 07 00 2B 03 00 00 00 75 08 95 02 81 02 C0"), u(0x10005), Keyboard},
		{"range from the keyboard's page to a short usage", items("05 01 09 05 A1 01 05 07 1B 01 00 07 00 29 03 75 08 95 02 81 02 C0"), u(0x10005), Keyboard},
		{"range from page to page", items("05 0C 1B 05 00 01 00 2B 07 00 02 00 A1 01 " + bytes8), u(0x10005), Keyboard},

		// Pages.
		{"usage of four bytes", items("05 09 0B 06 00 01 00 A1 01 " + keys), u(0x10006), Keyboard},
		{"usage of four bytes without a page", items("05 01 0B 06 00 00 00 A1 01 " + keys), u(0x10006), Keyboard},
		{"page of four bytes", items("07 01 00 00 00 0A 06 00 A1 01 " + keys), u(0x10006), Keyboard},
		{"page after the usage", items("09 06 05 01 A1 01 " + keys), u(0x10006), Keyboard},
		{"page that Linux keeps", items("05 01 09 06 05 0C 09 05 A1 01 " + bytes8), u(0xC0006), Keyboard},
		{"push and pop", items("05 01 A4 05 0C 75 20 B4 09 06 A1 01 " + keys), u(0x10006), Keyboard},
		{"push and pop to a vendor's page", items("06 00 FF A4 05 01 B4 09 06 A1 01 " + bytes8), u(0xFF000006), Other},
		{"pop between usage and collection", items("06 00 FF A4 05 01 09 06 B4 A1 01 " + bytes8), u(0xFF000006), Keyboard},
		{"push inside of a collection", items("05 01 09 05 A1 01 A4 05 07 85 02 B4 " + pad), u(0x10005), Other},

		// Items of other sorts.
		{"long item", items("FE 04 F0 05 01 09 06 05 01 09 06 A1 01 " + keys), u(0x10006), Keyboard},
		{"keyboard inside of a long item", items("FE 06 00 05 01 09 06 A1 01 06 00 FF 09 01 A1 01 " + bytes8), u(vendor), Other},
		{"reserved items", items("0C FC F0 D4 06 00 FF 09 01 A1 01 " + bytes8), u(vendor), Other},
		{"items without data", items("04 05 01 08 A0 C0 A1 01 C0"), u(0x10000, 0), Other},

		{"no collection", items("06 00 FF 09 01 75 08 95 01 81 02"), nil, Unsaid},
		{"keys outside of collections", items("05 07 19 04 29 0B 75 01 95 08 81 02"), nil, Unsaid},
		{"many collections", bytes.Repeat(items("A1 01 C0"), 1300), make([]hidreport.Usage, 1300), Other},
		{"deep collections", slices.Concat(bytes.Repeat([]byte{0xA1, 0}, 1300), bytes.Repeat([]byte{0xC0}, 1300)), u(0), Other},
		{"many usages", slices.Concat(bytes.Repeat([]byte{8}, 4090), items("05 0C A1 01 C0")), u(0xC0000), Other},
		{"many pushes", append(bytes.Repeat([]byte{0xA4}, 100), items("06 00 FF 09 01 A1 01 "+bytes8)...), u(vendor), Other},
	}
}

// Malformed are malformed descriptors, keyed by a part of the error.
func Malformed() map[string][]byte {
	return map[string][]byte{
		"it is empty":                  {},
		"at byte 2: an item goes past": items("75 08 26 01"),
		"at byte 0: an item goes past": items("FE 04 00 01 02 03"),
		"at byte 3: an item goes past": items("A1 01 C0 FE"),
		"End Collection without":       items("A1 01 C0 C0"),
		"1 collections without":        items("A1 01 A1 00 C0"),
		"Pop without Push":             items("A4 B4 B4"),
		"report id 0":                  items("A1 01 85 00 C0"),
		"report id 256":                items("A1 01 86 00 01 C0"),
		"input report 0 has 1844674":   items("A1 01 77 FF FF FF FF 97 FF FF FF FF 81 02 C0"),
		"feature report 3 has 131328":  slices.Concat(items("A1 01 85 03 76 00 01 96 00 01"), bytes.Repeat(items("B1 02"), 2), items("75 01 B1 02 C0")),
		"4098 bytes, more than 4096":   bytes.Repeat(items("A1 01 C0"), 1366),
	}
}

// items are bytes in hexadecimal.
func items(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}
