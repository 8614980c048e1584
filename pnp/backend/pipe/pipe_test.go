// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// watchdog ends what hangs.
const watchdog = 20 * time.Second

// service accepts connections to a Unix socket.
type service struct {
	path     string
	listener *net.UnixListener
	accepted chan *net.UnixConn // the test takes them
}

func listen(t *testing.T, network string) *service {
	t.Helper()
	s := &service{path: filepath.Join(t.TempDir(), "socket"), accepted: make(chan *net.UnixConn, 2*maxInstances)}
	var err error
	s.listener, err = net.ListenUnix(network, &net.UnixAddr{Net: network, Name: s.path})
	require.NoError(t, err)
	var all []*net.UnixConn
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := s.listener.AcceptUnix()
			if err != nil {
				return
			}
			all = append(all, c)
			s.accepted <- c
		}
	}()
	t.Cleanup(func() {
		s.listener.Close()
		<-ended
		for _, c := range all {
			c.Close()
		}
	})
	return s
}

// next returns the next connection.
func (s *service) next(t *testing.T) *net.UnixConn {
	t.Helper()
	select {
	case c := <-s.accepted:
		return c
	case <-time.After(watchdog):
		t.Fatal("nobody connects")
		return nil
	}
}

func device(t *testing.T, src backend.Source) *Device {
	d, err := New(src)
	require.NoError(t, err)
	return d
}

// TestSuite runs the acceptance suite in both modes.
func TestSuite(t *testing.T) {
	blocking := []acceptance.Template{
		{Name: "read", Op: pnp.OpRead, Len: 64},
	}
	gone := []pnp.HRESULT{pnp.ERROR_BROKEN_PIPE, pnp.ERROR_NO_DATA, pnp.ERROR_PIPE_NOT_CONNECTED}
	peek := func(name string, room int, hr pnp.HRESULT, out []byte) acceptance.Control {
		return acceptance.Control{
			Template: acceptance.Template{Name: name, Op: pnp.OpIOControl, Code: FSCTL_PIPE_PEEK, Len: room}, Result: hr, Out: out,
		}
	}
	nothing := append([]byte{connected}, make([]byte, peekHead-1)...)
	controls := []acceptance.Control{
		peek("peek", 100, pnp.S_OK, nothing), peek("peek without room", peekHead, pnp.S_OK, nothing),
		peek("peek with too little room", peekHead-1, pnp.ERROR_INVALID_PARAMETER, nil),
	}
	for _, network := range []string{"unix", "unixpacket"} {
		t.Run(network, func(t *testing.T) {
			messages := network == "unixpacket"
			acceptance.Run(t, acceptance.Fixture{Stream: true, AnyShare: true, New: func(t *testing.T) acceptance.Instance {
				s := listen(t, network)
				w := newWorld(messages, func() io.ReadWriteCloser { return s.next(t) })
				return acceptance.Instance{
					Device:   device(t, backend.Source{Path: s.path}),
					ReadOnly: device(t, backend.Source{Path: s.path, ReadOnly: true}),
					Feed:     w.feed, Sink: w.sink, Unplug: w.unplug, Gone: gone, Controls: controls, Blocking: blocking,
				}
			}})
		})
	}
}

// world is the other end as the suite drives it: of the handle that was opened first.
type world struct {
	messages bool
	conn     func() io.ReadWriteCloser
	rest     []byte
}

func newWorld(messages bool, next func() io.ReadWriteCloser) *world {
	return &world{messages: messages, conn: sync.OnceValue(next)}
}

// feed sends each byte as a message, so that each is read whole.
func (w *world) feed(data []byte) {
	size := len(data)
	if w.messages {
		size = 1
	}
	for ; len(data) > 0; data = data[size:] {
		if _, err := w.conn().Write(data[:size]); err != nil {
			return // the test is over
		}
	}
}

func (w *world) sink(n int) []byte {
	for len(w.rest) < n {
		p := make([]byte, 64<<10)
		k, err := w.conn().Read(p)
		if err != nil {
			return nil
		}
		w.rest = append(w.rest, p[:k]...)
	}
	out := w.rest[:n]
	w.rest = w.rest[n:]
	return out
}

func (w *world) unplug() { w.conn().Close() }

// client is a handle as a test uses it.
type client struct {
	t *testing.T
	h pnp.Handle
}

func open(t *testing.T, d *Device) *client {
	t.Helper()
	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	c := &client{t, h}
	released := make(chan struct{})
	t.Cleanup(func() {
		h.Close(func() { close(released) })
		select {
		case <-released:
		case <-time.After(watchdog):
			t.Error("the handle is not released")
		}
	})
	return c
}

// result is how a request ended.
type result struct {
	hr  pnp.HRESULT
	n   int
	out string
}

func (c *client) start(r *pnp.Request) <-chan result {
	done := make(chan result, 1)
	r.OnComplete(func(r *pnp.Request, hr pnp.HRESULT, n int) {
		res := result{hr: hr, n: n}
		if r.Op != pnp.OpWrite {
			res.out = string(r.Out[:n])
		}
		done <- res
	})
	c.h.Submit(r)
	return done
}

func (c *client) end(done <-chan result) result {
	c.t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(watchdog):
		c.t.Fatal("a request does not end")
		return result{}
	}
}

func (c *client) read(n int) result {
	c.t.Helper()
	return c.end(c.start(&pnp.Request{Op: pnp.OpRead, Out: make([]byte, n)}))
}

func (c *client) write(text string) result {
	c.t.Helper()
	return c.end(c.start(&pnp.Request{Op: pnp.OpWrite, In: []byte(text)}))
}

func (c *client) control(code uint32, in string, room int) result {
	c.t.Helper()
	return c.end(c.start(&pnp.Request{Op: pnp.OpIOControl, Code: code, In: []byte(in), Out: make([]byte, room)}))
}

func (c *client) transceive(in string, room int) result {
	c.t.Helper()
	return c.control(FSCTL_PIPE_TRANSCEIVE, in, room)
}

// await peeks until the pipe holds a number of bytes.
func (c *client) await(bytes uint32) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		r := c.control(FSCTL_PIPE_PEEK, "", peekHead)
		return len(r.out) == peekHead && peeked(r.out).available == bytes
	}, watchdog, 100*time.Microsecond)
}
