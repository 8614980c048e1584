// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func shareInfoCall(name string, level uint32) *netrShareGetInfo {
	return &netrShareGetInfo{netName: str(name), level: level}
}

// adding returns a call of NetrShareAdd with a ParmErr.
func adding(level uint32, info *shareInfo) *netrShareAdd {
	return &netrShareAdd{level: level, info: info, parmErr: ptr(uint32(99))}
}

func setting(name string, level uint32, info *shareInfo) *netrShareSetInfo {
	return &netrShareSetInfo{netName: str(name), level: level, info: info, parmErr: ptr(uint32(99))}
}

// withDescriptor returns x with a security descriptor.
func withDescriptor(x shareInfo, b []byte) *shareInfo {
	x.descriptor, x.descriptorSize = b, uint32(len(b))
	return &x
}

var badDescriptor = []byte{1, 2, 3}

func init() {
	rule("SV-085", "AddLevels", func(t *testing.T) {
		w := newWorld(t)
		for level := range shareArms {
			p := adding(level, &shareInfo{name: str("new"), path: str(`C:\new`)})
			switch level {
			case 2, 502, 503:
				w.expect(5, p)
			default:
				w.expect(0x7C, p)
				assert.EqualValues(t, 99, *p.parmErr)
			}
		}
		w.expect(0x7C, &netrShareAdd{level: 3, parmErr: ptr(uint32(1))})
	})
	rule("SV-086", "NullArms", func(t *testing.T) {
		w := newWorld(t)
		for _, level := range []uint32{2, 502, 503} {
			w.expect(0x57, adding(level, nil))
		}
		for _, level := range []uint32{1, 2, 502, 503, 1004, 1005, 1006, 1501} {
			w.expect(0x57, setting("home", level, nil))
		}
		w.expect(0x57, &netrShareDelEx{level: 503})
	})
	rule("SV-087 SV-090 SV-091", "AddNames", func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []text{nil, {}, chars(81)} {
			p := adding(2, &shareInfo{name: name, path: str(`C:\new`)})
			w.expect(0x57, p)
			assert.EqualValues(t, 1, *p.parmErr)
			w.expect(0x57, &netrShareAdd{level: 2, info: &shareInfo{name: name}})
		}
		p := adding(2, &shareInfo{name: chars(80), path: str(`C:\new`)})
		w.expect(5, p)
		assert.EqualValues(t, 0, *p.parmErr)
	})
	rule("SV-088", "PipeAndMailslot", func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"pipe", "PIPE", "mailslot", "MailSlot"} {
			p := adding(2, &shareInfo{name: str(name)}) // whose path would be refused
			w.expect(5, p)
			assert.EqualValues(t, 99, *p.parmErr)
		}
	})
	rule("SV-089", "Duplicates", func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"home", "HOME", "ipc$", "scale"} {
			w.expect(0x846, adding(2, &shareInfo{name: str(name)}))
			w.expect(0x846, adding(503, &shareInfo{name: str(name), server: str("*")}))
			w.expect(0x846, adding(503, &shareInfo{name: str(name)}))
		}
		w.expect(5, adding(503, &shareInfo{name: str("home"), server: str("other"), path: str(`C:\x`)}))
	})
	rule("SV-092", "AddMembers", func(t *testing.T) {
		w := newWorld(t)
		valid := func() shareInfo { return shareInfo{name: str("new"), path: str(`C:\new`), remark: chars(48)} }
		path := func(kind uint32, name string, path text) *shareInfo {
			return &shareInfo{name: str(name), kind: kind, path: path}
		}
		x := valid()
		w.expect(5, adding(2, &x))
		for _, test := range []struct {
			parm  uint32
			level uint32
			info  *shareInfo
		}{
			{8, 2, path(0, "ADMIN$", str(`C:\x`))}, {8, 2, path(0, "admin$", text{})},
			{8, 2, path(0, "new", nil)}, {8, 2, path(0, "new", text{})},
			{8, 2, path(0, "new", str(`C:\a\.\b`))}, {8, 2, path(0, "new", str(`C:\a\..`))}, {8, 2, path(0, "new", str(`C:/../b`))},
			{8, 2, path(0, "new", str(`a\b`))}, {8, 2, path(0, "new", str(`C:`))}, {8, 2, path(0, "new", str(`C:a`))},
			{3, 2, path(0, `\\?\new`, str(`C:\x`))},
			{4, 2, &shareInfo{name: str("new"), path: str(`C:\new`), remark: chars(49)}},
			{501, 502, withDescriptor(valid(), badDescriptor)},
			{501, 503, withDescriptor(valid(), badDescriptor)},
		} {
			p := adding(test.level, test.info)
			w.expect(0x57, p)
			assert.Equal(t, test.parm, *p.parmErr, "%s %s", goString(test.info.name), goString(test.info.path))
		}
		w.expect(5, adding(2, path(0, "ADMIN$", nil)))
		w.expect(5, adding(2, path(2, `\\?\new`, str("x"))))
		w.expect(5, adding(502, withDescriptor(valid(), emptyDescriptor())))
		w.expect(5, adding(502, &x))
	})
	rule("SV-093", "AddOrder", func(t *testing.T) {
		w := newWorld(t)
		bad := withDescriptor(shareInfo{name: text{}, remark: chars(49)}, badDescriptor)
		steps := []struct {
			fix  func()
			code uint32
			parm uint32
		}{
			{func() {}, 0x57, 1},
			{func() { bad.name = str("pipe") }, 5, 99},
			{func() { bad.name = str("home") }, 0x846, 99},
			{func() { bad.name = str(`\\?\n`) }, 0x57, 8},
			{func() { bad.path = str(`C:\not there`) }, 0x57, 3},
			{func() { bad.name = str("n") }, 0x57, 4},
			{func() { bad.remark = nil }, 0x57, 501},
			{func() { bad.descriptor, bad.descriptorSize = nil, 0 }, 5, 0},
		}
		for i, step := range steps {
			step.fix()
			p := adding(502, bad)
			w.expect(step.code, p)
			assert.Equal(t, step.parm, *p.parmErr, "step %d", i)
			without := adding(502, bad)
			without.parmErr = nil
			w.expect(step.code, without)
			assert.Nil(t, without.parmErr)
		}
	})
	rule("SV-094", "EnumLevels", func(t *testing.T) {
		w := newWorld(t)
		for _, level := range []uint32{0, 1, 2, 501, 502, 503} {
			w.enumShares(level)
		}
		for _, level := range []uint32{3, 4, 500, 504, 1004, 1005, 1006, 1501} {
			p := &netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: level}, length: maxPreferredLength}}
			w.expect(0x7C, p)
			assert.Equal(t, level, p.info.level)
		}
	})
	rule("SV-095 SV-096 SV-097 SV-098 SV-107", "ShareLevels", func(t *testing.T) {
		w := newWorld(t)
		full := shareInfo{name: str("home"), kind: 0x40000000, remark: str("RDP"), maxUses: 0xFFFFFFFF, uses: 1, path: str(`C:\home`)}
		two := full
		three := full
		three.server = str("*")
		for level, want := range map[uint32]shareInfo{
			0: {name: full.name}, 1: {name: full.name, kind: full.kind, remark: full.remark},
			501: {name: full.name, kind: full.kind, remark: full.remark, flags: 0x30}, 2: two, 502: two, 503: three,
		} {
			p := w.enumShares(level)
			assert.Len(t, p.info.container.entries, 4)
			assert.Equal(t, want, p.info.container.entries[0], "level %d", level)
			for _, x := range p.info.container.entries {
				info := shareInfoCall(goString(x.name), level)
				w.expect(0, info)
				assert.Equal(t, &x, info.info)
			}
		}
		info := shareInfoCall("home", 1005)
		w.expect(0, info)
		assert.Equal(t, &shareInfo{flags: 0x30}, info.info)
	})
	rule("SV-099", "OpenToTheUser", func(t *testing.T) {
		w := newWorld(t)
		for _, level := range []uint32{0, 1, 2, 501, 502, 503} {
			assert.Contains(t, names(w.enumShares(level)), "IPC$")
			w.expect(0, shareInfoCall("IPC$", level))
		}
	})
	rule("SV-100 SV-101", "Sticky", func(t *testing.T) {
		w := newWorld(t)
		sticky := func(level uint32) *netrShareEnumSticky {
			return &netrShareEnumSticky{netrShareEnum{enumParams[shareInfo]{info: enumStruct[shareInfo]{level: level}, length: 1, resume: ptr(uint32(0))}}}
		}
		for _, level := range []uint32{0, 1, 2, 502, 503} {
			p := sticky(level)
			w.expect(0, p)
			assert.Zero(t, p.total)
			assert.Empty(t, p.info.container.entries)
		}
		for _, level := range []uint32{501, 3, 1005} {
			w.expect(0x7C, sticky(level))
		}
	})
	rule("SV-102 SV-103 SV-104 SV-105 SV-106", "GetInfoErrors", func(t *testing.T) {
		w := newWorld(t)
		w.expect(0x57, shareInfoCall("", 1))
		w.expect(0x57, shareInfoCall("", 9))
		for _, level := range []uint32{3, 500, 504, 1004, 1006, 1501} {
			w.expect(0x7C, shareInfoCall("home", level))
			w.expect(0x7C, shareInfoCall("none", level))
		}
		for _, level := range []uint32{0, 1, 2, 501, 502, 503, 1005} {
			w.expect(0, shareInfoCall("home", level))
			w.expect(0x906, shareInfoCall("none", level))
		}
	})
	rule("SV-108 SV-109 SV-112", "SetInfoErrors", func(t *testing.T) {
		w := newWorld(t)
		w.expect(0x57, setting("", 1005, &shareInfo{}))
		w.expect(0x57, setting("", 0, &shareInfo{}))
		for level := range shareArms {
			switch level {
			case 0, 501:
				w.expect(0x7C, setting("home", level, &shareInfo{}))
			default:
				w.expect(5, setting("home", level, &shareInfo{}))
				w.expect(0x906, setting("none", level, &shareInfo{}))
			}
		}
	})
	rule("SV-110 SV-111", "SetInfoMembers", func(t *testing.T) {
		w := newWorld(t)
		for _, level := range []uint32{1, 2, 502, 503, 1004} {
			p := setting("home", level, &shareInfo{remark: chars(49)})
			w.expect(0x57, p)
			assert.EqualValues(t, 4, *p.parmErr)
			w.expect(5, setting("home", level, &shareInfo{remark: chars(48)}))
		}
		for _, level := range []uint32{502, 503, 1501} {
			p := setting("home", level, withDescriptor(shareInfo{}, badDescriptor))
			w.expect(0x57, p)
			assert.EqualValues(t, 501, *p.parmErr)
			w.expect(5, setting("home", level, withDescriptor(shareInfo{}, emptyDescriptor())))
		}
		p := setting("home", 502, withDescriptor(shareInfo{kind: 0x80000000}, emptyDescriptor()))
		w.expect(0x57, p)
		assert.EqualValues(t, 501, *p.parmErr)
		w.expect(5, setting("home", 502, &shareInfo{kind: 0x80000000}))
	})
	rule("SV-113", "SetInfoIgnores", func(t *testing.T) {
		w := newWorld(t)
		w.expect(5, setting("home", 2, &shareInfo{name: chars(999), kind: 0xFFFFFFFF, path: str("<"), permissions: 9, uses: 9, password: chars(999)}))
	})
	rule("SV-114 SV-115", "SetInfo1005", func(t *testing.T) {
		w := newWorld(t)
		w.expect(0x32, setting("home", 1005, &shareInfo{flags: 0x2000}))
		w.expect(0x32, setting("IPC$", 1005, &shareInfo{flags: 0x2030}))
		for _, name := range []string{"IPC$", "Scale", "Laser"} {
			w.expect(0x57, setting(name, 1005, &shareInfo{flags: 0x30}))
		}
		w.expect(5, setting("home", 1005, &shareInfo{flags: 0xFFFFDFFF}))
		w.expect(5, setting("IPC$", 1004, &shareInfo{flags: 0x2000}))
	})
	rule("SV-116", "SetInfoOrder", func(t *testing.T) {
		w := newWorld(t)
		for _, test := range []struct {
			p    *netrShareSetInfo
			code uint32
			parm uint32
		}{
			{setting("", 3, nil), 0x57, 99},
			{setting("none", 501, nil), 0x7C, 99},
			{setting("none", 2, nil), 0x57, 99},
			{setting("none", 2, &shareInfo{remark: chars(49)}), 0x57, 4},
			{setting("none", 1005, &shareInfo{flags: 0x2000}), 0x906, 99},
			{setting("home", 2, &shareInfo{}), 5, 0},
		} {
			w.expect(test.code, test.p)
			assert.Equal(t, test.parm, *test.p.parmErr)
		}
		p := setting("home", 2, &shareInfo{})
		p.parmErr = nil
		w.expect(5, p)
		assert.Nil(t, p.parmErr)
	})
	rule("SV-117", "Del", func(t *testing.T) {
		w := newWorld(t)
		for _, reserved := range []uint32{0, 1, 0xFFFFFFFF} {
			w.expect(0x906, &netrShareDel{shareParams{netName: str("none"), reserved: reserved}})
			w.expect(0x57, &netrShareDel{shareParams{netName: text{}, reserved: reserved}})
			w.expect(5, &netrShareDel{shareParams{netName: str("IPC$"), reserved: reserved}})
		}
		assert.Len(t, w.shareNames(), 4)
	})
	rule("SV-118", "DelSticky", func(t *testing.T) {
		w := newWorld(t)
		w.expect(0x57, &netrShareDelSticky{shareParams{netName: text{}, reserved: 7}})
		for _, name := range []string{"home", "IPC$", "none"} {
			w.expect(0x906, &netrShareDelSticky{shareParams{netName: str(name), reserved: 7}})
		}
	})
	rule("SV-119 SV-120", "DelStart", func(t *testing.T) {
		w := newWorld(t)
		for name, code := range map[string]uint32{"": 0x906, "none": 0x906, "home": 5, "IPC$": 5} {
			p := &netrShareDelStart{shareParams: shareParams{netName: str(name), reserved: 7}, handle: contextHandle{1}}
			w.expect(code, p)
			assert.Zero(t, p.handle)
		}
		assert.Len(t, w.shareNames(), 4)
	})
	rule("SV-124 SV-125 SV-126", "DelEx", func(t *testing.T) {
		w := newWorld(t)
		del := func(level uint32, name, server text) *netrShareDelEx {
			return &netrShareDelEx{level: level, info: &shareInfo{name: name, server: server}}
		}
		for level := range shareArms {
			if level != 503 {
				w.expect(0x7C, del(level, str("home"), nil))
			}
		}
		w.expect(0x7C, &netrShareDelEx{level: 7})
		w.expect(0x57, del(503, nil, nil))
		w.expect(0x57, del(503, text{}, str("other")))
		w.expect(0x906, del(503, str("none"), nil))
		w.expect(0x906, del(503, str("home"), str("other")))
		for _, server := range []text{nil, {}, str("*")} {
			w.expect(5, del(503, str("HOME"), server))
		}
	})
	rule("SV-127 SV-128 SV-129 SV-130 SV-131", "Check", func(t *testing.T) {
		w := newWorld(t)
		for device, want := range map[string]uint32{
			`C:\home`: 0x40000000, `c:\HOME\`: 0x40000000, `C:`: 0x40000000, `C:\`: 0x40000000, `c:`: 0x40000000,
			`\Scale`: 0x40000002, `\laser\`: 0x40000001, ``: 3,
		} {
			p := &netrShareCheck{device: str(device)}
			w.expect(0, p)
			assert.Equal(t, want, p.kind, device)
		}
		for _, device := range []string{"home", `C:\` + "hom", `C:\home\x`, `C:\home\\`, "D:", `D:\home`, "C", `\`, "IPC$"} {
			p := &netrShareCheck{device: str(device), kind: 77}
			got := w.recvOf(20, encodeIn(t, p))
			assert.Equal(t, unhex("00000000 07090000"), got, device)
		}
		w.source.state.Shares = w.source.state.Shares[1:]
		w.expect(0x907, &netrShareCheck{device: str("C:")})
		w.source.state.Shares = nil
		w.expect(0, &netrShareCheck{device: text{}})
	})
}
