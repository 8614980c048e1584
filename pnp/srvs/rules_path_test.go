// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"freerdp-pnpdr/pnp/srvs/dcerpc"
)

// pathTypesOf fails unless NetprPathType finds these types, 0 being
// ERROR_INVALID_NAME.
func (w world) pathTypesOf(flags uint32, want map[string]uint32) {
	w.t.Helper()
	for path, kind := range want {
		p := &netprPathType{path: str(path), flags: flags}
		code := w.call(p)
		assert.Equal(w.t, kind, p.kind, "%q", path)
		if kind == 0 {
			assert.EqualValues(w.t, 0x7B, code, "%q", path)
		} else {
			assert.Zero(w.t, code, "%q", path)
		}
	}
}

func canonicalize(path, prefix string, kind, flags, length uint32) *netprPathCanonicalize {
	return &netprPathCanonicalize{path: str(path), prefix: str(prefix), kind: kind, flags: flags, length: length}
}

// wide is the text in a buffer of n bytes.
func wide(s string, n int) []byte {
	b := encodeUnits(s)
	return append(b, make([]byte, n-len(b))...)
}

// canonicalOf fails unless NetprPathCanonicalize makes path and kind, "" being
// ERROR_INVALID_NAME.
func (w world) canonicalOf(path, want string, kind uint32) {
	w.t.Helper()
	p := canonicalize(path, "", 0, 0, 600)
	if want == "" {
		w.expect(0x7B, p)
		return
	}
	w.expect(0, p)
	assert.Equal(w.t, wide(want, 600), p.buffer, "%q", path)
	assert.Equal(w.t, kind, p.kind, "%q", path)
}

func init() {
	rule("SV-186 SV-187", "PathTypeErrors", func(t *testing.T) {
		w := newWorld(t)
		for _, flags := range []uint32{0, 1, 2} {
			w.expect(0x7B, &netprPathType{path: text{}, flags: flags})
			w.expect(0x7B, &netprPathType{path: chars(261), flags: flags})
		}
		w.expect(0, &netprPathType{path: chars(260)})
		for _, flags := range []uint32{2, 3, 0x80000000} {
			p := &netprPathType{path: str("x"), flags: flags}
			w.expect(0x57, p)
			assert.Zero(t, p.kind)
			w.expect(0x57, &netprPathType{path: str("<"), flags: flags})
		}
	})
	rule("SV-188", "OldPaths", func(t *testing.T) {
		newWorld(t).pathTypesOf(1, map[string]uint32{
			"abcdefgh.ijk": 8192, "abcdefghi": 0, "a.bcde": 0, "a.b.c": 0, ".abc": 0, "a.": 8192, ".": 8192, "..": 8192,
			`C:\abcdefgh.ijk\..\a`: 8198, `C:\abcdefghi\a`: 0, `\abcdefgh\abcdefghi`: 0, `\\longcomputername\a`: 4096,
			`\\longcomputername\abcdefghi`: 0, `\\longcomputername`: 4144, `\\.\abcdefghi`: 0, "*.*": 8193, "LPT1": 16400,
			strings.Repeat(`a\`, 64): 8192, strings.Repeat(`a\`, 64) + "a": 0,
		})
	})
	rule("SV-189", "BadCharacters", func(t *testing.T) {
		newWorld(t).pathTypesOf(0, map[string]uint32{"a<": 0, ">": 0, `C:\"`: 0, "a|b": 0, `\\x\y|`: 0, "ab:c": 8192})
	})
	rule("SV-190", "DevicePaths", func(t *testing.T) {
		newWorld(t).pathTypesOf(0, map[string]uint32{`\\.\x`: 8198, `\\.\x\y`: 8198, `\\.\*`: 8199, `\\.\a?`: 8199, `\\.`: 0, `\\.x`: 0, `\\..\x`: 0})
	})
	rule("SV-191 SV-192", "UNC", func(t *testing.T) {
		newWorld(t).pathTypesOf(0, map[string]uint32{
			`\\name`: 4144, `\\n\r`: 4096, `\\n\r\s`: 4096, `\\n\*`: 4097, `\\n\r\a?`: 4097, `\\*`: 4145, `\\*x`: 0, `\\*\x`: 0,
			`\\`: 0, `\\name\`: 0, `\\\x`: 0, `\\.name`: 0,
		})
	})
	rule("SV-193 SV-194", "DEV", func(t *testing.T) {
		newWorld(t).pathTypesOf(0, map[string]uint32{
			`\DEV\LPT1`: 16400, `\dev\lpt22:`: 16400, `\DEV\COM4:`: 16416, `\Dev\Com0`: 16416, `\DEV\COM`: 0, `\DEV\COM1x`: 0, `\DEV\COM1::`: 0,
			`\DEV`: 0, `\DEV\`: 0, `\DEV\x`: 0, `\Development`: 8194, `\DEVx\y`: 8194,
		})
	})
	rule("SV-195", "AbsolutePaths", func(t *testing.T) {
		newWorld(t).pathTypesOf(0, map[string]uint32{`\`: 8194, `\a`: 8194, `\a\b`: 8194, `\a*`: 8195, `\a\b?`: 8195})
	})
	rule("SV-196", "Drives", func(t *testing.T) {
		newWorld(t).pathTypesOf(0, map[string]uint32{`C:`: 16384, `z:`: 16384, `C:\`: 8198, `f:\a`: 8198, `C:x`: 8198, `C:\*`: 8199, `C:?`: 8199, `1:`: 8192, `@:`: 8192, `[:`: 8192})
	})
	rule("SV-197 SV-198", "DevicesAndRelativePaths", func(t *testing.T) {
		newWorld(t).pathTypesOf(0, map[string]uint32{
			"LPT1": 16400, "lpt4:": 16400, "COM10": 16416, "com0:": 16416, "COM": 8192, "COM1x": 8192, "COM:": 8192, "CON": 8192, "NUL": 8192,
			"a": 8192, `a\b`: 8192, "..": 8192, "*": 8193, "a?": 8193, `\PIPE\x`: 8194, `\MAILSLOT\x`: 8194,
		})
	})
	rule("SV-199 SV-218", "Ranges", func(t *testing.T) {
		w := newWorld(t)
		for length, fault := range map[uint32]uint32{64000: 0, 64001: dcerpc.StatusBadStubData, 0xFFFFFFFF: dcerpc.StatusBadStubData} {
			_, got := w.raw(31, encodeInBad(canonicalize("x", "", 0, 0, length)))
			assert.Equal(t, fault, got)
			_, got = w.raw(34, encodeInBad(&netprNameCanonicalize{name: str("x"), kind: 9, length: length}))
			assert.Equal(t, fault, got)
		}
	})
	rule("SV-200 SV-201", "CanonicalizeErrors", func(t *testing.T) {
		w := newWorld(t)
		for flags, code := range map[uint32]uint32{0: 0, 1: 0, 0x80000000: 0, 0x80000001: 0, 2: 0x57, 0x40000000: 0x57} {
			w.expect(code, canonicalize("x", "", 0, flags, 100))
		}
		w.expect(0x7B, canonicalize("abcdefghi", "", 0, 1, 100))
		w.expect(0, canonicalize("abcdefghi", "", 0, 0x80000000, 100))
		w.expect(0x7B, canonicalize("<", "", 0, 0, 100))
		w.expect(0x7B, canonicalize("", "", 0, 0, 100))
		for _, kind := range []uint32{1, 4098, 8200, 0xFFFFFFFF} {
			w.expect(0x57, canonicalize("x", "", kind, 0, 100))
		}
		for _, kind := range pathTypes {
			w.expect(0, canonicalize("x", "", kind, 0, 100))
		}
		assert.Len(t, pathTypes, 36)
	})
	rule("SV-202 SV-203", "Prefixes", func(t *testing.T) {
		w := newWorld(t)
		for _, prefix := range []string{"<", `\\`, strings.Repeat("x", 261)} {
			w.expect(0x7B, canonicalize("x", prefix, 0, 0, 1000))
		}
		for prefix, want := range map[string]string{`C:\a`: `C:\a\x`, `C:\a\`: `C:\a\x`, `C:/a/`: `C:\a\x`, `\\n\r`: `\\n\r\x`, `a`: `a\x`} {
			p := canonicalize("x", prefix, 0, 0, 100)
			w.expect(0, p)
			assert.Equal(t, wide(want, 100), p.buffer)
		}
	})
	rule("SV-204", "BufferTooSmall", func(t *testing.T) {
		w := newWorld(t)
		w.expect(0, canonicalize("abc", "", 0, 0, 8))
		for _, length := range []uint32{0, 1, 7} {
			p := canonicalize("abc", "", 0, 0, length)
			w.expect(0x84B, p)
			assert.Equal(t, make([]byte, length), p.buffer)
		}
		w.expect(0, canonicalize(`abc\.`, "", 0, 0, 8))
	})
	rule("SV-205", "TypeOfResult", func(t *testing.T) {
		w := newWorld(t)
		p := canonicalize(`\\n\r\..`, "", 4096, 0, 100)
		w.expect(0, p)
		assert.EqualValues(t, 4144, p.kind, "not the type that came")
		w.expect(0x7B, canonicalize(strings.Repeat("x", 200), strings.Repeat("x", 200), 0, 0, 1000))
		w.expect(0x7B, canonicalize(".", "", 0, 0, 100))
	})
	rule("SV-206", "CanonicalForm", func(t *testing.T) {
		w := newWorld(t)
		for path, want := range map[string]struct {
			path string
			kind uint32
		}{
			"a/b": {`a\b`, 8192}, `a\.\b\.`: {`a\b`, 8192}, `a\b\..\c`: {`a\c`, 8192}, `a\\\b\`: {`a\b`, 8192},
			`C:\a\..\B`: {`C:\B`, 8198}, `C:/`: {`C:\`, 8198}, `C:a\b`: {`C:a\b`, 8198}, `C:\..`: {}, `..`: {}, `a\..\..`: {}, `\..`: {},
			`\a\\b`: {`\a\b`, 8194}, `\.`: {`\`, 8194}, `\\N\r\.\s`: {`\\N\r\s`, 4096}, `\\N\r\..\..`: {}, `\\N\.`: {`\\N`, 4144},
			`\\.\x\..\y`: {`\\.\y`, 8198}, `//n/r`: {`\\n\r`, 4096}, "lpt1:": {"LPT1", 16400}, "com3": {"COM3", 16416},
			`\dev\com3:`: {`\DEV\COM3`, 16416}, "c:": {"C:", 16384}, `a*\?`: {`a*\?`, 8193}, `\\n`: {`\\n`, 4144},
		} {
			w.canonicalOf(path, want.path, want.kind)
		}
	})
	rule("SV-207", "WholeBuffer", func(t *testing.T) {
		w := newWorld(t)
		p := canonicalize("a", "", 0, 0, 11)
		assert.Equal(t, unhex("0b000000 6100 0000 00000000000000 00 00200000 00000000"), w.recvOf(31, encodeIn(t, p)))
		p = canonicalize("a", "", 4098, 0, 5)
		assert.Equal(t, unhex("05000000 0000000000 000000 02100000 57000000"), w.recvOf(31, encodeIn(t, p)))
		p = canonicalize("<", "", 0, 0, 64000)
		assert.Len(t, w.recvOf(31, encodeIn(t, p)), 4+64000+4+4)
	})
	rule("SV-208 SV-209 SV-210 SV-211", "PathCompare", func(t *testing.T) {
		w := newWorld(t)
		for _, test := range []struct {
			a, b  string
			flags uint32
			want  uint32
		}{
			{"a", "a", 2, 0x57}, {"<", "a", 2, 0x57}, {"<", "a", 0, 0x7B}, {"a", "", 0, 0x7B}, {"<", "<", 1, 0}, {"", "", 1, 0},
			{`a\.\b`, "A/B", 0, 0}, {`a\.\b`, "A/B", 1, 1}, {"a", `C:\a`, 0, 1}, {"LPT1", "lpt1:", 0, 0},
			{"a", "b", 0, 0xFFFFFFFF}, {"b", "a", 0, 1}, {"A", "b", 1, 0xFFFFFFFF}, {"B", "a", 1, 1}, {"a", "aa", 0, 0xFFFFFFFF}, {"É", "é", 1, 0},
		} {
			w.expect(test.want, &netprPathCompare{compareParams{first: str(test.a), second: str(test.b), flags: test.flags, kind: 12345}})
		}
	})
	rule("SV-212 SV-213", "NameValidateErrors", func(t *testing.T) {
		w := newWorld(t)
		for _, kind := range []uint32{0, 14, 0xFFFFFFFF} {
			w.expect(0x57, &netprNameValidate{name: str("a"), kind: kind})
		}
		for kind := uint32(1); kind <= 13; kind++ {
			w.expect(0, &netprNameValidate{name: str("a"), kind: kind})
			w.expect(0, &netprNameValidate{name: str("a"), kind: kind, flags: 0x80000000})
			for _, flags := range []uint32{1, 0x80000001, 0x40000000} {
				w.expect(0x57, &netprNameValidate{name: str("a"), kind: kind, flags: flags})
			}
		}
	})
	rule("SV-213 SV-214 SV-215 SV-221", "NameLengths", func(t *testing.T) {
		w := newWorld(t)
		type lengths struct{ least, most, lm, normal int }
		for kind, l := range map[uint32]lengths{
			1: {1, 256, 20, 256}, 2: {0, 256, 14, 256}, 3: {1, 256, 20, 256}, 4: {1, 260, 15, 259}, 5: {1, 16, 16, 16}, 6: {1, 15, 15, 15},
			7: {1, 80, 15, 80}, 8: {1, 260, 259, 259}, 9: {1, 80, 12, 80}, 10: {1, 15, 259, 259}, 11: {1, 260, 259, 259}, 12: {0, 8, 8, 8}, 13: {1, 15, 15, 15},
		} {
			name := func(n int) text {
				s := chars(n)
				if kind == nameMessageDest && n > 0 {
					s[n-1] = '*'
				}
				return s
			}
			valid := func(n int, flags uint32) bool {
				return w.call(&netprNameValidate{name: name(n), kind: kind, flags: flags}) == 0
			}
			assert.True(t, valid(l.least, 0) && valid(l.most, 0), "type %d", kind)
			assert.False(t, l.least > 0 && valid(0, 0) || valid(l.most+1, 0), "type %d", kind)
			assert.True(t, valid(l.lm, 0x80000000), "type %d", kind)
			assert.False(t, valid(l.lm+1, 0x80000000), "type %d", kind)
			// Canonical names are cut, some in upper case.
			for flags, most := range map[uint32]int{0: l.normal, 0x80000000: l.lm} {
				p := &netprNameCanonicalize{name: name(l.most), kind: kind, flags: flags, length: 300}
				w.expect(0, p)
				n := 0
				for n < 300 && p.buffer[n] != 0 {
					n++
				}
				assert.Equal(t, min(l.most, most), n, "type %d", kind)
			}
		}
	})
	rule("SV-216 SV-217", "NameCharacters", func(t *testing.T) {
		w := newWorld(t)
		valid := func(kind uint32, s text) bool { return w.call(&netprNameValidate{name: s, kind: kind}) == 0 }
		for kind := uint32(1); kind <= 13; kind++ {
			for u := uint16(1); u < 0x80; u++ {
				bad := u < 0x20 || strings.ContainsRune(`"/\[]:|<>+=;,?`, rune(u))
				switch kind {
				case namePassword, nameSharePassword:
					bad = false
				case nameComputer:
					bad = bad || u == '*'
				case nameDomain:
					bad = bad || u == '*' || u == ' '
				case nameMessageDest:
					bad = bad || u == '*'
				}
				assert.Equal(t, !bad, valid(kind, text{'a', u, 'b'}), "type %d, %#x", kind, u)
			}
			assert.True(t, valid(kind, str("é€")), "type %d", kind)
		}
		for name, ok := range map[string]bool{" a": false, "a ": false, "a b": true, " ": false} {
			assert.Equal(t, ok, valid(nameComputer, str(name)))
		}
		assert.True(t, valid(nameShare, str(" a ")))
		assert.True(t, valid(nameMessageDest, str("a*")))
		assert.True(t, valid(nameMessageDest, str("*")))
		assert.False(t, valid(nameMessageDest, str("**")))
		assert.True(t, valid(nameMessageDest, append(chars(259), '*')))
		assert.False(t, valid(nameMessageDest, chars(260)), "at full length it ends in a star")
		assert.True(t, valid(nameMessageDest, chars(259)))
	})
	rule("SV-218 SV-219 SV-220", "NameCanonicalize", func(t *testing.T) {
		w := newWorld(t)
		ask := func(name string, kind, flags, length uint32) *netprNameCanonicalize {
			return &netprNameCanonicalize{name: str(name), kind: kind, flags: flags, length: length}
		}
		for _, kind := range []uint32{0, 14} {
			w.expect(0x57, ask("a", kind, 0, 100))
		}
		for flags, code := range map[uint32]uint32{0: 0, 1: 0, 0x80000000: 0, 0x80000001: 0, 2: 0x57, 0x80000002: 0x57} {
			w.expect(code, ask("a", 9, flags, 100))
		}
		w.expect(0x7B, ask("a/", 9, 0, 100))
		w.expect(0x7B, ask("", 9, 0, 0))
		w.expect(0x7B, ask(strings.Repeat("x", 81), 9, 0x80000000, 100))
		w.expect(0x84B, ask("a", 9, 1, 79))
		w.expect(0, ask("a", 9, 1, 80))
		w.expect(0x84B, ask("a", 9, 0x80000001, 11))
		w.expect(0, ask("a", 9, 0x80000001, 12))
		w.expect(0x84B, ask("a", 9, 0, 1))
		assert.Equal(t, unhex("03000000 6100 6200 0000 0000 00000000"), w.recvOf(34, encodeIn(t, ask("ab", 9, 0, 3))))
		assert.Equal(t, unhex("03000000 4100 4200 0000 0000 00000000"), w.recvOf(34, encodeIn(t, ask("ab", 9, 0x80000000, 3))))
		assert.Equal(t, unhex("02000000 00000000 4b080000"), w.recvOf(34, encodeIn(t, ask("ab", 9, 0, 2))))
	})
	rule("SV-221", "UpperCase", func(t *testing.T) {
		w := newWorld(t)
		upperLM := map[uint32]bool{1: true, 3: true, 4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 10: true, 11: true, 13: true}
		upperNormal := map[uint32]bool{5: true, 8: true, 10: true, 11: true}
		for kind := uint32(1); kind <= 13; kind++ {
			for flags, upper := range map[uint32]bool{0: upperNormal[kind], 0x80000000: upperLM[kind]} {
				p := &netprNameCanonicalize{name: str("aé"), kind: kind, flags: flags, length: 4}
				w.expect(0, p)
				want := "aé\x00\x00"
				if upper {
					want = "AÉ\x00\x00"
				}
				assert.Equal(t, want, goString(p.buffer), "type %d, %#x", kind, flags)
			}
		}
	})
	rule("SV-222 SV-223 SV-224", "NameCompare", func(t *testing.T) {
		w := newWorld(t)
		compare := func(a, b string, kind, flags uint32) *netprNameCompare {
			return &netprNameCompare{compareParams{first: str(a), second: str(b), kind: kind, flags: flags}}
		}
		for _, flags := range []uint32{2, 0x80000004} {
			w.expect(0x57, compare("a", "a", 9, flags))
		}
		for _, kind := range []uint32{0, 14} {
			w.expect(0x57, compare("a", "a", kind, 0))
			w.expect(0x57, compare("a", "a", kind, 1))
		}
		w.expect(0x57, compare("a/", "a", 9, 0))
		w.expect(0x57, compare("a", "", 9, 0))
		w.expect(0, compare("a/", "A/", 9, 1))
		w.expect(0, compare("abcdefghijklmn", "abcdefghijklmo", 9, 0x80000000)) // both are cut
		w.expect(0xFFFFFFFF, compare("abcdefghijklmn", "abcdefghijklmo", 9, 0x80000001))
		for kind := uint32(1); kind <= 13; kind++ {
			w.expect(0xFFFFFFFF, compare("a", "b", kind, 0))
			w.expect(1, compare("b", "A", kind, 0))
			w.expect(0, compare("a", "A", kind, 0))
			sensitive := uint32(0)
			if kind == 2 || kind == 12 || kind == 10 || kind == 11 {
				sensitive = 1
			}
			w.expect(sensitive, compare("a", "A", kind, 0x80000001))
		}
		w.expect(1, compare("a", "A", 2, 0x80000000))
		w.expect(0, compare("a", "A", 10, 0x80000000)) // upper case as canonical form
	})
	rule("SV-225 SV-226 SV-227", "Dfs", func(t *testing.T) {
		w := newWorld(t)
		assert.Equal(t, unhex("00000000 02000000"), w.recvOf(43, noName))
		for _, opnum := range []int{44, 45, 46, 49, 50, 51} {
			p := methods[opnum].new()
			assert.Equal(t, unhex("32000000"), w.recvOf(opnum, encodeIn(t, p)), methods[opnum].name)
		}
		full := dfsParams{texts: [4]text{chars(3), chars(4), chars(5)}, longs: [3]uint32{1, 2, 3}, relation: []dfsEntry{{prefix: str("p")}, {}}}
		for _, p := range []params{&netrDfsCreateLocalPartition{full}, &netrDfsDeleteLocalPartition{full}, &netrDfsSetLocalVolumeState{full},
			&netrDfsDeleteExitPoint{full}, &netrDfsModifyPrefix{full}, &netrDfsFixLocalVolume{full}} {
			w.expect(0x32, p)
			stub := encodeIn(t, p)
			_, fault := w.raw(opnumOf(t, p), stub[:len(stub)-1])
			assert.EqualValues(t, dcerpc.StatusBadStubData, fault, "%T is decoded", p)
		}
	})
	rule("SV-228", "DfsCreateExitPoint", func(t *testing.T) {
		w := newWorld(t)
		for _, n := range []uint32{0, 1, 32} {
			p := &netrDfsCreateExitPoint{length: n}
			w.expect(0x32, p)
			assert.Equal(t, make([]uint16, n), p.shortPrefix)
		}
		_, fault := w.raw(48, encodeInBad(&netrDfsCreateExitPoint{length: 33}))
		assert.EqualValues(t, dcerpc.StatusBadStubData, fault)
	})
	rule("SV-229", "DfsReportSiteInfo", func(t *testing.T) {
		w := newWorld(t)
		assert.Equal(t, unhex("00000000 32000000"), w.recvOf(52, encodeIn(t, &netrDfsManagerReportSiteInfo{})))
		for _, sites := range []*[]dfsSite{nil, {}, {{1, str("a")}, {2, nil}}} {
			got := w.recvOf(52, encodeIn(t, &netrDfsManagerReportSiteInfo{present: true, sites: sites}))
			assert.Len(t, got, 12)
			assert.NotZero(t, binary.LittleEndian.Uint32(got))
			assert.Equal(t, unhex("00000000 32000000"), got[4:])
		}
	})
}
