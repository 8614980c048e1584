// SPDX-License-Identifier: Apache-2.0

package pnp

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// GUID is a globally unique identifier in the memory and wire layout of
// [MS-DTYP] 2.3.4: the first three groups little-endian, the rest as written.
type GUID [16]byte

// guidGroups are the lengths of the groups of the text form, in bytes.
var guidGroups = [...]int{4, 2, 2, 2, 6}

// ParseGUID reads XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX, with or without braces,
// in either case.
func ParseGUID(s string) (GUID, error) {
	text := s
	if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
		text = text[1 : len(text)-1]
	}
	groups := strings.Split(text, "-")
	var g []byte
	for i, group := range groups {
		b, err := hex.DecodeString(group)
		if err != nil || len(groups) != len(guidGroups) || len(b) != guidGroups[i] {
			return GUID{}, fmt.Errorf("%q is not a GUID", s)
		}
		g = append(g, b...)
	}
	return swapGUID([16]byte(g)), nil
}

// MustGUID is ParseGUID for constants; it panics if s is not a GUID.
func MustGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

// String returns the registry form, {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}, in
// upper case.
func (g GUID) String() string {
	b := swapGUID(g)
	return fmt.Sprintf("{%X-%X-%X-%X-%X}", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// swapGUID converts between the byte orders of the text form and of MS-DTYP.
func swapGUID(b [16]byte) GUID {
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b
}
