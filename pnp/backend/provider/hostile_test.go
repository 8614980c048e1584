// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/client"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/provide"
	"freerdp-pnpdr/pnp/wire"
)

// TestSeveralDevices: of several the first is redirected, and the next when that has gone,
// by Client Device Removal.
func TestSeveralDevices(t *testing.T) {
	s := client.NewSession(client.Config{Log: quiet})
	var ids []uint32
	for _, name := range []string{"first", "second", "third"} {
		id, err := s.Add(loopback.New(pnp.Description{Name: name, HardwareIDs: []string{"A"}}))
		require.NoError(t, err)
		ids = append(ids, id)
	}
	path := filepath.Join(t.TempDir(), "provider")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- provide.Serve(ctx, path, s, quiet) }()
	a := attend(t, source(path))
	for i, name := range []string{"first", "second"} {
		d := <-a.come
		require.Equal(t, name, d.Description().Name)
		require.Empty(t, a.come)
		s.Remove(ids[i])
		<-a.gone
		_, err := d.Open(pnp.OpenRequest{})
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, err)
	}
	require.Equal(t, "third", (<-a.come).Description().Name)
	a.stop()
	cancel()
	require.NoError(t, <-ended)
	require.NoError(t, s.Close(context.Background()))
}

// raw is a provider that speaks for itself.
type raw struct {
	t *testing.T
	l *net.UnixListener
}

func newRaw(t *testing.T) (*raw, string) {
	path := filepath.Join(t.TempDir(), "raw")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return &raw{t, l}, path
}

// accept takes a connection for this channel.
func (r *raw) accept(channel string) *net.UnixConn {
	r.t.Helper()
	c, err := r.l.AcceptUnix()
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(time.Minute)))
	require.Equal(r.t, channel, string(r.next(c)))
	return c
}

func (r *raw) next(c io.Reader) []byte {
	r.t.Helper()
	var size [4]byte
	_, err := io.ReadFull(c, size[:])
	require.NoError(r.t, err)
	msg := make([]byte, binary.LittleEndian.Uint32(size[:]))
	_, err = io.ReadFull(c, msg)
	require.NoError(r.t, err)
	return msg
}

func (r *raw) say(c io.Writer, msg []byte) {
	r.t.Helper()
	_, err := c.Write(framed(msg))
	require.NoError(r.t, err)
}

// announce begins PNPDR, with a device.
func (r *raw) announce() *net.UnixConn {
	r.t.Helper()
	c := r.accept(channels.PNPDR)
	r.next(c)
	r.say(c, wire.OurVersion.Append(nil))
	r.next(c)
	r.say(c, addition(1, "raw"))
	return c
}

// open opens a handle of d.
func (r *raw) open(d pnp.Device) (pnp.Handle, *net.UnixConn) {
	r.t.Helper()
	opened := make(chan pnp.Handle, 1)
	go func() {
		h, _ := d.Open(pnp.OpenRequest{})
		opened <- h
	}()
	c := r.accept(channels.FileRedirectorChannel)
	for _, reply := range []func(wire.RequestID) []byte{
		func(id wire.RequestID) []byte { return wire.CapabilitiesReply{RequestID: id, Version: 6}.Append(nil) },
		func(id wire.RequestID) []byte { return wire.CreateFileReply{RequestID: id}.Append(nil) },
	} {
		r.say(c, reply(wire.RequestID(binary.LittleEndian.Uint32(r.next(c))&0xFFFFFF)))
	}
	h := <-opened
	require.NotNil(r.t, h)
	return h, c
}

// TestBrokenHandle: a message that breaks the protocol ends its handle alone.
func TestBrokenHandle(t *testing.T) {
	r, path := newRaw(t)
	a := attend(t, source(path))
	pnpdr := r.announce()
	d := <-a.come
	broken, conn := r.open(d)
	other, otherConn := r.open(d)
	done := make(chan pnp.HRESULT, 1)
	read := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 8)}
	read.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, _ int) { done <- hr })
	broken.Submit(read)
	r.next(conn)
	r.say(conn, []byte("nonsense"))
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, <-done)
	_, err := conn.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	conn.Close()

	go func() {
		id := wire.RequestID(binary.LittleEndian.Uint32(r.next(otherConn)) & 0xFFFFFF)
		r.say(otherConn, wire.DataReply{RequestID: id, Data: []byte("8 bytes.")}.Append(nil))
	}()
	require.Equal(t, pnp.S_OK, submit(other, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 8)}))
	require.Empty(t, a.gone)

	// On PNPDR, it ends the device. Then there is another attempt.
	r.say(pnpdr, []byte("nonsense"))
	<-a.gone
	for _, h := range []pnp.Handle{broken, other} {
		h.Close(func() {})
	}
	otherConn.Close()
	pnpdr.Close()
	r.announce()
	<-a.come
}

// TestNotClosed: a device is not opened anew before its provider has let go of what was
// closed.
func TestNotClosed(t *testing.T) {
	r, path := newRaw(t)
	a := attend(t, source(path))
	r.announce()
	d := <-a.come
	h, conn := r.open(d)
	var released sync.WaitGroup
	released.Add(1)
	h.Close(released.Done)
	_, err := conn.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "the plugin shuts its end down for writing")
	go func() {
		next, err := d.Open(pnp.OpenRequest{})
		if err == nil {
			next.Close(func() {})
		}
	}()
	require.NoError(t, r.l.SetDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = r.l.Accept()
	require.Error(t, err, "it is opened anew")
	require.NoError(t, r.l.SetDeadline(time.Time{}))
	require.NoError(t, conn.Close())
	released.Wait()
	r.accept(channels.FileRedirectorChannel).Close()
}

// TestOutputBuffer: an IOControl comes with what is in the server's output buffer.
func TestOutputBuffer(t *testing.T) {
	r, path := newRaw(t)
	a := attend(t, source(path))
	r.announce()
	h, conn := r.open(<-a.come)
	go submit(h, &pnp.Request{Op: pnp.OpIOControl, Code: 7, In: []byte("in"), Out: []byte("out")})
	m, err := wire.Decode(r.next(conn), wire.IOToClient)
	require.NoError(t, err)
	request, ok := m.Body().(wire.IOControlRequest)
	require.True(t, ok)
	require.EqualValues(t, 7, request.IoCode)
	require.Equal(t, []string{"in", "out"}, []string{string(request.DataIn), string(request.DataOut)})
	conn.Close()
	h.Close(func() {})
}

// TestOneSession: a provider made with package provide serves one RDP session at a time, and
// the next when that has ended.
func TestOneSession(t *testing.T) {
	path, _ := run(t, loopback.New(loopback.DefaultDescription()))
	first, second := attend(t, source(path)), attend(t, source(path))
	for range 2 {
		select {
		case <-first.come:
		case <-second.come:
			first, second = second, first
		}
		require.Empty(t, second.come)
		first.stop()
		<-first.gone
		first, second = second, attend(t, source(path))
	}
}
