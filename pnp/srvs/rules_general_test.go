// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// changing are calls of all methods that would change something, each valid as far
// as this machine's state goes.
func changing(r *request) []params {
	own := r.transport()
	return []params{
		&netrShareAdd{level: 2, info: &shareInfo{name: str("new"), path: str(`C:\new`)}},
		&netrShareSetInfo{netName: str("home"), level: 1004, info: &shareInfo{remark: str("new")}},
		&netrShareDel{shareParams{netName: str("home")}},
		&netrServerSetInfo{level: 1005, info: &serverInfo{comment: str("new")}},
		&netrServerTransportAdd{transportParams{info: own}},
		&netrServerTransportDel{transportParams{info: own}},
		&netrShareDelStart{shareParams: shareParams{netName: str("home")}},
		&netrpSetFileSecurity{securityParams: securityParams{shareName: str("home")},
			descriptor: adtDescriptor{descriptorSize, emptyDescriptor()}},
		&netrServerTransportAddEx{transportParams{level: 3, info: own}},
		&netrServerTransportDelEx{transportParams{level: 1, info: own}},
		&netrServerAliasAdd{aliasParams{info: &aliasInfo{alias: str("a"), target: str(r.config.Host)}}},
		&netrShareDelEx{level: 503, info: &shareInfo{name: str("home")}},
	}
}

// requestOf returns a request to w's Server outside a call.
func (w world) request() *request {
	return &request{Server: w.server, caller: asker, now: testNow}
}

func init() {
	rule("SV-001", "Interface", func(t *testing.T) {
		assert.Equal(t, pnp.MustGUID("4b324fc8-1670-01d3-1278-5a47bf6ee188"), Syntax.UUID)
		assert.EqualValues(t, 3, Syntax.Major)
		assert.EqualValues(t, 0, Syntax.Minor)
		c := fresh(t)
		p, got := c.bind(0, plain)
		assert.Equal(t, [][]byte{accepted()}, got)
		assert.Contains(t, string(p.body), "\\PIPE\\srvsvc\x00")
	})
	rule("SV-002 SV-010", "NothingChanges", func(t *testing.T) {
		w := newWorld(t)
		before := w.source.Snapshot()
		for _, p := range changing(w.request()) {
			w.expect(errorAccessDenied, p)
		}
		assert.Equal(t, before, w.source.Snapshot())
		assert.Empty(t, w.source.closed)
		info := &netrServerGetInfo{level: 101}
		w.expect(nerrSuccess, info)
		assert.Equal(t, str("a desk"), info.info.comment)
	})
	rule("SV-003", "ErrorsAreResponses", func(t *testing.T) {
		w := newWorld(t)
		for _, p := range []params{&netrShareGetInfo{netName: str("x")}, &netrFileGetInfo{level: 9}, &netrDfsGetVersion{}} {
			_, fault := w.raw(opnumOf(t, p), encodeIn(t, p))
			assert.Zero(t, fault)
		}
	})
	rule("SV-008", "ServerName", func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []text{nil, {}, str("*"), str(`\\PC`), {0xD800}, chars(3000)} {
			assert.Zero(t, w.call(&netrRemoteTOD{serverName: name}))
			assert.Zero(t, w.call(&netrShareEnum{enumParams[shareInfo]{serverName: name, length: maxPreferredLength}}))
			assert.Zero(t, w.call(&netrServerStatisticsGet{serverName: name}))
			assert.EqualValues(t, nerrFileIDNotFound, w.call(&netrFileClose{serverName: name, id: 99}))
		}
		// Every method but one takes one first.
		for opnum, m := range methods {
			if m.new == nil || opnum == 38 {
				continue
			}
			stub := encodeIn(t, m.new())
			named := append(unhex("00000200 01000000 00000000 01000000 00000000"), stub[4:]...)
			_, fault := w.raw(opnum, named)
			assert.Zero(t, fault, m.name)
		}
	})
	rule("SV-009", "Permissions", func(t *testing.T) {
		w := newWorld(t)
		// Every caller is the session's user, who may read all.
		for _, p := range []params{
			&netrConnectionEnum{qualifier: str("home")}, &netrFileEnum{enumParams: enumParams[fileInfo]{info: enumStruct[fileInfo]{level: 3}, length: maxPreferredLength}},
			&netrSessionEnum{enumParams: enumParams[sessionInfo]{info: enumStruct[sessionInfo]{level: 502}, length: maxPreferredLength}},
			&netrShareGetInfo{netName: str("home"), level: 502}, &netrShareCheck{device: str(`C:\home`)},
		} {
			assert.NotEqualValues(t, errorAccessDenied, w.call(p), "%T", p)
		}
	})
	rule("SV-011", "OrderOfChecks", func(t *testing.T) {
		w := newWorld(t)
		// Each has two errors; the first in the order counts.
		w.expect(errorInvalidLevel, &netrFileGetInfo{level: 9, id: 99})
		w.expect(errorInvalidLevel, &netrServerStatisticsGet{level: 1, options: 1})
		w.expect(errorInvalidLevel, &netrShareDelEx{level: 2, info: &shareInfo{}})
		w.expect(errorInvalidParameter, &netrShareSetInfo{netName: str("none"), level: 1004, info: &shareInfo{remark: chars(49)}})
		w.badStub(16, "00000000 01000000 00000000 01000000 4100 0000 09000000", "decoding comes first")
	})
	rule("SV-012", "FailuresAreWhole", func(t *testing.T) {
		w := newWorld(t)
		share := &netrShareGetInfo{netName: str("none"), level: 1}
		w.expect(nerrNetNameNotFound, share)
		assert.Nil(t, share.info)
		enum := &netrFileEnum{basePath: chars(2000), enumParams: enumParams[fileInfo]{info: enumStruct[fileInfo]{level: 3}, resume: ptr(uint32(7))}}
		w.expect(errorInvalidParameter, enum)
		assert.Zero(t, enum.total)
		assert.EqualValues(t, 7, *enum.resume)
		require.NotNil(t, enum.info.container)
		assert.Nil(t, enum.info.container.entries)
		set := &netrShareSetInfo{netName: str("none"), level: 1005, info: &shareInfo{}, parmErr: ptr(uint32(7))}
		w.expect(nerrNetNameNotFound, set)
		assert.EqualValues(t, 7, *set.parmErr)
	})
	rule("SV-013", "SizeLimit", func(t *testing.T) {
		w := newWorld(t)
		whole := len(w.recvOf(15, encodeIn(t, &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 2}, length: maxPreferredLength, resume: ptr(uint32(0))}})))
		w.server.maxAnswer = whole
		w.enumShares(2)
		w.server.maxAnswer = whole - 1
		p := &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 2}, length: maxPreferredLength, resume: ptr(uint32(0))}}
		w.expect(8, p)
		assert.Zero(t, p.total)
		require.NotNil(t, p.info.container)
		assert.Nil(t, p.info.container.entries)
		assert.EqualValues(t, 0, *p.resume)
		p = &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 2}, length: 200, resume: ptr(uint32(0))}}
		w.expect(errorMoreData, p)
	})
	rule("SV-014 SV-015", "Codes", func(t *testing.T) {
		w := newWorld(t)
		long := chars(2000)
		for _, test := range []struct {
			code uint32
			p    params
		}{
			{5, &netrShareDel{shareParams{netName: str("home")}}},
			{0x7C, &netrShareGetInfo{netName: str("home"), level: 3}},
			{0x57, &netrShareGetInfo{netName: text{}}},
			{0xEA, &netrShareEnum{enumParams[shareInfo]{length: 20}}},
			{2, &netrFileGetInfo{level: 2, id: 99}},
			{0x32, &netrDfsModifyPrefix{dfsParams{texts: [4]text{str("x")}}}},
			{0x7B, &netprPathType{path: str("<")}},
			{0x84B, &netrShareEnum{enumParams[shareInfo]{length: 1}}},
			{0x908, &netrSessionDel{clientName: str(`\\none`)}},
			{0x92F, &netrSessionEnum{clientName: str("none")}},
			{0x8AD, &netrSessionEnum{userName: str("none"), enumParams: enumParams[sessionInfo]{length: maxPreferredLength}}},
			{0x846, &netrShareAdd{level: 2, info: &shareInfo{name: str("HOME"), path: str(`C:\x`)}}},
			{0x906, &netrShareDel{shareParams{netName: str("none")}}},
			{0x907, &netrShareCheck{device: str("D:")}},
			{0x90A, &netrFileClose{id: 99}},
			{0x57, &netrFileEnum{basePath: long}},
		} {
			w.expect(test.code, test.p)
		}
	})
	rule("SV-016", "OrderOfShares", func(t *testing.T) {
		w := newWorld(t)
		assert.Equal(t, []string{"home", "Scale", "Laser", "IPC$"}, w.shareNames())
		p := &netrShareGetInfo{netName: str("home"), level: 503}
		w.expect(0, p)
		assert.Equal(t, str("*"), p.info.server)
		sticky := &netrShareEnumSticky{netrShareEnum{enumParams[shareInfo]{length: maxPreferredLength}}}
		w.expect(0, sticky)
		assert.Zero(t, sticky.total)
	})
	rule("SV-017 SV-018", "ShareTypes", func(t *testing.T) {
		w := newWorld(t)
		w.source.state.Shares[0].Type |= 0x0E000000
		for name, kind := range map[string]uint32{"home": 0x40000000, "Scale": 0x40000002, "Laser": 0x40000001, "IPC$": 0x80000003} {
			p := &netrShareGetInfo{netName: str(name), level: 1}
			w.expect(0, p)
			assert.Equal(t, kind, p.info.kind, name)
		}
		enum := w.enumShares(1)
		assert.EqualValues(t, 0x40000000, enum.info.container.entries[0].kind)
		check := &netrShareCheck{device: str(`C:\home`)}
		w.expect(0, check)
		assert.EqualValues(t, 0x40000000, check.kind)
		// They are ignored where they are received.
		for _, kind := range []uint32{0x02000000, 0x0E000000} {
			w.expect(5, &netrShareAdd{level: 2, info: &shareInfo{name: str("new"), kind: kind, path: str(`C:\new`)}})
			w.expect(0x57, &netrShareAdd{level: 2, info: &shareInfo{name: str("new"), kind: kind, path: str(`new`)}})
		}
		w.expect(5, &netrShareSetInfo{netName: str("home"), level: 1, info: &shareInfo{kind: 0x0E000000}})
	})
	rule("SV-019", "HotPlug", func(t *testing.T) {
		w := newWorld(t)
		w.source.mu.Lock()
		w.source.state.Shares = append(w.source.state.Shares[1:], Share{ID: 4, Name: "New", Type: TypeDevice})
		w.source.mu.Unlock()
		assert.Equal(t, []string{"Scale", "Laser", "New", "IPC$"}, w.shareNames())
		p := &netrConnectionEnum{qualifier: str("Laser"), enumParams: enumParams[connectionInfo]{length: maxPreferredLength}}
		w.expect(0, p)
		assert.EqualValues(t, 3, p.info.container.entries[0].id, "ids stay")
	})
	rule("SV-019 SV-042", "EnumerationGoesOnWhileSharesComeAndGo", func(t *testing.T) {
		w := newWorld(t)
		p := &netrShareEnum{enumParams[shareInfo]{length: 30, resume: ptr(uint32(0))}}
		w.expect(errorMoreData, p)
		assert.Equal(t, []string{"home", "Scale"}, names(p))
		assert.EqualValues(t, 2, *p.resume)
		w.source.mu.Lock()
		w.source.state.Shares = append(w.source.state.Shares[2:], Share{ID: 4, Name: "New", Type: TypeDevice})
		w.source.mu.Unlock()
		p.length = maxPreferredLength
		w.expect(0, p)
		assert.Equal(t, []string{"Laser", "New", "IPC$"}, names(p), "none twice, none missed")
	})
	rule("SV-020", "Remarks", func(t *testing.T) {
		w := newWorldWith(t, func(_ *Config, s *fakeSource) { s.state.Shares[1].Remark = strings.Repeat("r", 60) })
		for name, remark := range map[string]text{"home": str("RDP"), "Scale": str(strings.Repeat("r", 48)), "Laser": str("Redirected"), "IPC$": str("Remote IPC")} {
			p := &netrShareGetInfo{netName: str(name), level: 1}
			w.expect(0, p)
			assert.Equal(t, remark, p.info.remark)
		}
		// A character of two units is not cut in two.
		w.source.state.Shares[1].Remark = strings.Repeat("r", 47) + "\U0001F600"
		p := &netrShareGetInfo{netName: str("Scale"), level: 1}
		w.expect(0, p)
		assert.Equal(t, str(strings.Repeat("r", 47)), p.info.remark)
		w.source.state.Shares[1].Remark = strings.Repeat("r", 46) + "\U0001F600"
		w.expect(0, p)
		assert.Len(t, p.info.remark, 48)
	})
	rule("SV-021", "Paths", func(t *testing.T) {
		w := newWorld(t)
		for name, path := range map[string]string{"home": `C:\home`, "Scale": `\Scale`, "Laser": `\Laser`, "IPC$": ""} {
			p := &netrShareGetInfo{netName: str(name), level: 2}
			w.expect(0, p)
			assert.Equal(t, str(path), p.info.path)
		}
	})
	rule("SV-022", "Uses", func(t *testing.T) {
		w := newWorld(t)
		for _, x := range w.enumShares(2).info.container.entries {
			assert.EqualValues(t, uint32(0xFFFFFFFF), x.maxUses)
			assert.EqualValues(t, 1, x.uses)
		}
	})
	rule("SV-023", "TreeConnects", func(t *testing.T) {
		w := newWorld(t)
		p := &netrConnectionEnum{qualifier: str(`\\rdphost`), enumParams: enumParams[connectionInfo]{info: enumStruct[connectionInfo]{level: 1}, length: maxPreferredLength}}
		w.expect(0, p)
		require.Len(t, p.info.container.entries, 4)
		ids := make(map[uint32]bool)
		for i, x := range p.info.container.entries {
			assert.NotZero(t, x.id)
			assert.False(t, ids[x.id])
			ids[x.id] = true
			assert.EqualValues(t, []int{3000, 600, 600, 3000}[i], x.seconds, "since the share came")
		}
	})
	rule("SV-024", "OneSession", func(t *testing.T) {
		w := newWorld(t)
		p := &netrSessionEnum{enumParams: enumParams[sessionInfo]{info: enumStruct[sessionInfo]{level: 10}, length: maxPreferredLength}}
		w.expect(0, p)
		require.Len(t, p.info.container.entries, 1)
		assert.Equal(t, str(`\\RDPHOST`), p.info.container.entries[0].client)
		assert.Equal(t, str("alice"), p.info.container.entries[0].user)
	})
	rule("SV-025", "OpenFiles", func(t *testing.T) {
		w := newWorld(t)
		p := w.enumFiles(nil, nil)
		require.Len(t, p.info.container.entries, 3)
		for i, x := range p.info.container.entries {
			assert.EqualValues(t, i+1, x.id)
		}
		assert.Equal(t, str(`\srvsvc`), p.info.container.entries[2].path, "the asking pipe")
	})
	rule("SV-026", "OneTransport", func(t *testing.T) {
		w := newWorld(t)
		p := &netrServerTransportEnum{enumParams[transportInfo]{info: enumStruct[transportInfo]{level: 2}, length: maxPreferredLength}}
		w.expect(0, p)
		require.Len(t, p.info.container.entries, 1)
		assert.Zero(t, p.info.container.entries[0].flags)
		for _, name := range []string{"*", "OTHER", `\\thin-client7`} {
			w.expect(0, &netrShareGetInfo{serverName: str(name), netName: str("home")})
		}
	})
	rule("SV-027", "NoAliases", func(t *testing.T) {
		w := newWorld(t)
		w.expect(5, &netrServerAliasAdd{aliasParams{info: &aliasInfo{alias: str("a"), target: str("THIN-CLIENT7")}}})
		w.expect(0x906, &netrServerAliasDel{aliasParams{info: &aliasInfo{alias: str("a")}}})
		p := &netrServerAliasEnum{enumParams[aliasInfo]{length: maxPreferredLength}}
		w.expect(0, p)
		assert.Zero(t, p.total)
	})
	rule("SV-028 SV-029", "Announcement", func(t *testing.T) {
		w := newWorld(t)
		p := &netrServerGetInfo{level: 101}
		w.expect(0, p)
		assert.EqualValues(t, 0x00000A03, p.info.kind, "with a printer")
		w.source.state.Shares = w.source.state.Shares[:2]
		w.expect(0, p)
		assert.EqualValues(t, 0x00000803, p.info.kind)
	})
	rule("SV-030", "Start", func(t *testing.T) {
		w := newWorld(t)
		p := &netrServerStatisticsGet{}
		w.expect(0, p)
		assert.EqualValues(t, testStarted.Unix(), p.info[0])
	})
	rule("SV-031", "OneSnapshot", func(t *testing.T) {
		s, source := newTestServer(t, nil)
		counted := &countingSource{fakeSource: source}
		s.source = counted
		c := connect(t, s)
		for _, p := range []params{
			&netrConnectionEnum{qualifier: str(`\\RDPHOST`), enumParams: enumParams[connectionInfo]{info: enumStruct[connectionInfo]{level: 1}, length: maxPreferredLength}},
			&netrSessionEnum{enumParams: enumParams[sessionInfo]{info: enumStruct[sessionInfo]{level: 502}, length: maxPreferredLength}},
			&netrFileEnum{enumParams: enumParams[fileInfo]{info: enumStruct[fileInfo]{level: 3}, length: maxPreferredLength}},
			&netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: 502}, length: maxPreferredLength}},
			&netrSessionDel{userName: str("alice")},
		} {
			counted.n = 0
			c.expect(0, p)
			assert.Equal(t, 1, counted.n, "%T", p)
		}
		// Nothing is kept between calls.
		w := world{c, s, source}
		source.mu.Lock()
		source.state.Shares = nil
		source.mu.Unlock()
		assert.Equal(t, []string{"IPC$"}, w.shareNames())
	})
	rule("SV-032", "SessionsAreApart", func(t *testing.T) {
		w, other := newWorld(t), newWorldWith(t, func(_ *Config, s *fakeSource) { s.state = Snapshot{Session: Session{Client: "B", User: "bob"}} })
		assert.Equal(t, []string{"IPC$"}, other.shareNames())
		assert.Len(t, w.shareNames(), 4)
		p := other.enumFiles(nil, nil)
		assert.Empty(t, p.info.container.entries)
		other.expect(0x90A, &netrFileClose{id: 1})
		assert.Empty(t, w.source.closed)
	})
	rule("SV-034", "UpperCase", func(t *testing.T) {
		for u := range 0x10000 {
			up := unicode.ToUpper(rune(u))
			require.LessOrEqual(t, up, rune(0xFFFF))
			require.EqualValues(t, up, upper(uint16(u)))
		}
	})
	rule("SV-033 SV-034", "NamesWithoutCase", func(t *testing.T) {
		w := newWorldWith(t, func(_ *Config, s *fakeSource) {
			s.state.Shares[0].Name = "Öl"
			s.state.Shares = append(s.state.Shares, Share{ID: 9, Name: "öL", Type: TypeDevice})
		})
		p := &netrShareGetInfo{netName: str("ÖL"), level: 1}
		w.expect(0, p)
		assert.Equal(t, str("Öl"), p.info.name, "the first, in its own case")
		assert.EqualValues(t, 0x40000000, p.info.kind)
		w.expect(0, &netrShareGetInfo{netName: str("ipc$")})
		w.expect(0x906, &netrShareGetInfo{netName: str("Ö")})
		w.expect(0x906, &netrShareGetInfo{netName: str("Öll")})
		w.expect(0, &netrSessionEnum{clientName: str(`\\rdpHost`), userName: str("ALICE"), enumParams: enumParams[sessionInfo]{length: maxPreferredLength}})
	})
	rule("SV-035", "ServerNamesOfShares", func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []text{nil, {}, str("*"), str(`\\any`), str("any")} {
			w.expect(0, &netrShareGetInfo{serverName: name, netName: str("home")})
			w.expect(5, &netrShareSetInfo{serverName: name, netName: str("home"), level: 1005, info: &shareInfo{}})
			w.expect(5, &netrShareDel{shareParams{serverName: name, netName: str("home")}})
			w.expect(5, &netrShareDelStart{shareParams: shareParams{serverName: name, netName: str("home")}})
			w.expect(0x906, &netrShareDelSticky{shareParams{serverName: name, netName: str("home")}})
			w.expect(0, &netrShareEnumSticky{netrShareEnum{enumParams[shareInfo]{serverName: name}}})
		}
	})
	rule("SV-235", "Ends", func(t *testing.T) {
		s, _ := newTestServer(t, nil)
		a, b := net.Pipe()
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { done <- s.Serve(ctx, b, 0) }()
		cancel()
		require.NoError(t, <-done)
		_, err := a.Read(make([]byte, 1)) // nothing was sent unasked
		assert.Error(t, err)
	})
	rule("SV-236", "CallsAreIndependent", func(t *testing.T) {
		w := newWorld(t)
		for range 2 {
			w.expect(0x57, &netrShareDelCommit{})
			w.expect(5, &netrShareDelStart{shareParams: shareParams{netName: str("home")}})
			w.expect(0x90A, &netrFileClose{id: 99})
			assert.Len(t, w.shareNames(), 4)
		}
	})
}

// A countingSource counts its snapshots.
type countingSource struct {
	*fakeSource
	n int
}

func (c *countingSource) Snapshot() Snapshot {
	c.n++
	return c.fakeSource.Snapshot()
}

// enumShares lists all shares.
func (w world) enumShares(level uint32) *netrShareEnum {
	p := &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: level}, length: maxPreferredLength}}
	w.expect(nerrSuccess, p)
	return p
}

func (w world) shareNames() []string { return names(w.enumShares(0)) }

func names(p *netrShareEnum) (list []string) {
	for _, x := range p.info.container.entries {
		list = append(list, goString(x.name))
	}
	return list
}

// enumFiles lists the open files that pass the filters.
func (w world) enumFiles(base, user text) *netrFileEnum {
	p := &netrFileEnum{basePath: base, userName: user,
		enumParams: enumParams[fileInfo]{info: enumStruct[fileInfo]{level: 3}, length: maxPreferredLength}}
	w.expect(nerrSuccess, p)
	return p
}

// emptyDescriptor returns a self-relative security descriptor without parts.
func emptyDescriptor() []byte {
	b := make([]byte, descriptorSize)
	b[0] = 1
	binary.LittleEndian.PutUint16(b[2:], controlRelative)
	return b
}
