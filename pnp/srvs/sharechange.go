// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"slices"

	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// errContextMismatch answers a context handle that was not given out.
const errContextMismatch = dcerpc.Fault(dcerpc.StatusContextMismatch)

// netrShareAdd is opnum 14 (3.1.4.7).
type netrShareAdd struct {
	serverName text
	level      uint32
	info       *shareInfo
	parmErr    *uint32
}

func (p *netrShareAdd) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
	codeShareTail(c, p.level, &p.info, &p.parmErr)
}

func (p *netrShareAdd) out(c *ndr.Coder) { c.UniqueUint32(&p.parmErr) }

// codeShareTail codes a SHARE_INFO and a ParmErr.
func codeShareTail(c *ndr.Coder, level uint32, info **shareInfo, parmErr **uint32) {
	codeUnion(c, level, info, shareArms)
	_, known := shareArms[level]
	codeTail(c, known, nil, func() { c.UniqueUint32(parmErr) })
}

func (p *netrShareAdd) answer(r *request) uint32 {
	switch p.level {
	case 2, 502, 503:
	default:
		return errorInvalidLevel
	}
	if p.info == nil {
		return errorInvalidParameter
	}
	name := p.info.name
	switch {
	case len(name) == 0 || len(name) > maxShareName:
		setParmErr(p.parmErr, parmNetname)
		return errorInvalidParameter
	case equalFold(name, str("pipe")) || equalFold(name, str("mailslot")):
		return errorAccessDenied
	}
	if _, ok := r.share(name); ok && p.onThisServer() {
		return nerrDuplicateShare
	}
	parm := p.badMember()
	setParmErr(p.parmErr, parm)
	if parm != 0 {
		return errorInvalidParameter
	}
	return errorAccessDenied
}

// onThisServer tells whether the share's server is the one that all shares have.
func (p *netrShareAdd) onThisServer() bool {
	return p.level != 503 || anyServer(p.info.server)
}

// anyServer tells whether a server name is that of all shares: *, or none.
func anyServer(name text) bool { return len(name) == 0 || slices.Equal(name, str("*")) }

// badMember returns the ParmErr of the first member that is not valid, or 0.
func (p *netrShareAdd) badMember() uint32 {
	x := p.info
	special := equalFold(x.name, str(nameIPC)) || equalFold(x.name, str(nameAdmin))
	disk := x.kind&typeMask == TypeDisk
	switch {
	case special && x.path != nil, !special && disk && !validSharePath(x.path):
		return parmPath
	case disk && hasPrefix(x.name, `\\?\`):
		return parmType
	case len(x.remark) > maxRemark:
		return parmRemark
	case p.level != 2 && len(x.descriptor) > 0 && !validDescriptor(x.descriptor):
		return parmDescriptor
	}
	return 0
}

// validSharePath tells whether a path is absolute, with a drive letter or a
// backslash, and without components that lead elsewhere.
func validSharePath(path text) bool {
	rest := path
	if len(rest) >= 2 && isLetter(rest[0]) && rest[1] == ':' {
		rest = rest[2:]
	}
	if len(rest) == 0 || rest[0] != backslash && rest[0] != '/' {
		return false
	}
	for _, component := range components(rest) {
		if slices.Equal(component, str(".")) || slices.Equal(component, str("..")) {
			return false
		}
	}
	return true
}

// netrShareSetInfo is opnum 17 (3.1.4.11).
type netrShareSetInfo struct {
	serverName, netName text
	level               uint32
	info                *shareInfo
	parmErr             *uint32
}

func (p *netrShareSetInfo) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.netName)
	c.Uint32(&p.level)
	codeShareTail(c, p.level, &p.info, &p.parmErr)
}

func (p *netrShareSetInfo) out(c *ndr.Coder) { c.UniqueUint32(&p.parmErr) }

func (p *netrShareSetInfo) answer(r *request) uint32 {
	if len(p.netName) == 0 {
		return errorInvalidParameter
	}
	switch p.level {
	case 1, 2, 502, 503, 1004, 1005, 1006, 1501:
	default:
		return errorInvalidLevel
	}
	if p.info == nil {
		return errorInvalidParameter
	}
	if parm := p.badMember(); parm != 0 {
		setParmErr(p.parmErr, parm)
		return errorInvalidParameter
	}
	x, ok := r.share(p.netName)
	switch {
	case !ok:
		return nerrNetNameNotFound
	case p.level == 1005 && p.info.flags&enableHash != 0:
		return errorNotSupported
	case p.level == 1005 && x.kind&typeMask != TypeDisk:
		return errorInvalidParameter
	}
	setParmErr(p.parmErr, 0)
	return errorAccessDenied
}

// badMember returns the ParmErr of the first member that is not valid, or 0. A
// member that the level lacks is empty.
func (p *netrShareSetInfo) badMember() uint32 {
	x := p.info
	switch {
	case len(x.remark) > maxRemark:
		return parmRemark
	case p.level == 502 && x.kind&TypeSpecial != 0 && len(x.descriptor) > 0,
		len(x.descriptor) > 0 && !validDescriptor(x.descriptor):
		return parmDescriptor
	}
	return 0
}

// netrShareDelEx is opnum 57 (3.1.4.47).
type netrShareDelEx struct {
	serverName text
	level      uint32
	info       *shareInfo
}

func (p *netrShareDelEx) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
	codeUnion(c, p.level, &p.info, shareArms)
}

func (p *netrShareDelEx) out(*ndr.Coder) {}

func (p *netrShareDelEx) answer(r *request) uint32 {
	switch {
	case p.level != 503:
		return errorInvalidLevel
	case p.info == nil || len(p.info.name) == 0:
		return errorInvalidParameter
	}
	if _, ok := r.share(p.info.name); !ok || !anyServer(p.info.server) {
		return nerrNetNameNotFound
	}
	return errorAccessDenied
}
