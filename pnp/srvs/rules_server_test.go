// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// getLevels are those of NetrServerGetInfo, setLevels those of NetrServerSetInfo.
var (
	getLevels = []uint32{100, 101, 102, 103, 502, 503}
	setLevels = []uint32{101, 102, 502, 503, 599, 1005, 1107, 1010, 1016, 1017, 1018, 1501, 1502, 1503, 1506,
		1510, 1511, 1512, 1513, 1514, 1515, 1516, 1518, 1523, 1528, 1529, 1530, 1533, 1534, 1535, 1536,
		1538, 1539, 1540, 1541, 1542, 1543, 1544, 1545, 1546, 1547, 1548, 1549, 1550, 1552, 1553, 1554, 1555, 1556}
)

// defaults are members that may all be set.
func defaults() *serverInfo {
	x := &serverInfo{users: 1, disc: 1, announce: 1}
	for n, f := range serverFields {
		x.fields[n] = f.value
	}
	return x
}

func settingServer(level uint32, info *serverInfo) *netrServerSetInfo {
	return &netrServerSetInfo{level: level, info: info, parmErr: ptr(uint32(99))}
}

// singleLevel returns the level that sets field n alone, or 0.
func singleLevel(n int) uint32 {
	level := 1500 + uint32(n)
	switch n {
	case 12:
		level = 1513
	case 13:
		level = 1512
	}
	if slices.Contains(setLevels, level) {
		return level
	}
	return 0
}

// checkRange fails unless field n takes values from least to most only, with its
// ParmErr.
func (w world) checkRange(n int, parm, least, most uint32) {
	w.t.Helper()
	try := func(value uint32, valid bool) {
		w.t.Helper()
		for _, level := range []uint32{502, 503, 599, singleLevel(n)} {
			if level == 0 || level < 1000 && n > map[uint32]int{502: 18, 503: 42, 599: 56}[level] {
				continue
			}
			x := defaults()
			x.fields[n] = value
			p := settingServer(level, x)
			code := w.call(p)
			if valid {
				assert.EqualValues(w.t, 5, code, "%s %d at level %d", serverFields[n].name, value, level)
				assert.EqualValues(w.t, 0, *p.parmErr)
			} else {
				assert.EqualValues(w.t, 0x57, code, "%s %d at level %d", serverFields[n].name, value, level)
				assert.Equal(w.t, parm, *p.parmErr)
			}
		}
	}
	try(least, true)
	try(most, true)
	if least > 0 {
		try(least-1, false)
	}
	if most < anyValue {
		try(most+1, false)
		try(anyValue, false)
	}
}

// fieldOf returns the place of a member.
func fieldOf(t testing.TB, name string) int {
	i := slices.IndexFunc(serverFields[:], func(f serverField) bool { return f.name == name })
	require.Positive(t, i, name)
	return i
}

// checkRanges reads "name least most", one a line.
func (w world) checkRanges(list string) {
	w.t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		var name string
		var least, most uint32
		_, err := fmt.Sscanf(strings.TrimSpace(line), "%s %v %v", &name, &least, &most)
		require.NoError(w.t, err, line)
		n := fieldOf(w.t, name)
		parm := 500 + uint32(n)
		switch name {
		case "maxpagedmemoryusage":
			parm = 513
		case "maxnonpagedmemoryusage":
			parm = 512
		}
		w.checkRange(n, parm, least, most)
	}
}

func init() {
	rule("SV-132 SV-133", "GetInfoErrors", func(t *testing.T) {
		w := newWorld(t)
		for level := range serverArms {
			p := &netrServerGetInfo{level: level}
			if slices.Contains(getLevels, level) {
				w.expect(0, p)
			} else {
				w.expect(0x7C, p)
				assert.Nil(t, p.info)
			}
		}
		w.expect(0x7C, &netrServerGetInfo{level: 104})
		w.expect(0x57, &netrServerGetInfo{level: 101, serverName: chars(1024)})
		w.expect(0x57, &netrServerGetInfo{level: 9, serverName: chars(1024)})
		w.expect(0, &netrServerGetInfo{level: 101, serverName: chars(1023)})
	})
	rule("SV-134 SV-135 SV-136", "ServerNames", func(t *testing.T) {
		w := newWorld(t)
		for _, level := range []uint32{100, 101, 102, 103} {
			own := str("thin-client7.example.org")
			if level == 103 {
				own = str("THIN-CLIENT7")
			}
			for _, test := range []struct{ asked, want text }{
				{nil, own}, {text{}, own}, {str(`\\`), own}, {str(`\\Other`), str("Other")}, {str("Other"), str("Other")}, {str(`\Other`), str(`\Other`)},
			} {
				p := &netrServerGetInfo{level: level, serverName: test.asked}
				w.expect(0, p)
				assert.Equal(t, test.want, p.info.name, "level %d, %s", level, goString(test.asked))
			}
		}
		assert.Equal(t, str("ABCDEFGHIJKLMNO"), netBIOSName("abcdefghijklmnopq.example"))
	})
	rule("SV-137 SV-138 SV-139 SV-140 SV-141 SV-142 SV-143", "ServerInfo", func(t *testing.T) {
		w := newWorld(t)
		p := &netrServerGetInfo{level: 103}
		w.expect(0, p)
		full := serverInfo{platform: 500, name: str("THIN-CLIENT7"), major: 6, minor: 1, kind: 0xA03, comment: str("a desk"),
			users: 0xFFFFFFFF, disc: 15, announce: 240, delta: 3000, userPath: str(`c:\`)}
		assert.Equal(t, full, *p.info)
		p.level = 102
		w.expect(0, p)
		full.name = str("thin-client7.example.org")
		assert.Equal(t, full, *p.info)
		p.level = 101
		w.expect(0, p)
		assert.Equal(t, serverInfo{platform: 500, name: full.name, major: 6, minor: 1, kind: 0xA03, comment: full.comment}, *p.info)
		p.level = 100
		w.expect(0, p)
		assert.Equal(t, serverInfo{platform: 500, name: full.name}, *p.info)

		w = newWorldWith(t, func(c *Config, _ *fakeSource) { c.Comment, c.Major, c.Minor = "", 0, 0 })
		p.level = 101
		w.expect(0, p)
		assert.Equal(t, text{}, p.info.comment, "empty, not null")
		release, err := os.ReadFile("/proc/sys/kernel/osrelease")
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(release), fmt.Sprintf("%d.%d", p.info.major, p.info.minor)), "%s", release)
	})
	rule("SV-138", "Versions", func(t *testing.T) {
		for release, want := range map[string][2]uint32{"6.1.0-44-amd64": {6, 1}, "5.10": {5, 10}, "6": {6, 0}, "": {0, 0}, "4.19-rc1": {4, 19}, "x": {0, 0}} {
			major, minor := parseVersion(release)
			assert.Equal(t, want, [2]uint32{major, minor}, release)
		}
	})
	rule("SV-144 SV-145", "ServerInfo599", func(t *testing.T) {
		w := newWorld(t)
		values := []uint32{2048, 1, 2048, 4356, 4, 16, 4, 11, 65535, 2048, 2048, 0xFFFFFFFF, 0xFFFFFFFF, 1, 1, 0, 1, 0,
			0, 8192, 0, 480, 3600, 240, 600, 2, 2, 30, 2, 2, 0x100000, 1, 50, 35, 35, 1, 0, 1, 1, 0, 2, 2}
		for level, n := range map[uint32]int{502: 18, 503: 42} {
			p := &netrServerGetInfo{level: level}
			w.expect(0, p)
			assert.Equal(t, values[:n], p.info.fields[1:n+1])
			assert.Zero(t, p.info.fields[n+1])
			if level == 503 {
				assert.Equal(t, str("WORKGROUP"), p.info.domain)
			}
			stub := w.recvOf(21, encodeIn(t, p))
			assert.Len(t, stub, map[uint32]int{502: 8 + 72 + 4, 503: 8 + 168 + 12 + 20 + 4}[level])
		}
		for n, f := range serverFields[1:] {
			if n+1 != fieldDomain {
				assert.True(t, f.value >= f.least && f.value <= f.most, f.name)
			}
		}
		w = newWorldWith(t, func(c *Config, _ *fakeSource) { c.Domain = "CORP" })
		p := &netrServerGetInfo{level: 503}
		w.expect(0, p)
		assert.Equal(t, str("CORP"), p.info.domain)
	})
	rule("SV-146", "SetInfoLevels", func(t *testing.T) {
		w := newWorld(t)
		assert.Len(t, serverArms, 51)
		assert.Len(t, setLevels, 49)
		for level := range serverArms {
			p := settingServer(level, defaults())
			if slices.Contains(setLevels, level) {
				w.expect(5, p)
			} else {
				assert.Contains(t, []uint32{100, 103}, level)
				w.expect(0x7C, p)
				assert.EqualValues(t, 99, *p.parmErr)
			}
		}
		for _, level := range []uint32{0, 104, 504, 1504, 1507, 1551, 1557} {
			w.expect(0x7C, settingServer(level, nil))
		}
	})
	rule("SV-147 SV-148", "FirstBadMember", func(t *testing.T) {
		w := newWorld(t)
		x := defaults()
		for n := range x.fields {
			x.fields[n] = 0xFFFFFFFE // bad wherever there is a range below it
		}
		want := []uint32{501, 502, 503, 506, 509, 510, 511, 514, 515, 516, 518}
		for _, parm := range want {
			p := settingServer(502, x)
			w.expect(0x57, p)
			assert.Equal(t, parm, *p.parmErr)
			x.fields[parm-500] = serverFields[parm-500].value
		}
		w.expect(5, settingServer(502, x))
		x.fields[12], x.fields[13] = 1, 1
		p := settingServer(502, x)
		w.expect(0x57, p)
		assert.EqualValues(t, 513, *p.parmErr, "paged comes first and is 513")
		without := settingServer(502, x)
		without.parmErr = nil
		w.expect(0x57, without)
		assert.Nil(t, without.parmErr)
	})
	rule("SV-149", "SetInfoIgnores", func(t *testing.T) {
		w := newWorld(t)
		x := defaults()
		x.platform, x.name, x.major, x.minor, x.kind, x.licenses, x.capabilities = 9, chars(2000), 9, 9, 9, 9, 9
		x.comment, x.userPath = chars(300), chars(300)
		for _, name := range []string{"sizreqbuf", "initworkitems", "rawworkitems", "irpstacksize", "acceptdownlevelapis", "threadcountadd",
			"numblockthreads", "xactmemsize", "threadpriority", "enableoplockforceclose"} {
			x.fields[fieldOf(t, name)] = 0xFFFFFFFF
		}
		x.domain = chars(2000)
		for _, level := range []uint32{101, 102, 502, 503, 599} {
			w.expect(5, settingServer(level, x))
		}
	})
	rule("SV-150", "Ranges", func(t *testing.T) {
		newWorld(t).checkRanges(`
			sessopens 1 16384
			sessvcs 1 1
			opensearch 1 2048
			maxworkitems 1 65535
			maxrawbuflen 65535 65535
			sessusers 1 2048
			sessconns 1 2048
			maxpagedmemoryusage 0x400000 0xFFFFFFFF
			maxnonpagedmemoryusage 0x400000 0xFFFFFFFF
			minkeepsearch 5 5000
			maxkeepsearch 10 10000
			minkeepcomplsearch 1 1000
			maxkeepcomplsearch 2 10000`)
	})
	rule("SV-151", "MoreRanges", func(t *testing.T) {
		newWorld(t).checkRanges(`
			scavtimeout 1 300
			minrcvqueue 0 10
			minfreeworkitems 0 10
			maxmpxct 1 65535
			oplockbreakwait 10 180
			oplockbreakresponsewait 10 180
			minfreeconnections 2 1024
			maxfreeconnections 2 16384
			initsesstable 1 64
			initconntable 1 128
			initfiletable 1 256
			initsearchtable 1 2048
			alertschedule 1 65535
			errorthreshold 1 65535
			networkerrorthreshold 1 100
			diskspacethreshold 0 99
			maxlinkdelay 0 0x10000000
			minlinkthroughput 0 0x10000000
			linkinfovalidtime 0 0x10000000
			scavqosinfoupdatetime 0 0x10000000
			maxworkitemidletime 10 1800`)
	})
	rule("SV-152", "LastRanges", func(t *testing.T) {
		w := newWorld(t)
		w.checkRanges(`
			reserved 0 0
			enablesoftcompat 0 1
			enableforcedlogoff 0 1
			timesource 0 1
			lmannounce 0 1
			enableoplocks 0 1
			enablefcbopens 0 1
			enableraw 0 1
			enablesharednetdrives 0 1`)
		for _, test := range []struct {
			level, parm uint32
			member      func(*serverInfo) *uint32
			good, bad   []uint32
		}{
			{1107, 107, func(x *serverInfo) *uint32 { return &x.users }, []uint32{1, 0xFFFFFFFF}, []uint32{0}},
			{1010, 10, func(x *serverInfo) *uint32 { return &x.disc }, []uint32{1, 0xFFFFFFFF}, []uint32{0}},
			{1016, 16, func(x *serverInfo) *uint32 { return &x.hidden }, []uint32{0, 1}, []uint32{2, 0xFFFFFFFF}},
			{1017, 17, func(x *serverInfo) *uint32 { return &x.announce }, []uint32{1, 65535}, []uint32{0, 65536}},
			{1018, 18, func(x *serverInfo) *uint32 { return &x.delta }, []uint32{0, 65535}, []uint32{65536}},
		} {
			for _, level := range []uint32{102, test.level} {
				for _, good := range test.good {
					x := defaults()
					*test.member(x) = good
					w.expect(5, settingServer(level, x))
				}
				for _, bad := range test.bad {
					x := defaults()
					*test.member(x) = bad
					p := settingServer(level, x)
					w.expect(0x57, p)
					assert.Equal(t, test.parm, *p.parmErr)
				}
			}
		}
	})
	rule("SV-153 SV-154", "SetInfoIsDenied", func(t *testing.T) {
		w := newWorld(t)
		for _, level := range setLevels {
			w.expect(0x57, settingServer(level, nil))
			x := defaults()
			x.comment, x.userPath, x.domain, x.name = str("c"), str("u"), str("d"), str("n")
			p := settingServer(level, x)
			w.expect(5, p)
			require.NotNil(t, p.parmErr, "it stands behind the union")
			assert.EqualValues(t, 0, *p.parmErr)
		}
	})
	rule("SV-155 SV-156 SV-157 SV-158 SV-159", "Disks", func(t *testing.T) {
		w := newWorld(t)
		for _, length := range []uint32{0, 1, maxPreferredLength} {
			p := &netrServerDiskEnum{length: length, resume: ptr(uint32(77)), disks: []text{str("Q:")}}
			w.expect(0, p)
			assert.Equal(t, []text{str("C:"), {}}, p.disks)
			assert.EqualValues(t, 1, p.total)
			assert.EqualValues(t, 77, *p.resume)
		}
		p := &netrServerDiskEnum{level: 1, resume: ptr(uint32(77)), disks: []text{str("Q:")}}
		assert.Equal(t, unhex("00000000 00000000 00000000 00000200 4d000000 7c000000"), w.recvOf(23, encodeIn(t, p)))
		w.source.state.Shares = w.source.state.Shares[1:]
		p = &netrServerDiskEnum{}
		w.expect(0, p)
		assert.Equal(t, []text{{}}, p.disks)
		assert.Zero(t, p.total)
		assert.Nil(t, p.resume)
	})
	rule("SV-160 SV-163", "StatisticsErrors", func(t *testing.T) {
		w := newWorld(t)
		for _, test := range []struct{ level, options, code uint32 }{{1, 0, 0x7C}, {1, 1, 0x7C}, {0, 1, 0x57}, {0, 0x80000000, 0x57}} {
			p := &netrServerStatisticsGet{level: test.level, options: test.options}
			w.expect(test.code, p)
			assert.Nil(t, p.info)
			assert.Len(t, w.recvOf(24, encodeIn(t, p)), 8)
		}
		w.expect(0, &netrServerStatisticsGet{service: str("LanmanWorkstation")})
		p := &netrpGetFileSecurity{securityParams: securityParams{shareName: str("none"), fileName: str("x")}}
		assert.Equal(t, unhex("00000000 06090000"), w.recvOf(39, encodeIn(t, p)))
	})
	rule("SV-161 SV-162", "Statistics", func(t *testing.T) {
		w := newWorld(t)
		w.expect(5, &netrShareDel{shareParams{netName: str("home")}})
		p := &netrServerStatisticsGet{}
		w.expect(0, p)
		assert.Equal(t, statServer{uint32(testStarted.Unix()), 9, 0, 0, 1, 0, 0, 0, 1, 0, 2, 1, 4, 3, 0, 0, 0}, *p.info)
	})
	rule("SV-164 SV-166", "TimeOfDay", func(t *testing.T) {
		w := newWorld(t)
		p := &netrRemoteTOD{}
		w.expect(0, p)
		assert.Equal(t, timeOfDay{elapsed: uint32(testNow.Unix()), msecs: 3600_000, hours: 11, mins: 14, secs: 15, hunds: 16,
			timezone: -120, interval: 310, day: 1, month: 2, year: 2026, weekday: 0}, *p.info)
	})
	rule("SV-165 SV-167", "TimeZones", func(t *testing.T) {
		now := testNow
		s, _ := newTestServer(t, nil)
		s.config.Now = func() time.Time { return now }
		c := connect(t, s)
		for east, want := range map[int]int32{0: 0, 3600: -60, -5 * 3600: 300, 5*3600 + 1800: -330, 60: 0, -60: 1, 120: -2} {
			now = testNow.In(time.FixedZone("", east))
			p := &netrRemoteTOD{}
			c.expect(0, p)
			assert.Equal(t, want, p.info.timezone)
			assert.EqualValues(t, 11, p.info.hours)
		}
		p := &netrRemoteTOD{}
		c.expect(0, p)
		before := p.info.msecs
		now = now.Add(1234 * time.Millisecond)
		c.expect(0, p)
		assert.EqualValues(t, 1234, p.info.msecs-before)
	})
}
