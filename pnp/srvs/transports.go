// SPDX-License-Identifier: Apache-2.0

package srvs

import (
	"bytes"

	"freerdp-pnpdr/pnp/srvs/ndr"
)

const (
	// transportName is the name of the one transport, which stands for RDP.
	transportName       = `\Device\RdpDvc`
	networkAddress      = "000000000000"
	maxDomain           = 15
	remapPipeNames      = 2 // SVTI2_REMAP_PIPE_NAMES
	scopedName          = 4 // SVTI2_SCOPED_NAME
	addressLength       = 16
	addressPad     byte = ' '
)

// transport returns the one transport of the list.
func (r *request) transport() transportInfo {
	address := bytes.Repeat([]byte{addressPad}, addressLength)
	for i, u := range cut(netBIOSName(r.config.Host), addressLength-1) {
		if address[i] = '?'; u < 0x80 {
			address[i] = byte(u)
		}
	}
	return transportInfo{circuits: 1, name: str(transportName), address: address, addressSize: addressLength,
		networkAddress: str(networkAddress), domain: str(r.config.Domain)}
}

// nameless tells whether a transport lacks what it is known by.
func (x *transportInfo) nameless() bool { return x.name == nil || len(x.address) == 0 }

// netrServerTransportEnum is opnum 26 (3.1.4.24).
type netrServerTransportEnum struct{ enumParams[transportInfo] }

func (p *netrServerTransportEnum) in(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	p.codeIn(c, transportArms)
}

func (p *netrServerTransportEnum) out(c *ndr.Coder) { p.codeOut(c, transportArms) }

func (p *netrServerTransportEnum) answer(r *request) uint32 {
	if !p.level(0, 1, 2) {
		return errorInvalidLevel
	}
	return p.enumerate([]entry[transportInfo]{{1, r.transport()}}, transportArms)
}

// transportParams are the parameters of the methods that add and remove transports.
type transportParams struct {
	serverName text
	level      uint32
	info       transportInfo
}

func (p *transportParams) out(*ndr.Coder) {}

// inStructure codes a SERVER_TRANSPORT_INFO_0.
func (p *transportParams) inStructure(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
	c.Construct(func() { codeTransport0(c, &p.info) })
}

// inUnion codes a TRANSPORT_INFO, whose arms are structures. Nothing follows it.
func (p *transportParams) inUnion(c *ndr.Coder) {
	c.UniqueString(&p.serverName)
	c.Uint32(&p.level)
	c.Construct(func() {
		c.Tag(p.level)
		if arm, ok := transportArms[p.level]; ok {
			arm.code(c, &p.info)
		}
	})
}

// add checks what a method would add.
func (p *transportParams) add(highest uint32) uint32 {
	switch {
	case p.level > highest:
		return errorInvalidLevel
	case p.info.nameless() || len(p.info.domain) > maxDomain || p.info.flags&^(remapPipeNames|scopedName) != 0:
		return errorInvalidParameter
	}
	return errorAccessDenied
}

// remove checks what a method would remove.
func (p *transportParams) remove(r *request) uint32 {
	own := r.transport()
	switch {
	case p.info.nameless():
		return errorInvalidParameter
	case !equalFold(p.info.name, own.name) || !bytes.Equal(p.info.address, own.address):
		return nerrNetNameNotFound
	}
	return errorAccessDenied
}

// netrServerTransportAdd is opnum 25 (3.1.4.22).
type netrServerTransportAdd struct{ transportParams }

func (p *netrServerTransportAdd) in(c *ndr.Coder)        { p.inStructure(c) }
func (p *netrServerTransportAdd) answer(*request) uint32 { return p.add(0) }

// netrServerTransportAddEx is opnum 41 (3.1.4.23).
type netrServerTransportAddEx struct{ transportParams }

func (p *netrServerTransportAddEx) in(c *ndr.Coder)        { p.inUnion(c) }
func (p *netrServerTransportAddEx) answer(*request) uint32 { return p.add(3) }

// netrServerTransportDel is opnum 27 (3.1.4.25), which ignores the level.
type netrServerTransportDel struct{ transportParams }

func (p *netrServerTransportDel) in(c *ndr.Coder)          { p.inStructure(c) }
func (p *netrServerTransportDel) answer(r *request) uint32 { return p.remove(r) }

// netrServerTransportDelEx is opnum 53 (3.1.4.26).
type netrServerTransportDelEx struct{ transportParams }

func (p *netrServerTransportDelEx) in(c *ndr.Coder) { p.inUnion(c) }

func (p *netrServerTransportDelEx) answer(r *request) uint32 {
	if p.level > 1 {
		return errorInvalidLevel
	}
	return p.remove(r)
}
