// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"strings"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// serverInfo is SERVER_INFO_100 to 1556 (2.2.4.40 to 2.2.4.90).
type serverInfo struct {
	platform            uint32
	name                text
	major, minor, kind  uint32
	comment             text
	users, disc, hidden uint32
	announce, delta     uint32
	licenses            uint32
	userPath            text
	capabilities        uint32
	fields              [len(serverFields)]uint32 // but for the domain
	domain              text
}

// A serverField is a member of SERVER_INFO_599, with the value that Windows has by
// default and the range that a client may set. A member that is ignored when it is
// set has the whole range.
type serverField struct {
	name        string
	value       uint32
	least, most uint32
}

const (
	anyValue    = 0xFFFFFFFF
	fieldDomain = 19
	minMemory   = 0x400000
	maxLink     = 0x10000000
)

// serverFields are the members of SERVER_INFO_599 in their order, from 1 on
// (2.2.4.46).
var serverFields = [...]serverField{
	1:           {"sessopens", 2048, 1, 16384},
	2:           {"sessvcs", 1, 1, 1},
	3:           {"opensearch", 2048, 1, 2048},
	4:           {"sizreqbuf", 4356, 0, anyValue},
	5:           {"initworkitems", 4, 0, anyValue},
	6:           {"maxworkitems", 16, 1, 65535},
	7:           {"rawworkitems", 4, 0, anyValue},
	8:           {"irpstacksize", 11, 0, anyValue},
	9:           {"maxrawbuflen", 65535, 65535, 65535},
	10:          {"sessusers", 2048, 1, 2048},
	11:          {"sessconns", 2048, 1, 2048},
	12:          {"maxpagedmemoryusage", 0xFFFFFFFF, minMemory, anyValue},
	13:          {"maxnonpagedmemoryusage", 0xFFFFFFFF, minMemory, anyValue},
	14:          {"enablesoftcompat", 1, 0, 1},
	15:          {"enableforcedlogoff", 1, 0, 1},
	16:          {"timesource", 0, 0, 1},
	17:          {"acceptdownlevelapis", 1, 0, anyValue},
	18:          {"lmannounce", 0, 0, 1},
	fieldDomain: {"domain", 0, 0, anyValue},
	20:          {"maxcopyreadlen", 8192, 0, anyValue},
	21:          {"maxcopywritelen", 0, 0, anyValue},
	22:          {"minkeepsearch", 480, 5, 5000},
	23:          {"maxkeepsearch", 3600, 10, 10000},
	24:          {"minkeepcomplsearch", 240, 1, 1000},
	25:          {"maxkeepcomplsearch", 600, 2, 10000},
	26:          {"threadcountadd", 2, 0, anyValue},
	27:          {"numblockthreads", 2, 0, anyValue},
	28:          {"scavtimeout", 30, 1, 300},
	29:          {"minrcvqueue", 2, 0, 10},
	30:          {"minfreeworkitems", 2, 0, 10},
	31:          {"xactmemsize", 0x100000, 0, anyValue},
	32:          {"threadpriority", 1, 0, anyValue},
	33:          {"maxmpxct", 50, 1, 65535},
	34:          {"oplockbreakwait", 35, 10, 180},
	35:          {"oplockbreakresponsewait", 35, 10, 180},
	36:          {"enableoplocks", 1, 0, 1},
	37:          {"enableoplockforceclose", 0, 0, anyValue},
	38:          {"enablefcbopens", 1, 0, 1},
	39:          {"enableraw", 1, 0, 1},
	40:          {"enablesharednetdrives", 0, 0, 1},
	41:          {"minfreeconnections", 2, 2, 1024},
	42:          {"maxfreeconnections", 2, 2, 16384},
	43:          {"initsesstable", 4, 1, 64},
	44:          {"initconntable", 8, 1, 128},
	45:          {"initfiletable", 16, 1, 256},
	46:          {"initsearchtable", 8, 1, 2048},
	47:          {"alertschedule", 5, 1, 65535},
	48:          {"errorthreshold", 10, 1, 65535},
	49:          {"networkerrorthreshold", 5, 1, 100},
	50:          {"diskspacethreshold", 10, 0, 99},
	51:          {"reserved", 0, 0, 0},
	52:          {"maxlinkdelay", 60, 0, maxLink},
	53:          {"minlinkthroughput", 0, 0, maxLink},
	54:          {"linkinfovalidtime", 60, 0, maxLink},
	55:          {"scavqosinfoupdatetime", 300, 0, maxLink},
	56:          {"maxworkitemidletime", 30, 10, 1800},
}

// lastField is the last member that SERVER_INFO_502, 503 and 599 have.
var lastField = map[uint32]int{502: 18, 503: 42, 599: 56}

// singleFields are the members that have a level of their own: 1500 and this.
var singleFields = []uint32{1, 2, 3, 6, 10, 11, 12, 13, 14, 15, 16, 18, 23, 28, 29, 30, 33, 34, 35, 36, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 52, 53, 54, 55, 56}

// parmOfField returns the ParmErr of a member less 500, or the member of such a
// ParmErr: its place, but for two that 2.2.2.12 exchanges.
func parmOfField(n uint32) uint32 {
	switch n {
	case 12:
		return 13
	case 13:
		return 12
	}
	return n
}

var serverArms = makeServerArms()

func makeServerArms() arms[serverInfo] {
	code101 := func(c *ndr.Coder, x *serverInfo) {
		c.Uint32(&x.platform)
		c.UniqueString(&x.name)
		longs(c, &x.major, &x.minor, &x.kind)
		c.UniqueString(&x.comment)
	}
	code102 := func(c *ndr.Coder, x *serverInfo) {
		code101(c, x)
		longs(c, &x.users, &x.disc, &x.hidden, &x.announce, &x.delta, &x.licenses)
		c.UniqueString(&x.userPath)
	}
	all := arms[serverInfo]{
		100: {8, func(c *ndr.Coder, x *serverInfo) {
			c.Uint32(&x.platform)
			c.UniqueString(&x.name)
		}},
		101: {24, code101},
		102: {52, code102},
		103: {56, func(c *ndr.Coder, x *serverInfo) {
			code102(c, x)
			c.Uint32(&x.capabilities)
		}},
		1005: {4, func(c *ndr.Coder, x *serverInfo) { c.UniqueString(&x.comment) }},
		1107: {4, func(c *ndr.Coder, x *serverInfo) { c.Uint32(&x.users) }},
		1010: {4, func(c *ndr.Coder, x *serverInfo) { c.Uint32(&x.disc) }},
		1016: {4, func(c *ndr.Coder, x *serverInfo) { c.Uint32(&x.hidden) }},
		1017: {4, func(c *ndr.Coder, x *serverInfo) { c.Uint32(&x.announce) }},
		1018: {4, func(c *ndr.Coder, x *serverInfo) { c.Uint32(&x.delta) }},
	}
	for level, last := range lastField {
		all[level] = arm[serverInfo]{4 * last, func(c *ndr.Coder, x *serverInfo) {
			for n := 1; n <= last; n++ {
				if n == fieldDomain {
					c.UniqueString(&x.domain)
				} else {
					c.Uint32(&x.fields[n])
				}
			}
		}}
	}
	for _, parm := range singleFields {
		n := parmOfField(parm)
		all[1500+parm] = arm[serverInfo]{4, func(c *ndr.Coder, x *serverInfo) { c.Uint32(&x.fields[n]) }}
	}
	return all
}

// badMember returns the ParmErr of the first member of the level that is out of its
// range, or 0 (2.2.2.12, 3.1.4.18).
func (x *serverInfo) badMember(level uint32) uint32 {
	first, last := 1, lastField[level]
	switch {
	case level >= 1500:
		first = int(parmOfField(level - 1500))
		last = first
	case last == 0:
		return x.badGeneral(level)
	}
	for n := first; n <= last; n++ {
		if f := serverFields[n]; n != fieldDomain && (x.fields[n] < f.least || x.fields[n] > f.most) {
			return 500 + parmOfField(uint32(n))
		}
	}
	return 0
}

// badGeneral is badMember for the levels 101 to 1107.
func (x *serverInfo) badGeneral(level uint32) uint32 {
	for _, m := range []struct{ single, parm, value, least, most uint32 }{
		{1107, 107, x.users, 1, anyValue},
		{1010, 10, x.disc, 1, anyValue},
		{1016, 16, x.hidden, 0, 1},
		{1017, 17, x.announce, 1, 65535},
		{1018, 18, x.delta, 0, 65535},
	} {
		if (level == 102 || level == m.single) && (m.value < m.least || m.value > m.most) {
			return m.parm
		}
	}
	return 0
}

// serverInfo returns what levels 100 to 503 tell of this machine.
func (r *request) serverInfo() *serverInfo {
	x := &serverInfo{
		platform: platformNT, name: str(r.config.Host), major: r.config.Major, minor: r.config.Minor,
		kind: svTypeWorkstation | svTypeServer | svTypeXenix, comment: str(r.config.Comment),
		users: unlimited, disc: 15, announce: 240, delta: 3000, userPath: str(`c:\`),
		domain: str(r.config.Domain),
	}
	shares := r.snapshot().Shares
	for i := range shares {
		if shares[i].Type&typeMask == TypePrinter {
			x.kind |= svTypePrintQueue
			break
		}
	}
	for n := range serverFields {
		x.fields[n] = serverFields[n].value
	}
	return x
}

// netBIOSName is the host name as NetBIOS has it (3.1.3).
func netBIOSName(host string) text {
	host, _, _ = strings.Cut(host, ".")
	return cut(upperText(str(host)), 15)
}

// netrServerGetInfo is opnum 21 (3.1.4.17).
type netrServerGetInfo struct {
	serverName text
	level      uint32
	info       *serverInfo
}

func (p *netrServerGetInfo) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
}

func (p *netrServerGetInfo) out(c *ndr.Coder) { codeUnion(c, p.level, &p.info, serverArms) }

func (p *netrServerGetInfo) answer(r *request) uint32 {
	if len(p.serverName) >= maxQualifier {
		return errorInvalidParameter
	}
	switch p.level {
	case 100, 101, 102, 103, 502, 503:
	default:
		return errorInvalidLevel
	}
	p.info = r.serverInfo()
	if p.level == 103 {
		p.info.name = netBIOSName(r.config.Host)
	}
	if name := cutBackslashes(p.serverName); len(name) > 0 {
		p.info.name = name
	}
	return nerrSuccess
}

// netrServerSetInfo is opnum 22 (3.1.4.18).
type netrServerSetInfo struct {
	serverName text
	level      uint32
	info       *serverInfo
	parmErr    *uint32
}

func (p *netrServerSetInfo) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
	codeUnion(c, p.level, &p.info, serverArms)
	_, known := serverArms[p.level]
	codeTail(c, known, nil, func() { c.UniqueUint32(&p.parmErr) })
}

func (p *netrServerSetInfo) out(c *ndr.Coder) { c.UniqueUint32(&p.parmErr) }

func (p *netrServerSetInfo) answer(r *request) uint32 {
	_, known := serverArms[p.level]
	switch {
	case !known || p.level == 100 || p.level == 103:
		return errorInvalidLevel
	case p.info == nil:
		return errorInvalidParameter
	}
	parm := p.info.badMember(p.level)
	setParmErr(p.parmErr, parm)
	if parm != 0 {
		return errorInvalidParameter
	}
	return errorAccessDenied
}

func setParmErr(p *uint32, parm uint32) {
	if p != nil {
		*p = parm
	}
}

// netrServerDiskEnum is opnum 23 (3.1.4.19).
type netrServerDiskEnum struct {
	serverName text
	level      uint32
	disks      []text // DISK_ENUM_CONTAINER
	length     uint32
	total      uint32
	resume     *uint32
}

func (p *netrServerDiskEnum) codeDisks(c *ndr.Coder) {
	c.Construct(func() {
		n := uint32(len(p.disks))
		c.Uint32(&n)
		if !c.Unique(p.disks != nil, func() {
			ndr.VaryingArray(c, &p.disks, 10, func(disk *text) { c.VaryingString(disk, 3) })
			if uint32(len(p.disks)) != n {
				c.Fail("%d disks whose size is %d", len(p.disks), n)
			}
		}) {
			if p.disks = nil; n != 0 {
				c.Fail("no array for %d disks", n)
			}
		}
	})
}

func (p *netrServerDiskEnum) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
	p.codeDisks(c)
	c.Uint32(&p.length)
	c.UniqueUint32(&p.resume)
}

func (p *netrServerDiskEnum) out(c *ndr.Coder) {
	p.codeDisks(c)
	c.Uint32(&p.total)
	c.UniqueUint32(&p.resume)
}

func (p *netrServerDiskEnum) answer(r *request) uint32 {
	p.disks = nil
	if p.level != 0 {
		return errorInvalidLevel
	}
	for _, share := range r.snapshot().Shares {
		if share.Type&typeMask == TypeDisk {
			p.disks = []text{str("C:")}
			p.total = 1
			break
		}
	}
	p.disks = append(p.disks, text{})
	return nerrSuccess
}

// netrServerStatisticsGet is opnum 24 (3.1.4.20).
type netrServerStatisticsGet struct {
	serverName, service text
	level, options      uint32
	info                *statServer
}

// statServer is STAT_SERVER_0 (2.2.4.39), its members by their order.
type statServer [17]uint32

// Members of STAT_SERVER_0.
const (
	statStart        = 0
	statOpens        = 1
	statSessions     = 4
	statDenied       = 8 // permerrors
	statSentLow      = 10
	statSentHigh     = 11
	statReceivedLow  = 12
	statReceivedHigh = 13
)

func (p *netrServerStatisticsGet) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.UniqueString(&p.service)
	longs(c, &p.level, &p.options)
}

func (p *netrServerStatisticsGet) out(c *ndr.Coder) {
	ndr.Pointer(c, &p.info, func(x *statServer) {
		for i := range x {
			c.Uint32(&x[i])
		}
	})
}

func (p *netrServerStatisticsGet) answer(r *request) uint32 {
	switch {
	case p.level != 0:
		return errorInvalidLevel
	case p.options != 0:
		return errorInvalidParameter
	}
	s := r.snapshot().Statistics
	p.info = &statServer{
		statStart:        uint32(r.started.Unix()),
		statOpens:        s.Opens,
		statSessions:     1,
		statDenied:       r.denied.Load(),
		statSentLow:      uint32(s.BytesRead),
		statSentHigh:     uint32(s.BytesRead >> 32),
		statReceivedLow:  uint32(s.BytesWritten),
		statReceivedHigh: uint32(s.BytesWritten >> 32),
	}
	return nerrSuccess
}

// netrRemoteTOD is opnum 28 (3.1.4.21).
type netrRemoteTOD struct {
	serverName text
	info       *timeOfDay
}

// timeOfDay is TIME_OF_DAY_INFO (2.2.4.105).
type timeOfDay struct {
	elapsed, msecs, hours, mins, secs, hunds uint32
	timezone                                 int32
	interval, day, month, year, weekday      uint32
}

// tickInterval is the Windows tick in units of 0.1 ms.
const tickInterval = 310

func (p *netrRemoteTOD) in(c *ndr.Coder) { c.UniqueString(&p.serverName) }

func (p *netrRemoteTOD) out(c *ndr.Coder) {
	ndr.Pointer(c, &p.info, func(x *timeOfDay) {
		longs(c, &x.elapsed, &x.msecs, &x.hours, &x.mins, &x.secs, &x.hunds)
		c.Int32(&x.timezone)
		longs(c, &x.interval, &x.day, &x.month, &x.year, &x.weekday)
	})
}

func (p *netrRemoteTOD) answer(r *request) uint32 {
	_, east := r.now.Zone()
	zone := int32(-east / 60)
	if zone == -1 { // which means that the zone is not known
		zone = 0
	}
	t := r.now.UTC()
	p.info = &timeOfDay{
		elapsed: uint32(t.Unix()), msecs: uint32(r.now.Sub(r.started).Milliseconds()),
		hours: uint32(t.Hour()), mins: uint32(t.Minute()), secs: uint32(t.Second()), hunds: uint32(t.Nanosecond() / 1e7),
		timezone: zone, interval: tickInterval,
		day: uint32(t.Day()), month: uint32(t.Month()), year: uint32(t.Year()), weekday: uint32(t.Weekday()),
	}
	return nerrSuccess
}
