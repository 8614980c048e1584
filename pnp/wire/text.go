// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUTF16 appends s as UTF-16LE without a terminating null. Bytes that are
// not UTF-8 become U+FFFD.
func AppendUTF16(b []byte, s string) []byte {
	for _, r := range s {
		if r1, r2 := utf16.EncodeRune(r); r1 != utf8.RuneError {
			b = le.AppendUint16(b, uint16(r1))
			b = le.AppendUint16(b, uint16(r2))
			continue
		}
		b = le.AppendUint16(b, uint16(r))
	}
	return b
}

// UTF16String converts UTF-16LE to a string. Lone surrogates become U+FFFD; a
// last odd byte is ignored.
func UTF16String(b []byte) string {
	out := make([]byte, 0, len(b)/2)
	for len(b) >= 2 {
		r := rune(le.Uint16(b))
		b = b[2:]
		if utf16.IsSurrogate(r) {
			var second rune
			if len(b) >= 2 {
				second = rune(le.Uint16(b))
			}
			if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
				b = b[2:]
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// AppendMultisz appends the UTF-16LE multisz of list: each string with a null
// behind it, and one more null. A multisz cannot hold empty strings or nulls
// within a string: they are left out; nothing is appended for an empty list.
func AppendMultisz(b []byte, list []string) []byte {
	start := len(b)
	for _, s := range list {
		if s = strings.ReplaceAll(s, "\x00", ""); s == "" {
			continue
		}
		b = AppendUTF16(b, s)
		b = le.AppendUint16(b, 0)
	}
	if len(b) > start {
		b = le.AppendUint16(b, 0)
	}
	return b
}

// MultiszStrings converts a UTF-16LE multisz. It reads up to the first empty
// string.
func MultiszStrings(b []byte) []string {
	var list []string
	for len(b) >= 2 {
		n := 0
		for n+2 <= len(b) && le.Uint16(b[n:]) != 0 {
			n += 2
		}
		if n == 0 {
			break
		}
		list = append(list, UTF16String(b[:n]))
		b = b[min(n+2, len(b)):]
	}
	return list
}

// validMultisz reports whether b is empty, or a whole number of UTF-16 units that
// ends in a null.
func validMultisz(b []byte) bool {
	return len(b)%2 == 0 && (len(b) == 0 || le.Uint16(b[len(b)-2:]) == 0)
}
