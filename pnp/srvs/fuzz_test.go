// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// FuzzMethod calls one method with any stub. It tests that the stub of the response
// decodes to the last byte, and that the parameters survive being encoded.
func FuzzMethod(f *testing.F) {
	for opnum, m := range methods {
		if m.new != nil {
			f.Add(byte(opnum), encodeIn(f, m.new()), false)
		}
	}
	for _, g := range goldenStubs {
		if g.request {
			f.Add(byte(opnumOf(f, g.params)), unhex(g.stub), false)
		}
	}
	for _, p := range []params{
		&netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 502, container: &container[shareInfo]{[]shareInfo{{name: str("x")}}}}}},
		&netrServerSetInfo{level: 503, info: defaults(), parmErr: ptr(uint32(1))},
		&netrpSetFileSecurity{securityParams: securityParams{shareName: str("home"), fileName: str("a")}, descriptor: adtDescriptor{20, emptyDescriptor()}},
		canonicalize(`a\..\b`, `C:\x`, 0, 0, 100),
	} {
		f.Add(byte(opnumOf(f, p)), encodeIn(f, p), false)
	}
	s, _ := newTestServer(f, func(c *Config, _ *fakeSource) { c.ReadOnly = true })
	f.Fuzz(func(t *testing.T, opnum byte, stub []byte, big bool) {
		if int(opnum) >= len(methods) || methods[opnum].new == nil {
			return
		}
		var order binary.ByteOrder = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		p := methods[opnum].new()
		c := ndr.NewDecoder(stub, order)
		p.in(c)
		if c.Err() != nil {
			return
		}
		again := ndr.NewEncoder()
		p.in(again)
		require.NoError(t, again.Err())

		r := &request{Server: s, caller: asker, now: testNow}
		code := p.answer(r)
		if r.fault != nil {
			return
		}
		answer, err := encodeAnswer(p, code)
		require.NoError(t, err)
		decodeOut(t, p, answer)
	})
}

// A script is a peer that sends all it has and takes what comes.
type script struct {
	in     []byte
	out    []byte
	closed bool
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *script) Close() error {
	s.closed = true
	return nil
}

// FuzzConversation tests whole conversations: what comes back is whole PDUs, none
// longer than its kind may be, and no more of them than requests.
func FuzzConversation(f *testing.F) {
	bind := makePDU(pduBind, both, 1, bindBody(4280, 0, plain, proposed{1, wireSRVS, [][]byte{wireFeatures(3)}}))
	f.Add(bind)
	for opnum, m := range methods {
		if m.new != nil {
			f.Add(slices.Concat(bind, makeRequest(both, 2, 0, opnum, encodeIn(f, m.new()))))
		}
	}
	enum := encodeIn(f, &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 503}, length: maxPreferredLength}})
	f.Add(slices.Concat(bind, makeRequest(first, 2, 0, 15, enum[:8]), makeRequest(0, 2, 0, 15, enum[8:16]), makeRequest(last, 2, 0, 15, enum[16:]),
		makePDU(pduAlter, both, 3, bindBody(0, 0, proposed{7, wireSRVS, [][]byte{wireNDR64, wireNDR}})), makeRequest(both, 4, 7, opTOD, noName),
		makePDU(pduOrphaned, both, 4), makePDU(pduCancel, both, 4)))
	s, _ := newTestServer(f, func(c *Config, _ *fakeSource) { c.ReadOnly = true })
	f.Fuzz(func(t *testing.T, stream []byte) {
		peer := &script{in: stream}
		s.Serve(context.Background(), peer, asker)
		require.True(t, peer.closed)
		for rest, n := peer.out, 0; len(rest) > 0; n++ {
			require.GreaterOrEqual(t, len(rest), 16)
			size := int(binary.LittleEndian.Uint16(rest[8:]))
			require.LessOrEqual(t, size, len(rest))
			require.GreaterOrEqual(t, size, 24)
			if rest[2] == pduResponse {
				require.LessOrEqual(t, size, 4280)
			}
			rest = rest[size:]
		}
	})
}
