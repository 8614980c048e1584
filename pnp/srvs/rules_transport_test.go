// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func init() {
	rule("SV-168 SV-169 SV-170", "Transports", func(t *testing.T) {
		w := newWorld(t)
		enum := func(level uint32) *netrServerTransportEnum {
			return &netrServerTransportEnum{enumParams[transportInfo]{info: enumStruct[transportInfo]{level: level}, length: maxPreferredLength}}
		}
		full := transportInfo{circuits: 1, name: str(`\Device\RdpDvc`), address: []byte("THIN-CLIENT7    "), addressSize: 16,
			networkAddress: str("000000000000")}
		one := full
		one.domain = str("WORKGROUP")
		for level, want := range map[uint32]transportInfo{0: full, 1: one, 2: one} {
			p := enum(level)
			w.expect(0, p)
			assert.Equal(t, []transportInfo{want}, p.info.container.entries)
			assert.EqualValues(t, ' ', p.info.container.entries[0].address[15])
		}
		for _, level := range []uint32{3, 4} {
			w.expect(0x7C, enum(level))
		}
		for host, want := range map[string]string{"ABCDEFGHIJKLMNOPQ": "ABCDEFGHIJKLMNO ", "": "                ", "über": "?BER            "} {
			w := newWorldWith(t, func(c *Config, _ *fakeSource) { c.Host = host })
			p := enum(0)
			w.expect(0, p)
			assert.Equal(t, want, string(p.info.container.entries[0].address))
		}
	})
	rule("SV-171 SV-172", "TransportAdd", func(t *testing.T) {
		w := newWorld(t)
		valid := func() transportInfo {
			return transportInfo{name: str("t"), address: []byte{1}, addressSize: 1, domain: chars(15), flags: 6}
		}
		x := valid()
		add := func(level uint32, x transportInfo) *netrServerTransportAdd {
			return &netrServerTransportAdd{transportParams{level: level, info: x}}
		}
		addEx := func(level uint32, x transportInfo) *netrServerTransportAddEx {
			return &netrServerTransportAddEx{transportParams{level: level, info: x}}
		}
		w.expect(5, add(0, x))
		w.expect(0x7C, add(1, x))
		w.expect(0x7C, add(1, transportInfo{}))
		for level := range uint32(4) {
			w.expect(5, addEx(level, x))
		}
		w.expect(0x7C, addEx(4, x))
		for level := range uint32(4) {
			for i, bad := range []func(*transportInfo){
				func(x *transportInfo) { x.name = nil }, func(x *transportInfo) { x.address, x.addressSize = nil, 0 },
				func(x *transportInfo) { x.address, x.addressSize = []byte{}, 0 },
				func(x *transportInfo) { x.domain = chars(16) }, func(x *transportInfo) { x.flags = 1 }, func(x *transportInfo) { x.flags = 8 },
			} {
				x := valid()
				bad(&x)
				code := uint32(0x57)
				if i == 3 && level < 1 || i > 3 && level < 2 { // which lack the member
					code = 5
				}
				w.expect(code, addEx(level, x))
				if i < 3 {
					w.expect(0x57, add(0, x))
				}
			}
		}
	})
	rule("SV-173 SV-174 SV-175", "TransportDel", func(t *testing.T) {
		w := newWorld(t)
		own := w.request().transport()
		other := own
		other.address = []byte("OTHER           ")
		named := own
		named.name = str(`\Device\NetBT`)
		for _, level := range []uint32{0, 1, 2, 3, 99} {
			w.expect(5, &netrServerTransportDel{transportParams{level: level, info: own}})
		}
		for _, x := range []transportInfo{other, named} {
			w.expect(0x906, &netrServerTransportDel{transportParams{info: x}})
			w.expect(0x906, &netrServerTransportDelEx{transportParams{level: 1, info: x}})
		}
		for level, code := range map[uint32]uint32{0: 5, 1: 5, 2: 0x7C, 3: 0x7C, 4: 0x7C} {
			w.expect(code, &netrServerTransportDelEx{transportParams{level: level, info: own}})
		}
		for _, x := range []transportInfo{{address: own.address, addressSize: 16}, {name: own.name}, {name: own.name, address: []byte{}}} {
			w.expect(0x57, &netrServerTransportDel{transportParams{info: x}})
			w.expect(0x57, &netrServerTransportDelEx{transportParams{info: x}})
		}
	})
	rule("SV-176", "TransportLayouts", func(t *testing.T) {
		w := newWorld(t)
		structure := "01000000 00000000 04000200 01000000 00000000 01000000 07"
		w.goodStub(25, "00000000 00000000"+structure, 0x57, "no referent, no tag")
		w.goodStub(27, "00000000 07000000"+structure, 0x57, "no referent, no tag")
		w.goodStub(41, "00000000 00000000 00000000"+structure, 0x57, "a tag")
		w.goodStub(53, "00000000 00000000 00000000"+structure, 0x57, "a tag")
		w.badStub(41, "00000000 00000000"+structure, "no tag")
	})
	rule("SV-230 SV-231 SV-232", "AliasAdd", func(t *testing.T) {
		w := newWorld(t)
		add := func(level uint32, x *aliasInfo) *netrServerAliasAdd {
			return &netrServerAliasAdd{aliasParams{level: level, info: x}}
		}
		w.expect(0x7C, add(1, nil))
		w.expect(0x57, add(0, nil))
		target := str("thin-client7")
		for _, test := range []struct {
			x    aliasInfo
			code uint32
		}{
			{aliasInfo{alias: str("a"), target: target}, 5}, {aliasInfo{target: target, isDefault: 1}, 5},
			{aliasInfo{alias: text{}, target: str(`\\Thin-Client7.example.org`), isDefault: 7}, 5},
			{aliasInfo{target: target}, 0x57}, {aliasInfo{alias: str("a"), target: target, isDefault: 1}, 0x57},
			{aliasInfo{alias: str("a")}, 0x57}, {aliasInfo{alias: str("a"), target: text{}}, 0x57}, {aliasInfo{alias: str("a"), target: str("other")}, 0x57},
			{aliasInfo{alias: text{}, target: target}, 0x57}, {aliasInfo{}, 0x57},
		} {
			w.expect(test.code, add(0, &test.x))
		}
	})
	rule("SV-233", "AliasEnum", func(t *testing.T) {
		w := newWorld(t)
		p := &netrServerAliasEnum{enumParams[aliasInfo]{length: maxPreferredLength}}
		assert.Equal(t, unhex("00000000 00000000 00000200 00000000 00000000 00000000 00000000 00000000"), w.recvOf(55, encodeIn(t, p)))
		w.expect(0x7C, &netrServerAliasEnum{enumParams[aliasInfo]{info: enumStruct[aliasInfo]{level: 1}}})
	})
	rule("SV-234", "AliasDel", func(t *testing.T) {
		w := newWorld(t)
		del := func(level uint32, x *aliasInfo) *netrServerAliasDel {
			return &netrServerAliasDel{aliasParams{level: level, info: x}}
		}
		w.expect(0x7C, del(1, nil))
		w.expect(0x57, del(0, nil))
		w.expect(0x57, del(0, &aliasInfo{}))
		w.expect(0x57, del(0, &aliasInfo{alias: str("a"), isDefault: 1}))
		w.expect(0x906, del(0, &aliasInfo{alias: str("a"), target: str("anything")}))
		w.expect(0x906, del(0, &aliasInfo{isDefault: 1}))
	})
}
