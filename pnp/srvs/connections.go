// SPDX-License-Identifier: Apache-2.0

package srvs

import "freerdp-pnpdr/pnp/srvs/ndr"

// netrConnectionEnum is opnum 8 (3.1.4.1).
type netrConnectionEnum struct {
	enumParams[connectionInfo]
	qualifier text
}

func (p *netrConnectionEnum) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.UniqueString(&p.qualifier)
	p.codeIn(c, connectionArms)
}

func (p *netrConnectionEnum) out(c *ndr.Coder) { p.codeOut(c, connectionArms) }

// answer tells of one tree connect for each share: that of the session.
func (p *netrConnectionEnum) answer(r *request) uint32 {
	valid := p.level(0, 1)
	switch {
	case len(p.qualifier) == 0 || tooLong(p.qualifier):
		return errorInvalidParameter
	case !valid:
		return errorInvalidLevel
	}
	byComputer := hasPrefix(p.qualifier, `\\`)
	session := r.snapshot().Session
	client, user := str(session.Client), str(session.User)
	var list []entry[connectionInfo]
	for _, share := range r.shares() {
		info := connectionInfo{
			id: share.connection, kind: share.kind & typeMask, opens: r.opens(share), users: 1,
			seconds: r.seconds(share.since), user: user, netname: client,
		}
		if byComputer {
			if !equalFold(cutBackslashes(p.qualifier), client) {
				continue
			}
			info.netname = share.name
		} else if !equalFold(p.qualifier, share.name) {
			continue
		}
		list = append(list, entry[connectionInfo]{share.number, info})
	}
	return p.enumerate(list, connectionArms)
}
