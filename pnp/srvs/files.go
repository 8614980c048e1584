// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"errors"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// Rights of an access mask ([MS-DTYP] 2.4.3, [MS-SMB2] 2.2.13.1).
const (
	fileReadData        = 0x00000001
	fileWriteData       = 0x00000002
	fileAppendData      = 0x00000004
	fileWriteEA         = 0x00000010
	fileExecute         = 0x00000020
	fileWriteAttributes = 0x00000100
	accessDelete        = 0x00010000
	accessWriteDAC      = 0x00040000
	accessWriteOwner    = 0x00080000
	accessMaximum       = 0x02000000 // MAXIMUM_ALLOWED
	accessGenericAll    = 0x10000000
	accessGenericExec   = 0x20000000
	accessGenericWrite  = 0x40000000
	accessGenericRead   = 0x80000000
)

// Permissions of an open file (2.2.4.7).
const (
	permRead    = 0x01
	permWrite   = 0x02
	permCreate  = 0x04
	permExec    = 0x08
	permDelete  = 0x10
	permAttrib  = 0x20
	permPerm    = 0x40
	permDefault = permRead // of a mask that grants none of them: 0 is not allowed
)

// permissions returns what an access mask grants.
func permissions(access uint32) uint32 {
	var p uint32
	for _, grant := range []struct{ mask, perm uint32 }{
		{fileReadData | accessGenericRead | accessGenericAll | accessMaximum, permRead},
		{fileWriteData | fileAppendData | accessGenericWrite | accessGenericAll | accessMaximum, permWrite},
		{fileExecute | accessGenericExec, permExec},
		{accessDelete, permDelete},
		{fileWriteAttributes | fileWriteEA, permAttrib},
		{accessWriteDAC | accessWriteOwner, permPerm},
	} {
		if access&grant.mask != 0 {
			p |= grant.perm
		}
	}
	if p == 0 {
		return permDefault
	}
	return p
}

// fileInfo returns what levels 2 and 3 tell of f.
func (r *request) fileInfo(f File) fileInfo {
	return fileInfo{id: f.ID, permissions: permissions(f.Access), path: str(`\` + f.Name), user: str(r.snapshot().Session.User)}
}

// file returns the open file of that number.
func (r *request) file(id uint32) (File, bool) {
	for _, f := range r.snapshot().Files {
		if f.ID == id {
			return f, true
		}
	}
	return File{}, false
}

// opens returns how many handles of a share are open.
func (r *request) opens(share share) (n uint32) {
	for _, f := range r.snapshot().Files {
		if f.Pipe && share.kind&typeMask == TypeIPC || !f.Pipe && equalFold(str(f.Name), share.name) {
			n++
		}
	}
	return n
}

// netrFileEnum is opnum 9 (3.1.4.2).
type netrFileEnum struct {
	enumParams[fileInfo]
	basePath, userName text
}

func (p *netrFileEnum) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.UniqueString(&p.basePath)
	c.UniqueString(&p.userName)
	p.codeIn(c, fileArms)
}

func (p *netrFileEnum) out(c *ndr.Coder) { p.codeOut(c, fileArms) }

func (p *netrFileEnum) answer(r *request) uint32 {
	valid := p.level(2, 3)
	switch {
	case tooLong(p.basePath) || tooLong(p.userName):
		return errorInvalidParameter
	case !valid:
		return errorInvalidLevel
	}
	var list []entry[fileInfo]
	for _, f := range r.snapshot().Files {
		info := r.fileInfo(f)
		if within(info.path, p.basePath) && (len(p.userName) == 0 || equalFold(p.userName, info.user)) {
			list = append(list, entry[fileInfo]{f.ID, info})
		}
	}
	return p.enumerate(list, fileArms)
}

// within tells whether path is base or below it.
func within(path, base text) bool {
	if n := len(base); n > 0 && base[n-1] == backslash {
		base = base[:n-1]
	}
	if len(path) < len(base) || !equalFold(path[:len(base)], base) {
		return false
	}
	return len(path) == len(base) || path[len(base)] == backslash
}

// netrFileGetInfo is opnum 10 (3.1.4.3).
type netrFileGetInfo struct {
	serverName text
	id, level  uint32
	info       *fileInfo
}

func (p *netrFileGetInfo) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	longs(c, &p.id, &p.level)
}

func (p *netrFileGetInfo) out(c *ndr.Coder) { codeUnion(c, p.level, &p.info, fileArms) }

func (p *netrFileGetInfo) answer(r *request) uint32 {
	if _, ok := fileArms[p.level]; !ok {
		return errorInvalidLevel
	}
	f, ok := r.file(p.id)
	if !ok {
		return errorFileNotFound
	}
	info := r.fileInfo(f)
	p.info = &info
	return nerrSuccess
}

// netrFileClose is opnum 11 (3.1.4.4).
type netrFileClose struct {
	serverName text
	id         uint32
}

func (p *netrFileClose) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.id)
}

func (p *netrFileClose) out(*ndr.Coder) {}

// answer ends the handle, but not the one that asks.
func (p *netrFileClose) answer(r *request) uint32 {
	if _, ok := r.file(p.id); !ok {
		return nerrFileIDNotFound
	}
	if r.config.ReadOnly || p.id == r.caller {
		return errorAccessDenied
	}
	err := r.source.CloseFile(p.id)
	switch {
	case errors.Is(err, ErrFileNotFound):
		return nerrFileIDNotFound
	case err != nil:
		r.config.Log.Error("cannot end an open handle", "file", p.id, "err", err)
		return errorAccessDenied
	}
	return nerrSuccess
}
