// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/ncalrpc"
	"freerdp-pnpdr/channels/server/pipebridge"
	"freerdp-pnpdr/pnp/srvs"
)

// pipe is a pipe of the client's that local programs can use.
type pipe struct {
	*pipebridge.Bridge
	name    string // a name, a hardware id or #ID
	address pipebridge.Address
	match   func(*server.Device) bool
}

// parsePipe reads NAME=ADDRESS.
func parsePipe(text string) (*pipe, error) {
	name, address, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return nil, fmt.Errorf("--pipe %s: it is written NAME=unix:PATH or NAME=tcp:127.0.0.1:PORT", text)
	}
	a, err := pipebridge.ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("--pipe %s: %w", text, err)
	}
	return &pipe{name: name, address: a, match: matcher(name)}, nil
}

// openPipes listens for local programs. They wait until a client has the device.
func (a *app) openPipes() error {
	for _, text := range a.opt.pipes {
		p, err := parsePipe(text)
		if err != nil {
			return err
		}
		if p.Bridge, err = pipebridge.Listen(p.address, a.log); err != nil {
			return err
		}
		p.RPC = p.name == srvs.PipeName
		a.pipes = append(a.pipes, p)
		a.out.note("%s is at %s:%v", clean(p.name), p.Addr().Network(), p.Addr())
	}
	if a.opt.ncalrpc != "" {
		var err error
		if a.samba, err = ncalrpc.Listen(a.opt.ncalrpc, a.log); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) closePipes() {
	for _, p := range a.pipes {
		p.Close()
	}
	if a.samba != nil {
		a.samba.Close()
	}
}
