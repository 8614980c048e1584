// SPDX-License-Identifier: Apache-2.0

package spectest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// watchdog bounds every wait, so that a missing reply fails its test and not
// the whole run. No test passes because of it.
const watchdog = time.Minute

// clientSide is a client session under test. The test plays the server, byte by
// byte.
type clientSide struct {
	t *testing.T
	s *client.Session

	all []*clientChannel
}

// newClientSide makes a session that ends with the test and must not hold
// anything by then.
func newClientSide(t *testing.T, limits ...pnp.SessionLimits) *clientSide {
	cfg := client.Config{Log: slog.New(noErrors{t})}
	for _, l := range limits {
		cfg.Limits = l
	}
	c := &clientSide{t: t, s: client.NewSession(cfg)}
	t.Cleanup(func() {
		for _, ch := range c.all {
			ch.close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), watchdog)
		defer cancel()
		if err := c.s.Close(ctx); err != nil {
			t.Errorf("the session does not end: %v", err)
		}
		if n := c.s.Counts(); n != (client.Counts{}) {
			t.Errorf("the session has ended and holds %+v", n)
		}
	})
	return c
}

// noErrors is a log that accepts no errors: a session reports its own panics
// and those of devices there.
type noErrors struct{ t *testing.T }

// Enabled implements slog.Handler.
func (noErrors) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle implements slog.Handler.
func (h noErrors) Handle(_ context.Context, r slog.Record) error {
	h.t.Errorf("the session logs: %s", r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (h noErrors) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h noErrors) WithGroup(string) slog.Handler { return h }

// add adds a device to the session.
func (c *clientSide) add(d pnp.Device) uint32 {
	c.t.Helper()
	id, err := c.s.Add(d)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// accept opens a channel to the client.
func (c *clientSide) accept(name string) *clientChannel {
	c.t.Helper()
	ch := &clientChannel{t: c.t, name: name, conn: newRecordingConn(c.t, name)}
	r, err := c.s.Accept(name, ch.conn)
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	ch.r = r
	c.all = append(c.all, ch)
	return ch
}

// pnpdr opens PNPDR and sends nothing.
func (c *clientSide) pnpdr() *clientChannel { return c.accept(channels.PNPDR) }

// logon opens PNPDR and goes through the initialization. It does not read what
// the client announces.
func (c *clientSide) logon() *clientChannel {
	c.t.Helper()
	ch := c.pnpdr()
	ch.receive(wire.OurVersion)
	ch.expect(wire.OurVersion)
	ch.receive(wire.AuthenticatedClient{})
	return ch
}

// announced opens PNPDR and reads all announcements.
func (c *clientSide) announced() *clientChannel {
	c.t.Helper()
	ch := c.logon()
	ch.sync()
	return ch
}

// file opens a FileRedirectorChannel and sends nothing.
func (c *clientSide) file() *clientChannel { return c.accept(channels.FileRedirectorChannel) }

// greeted opens a FileRedirectorChannel and exchanges versions. The version of
// the server is 6 unless given.
func (c *clientSide) greeted(version ...uint16) *clientChannel {
	c.t.Helper()
	v := uint16(6)
	for _, v = range version {
	}
	ch := c.file()
	ch.receive(wire.CapabilitiesRequest{RequestID: 1, Version: v})
	ch.expect(wire.CapabilitiesReply{RequestID: 1, Version: 6})
	return ch
}

// open opens a FileRedirectorChannel with a handle of a device, which must have
// been announced.
func (c *clientSide) open(id uint32, version ...uint16) *clientChannel {
	c.t.Helper()
	ch := c.greeted(version...)
	ch.receive(createFile(2, id))
	ch.expect(wire.CreateFileReply{RequestID: 2, Result: pnp.S_OK})
	return ch
}

// serve is all that most tests need: a session that has announced d, and an
// open handle of it.
func serve(t *testing.T, d *scriptedDevice, limits ...pnp.SessionLimits) (*clientChannel, *scriptedHandle) {
	t.Helper()
	c := newClientSide(t, limits...)
	id := c.add(d)
	c.announced()
	ch := c.open(id)
	return ch, d.handle(t)
}

// createFile is a CreateFile Request as Windows sends it.
func createFile(request wire.RequestID, device uint32) wire.CreateFileRequest {
	return wire.CreateFileRequest{
		RequestID:             request,
		DeviceID:              device,
		DwDesiredAccess:       pnp.GENERIC_READ | pnp.GENERIC_WRITE,
		DwShareMode:           pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE,
		DwCreationDisposition: pnp.OPEN_EXISTING,
		DwFlagsAndAttributes:  0x40000080,
	}
}

// raw is a message as it is on the wire.
type raw []byte

func (r raw) Append(b []byte) []byte { return append(b, r...) }

// clientChannel is the server's end of a channel to the client. It behaves like
// a transport: an error of Receive ends the channel.
type clientChannel struct {
	t     *testing.T
	name  string
	conn  *recordingConn
	r     channels.Receiver
	ended bool
}

// deliver gives a message to the client and returns the error of Receive, which
// ends the channel. The memory of the message is overwritten afterwards, since
// it was only lent.
func (ch *clientChannel) deliver(m message) error {
	ch.t.Helper()
	if ch.ended {
		ch.t.Fatal("the channel has ended")
	}
	msg := m.Append(nil)
	ch.conn.asks(msg)
	err := ch.r.Receive(msg)
	for i := range msg {
		msg[i] = 0xee
	}
	if err != nil {
		ch.close()
	}
	return err
}

// receive delivers a message that the client must accept.
func (ch *clientChannel) receive(m message) {
	ch.t.Helper()
	if err := ch.deliver(m); err != nil {
		ch.t.Fatalf("%v: %v", m, err)
	}
}

// terminates delivers a message that must end the channel without an answer.
func (ch *clientChannel) terminates(m message) {
	ch.t.Helper()
	before := ch.conn.count()
	if err := ch.deliver(m); err == nil {
		ch.t.Errorf("%x does not terminate the channel", m.Append(nil))
	}
	if n := ch.conn.count() - before; n != 0 {
		ch.t.Errorf("%x terminates the channel, but is answered by %d messages", m.Append(nil), n)
	}
}

// close ends the channel.
func (ch *clientChannel) close() {
	if !ch.ended {
		ch.ended = true
		ch.conn.close()
		ch.r.Closed()
	}
}

// next returns the next message from the client, and waits for it.
func (ch *clientChannel) next() []byte {
	ch.t.Helper()
	msg, err := ch.conn.next()
	if err != nil {
		ch.t.Fatal(err)
	}
	return msg
}

// expect checks the next message from the client, and waits for it.
func (ch *clientChannel) expect(want message) {
	ch.t.Helper()
	if got := ch.next(); !bytes.Equal(got, want.Append(nil)) {
		ch.t.Fatalf("the client sent %x\nnot             %x %v", got, want.Append(nil), want)
	}
}

// sync waits until the client has processed everything that it got before, as
// far as it works in order, and returns the messages that it sent in the
// meantime. It sends a message that is always answered; each sub-protocol has
// one.
func (ch *clientChannel) sync() [][]byte {
	ch.t.Helper()
	const id = 0x5c5c5c
	question, answer := message(wire.CapabilitiesRequest{RequestID: id, Version: 6}), message(wire.CapabilitiesReply{RequestID: id, Version: 6})
	if ch.name == channels.PNPDR {
		question, answer = wire.OurVersion, wire.OurVersion
	}
	ch.receive(question)
	var list [][]byte
	for {
		msg := ch.next()
		if bytes.Equal(msg, answer.Append(nil)) {
			return list
		}
		list = append(list, msg)
	}
}

// silent checks that the client sends nothing.
func (ch *clientChannel) silent() {
	ch.t.Helper()
	for _, msg := range ch.sync() {
		ch.t.Errorf("the client sent %x", msg)
	}
}

// recordingConn is a Conn that records what is sent. Each message must be well
// formed, and each reply must answer a request.
type recordingConn struct {
	t    *testing.T
	name string

	mu     sync.Mutex
	asked  map[wire.RequestID][]wire.Kind // requests without a reply
	queue  [][]byte
	n      int
	late   int // messages that were to be sent after the end
	wire   uint64
	closed bool
	more   chan struct{} // has a token while queue may be non-empty
}

func newRecordingConn(t *testing.T, name string) *recordingConn {
	return &recordingConn{t: t, name: name, asked: make(map[wire.RequestID][]wire.Kind), more: make(chan struct{}, 1)}
}

// asks records a message that the client is about to receive.
func (c *recordingConn) asks(msg []byte) {
	if c.name == channels.PNPDR {
		return
	}
	m, err := wire.Decode(msg, wire.IOToClient)
	if err != nil || m.Kind == wire.KindIoCancelRequest {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[m.RequestID] = append(c.asked[m.RequestID], m.Kind)
}

// check checks a message from the client. c.mu is held.
func (c *recordingConn) check(msg []byte) error {
	m, err := wire.Decode(msg, directionOf(c.name, false))
	if err != nil || m.Kind != wire.KindReply {
		return err
	}
	requests := c.asked[m.RequestID]
	if len(requests) == 0 {
		return errors.New("it does not answer any request")
	}
	c.asked[m.RequestID] = requests[1:]
	_, err = m.ReplyTo(requests[0])
	return err
}

// Send implements channels.Conn.
func (c *recordingConn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.late++
		return channels.ErrClosed
	}
	if err := c.check(msg); err != nil {
		c.t.Errorf("the client sent %x on %s: %v", msg, c.name, err)
	}
	c.n++
	c.wire += 2*uint64(len(msg)) + 100
	c.queue = append(c.queue, bytes.Clone(msg))
	select {
	case c.more <- struct{}{}:
	default:
	}
	return nil
}

// Sent implements channels.Conn: every byte leaves at once.
func (c *recordingConn) Sent() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, channels.ErrClosed
	}
	return c.wire, nil
}

func (c *recordingConn) next() ([]byte, error) {
	timeout := time.After(watchdog)
	for {
		c.mu.Lock()
		if len(c.queue) > 0 {
			msg := c.queue[0]
			c.queue = c.queue[1:]
			c.mu.Unlock()
			return msg, nil
		}
		c.mu.Unlock()
		select {
		case <-c.more:
		case <-timeout:
			return nil, errors.New("the client sends nothing")
		}
	}
}

// count returns how many messages were sent in all.
func (c *recordingConn) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// tooLate returns how many messages were to be sent after the end.
func (c *recordingConn) tooLate() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late
}

func (c *recordingConn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}
