// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/channels/server/servertest"
	"freerdp-pnpdr/channels/xrdp"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/loopback"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// program is connected to a control socket.
type program struct {
	t    *testing.T
	conn *net.UnixConn
}

func dial(t *testing.T, path string) *program {
	t.Helper()
	conn, err := connect("unixpacket", path)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(presenttest.Patience)))
	return &program{t, conn}
}

func (p *program) send(kind, id, code, room uint32, in string) {
	p.t.Helper()
	var b []byte
	for _, v := range []uint32{kind, id, code, room} {
		b = le.AppendUint32(b, v)
	}
	_, err := p.conn.Write(append(b, in...))
	require.NoError(p.t, err)
}

func (p *program) next() (kind, id uint32, result pnp.HRESULT, data string) {
	p.t.Helper()
	b := make([]byte, 100<<10)
	n, err := p.conn.Read(b)
	require.NoError(p.t, err)
	require.GreaterOrEqual(p.t, n, replyHeader)
	return le.Uint32(b), le.Uint32(b[4:]), pnp.HRESULT(le.Uint32(b[8:])), string(b[12:n])
}

func (p *program) want(id uint32, result pnp.HRESULT, data string) {
	p.t.Helper()
	kind, gotID, gotResult, got := p.next()
	require.Equal(p.t, []uint32{packetReply, id}, []uint32{kind, gotID})
	require.Equal(p.t, result, gotResult)
	require.Equal(p.t, data, got)
}

// wantEnd waits for the end of the connection. Replies may come before.
func (p *program) wantEnd() {
	p.t.Helper()
	for {
		if _, err := p.conn.Read(make([]byte, 100)); err != nil {
			require.ErrorIs(p.t, err, io.EOF)
			return
		}
	}
}

// connected is a program that is connected to the device of a new Folder.
func connected(t *testing.T) (*Folder, *presenttest.Pair, *program) {
	f := newFolder(t, Config{})
	p := pair(t, f, loop("Scale"))
	waitFor(t, f, "Scale")
	return f, p, dial(t, filepath.Join(f.Dir(), "Scale", "control"))
}

func TestControl(t *testing.T) {
	f, _, p := connected(t)
	p.send(requestIOControl, 7, loopback.IOCTL_ECHO, 3, "abcde")
	p.want(7, pnp.S_OK, "abc")
	p.send(requestIOControl, 8, 0x1234, 3, "")
	p.want(8, pnp.ERROR_INVALID_FUNCTION, "")
	p.send(99, 9, 0, 0, "")
	p.want(9, pnp.ERROR_INVALID_FUNCTION, "")
	most := strings.Repeat("x", maxData)
	p.send(requestIOControl, 10, loopback.IOCTL_ECHO, maxData, most)
	p.want(10, pnp.S_OK, most)
	p.send(requestIOControl, 11, loopback.IOCTL_ECHO, 0, most+"x")
	p.want(11, pnp.ERROR_INVALID_PARAMETER, "")
	p.send(requestIOControl, 12, loopback.IOCTL_ECHO, maxData+1, "")
	p.want(12, pnp.ERROR_INVALID_PARAMETER, "")
	p.send(requestEvents, 13, 0, 0, most+"x")
	p.want(13, pnp.ERROR_INVALID_PARAMETER, "")

	// Requests overtake each other.
	forever := "\xff\xff\xff\xff"
	p.send(requestIOControl, 1, loopback.IOCTL_WAIT, 0, forever)
	p.send(requestIOControl, 2, loopback.IOCTL_ECHO, 1, "x")
	p.want(2, pnp.S_OK, "x")
	p.send(requestIOControl, 1, loopback.IOCTL_ECHO, 1, "x")
	p.want(1, pnp.ERROR_INVALID_PARAMETER, "")                   // the id is in use
	p.send(requestCancel, 5, 0, 0, "")                           // nothing
	p.send(requestCancel, 1, 0xFFFFFFFF, 0xFFFFFFFF, "whatever") // only the kind and id count
	p.want(1, pnp.ERROR_OPERATION_ABORTED, "")

	stats := f.Devices()[0].Stats
	require.Equal(t, int64(1), stats.Open)
	require.NoError(t, p.conn.Close())
	eventually(t, func() bool { return f.Devices()[0].Open == 0 }, "the handle is closed")

	// Too short for a request.
	p = dial(t, filepath.Join(f.Dir(), "Scale", "control"))
	_, err := p.conn.Write([]byte("hello"))
	require.NoError(t, err)
	p.wantEnd()
}

func TestControlEvents(t *testing.T) {
	_, _, p := connected(t)
	p.send(requestEvents, 5, 0, 0, "")
	p.want(5, pnp.S_OK, "")
	p.send(requestEvents, 6, 0, 0, "")
	p.want(6, pnp.ERROR_INVALID_PARAMETER, "") // once for a connection
	guid := string(make([]byte, 15)) + "G"
	p.send(requestIOControl, 7, loopback.IOCTL_RAISE_EVENT, 0, guid+"data")
	seen := make(map[uint32]bool)
	for range 2 {
		kind, id, result, data := p.next()
		seen[kind] = true
		switch kind {
		case packetEvent:
			require.Equal(t, uint32(5), id)
			require.Equal(t, guid+"data", data)
		default:
			require.Equal(t, uint32(7), id)
		}
		require.Equal(t, pnp.S_OK, result)
	}
	require.Len(t, seen, 2)
	for range 100 { // a cancel is done when the next request is looked at
		p.send(requestCancel, 5, 0, 0, "")
		p.send(requestEvents, 5, 0, 0, "")
		p.want(5, pnp.S_OK, "")
	}
}

// TestControlLimits: of requests, and of connections.
func TestControlLimits(t *testing.T) {
	f, _, p := connected(t)
	forever := "\xff\xff\xff\xff"
	for id := range uint32(maxRequests) {
		p.send(requestIOControl, id, loopback.IOCTL_WAIT, 0, forever)
	}
	p.send(requestIOControl, 100, loopback.IOCTL_ECHO, 0, "")
	p.want(100, pnp.ERROR_NO_SYSTEM_RESOURCES, "")
	path := filepath.Join(f.Dir(), "Scale", "control")
	more := make([]*program, maxConnections-1)
	for i := range more {
		more[i] = dial(t, path)
		more[i].send(requestIOControl, 1, loopback.IOCTL_ECHO, 0, "")
		more[i].want(1, pnp.S_OK, "")
	}
	dial(t, path).wantEnd()
	require.NoError(t, more[0].conn.Close())
	eventually(t, func() bool {
		one, err := connect("unixpacket", path)
		require.NoError(t, err)
		defer one.Close()
		require.NoError(t, one.SetDeadline(time.Now().Add(presenttest.Patience)))
		if _, err := one.Write(make([]byte, requestHeader)); err != nil {
			return false
		}
		_, err = one.Read(make([]byte, 100))
		return err == nil
	}, "room for another")
}

// TestControlOfADeviceThatGoes: requests that wait end, and so does the connection.
func TestControlOfADeviceThatGoes(t *testing.T) {
	f, pair, p := connected(t)
	p.send(requestIOControl, 1, loopback.IOCTL_WAIT, 0, "\xff\xff\xff\xff")
	eventually(t, func() bool { return f.Devices()[0].Open == 1 }, "open")
	pair.Client.Remove(1)
	p.wantEnd()
	waitFor(t, f)
}

// TestSilentClient: one that never answers does not keep the folder of a device that has
// gone, whatever a program has asked for.
func TestSilentClient(t *testing.T) {
	f := newFolder(t, Config{})
	s := servertest.Started(t, server.Config{OnDevice: f.OnDevice, CancelWait: time.Hour})
	d := s.AddDevice(1)
	waitFor(t, f, "Device_1")
	path := filepath.Join(f.Dir(), "Device_1", "control")

	// One that is being opened, and one that has asked for something.
	opening, asking := dial(t, path), dial(t, path)
	opening.send(requestIOControl, 1, 1, 0, "")
	s.Client.Accept(channels.FileRedirectorChannel).Next()
	asking.send(requestIOControl, 1, 1, 0, "")
	o := servertest.Opening{Channel: s.Client.Accept(channels.FileRedirectorChannel)}
	o.ReplyCapabilities(t, 6)
	o.ReplyCreateFile(t, pnp.S_OK)
	o.Channel.Next()
	require.NoError(t, s.Info.Inject(servertest.Removal(d.ID())))
	waitFor(t, f)
	opening.wantEnd()
	asking.wantEnd()
}

// TestCancelWhileOpening: a request that waits until the device is open can be cancelled,
// although it was another one that began to open it.
func TestCancelWhileOpening(t *testing.T) {
	f := newFolder(t, Config{})
	s := servertest.Started(t, server.Config{OnDevice: f.OnDevice})
	s.AddDevice(1)
	waitFor(t, f, "Device_1")
	p := dial(t, filepath.Join(f.Dir(), "Device_1", "control"))
	p.send(requestIOControl, 1, 1, 0, "")
	o := servertest.Opening{Channel: s.Client.Accept(channels.FileRedirectorChannel)}
	p.send(requestIOControl, 2, 1, 0, "")
	p.send(requestCancel, 2, 0, 0, "")
	p.want(2, pnp.ERROR_OPERATION_ABORTED, "")
	o.ReplyCapabilities(t, 6)
	o.ReplyCreateFile(t, pnp.ERROR_BUSY)
	p.want(1, pnp.ERROR_BUSY, "")
}

func TestResults(t *testing.T) {
	for result, err := range map[pnp.HRESULT]error{
		pnp.S_OK:                       nil,
		pnp.ERROR_NOT_ENOUGH_QUOTA:     channels.ErrTooLong,
		pnp.ERROR_DEVICE_NOT_CONNECTED: channels.ErrClosed,
		pnp.ERROR_OPERATION_ABORTED:    context.Canceled,
		pnp.ERROR_BUSY:                 pnp.ERROR_BUSY,
		pnp.ERROR_TOO_MANY_OPEN_FILES:  xrdp.ErrTooManyChannels,
	} {
		require.Equal(t, result, resultOf(err))
	}
	require.Equal(t, syscall.EMFILE, present.Errno(xrdp.ErrTooManyChannels))
}
