// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// A golden stub is one made by hand that another implementation decodes.
type golden struct {
	name    string
	request bool // else a response, which ends with code
	code    uint32
	params  params
	stub    string
}

var goldenStubs = []golden{
	{"share enumeration, request", true, 0,
		&netrShareEnum{enumParams[shareInfo]{serverName: str(`\\PC`), info: enumStruct[shareInfo]{level: 1, container: &container[shareInfo]{}},
			length: maxPreferredLength, resume: ptr(uint32(0))}}, `
		00 00 02 00  05 00 00 00 00 00 00 00 05 00 00 00  5c 00 5c 00 50 00 43 00 00 00  00 00
		01 00 00 00  01 00 00 00  04 00 02 00
		00 00 00 00  00 00 00 00
		ff ff ff ff  08 00 02 00 00 00 00 00`},
	{"share enumeration, response", false, 0,
		&netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 1, container: &container[shareInfo]{[]shareInfo{
			{name: str("home"), kind: 0x40000000, remark: str("RDP")}, {name: str("IPC$"), kind: 0x80000003, remark: text{}}}}},
			total: 2, resume: ptr(uint32(0))}}, `
		01 00 00 00 01 00 00 00 00 00 02 00
		02 00 00 00 04 00 02 00
		02 00 00 00
		08 00 02 00 00 00 00 40 0c 00 02 00
		10 00 02 00 03 00 00 80 14 00 02 00
		05 00 00 00 00 00 00 00 05 00 00 00 68 00 6f 00 6d 00 65 00 00 00  00 00
		04 00 00 00 00 00 00 00 04 00 00 00 52 00 44 00 50 00 00 00
		05 00 00 00 00 00 00 00 05 00 00 00 49 00 50 00 43 00 24 00 00 00  00 00
		01 00 00 00 00 00 00 00 01 00 00 00 00 00  00 00
		02 00 00 00 18 00 02 00 00 00 00 00 00 00 00 00`},
	{"share enumeration, no such level", false, errorInvalidLevel,
		&netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 7}}},
		`07 00 00 00 07 00 00 00 00 00 00 00 00 00 00 00 7c 00 00 00`},
	{"disk enumeration", false, 0, &netrServerDiskEnum{disks: []text{str("C:"), {}}, total: 1}, `
		02 00 00 00 00 00 02 00  02 00 00 00 00 00 00 00 02 00 00 00
		00 00 00 00 03 00 00 00 43 00 3a 00 00 00  00 00  00 00 00 00 01 00 00 00 00 00  00 00
		01 00 00 00 00 00 00 00 00 00 00 00`},
	{"transport enumeration", false, 0,
		&netrServerTransportEnum{enumParams[transportInfo]{info: enumStruct[transportInfo]{container: &container[transportInfo]{[]transportInfo{
			{circuits: 1, name: str("t"), address: []byte("0123456789abcdef"), addressSize: 16, networkAddress: str("0")}}}}, total: 1}}, `
		00 00 00 00 00 00 00 00 00 00 02 00 01 00 00 00 04 00 02 00 01 00 00 00
		01 00 00 00 08 00 02 00 0c 00 02 00 10 00 00 00 10 00 02 00
		02 00 00 00 00 00 00 00 02 00 00 00 74 00 00 00
		10 00 00 00 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66
		02 00 00 00 00 00 00 00 02 00 00 00 30 00 00 00
		01 00 00 00 00 00 00 00 00 00 00 00`},
	{"share information 502", false, 0,
		&netrShareGetInfo{level: 502, info: &shareInfo{name: str("h"), kind: 0x40000000, remark: text{}, maxUses: 0xFFFFFFFF, uses: 1, path: str("C:")}}, `
		f6 01 00 00 00 00 02 00
		04 00 02 00 00 00 00 40 08 00 02 00 00 00 00 00 ff ff ff ff 01 00 00 00 0c 00 02 00 00 00 00 00 00 00 00 00 00 00 00 00
		02 00 00 00 00 00 00 00 02 00 00 00 68 00 00 00
		01 00 00 00 00 00 00 00 01 00 00 00 00 00  00 00
		03 00 00 00 00 00 00 00 03 00 00 00 43 00 3a 00 00 00  00 00
		00 00 00 00`},
	{"time of day", false, 0,
		&netrRemoteTOD{info: &timeOfDay{1, 2, 3, 4, 5, 6, -7, 8, 9, 10, 11, 12}}, `
		00 00 02 00
		01 00 00 00 02 00 00 00 03 00 00 00 04 00 00 00 05 00 00 00 06 00 00 00 f9 ff ff ff 08 00 00 00
		09 00 00 00 0a 00 00 00 0b 00 00 00 0c 00 00 00
		00 00 00 00`},
	{"canonical path in 11 bytes", false, 0,
		&netprPathCanonicalize{length: 11, buffer: []byte("a\x00b\x00\x00\x00\x00\x00\x00\x00\x00"), kind: 8192}, `
		0b 00 00 00 61 00 62 00 00 00 00 00 00 00 00 00  00 20 00 00 00 00 00 00`},
	{"security without parts", false, 0,
		&netrpGetFileSecurity{descriptor: &adtDescriptor{20, append([]byte{1, 0, 0, 0x80}, make([]byte, 16)...)}}, `
		00 00 02 00 14 00 00 00 04 00 02 00 14 00 00 00 01 00 00 80 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
		00 00 00 00`},
	{"disk enumeration, request", true, 0, &netrServerDiskEnum{length: 0xFFFFFFFF}, `
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 ff ff ff ff 00 00 00 00`},
	{"adding a transport, request: a size behind its pointer", true, 0,
		&netrServerTransportAdd{transportParams{info: transportInfo{circuits: 2, name: str("t"), address: []byte{7, 8, 9}, addressSize: 3}}}, `
		00 00 00 00 00 00 00 00
		02 00 00 00 00 00 02 00 04 00 02 00 03 00 00 00 00 00 00 00
		02 00 00 00 00 00 00 00 02 00 00 00 74 00 00 00
		03 00 00 00 07 08 09`},
	{"adding an alias, request: a boolean", true, 0,
		&netrServerAliasAdd{aliasParams{info: &aliasInfo{target: str("t"), isDefault: 1, reserved: 5}}}, `
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 02 00
		00 00 00 00 04 00 02 00 01 00 00 00 05 00 00 00
		02 00 00 00 00 00 00 00 02 00 00 00 74 00 00 00`},
	{"adding a share, request: ParmErr behind the union", true, 0,
		&netrShareAdd{level: 502, info: &shareInfo{name: str("n"), descriptorSize: 2, descriptor: []byte{1, 2}}, parmErr: ptr(uint32(3))}, `
		00 00 00 00 f6 01 00 00 f6 01 00 00 00 00 02 00
		04 00 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 08 00 02 00
		02 00 00 00 00 00 00 00 02 00 00 00 6e 00 00 00
		02 00 00 00 01 02  00 00
		0c 00 02 00 03 00 00 00`},
	{"a transport in a union, by value", true, 0,
		&netrServerTransportDelEx{transportParams{level: 1, info: transportInfo{domain: text{}}}}, `
		00 00 00 00 01 00 00 00 01 00 00 00
		00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02 00
		01 00 00 00 00 00 00 00 01 00 00 00 00 00`},
	{"site information, request: a hoisted count", true, 0,
		&netrDfsManagerReportSiteInfo{present: true, sites: &[]dfsSite{{7, str("a")}, {8, nil}}}, `
		00 00 00 00 00 00 02 00 04 00 02 00
		02 00 00 00 02 00 00 00 07 00 00 00 08 00 02 00 08 00 00 00 00 00 00 00
		02 00 00 00 00 00 00 00 02 00 00 00 61 00 00 00`},
}

// TestGoldenStubs encodes and decodes each, and decodes none that is cut.
func TestGoldenStubs(t *testing.T) {
	for _, g := range goldenStubs {
		t.Run(g.name, func(t *testing.T) {
			want := unhex(g.stub)
			code := g.code
			run := func(c *ndr.Coder, p params) {
				if g.request {
					p.in(c)
					return
				}
				p.out(c)
				c.Uint32(&code)
			}
			c := ndr.NewEncoder()
			run(c, g.params)
			require.NoError(t, c.Err())
			assert.Equal(t, hex.Dump(want), hex.Dump(c.Stub()))

			got := methods[opnumOf(t, g.params)].new()
			copyLevel(got, g.params)
			c = ndr.NewDecoder(want, binary.LittleEndian)
			run(c, got)
			require.NoError(t, c.Err())
			assert.Zero(t, c.Rest())
			assert.Equal(t, g.params, got)
			assert.Equal(t, g.code, code)

			for n := range want {
				p := methods[opnumOf(t, g.params)].new()
				copyLevel(p, g.params)
				c := ndr.NewDecoder(want[:n], binary.LittleEndian)
				run(c, p)
				assert.Error(t, c.Err(), "cut at %d", n)
			}
		})
	}
}

// copyLevel sets what decoding a response takes from the request.
func copyLevel(to, from params) {
	switch from := from.(type) {
	case *netrShareGetInfo:
		to.(*netrShareGetInfo).level = from.level
	case *netprPathCanonicalize:
		to.(*netprPathCanonicalize).length = from.length
	}
}
