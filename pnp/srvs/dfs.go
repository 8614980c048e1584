// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// dfsParams are what the NetrDfs methods have in common: they are decoded and not
// supported.
type dfsParams struct {
	serverName text
	texts      [4]text
	uid        pnp.GUID
	longs      [3]uint32
	relation   []dfsEntry
}

// dfsEntry is NET_DFS_ENTRY_ID (2.2.4.107).
type dfsEntry struct {
	uid    pnp.GUID
	prefix text
}

func (p *dfsParams) out(*ndr.Coder)         {}
func (p *dfsParams) answer(*request) uint32 { return errorNotSupported }

// codeRelation codes a NET_DFS_ENTRY_ID_CONTAINER (2.2.4.108).
func (p *dfsParams) codeRelation(c *ndr.Coder) {
	c.Construct(func() {
		n := uint32(len(p.relation))
		c.Uint32(&n)
		ndr.SizedArray(c, &p.relation, &n, 20, func(x *dfsEntry) {
			c.GUID(&x.uid)
			c.UniqueString(&x.prefix)
		})
	})
}

// codePrefix codes a server name, a UUID and a prefix, as four methods begin.
func (p *dfsParams) codePrefix(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.GUID(&p.uid)
	c.String(&p.texts[0])
}

// netrDfsGetVersion is opnum 43 (3.1.4.35).
type netrDfsGetVersion struct {
	serverName text
	version    uint32
}

func (p *netrDfsGetVersion) in(c *ndr.Coder)        { c.UniqueString(&p.serverName) }
func (p *netrDfsGetVersion) out(c *ndr.Coder)       { c.Uint32(&p.version) }
func (p *netrDfsGetVersion) answer(*request) uint32 { return errorFileNotFound }

// netrDfsCreateLocalPartition is opnum 44 (3.1.4.36).
type netrDfsCreateLocalPartition struct{ dfsParams }

func (p *netrDfsCreateLocalPartition) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.texts[0])
	c.GUID(&p.uid)
	c.String(&p.texts[1])
	c.String(&p.texts[2])
	p.codeRelation(c)
	c.Uint32(&p.longs[0])
}

// netrDfsDeleteLocalPartition is opnum 45 (3.1.4.37).
type netrDfsDeleteLocalPartition struct{ dfsParams }

func (p *netrDfsDeleteLocalPartition) in(c *ndr.Coder) { p.codePrefix(c) }

// netrDfsSetLocalVolumeState is opnum 46 (3.1.4.38).
type netrDfsSetLocalVolumeState struct{ dfsParams }

func (p *netrDfsSetLocalVolumeState) in(c *ndr.Coder) {
	p.codePrefix(c)
	c.Uint32(&p.longs[0])
}

// netrDfsCreateExitPoint is opnum 48 (3.1.4.39).
type netrDfsCreateExitPoint struct {
	dfsParams
	length      uint32
	shortPrefix []uint16
}

// maxShortPrefix is the range of ShortPrefixLen.
const maxShortPrefix = 32

func (p *netrDfsCreateExitPoint) in(c *ndr.Coder) {
	p.codePrefix(c)
	longs(c, &p.longs[0], &p.length)
	c.Range(p.length, 0, maxShortPrefix)
}

func (p *netrDfsCreateExitPoint) out(c *ndr.Coder) {
	if !c.Decoding() {
		p.shortPrefix = make([]uint16, p.length)
	}
	c.ConformantUnits(&p.shortPrefix)
}

// netrDfsDeleteExitPoint is opnum 49 (3.1.4.41).
type netrDfsDeleteExitPoint struct{ dfsParams }

func (p *netrDfsDeleteExitPoint) in(c *ndr.Coder) {
	p.codePrefix(c)
	c.Uint32(&p.longs[0])
}

// netrDfsModifyPrefix is opnum 50 (3.1.4.40).
type netrDfsModifyPrefix struct{ dfsParams }

func (p *netrDfsModifyPrefix) in(c *ndr.Coder) { p.codePrefix(c) }

// netrDfsFixLocalVolume is opnum 51 (3.1.4.42).
type netrDfsFixLocalVolume struct{ dfsParams }

func (p *netrDfsFixLocalVolume) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.texts[0])
	longs(c, &p.longs[0], &p.longs[1])
	c.String(&p.texts[1])
	c.GUID(&p.uid)
	c.String(&p.texts[2])
	p.codeRelation(c)
	c.Uint32(&p.longs[2])
}

// netrDfsManagerReportSiteInfo is opnum 52 (3.1.4.43).
type netrDfsManagerReportSiteInfo struct {
	dfsParams
	present bool // the outer pointer of ppSiteInfo is not null
	sites   *[]dfsSite
}

// dfsSite is DFS_SITENAME_INFO (2.2.4.109).
type dfsSite struct {
	flags uint32
	name  text
}

func (p *netrDfsManagerReportSiteInfo) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	p.codeSites(c)
}

func (p *netrDfsManagerReportSiteInfo) out(c *ndr.Coder) { p.codeSites(c) }

// answer leaves the pointers as they came but for the inner one, which is null.
func (p *netrDfsManagerReportSiteInfo) answer(*request) uint32 {
	p.sites = nil
	return errorNotSupported
}

// codeSites codes a pointer to a pointer to a DFS_SITELIST_INFO, a conformant
// structure: the count of its array stands before its first member (2.2.4.110).
func (p *netrDfsManagerReportSiteInfo) codeSites(c *ndr.Coder) {
	p.present = c.Unique(p.present, func() {
		ndr.Pointer(c, &p.sites, func(list *[]dfsSite) {
			most, n := uint32(len(*list)), uint32(len(*list))
			longs(c, &most, &n)
			if most != n {
				c.Fail("%d sites whose size is %d", most, n)
			}
			ndr.Elements(c, list, n, 8, func(x *dfsSite) {
				c.Uint32(&x.flags)
				c.UniqueString(&x.name)
			})
		})
	})
}
