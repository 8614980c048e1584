// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

func TestOpenRefusedByTheClient(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	f.Client.Accepting = func(context.Context, string) error { return channels.ErrRefused }
	_, err := d.Open(bg, server.OpenOptions{})
	wantError(t, err, channels.ErrRefused)
}

func TestOpenOptions(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	for _, test := range []struct {
		opt  server.OpenOptions
		want [4]uint32
	}{
		{server.OpenOptions{}, [4]uint32{0xC0000000, 3, 3, 0x40000080}},
		{server.OpenOptions{Version: 4, DataOut: true}, [4]uint32{0xC0000000, 3, 3, 0x40000080}},
		{server.OpenOptions{Access: pnp.GENERIC_READ}, [4]uint32{0x80000000, 3, 3, 0x40000080}},
		{server.OpenOptions{Disposition: pnp.OPEN_ALWAYS}, [4]uint32{0xC0000000, 3, 4, 0x40000080}},
		{server.OpenOptions{Share: pnp.FILE_SHARE_READ, Flags: 0x20}, [4]uint32{0xC0000000, 1, 3, 0x20}},
	} {
		o := f.BeginOpen(bg, d, test.opt)
		o.ReplyCapabilities(t, 6)
		m := o.ReplyCreateFile(t, pnp.S_OK)
		servertest.Wait(t, "Open", o.Result)
		if got := [4]uint32{m.DwDesiredAccess, m.DwShareMode, m.DwCreationDisposition, m.DwFlagsAndAttributes}; got != test.want {
			t.Errorf("%+v: %x", test.opt, got)
		}
	}
}

// TestEventHandles: an event is expected on handles that are open and have events,
// and on no others.
func TestEventHandles(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	first, _ := f.Open(d, 6, server.OpenOptions{})
	_, second := f.Open(d, 6, server.OpenOptions{})
	f.Open(d, 4, server.OpenOptions{})
	f.Open(d, 6, server.OpenOptions{Version: 4})
	failed := f.BeginOpen(bg, d, server.OpenOptions{})
	failed.ReplyCapabilities(t, 6)
	failed.ReplyCreateFile(t, pnp.ERROR_BUSY)
	servertest.Wait(t, "Open", failed.Result)
	if n := d.EventHandles(); n != 2 {
		t.Errorf("%d handles", n)
	}
	first.Close()
	second.End()
	if n := d.EventHandles(); n != 0 {
		t.Errorf("%d handles, though both have ended", n)
	}
}

func TestDataOutIsSentOnRequest(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	h, ch := f.Open(f.AddDevice(4), 6, server.OpenOptions{DataOut: true})
	r := servertest.Go(func() (int, error) { return h.IOControl(bg, 7, []byte("in"), []byte("out")) })
	if m := servertest.NextAs[wire.IOControlRequest](ch); string(m.DataIn) != "in" || string(m.DataOut) != "out" || m.CbOut != 3 {
		t.Errorf("%q and %q for %v", m.DataIn, m.DataOut, m)
	}
	h.Close()
	servertest.Wait(t, "IOControl", r)
}

func TestRequestLimit(t *testing.T) {
	f := servertest.Started(t, server.Config{Limits: server.Limits{Requests: 2}})
	h, ch := f.Open(f.AddDevice(4), 6, server.OpenOptions{})
	var results []<-chan servertest.Result
	for range 2 {
		results = append(results, servertest.Go(func() (int, error) { return h.ReadAt(bg, make([]byte, 1), 0) }))
	}
	first := ch.NextMessage()
	ch.Next()
	_, err := h.WriteAt(bg, []byte("x"), 0)
	wantError(t, err, pnp.ERROR_NO_SYSTEM_RESOURCES)
	inject(t, ch, wire.DataReply{RequestID: first.RequestID}.Append(nil))
	results = append(results, servertest.Go(func() (int, error) { return h.ReadAt(bg, make([]byte, 1), 0) }))
	ch.Next()
	h.Close()
	for _, r := range results {
		servertest.Wait(t, "Read", r)
	}
}

var errSend = errors.New("no room in the outbox")

// If the transport does not take a message, its request fails and no other.
func TestSendFailure(t *testing.T) {
	_, h, ch := servertest.OpenedHandle(t, server.Config{})
	ch.Fail = func(msg []byte) error {
		if m, _ := wire.Decode(msg, wire.IOToClient); m.Kind == wire.KindWriteRequest || m.Kind == wire.KindIoCancelRequest {
			return errSend
		}
		return nil
	}
	n, err := h.WriteAt(bg, []byte("x"), 0)
	if n != 0 {
		t.Error(n)
	}
	wantError(t, err, errSend)

	// If IoCancel is not taken, the request goes on.
	ctx, cancel := context.WithCancel(bg)
	r := servertest.Go(func() (int, error) { return h.ReadAt(ctx, make([]byte, 4), 0) })
	m := ch.NextMessage()
	cancel()
	inject(t, ch, wire.DataReply{RequestID: m.RequestID, Data: []byte("data")}.Append(nil))
	if got := servertest.Wait(t, "Read", r); got.N != 4 || got.Err != nil {
		t.Error(got)
	}
	if h.Err() != nil {
		t.Error(h.Err())
	}
}

func TestSendFailureWhileOpening(t *testing.T) {
	f := servertest.Started(t, server.Config{})
	d := f.AddDevice(4)
	for _, refused := range []wire.Kind{wire.KindCapabilitiesRequest, wire.KindCreateFileRequest} {
		f.Client.Attached = func(ch *servertest.Channel) {
			ch.Fail = func(msg []byte) error {
				if m, _ := wire.Decode(msg, wire.IOToClient); m.Kind == refused {
					return errSend
				}
				return nil
			}
		}
		o := f.BeginOpen(bg, d, server.OpenOptions{})
		if refused == wire.KindCreateFileRequest {
			o.ReplyCapabilities(t, 6)
		}
		wantError(t, servertest.Wait(t, "Open", o.Result).Err, errSend)
		o.Channel.WaitEnd()
	}
}

func TestOversizedTransfer(t *testing.T) {
	_, h, ch := servertest.OpenedHandle(t, server.Config{})
	huge := make([]byte, 1<<30+1) // never touched
	for name, op := range map[string]func() (int, error){
		"read":    func() (int, error) { return h.ReadAt(bg, huge, 0) },
		"write":   func() (int, error) { return h.WriteAt(bg, huge, 0) },
		"control": func() (int, error) { return h.IOControl(bg, 1, nil, huge) },
		"input":   func() (int, error) { return h.IOControl(bg, 1, huge, nil) },
	} {
		if _, err := op(); !errors.Is(err, pnp.ERROR_INVALID_PARAMETER) {
			t.Error(name, err)
		}
	}
	if len(ch.Unread()) > 0 {
		t.Error("something was sent")
	}
}

func TestMalformedRepliesTerminate(t *testing.T) {
	for name, msg := range map[string][]byte{
		"no header":    {0, 0, 0},
		"packet type":  {0, 0, 0, 2},
		"short event":  {0, 0, 0, 1},
		"event length": event("x")[:25],
	} {
		t.Run(name, func(t *testing.T) {
			_, h, ch := servertest.OpenedHandle(t, server.Config{})
			if ch.Inject(msg) == nil {
				t.Fatal("accepted")
			}
			ch.WaitEnd()
			servertest.Wait(t, "the handle", h.Done())
			wantError(t, h.Err(), channels.ErrClosed)
			var malformed *wire.Error
			if !errors.As(h.Err(), &malformed) {
				t.Error("Err does not say why:", h.Err())
			}
		})
	}
	t.Run("reply to opening", func(t *testing.T) {
		f := servertest.Started(t, server.Config{})
		d := f.AddDevice(4)
		for _, replies := range []int{0, 1} {
			o := f.BeginOpen(bg, d, server.OpenOptions{})
			if replies == 1 {
				o.ReplyCapabilities(t, 6)
			}
			m := o.Channel.NextMessage()
			if o.Channel.Inject(wire.DataReply{RequestID: m.RequestID}.Append(nil)) == nil {
				t.Error("accepted")
			}
			wantError(t, servertest.Wait(t, "Open", o.Result).Err, channels.ErrClosed)
		}
	})
}

// What the transport delivers after the handle was closed is ignored.
func TestReceiveAfterClose(t *testing.T) {
	f, h, ch := servertest.OpenedHandle(t, server.Config{})
	app, _ := f.RegisterEvent(eventGUID)
	r := servertest.Go(func() (int, error) { return h.ReadAt(bg, make([]byte, 1), 0) })
	m := ch.NextMessage()
	ch.HoldClosed(func() {
		h.Close()
		wantError(t, servertest.Wait(t, "Read", r).Err, channels.ErrClosed)
		// Sending is still possible.
		r = servertest.Go(func() (int, error) { return h.ReadAt(bg, make([]byte, 1), 0) })
		wantError(t, servertest.Wait(t, "Read", r).Err, channels.ErrClosed)
		if len(ch.Unread()) > 0 {
			t.Error("something was sent after Close")
		}
		for _, msg := range [][]byte{wire.DataReply{RequestID: m.RequestID}.Append(nil), event("x"), {0}} {
			if err := ch.Late(msg); err != nil {
				t.Error(err)
			}
		}
	})
	if len(app) > 0 {
		t.Error("an event of a closed handle")
	}
}

// fill is the data that a read of n bytes at off returns in the stress test.
func fill(p []byte, off uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], off*0x9E3779B97F4A7C15)
	for i := range p {
		p[i] = b[i%8]
	}
}

// client answers requests as a device would, out of order.
type client struct {
	ch *servertest.Channel

	mu        sync.Mutex
	pending   map[wire.RequestID]func(hr pnp.HRESULT) []byte
	cancelled map[wire.RequestID]int
}

func (c *client) take(m wire.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Kind == wire.KindIoCancelRequest {
		id := m.IoCancelRequest().IDToCancel
		c.cancelled[id]++
		if reply := c.pending[id]; reply != nil {
			delete(c.pending, id)
			go c.ch.Inject(reply(pnp.ERROR_OPERATION_ABORTED))
		}
		return
	}
	if c.pending[m.RequestID] != nil {
		panic(fmt.Sprintf("RequestId %#x is outstanding twice", m.RequestID))
	}
	c.pending[m.RequestID] = func(hr pnp.HRESULT) []byte {
		switch m.Kind {
		case wire.KindReadRequest:
			r := m.ReadRequest()
			reply := wire.DataReply{RequestID: r.RequestID, Result: hr}
			if !hr.Failed() {
				reply.Data = make([]byte, r.CbBytesToRead)
				fill(reply.Data, r.Offset)
			}
			return reply.Append(nil)
		case wire.KindWriteRequest:
			r := m.WriteRequest()
			return wire.WriteReply{RequestID: r.RequestID, Result: hr, CbBytesWritten: uint32(len(r.Data))}.Append(nil)
		default:
			r := m.IOControlRequest()
			reply := wire.DataReply{RequestID: r.RequestID, Result: hr}
			if !hr.Failed() {
				reply.Data = make([]byte, min(int(r.CbOut), len(r.DataIn)))
				copy(reply.Data, r.DataIn)
			}
			return reply.Append(nil)
		}
	}
}

// answer replies to any one request.
func (c *client) answer() {
	c.mu.Lock()
	var msg []byte
	for id, reply := range c.pending {
		msg = reply(pnp.S_OK)
		delete(c.pending, id)
		break
	}
	c.mu.Unlock()
	if msg != nil {
		c.ch.Inject(msg)
	}
}

func TestConcurrentCallers(t *testing.T) {
	const callers, rounds = 64, 100
	f, h, ch := servertest.OpenedHandle(t, server.Config{})
	c := &client{ch: ch, pending: make(map[wire.RequestID]func(pnp.HRESULT) []byte), cancelled: make(map[wire.RequestID]int)}
	stop := make(chan struct{})
	var answering, calling sync.WaitGroup
	answering.Add(2)
	go func() {
		defer answering.Done()
		for {
			select {
			case <-stop:
				return
			default:
				c.take(ch.NextMessage())
			}
		}
	}()
	go func() {
		defer answering.Done()
		for {
			select {
			case <-stop:
				return
			default:
				c.answer()
			}
		}
	}()

	var aborted, done atomic.Int64
	for i := range callers {
		calling.Add(1)
		go func() {
			defer calling.Done()
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range rounds {
				ctx, cancel := context.WithCancel(bg)
				if rnd.IntN(4) == 0 {
					go cancel()
				}
				n, off := rnd.IntN(300), rnd.Uint64()
				p, want := make([]byte, n), make([]byte, n)
				fill(want, off)
				var got int
				var err error
				switch rnd.IntN(3) {
				case 0:
					got, err = h.ReadAt(ctx, p, off)
				case 1:
					got, err = h.WriteAt(ctx, want, off)
					copy(p, want)
				case 2:
					got, err = h.IOControl(ctx, 1, want, p)
				}
				switch {
				case err == nil && (got != n || string(p) != string(want)):
					t.Errorf("%d bytes of %d, or the wrong ones", got, n)
				case err != nil && !errors.Is(err, context.Canceled):
					t.Error(err)
				case err != nil:
					aborted.Add(1)
				default:
					done.Add(1)
				}
				cancel()
			}
		}()
	}
	servertest.Within(t, "the callers", calling.Wait)
	close(stop)
	// This wakes Next.
	r := servertest.Go(func() (int, error) { return h.ReadAt(bg, nil, 0) })
	answering.Wait()
	for id, n := range c.cancelled {
		if n > 1 {
			t.Errorf("RequestId %#x was cancelled %d times", id, n)
		}
	}
	f.Close()
	servertest.Wait(t, "the last request", r)
	t.Logf("%d done, %d aborted", done.Load(), aborted.Load())
}

// answering makes ch answer each Read while it is being sent, without
// allocating.
func answering(ch *servertest.Channel, size int) {
	reply := make([]byte, wire.DataReplyHead+size+wire.DataReplyTail)
	ch.NoRecord = true
	ch.OnSend = func(msg []byte) {
		m, _ := wire.Decode(msg, wire.IOToClient)
		ch.Lend(wire.FinishDataReply(reply, m.RequestID, pnp.S_OK, size))
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes sync.Pool forget")
	}
	_, h, ch := servertest.OpenedHandle(t, server.Config{})
	p := make([]byte, 64)
	answering(ch, len(p))
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	if n := testing.AllocsPerRun(1000, func() {
		if n, err := h.ReadAt(ctx, p, 1); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations for a Read", n)
	}
}

func BenchmarkReadInline(b *testing.B) {
	_, h, ch := servertest.OpenedHandle(b, server.Config{})
	p := make([]byte, 64)
	answering(ch, len(p))
	b.ReportAllocs()
	for range b.N {
		if _, err := h.ReadAt(bg, p, 0); err != nil {
			b.Fatal(err)
		}
	}
}
