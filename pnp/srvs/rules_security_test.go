// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// encodeInBad returns the stub of a request that breaks a range.
func encodeInBad(p params) []byte {
	c := ndr.NewEncoder()
	p.in(c)
	return c.Stub()
}

func getSecurity(share, file string, information uint32) *netrpGetFileSecurity {
	return &netrpGetFileSecurity{securityParams: securityParams{shareName: str(share), fileName: str(file), information: information}}
}

func setSecurity(share, file string, descriptor []byte) *netrpSetFileSecurity {
	return &netrpSetFileSecurity{securityParams: securityParams{shareName: str(share), fileName: str(file), information: 4},
		descriptor: adtDescriptor{uint32(len(descriptor)), descriptor}}
}

// newFiles returns a world whose share home has the files a and d/b, and links.
func newFiles(t *testing.T) (w world, dir string) {
	w = newWorld(t)
	dir = w.source.state.Shares[0].Dir
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "d", "b"), nil, 0o600))
	require.NoError(t, os.Symlink("a", filepath.Join(dir, "inside")))
	require.NoError(t, os.Symlink("../..", filepath.Join(dir, "outside")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "absolute")))
	return w, dir
}

func init() {
	rule("SV-177 SV-178", "FileErrors", func(t *testing.T) {
		w, _ := newFiles(t)
		w.expect(0x906, getSecurity("none", "a", 1))
		w.expect(0x906, &netrpGetFileSecurity{securityParams: securityParams{fileName: str("a")}})
		w.expect(2, getSecurity("home", "none", 1))
		for _, share := range []string{"IPC$", "Scale", "Laser"} {
			w.expect(2, getSecurity(share, "srvsvc", 1))
			w.expect(2, getSecurity(share, "", 1))
		}
		w.expect(0, getSecurity("HOME", "a", 1))
	})
	rule("SV-179 SV-181", "Descriptors", func(t *testing.T) {
		w, dir := newFiles(t)
		file := filepath.Join(dir, "a")
		require.NoError(t, os.Chmod(file, 0o754))
		if os.Geteuid() == 0 {
			require.NoError(t, os.Chown(file, 1001, 1002))
		}
		var stat unix.Stat_t
		require.NoError(t, unix.Stat(file, &stat))
		owner := slices.Concat(unhex("0102 000000000016 01000000"), le32(stat.Uid))
		group := slices.Concat(unhex("0102 000000000016 02000000"), le32(stat.Gid))
		dacl := slices.Concat(unhex("0200 4c00 0300 0000"),
			unhex("0000 1800 bf011200"), owner, unhex("0000 1800 a9001200"), group, unhex("0000 1400 89001200 0101 000000000001 00000000"))
		for information, want := range map[uint32][]byte{
			0:    unhex("0100 0080 00000000 00000000 00000000 00000000"),
			1:    slices.Concat(unhex("0100 0080 14000000 00000000 00000000 00000000"), owner),
			2:    slices.Concat(unhex("0100 0080 00000000 14000000 00000000 00000000"), group),
			4:    slices.Concat(unhex("0100 0480 00000000 00000000 00000000 14000000"), dacl),
			7:    slices.Concat(unhex("0100 0480 14000000 24000000 00000000 34000000"), owner, group, dacl),
			0x17: slices.Concat(unhex("0100 0480 14000000 24000000 00000000 34000000"), owner, group, dacl),
		} {
			p := getSecurity("home", `\a`, information)
			w.expect(0, p)
			require.NotNil(t, p.descriptor)
			assert.Equal(t, want, p.descriptor.data, "%#x", information)
			assert.EqualValues(t, len(want), p.descriptor.size)
			assert.True(t, validDescriptor(p.descriptor.data))
		}
	})
	rule("SV-180", "FileNames", func(t *testing.T) {
		w, dir := newFiles(t)
		for name, code := range map[string]uint32{
			"": 0, `\`: 0, "/": 0, "a": 0, `\a`: 0, `d\b`: 0, "d/b": 0, `\d\..\a`: 0, `.\a`: 0, "inside": 0,
			"..": 2, `..\..\etc`: 2, "outside": 2, `outside\etc`: 2, "absolute": 2, `a\b`: 2, "A": 2,
			"a:stream": 0x7B, `C:\a`: 0x7B, ":": 0x7B,
		} {
			w.expect(code, getSecurity("home", name, 1))
		}
		if os.Geteuid() != 0 {
			require.NoError(t, os.Chmod(filepath.Join(dir, "d"), 0o600))
			w.expect(5, getSecurity("home", `d\b`, 1))
			require.NoError(t, os.Chmod(filepath.Join(dir, "d"), 0o700))
		}
		require.NoError(t, os.RemoveAll(dir))
		w.expect(2, getSecurity("home", "", 1))
	})
	rule("SV-182", "SACL", func(t *testing.T) {
		w, _ := newFiles(t)
		w.expect(5, getSecurity("home", "a", 8))
		w.expect(5, getSecurity("home", "a", 0xF))
		w.expect(2, getSecurity("home", "none", 8))
		p := getSecurity("home", "a", 0x10)
		w.expect(0, p)
		assert.Len(t, p.descriptor.data, 20)
	})
	rule("SV-183 SV-184", "SetFileSecurity", func(t *testing.T) {
		w, dir := newFiles(t)
		before, err := os.Stat(filepath.Join(dir, "a"))
		require.NoError(t, err)
		p := getSecurity("home", "a", 7)
		w.expect(0, p)
		w.expect(0x906, setSecurity("none", "a", nil))
		w.expect(2, setSecurity("home", "none", nil))
		w.expect(0x57, setSecurity("home", "a", nil))
		w.expect(0x57, setSecurity("home", "a", badDescriptor))
		w.expect(5, setSecurity("home", "a", p.descriptor.data))
		after, err := os.Stat(filepath.Join(dir, "a"))
		require.NoError(t, err)
		assert.Equal(t, before, after)
	})
	rule("SV-184", "ValidDescriptors", func(t *testing.T) {
		whole := descriptorOf(&unix.Stat_t{Mode: 0o644}, 7)
		require.True(t, validDescriptor(whole))
		for n := range whole {
			assert.False(t, validDescriptor(whole[:n]), "cut at %d", n)
		}
		for name, change := range map[string]func(b []byte){
			"revision":                     func(b []byte) { b[0] = 2 },
			"not self-relative":            func(b []byte) { b[3] = 0 },
			"owner in the header":          func(b []byte) { b[4] = 19 },
			"owner behind the end":         func(b []byte) { b[5] = 1 },
			"group without room":           func(b []byte) { b[8] = byte(len(b) - 4) },
			"revision of the owner":        func(b []byte) { b[20] = 2 },
			"authorities":                  func(b []byte) { b[21] = 16 },
			"DACL behind the end":          func(b []byte) { b[17] = 1 },
			"revision of the DACL":         func(b []byte) { b[52] = 1 },
			"DACL longer than it is":       func(b []byte) { b[54]++ },
			"DACL shorter than its header": func(b []byte) { b[54] = 7 },
			"more entries":                 func(b []byte) { b[56]++ },
			"an entry without a size":      func(b []byte) { b[62] = 0 },
			"an entry too long":            func(b []byte) { b[63] = 1 },
			"an entry without a SID":       func(b []byte) { b[62] = 8 },
		} {
			b := slices.Clone(whole)
			change(b)
			assert.False(t, validDescriptor(b), name)
		}
		for name, change := range map[string]func(b []byte){
			"no owner":            func(b []byte) { clear(b[4:8]) },
			"DACL that is not so": func(b []byte) { b[2] = 0; b[17] = 1 },
			"null DACL":           func(b []byte) { clear(b[16:20]) },
			"an object entry":     func(b []byte) { b[60] = 5 },
			"room behind":         func(b []byte) { b[54] = 8; b[56] = 0 },
		} {
			b := slices.Clone(whole)
			change(b)
			assert.True(t, validDescriptor(b), name)
		}
	})
	rule("SV-185", "SetFileSecurityLayout", func(t *testing.T) {
		w, _ := newFiles(t)
		name := "02000000 00000000 02000000 6100 0000"
		share := "04000200 05000000 00000000 05000000 68006f006d0065000000 0000"
		w.goodStub(40, "00000000"+share+name+"04000000"+"14000000 08000200 14000000 0100008000000000000000000000000000000000", 5, "")
		w.badStub(40, "00000000"+share+name+"04000000"+"15000000 08000200 14000000 0100008000000000000000000000000000000000", "Length")
		w.badStub(40, "00000000"+share+name+"04000000"+"14000000 00000000", "null")
	})
}
