// SPDX-License-Identifier: Apache-2.0

// Package epm is an endpoint mapper (C706 appendix O) that knows one interface.
//
// Samba's rpcclient does not take the endpoint of a binding from its command line:
// for ncacn_ip_tcp it asks port 135 of the host, and for ncalrpc the Unix socket
// EPMAPPER in its "ncalrpc dir". Who serves a pipe at a socket of that folder can
// answer there:
//
//	mapper := epm.New(srvs.Syntax, epm.Endpoint{Socket: "srvsvc"}, log)
//	err := mapper.Serve(ctx, conn, nil)
//
// It changes nothing, and tells no more than the endpoint.
package epm

import (
	"bytes"
	"encoding/binary"
	"log/slog"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/srvs/dcerpc"
	"freerdp-pnpdr/pnp/srvs/ndr"
)

// Socket is the name of the endpoint mapper's own socket for ncalrpc.
const Socket = "EPMAPPER"

// An Endpoint is where an interface is served.
type Endpoint struct {
	Socket string // ncalrpc: name of a Unix socket in the same folder; empty if none
	Port   uint16 // ncacn_ip_tcp: on the address that is asked; 0 if none
}

// syntax is the interface of the endpoint mapper.
var syntax = dcerpc.Syntax{UUID: pnp.MustGUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa"), Major: 3}

const (
	opnumMap      = 3
	notRegistered = 0x16C9A0D6 // EPT_S_NOT_REGISTERED of C706
	maxTower      = 1024       // bytes
)

// Identifiers of protocols in the floors of a tower (C706 appendix I).
const (
	protocolTCP       = 0x07
	protocolIP        = 0x09
	protocolNamedPipe = 0x10
)

// New returns an endpoint mapper that tells where iface is served.
func New(iface dcerpc.Syntax, at Endpoint, log *slog.Logger) *dcerpc.Server {
	operations := make([]dcerpc.Operation, opnumMap+1)
	operations[opnumMap] = func(call *dcerpc.Call) ([]byte, error) { return eptMap(call, iface, at) }
	return dcerpc.NewServer(&dcerpc.Interface{Syntax: syntax, Endpoint: `\PIPE\epmapper`, Operations: operations}, log)
}

// twr is twr_t: a conformant structure of octets.
type twr struct{ octets []byte }

func (t *twr) code(c *ndr.Coder) {
	most, n := uint32(len(t.octets)), uint32(len(t.octets))
	c.Uint32(&most)
	c.Uint32(&n)
	if c.Decoding() {
		if n != most || n > maxTower {
			c.Fail("a tower of %d bytes", n)
			return
		}
		t.octets = make([]byte, n)
	}
	c.Octets(t.octets)
}

// mapParams are the parameters of ept_map.
type mapParams struct {
	object *pnp.GUID
	tower  *twr
	handle [20]byte
	most   uint32
	towers []*twr
	status uint32
}

func (p *mapParams) in(c *ndr.Coder) {
	ndr.Pointer(c, &p.object, c.GUID)
	ndr.Pointer(c, &p.tower, func(t *twr) { t.code(c) })
	c.Align(4)
	c.Octets(p.handle[:])
	c.Uint32(&p.most)
}

func (p *mapParams) out(c *ndr.Coder) {
	n := uint32(len(p.towers))
	c.Octets(p.handle[:])
	c.Uint32(&n)
	offset := uint32(0)
	c.Uint32(&p.most)
	c.Uint32(&offset)
	c.Uint32(&n)
	ndr.Elements(c, &p.towers, n, 4, func(t **twr) { ndr.Pointer(c, t, func(t *twr) { t.code(c) }) })
	c.Uint32(&p.status)
}

// eptMap answers with the tower that was asked for, completed with the endpoint.
func eptMap(call *dcerpc.Call, iface dcerpc.Syntax, at Endpoint) ([]byte, error) {
	var p mapParams
	c := ndr.NewDecoder(call.Stub, call.Order)
	p.in(c)
	if err := c.Err(); err != nil {
		return nil, err
	}
	p.status = notRegistered
	if p.tower != nil && p.most > 0 {
		if tower := complete(p.tower.octets, iface, at); tower != nil {
			p.towers, p.status = []*twr{{tower}}, 0
		}
	}
	p.handle = [20]byte{}
	c = ndr.NewEncoder()
	p.out(c)
	return c.Stub(), c.Err()
}

// A floor is one level of protocol: what it is, and its address.
type floor struct{ protocol, address []byte }

// complete returns the tower with the endpoint of iface, or nil if the tower is not
// well formed, is of another interface, or of a transport without an endpoint.
func complete(tower []byte, iface dcerpc.Syntax, at Endpoint) []byte {
	floors := parseTower(tower)
	if len(floors) < 4 || !bytes.Equal(floors[0].protocol, interfaceFloor(iface)) {
		return nil
	}
	endpoint := &floors[3]
	switch {
	case len(endpoint.protocol) != 1:
		return nil
	case endpoint.protocol[0] == protocolNamedPipe && at.Socket != "" && len(floors) == 4:
		endpoint.address = append([]byte(at.Socket), 0)
	case endpoint.protocol[0] == protocolTCP && at.Port != 0 && len(floors) == 5 && bytes.Equal(floors[4].protocol, []byte{protocolIP}):
		endpoint.address = binary.BigEndian.AppendUint16(nil, at.Port)
	default:
		return nil
	}
	b := binary.LittleEndian.AppendUint16(nil, uint16(len(floors)))
	for _, f := range floors {
		for _, part := range [][]byte{f.protocol, f.address} {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(part)))
			b = append(b, part...)
		}
	}
	return b
}

// interfaceFloor returns the first floor's protocol of an interface.
func interfaceFloor(s dcerpc.Syntax) []byte {
	return binary.LittleEndian.AppendUint16(append([]byte{0x0D}, s.UUID[:]...), s.Major)
}

// parseTower returns the floors of a tower, or nil if it is cut.
func parseTower(b []byte) []floor {
	if len(b) < 2 {
		return nil
	}
	n := binary.LittleEndian.Uint16(b)
	b = b[2:]
	part := func() []byte {
		if len(b) < 2 || int(binary.LittleEndian.Uint16(b)) > len(b)-2 {
			b = nil
			return nil
		}
		p := b[2 : 2+int(binary.LittleEndian.Uint16(b))]
		b = b[2+len(p):]
		return p
	}
	var floors []floor
	for range n {
		f := floor{part(), part()}
		if f.protocol == nil || f.address == nil {
			return nil
		}
		floors = append(floors, f)
	}
	return floors
}
