// SPDX-License-Identifier: Apache-2.0

package sysfs

import (
	"strings"
	"unicode"
)

// Properties splits KEY=value lines, as in uevents. If a key comes twice, the first
// counts.
func Properties(text, separator string) map[string]string {
	p := make(map[string]string)
	for _, line := range strings.Split(text, separator) {
		key, value, ok := strings.Cut(line, "=")
		if _, twice := p[key]; ok && !twice {
			p[key] = value
		}
	}
	return p
}

// maxText is the length of the longest USB string in UTF-8: 126 characters of
// up to 3 bytes.
const maxText = 378

// Clean makes a string of a device fit for logs, terminals and the wire:
// printable and of bounded length.
func Clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return Printable(s)
}

// Printable turns characters that are not printable into spaces, trims spaces at the
// ends and collapses runs of them.
func Printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
