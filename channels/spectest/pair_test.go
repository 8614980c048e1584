// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// pair is both roles joined in memory, with a tap on the wire between them.
type pair struct {
	t      *testing.T
	client *client.Session
	server *server.Session
	tap    *tap
}

// newPair joins a client with the devices given to a server and logs on.
func newPair(t *testing.T, devices ...pnp.Device) *pair {
	t.Helper()
	p := &pair{t: t, client: client.NewSession(client.Config{Log: slog.New(noErrors{t})})}
	p.tap = &tap{client: p.client}
	link := memory.NewLink(p.tap)
	p.server = server.New(link, server.Config{})
	t.Cleanup(func() {
		p.server.Close()
		link.Close()
		if err := p.client.Close(p.context()); err != nil {
			t.Error(err)
		}
		if n := p.client.Counts(); n != (client.Counts{}) {
			t.Errorf("the client session has ended and holds %+v", n)
		}
	})
	for _, d := range devices {
		if _, err := p.client.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.server.Start(p.context()); err != nil {
		t.Fatal(err)
	}
	if err := p.server.LoggedOn(); err != nil {
		t.Fatal(err)
	}
	return p
}

// context ends with the watchdog.
func (p *pair) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	p.t.Cleanup(cancel)
	return ctx
}

// device waits until the server knows the device with an id.
func (p *pair) device(id uint32) *server.Device {
	p.t.Helper()
	d, err := p.server.WaitDevice(p.context(), func(d *server.Device) bool { return d.ID() == id })
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// open opens a handle of the device with an id.
func (p *pair) open(id uint32, opt server.OpenOptions) *server.Handle {
	p.t.Helper()
	h, err := p.device(id).Open(p.context(), opt)
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// taped is a message that went over the wire.
type taped struct {
	channel int
	name    string
	from    wire.Direction
	msg     []byte
}

// tap is a client that writes down what it gets and sends.
type tap struct {
	client memory.Acceptor

	mu       sync.Mutex
	channels int
	tape     []taped
}

// Accept implements memory.Acceptor.
func (t *tap) Accept(name string, conn channels.Conn) (channels.Receiver, error) {
	t.mu.Lock()
	t.channels++
	end := tapEnd{tap: t, channel: t.channels, name: name, Conn: conn}
	t.mu.Unlock()
	r, err := t.client.Accept(name, end)
	end.Receiver = r
	return end, err
}

func (t *tap) write(m taped) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m.msg = bytes.Clone(m.msg)
	t.tape = append(t.tape, m)
}

// messages returns what was written down so far.
func (t *tap) messages() []taped {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]taped(nil), t.tape...)
}

// tapEnd is the client's end of one channel.
type tapEnd struct {
	channels.Conn
	channels.Receiver
	tap     *tap
	channel int
	name    string
}

func (e tapEnd) Send(msg []byte) error {
	e.tap.write(taped{e.channel, e.name, wire.ClientToServer, msg})
	return e.Conn.Send(msg)
}

func (e tapEnd) Receive(msg []byte) error {
	e.tap.write(taped{e.channel, e.name, wire.ServerToClient, msg})
	return e.Receiver.Receive(msg)
}

// sent is a message of the tape, decoded.
type sent struct {
	taped
	kind string // as in examples.csv
	m    message
	// answers is the request of a reply.
	answers message
}

// decodeTape decodes every message; replies by their request.
func decodeTape(tape []taped) ([]sent, error) {
	type key struct {
		channel int
		id      wire.RequestID
	}
	outstanding := make(map[key]sent)
	var list []sent
	for i, m := range tape {
		s := sent{taped: m}
		var err error
		switch {
		case m.name == channels.PNPDR:
			s.kind, s.m, err = decodeInfo(m)
		case m.from == wire.ServerToClient:
			s.m, err = decodeRequest(m.msg)
			s.kind = kindName(s.m)
			if s.kind != "SpecificIoCancelRequest" {
				h, _ := wire.DecodeServerHeader(m.msg)
				k := key{m.channel, h.RequestID}
				if _, twice := outstanding[k]; twice {
					err = errors.Join(err, fmt.Errorf("the id %d is outstanding", h.RequestID))
				}
				outstanding[k] = s
			}
		default:
			var h wire.ClientHeader
			if h, err = wire.DecodeClientHeader(m.msg); err != nil {
				break
			}
			if h.PacketType == wire.CUSTOM_EVENT_PACKET {
				s.kind = "CustomEvent"
				s.m, err = wire.DecodeCustomEvent(m.msg)
				break
			}
			k := key{m.channel, h.RequestID}
			request, ok := outstanding[k]
			if !ok {
				return nil, fmt.Errorf("message %d, %x, answers no request", i, m.msg)
			}
			delete(outstanding, k)
			s.answers = request.m
			s.kind, s.m, err = decodeReply(request.kind, m.msg)
		}
		if err != nil {
			return nil, fmt.Errorf("message %d, %s %x: %w", i, m.name, m.msg, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func decodeInfo(m taped) (kind string, msg message, err error) {
	id, err := wire.DecodeInfoHeader(m.msg, m.from)
	if err != nil {
		return "", nil, err
	}
	switch id {
	case wire.IRPDR_ID_VERSION:
		kind = map[wire.Direction]string{wire.ServerToClient: "ServerVersion", wire.ClientToServer: "ClientVersion"}[m.from]
		msg, err = wire.DecodeVersion(m.msg)
	case wire.IRPDR_ID_SERVER_LOGON:
		kind = "AuthenticatedClient"
		msg, err = wire.DecodeAuthenticatedClient(m.msg)
	case wire.IRPDR_ID_REDIRECT_DEVICES:
		kind = "DeviceAddition"
		msg, err = wire.DecodeDeviceAddition(m.msg)
	default:
		kind = "DeviceRemoval"
		msg, err = wire.DecodeDeviceRemoval(m.msg)
	}
	return kind, msg, err
}

func decodeReply(request string, msg []byte) (kind string, m message, err error) {
	switch request {
	case "CapabilitiesRequest":
		m, err = wire.DecodeCapabilitiesReply(msg)
	case "CreateFileRequest":
		m, err = wire.DecodeCreateFileReply(msg)
	case "ReadRequest":
		m, err = wire.DecodeReadReply(msg)
	case "WriteRequest":
		m, err = wire.DecodeWriteReply(msg)
	default:
		m, err = wire.DecodeIOControlReply(msg)
	}
	return request[:len(request)-len("Request")] + "Reply", m, err
}

func kindName(m message) string {
	switch m.(type) {
	case wire.CapabilitiesRequest:
		return "CapabilitiesRequest"
	case wire.CreateFileRequest:
		return "CreateFileRequest"
	case wire.ReadRequest:
		return "ReadRequest"
	case wire.WriteRequest:
		return "WriteRequest"
	case wire.IOControlRequest:
		return "IOControlRequest"
	case wire.IoCancelRequest:
		return "SpecificIoCancelRequest"
	}
	return fmt.Sprintf("%T", m)
}
