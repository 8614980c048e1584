// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

func TestMessageMode(t *testing.T) {
	s := listen(t, "unixpacket")
	c := open(t, device(t, backend.Source{Path: s.path}))
	other := s.next(t)

	// A write is a message, whatever its length.
	require.Equal(t, result{hr: pnp.S_OK, n: 5}, c.write("hello"))
	require.Equal(t, result{hr: pnp.S_OK}, c.write(""))
	require.Equal(t, result{hr: pnp.S_OK, n: 2}, c.write("ho"))
	p := make([]byte, 100)
	for _, want := range []string{"hello", "", "ho"} {
		n, err := other.Read(p)
		if want != "" {
			require.NoError(t, err)
		}
		require.Equal(t, want, string(p[:n]))
	}

	// A read is one message; one that is too long comes in parts.
	send(t, other, "first", "", "second, and longer", "third")
	require.Equal(t, result{pnp.S_OK, 5, "first"}, c.read(100))
	require.Equal(t, result{pnp.S_OK, 0, ""}, c.read(100))
	require.Equal(t, result{pnp.ERROR_MORE_DATA, 6, "second"}, c.read(6))
	require.Equal(t, result{pnp.ERROR_MORE_DATA, 5, ", and"}, c.read(5))
	require.Equal(t, result{pnp.S_OK, 7, " longer"}, c.read(7))
	require.Equal(t, result{pnp.S_OK, 5, "third"}, c.read(7))
}

func TestTransceive(t *testing.T) {
	s := listen(t, "unixpacket")
	c := open(t, device(t, backend.Source{Path: s.path}))
	other := s.next(t)
	answers := make(chan string, 8)
	go func() {
		p := make([]byte, 100)
		for {
			n, err := other.Read(p)
			if err != nil {
				return
			}
			other.Write([]byte(<-answers + " to " + string(p[:n])))
		}
	}()
	answers <- "answer"
	require.Equal(t, result{pnp.S_OK, 16, "answer to asking"}, c.transceive("asking", 100))
	answers <- "answer"
	require.Equal(t, result{pnp.ERROR_MORE_DATA, 6, "answer"}, c.transceive("asking", 6))
	// Not while the rest would be taken for the answer.
	require.Equal(t, result{hr: pnp.ERROR_PIPE_BUSY}, c.transceive("asking", 100))
	require.Equal(t, result{pnp.S_OK, 10, " to asking"}, c.read(100))

	require.Equal(t, result{hr: pnp.ERROR_INVALID_PARAMETER}, c.transceive("", 100))

	// Nor while somebody else waits for a message.
	first := c.start(&pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("1"), Out: make([]byte, 100)})
	require.Equal(t, result{hr: pnp.ERROR_PIPE_BUSY}, c.transceive("2", 100))
	answers <- "a"
	require.Equal(t, "a to 1", c.end(first).out)
	reading := c.start(&pnp.Request{Op: pnp.OpRead, Out: make([]byte, 100)})
	require.Equal(t, result{hr: pnp.ERROR_PIPE_BUSY}, c.transceive("2", 100))
	c.start(&pnp.Request{Op: pnp.OpWrite, In: []byte("3")})
	answers <- "b"
	require.Equal(t, "b to 3", c.end(reading).out, "and the others were not sent")

	// One that is cancelled leaves its answer to the next read.
	cancelled := &pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("3"), Out: make([]byte, 100)}
	done := c.start(cancelled)
	c.h.Cancel(cancelled)
	require.Equal(t, result{hr: pnp.ERROR_OPERATION_ABORTED}, c.end(done))
	answers <- "c"
	require.Equal(t, "c to 3", c.read(100).out)

	// One that waits ends with the handle and with the connection.
	waiting := c.start(&pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("4"), Out: make([]byte, 100)})
	require.NoError(t, other.Close())
	require.Contains(t, []pnp.HRESULT{pnp.ERROR_BROKEN_PIPE, pnp.ERROR_PIPE_NOT_CONNECTED}, c.end(waiting).hr)
	h, err := device(t, backend.Source{Path: s.path}).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	s.next(t)
	closing := &client{t, h}
	waiting = closing.start(&pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("5"), Out: make([]byte, 100)})
	released := make(chan struct{})
	h.Close(func() { close(released) })
	require.Equal(t, result{hr: pnp.ERROR_OPERATION_ABORTED}, closing.end(waiting))
	<-released

	stream := listen(t, "unix")
	require.Equal(t, result{hr: pnp.ERROR_BAD_PIPE}, open(t, device(t, backend.Source{Path: stream.path})).transceive("x", 10))
}

func TestPeek(t *testing.T) {
	s := listen(t, "unixpacket")
	c := open(t, device(t, backend.Source{Path: s.path}))
	other := s.next(t)
	send(t, other, "first", "and second")
	c.await(15)
	r := c.control(FSCTL_PIPE_PEEK, "", 100)
	require.Equal(t, result{pnp.S_OK, peekHead + 5, r.out}, r)
	require.Equal(t, peek{connected, 15, 2, 5, "first"}, peeked(r.out))
	r = c.control(FSCTL_PIPE_PEEK, "", peekHead+2)
	require.Equal(t, pnp.ERROR_MORE_DATA, r.hr)
	require.Equal(t, peek{connected, 15, 2, 5, "fi"}, peeked(r.out))
	require.Equal(t, "fir", c.read(3).out)
	require.Equal(t, peek{connected, 12, 2, 2, "st"}, peeked(c.control(FSCTL_PIPE_PEEK, "", 100).out))
	other.Close()
	require.Eventually(t, func() bool { return peeked(c.control(FSCTL_PIPE_PEEK, "", 100).out).state == closing }, watchdog, time.Millisecond)
	require.Equal(t, "st", c.read(10).out)
	require.Equal(t, "and second", c.read(10).out)
	require.Equal(t, result{hr: pnp.ERROR_BROKEN_PIPE}, c.control(FSCTL_PIPE_PEEK, "", 100))

	// In byte mode there are no messages.
	s = listen(t, "unix")
	c = open(t, device(t, backend.Source{Path: s.path}))
	other = s.next(t)
	send(t, other, "first")
	c.await(5)
	send(t, other, "second")
	c.await(11)
	require.Equal(t, peek{connected, 11, 0, 0, "firstsecond"}, peeked(c.control(FSCTL_PIPE_PEEK, "", 100).out))
	r = c.control(FSCTL_PIPE_PEEK, "", peekHead+7)
	require.Equal(t, pnp.S_OK, r.hr)
	require.Equal(t, "firstse", peeked(r.out).data)
	require.Equal(t, pnp.ERROR_MORE_DATA, c.control(FSCTL_PIPE_PEEK, "", peekHead).hr)
	require.Equal(t, result{pnp.S_OK, 11, "firstsecond"}, c.read(100))
}

type peek struct {
	state, available, messages, length uint32
	data                               string
}

func peeked(out string) peek {
	if len(out) < peekHead {
		return peek{}
	}
	u32 := func(at int) uint32 {
		return uint32(out[at]) | uint32(out[at+1])<<8 | uint32(out[at+2])<<16 | uint32(out[at+3])<<24
	}
	return peek{u32(0), u32(4), u32(8), u32(12), out[peekHead:]}
}

func send(t *testing.T, c net.Conn, messages ...string) {
	t.Helper()
	for _, m := range messages {
		_, err := c.Write([]byte(m))
		require.NoError(t, err)
	}
}

// TestEnds: the results that Windows gives when the other end goes.
func TestEnds(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		t.Run(network, func(t *testing.T) {
			s := listen(t, network)
			d := device(t, backend.Source{Path: s.path})
			c := open(t, d)
			other := s.next(t)
			send(t, other, "last words")
			other.Close()
			require.Equal(t, result{pnp.S_OK, 10, "last words"}, c.read(100))
			require.Equal(t, result{hr: pnp.ERROR_BROKEN_PIPE}, c.read(100))
			require.Equal(t, result{hr: pnp.ERROR_NO_DATA}, c.write("x"))
			if network == "unixpacket" {
				require.Equal(t, result{hr: pnp.ERROR_BAD_PIPE}, c.transceive("x", 10))
			}

			// It closes without reading what was written.
			c = open(t, d)
			other = s.next(t)
			require.Equal(t, pnp.S_OK, c.write("unread").hr)
			other.Close()
			require.Equal(t, result{hr: pnp.ERROR_PIPE_NOT_CONNECTED}, c.read(100))

			// It only stops sending.
			c = open(t, d)
			other = s.next(t)
			require.NoError(t, other.CloseWrite())
			require.Equal(t, result{hr: pnp.ERROR_BROKEN_PIPE}, c.read(100))
			require.Equal(t, pnp.S_OK, c.write("x").hr)
		})
	}
}

func TestOpenFails(t *testing.T) {
	s := listen(t, "unix")
	d := device(t, backend.Source{Path: s.path})
	fails := func(hr pnp.HRESULT) {
		t.Helper()
		_, err := d.Open(acceptance.ReadWrite)
		require.Equal(t, hr.Name(), pnp.HRESULTOf(err).Name(), "%v", err)
	}
	for range 2 * maxInstances {
		h, err := d.Open(acceptance.ReadWrite)
		require.NoError(t, err, "those that are released count no more")
		released := make(chan struct{})
		h.Close(func() { close(released) })
		<-released
		s.next(t)
	}
	for range maxInstances {
		open(t, d)
	}
	fails(pnp.ERROR_PIPE_BUSY)
	require.EqualValues(t, maxInstances, d.instances.Load())

	d = device(t, backend.Source{Path: s.path})
	s.listener.SetUnlinkOnClose(false)
	s.listener.Close()
	fails(pnp.ERROR_FILE_NOT_FOUND)
	require.NoError(t, os.Remove(s.path))
	fails(pnp.ERROR_DEVICE_NOT_CONNECTED)
	require.NoError(t, os.WriteFile(s.path, nil, 0o600))
	fails(pnp.ERROR_NOT_SUPPORTED)
	require.NoError(t, os.Remove(s.path))
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: s.path})
	require.NoError(t, err)
	defer datagrams.Close()
	fails(pnp.ERROR_NOT_SUPPORTED)
	require.Zero(t, d.instances.Load())

	full := filepath.Join(t.TempDir(), "full")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: full}))
	require.NoError(t, unix.Listen(fd, 0))
	d = device(t, backend.Source{Path: full})
	open(t, d)
	fails(pnp.ERROR_PIPE_BUSY)
}
