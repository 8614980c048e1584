// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"errors"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

// netrSessionEnum is opnum 12 (3.1.4.5).
type netrSessionEnum struct {
	enumParams[sessionInfo]
	clientName, userName text
}

func (p *netrSessionEnum) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.UniqueString(&p.clientName)
	c.UniqueString(&p.userName)
	p.codeIn(c, sessionArms)
}

func (p *netrSessionEnum) out(c *ndr.Coder) { p.codeOut(c, sessionArms) }

// answer tells of the one session that there is.
func (p *netrSessionEnum) answer(r *request) uint32 {
	valid := p.level(0, 1, 2, 10, 502)
	switch {
	case len(p.clientName) > 0 && !hasPrefix(p.clientName, `\\`):
		return nerrInvalidComputer
	case tooLong(p.clientName) || tooLong(p.userName):
		return errorInvalidParameter
	case !valid:
		return errorInvalidLevel
	}
	client, user := r.sessionMatches(p.clientName, p.userName)
	switch {
	case !client:
		return nerrClientNameNotFound
	case !user:
		return nerrUserNotFound
	}
	s := r.snapshot().Session
	return p.enumerate([]entry[sessionInfo]{{1, sessionInfo{
		client: str(`\\` + s.Client), user: str(s.User), opens: uint32(len(r.snapshot().Files)),
		seconds: r.seconds(s.Since), idle: r.seconds(s.Active), clientType: text{}, transport: str(transportName),
	}}}, sessionArms)
}

// sessionMatches tells whether the session has that client and that user. An empty
// name matches any.
func (r *request) sessionMatches(clientName, userName text) (client, user bool) {
	s := r.snapshot().Session
	return len(clientName) == 0 || equalFold(cutBackslashes(clientName), str(s.Client)),
		len(userName) == 0 || equalFold(userName, str(s.User))
}

// netrSessionDel is opnum 13 (3.1.4.6).
type netrSessionDel struct {
	serverName, clientName, userName text
}

func (p *netrSessionDel) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.UniqueString(&p.clientName)
	c.UniqueString(&p.userName)
}

func (p *netrSessionDel) out(*ndr.Coder) {}

// answer ends all handles but the one that asks. The RDP session itself goes on.
func (p *netrSessionDel) answer(r *request) uint32 {
	switch {
	case len(p.clientName) > 0 && !hasPrefix(p.clientName, `\\`):
		return nerrClientNameNotFound
	case tooLong(p.clientName) || tooLong(p.userName):
		return errorInvalidParameter
	case len(p.clientName) == 0 && len(p.userName) == 0:
		return errorInvalidParameter
	}
	if client, user := r.sessionMatches(p.clientName, p.userName); !client || !user {
		return nerrClientNameNotFound
	}
	if r.config.ReadOnly {
		return errorAccessDenied
	}
	code := uint32(nerrSuccess)
	for _, f := range r.snapshot().Files {
		if f.ID == r.caller {
			continue
		}
		if err := r.source.CloseFile(f.ID); err != nil && !errors.Is(err, ErrFileNotFound) {
			r.config.Log.Error("cannot end an open handle", "file", f.ID, "err", err)
			code = errorAccessDenied
		}
	}
	return code
}
