// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present/internal/port/porttest"
	"freerdp-pnpdr/pnp/present/presenttest"
	"freerdp-pnpdr/pnp/wire"
)

// TestTooMuch: a client that returns more than was asked for loses the handle, and the
// program gets an error.
func TestTooMuch(t *testing.T) {
	s := newScripted(t, streamKind)
	cat := start(t, "cat", s.data)
	ch := s.opens()
	r := servertest.NextAs[wire.ReadRequest](ch)
	assert.Error(t, ch.Inject(wire.DataReply{RequestID: r.RequestID, Data: make([]byte, r.CbBytesToRead+1)}.Append(nil)))
	assert.Contains(t, cat.wait(), "No such device")

	sh := start(t, "sh", "-c", "printf abc > "+s.data)
	ch = s.opens()
	w := servertest.NextAs[wire.WriteRequest](ch)
	assert.Error(t, ch.Inject(wire.WriteReply{RequestID: w.RequestID, CbBytesWritten: math.MaxUint32}.Append(nil)))
	sh.wait()
	assert.False(t, sh.cmd.ProcessState.Success())

	// The device itself can be used all the same.
	cat = start(t, "cat", s.data)
	ch = s.opens()
	r = servertest.NextAs[wire.ReadRequest](ch)
	s.inject(ch, wire.DataReply{RequestID: r.RequestID, Data: []byte("fine")})
	r = servertest.NextAs[wire.ReadRequest](ch)
	s.inject(ch, wire.DataReply{RequestID: r.RequestID, Result: pnp.ERROR_HANDLE_EOF})
	assert.Equal(t, "fine", cat.wait())
}

// TestClientEndsChannel: the handles of a file end, and the next program gets a new one.
func TestClientEndsChannel(t *testing.T) {
	s := newScripted(t, randomKind)
	for range 2 {
		cat := start(t, "cat", s.data)
		ch := s.opens()
		r := servertest.NextAs[wire.IOControlRequest](ch)
		s.inject(ch, wire.DataReply{RequestID: r.RequestID, Data: []byte{100, 0, 0, 0, 0, 0, 0, 0}})
		servertest.NextAs[wire.ReadRequest](ch)
		ch.End()
		assert.Contains(t, cat.wait(), "No such device")
	}
}

// TestEmptyReads: a port that returns nothing from each read, at once, does not keep the
// agent busy.
func TestEmptyReads(t *testing.T) {
	d := porttest.NewForged("port", func(r *pnp.Request) {
		n := len(r.Buffer())
		if r.Op == pnp.OpRead {
			n = 0
		}
		r.Complete(pnp.S_OK, n)
	})
	d.Desc.Interfaces = []pnp.GUID{pnp.GUID_DEVINTERFACE_COMPORT}
	p := presenttest.NewPair(t, server.Config{}, d)
	cat := start(t, "cat", add(t, mountFS(t), p, "port", streamKind))
	require.Eventually(t, func() bool { return d.Count(pnp.OpRead) > 0 }, presenttest.Patience, time.Millisecond)
	time.Sleep(200 * time.Millisecond)
	assert.Less(t, d.Count(pnp.OpRead), 50)
	cat.signal(unix.SIGTERM)
	cat.wait()
}

// TestLostWrite: what a client does not write is an error of the next write or of close for
// the program that wrote, and of fsync for each that had the file open.
func TestLostWrite(t *testing.T) {
	size := []byte{0, 0, 1, 0, 0, 0, 0, 0}
	fails := map[string]pnp.HRESULT{"x": pnp.ERROR_DISK_FULL, "y": pnp.ERROR_IO_DEVICE}
	s := newServed(t, randomKind, func(m wire.Message) any {
		switch r := m.Body().(type) {
		case wire.IOControlRequest:
			if r.IoCode == pnp.IOCTL_DISK_GET_LENGTH_INFO {
				return wire.DataReply{RequestID: r.RequestID, Data: size}
			}
			return wire.DataReply{RequestID: r.RequestID, Result: pnp.ERROR_INVALID_FUNCTION}
		case wire.ReadRequest:
			return wire.DataReply{RequestID: r.RequestID, Data: make([]byte, r.CbBytesToRead)}
		case wire.WriteRequest:
			if len(r.Data) == 0 {
				return wire.WriteReply{RequestID: r.RequestID}
			}
			return wire.WriteReply{RequestID: r.RequestID, Result: fails[string(r.Data[:1])]}
		}
		return nil
	})
	python := start(t, "python3", "-c", `
import os, sys
def tell(f, *args):
    try: print(f(*args))
    except OSError as e: print(e.strerror)
fd = os.open(sys.argv[1], os.O_RDWR)
other = os.open(sys.argv[1], os.O_RDWR)
third = os.open(sys.argv[1], os.O_RDONLY)
print(os.write(fd, b"x" * 100))
tell(os.fsync, fd)
tell(os.fsync, fd)
print(os.write(fd, b"y" * 100))
tell(os.close, fd)
tell(os.close, other)
tell(os.fsync, third)
late = os.open(sys.argv[1], os.O_RDWR)
tell(os.close, late)`, s.data)
	assert.Equal(t, "100\nNo space left on device\nNone\n100\nInput/output error\nNone\nInput/output error\nNone\n", python.wait())
}

// serve lets the device be opened, and answers what is sent on its channels.
func (s *scripted) serve(answer func(wire.Message) any) {
	s.Client.Attached = func(ch *servertest.Channel) {
		ch.OnSend = func(msg []byte) {
			m, err := wire.Decode(msg, wire.IOToClient)
			if err != nil {
				s.t.Error(err)
				return
			}
			var a any
			switch r := m.Body().(type) {
			case wire.CapabilitiesRequest:
				a = wire.CapabilitiesReply{RequestID: r.RequestID, Version: wire.VersionWithCustomEvents}
			case wire.CreateFileRequest:
				a = wire.CreateFileReply{RequestID: r.RequestID}
			default:
				a = answer(m)
			}
			if a, ok := a.(interface{ Append([]byte) []byte }); ok {
				if err := ch.Inject(a.Append(nil)); err != nil && !errors.Is(err, channels.ErrClosed) {
					s.t.Error(err)
				}
			}
		}
	}
}

// TestChannelEndsUnused: a handle that ends while nobody uses it is replaced.
func TestChannelEndsUnused(t *testing.T) {
	s := newScripted(t, randomKind)
	for range 3 {
		ls := start(t, "ls", "-l", s.data)
		ch := s.opens()
		r := servertest.NextAs[wire.IOControlRequest](ch)
		s.inject(ch, wire.DataReply{RequestID: r.RequestID, Data: []byte{100, 0, 0, 0, 0, 0, 0, 0}})
		assert.Contains(t, ls.wait(), " 100 ")
		ch.End()
	}
}
