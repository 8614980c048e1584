// SPDX-License-Identifier: Apache-2.0

package usbiptest

import (
	"encoding/binary"
	"io"
	"net"
	"unicode/utf16"

	"freerdp-pnpdr/pnp/devtest/gadgettest"
)

// The messages of USB/IP, once a device is attached.
const (
	cmdSubmit = 1 + iota
	cmdUnlink
	retSubmit
	retUnlink
)

// serve answers the host until the connection ends.
func (d *Device) serve(conn net.Conn) {
	defer d.served.Done()
	defer conn.Close()
	head := make([]byte, 48)
	for {
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		field := func(i int) uint32 { return binary.BigEndian.Uint32(head[4*i:]) }
		seq, in, endpoint := field(1), field(3) != 0, byte(field(4))
		switch field(0) {
		case cmdSubmit:
			u := &urb{seq: seq, length: int(field(6))}
			if !in {
				u.data = make([]byte, u.length)
				if _, err := io.ReadFull(conn, u.data); err != nil {
					return
				}
			}
			if endpoint == 0 {
				d.setup(u, head[40:48])
				continue
			}
			if in {
				endpoint |= 0x80
			}
			d.submitted(endpoint, u)
		case cmdUnlink:
			d.unlink(seq, field(5))
		default:
			d.t.Errorf("the host sends a message of kind %d", field(0))
			return
		}
	}
}

// submitted takes a transfer for an endpoint.
func (d *Device) submitted(endpoint byte, u *urb) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pipes[endpoint]
	switch {
	case p == nil:
		d.t.Errorf("the host uses endpoint 0x%02X, which is not there", endpoint)
	case d.isPulled():
		d.complete(p, u, eproto)
	case p.halted:
		d.complete(p, u, epipe)
	default:
		p.waiting = append(p.waiting, u)
		d.move(p)
		d.change.Broadcast()
	}
}

// unlink cancels a transfer. One that has got data is completed with it instead: USB/IP
// has no room for data in the answer to a cancellation.
func (d *Device) unlink(seq, which uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := 0
	for _, p := range d.pipes {
		for i, u := range p.waiting {
			if u.seq != which {
				continue
			}
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			if p.Address&0x80 != 0 && len(u.data) > 0 {
				d.complete(p, u, 0)
			} else {
				status = econnreset
			}
		}
	}
	d.reply(retUnlink, seq, status, 0, nil, false)
	d.change.Broadcast()
}

// Requests of chapter 9 of USB 2.0, with their types.
const (
	clearFeature     = 0x0201 // of an endpoint
	getDescriptor    = 0x8006
	getConfiguration = 0x8008
	setConfiguration = 0x0009
	setInterface     = 0x010B
	getDeviceStatus  = 0x8000
)

// setup carries out a control request.
func (d *Device) setup(u *urb, packet []byte) {
	le := binary.LittleEndian
	s := gadgettest.Setup{
		Type: packet[0], Request: packet[1],
		Value: le.Uint16(packet[2:]), Index: le.Uint16(packet[4:]), Length: le.Uint16(packet[6:]),
	}
	reply, ok := []byte(nil), true
	switch uint16(s.Type)<<8 | uint16(s.Request) {
	case getDescriptor:
		reply, ok = d.descriptor(byte(s.Value>>8), byte(s.Value))
	case setConfiguration, setInterface:
	case getConfiguration:
		reply = []byte{1}
	case getDeviceStatus:
		reply = []byte{0, 0}
	case clearFeature:
		d.mu.Lock()
		if p := d.pipes[byte(s.Index)]; p != nil {
			p.halted = false
		}
		d.mu.Unlock()
	default:
		reply, ok = nil, false
		if d.cfg.Control != nil {
			reply, ok = d.cfg.Control(s, u.data)
		}
	}
	n := len(u.data)
	if s.In() {
		reply = reply[:min(len(reply), u.length)]
		n = len(reply)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	status := 0
	switch {
	case d.isPulled():
		status = eproto
	case !ok:
		status = epipe
	}
	d.reply(retSubmit, u.seq, status, n, reply, s.In())
}

// descriptor returns a descriptor (9.5).
func (d *Device) descriptor(kind, index byte) ([]byte, bool) {
	le := binary.LittleEndian
	switch kind {
	case 1: // device
		b := []byte{18, 1, 0, 2, 0, 0, 0, 64}
		b = le.AppendUint16(b, d.cfg.Vendor)
		b = le.AppendUint16(b, d.cfg.Product)
		return append(b, 0, 1, 0, 1, 0, 1), true // its name is string 1
	case 2: // configuration
		b := []byte{9, 2, 0, 0, 1, 1, 0, 0x80, 50}
		b = append(b, 9, 4, 0, 0, byte(len(d.cfg.Endpoints)), d.cfg.Class, d.cfg.SubClass, d.cfg.Protocol, 0)
		for _, e := range d.cfg.Endpoints {
			kind, interval := byte(2), byte(0)
			if e.Interrupt {
				kind, interval = 3, 4
			}
			b = append(b, 7, 5, e.Address, kind, byte(e.MaxPacket), byte(e.MaxPacket>>8), interval)
		}
		le.PutUint16(b[2:], uint16(len(b)))
		return b, true
	case 3: // string; 0 are the languages
		if index == 0 {
			return []byte{4, 3, 9, 4}, true
		}
		b := []byte{0, 3}
		for _, u := range utf16.Encode([]rune(d.cfg.Name)) {
			b = le.AppendUint16(b, u)
		}
		b[0] = byte(len(b))
		return b, true
	}
	return nil, false
}
