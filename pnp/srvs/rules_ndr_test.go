// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"encoding/binary"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// badStub fails unless a method faults with RPC_X_BAD_STUB_DATA, and the connection
// lives.
func (c *client) badStub(opnum int, stub string, why string) {
	c.t.Helper()
	_, fault := c.raw(opnum, unhex(stub))
	assert.EqualValues(c.t, dcerpc.StatusBadStubData, fault, why)
	c.alive()
}

// goodStub fails unless a method returns code, whatever its parameters.
func (c *client) goodStub(opnum int, stub string, code uint32, why string) []byte {
	c.t.Helper()
	got, fault := c.raw(opnum, unhex(stub))
	require.Zero(c.t, fault, "%s: fault %#x", why, fault)
	assert.Equal(c.t, code, binary.LittleEndian.Uint32(got[len(got)-4:]), why)
	return got
}

func init() {
	const (
		null   = "00000000"
		pad    = "aabb" // of any value
		nameZ  = "02000000 00000000 02000000 5a00 0000"
		rest15 = "ffffffff 00000000" // length and resume handle
	)
	rule("RP-70", "BadStubs", func(t *testing.T) {
		c := bound(t)
		c.badStub(16, "", "empty")
		c.badStub(16, null+nameZ, "short")
		c.badStub(10, null+"01000000", "short")
		c.badStub(16, "00000200"+"02000000 00000000 03000000 5a00 0000", "count")
		c.badStub(31, null+nameZ+"01fa0000"+nameZ+null+null, "range")
		c.badStub(15, null+"01000000 02000000"+null+rest15, "tag")
	})
	rule("RP-72", "Alignment", func(t *testing.T) {
		c := bound(t)
		// A name of 6 bytes; then 2 pad bytes before a long.
		c.goodStub(10, "00000200 03000000 00000000 03000000 5c00 5a00 0000"+pad+"01000000 02000000", 0, "pad bytes of any value")
		c.badStub(10, "00000200 03000000 00000000 03000000 5c00 5a00 0000"+"01000000 02000000", "no pad bytes")
		// Zeros are sent, and none behind the last item.
		got := c.goodStub(21, "00000200 04000000 00000000 04000000 5c00 5c00 5a00 0000"+"64000000", 0, "")
		assert.Equal(t, unhex("64000000 00000200 f4010000 04000200 02000000 00000000 02000000 5a00 0000 00000000"), got)
		got = c.goodStub(21, "00000200 05000000 00000000 05000000 5c00 5c00 5a00 5a00 0000"+pad+"64000000", 0, "")
		assert.Equal(t, unhex("64000000 00000200 f4010000 04000200 03000000 00000000 03000000 5a00 5a00 0000 0000 00000000"), got)
	})
	rule("RP-73", "TopLevelPointers", func(t *testing.T) {
		c := bound(t)
		// NetName is a reference: no id. ServerName is unique: its pointee follows at once.
		c.goodStub(18, null+nameZ+"00000000", nerrNetNameNotFound, "")
		c.goodStub(18, "00000200"+nameZ+nameZ+"00000000", nerrNetNameNotFound, "")
		c.badStub(18, null+"00000200"+nameZ+"00000000", "an id for a reference")
	})
	rule("RP-74", "Deferral", func(t *testing.T) {
		w := newWorld(t)
		got := w.goodStub(15, null+"01000000 01000000"+null+rest15, 0, "")
		var at []int // of the names and remarks, which follow all entries in their order
		for _, s := range []string{"home", "RDP", "Scale", "Serial", "Laser", "Redirected", "IPC$", "Remote IPC"} {
			b := encodeUnits(s)
			i := slices.IndexFunc(at, func(int) bool { return false })
			for j := range got {
				if len(got)-j >= len(b) && slices.Equal(got[j:j+len(b)], b) {
					i = j
					break
				}
			}
			require.GreaterOrEqual(t, i, 24+4*12, s)
			at = append(at, i)
		}
		assert.True(t, slices.IsSorted(at), "%d", at)
		// A request whose pointees are deferred: strings of NetrServerTransportAdd
		// stand behind the whole structure.
		w.goodStub(25, null+null+"01000000 01000000 02000000 01000000 00000000"+nameZ+"01000000 07", errorAccessDenied, "")
	})
	rule("RP-75", "Referents", func(t *testing.T) {
		w := newWorld(t)
		got := w.goodStub(16, null+"05000000 00000000 05000000 68006f006d0065000000 0000"+"01000000", 0, "")
		ids := [][]byte{got[4:8], got[8:12], got[16:20]}
		for i, id := range ids {
			assert.NotEqual(t, []byte{0, 0, 0, 0}, id)
			assert.NotContains(t, ids[:i], id)
		}
		// Any id is taken, and equal ids are two pointees.
		w.goodStub(12, "01000000"+nameZ+"01000000"+"02000000 00000000 02000000 5900 0000"+null+
			"00000000 00000000"+null+rest15, nerrInvalidComputer, "")
		w.goodStub(12, null+"ffffffff"+"03000000 00000000 03000000 5c005c000000 0000"+"ffffffff"+nameZ+
			"00000000 00000000"+null+rest15, nerrClientNameNotFound, "")
	})
	rule("RP-76", "Arrays", func(t *testing.T) {
		w := newWorld(t)
		disks := func(counts string) string {
			return null + null + "01000000 01000000" + counts + "00000000 01000000 0000 0000" + rest15
		}
		w.goodStub(23, disks("01000000 00000000 01000000"), 0, "")
		w.goodStub(23, disks("05000000 00000000 01000000"), 0, "room")
		w.badStub(23, disks("01000000 01000000 01000000"), "offset")
		w.badStub(23, disks("00000000 00000000 01000000"), "actual above max")
		// A conformant structure has its count before its first member.
		w.goodStub(52, null+"01000000 01000000"+"01000000 01000000 07000000 01000000"+nameZ, errorNotSupported, "")
		w.badStub(52, null+"01000000 01000000"+"02000000 01000000 07000000 01000000"+nameZ, "count of sites")
		w.badStub(52, null+"01000000 01000000"+"01000000 07000000 01000000"+nameZ, "count not before it")
		got := w.goodStub(31, null+nameZ+"05000000"+"01000000 00000000 01000000 0000 0000"+null+null, 0, "")
		assert.Equal(t, unhex("05000000 5a00000000 000000 00200000 00000000"), got)
	})
	rule("RP-77 RP-78", "Strings", func(t *testing.T) {
		c := bound(t)
		name := func(s string) string { return null + s + "00000000" }
		c.goodStub(18, name(nameZ), nerrNetNameNotFound, "")
		c.goodStub(18, name("09000000 00000000 02000000 5a00 0000"), nerrNetNameNotFound, "max above actual")
		c.goodStub(18, name("04000000 00000000 04000000 5a00 0000 5a00 0000"), nerrNetNameNotFound, "NULs within")
		c.badStub(18, name("00000000 00000000 00000000"), "actual 0")
		c.badStub(18, name("02000000 00000000 02000000 5a00 5a00"), "no NUL")
		c.badStub(18, name("01000000 00000000 02000000 5a00 0000"), "max below actual")
		c.badStub(18, name("02000000 01000000 02000000 5a00 0000"), "offset")
		// It ends at its first NUL, and may have a lone surrogate.
		got := c.goodStub(21, "00000200 06000000 00000000 06000000 5c005c00 01d8 0000 5a00 0000"+"64000000", 0, "")
		assert.Equal(t, unhex("64000000 00000200 f4010000 04000200 02000000 00000000 02000000 01d8 0000 00000000"), got)
	})
	rule("RP-78", "EndsAtFirstNUL", func(t *testing.T) {
		c := bound(t)
		c.goodStub(18, null+"04000000 00000000 04000000 0000 5a00 5a00 0000"+"00000000", errorInvalidParameter, "empty")
	})
	rule("RP-79", "Unions", func(t *testing.T) {
		c := bound(t)
		c.goodStub(17, null+nameZ+"02000000 02000000"+null+null, errorInvalidParameter, "")
		c.badStub(17, null+nameZ+"02000000 01000000"+null+null, "tag")
		got := c.goodStub(10, null+"01000000 02000000", 0, "")
		assert.Equal(t, unhex("02000000 00000200 01000000 00000000"), got)
	})
	rule("RP-80", "Sizes", func(t *testing.T) {
		c := bound(t)
		entries := func(s string) string { return null + "00000000 00000000 04000200" + s }
		c.goodStub(15, entries("01000000 08000200 01000000 0c000200"+nameZ+rest15), 0, "")
		c.badStub(15, entries("01000000 08000200 02000000 0c000200 00000000"+nameZ+rest15), "EntriesRead below the count")
		c.badStub(15, entries("02000000 08000200 01000000 0c000200"+nameZ+rest15), "EntriesRead above the count")
		c.badStub(15, entries("01000000 00000000"+rest15), "EntriesRead without an array")
		c.badStub(14, null+"dd050000 dd050000 04000200 03000000 00000000 00000000", "reserved without a descriptor")
		c.badStub(40, null+null+nameZ+"04000000"+"03000000 04000200 02000000 0102", "Length above the bytes")
		c.badStub(25, null+null+"01000000 00000000 04000200 03000000 00000000 02000000 0102", "addresslength above the bytes")
		c.badStub(25, null+null+"01000000 00000000 00000000 03000000 00000000", "addresslength without an address")
		c.badStub(34, null+nameZ+"01fa0000 01000000 00000000", "range")
		c.badStub(48, null+"00112233 4455 6677 8899aabbccddeeff"+nameZ+"01000000 21000000", "range")
	})
	rule("RP-81 SV-049", "UnknownLevels", func(t *testing.T) {
		c := bound(t)
		level := null + "07000000 07000000"
		for _, test := range []struct{ name, stub, want string }{
			{"no arm", level + "ffffffff 04000200 05000000", "04000200"},
			{"no arm, no handle", level + "ffffffff 00000000", "00000000"},
			{"null arm", level + "00000000 ffffffff 04000200 05000000", "04000200"},
			{"null arm, no handle", level + "00000000 ffffffff 00000000", "00000000"},
			{"empty container", level + "04000200 00000000 00000000 ffffffff 08000200 05000000", "04000200"},
			{"empty container, no handle", level + "04000200 00000000 00000000 ffffffff 00000000", "00000000"},
			{"empty array", level + "04000200 00000000 08000200 00000000 ffffffff 0c000200 05000000", "04000200"},
			{"entries", level + "04000200 01000000 08000200 01000000 01020304 ffffffff 0c000200 05000000", "00000000"},
			{"nothing", level, "00000000"},
			{"a trailer", level + "ffffffff 04000200 05000000 8ae31371 02f43671 01400400 00000000", "04000200"},
		} {
			got := c.goodStub(15, test.stub, errorInvalidLevel, test.name)
			require.Equal(t, unhex("07000000 07000000 00000000"), got[:12], test.name)
			assert.Equal(t, test.want != "00000000", binary.LittleEndian.Uint32(got[12:]) != 0, test.name)
			if test.want != "00000000" {
				assert.EqualValues(t, 5, binary.LittleEndian.Uint32(got[16:]), test.name)
			}
		}
		for _, opnum := range []int{8, 9, 12} {
			names := map[int]string{8: "04000200" + nameZ, 9: null + null, 12: null + null}[opnum]
			got := c.goodStub(opnum, null+names+"99000000 99000000 00000000 ffffffff 00000000", errorInvalidLevel, "")
			assert.Equal(t, unhex("99000000 99000000 00000000 00000000 7c000000"), got)
		}
		c.badStub(15, null+"07000000 06000000 00000000 ffffffff 00000000", "tag")
		for name, tail := range map[string]string{"no arm": "04000200 09000000", "null arm": "00000000 04000200 09000000"} {
			got := c.goodStub(14, null+"63000000 63000000"+tail, errorInvalidLevel, name)
			assert.Equal(t, unhex("00000200 09000000 7c000000"), got, name)
		}
		got := c.goodStub(22, null+"63000000 63000000"+"04000200 01020304 05060708 00000000", errorInvalidLevel, "an arm")
		assert.Equal(t, unhex("00000000 7c000000"), got)
	})
	rule("RP-82", "Bombs", func(t *testing.T) {
		s, _ := newTestServer(t, nil)
		const huge = "ffffff7f"
		for _, test := range []struct {
			opnum int
			stub  string
		}{
			{15, null + "01000000 01000000 04000200" + huge + "08000200" + huge},
			{8, "00000000 04000200" + nameZ + "00000000 00000000 04000200" + huge + "08000200" + huge},
			{23, null + null + huge + "04000200" + huge + "00000000" + huge},
			{28, "00000200" + huge + "00000000" + huge + "5a00"},
			{52, null + "01000000 01000000" + huge + huge},
			{40, null + null + nameZ + null + huge + "04000200" + huge},
			{25, null + null + "01000000 00000000 04000200" + huge + "00000000" + huge},
			{44, null + nameZ + "00112233 4455 6677 8899aabbccddeeff" + nameZ + nameZ + huge + "04000200" + huge},
		} {
			c := connect(t, s)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, fault := c.raw(test.opnum, unhex(test.stub))
			runtime.ReadMemStats(&after)
			assert.EqualValues(t, dcerpc.StatusBadStubData, fault, "opnum %d", test.opnum)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "opnum %d", test.opnum)
		}
		// The most that one request can hold costs a few times its size.
		for name, body := range map[string]func(c *ndr.Coder){
			"longs":    func(c *ndr.Coder) {},
			"pointers": func(c *ndr.Coder) {},
		} {
			n := uint32((4<<20 - 100) / 4)
			opnum, level := 8, uint32(0)
			if name == "pointers" {
				opnum, level = 15, 0
			}
			e := ndr.NewEncoder()
			values := []uint32{0}
			if opnum == 8 {
				values = []uint32{0, 1, 2, 0, 2, 0x5a}
			}
			values = append(values, level, level, 1, n, 1, n)
			for _, v := range values {
				e.Uint32(&v)
			}
			body(e)
			stub := append(e.Stub(), slices.Repeat([]byte{1, 0, 0, 0}, int(n))...)
			c := connect(t, s)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, fault := c.raw(opnum, stub)
			runtime.ReadMemStats(&after)
			assert.EqualValues(t, dcerpc.StatusBadStubData, fault, name)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), name)
		}
	})
	rule("RP-85 SV-121 SV-122 SV-123", "ContextHandles", func(t *testing.T) {
		w := newWorld(t)
		got := w.goodStub(37, null+nameZ+"00000000", nerrNetNameNotFound, "")
		assert.Len(t, got, 24)
		got = w.goodStub(38, "00000000 00000000 00000000 00000000 00000000", errorInvalidParameter, "")
		assert.Equal(t, slices.Concat(make([]byte, 20), le32(0x57)), got)
		for _, handle := range []string{"01000000 00000000 00000000 00000000 00000000", "00000000 00000000 00000000 00000000 00000001"} {
			_, fault := w.raw(38, unhex(handle))
			assert.EqualValues(t, dcerpc.StatusContextMismatch, fault)
			w.alive()
		}
	})
}

// encodeUnits returns s as UTF-16LE.
func encodeUnits(s string) (b []byte) {
	for _, u := range str(s) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}
