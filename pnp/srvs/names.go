// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"slices"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// Name types (2.2.2.8) with rules of their own.
const (
	namePassword      = 2
	nameComputer      = 4
	nameDomain        = 6
	nameShare         = 9
	nameMessage       = 10
	nameMessageDest   = 11
	nameSharePassword = 12
)

// A nameForm is a canonical form: its longest name, and whether it is in upper case.
type nameForm struct {
	most  int
	upper bool
}

// nameTypes are the rules of each type: the lengths of a valid name, and the
// canonical forms of LAN Manager 2.x and others (2.2.2.8, 3.1.4.33).
var nameTypes = [...]struct {
	least, most int
	lm, normal  nameForm
}{
	1:                 {1, 256, nameForm{20, true}, nameForm{256, false}},
	namePassword:      {0, 256, nameForm{14, false}, nameForm{256, false}},
	3:                 {1, 256, nameForm{20, true}, nameForm{256, false}},
	nameComputer:      {1, 260, nameForm{15, true}, nameForm{259, false}},
	5:                 {1, 16, nameForm{16, true}, nameForm{16, true}},
	nameDomain:        {1, 15, nameForm{15, true}, nameForm{15, false}},
	7:                 {1, 80, nameForm{15, true}, nameForm{80, false}},
	8:                 {1, 260, nameForm{259, true}, nameForm{259, true}},
	nameShare:         {1, 80, nameForm{12, true}, nameForm{80, false}},
	nameMessage:       {1, 15, nameForm{259, true}, nameForm{259, true}},
	nameMessageDest:   {1, 260, nameForm{259, true}, nameForm{259, true}},
	nameSharePassword: {0, 8, nameForm{8, false}, nameForm{8, false}},
	13:                {1, 15, nameForm{15, true}, nameForm{15, false}},
}

// invalidSigns are the default invalid characters beside the control characters.
const invalidSigns = `"/\[]:|<>+=;,?`

func isNameType(kind uint32) bool { return kind >= 1 && kind < uint32(len(nameTypes)) }

// form returns the canonical form of a type.
func form(kind uint32, lm bool) nameForm {
	if lm {
		return nameTypes[kind].lm
	}
	return nameTypes[kind].normal
}

// validName tells whether s is a name of its type. most is the longest there may be.
func validName(s text, kind uint32, most int) bool {
	if len(s) < nameTypes[kind].least || len(s) > most {
		return false
	}
	if kind == namePassword || kind == nameSharePassword {
		return true
	}
	if containsAny(s, invalidSigns) || slices.ContainsFunc(s, func(u uint16) bool { return u < ' ' }) {
		return false
	}
	switch kind {
	case nameComputer:
		return !containsAny(s, "*") && s[0] != ' ' && s[len(s)-1] != ' '
	case nameDomain:
		return !containsAny(s, "* ")
	case nameMessageDest:
		star := slices.Index(s, '*')
		return star == len(s)-1 || star < 0 && len(s) < most
	}
	return true
}

// canonicalName returns the canonical form of a name.
func canonicalName(s text, kind uint32, lm bool) (text, bool) {
	if !validName(s, kind, nameTypes[kind].most) {
		return nil, false
	}
	f := form(kind, lm)
	if s = cut(s, f.most); f.upper {
		s = upperText(s)
	}
	return s, true
}

// netprNameValidate is opnum 33 (3.1.4.32).
type netprNameValidate struct {
	serverName, name text
	kind, flags      uint32
}

func (p *netprNameValidate) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.name)
	longs(c, &p.kind, &p.flags)
}

func (p *netprNameValidate) out(*ndr.Coder) {}

func (p *netprNameValidate) answer(*request) uint32 {
	if !isNameType(p.kind) || p.flags&^flagLM != 0 {
		return errorInvalidParameter
	}
	most := nameTypes[p.kind].most
	if p.flags != 0 {
		most = nameTypes[p.kind].lm.most
	}
	if !validName(p.name, p.kind, most) {
		return errorInvalidName
	}
	return nerrSuccess
}

// flagWhole is bit 0 of the flags of the name methods: the buffer is to hold any
// name of the type, or the names are canonical already.
const flagWhole = 1

// netprNameCanonicalize is opnum 34 (3.1.4.33).
type netprNameCanonicalize struct {
	serverName, name    text
	length, kind, flags uint32
	buffer              []uint16
}

func (p *netprNameCanonicalize) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.name)
	c.Uint32(&p.length)
	c.Range(p.length, 0, maxOutBuf)
	longs(c, &p.kind, &p.flags)
}

func (p *netprNameCanonicalize) out(c *ndr.Coder) {
	if !c.Decoding() {
		p.buffer = append(p.buffer, make([]uint16, int(p.length)-len(p.buffer))...)
	}
	c.ConformantUnits(&p.buffer)
}

func (p *netprNameCanonicalize) answer(*request) uint32 {
	if !isNameType(p.kind) || p.flags&^(flagLM|flagWhole) != 0 {
		return errorInvalidParameter
	}
	lm := p.flags&flagLM != 0
	name, ok := canonicalName(p.name, p.kind, lm)
	switch {
	case !ok:
		return errorInvalidName
	case p.flags&flagWhole != 0 && int(p.length) < form(p.kind, lm).most, len(name)+1 > int(p.length):
		return nerrBufTooSmall
	}
	p.buffer = slices.Clone(name)
	return nerrSuccess
}

// netprNameCompare is opnum 35 (3.1.4.34).
type netprNameCompare struct{ compareParams }

func (p *netprNameCompare) answer(*request) uint32 {
	if !isNameType(p.kind) || p.flags&^(flagLM|flagWhole) != 0 {
		return errorInvalidParameter
	}
	lm := p.flags&flagLM != 0
	if p.flags&flagWhole == 0 {
		name1, ok1 := canonicalName(p.first, p.kind, lm)
		name2, ok2 := canonicalName(p.second, p.kind, lm)
		if !ok1 || !ok2 {
			return errorInvalidParameter
		}
		p.first, p.second = name1, name2
	}
	sensitive := false
	switch p.kind {
	case namePassword, nameMessage, nameMessageDest, nameSharePassword:
		sensitive = lm
	}
	return uint32(compareText(p.first, p.second, !sensitive))
}
