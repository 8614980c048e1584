// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/srvs/dcerpc"
)

// bind sends a bind and returns the results of its bind_ack: result, reason and
// transfer syntax of each context.
func (c *client) bind(flags byte, contexts ...proposed) (pdu, [][]byte) {
	c.t.Helper()
	c.send(makePDU(pduBind, both|flags, 1, bindBody(4280, 0, contexts...)))
	p := c.recv()
	require.EqualValues(c.t, pduBindAck, p.kind)
	return p, results(c.t, p)
}

// results returns those of a bind_ack or alter_context_resp.
func results(t testing.TB, p pdu) (list [][]byte) {
	t.Helper()
	b := p.raw[24:]
	n := 2 + int(binary.LittleEndian.Uint16(b))
	for (24+n)%4 != 0 {
		require.Zero(t, b[n], "padding")
		n++
	}
	count := int(b[n])
	require.Equal(t, []byte{0, 0, 0}, b[n+1:n+4])
	b = b[n+4:]
	require.Len(t, b, 24*count)
	for ; len(b) > 0; b = b[24:] {
		list = append(list, b[:24])
	}
	return list
}

func accepted() []byte             { return slices.Concat(le16(0), le16(0), wireNDR) }
func refused(reason int) []byte    { return slices.Concat(le16(2), le16(reason), wireZero) }
func acknowledged(mask int) []byte { return slices.Concat(le16(3), le16(mask), wireZero) }

func init() {
	rule("RP-23", "OneResultPerContext", func(t *testing.T) {
		other := slices.Clone(wireSRVS)
		other[0]++
		c := fresh(t)
		_, got := c.bind(0, proposed{5, other, [][]byte{wireNDR}}, proposed{9, wireSRVS, [][]byte{wireNDR64}},
			proposed{3, wireSRVS, [][]byte{wireNDR}}, proposed{4, wireSRVS, [][]byte{wireFeatures(3)}})
		assert.Equal(t, [][]byte{refused(1), refused(2), accepted(), acknowledged(2)}, got)

		c = fresh(t)
		_, got = c.bind(0, proposed{0, other, [][]byte{wireNDR}}, proposed{1, other, [][]byte{wireNDR64}})
		assert.Equal(t, [][]byte{refused(1), refused(1)}, got)
		c.send(makeRequest(both, 7, 0, opTOD, noName))
		c.fault(dcerpc.StatusUnknownIf, 7, 0, 0x20)
	})
	rule("RP-24 RP-25", "BindAck", func(t *testing.T) {
		c := fresh(t)
		p, _ := c.bind(0, plain)
		group := p.body[4:8]
		assert.Equal(t, slices.Concat(unhex("b810 b810"), group, le16(13), []byte(`\PIPE\srvsvc`+"\x00"), []byte{0},
			[]byte{1, 0, 0, 0}, accepted()), p.body)
		c.send(makePDU(pduAlter, both, 2, bindBody(0, 0, proposed{1, wireSRVS, [][]byte{wireNDR}})))
		p = c.recv()
		assert.EqualValues(t, pduAlterRsp, p.kind)
		assert.Equal(t, slices.Concat(unhex("b810 b810"), group, le16(0), []byte{0, 0}, []byte{1, 0, 0, 0}, accepted()), p.body)
	})
	rule("RP-26", "FragmentSizes", func(t *testing.T) {
		for _, test := range []struct{ xmit, recv, want int }{
			{4280, 4280, 4280}, {65535, 65535, 4280}, {5840, 4096, 4096}, {4096, 5840, 4096}, {0, 4280, 2048}, {100, 100, 2048},
			{3007, 3007, 3000}, {2049, 2049, 2048},
		} {
			c := fresh(t)
			body := bindBody(test.xmit, 0, plain)
			copy(body[2:], le16(test.recv))
			c.send(makePDU(pduBind, both, 1, body))
			p := c.recv()
			assert.Equal(t, slices.Concat(le16(test.want), le16(test.want)), p.body[:4], test)
		}
	})
	rule("RP-27 RP-67", "ResponseFragments", func(t *testing.T) {
		for _, frag := range []int{4280, 2048} {
			c := fresh(t)
			c.send(makePDU(pduBind, both, 1, bindBody(frag, 0, plain)))
			c.recv()
			request := encodeIn(t, &netprPathCanonicalize{path: str("x"), length: 9999, prefix: text{}})
			c.send(makeRequest(both, 2, 0, 31, request))
			want := 4 + 9999 + 1 + 4 + 4
			var got int
			for i := 0; ; i++ {
				p := c.recv()
				require.LessOrEqual(t, len(p.raw), frag)
				assert.EqualValues(t, want-got, binary.LittleEndian.Uint32(p.body), "alloc_hint")
				got += len(p.body) - 8
				assert.Equal(t, i == 0, p.flags&first != 0)
				assert.Equal(t, got == want, p.flags&last != 0)
				assert.Zero(t, p.flags&^both)
				if got == want {
					break
				}
				assert.Zero(t, (len(p.body)-8)%8)
			}
			assert.NotEqual(t, 0, got)
		}
	})
	rule("RP-27", "RequestLimit", func(t *testing.T) {
		name := str("x")
		for len(encodeIn(t, &netrRemoteTOD{serverName: name})) < 4280-24-1 {
			name = append(name, 'x')
		}
		stub := encodeIn(t, &netrRemoteTOD{serverName: name})
		stub = append(stub, make([]byte, 4280-24-len(stub))...)
		c := fresh(t)
		c.send(makePDU(pduBind, both, 1, bindBody(2048, 0, plain))) // the limit stays
		c.recv()
		c.send(makeRequest(both, 2, 0, opTOD, stub))
		assert.EqualValues(t, pduResponse, c.recv().kind, "4280 bytes")
		go c.conn.Write(makeRequest(both, 3, 0, opTOD, append(stub, 0)))
		c.fault(dcerpc.StatusProtocolError, 3, 0, 0)
		c.closed()

		// Binds may be longer: 255 contexts with 6 syntaxes each.
		c = fresh(t)
		long := plain
		for range 5 {
			long.transfer = append(long.transfer, wireNDR64)
		}
		var contexts []proposed
		for i := range 255 {
			long.id = i
			contexts = append(contexts, long)
		}
		_, got := c.bind(0, contexts...)
		assert.Len(t, got, 255)
	})
	rule("RP-28 RP-29", "Groups", func(t *testing.T) {
		s, _ := newTestServer(t, nil)
		group := func(c *client, id uint32) uint32 {
			c.send(makePDU(pduBind, both, 1, bindBody(4280, id, plain)))
			p := c.recv()
			if p.kind == pduBindNak {
				assert.EqualValues(t, 0, binary.LittleEndian.Uint16(p.body))
				c.closed()
				return 0
			}
			return binary.LittleEndian.Uint32(p.body[4:])
		}
		one, two, three := dial(t, s), dial(t, s), dial(t, s)
		id := group(one, 0)
		assert.NotZero(t, id)
		other := group(two, 0)
		assert.NotZero(t, other)
		assert.NotEqual(t, id, other)
		assert.Equal(t, id, group(three, id), "joined")
		assert.Zero(t, group(dial(t, s), id+other+1), "unknown")

		// Contexts belong to the connection.
		three.send(makeRequest(both, 7, 5, opTOD, noName))
		three.fault(dcerpc.StatusUnknownIf, 7, 0, 0x20)

		// The group lives as long as one of its connections.
		one.conn.Close()
		one.wait()
		four := dial(t, s)
		assert.Equal(t, id, group(four, id))
		three.conn.Close()
		three.wait()
		four.conn.Close()
		four.wait()
		assert.Zero(t, group(dial(t, s), id), "ended")
	})
	rule("RP-30", "Accepted", func(t *testing.T) {
		_, got := fresh(t).bind(0, plain)
		assert.Equal(t, [][]byte{accepted()}, got)
		_, got = fresh(t).bind(0, proposed{0, wireSRVS, [][]byte{wireZero, wireNDR}})
		assert.Equal(t, [][]byte{accepted()}, got)
		three := slices.Clone(wireNDR)
		three[16] = 3
		_, got = fresh(t).bind(0, proposed{0, wireSRVS, [][]byte{three}})
		assert.Equal(t, [][]byte{refused(2)}, got, "NDR 3.0")
	})
	rule("RP-31", "Versions", func(t *testing.T) {
		for _, at := range []int{0, 8, 15, 16, 17, 18} {
			abstract := slices.Clone(wireSRVS)
			abstract[at] ^= 1
			_, got := fresh(t).bind(0, proposed{0, abstract, [][]byte{wireNDR}})
			assert.Equal(t, [][]byte{refused(1)}, got, "byte %d", at)
		}
	})
	rule("RP-32", "NDR64", func(t *testing.T) {
		_, got := fresh(t).bind(0, proposed{0, wireSRVS, [][]byte{wireNDR64}})
		assert.Equal(t, [][]byte{refused(2)}, got)
		_, got = fresh(t).bind(0, proposed{0, wireSRVS, [][]byte{wireNDR64, wireNDR}})
		assert.Equal(t, [][]byte{accepted()}, got)
	})
	rule("RP-33", "OneSyntaxPerInterface", func(t *testing.T) {
		_, got := fresh(t).bind(0, plain, proposed{1, wireSRVS, [][]byte{wireNDR64}}, proposed{2, wireSRVS, [][]byte{wireNDR}})
		assert.Equal(t, [][]byte{accepted(), refused(2), refused(2)}, got)
	})
	rule("RP-34 RP-35 RP-36", "Features", func(t *testing.T) {
		c := fresh(t)
		_, got := c.bind(0, plain, proposed{1, wireSRVS, [][]byte{wireFeatures(3)}})
		assert.Equal(t, [][]byte{accepted(), acknowledged(2)}, got)
		c.send(makeRequest(both, 7, 1, opTOD, noName))
		c.fault(dcerpc.StatusUnknownIf, 7, 0, 0x20)
		for mask, want := range map[byte]int{0: 0, 1: 0, 2: 2, 0xFD: 0, 0xFF: 2} {
			_, got := fresh(t).bind(0, proposed{1, wireZero, [][]byte{wireFeatures(mask)}})
			assert.Equal(t, [][]byte{acknowledged(want)}, got, "its abstract syntax is not looked at")
		}
		// Only the first syntax of a context counts, and only version 1.0.
		_, got = fresh(t).bind(0, proposed{1, wireSRVS, [][]byte{wireNDR, wireFeatures(2)}})
		assert.Equal(t, [][]byte{accepted()}, got)
		later := wireFeatures(2)
		later[16] = 2
		_, got = fresh(t).bind(0, proposed{1, wireSRVS, [][]byte{later}})
		assert.Equal(t, [][]byte{refused(2)}, got)
	})
	rule("RP-37", "FeaturesOnce", func(t *testing.T) {
		c := fresh(t)
		features := proposed{1, wireSRVS, [][]byte{wireFeatures(2)}}
		c.send(makePDU(pduBind, both, 1, bindBody(4280, 0, plain, features, features)))
		c.nak(0, 1)
		c = bound(t)
		c.send(makePDU(pduAlter, both, 2, bindBody(4280, 0, features)))
		assert.Equal(t, [][]byte{refused(2)}, results(t, c.recv()))
	})
	rule("RP-38", "ContextLimit", func(t *testing.T) {
		c := bound(t)
		for id := 1; id < 4000; id++ {
			c.send(makePDU(pduAlter, both, 2, bindBody(0, 0, proposed{id, wireSRVS, [][]byte{wireNDR}})))
			require.Equal(t, [][]byte{accepted()}, results(t, c.recv()))
		}
		c.send(makePDU(pduAlter, both, 2, bindBody(0, 0, proposed{4000, wireSRVS, [][]byte{wireNDR}})))
		c.fault(dcerpc.StatusProtocolError, 2, 0, 0x20)
		c.closed()
	})
	rule("RP-39 RP-40", "BadBinds", func(t *testing.T) {
		for reason, body := range map[uint16][][]byte{
			4: {bindBody(4280, 0)},
			0: {
				bindBody(4280, 0, proposed{0, wireSRVS, nil}),
				bindBody(4280, 0, plain, proposed{1, wireSRVS, nil}),
				bindBody(4280, 0, plain)[:len(bindBody(4280, 0, plain))-1],
				bindBody(4280, 0, plain, plain)[:len(bindBody(4280, 0, plain))],
				bindBody(4280, 0, plain)[:12],
			},
		} {
			for _, b := range body {
				c := fresh(t)
				c.send(makePDU(pduBind, both, 9, b))
				p := c.recv()
				assert.EqualValues(t, pduBindNak, p.kind)
				assert.Equal(t, slices.Concat(le16(int(reason)), unhex("01 05 00 000000")), p.body, "% x", b)
				assert.Len(t, p.raw, 24)
				c.closed()
			}
		}
	})
	rule("RP-41", "SecondBind", func(t *testing.T) {
		c := bound(t)
		c.send(makePDU(pduBind, both, 9, bindBody(4280, 0, plain)))
		c.nak(0, 9)
	})
	rule("RP-42 RP-43", "BindFlags", func(t *testing.T) {
		for flags, want := range map[byte]byte{0: 3, 0x10: 0x13, 0x04: 3, 0xFC: 0x13} {
			c := fresh(t)
			p, _ := c.bind(flags, plain)
			assert.Equal(t, want, p.flags)
			c.send(makePDU(pduAlter, both|flags, 2, bindBody(4280, 0, plain)))
			assert.EqualValues(t, both, c.recv().flags)
		}
	})
	rule("RP-44 RP-45 RP-46", "Authentication", func(t *testing.T) {
		withAuth := func(b []byte) []byte {
			b = slices.Concat(b, unhex("0a 02 00 00 00000000"), unhex("4e544c4d"))
			copy(b[8:], slices.Concat(le16(len(b)), le16(4)))
			return b
		}
		c := fresh(t)
		c.send(withAuth(makePDU(pduBind, both, 9, bindBody(4280, 0, plain))))
		c.nak(8, 9)
		c = bound(t)
		c.send(withAuth(makePDU(pduAlter, both, 9, bindBody(4280, 0, plain))))
		c.fault(dcerpc.StatusAccessDenied, 9, 0, 0)
		c.closed()
		c = bound(t)
		c.send(withAuth(makeRequest(both, 9, 0, opTOD, noName)))
		c.fault(dcerpc.StatusAccessDenied, 9, 0, 0)
		c.closed()
	})
	rule("RP-47", "Auth3", func(t *testing.T) {
		c := bound(t)
		c.send(makePDU(pduAuth3, both, 9, make([]byte, 4)))
		c.alive()
	})
	rule("RP-48", "AlterContext", func(t *testing.T) {
		c := fresh(t)
		p, _ := c.bind(0, plain)
		other := proposed{8, wireZero, [][]byte{wireNDR}}
		c.send(makePDU(pduAlter, both, 2, bindBody(2048, 77, proposed{7, wireSRVS, [][]byte{wireNDR}}, other)))
		q := c.recv()
		assert.EqualValues(t, pduAlterRsp, q.kind)
		assert.Equal(t, p.body[:8], q.body[:8], "sizes and group stay")
		assert.Equal(t, [][]byte{accepted(), refused(1)}, results(t, q))
		c.send(makeRequest(both, 3, 7, opTOD, noName))
		assert.EqualValues(t, pduResponse, c.recv().kind)
		c.alive() // context 0
	})
	rule("RP-49", "ContextAgain", func(t *testing.T) {
		c := bound(t)
		c.send(makePDU(pduAlter, both, 2, bindBody(4280, 0, proposed{0, wireSRVS, [][]byte{wireNDR64, wireNDR}})))
		assert.Equal(t, [][]byte{accepted()}, results(t, c.recv()))
		c.send(makePDU(pduAlter, both, 2, bindBody(4280, 0, proposed{0xFFFF, wireSRVS, [][]byte{wireNDR}})))
		assert.Equal(t, [][]byte{accepted()}, results(t, c.recv()))
		for _, changed := range []proposed{{0, wireSRVS, [][]byte{wireNDR64}}, {0, wireZero, [][]byte{wireNDR}}} {
			c := bound(t)
			c.send(makePDU(pduAlter, both, 2, bindBody(4280, 0, changed)))
			c.fault(dcerpc.StatusProtocolError, 2, 0, 0x20)
			c.closed()
		}
	})
	rule("RP-50", "BadAlterContext", func(t *testing.T) {
		whole := bindBody(4280, 0, plain)
		for _, body := range [][]byte{bindBody(4280, 0), bindBody(4280, 0, proposed{0, wireSRVS, nil}), whole[:len(whole)-1]} {
			c := bound(t)
			c.send(makePDU(pduAlter, both, 2, body))
			c.fault(dcerpc.StatusProtocolError, 2, 0, 0x20)
			c.closed()
		}
	})
}
