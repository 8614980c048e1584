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
)

// longName returns the stub of a request with just a server name of n characters.
func longName(t testing.TB, n int) []byte { return encodeIn(t, &netrRemoteTOD{serverName: chars(n)}) }

func init() {
	rule("RP-51", "RequestLayout", func(t *testing.T) {
		c := bound(t)
		stub := longName(t, 2)
		c.send(makePDU(pduRequest, both|0x80, 9, le32(0), le16(0), le16(opTOD), slices.Repeat([]byte{0xAA}, 16), stub))
		p := c.recv()
		assert.EqualValues(t, pduResponse, p.kind, "an object is skipped")
		assert.EqualValues(t, 9, p.call)
		// Alignment counts from the stub: the device's name has an odd count.
		got := c.recvOf(20, unhex("00000000 02000000 00000000 02000000 5a00 0000"))
		assert.Equal(t, unhex("00000000 07090000"), got)
	})
	rule("RP-52", "UnknownContext", func(t *testing.T) {
		c := bound(t)
		for _, context := range []int{1, 256, 0xFFFF} {
			c.send(makeRequest(both, 9, context, opTOD, noName))
			c.fault(dcerpc.StatusUnknownIf, 9, 0, 0x20)
		}
		c.alive()
	})
	rule("RP-53 SV-004 SV-007", "UnknownOpnum", func(t *testing.T) {
		c := fresh(t)
		c.bind(0, proposed{0x1234, wireSRVS, [][]byte{wireNDR}}, plain)
		c.send(makePDU(pduAlter, both, 2, bindBody(4280, 0, plain)))
		c.recv()
		for _, opnum := range []int{29, 42, 47, 58, 59, 0x100, 0xFFFF} {
			c.send(makeRequest(both, 9, 0x1234, opnum, noName))
			c.fault(dcerpc.StatusOpRange, 9, 0x1234, 0x20)
		}
		c.alive()
	})
	rule("SV-004 SV-005 SV-006", "EveryOpnum", func(t *testing.T) {
		c := bound(t)
		assert.Len(t, methods, 58)
		for opnum, m := range methods {
			stub := []byte{1, 2, 3} // which is not looked at up to 7
			if m.new != nil {
				stub = encodeIn(t, m.new())
			}
			got, fault := c.raw(opnum, stub)
			switch {
			case opnum <= 7:
				assert.Equal(t, unhex("32000000"), got)
			case m.new == nil:
				assert.EqualValues(t, dcerpc.StatusOpRange, fault)
			default:
				assert.Zero(t, fault, m.name)
			}
		}
	})
	rule("RP-54 RP-55", "Fragments", func(t *testing.T) {
		stub := longName(t, 700)
		for _, size := range []int{1000, 800, 8, 1} {
			c := bound(t)
			flags := byte(first)
			for rest := stub; ; flags = 0 {
				n := min(size, len(rest))
				if n == len(rest) {
					flags |= last
				}
				c.send(makeRequest(flags, 2, 0, opTOD, rest[:n]))
				if rest = rest[n:]; len(rest) == 0 {
					break
				}
			}
			p := c.recv()
			assert.EqualValues(t, pduResponse, p.kind)
			c.send(makeRequest(both, 3, 0, opTOD, noName), makeRequest(both, 4, 0, opTOD, noName))
			assert.EqualValues(t, 3, c.recv().call)
			assert.EqualValues(t, 4, c.recv().call)
		}
	})
	rule("RP-56", "BrokenSequences", func(t *testing.T) {
		begin := makeRequest(first, 7, 0, opTOD, noName)
		for _, test := range []struct {
			name    string
			mpx     byte
			pdus    [][]byte
			call    uint32
			context int
		}{
			{"no first", 0, [][]byte{makeRequest(0, 7, 0, opTOD, noName)}, 7, 0},
			{"no first of a later call", 0, [][]byte{makeRequest(both, 7, 0, 99, noName), makeRequest(last, 8, 0, opTOD, noName)}, 8, 0},
			{"second first", 0, [][]byte{begin, makeRequest(both, 8, 0, opTOD, noName)}, 7, 0},
			{"second first, multiplexed", 0x10, [][]byte{begin, makeRequest(both, 8, 0, opTOD, noName)}, 8, 0},
			{"another call", 0, [][]byte{begin, makeRequest(last, 8, 0, opTOD, nil)}, 8, 0},
			{"another opnum", 0, [][]byte{begin, makeRequest(last, 7, 0, 21, nil)}, 7, 0},
			{"another context", 0, [][]byte{begin, makeRequest(last, 7, 1, opTOD, nil)}, 7, 0},
		} {
			c := fresh(t)
			c.bind(test.mpx, plain, proposed{1, wireSRVS, [][]byte{wireNDR}})
			for i, b := range test.pdus {
				c.send(b)
				if i == 0 && test.name == "no first of a later call" {
					c.recv()
				}
			}
			p := c.recv()
			assert.EqualValues(t, pduFault, p.kind, test.name)
			assert.EqualValues(t, dcerpc.StatusProtocolError, binary.LittleEndian.Uint32(p.body[8:]), test.name)
			assert.Equal(t, test.call, p.call, test.name)
			c.closed()
		}
		c := fresh(t)
		c.bind(0, proposed{5, wireSRVS, [][]byte{wireNDR}})
		c.send(makeRequest(first, 7, 5, opTOD, noName))
		c.send(makeRequest(first, 8, 5, opTOD, noName))
		c.fault(dcerpc.StatusProtocolError, 7, 5, 0)
	})
	rule("RP-57", "LateFragments", func(t *testing.T) {
		c := bound(t)
		c.send(makeRequest(both, 1000, 0, opTOD, noName))
		c.recv()
		for _, call := range []uint32{1000, 999, 1000 - 149} {
			c.send(makeRequest(0, call, 0, opTOD, noName), makeRequest(last, call, 0, opTOD, noName))
		}
		c.send(makeRequest(both, 1000, 0, opTOD, noName))
		assert.EqualValues(t, pduResponse, c.recv().kind, "they were dropped")
		for _, call := range []uint32{1001, 1000 - 150, 0, 0xFFFFFFFF} {
			c := bound(t)
			c.send(makeRequest(both, 1000, 0, opTOD, noName))
			c.recv()
			c.send(makeRequest(last, call, 0, opTOD, noName))
			c.fault(dcerpc.StatusProtocolError, call, 0, 0)
			c.closed()
		}
	})
	rule("RP-58", "EarlyFaults", func(t *testing.T) {
		c := bound(t)
		for _, test := range []struct {
			context, opnum int
			status         uint32
		}{{9, opTOD, dcerpc.StatusUnknownIf}, {0, 29, dcerpc.StatusOpRange}} {
			c.send(makeRequest(first, 7, test.context, test.opnum, noName))
			c.fault(test.status, 7, 0, 0x20)
			c.send(makeRequest(0, 7, test.context, test.opnum, noName), makeRequest(last, 7, test.context, test.opnum, noName))
			c.alive()
			c.calls = 7
		}
	})
	rule("RP-59", "StubLimit", func(t *testing.T) {
		const part, most = 4096, 4 << 20
		fill := func(c *client, n int) {
			flags := byte(first)
			for ; n > 0; n -= part {
				c.send(makePDU(pduRequest, flags, 7, le32(0), le16(0), le16(opTOD), make([]byte, min(n, part))))
				flags = 0
			}
		}
		c := bound(t)
		fill(c, most)
		c.send(makeRequest(last, 7, 0, opTOD, nil))
		assert.EqualValues(t, pduResponse, c.recv().kind, "4 MiB")

		c = bound(t)
		fill(c, most)
		c.send(makeRequest(last, 7, 0, opTOD, []byte{0}))
		c.fault(dcerpc.StatusAccessDenied, 7, 0, 0)
		c.closed()

		// The hint counts at once, and costs no memory.
		c = bound(t)
		c.send(makePDU(pduRequest, first, 7, le32(most+1), le16(0), le16(opTOD), noName))
		c.fault(dcerpc.StatusAccessDenied, 7, 0, 0)
		c.closed()
		c = bound(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.send(makePDU(pduRequest, first, 7, le32(most), le16(0), le16(opTOD), noName))
		c.send(makeRequest(last, 7, 0, opTOD, nil))
		c.recv()
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	})
	rule("RP-60", "AllocHint", func(t *testing.T) {
		c := bound(t)
		for _, hint := range []uint32{0, 1, 3, 1000, 0xFFFFFFFF} {
			c.send(makePDU(pduRequest, both, 7, le32(hint), le16(0), le16(opTOD), noName))
			assert.EqualValues(t, pduResponse, c.recv().kind)
		}
	})
	rule("RP-61", "Maybe", func(t *testing.T) {
		c := bound(t)
		c.send(makeRequest(both|0x40, 7, 0, opTOD, noName))
		assert.EqualValues(t, pduResponse, c.recv().kind)
	})
	rule("RP-62", "PendingCancel", func(t *testing.T) {
		s, source := newTestServer(t, nil)
		c := connect(t, s)
		c.send(makeRequest(both|4, 7, 0, 11, encodeIn(t, &netrFileClose{id: 1})))
		c.fault(dcerpc.StatusNoCallActive, 7, 0, 0x20)
		assert.Empty(t, source.closed, "it is not run")
		c.alive()
	})
	rule("RP-63 RP-64 RP-65", "CancelAndOrphan", func(t *testing.T) {
		c := bound(t)
		c.send(makePDU(pduCancel, both, 99), makePDU(pduOrphaned, both, 99))
		c.send(makeRequest(first, 7, 0, opTOD, noName))
		c.send(makePDU(pduCancel, both, 7), makePDU(pduOrphaned, both, 6))
		c.send(makeRequest(last, 7, 0, opTOD, nil))
		p := c.recv()
		assert.EqualValues(t, pduResponse, p.kind, "the call goes on")
		assert.Zero(t, p.body[6], "cancel_count")
		c.send(makeRequest(first, 8, 0, opTOD, noName))
		c.send(makePDU(pduOrphaned, both, 8))
		c.send(makeRequest(last, 8, 0, opTOD, nil)) // dropped
		c.send(makeRequest(both, 9, 0, opTOD, noName))
		assert.EqualValues(t, 9, c.recv().call)
	})
	rule("RP-66", "ResponseLayout", func(t *testing.T) {
		c := fresh(t)
		c.bind(0, proposed{0xABCD, wireSRVS, [][]byte{wireNDR}})
		c.send(makeRequest(both, 7, 0xABCD, 43, noName))
		assert.Equal(t, slices.Concat(unhex("05 00 02 03 10000000 2000 0000 07000000"),
			le32(8), unhex("cdab 00 00"), le32(0), le32(2)), c.recv().raw)
	})
	rule("RP-68 RP-69", "FaultLayout", func(t *testing.T) {
		c := bound(t)
		c.send(makeRequest(both, 7, 0, 16, nil))
		assert.Equal(t, unhex("05 00 03 03 10000000 2000 0000 07000000  20000000 0000 00 00 f7060000 00000000"), c.recv().raw)
		c.send(makeRequest(both, 7, 0, 29, nil))
		assert.Equal(t, unhex("05 00 03 23 10000000 2000 0000 07000000  20000000 0000 00 00 0200011c 00000000"), c.recv().raw)
		for _, status := range []uint32{dcerpc.StatusAccessDenied, dcerpc.StatusNoCallActive, dcerpc.StatusCallFailed,
			dcerpc.StatusBadStubData, dcerpc.StatusContextMismatch, dcerpc.StatusOpRange, dcerpc.StatusUnknownIf, dcerpc.StatusProtocolError} {
			assert.NotZero(t, status)
			assert.Less(t, status, uint32(0x80000000), "all that must not be sent but 0 are above")
		}
	})
	rule("RP-71", "NoShutdown", func(t *testing.T) {
		c := bound(t)
		c.conn.Close()
		assert.NoError(t, c.wait())
	})
	rule("RP-83 RP-84", "Trailer", func(t *testing.T) {
		c := bound(t)
		signature := unhex("8ae31371 02f43671")
		pcontext := slices.Concat(le16(2), le16(40), wireSRVS, wireNDR)
		header2 := func(call uint32) []byte {
			return slices.Concat(le16(3|0x4000), le16(16), []byte{0, 0, 0, 0}, unhex("10000000"), le32(call), le16(0), le16(opTOD))
		}
		for _, test := range []struct {
			name  string
			tail  []byte
			fault uint32
		}{
			{"any bytes", unhex("deadbeef 01"), 0},
			{"all", slices.Concat(signature, unhex("0100 0400 00000000"), pcontext, header2(3)), 0},
			{"behind padding", slices.Concat(make([]byte, 8), signature, pcontext, header2(4)), 0},
			{"not aligned", slices.Concat([]byte{0}, signature, unhex("01c0 0000")), 0},
			{"another call", slices.Concat(signature, pcontext, header2(99)), 5},
			{"another interface", slices.Concat(signature, le16(2|0x4000), le16(40), wireZero, wireNDR), 5},
			{"unknown", slices.Concat(signature, unhex("0900 0400 00000000 0a40 0000")), 0},
			{"unknown, to be processed", slices.Concat(signature, unhex("0900 0400 00000000 0ac0 0000")), 5},
			{"header signing", slices.Concat(signature, unhex("0140 0400 01000000")), 5},
			{"cut", slices.Concat(signature, unhex("0100 0400")), 5},
		} {
			_, fault := c.raw(opTOD, slices.Concat(noName, test.tail))
			assert.Equal(t, test.fault, fault, test.name)
		}
		// The bind offered it.
		c = fresh(t)
		c.bind(4, plain)
		_, fault := c.raw(opTOD, slices.Concat(noName, signature, unhex("0140 0400 01000000")))
		assert.Zero(t, fault)
	})
}

// recvOf calls a method with a stub and returns that of its response.
func (c *client) recvOf(opnum int, stub []byte) []byte {
	c.t.Helper()
	got, fault := c.raw(opnum, stub)
	require.Zero(c.t, fault, "fault %#x", fault)
	return got
}
