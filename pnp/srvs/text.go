// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"slices"
	"unicode"
	"unicode/utf16"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// A text is a string as it is on the wire: UTF-16 units, nil for a null pointer.
type text = []uint16

const backslash = '\\'

// str returns a text that is not null.
func str(s string) text { return ndr.UTF16(s) }

func goString(s text) string { return string(utf16.Decode(s)) }

// upper maps one unit to upper case. None of the first 64 Ki characters has its upper
// case beyond them.
func upper(u uint16) uint16 { return uint16(unicode.ToUpper(rune(u))) }

func upperText(s text) text {
	t := make(text, len(s))
	for i, u := range s {
		t[i] = upper(u)
	}
	return t
}

// equalFold compares without regard to case.
func equalFold(a, b text) bool {
	return slices.EqualFunc(a, b, func(x, y uint16) bool { return upper(x) == upper(y) })
}

// compareText orders by units: -1, 0 or 1.
func compareText(a, b text, fold bool) int32 {
	if fold {
		a, b = upperText(a), upperText(b)
	}
	return int32(slices.Compare(a, b))
}

func hasPrefix(s text, prefix string) bool {
	p := utf16.Encode([]rune(prefix))
	return len(s) >= len(p) && equalFold(s[:len(p)], p)
}

// cutBackslashes removes a leading \\.
func cutBackslashes(s text) text {
	if hasPrefix(s, `\\`) {
		return s[2:]
	}
	return s
}

// containsAny tells whether s has one of the characters of set.
func containsAny(s text, set string) bool {
	for _, r := range set {
		if slices.Contains(s, uint16(r)) {
			return true
		}
	}
	return false
}

// cut shortens s to n units, and not between the halves of a surrogate pair.
func cut(s text, n int) text {
	if len(s) <= n {
		return s
	}
	if n > 0 && utf16.DecodeRune(rune(s[n-1]), rune(s[n])) != unicode.ReplacementChar {
		n--
	}
	return s[:n]
}
