// SPDX-License-Identifier: Apache-2.0

package hidreport

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdentity(t *testing.T) {
	i := Identity{Bus: 3, Vendor: 0x1209, Product: 0xABCD, Version: 0x0123, Descriptor: []byte{5, 1, 9}}
	b := i.Append([]byte("before"))
	require.Equal(t, "before\x0C\x00\x03\x00\x09\x12\xCD\xAB\x23\x01\x03\x00\x05\x01\x09", string(b))
	b = b[len("before"):]
	got, err := ParseIdentity(append(b, "ignored"...))
	require.NoError(t, err)
	require.Equal(t, i, got)
	// A later version may have more before the descriptor.
	longer := bytes.Clone(b)
	longer[0] += 2
	got, err = ParseIdentity(append(longer[:12:12], 7, 7, 5, 1, 9))
	require.NoError(t, err)
	require.Equal(t, i, got)

	for n := range b {
		_, err := ParseIdentity(b[:n])
		require.Error(t, err, n)
	}
	for name, change := range map[string]func(b []byte){
		"empty descriptor": func(b []byte) { b[10] = 0 },
		"a short head":     func(b []byte) { b[0] = 11 },
		"a long head":      func(b []byte) { b[1] = 0xFF },
		"too long":         func(b []byte) { b[11] = 0x10 },
	} {
		broken := append(bytes.Clone(b), make([]byte, MaxIdentity)...)[:MaxIdentity]
		change(broken)
		_, err := ParseIdentity(broken)
		require.Error(t, err, name)
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(Identity{Bus: 3, Descriptor: []byte{1}}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := ParseIdentity(b)
		if err != nil {
			return
		}
		again, err := ParseIdentity(i.Append(nil))
		require.NoError(t, err)
		require.Equal(t, i, again)
	})
}
