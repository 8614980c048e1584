// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"fmt"
	"strings"
)

// reservedNames cannot be the name of a share: they are shares of their own or, as
// files, look like pipes.
var reservedNames = []string{nameIPC, nameAdmin, "pipe", "mailslot", PipeName}

// ShareName makes a valid name of a share from any text, such as the friendly name
// of a device. taken tells whether a name is in use; names differ by more than
// case, so taken should not regard case. If it is, a number is added.
func ShareName(s string, taken func(name string) bool) string {
	base := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || strings.ContainsRune(invalidSigns, r) || r == '\uFFFD' {
			return '_'
		}
		return r
	}, s)
	base = strings.TrimSpace(base)
	if base == "" {
		base = "Device"
	}
	for n := 1; ; n++ {
		suffix := ""
		if n > 1 {
			suffix = fmt.Sprintf(" (%d)", n)
		}
		name := cut(str(base), maxShareName-len(suffix))
		if name := goString(name) + suffix; !isReserved(name) && !taken(name) {
			return name
		}
	}
}

func isReserved(name string) bool {
	for _, r := range reservedNames {
		if strings.EqualFold(name, r) {
			return true
		}
	}
	return false
}
