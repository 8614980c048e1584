// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/channels/memory"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/channels/xrdp/xrdptest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// pair is both roles joined, with a tap on the wire between them.
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
	opener, closeLink := newLink(t, p.tap)
	p.server = server.New(opener, server.Config{})
	t.Cleanup(func() {
		p.server.Close()
		closeLink()
		if err := p.client.Close(p.context()); err != nil {
			t.Error(err)
		}
		if n := p.client.Counts(); n != (client.Counts{}) {
			t.Errorf("the client session has ended and holds %+v", n)
		}
		if _, err := decodeTape(p.tap.messages()); err != nil {
			t.Error(err)
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

// newLink joins client to the server role, over the transport that the test is for.
func newLink(t *testing.T, client memory.Acceptor) (opener channels.Opener, closeLink func()) {
	t.Helper()
	if !overXrdp(t) {
		link := memory.NewLink(client)
		return link, link.Close
	}
	fake := xrdptest.New(t, client)
	// The one question at the start is enough: what is on the wire is counted.
	s, err := xrdp.Server{ProbeInterval: time.Hour}.Join(context.Background(), fake.Env, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, func() { s.Close(); fake.Close() }
}

// pairTests are the tests of a pair.
var pairTests []testing.InternalTest

// addPair is add for a test of a pair, which TestPairsOverXrdp runs, too.
func addPair(id, name string, f func(t *testing.T)) {
	add(id, name, f)
	pairTests = append(pairTests, testing.InternalTest{Name: id + "_" + name, F: f})
}

// TestPairsOverXrdp runs the tests of pairs over channels/xrdp and a fake of xrdp.
func TestPairsOverXrdp(t *testing.T) {
	for _, test := range pairTests {
		t.Run(test.Name, test.F)
	}
}

func overXrdp(t *testing.T) bool { return strings.HasPrefix(t.Name(), "TestPairsOverXrdp/") }

// context returns a context that ends with the watchdog.
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

// tap is a client that records what it receives and sends.
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

// messages returns what was recorded so far.
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
	e.tap.write(taped{e.channel, e.name, directionOf(e.name, false), msg})
	return e.Conn.Send(msg)
}

func (e tapEnd) Receive(msg []byte) error {
	e.tap.write(taped{e.channel, e.name, directionOf(e.name, true), msg})
	return e.Receiver.Receive(msg)
}

// sent is a message from the tape, decoded.
type sent struct {
	taped
	kind wire.Kind
	m    wire.Body
	// answers is the request of a reply.
	answers wire.Body
}

// decodeTape decodes every message, and replies according to their request.
func decodeTape(tape []taped) ([]sent, error) {
	type key struct {
		channel int
		id      wire.RequestID
	}
	outstanding := make(map[key]sent)
	var list []sent
	for i, m := range tape {
		s := sent{taped: m}
		decoded, err := wire.Decode(m.msg, m.from)
		k := key{m.channel, decoded.RequestID}
		if decoded.Kind == wire.KindReply {
			request, ok := outstanding[k]
			if !ok {
				return nil, fmt.Errorf("message %d, %v, answers no request", i, decoded)
			}
			delete(outstanding, k)
			s.answers = request.m
			decoded, err = decoded.ReplyTo(request.kind)
		}
		if err != nil {
			return nil, fmt.Errorf("message %d, %s %x: %w", i, m.name, m.msg, err)
		}
		s.kind, s.m = decoded.Kind, decoded.Body()
		if m.from == wire.IOToClient && s.kind != wire.KindIoCancelRequest {
			if _, twice := outstanding[k]; twice {
				return nil, fmt.Errorf("message %d, %v: its id is outstanding", i, decoded)
			}
			outstanding[k] = s
		}
		list = append(list, s)
	}
	return list, nil
}
