// SPDX-License-Identifier: Apache-2.0

package srvs

import "freerdp-pnpdr/pnp/srvs/ndr"

// netrServerAliasEnum is opnum 55 (3.1.4.45). There are no aliases.
type netrServerAliasEnum struct{ enumParams[aliasInfo] }

func (p *netrServerAliasEnum) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	p.codeIn(c, aliasArms)
}

func (p *netrServerAliasEnum) out(c *ndr.Coder) { p.codeOut(c, aliasArms) }

func (p *netrServerAliasEnum) answer(*request) uint32 {
	if !p.level(0) {
		return errorInvalidLevel
	}
	return p.enumerate(nil, aliasArms)
}

// aliasParams are the parameters of the methods that add and remove aliases.
type aliasParams struct {
	serverName text
	level      uint32
	info       *aliasInfo
}

func (p *aliasParams) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
	codeUnion(c, p.level, &p.info, aliasArms)
}

func (p *aliasParams) out(*ndr.Coder) {}

// check checks the level, and that the alias is empty if and only if it is the
// default.
func (p *aliasParams) check() uint32 {
	switch {
	case p.level != 0:
		return errorInvalidLevel
	case p.info == nil || (len(p.info.alias) == 0) != (p.info.isDefault != 0):
		return errorInvalidParameter
	}
	return nerrSuccess
}

// netrServerAliasAdd is opnum 54 (3.1.4.44).
type netrServerAliasAdd struct{ aliasParams }

func (p *netrServerAliasAdd) answer(r *request) uint32 {
	if code := p.check(); code != nerrSuccess {
		return code
	}
	target := cutBackslashes(p.info.target)
	if !equalFold(target, str(r.config.Host)) && !equalFold(target, netBIOSName(r.config.Host)) || len(target) == 0 {
		return errorInvalidParameter
	}
	return errorAccessDenied
}

// netrServerAliasDel is opnum 56 (3.1.4.46).
type netrServerAliasDel struct{ aliasParams }

func (p *netrServerAliasDel) answer(*request) uint32 {
	if code := p.check(); code != nerrSuccess {
		return code
	}
	return nerrNetNameNotFound
}
