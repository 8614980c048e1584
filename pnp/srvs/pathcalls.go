// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"slices"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

const (
	flagOldPaths = 1          // of the path methods: the rules of DOS
	flagLM       = 0x80000000 // of the name methods: the rules of LAN Manager 2.x
	maxOutBuf    = 64000      // range of OutbufLen
)

// netprPathType is opnum 30 (3.1.4.29).
type netprPathType struct {
	serverName, path text
	flags            uint32
	kind             uint32
}

func (p *netprPathType) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.path)
	c.Uint32(&p.flags)
}

func (p *netprPathType) out(c *ndr.Coder) { c.Uint32(&p.kind) }

func (p *netprPathType) answer(*request) uint32 {
	if len(p.path) == 0 || len(p.path) > maxPath {
		return errorInvalidName
	}
	if p.flags > flagOldPaths {
		return errorInvalidParameter
	}
	kind, ok := pathType(p.path, p.flags == flagOldPaths)
	if !ok {
		return errorInvalidName
	}
	p.kind = kind
	return nerrSuccess
}

// netprPathCanonicalize is opnum 31 (3.1.4.30).
type netprPathCanonicalize struct {
	serverName, path text
	length           uint32
	prefix           text
	kind             uint32
	flags            uint32
	buffer           []byte
}

func (p *netprPathCanonicalize) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.path)
	c.Uint32(&p.length)
	c.Range(p.length, 0, maxOutBuf)
	c.String(&p.prefix)
	longs(c, &p.kind, &p.flags)
}

func (p *netprPathCanonicalize) out(c *ndr.Coder) {
	if !c.Decoding() {
		p.buffer = append(p.buffer, make([]byte, int(p.length)-len(p.buffer))...)
	}
	c.ConformantOctets(&p.buffer)
	c.Uint32(&p.kind)
}

func (p *netprPathCanonicalize) answer(*request) uint32 {
	old := p.flags&flagOldPaths != 0
	if p.flags&^(flagOldPaths|flagLM) != 0 || p.kind != 0 && !slices.Contains(pathTypes, p.kind) {
		return errorInvalidParameter
	}
	if p.kind == 0 {
		if _, ok := pathType(p.path, old); !ok {
			return errorInvalidName
		}
	}
	path := p.path
	if n := len(p.prefix); n > 0 {
		if _, ok := pathType(p.prefix, old); !ok {
			return errorInvalidName
		}
		path = slices.Clone(p.prefix)
		if path[n-1] != backslash && path[n-1] != '/' {
			path = append(path, backslash)
		}
		path = append(path, p.path...)
	}
	path, kind, ok := canonicalPath(path, old)
	switch {
	case !ok:
		return errorInvalidName
	case 2*(len(path)+1) > int(p.length):
		return nerrBufTooSmall
	}
	for _, u := range path {
		p.buffer = append(p.buffer, byte(u), byte(u>>8))
	}
	p.kind = kind
	return nerrSuccess
}

// compareParams are those of the methods that compare.
type compareParams struct {
	serverName, first, second text
	kind, flags               uint32
}

func (p *compareParams) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.first)
	c.String(&p.second)
	longs(c, &p.kind, &p.flags)
}

func (p *compareParams) out(*ndr.Coder) {}

// netprPathCompare is opnum 32 (3.1.4.31).
type netprPathCompare struct{ compareParams }

func (p *netprPathCompare) answer(*request) uint32 {
	if p.flags > flagOldPaths {
		return errorInvalidParameter
	}
	if p.flags == 0 {
		path1, kind1, ok1 := canonicalPath(p.first, false)
		path2, kind2, ok2 := canonicalPath(p.second, false)
		switch {
		case !ok1 || !ok2:
			return errorInvalidName
		case kind1 != kind2:
			return 1
		}
		p.first, p.second = path1, path2
	}
	return uint32(compareText(p.first, p.second, true))
}
