// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"time"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

const (
	nameIPC   = "IPC$"
	nameAdmin = "ADMIN$"

	// connectionIPC is the number of the tree connect to IPC$, beyond all of shares.
	connectionIPC = 0x80000000
)

// A share is one as the methods see it.
type share struct {
	number     uint32 // its running number
	connection uint32 // number of its tree connect
	name       text
	kind       uint32 // with its bits
	remark     text
	path       text
	dir        string // on this machine, or empty
	since      time.Time
}

// shares returns all shares with IPC$ as the last. Its number is beyond those of
// the others, so that it comes last in an enumeration that goes on.
func (r *request) shares() []share {
	s := r.snapshot()
	list := make([]share, 0, len(s.Shares)+1)
	ipc := uint32(1)
	for _, x := range s.Shares {
		kind := x.Type & typeMask
		remark, path := x.Remark, `\`+x.Name
		if kind == TypeDisk {
			path = `C:\` + x.Name
		}
		if remark == "" {
			remark = "Redirected"
		}
		list = append(list, share{number: x.ID, connection: x.ID, name: str(x.Name), kind: kind | TypeTemporary,
			remark: cut(str(remark), maxRemark), path: str(path), dir: x.Dir, since: x.Since})
		ipc = x.ID + 1
	}
	return append(list, share{number: ipc, connection: connectionIPC, name: str(nameIPC), kind: TypeIPC | TypeSpecial,
		remark: str("Remote IPC"), path: text{}, since: s.Session.Since})
}

// share returns the first share of that name. The server name of the look-up is
// always *, as no transport is scoped (3.1.6.8).
func (r *request) share(name text) (share, bool) {
	for _, x := range r.shares() {
		if equalFold(x.name, name) {
			return x, true
		}
	}
	return share{}, false
}

// info returns what the levels tell of x.
func (x *share) info() shareInfo {
	return shareInfo{name: x.name, kind: x.kind, remark: x.remark, maxUses: unlimited, uses: 1, path: x.path,
		server: str("*"), flags: cscNone}
}

// netrShareEnum is opnum 15 (3.1.4.8).
type netrShareEnum struct{ enumParams[shareInfo] }

func (p *netrShareEnum) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	p.codeIn(c, shareEnumArms)
}

func (p *netrShareEnum) out(c *ndr.Coder) { p.codeOut(c, shareEnumArms) }

func (p *netrShareEnum) answer(r *request) uint32 {
	if !p.level(0, 1, 2, 501, 502, 503) {
		return errorInvalidLevel
	}
	shares := r.shares()
	list := make([]entry[shareInfo], len(shares))
	for i, x := range shares {
		list[i] = entry[shareInfo]{x.number, x.info()}
	}
	return p.enumerate(list, shareEnumArms)
}

// netrShareEnumSticky is opnum 36 (3.1.4.9). No share outlives the session, so none
// is listed.
type netrShareEnumSticky struct{ netrShareEnum }

func (p *netrShareEnumSticky) answer(*request) uint32 {
	if !p.level(0, 1, 2, 502, 503) {
		return errorInvalidLevel
	}
	return p.enumerate(nil, shareEnumArms)
}

// netrShareGetInfo is opnum 16 (3.1.4.10).
type netrShareGetInfo struct {
	serverName, netName text
	level               uint32
	info                *shareInfo
}

func (p *netrShareGetInfo) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.netName)
	c.Uint32(&p.level)
}

func (p *netrShareGetInfo) out(c *ndr.Coder) { codeUnion(c, p.level, &p.info, shareArms) }

func (p *netrShareGetInfo) answer(r *request) uint32 {
	if len(p.netName) == 0 {
		return errorInvalidParameter
	}
	switch p.level {
	case 0, 1, 2, 501, 502, 503, 1005:
	default:
		return errorInvalidLevel
	}
	x, ok := r.share(p.netName)
	if !ok {
		return nerrNetNameNotFound
	}
	info := x.info()
	p.info = &info
	return nerrSuccess
}

// netrShareCheck is opnum 20 (3.1.4.16).
type netrShareCheck struct {
	serverName, device text
	kind               uint32
}

func (p *netrShareCheck) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.device)
}

func (p *netrShareCheck) out(c *ndr.Coder) { c.Uint32(&p.kind) }

func (p *netrShareCheck) answer(r *request) uint32 {
	device := p.device
	if n := len(device); n > 1 && device[n-1] == backslash {
		device = device[:n-1]
	}
	drive := equalFold(device, str("C:"))
	for _, x := range r.shares() {
		if equalFold(x.path, device) || drive && x.kind&typeMask == TypeDisk {
			p.kind = x.kind &^ TypeSpecial
			return nerrSuccess
		}
	}
	return nerrDeviceNotShared
}

// shareParams are the parameters of the methods that remove a share.
type shareParams struct {
	serverName, netName text
	reserved            uint32
}

func (p *shareParams) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.String(&p.netName)
	c.Uint32(&p.reserved)
}

func (p *shareParams) out(*ndr.Coder) {}

// deny returns the code for a share that exists and stays, or does not exist.
func (p *shareParams) deny(r *request) uint32 {
	if _, ok := r.share(p.netName); !ok {
		return nerrNetNameNotFound
	}
	return errorAccessDenied
}

// netrShareDel is opnum 18 (3.1.4.12).
type netrShareDel struct{ shareParams }

func (p *netrShareDel) answer(r *request) uint32 {
	if len(p.netName) == 0 {
		return errorInvalidParameter
	}
	return p.deny(r)
}

// netrShareDelSticky is opnum 19 (3.1.4.13). No share is persistent.
type netrShareDelSticky struct{ shareParams }

func (p *netrShareDelSticky) answer(*request) uint32 {
	if len(p.netName) == 0 {
		return errorInvalidParameter
	}
	return nerrNetNameNotFound
}

// contextHandle is a SHARE_DEL_HANDLE. None is ever given out.
type contextHandle [20]byte

func (h *contextHandle) code(c *ndr.Coder) {
	c.Align(4)
	c.Octets(h[:])
}

// netrShareDelStart is opnum 37 (3.1.4.14).
type netrShareDelStart struct {
	shareParams
	handle contextHandle
}

func (p *netrShareDelStart) out(c *ndr.Coder)         { p.handle.code(c) }
func (p *netrShareDelStart) answer(r *request) uint32 { return p.deny(r) }

// netrShareDelCommit is opnum 38 (3.1.4.15).
type netrShareDelCommit struct{ handle contextHandle }

func (p *netrShareDelCommit) in(c *ndr.Coder)  { p.handle.code(c) }
func (p *netrShareDelCommit) out(c *ndr.Coder) { p.handle.code(c) }

func (p *netrShareDelCommit) answer(r *request) uint32 {
	if p.handle != (contextHandle{}) {
		r.fault = errContextMismatch
	}
	return errorInvalidParameter
}
