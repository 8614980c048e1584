// SPDX-License-Identifier: Apache-2.0

package sysfs_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/internal/sysfs"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "Acme": "Acme", " a  b\t\nc ": "a b c", "\x1b[31mred\x00": "[31mred",
		"a\xffb": "a b", "\ufffd": "", "a\u00a0b\u200bc\u202ed": "a b c d", "Gerät 𝄞": "Gerät 𝄞",
		strings.Repeat("é", 300): strings.Repeat("é", 189),
	} {
		require.Equal(t, want, sysfs.Clean(text), "%q", text)
	}
	require.Len(t, sysfs.Printable(strings.Repeat("x", 1000)), 1000)
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[2J\xff Acme \u202e")
	f.Fuzz(func(t *testing.T, text string) {
		clean := sysfs.Clean(text)
		require.LessOrEqual(t, len(clean), 378)
		require.True(t, utf8.ValidString(clean))
		require.Equal(t, strings.TrimSpace(clean), clean)
		require.False(t, strings.ContainsFunc(clean, func(r rune) bool { return !unicode.IsPrint(r) }))
		require.Equal(t, clean, sysfs.Clean(clean))
	})
}
