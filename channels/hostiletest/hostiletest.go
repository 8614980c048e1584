// SPDX-License-Identifier: Apache-2.0

// Package hostiletest has clients that break the protocol, or keep to it with bad
// intentions, for tests of whatever serves clients.
package hostiletest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// Attack is what a hostile client does on its channels.
type Attack struct {
	Name string
	// info is called once the server has told that the client is logged on. It
	// returns when over is closed.
	info func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool)
	// reply returns the messages to send for a request; nil is what an honest client
	// would.
	reply func(rnd *rand.Rand, m wire.Message) [][]byte
}

// Attacks are all there are.
var Attacks = []Attack{
	{"devices without end", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for id := uint32(1); send(addition(id, fmt.Sprint("device ", id))); id++ {
			pause(over, id)
		}
	}, nil},
	{"devices that come and go", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for i := uint32(1); send(addition(i%7, fmt.Sprint("device ", i%3))) && send(wire.DeviceRemoval{ClientDeviceID: i % 7}.Append(nil)); i++ {
			pause(over, i)
		}
	}, nil},
	{"names", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for i, name := range []string{
			"", ".", "..", "/", "../../etc/passwd", "a/b", "\x00", "a\x00b", ".lock", ".pnpdr-lock", "control", "-rf", "\u202Egnp.exe", "\x1b[2J",
			strings.Repeat("x", 255), strings.Repeat("ü", 255), strings.Repeat("y", 60000), "\ufeff", "a\nb", "~", "$(reboot)", "CON", "\ufffd", "\U0001F680",
		} {
			send(addition(uint32(i+1), name))
			send(addition(uint32(i+101), name))
		}
		<-over
	}, nil},
	{"large descriptions", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for id := uint32(1); send(addition(id, strings.Repeat("z", 1<<20))); id++ {
			pause(over, 0)
		}
	}, nil},
	{"four gigabytes announced", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for send(binary.LittleEndian.AppendUint32(nil, 0xFFFFFFFF)) && send(make([]byte, 1<<15)) {
			pause(over, 0)
		}
	}, nil},
	{"bytes without sense", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		for send(randomBytes(rnd)) {
			pause(over, 0)
		}
	}, nil},
	{"a message that never ends", func(over <-chan struct{}, rnd *rand.Rand, send func([]byte) bool) {
		b := addition(1, "cut")
		send(b[:len(b)-3])
		<-over
	}, nil},
	{"silence", someDevices, func(*rand.Rand, wire.Message) [][]byte { return [][]byte{} }},
	{"replies that nobody asked for", someDevices, func(rnd *rand.Rand, m wire.Message) (list [][]byte) {
		for range 50 {
			list = append(list, wire.DataReply{RequestID: wire.RequestID(rnd.Uint32N(1 << 24)), Data: make([]byte, rnd.IntN(4096))}.Append(nil))
		}
		return list
	}},
	{"replies without sense", someDevices, func(rnd *rand.Rand, m wire.Message) [][]byte { return [][]byte{randomBytes(rnd)} }},
	{"more data than asked for", someDevices, func(rnd *rand.Rand, m wire.Message) [][]byte {
		switch m.Kind {
		case wire.KindReadRequest, wire.KindIOControlRequest:
			return [][]byte{wire.DataReply{RequestID: m.RequestID, Data: make([]byte, 1<<20)}.Append(nil)}
		}
		return nil
	}},
	{"events without end", someDevices, func(rnd *rand.Rand, m wire.Message) (list [][]byte) {
		for range 200 {
			list = append(list, wire.CustomEvent{Data: make([]byte, rnd.IntN(4096))}.Append(nil))
		}
		return append(list, honestReply(m))
	}},
	{"long events without end", someDevices, func(_ *rand.Rand, m wire.Message) (list [][]byte) {
		long := wire.CustomEvent{Data: make([]byte, 64<<10)}.Append(nil)
		for range 70 {
			list = append(list, long)
		}
		return append(list, honestReply(m))
	}},
	{"lies", someDevices, lie},
	{"replies cut off", someDevices, func(rnd *rand.Rand, m wire.Message) [][]byte {
		b := honestReply(m)
		return [][]byte{b[:rnd.IntN(len(b)+1)]}
	}},
}

// pause lets others run, and has the flood last until it is over.
func pause(over <-chan struct{}, n uint32) {
	if n%100 != 0 {
		return
	}
	select {
	case <-over:
	case <-time.After(time.Millisecond):
	}
}

func randomBytes(rnd *rand.Rand) []byte {
	b := make([]byte, rnd.IntN(1<<rnd.IntN(15))+1)
	for i := range b {
		b[i] = byte(rnd.Uint32() >> rnd.Uint32N(24))
	}
	return b
}

// someDevices are of every kind.
func someDevices(over <-chan struct{}, _ *rand.Rand, send func([]byte) bool) {
	for i, id := range []string{
		`PNPDR\SERIAL`, `PNPDR\HID`, `PNPDR\FILE`, `PNPDR\IMAGE`, `PNPDR\PIPE`, `PNPDR\SRVSVC`, `USB\Class_07`, "other",
	} {
		d := pnp.Description{Name: fmt.Sprint("d", i), HardwareIDs: []string{id}, CompatibleIDs: []string{id}}
		send(wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.NewDeviceDescription(uint32(i), &d).Append(nil)}.Append(nil))
	}
	<-over
}

func addition(id uint32, name string) []byte {
	d := pnp.Description{Name: name, HardwareIDs: []string{name}}
	return wire.DeviceAddition{DeviceCount: 1, DeviceDescriptions: wire.NewDeviceDescription(id, &d).Append(nil)}.Append(nil)
}

// lie is a well-formed reply that says anything.
func lie(rnd *rand.Rand, m wire.Message) [][]byte {
	var result pnp.HRESULT
	if rnd.IntN(5) == 0 {
		result = pnp.HRESULT(rnd.Uint32())
	}
	switch m.Kind {
	case wire.KindReadRequest:
		return [][]byte{wire.DataReply{RequestID: m.RequestID, Result: result, Data: lies(rnd, m.ReadRequest().CbBytesToRead)}.Append(nil)}
	case wire.KindIOControlRequest:
		return [][]byte{wire.DataReply{RequestID: m.RequestID, Result: result, Data: lies(rnd, m.IOControlRequest().CbOut)}.Append(nil)}
	case wire.KindWriteRequest:
		n := rnd.IntN(len(m.WriteRequest().Data) + 1)
		return [][]byte{wire.WriteReply{RequestID: m.RequestID, Result: result, CbBytesWritten: uint32(n)}.Append(nil)}
	}
	return nil
}

// lies are most bytes at most: numbers that are often small, as in containers of PTP and
// PDUs of DCE/RPC.
func lies(rnd *rand.Rand, most uint32) []byte {
	n := min(int(most), 1<<rnd.IntN(14))
	if rnd.IntN(3) == 0 {
		n = min(int(most), 4096)
	}
	b := make([]byte, 0, n+4)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint32(b, rnd.Uint32()>>rnd.Uint32N(32))
	}
	if rnd.IntN(2) == 0 && n >= 12 { // a container
		binary.LittleEndian.PutUint32(b, uint32(n))
		binary.LittleEndian.PutUint16(b[4:], uint16(2+rnd.IntN(2)))
		binary.LittleEndian.PutUint16(b[6:], 0x2001)
	}
	return b[:n]
}

func honestReply(m wire.Message) []byte {
	switch m.Kind {
	case wire.KindCapabilitiesRequest:
		return wire.CapabilitiesReply{RequestID: m.RequestID, Version: wire.VersionWithCustomEvents}.Append(nil)
	case wire.KindCreateFileRequest:
		return wire.CreateFileReply{RequestID: m.RequestID}.Append(nil)
	case wire.KindReadRequest:
		return wire.DataReply{RequestID: m.RequestID, Data: make([]byte, m.ReadRequest().CbBytesToRead)}.Append(nil)
	case wire.KindWriteRequest:
		return wire.WriteReply{RequestID: m.RequestID, CbBytesWritten: uint32(len(m.WriteRequest().Data))}.Append(nil)
	case wire.KindIOControlRequest:
		return wire.DataReply{RequestID: m.RequestID}.Append(nil)
	}
	return nil
}

// Client is the client end of a session.
type Client struct {
	Attack
	begun, over chan struct{}
	begin, stop func() // close them
}

// New returns a client that has not begun.
func New(a Attack) *Client {
	c := &Client{Attack: a, begun: make(chan struct{}), over: make(chan struct{})}
	c.begin = sync.OnceFunc(func() { close(c.begun) })
	c.stop = sync.OnceFunc(func() { close(c.over) })
	return c
}

// Begun is closed when the attack has begun.
func (c *Client) Begun() <-chan struct{} { return c.begun }

// Stop ends the attack.
func (c *Client) Stop() { c.stop() }

// Accept implements memory.Acceptor.
func (c *Client) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	e := &end{h: c, conn: conn, rnd: rand.New(rand.NewPCG(1, 2)), closed: make(chan struct{})}
	if name == channels.PNPDR {
		return &infoEnd{end: e}, nil
	}
	return e, nil
}

var _ memory.Acceptor = (*Client)(nil)

// end is the client end of a channel for I/O.
type end struct {
	h      *Client
	conn   channels.Conn
	rnd    *rand.Rand
	closed chan struct{}
}

func (e *end) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.IOToClient)
	if err != nil {
		return nil
	}
	var replies [][]byte
	// The transport's own channel only asks for capabilities. It is answered honestly,
	// or there would be no session.
	if m.Kind != wire.KindCapabilitiesRequest && e.h.reply != nil {
		replies = e.h.reply(e.rnd, m)
	}
	if replies == nil {
		replies = [][]byte{honestReply(m)}
	}
	for _, b := range replies {
		if len(b) > 0 {
			_ = e.conn.Send(b)
		}
	}
	return nil
}

func (e *end) Closed() { close(e.closed) }

// infoEnd is the client end of the channel that announces devices.
type infoEnd struct{ *end }

func (e *infoEnd) Receive(msg []byte) error {
	m, err := wire.Decode(msg, wire.InfoToClient)
	if err != nil {
		return nil
	}
	switch m.Kind {
	case wire.KindVersion:
		return e.conn.Send(wire.Version{MajorVersion: 1, MinorVersion: 5, Capabilities: 1}.Append(nil))
	case wire.KindAuthenticatedClient:
		go func() {
			e.h.Attack.info(e.h.over, e.rnd, func(b []byte) bool {
				e.h.begin()
				select {
				case <-e.h.over:
					return false
				case <-e.closed:
					return false
				default:
					return e.conn.Send(b) == nil
				}
			})
		}()
	}
	return nil
}
