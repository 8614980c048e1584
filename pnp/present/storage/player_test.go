// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"unicode/utf16"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/image"
)

const packet = 512

// player is a media player that the test plays. plugin/vmtest has a real one, which
// cannot be told to misbehave.
type player struct {
	t testing.TB

	mu      sync.Mutex
	objects map[uint32]*object
	last    uint32
	partial bool // it has GetPartialObject
	renames bool // it has SetObjectPropValue
	fail    map[uint16]uint16
	mute    bool              // it answers nothing
	raw     []byte            // is sent in place of an answer
	then    func(code uint16) // is called with each operation
	ops     []uint16
	opened  int
	session bool
	sink    func(pnp.Event)

	created uint32 // in this folder, by SendObjectInfo, or the one to rename
	expects uint16 // data for this operation
	id      uint32
	want    int
	data    []byte

	out   [][]byte // transfers for the host
	begun bool     // the host has some of the first
	reads []*pnp.Request
}

type object struct {
	name    string
	parent  uint32
	folder  bool
	content []byte
}

func newPlayer(t testing.TB) *player {
	return &player{t: t, objects: make(map[uint32]*object), partial: true, fail: make(map[uint16]uint16), last: 0x100}
}

func (p *player) add(parent uint32, name string, content []byte) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	p.objects[p.last] = &object{name: name, parent: parent, folder: content == nil, content: content}
	return p.last
}

func (p *player) Description() *pnp.Description { return &pnp.Description{Name: "player"} }
func (p *player) Notify(sink func(pnp.Event))   { p.mu.Lock(); p.sink = sink; p.mu.Unlock() }
func (p *player) Open(pnp.OpenRequest) (pnp.Handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	p.session = false
	return playerHandle{p}, nil
}

// report raises an event of PTP.
func (p *player) report(code uint16) {
	p.mu.Lock()
	sink := p.sink
	p.mu.Unlock()
	b := le.AppendUint32(nil, 12)
	b = le.AppendUint16(b, 4)
	b = le.AppendUint16(b, code)
	sink(pnp.Event{GUID: image.GUID_DEVICE_EVENT, Data: le.AppendUint32(b, 0)})
}

var le = binary.LittleEndian

type playerHandle struct{ *player }

func (h playerHandle) Submit(r *pnp.Request) {
	h.mu.Lock()
	var due []func()
	switch r.Op {
	case pnp.OpWrite:
		if !h.mute {
			h.take(r.In)
		}
		due = append(due, func() { r.Complete(pnp.S_OK, len(r.In)) })
	case pnp.OpRead:
		h.reads = append(h.reads, r)
	default:
		h.out, h.begun, h.expects, h.mute = nil, false, 0, false // a reset
		due = append(due, func() { r.Complete(pnp.S_OK, 0) })
	}
	for len(h.reads) > 0 && len(h.out) > 0 {
		q, t := h.reads[0], h.out[0]
		if h.begun && len(t) > 2<<20 && len(h.reads) < 16 {
			break // those that follow are to be there before this one ends
		}
		n := copy(q.Out, t)
		h.reads = h.reads[1:]
		h.begun = n < len(t)
		if h.out[0] = t[n:]; !h.begun {
			h.out = h.out[1:]
		}
		due = append(due, func() { q.Complete(pnp.S_OK, n) })
	}
	h.mu.Unlock()
	for _, f := range due {
		f()
	}
}

func (h playerHandle) Cancel(r *pnp.Request) { r.Complete(pnp.ERROR_OPERATION_ABORTED, 0) }
func (h playerHandle) Close(released func()) {
	h.mu.Lock()
	h.opened--
	reads := h.reads
	h.reads = nil
	h.mu.Unlock()
	for _, r := range reads {
		r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
	}
	released()
}

// take takes a transfer of the host's.
func (p *player) take(b []byte) {
	if p.expects != 0 {
		if p.want < 0 {
			p.want = int(le.Uint32(b))
		}
		if p.data = append(p.data, b...); len(p.data) < p.want {
			return
		}
		code, data := p.expects, p.data[12:]
		p.expects, p.data = 0, nil
		p.received(code, data)
		return
	}
	if len(b) < 12 {
		return // the empty packet behind data
	}
	code := le.Uint16(b[6:])
	p.id = le.Uint32(b[8:])
	var parameters [5]uint32
	for i := range min(len(parameters), (len(b)-12)/4) {
		parameters[i] = le.Uint32(b[12+4*i:])
	}
	p.ops = append(p.ops, code)
	p.command(code, parameters)
	if p.then != nil {
		p.then(code)
	}
}

func (p *player) command(code uint16, a [5]uint32) {
	if p.raw != nil {
		p.out = append(p.out, p.raw)
		return
	}
	dataOut := code == 0x100C || code == 0x100D || code == 0x9804
	if r, ok := p.fail[code]; ok && !dataOut {
		p.respond(r)
		return
	}
	if code == 0x1002 { // OpenSession
		p.session = true
	}
	if !p.session {
		p.respond(0x2003)
		return
	}
	o := p.objects[a[0]]
	if o == nil && slices.Contains([]uint16{0x1008, 0x1009, 0x100B, 0x101B}, code) {
		p.respond(0x2009) // InvalidObjectHandle
		return
	}
	switch code {
	case 0x1001: // GetDeviceInfo
		d := make([]byte, 8)
		d = append(d, 0, 0, 0)
		operations := []uint16{0x1007, 0x1008, 0x1009}
		if p.partial {
			operations = append(operations, 0x101B)
		}
		if p.renames {
			operations = append(operations, 0x9802, 0x9804)
		}
		d = le.AppendUint32(d, uint32(len(operations)))
		for _, o := range operations {
			d = le.AppendUint16(d, o)
		}
		d = append(d, make([]byte, 16)...)
		p.send(code, append(append(d, text("Maker")...), text("Model")...))
	case 0x1004: // GetStorageIDs
		p.send(code, u32s(2, 0x00010001, 0x00020000))
	case 0x1005: // GetStorageInfo
		d := []byte{3, 0, 2, 0, 0, 0}
		d = le.AppendUint64(d, 1<<30)
		d = le.AppendUint64(d, 1<<20)
		d = append(d, 0xFF, 0xFF, 0xFF, 0xFF)
		p.send(code, append(append(d, text("Card/1")...), 0))
	case 0x1007: // GetObjectHandles
		parent := a[2]
		if parent == 0xFFFFFFFF {
			parent = 0
		}
		var handles []uint32
		for h := uint32(0); h <= p.last; h++ {
			if o := p.objects[h]; o != nil && o.parent == parent {
				handles = append(handles, h)
			}
		}
		p.send(code, append(u32s(uint32(len(handles))), u32s(handles...)...))
	case 0x1008: // GetObjectInfo
		d := u32s(0x00010001)
		format := uint16(0x3000)
		if o.folder {
			format = 0x3001
		}
		d = le.AppendUint16(d, format)
		d = append(d, 0, 0)
		d = append(d, u32s(uint32(len(o.content)))...)
		d = append(d, make([]byte, 40)...)
		d = append(append(d, text(o.name)...), text("20240131T123456.0")...)
		p.send(code, append(d, 0, 0))
	case 0x1009: // GetObject
		p.send(code, o.content)
	case 0x101B: // GetPartialObject
		at := min(int(a[1]), len(o.content))
		p.send(code, o.content[at:min(len(o.content), at+int(a[2]))])
	case 0x100B: // DeleteObject
		delete(p.objects, a[0])
		p.respond(0x2001)
	case 0x100C: // SendObjectInfo
		p.created = a[1]
		p.expects, p.want = code, -1
	case 0x100D: // SendObject
		p.expects, p.want = code, -1
	case 0x9802: // GetObjectPropDesc: a string that can be set
		p.send(code, []byte{byte(a[0]), byte(a[0] >> 8), 0xFF, 0xFF, 1, 0, 0, 0, 0, 0, 0})
	case 0x9804: // SetObjectPropValue
		p.created = a[0]
		p.expects, p.want = code, -1
	default:
		p.respond(0x2001)
	}
}

func (p *player) received(code uint16, data []byte) {
	if r, ok := p.fail[code]; ok {
		p.respond(r)
		return
	}
	if code == 0x100D {
		p.objects[p.last].content = data
		p.respond(0x2001)
		return
	}
	name := func(b []byte) string {
		var units []uint16
		for i := range int(b[0]) - 1 {
			units = append(units, le.Uint16(b[1+2*i:]))
		}
		return string(utf16.Decode(units))
	}
	if code == 0x9804 {
		p.objects[p.created].name = name(data)
		p.respond(0x2001)
		return
	}
	parent := p.created
	if parent == 0xFFFFFFFF {
		parent = 0
	}
	p.last++
	p.objects[p.last] = &object{name: name(data[52:]), parent: parent, folder: le.Uint16(data[4:]) == 0x3001, content: []byte{}}
	p.respond(0x2001, 0x00010001, parent, p.last)
}

func (p *player) send(code uint16, data []byte) {
	c := le.AppendUint32(nil, uint32(12+len(data)))
	c = le.AppendUint16(c, 2)
	c = le.AppendUint16(c, code)
	c = append(le.AppendUint32(c, p.id), data...)
	p.out = append(p.out, c)
	if len(c)%packet == 0 {
		p.out = append(p.out, nil)
	}
	p.respond(0x2001)
}

func (p *player) respond(code uint16, results ...uint32) {
	c := le.AppendUint32(nil, uint32(12+4*len(results)))
	c = le.AppendUint16(c, 3)
	c = le.AppendUint16(c, code)
	c = append(le.AppendUint32(c, p.id), u32s(results...)...)
	p.out = append(p.out, c)
}

func u32s(values ...uint32) (b []byte) {
	for _, v := range values {
		b = le.AppendUint32(b, v)
	}
	return b
}

func text(s string) []byte {
	units := append(utf16.Encode([]rune(s)), 0)
	b := []byte{byte(len(units))}
	for _, u := range units {
		b = le.AppendUint16(b, u)
	}
	return b
}
