// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An enumeration is a call of one of the enumerating methods, and what it returned.
type enumeration struct {
	name  string
	size  int // of the list
	first int // bytes of the first entry
	call  func(w world, length uint32, resume *uint32) (code uint32, n int, total uint32, out *uint32)
}

// enumerations are all that have entries, at a level with strings.
var enumerations = []enumeration{
	{"NetrConnectionEnum", 4, 28 + 2*6 + 2*5, func(w world, length uint32, resume *uint32) (uint32, int, uint32, *uint32) {
		p := &netrConnectionEnum{qualifier: str(`\\RDPHOST`)}
		return enumerated(w, p, &p.enumParams, 1, length, resume)
	}},
	{"NetrFileEnum", 3, 20 + 2*7 + 2*6, func(w world, length uint32, resume *uint32) (uint32, int, uint32, *uint32) {
		p := &netrFileEnum{}
		return enumerated(w, p, &p.enumParams, 3, length, resume)
	}},
	{"NetrSessionEnum", 1, 32 + 2*10 + 2*6 + 2 + 2*15, func(w world, length uint32, resume *uint32) (uint32, int, uint32, *uint32) {
		p := &netrSessionEnum{}
		return enumerated(w, p, &p.enumParams, 502, length, resume)
	}},
	{"NetrShareEnum", 4, 12 + 2*5 + 2*4, func(w world, length uint32, resume *uint32) (uint32, int, uint32, *uint32) {
		p := &netrShareEnum{}
		return enumerated(w, p, &p.enumParams, 1, length, resume)
	}},
	{"NetrServerTransportEnum", 1, 28 + 2*15 + 16 + 2*13 + 2*10, func(w world, length uint32, resume *uint32) (uint32, int, uint32, *uint32) {
		p := &netrServerTransportEnum{}
		return enumerated(w, p, &p.enumParams, 2, length, resume)
	}},
	{"NetrShareEnumSticky", 0, 0, func(w world, length uint32, resume *uint32) (uint32, int, uint32, *uint32) {
		p := &netrShareEnumSticky{}
		return enumerated(w, p, &p.enumParams, 1, length, resume)
	}},
	{"NetrServerAliasEnum", 0, 0, func(w world, length uint32, resume *uint32) (uint32, int, uint32, *uint32) {
		p := &netrServerAliasEnum{}
		return enumerated(w, p, &p.enumParams, 0, length, resume)
	}},
}

func enumerated[T any](w world, p params, e *enumParams[T], level, length uint32, resume *uint32) (code uint32, n int, total uint32, out *uint32) {
	w.t.Helper()
	e.info.level, e.length, e.resume = level, length, resume
	code = w.call(p)
	require.NotNil(w.t, e.info.container)
	if len(e.info.container.entries) == 0 {
		assert.Nil(w.t, e.info.container.entries, "a null pointer")
	}
	return code, len(e.info.container.entries), e.total, e.resume
}

// eachEnumeration runs f for all of them that have at least least entries.
func eachEnumeration(t *testing.T, least int, f func(w world, e enumeration)) {
	w := newWorld(t)
	for _, e := range enumerations {
		if e.size >= least {
			f(w, e)
		}
	}
}

func connections(level uint32, qualifier text) *netrConnectionEnum {
	return &netrConnectionEnum{qualifier: qualifier,
		enumParams: enumParams[connectionInfo]{info: enumStruct[connectionInfo]{level: level}, length: maxPreferredLength}}
}

func sessions(level uint32, client, user text) *netrSessionEnum {
	return &netrSessionEnum{clientName: client, userName: user,
		enumParams: enumParams[sessionInfo]{info: enumStruct[sessionInfo]{level: level}, length: maxPreferredLength}}
}

func init() {
	rule("SV-036", "All", func(t *testing.T) {
		eachEnumeration(t, 0, func(w world, e enumeration) {
			code, n, total, _ := e.call(w, maxPreferredLength, nil)
			assert.Zero(t, code, e.name)
			assert.Equal(t, e.size, n, e.name)
			assert.EqualValues(t, e.size, total, e.name)
		})
	})
	rule("SV-037 SV-040 SV-045", "PreferredLength", func(t *testing.T) {
		eachEnumeration(t, 2, func(w world, e enumeration) {
			code, n, total, out := e.call(w, uint32(e.first), ptr(uint32(0)))
			assert.EqualValues(t, errorMoreData, code, e.name)
			assert.Equal(t, 1, n, e.name)
			assert.EqualValues(t, e.size, total, e.name)
			assert.EqualValues(t, 1, *out, e.name)
			code, n, total, out = e.call(w, maxPreferredLength, out)
			assert.Zero(t, code, e.name)
			assert.Equal(t, e.size-1, n, e.name)
			assert.EqualValues(t, e.size-1, total, e.name)
			assert.Zero(t, *out, e.name)
		})
		eachEnumeration(t, 1, func(w world, e enumeration) {
			code, n, _, _ := e.call(w, uint32(e.first), nil)
			assert.Equal(t, e.size == 1, code == 0, e.name)
			assert.Equal(t, 1, n, e.name)
		})
	})
	rule("SV-038 SV-039", "TooSmall", func(t *testing.T) {
		eachEnumeration(t, 1, func(w world, e enumeration) {
			for _, length := range []uint32{0, 1, uint32(e.first - 1)} {
				code, n, total, out := e.call(w, length, ptr(uint32(0)))
				assert.EqualValues(t, 0x84B, code, "%s, %d bytes", e.name, length)
				assert.Zero(t, n)
				assert.EqualValues(t, e.size, total)
				assert.EqualValues(t, 0, *out)
			}
			if e.size > 1 {
				code, _, _, out := e.call(w, 1, ptr(uint32(1)))
				assert.EqualValues(t, 0x84B, code)
				assert.EqualValues(t, 1, *out, "as it came")
			}
		})
		eachEnumeration(t, 0, func(w world, e enumeration) {
			if e.size == 0 {
				code, _, _, _ := e.call(w, 0, nil)
				assert.Zero(t, code, e.name)
			}
		})
	})
	rule("SV-040", "Example", func(t *testing.T) { // of section 4.1: two of five files, then three
		w := newWorld(t)
		w.source.state.Files = nil
		for i := range 5 {
			w.source.state.Files = append(w.source.state.Files, File{ID: uint32(i + 1), Name: "Scale"})
		}
		p := &netrFileEnum{enumParams: enumParams[fileInfo]{info: enumStruct[fileInfo]{level: 3}, length: 100, resume: ptr(uint32(0))}}
		w.expect(errorMoreData, p)
		assert.EqualValues(t, 5, p.total)
		assert.Len(t, p.info.container.entries, 2)
		p.length = maxPreferredLength
		w.expect(0, p)
		assert.EqualValues(t, 3, p.total)
		assert.Len(t, p.info.container.entries, 3)
	})
	rule("SV-041", "FromTheBeginning", func(t *testing.T) {
		eachEnumeration(t, 0, func(w world, e enumeration) {
			for _, resume := range []*uint32{nil, ptr(uint32(0))} {
				_, n, _, _ := e.call(w, maxPreferredLength, resume)
				assert.Equal(t, e.size, n, e.name)
			}
		})
	})
	rule("SV-042 SV-043", "Resume", func(t *testing.T) {
		eachEnumeration(t, 1, func(w world, e enumeration) {
			for after := range e.size {
				code, n, total, _ := e.call(w, maxPreferredLength, ptr(uint32(after)))
				assert.Zero(t, code)
				assert.Equal(t, e.size-after, n, "%s after %d", e.name, after)
				assert.EqualValues(t, e.size-after, total)
			}
		})
		// Filters play no part in what a handle stands for.
		w := newWorld(t)
		p := connections(1, str("Laser"))
		p.resume = ptr(uint32(2))
		w.expect(0, p)
		assert.Len(t, p.info.container.entries, 1)
		p = connections(1, str("home"))
		p.resume = ptr(uint32(1))
		w.expect(0, p)
		assert.Empty(t, p.info.container.entries)
	})
	rule("SV-044", "ResumeBehindTheEnd", func(t *testing.T) {
		eachEnumeration(t, 0, func(w world, e enumeration) {
			for _, after := range []uint32{uint32(max(e.size, 1)), uint32(e.size + 1), 0xFFFFFFFF} {
				code, n, total, _ := e.call(w, maxPreferredLength, ptr(after))
				assert.Zero(t, code, e.name)
				assert.Zero(t, n, e.name)
				assert.Zero(t, total, e.name)
			}
		})
	})
	rule("SV-046", "NullHandle", func(t *testing.T) {
		eachEnumeration(t, 0, func(w world, e enumeration) {
			for _, length := range []uint32{maxPreferredLength, 60, 1} {
				code, _, _, out := e.call(w, length, nil)
				assert.Nil(t, out, e.name)
				if e.size > 1 && length == 60 {
					assert.EqualValues(t, errorMoreData, code, e.name)
				}
			}
		})
	})
	rule("SV-047", "HandleAfterSuccess", func(t *testing.T) {
		eachEnumeration(t, 0, func(w world, e enumeration) {
			for _, resume := range []uint32{0, 1, 0xFFFFFFFF} {
				code, _, _, out := e.call(w, maxPreferredLength, ptr(resume))
				assert.Zero(t, code)
				assert.EqualValues(t, 0, *out, e.name)
			}
		})
	})
	rule("SV-048", "ContainersOfRequests", func(t *testing.T) {
		w := newWorld(t)
		for _, k := range []*container[shareInfo]{nil, {}, {entries: []shareInfo{}}, {entries: []shareInfo{{name: str("x"), remark: text{}}, {}}}} {
			p := &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 1, container: k}, length: maxPreferredLength, resume: ptr(uint32(0))}}
			w.expect(0, p)
			assert.Equal(t, []string{"home", "Scale", "Laser", "IPC$"}, names(p))
		}
		w.badStub(15, "00000000 01000000 01000000 04000200 01000000 08000200 01000000 0c000200 00000000 00000000", "an entry that is not well formed")
	})
	rule("SV-050", "LevelsOfGetInfo", func(t *testing.T) {
		w := newWorld(t)
		ask := func(opnum int, p params) []byte {
			stub := w.recvOf(opnum, encodeIn(t, p))
			return stub
		}
		for level, want := range map[uint32]string{3: "03000000 7c000000", 1004: "ec030000 00000000 7c000000", 1501: "dd050000 00000000 7c000000"} {
			assert.Equal(t, unhex(want), ask(16, &netrShareGetInfo{netName: str("home"), level: level}))
		}
		assert.Equal(t, unhex("01000000 7c000000"), ask(10, &netrFileGetInfo{id: 1, level: 1}))
		for level, want := range map[uint32]string{1: "01000000 7c000000", 599: "57020000 00000000 7c000000", 1005: "ed030000 00000000 7c000000"} {
			assert.Equal(t, unhex(want), ask(21, &netrServerGetInfo{level: level}))
		}
	})
	rule("SV-051 SV-052", "ConnectionErrors", func(t *testing.T) {
		w := newWorld(t)
		for _, qualifier := range []text{nil, {}, chars(1024)} {
			w.expect(0x57, connections(1, qualifier))
			w.expect(0x57, connections(9, qualifier))
		}
		w.expect(0, connections(1, chars(1023)))
		for _, level := range []uint32{2, 3, 502, 0xFFFFFFFF} {
			p := connections(level, str("home"))
			w.expect(0x7C, p)
			assert.Equal(t, level, p.info.level)
			assert.Nil(t, p.info.container)
		}
	})
	rule("SV-053 SV-055 SV-056 SV-057", "Connections", func(t *testing.T) {
		w := newWorld(t)
		want := []connectionInfo{
			{1, 0, 0, 1, 3000, str("alice"), str("home")},
			{2, 2, 2, 1, 600, str("alice"), str("Scale")},
			{3, 1, 0, 1, 600, str("alice"), str("Laser")},
			{connectionIPC, 3, 1, 1, 3000, str("alice"), str("IPC$")},
		}
		p := connections(1, str(`\\rdphost`))
		w.expect(0, p)
		assert.Equal(t, want, p.info.container.entries)
		for _, x := range want {
			p := connections(1, x.netname)
			w.expect(0, p)
			x.netname = str("RDPHOST")
			assert.Equal(t, []connectionInfo{x}, p.info.container.entries)
		}
		p = connections(0, str("scale"))
		w.expect(0, p)
		assert.Equal(t, []connectionInfo{{id: 2}}, p.info.container.entries)
	})
	rule("SV-054", "NoConnections", func(t *testing.T) {
		w := newWorld(t)
		for _, qualifier := range []string{"none", `\\none`, `\\`, `\home`, "RDPHOST"} {
			p := connections(1, str(qualifier))
			w.expect(0, p)
			assert.Zero(t, p.total, qualifier)
		}
	})
	rule("SV-058 SV-059", "FileErrors", func(t *testing.T) {
		w := newWorld(t)
		files := func(level uint32, base, user text) *netrFileEnum {
			return &netrFileEnum{basePath: base, userName: user,
				enumParams: enumParams[fileInfo]{info: enumStruct[fileInfo]{level: level}, length: maxPreferredLength}}
		}
		w.expect(0x57, files(3, chars(1024), nil))
		w.expect(0x57, files(3, nil, chars(1024)))
		w.expect(0x57, files(9, nil, chars(1024)))
		w.expect(0, files(3, chars(1023), chars(1023)))
		for _, level := range []uint32{0, 1, 4, 50} {
			w.expect(0x7C, files(level, nil, nil))
		}
	})
	rule("SV-060 SV-061", "FileFilters", func(t *testing.T) {
		w := newWorld(t)
		ids := func(base, user text) (list []uint32) {
			for _, x := range w.enumFiles(base, user).info.container.entries {
				list = append(list, x.id)
			}
			return list
		}
		for _, test := range []struct {
			base, user text
			want       []uint32
		}{
			{nil, nil, []uint32{1, 2, 3}}, {text{}, text{}, []uint32{1, 2, 3}}, {str(`\`), nil, []uint32{1, 2, 3}},
			{str(`\Scale`), nil, []uint32{1, 2}}, {str(`\scale\`), str("ALICE"), []uint32{1, 2}},
			{str(`\srvsvc`), nil, []uint32{3}}, {str(`\srv`), nil, nil}, {str(`\srvsvcs`), nil, nil}, {str("Scale"), nil, nil},
			{nil, str("bob"), nil}, {nil, str("alic"), nil},
		} {
			assert.Equal(t, test.want, ids(test.base, test.user), "%s %s", goString(test.base), goString(test.user))
		}
	})
	rule("SV-062 SV-063 SV-064 SV-067", "Files", func(t *testing.T) {
		w := newWorld(t)
		want := []fileInfo{
			{1, 3, 0, str(`\Scale`), str("alice")},
			{2, 1, 0, str(`\Scale`), str("alice")},
			{3, 3, 0, str(`\srvsvc`), str("alice")},
		}
		assert.Equal(t, want, w.enumFiles(nil, nil).info.container.entries)
		p := &netrFileEnum{enumParams: enumParams[fileInfo]{info: enumStruct[fileInfo]{level: 2}, length: maxPreferredLength}}
		w.expect(0, p)
		assert.Equal(t, []fileInfo{{id: 1}, {id: 2}, {id: 3}}, p.info.container.entries)
		for _, x := range want {
			info := &netrFileGetInfo{id: x.id, level: 3}
			w.expect(0, info)
			assert.Equal(t, &x, info.info)
			info.level = 2
			w.expect(0, info)
			assert.Equal(t, &fileInfo{id: x.id}, info.info)
		}
	})
	rule("SV-063", "Permissions", func(t *testing.T) {
		for access, want := range map[uint32]uint32{
			0: 1, 0x80: 1, 1: 1, 2: 2, 4: 2, 0x20: 8, 0x10000: 0x10, 0x100: 0x20, 0x10: 0x20, 0x40000: 0x40, 0x80000: 0x40,
			0x80000000: 1, 0x40000000: 2, 0xC0000000: 3, 0x20000000: 8, 0x10000000: 3, 0x02000000: 3, 0x120089: 1, 0x12019F: 0x23,
		} {
			assert.Equal(t, want, permissions(access), "%#x", access)
		}
	})
	rule("SV-065 SV-066", "FileGetInfoErrors", func(t *testing.T) {
		w := newWorld(t)
		for _, level := range []uint32{0, 1, 4, 502} {
			w.expect(0x7C, &netrFileGetInfo{id: 1, level: level})
			w.expect(0x7C, &netrFileGetInfo{id: 99, level: level})
		}
		w.expect(2, &netrFileGetInfo{id: 99, level: 3})
		w.expect(2, &netrFileGetInfo{id: 0, level: 2})
	})
	rule("SV-068 SV-069", "FileClose", func(t *testing.T) { // the second as this server closes handles
		w := newWorld(t)
		w.expect(0x90A, &netrFileClose{id: 99})
		w.expect(0, &netrFileClose{id: 2})
		assert.Equal(t, []uint32{2}, w.source.closed)
		w.expect(0x90A, &netrFileClose{id: 2})
		w.expect(5, &netrFileClose{id: asker})
		assert.Len(t, w.source.Snapshot().Files, 2)
		w.source.err = ErrFileNotFound // it went away meanwhile
		w.expect(0x90A, &netrFileClose{id: 1})
		w.source.err = errors.New("busy")
		w.expect(5, &netrFileClose{id: 1})

		w = newWorldWith(t, func(c *Config, _ *fakeSource) { c.ReadOnly = true })
		w.expect(5, &netrFileClose{id: 1})
		w.expect(0x90A, &netrFileClose{id: 99})
		assert.Empty(t, w.source.closed)
	})
	rule("SV-070 SV-071 SV-072", "SessionErrors", func(t *testing.T) {
		w := newWorld(t)
		for _, client := range []string{"RDPHOST", `\RDPHOST`, `x\\RDPHOST`} {
			w.expect(0x92F, sessions(10, str(client), nil))
			w.expect(0x92F, sessions(9, str(client), chars(2000)))
		}
		w.expect(0x57, sessions(10, append(str(`\\`), chars(1022)...), nil))
		w.expect(0x57, sessions(9, nil, chars(1024)))
		for _, level := range []uint32{3, 9, 11, 501, 503} {
			w.expect(0x7C, sessions(level, nil, nil))
			w.expect(0x7C, sessions(level, str(`\\none`), nil))
		}
	})
	rule("SV-073 SV-074 SV-079", "SessionFilters", func(t *testing.T) {
		w := newWorld(t)
		for _, test := range []struct {
			client, user text
			code         uint32
		}{
			{nil, nil, 0}, {text{}, text{}, 0}, {str(`\\RDPHOST`), nil, 0}, {nil, str("alice"), 0}, {str(`\\rdphost`), str("Alice"), 0},
			{str(`\\none`), nil, 0x908}, {str(`\\none`), str("alice"), 0x908}, {str(`\\none`), str("bob"), 0x908},
			{nil, str("bob"), 0x8AD}, {str(`\\RDPHOST`), str("bob"), 0x8AD},
		} {
			p := sessions(10, test.client, test.user)
			w.expect(test.code, p)
			assert.Equal(t, test.code == 0, len(p.info.container.entries) == 1)
		}
	})
	rule("SV-075", "SessionsBehindTheEnd", func(t *testing.T) {
		w := newWorld(t)
		p := sessions(10, str(`\\RDPHOST`), nil)
		p.resume = ptr(uint32(1))
		w.expect(0, p)
		assert.Empty(t, p.info.container.entries)
		p = sessions(10, str(`\\none`), nil)
		p.resume = ptr(uint32(1))
		w.expect(0x908, p)
	})
	rule("SV-076 SV-077 SV-078", "Sessions", func(t *testing.T) {
		w := newWorld(t)
		all := sessionInfo{client: str(`\\RDPHOST`), user: str("alice"), opens: 3, seconds: 3000, idle: 30,
			clientType: text{}, transport: str(`\Device\RdpDvc`)}
		one := all
		one.clientType, one.transport = nil, nil
		two := all
		two.transport = nil
		ten := one
		ten.opens = 0
		for level, want := range map[uint32]sessionInfo{0: {client: all.client}, 1: one, 2: two, 10: ten, 502: all} {
			p := sessions(level, nil, nil)
			w.expect(0, p)
			assert.Equal(t, []sessionInfo{want}, p.info.container.entries, "level %d", level)
		}
		// A clock that went back makes no huge times.
		w.source.state.Session.Active = testNow.Add(1e9)
		p := sessions(10, nil, nil)
		w.expect(0, p)
		assert.Zero(t, p.info.container.entries[0].idle)
	})
	rule("SV-080 SV-081 SV-082 SV-083", "SessionDelErrors", func(t *testing.T) {
		w := newWorld(t)
		for _, test := range []struct {
			client, user text
			code         uint32
		}{
			{str("RDPHOST"), nil, 0x908}, {str("RDPHOST"), chars(2000), 0x908},
			{append(str(`\\`), chars(1022)...), nil, 0x57}, {nil, chars(1024), 0x57},
			{nil, nil, 0x57}, {text{}, text{}, 0x57},
			{str(`\\none`), nil, 0x908}, {str(`\\none`), str("alice"), 0x908}, {str(`\\RDPHOST`), str("bob"), 0x908}, {nil, str("bob"), 0x908},
		} {
			w.expect(test.code, &netrSessionDel{clientName: test.client, userName: test.user})
		}
		assert.Empty(t, w.source.closed)
	})
	rule("SV-084", "SessionDel", func(t *testing.T) { // as this server closes handles
		w := newWorld(t)
		w.expect(0, &netrSessionDel{clientName: str(`\\RDPHOST`)})
		assert.Equal(t, []uint32{1, 2}, w.source.closed, "all but the one that asks")
		w.expect(0, &netrSessionDel{userName: str("alice")})
		w.alive()
		w = newWorldWith(t, func(c *Config, s *fakeSource) { s.err = errors.New("busy") })
		w.expect(5, &netrSessionDel{userName: str("alice")})
		w = newWorldWith(t, func(c *Config, s *fakeSource) { s.err = ErrFileNotFound })
		w.expect(0, &netrSessionDel{userName: str("alice")})
		w = newWorldWith(t, func(c *Config, _ *fakeSource) { c.ReadOnly = true })
		w.expect(5, &netrSessionDel{userName: str("alice")})
		assert.Empty(t, w.source.closed)
	})
}
