// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"freerdp-pnpdr/pnp/wire"
)

func TestUTF16(t *testing.T) {
	for _, c := range []struct {
		s string
		b string
	}{
		{"", ""},
		{"A", "4100"},
		{"é€", "e900 ac20"},
		{"\U0001F600!", "3dd8 00de 2100"},
		{"\uffff", "ffff"},
		{"\U0010FFFF", "ffdb ffdf"},
		{"a\x00b", "6100 0000 6200"},
	} {
		want := unhex(t, c.b)
		if got := wire.AppendUTF16([]byte("x"), c.s); !bytes.Equal(got, append([]byte("x"), want...)) {
			t.Errorf("%q becomes %x, not %x", c.s, got[1:], want)
		}
		if got := wire.UTF16String(want); got != c.s {
			t.Errorf("%s becomes %q, not %q", c.b, got, c.s)
		}
	}
}

func TestBrokenText(t *testing.T) {
	for b, want := range map[string]string{
		"3dd8":           "\uFFFD",           // high surrogate at the end
		"3dd8 4100":      "\uFFFDA",          // high surrogate alone
		"00de 4100":      "\uFFFDA",          // low surrogate alone
		"3dd8 3dd8 00de": "\uFFFD\U0001F600", // the second one is half of a pair
		"4100 42":        "A",
		"42":             "",
	} {
		if got := wire.UTF16String(unhex(t, b)); got != want {
			t.Errorf("%s becomes %q, not %q", b, got, want)
		}
	}
	if got := wire.AppendUTF16(nil, "a\xffb\xed\xa0\xbd"); !bytes.Equal(got, unhex(t, "6100 fdff 6200 fdff fdff fdff")) {
		t.Errorf("no UTF-8 becomes %x", got)
	}
}

func TestMultisz(t *testing.T) {
	for _, c := range []struct {
		list []string
		b    string
		back []string
	}{
		{nil, "", nil},
		{[]string{"A"}, "4100 0000 0000", []string{"A"}},
		{[]string{"A", "BC"}, "4100 0000 4200 4300 0000 0000", []string{"A", "BC"}},
		{[]string{"", "A", ""}, "4100 0000 0000", []string{"A"}},
		{[]string{"", ""}, "", nil},
		// A null would end the string or the list: it is left out.
		{[]string{"A\x00B", "C"}, "4100 4200 0000 4300 0000 0000", []string{"AB", "C"}},
		{[]string{"\x00", "C"}, "4300 0000 0000", []string{"C"}},
	} {
		b := wire.AppendMultisz([]byte("x"), c.list)
		if !bytes.Equal(b[1:], unhex(t, c.b)) {
			t.Errorf("%q becomes %x, not %s", c.list, b[1:], c.b)
		}
		if back := wire.MultiszStrings(b[1:]); !reflect.DeepEqual(back, c.back) {
			t.Errorf("%s becomes %q, not %q", c.b, back, c.back)
		}
	}
}

func TestMultiszOfOthers(t *testing.T) {
	for b, want := range map[string][]string{
		"0000":                     nil,
		"0000 0000":                nil,
		"4100 0000":                {"A"}, // one null is enough
		"4100 0000 0000 4200 0000": {"A"}, // what follows the end
		"4100":                     {"A"},
		"4100 0000 4200":           {"A", "B"},
	} {
		if got := wire.MultiszStrings(unhex(t, b)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s becomes %q, not %q", b, got, want)
		}
	}
}

func FuzzUTF16(f *testing.F) {
	for _, s := range []string{"", "Ts Fake Device", "é€\U0001F600", "a\x00b", "\xff\xed\xa0\xbd", "\uFFFD"} {
		f.Add(s, []byte(s))
	}
	f.Fuzz(func(t *testing.T, s string, b []byte) {
		if got := wire.UTF16String(wire.AppendUTF16(nil, s)); utf8.ValidString(s) && got != s {
			t.Errorf("%q comes back as %q", s, got)
		}
		once := wire.UTF16String(b)
		if twice := wire.UTF16String(wire.AppendUTF16(nil, once)); twice != once {
			t.Errorf("%x: %q, then %q", b, once, twice)
		}
	})
}

func FuzzMultisz(f *testing.F) {
	f.Add("USB\\VID_1234", "", "é", []byte("A\x00\x00\x00\x00\x00"))
	f.Add("a\x00b", "\x00", "\U0001F600", []byte{0, 0, 0})
	f.Add("\xff", "x", "y", []byte("A\x00\x00\x00B\x00"))
	f.Fuzz(func(t *testing.T, s1, s2, s3 string, b []byte) {
		var want []string
		for _, s := range []string{s1, s2, s3} {
			// What stands for bad bytes is AppendUTF16's affair.
			if s = strings.ReplaceAll(s, "\x00", ""); s != "" {
				want = append(want, wire.UTF16String(wire.AppendUTF16(nil, s)))
			}
		}
		multisz := wire.AppendMultisz(nil, []string{s1, s2, s3})
		if got := wire.MultiszStrings(multisz); !reflect.DeepEqual(got, want) {
			t.Errorf("%q comes back as %q", want, got)
		}
		if n := len(multisz); n > 0 && (n%2 != 0 || !bytes.Equal(multisz[n-4:], make([]byte, 4))) {
			t.Errorf("%x is not a multisz", multisz)
		}
		once := wire.MultiszStrings(b)
		if twice := wire.MultiszStrings(wire.AppendMultisz(nil, once)); !reflect.DeepEqual(twice, once) {
			t.Errorf("%x: %q, then %q", b, once, twice)
		}
	})
}
