// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/wire"
)

// The steps of a fuzzed session. Each has an argument, which picks its object,
// and a message. Encoding: kind, argument, length of the message, message.
const (
	stepInfo    = iota // the message comes on PNPDR
	stepSized          // the same with the right Size in front
	stepIO             // the message comes on a FileRedirectorChannel
	stepReply          // the same after a header with the id of a request
	stepReplyOK        // a request is answered correctly, with the message as data
	stepOpen           // the application opens a device,
	stepRead           // reads as many bytes as the message has,
	stepWrite          // writes it,
	stepControl        // controls,
	stepCancel         // ends the context of something,
	stepClose          // closes a handle
	stepEnd            // the client ends a FileRedirectorChannel
	stepLogon          // the user logs on once more
	steps
)

func step(kind, arg byte, msg []byte) []byte {
	return append([]byte{kind, arg, byte(len(msg))}, msg...)
}

// fuzzSession plays one input. It starts with two open handles of device 4.
type fuzzSession struct {
	*servertest.Fixture
	t       testing.TB
	handles []*server.Handle
	results []<-chan servertest.Result
	cancels []context.CancelFunc
	sent    chan struct{}

	mu       sync.Mutex
	files    []*servertest.Channel
	requests []fuzzRequest
}

type fuzzRequest struct {
	ch  *servertest.Channel
	msg []byte
}

func newFuzzSession(t testing.TB) *fuzzSession {
	s := &fuzzSession{t: t, sent: make(chan struct{}, 1<<12)}
	s.Fixture = servertest.Started(t, server.Config{
		Limits:   server.Limits{Devices: 5, Events: 2},
		OnDevice: func(server.DeviceEvent) {},
	})
	d := s.AddDevice(4)
	for range 2 {
		h, ch := s.Open(d, wire.VersionWithCustomEvents, server.OpenOptions{})
		s.handles = append(s.handles, h)
		s.watch(ch)
	}
	s.Client.Attached = s.watch
	return s
}

// watch checks and remembers what the server sends on ch.
func (s *fuzzSession) watch(ch *servertest.Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, ch)
	ch.OnSend = func(msg []byte) {
		m, err := wire.Decode(msg, wire.IOToClient)
		if err != nil || (m.RequestID == wire.CancelID) != (m.Kind == wire.KindIoCancelRequest) {
			s.t.Errorf("the server sent %x: %v", msg, err)
		}
		s.mu.Lock()
		s.requests = append(s.requests, fuzzRequest{ch, append([]byte(nil), msg...)})
		s.mu.Unlock()
		s.sent <- struct{}{}
	}
}

// run starts an operation of the application's. It waits until that has ended
// or something was sent.
func (s *fuzzSession) run(f func(context.Context) (int, error)) {
	ctx, cancel := context.WithCancel(bg)
	s.cancels = append(s.cancels, cancel)
	over := make(chan struct{})
	s.results = append(s.results, servertest.Go(func() (int, error) {
		defer close(over)
		return f(ctx)
	}))
	select {
	case <-over:
	case <-s.sent:
	}
}

func pick[T any](list []T, arg byte) (v T, ok bool) {
	if len(list) == 0 {
		return v, false
	}
	return list[int(arg)%len(list)], true
}

func (s *fuzzSession) play(kind, arg byte, msg []byte) {
	s.mu.Lock()
	ch, _ := pick(s.files, arg)
	request, asked := pick(s.requests, arg)
	s.mu.Unlock()
	h, _ := pick(s.handles, arg)

	switch kind % steps {
	case stepInfo:
		s.Info.Inject(msg)
	case stepSized:
		s.Info.Inject(append(binary.LittleEndian.AppendUint32(nil, uint32(len(msg)+4)), msg...))
	case stepIO:
		ch.Inject(msg)
	case stepReply:
		if asked {
			request.ch.Inject(append([]byte{request.msg[0], request.msg[1], request.msg[2], 0}, msg...))
		}
	case stepReplyOK:
		if asked {
			request.ch.Inject(wellFormed(request.msg, msg))
		}
	case stepOpen:
		if d, ok := pick(s.Devices(), arg); ok {
			s.run(func(ctx context.Context) (int, error) {
				_, err := d.Open(ctx, server.OpenOptions{})
				return 0, err
			})
		}
	case stepRead:
		s.run(func(ctx context.Context) (int, error) { return h.ReadAt(ctx, make([]byte, len(msg)), uint64(arg)) })
	case stepWrite:
		s.run(func(ctx context.Context) (int, error) { return h.WriteAt(ctx, msg, uint64(arg)) })
	case stepControl:
		s.run(func(ctx context.Context) (int, error) {
			return h.IOControl(ctx, uint32(arg), msg, make([]byte, arg))
		})
	case stepCancel:
		if cancel, ok := pick(s.cancels, arg); ok {
			cancel()
		}
	case stepClose:
		h.Close()
	case stepEnd:
		ch.End()
	case stepLogon:
		s.LoggedOn()
	}
}

// wellFormed answers a request with a reply of the right shape.
func wellFormed(request, data []byte) []byte {
	m, _ := wire.Decode(request, wire.IOToClient)
	switch m.Kind {
	case wire.KindCapabilitiesRequest:
		return wire.CapabilitiesReply{RequestID: m.RequestID, Version: uint16(len(data))}.Append(nil)
	case wire.KindCreateFileRequest:
		return wire.CreateFileReply{RequestID: m.RequestID}.Append(nil)
	case wire.KindWriteRequest:
		return wire.WriteReply{RequestID: m.RequestID, CbBytesWritten: uint32(len(data))}.Append(nil)
	}
	return wire.DataReply{RequestID: m.RequestID, Data: data}.Append(nil)
}

// finish closes the session: everything ends, and every failure has a
// legitimate reason.
func (s *fuzzSession) finish() {
	servertest.Within(s.t, "Close", s.Close)
	for _, r := range s.results {
		err := servertest.Wait(s.t, "an operation", r).Err
		var hr pnp.HRESULT
		if err != nil && !errors.Is(err, channels.ErrClosed) && !errors.Is(err, context.Canceled) && !errors.As(err, &hr) {
			s.t.Error(err)
		}
	}
	for _, cancel := range s.cancels {
		cancel()
	}
	for _, h := range s.handles {
		servertest.Wait(s.t, "a handle", h.Done())
	}
}

func FuzzServerSession(f *testing.F) {
	ioOps := append(step(stepRead, 0, make([]byte, 8)), step(stepWrite, 0, []byte("12345678"))...)
	ioOps = append(ioOps, step(stepControl, 16, make([]byte, 16))...)
	for _, example := range examples(f) {
		f.Add(append(step(stepInfo, 0, example), step(stepOpen, 1, nil)...))
		f.Add(append(append([]byte(nil), ioOps...), step(stepIO, 0, example)...))
		for id := range byte(3) {
			f.Add(append(append([]byte(nil), ioOps...), step(stepReply, id, example[4:])...))
		}
	}
	var all []byte
	for kind := range byte(steps) {
		all = append(all, step(kind, 0, []byte("12345678"))...)
		all = append(all, step(stepReplyOK, kind, []byte("123456"))...)
	}
	f.Add(all)
	f.Add(append(append(ioOps, step(stepCancel, 0, nil)...), step(stepReplyOK, 0, []byte("x"))...))
	f.Add(append(step(stepOpen, 0, nil), append(step(stepReplyOK, 0, make([]byte, 6)), step(stepCancel, 0, nil)...)...))
	f.Add(append(step(stepIO, 1, event("x")), step(stepIO, 1, event("y"))...))

	f.Fuzz(func(t *testing.T, input []byte) {
		before := goleak.IgnoreCurrent()
		s := newFuzzSession(t)
		for n := 0; len(input) >= 3 && n < 100; n++ {
			size := min(int(input[2]), len(input)-3)
			s.play(input[0], input[1], input[3:3+size])
			input = input[3+size:]
		}
		s.finish()
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
}

// examples returns the messages of section 4 that a client sends.
func examples(f *testing.F) (messages [][]byte) {
	file, err := os.Open("../spectest/testdata/examples.csv")
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		f.Fatal(err)
	}
	for _, row := range rows[1:] {
		if row[3] != "c2s" {
			continue
		}
		msg, err := hex.DecodeString(row[5])
		if err != nil {
			f.Fatal(err)
		}
		messages = append(messages, msg)
	}
	return messages
}
