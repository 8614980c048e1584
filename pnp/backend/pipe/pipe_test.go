// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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

// TestSuite runs the acceptance suite in both modes, against sockets, and against a
// function of this process.
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
				i := acceptance.Instance{
					Device:   device(t, backend.Source{Path: s.path}),
					ReadOnly: device(t, backend.Source{Path: s.path, ReadOnly: true}),
					Feed:     w.feed, Sink: w.sink, Unplug: w.unplug, Gone: gone, Controls: controls, Blocking: blocking,
				}
				if messages {
					i.Blocking = append(i.Blocking, acceptance.Template{Name: "transceive", Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("ask"), Len: 64})
				}
				return i
			}})
		})
	}
	t.Run("served", func(t *testing.T) {
		acceptance.Run(t, acceptance.Fixture{Stream: true, AnyShare: true, New: func(t *testing.T) acceptance.Instance {
			conns := make(chan *ended, 2*maxInstances)
			w := newWorld(true, func() io.ReadWriteCloser {
				select {
				case c := <-conns:
					return c
				case <-time.After(watchdog):
					t.Error("nobody opens it")
					return nil
				}
			})
			return acceptance.Instance{
				Device: Serve(pnp.Description{Name: "served"}, nil, func(c io.ReadWriteCloser, _ pnp.OpenRequest) {
					e := &ended{ReadWriteCloser: c, end: make(chan struct{}), in: make(chan byte, 1<<20)}
					conns <- e
					e.run()
				}),
				Feed: w.feed, Sink: w.sink, Unplug: w.unplug, Gone: gone, Controls: controls, Blocking: blocking,
			}
		}})
	})
}

// ended is a connection of a function that runs until the handle or the test has
// closed it.
type ended struct {
	io.ReadWriteCloser
	end chan struct{}
	in  chan byte
}

func (e *ended) run() {
	p := make([]byte, 1000)
	for {
		n, err := e.ReadWriteCloser.Read(p)
		for _, b := range p[:n] {
			e.in <- b
		}
		if err != nil {
			close(e.in)
			return
		}
	}
}

func (e *ended) Read(p []byte) (int, error) {
	b, ok := <-e.in
	if !ok {
		return 0, io.EOF
	}
	p[0] = b
	return 1, nil
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

	// Several at once are answered in order.
	first := c.start(&pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("1"), Out: make([]byte, 100)})
	second := c.start(&pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("2"), Out: make([]byte, 100)})
	answers <- "a"
	answers <- "b"
	require.Equal(t, "a to 1", c.end(first).out)
	require.Equal(t, "b to 2", c.end(second).out)

	// One that is cancelled leaves its answer to the next read.
	cancelled := &pnp.Request{Op: pnp.OpIOControl, Code: FSCTL_PIPE_TRANSCEIVE, In: []byte("3"), Out: make([]byte, 100)}
	done := c.start(cancelled)
	c.h.Cancel(cancelled)
	require.Equal(t, result{hr: pnp.ERROR_OPERATION_ABORTED}, c.end(done))
	answers <- "c"
	require.Equal(t, "c to 3", c.read(100).out)

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

// TestBounds: what nobody reads waits in the socket, and the other end with it.
func TestBounds(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		t.Run(network, func(t *testing.T) {
			s := listen(t, network)
			d := device(t, backend.Source{Path: s.path})
			c := open(t, d)
			other := s.next(t)
			const size, total = 1000, 4000
			sent := make(chan error, 1)
			go func() {
				for range total {
					if _, err := other.Write(make([]byte, size)); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			require.Eventually(t, func() bool {
				got := peeked(c.control(FSCTL_PIPE_PEEK, "", peekHead).out)
				require.Less(t, got.available, uint32(2*maxUnread))
				require.LessOrEqual(t, got.messages, uint32(maxMessages))
				return got.available >= maxUnread || got.messages == maxMessages
			}, watchdog, 100*time.Microsecond)
			for got := 0; got < size*total; {
				r := c.read(1 << 20)
				require.Equal(t, pnp.S_OK, r.hr)
				got += r.n
			}
			require.NoError(t, <-sent)
		})
	}
}

// TestReceiveAtOnce: one piece is no longer than what is kept.
func TestReceiveAtOnce(t *testing.T) {
	s := listen(t, "unix")
	c, err := dial(s.path)
	require.NoError(t, err)
	defer c.close()
	send(t, s.next(t), string(make([]byte, 2*maxUnread)))
	p, err := c.tryReceive()
	require.NoError(t, err)
	require.NotEmpty(t, p)
	require.LessOrEqual(t, len(p), maxUnread)
}

// TestMemory: of the session's memory a handle takes what is unread, and gives it back. If
// it is used up, handles keep one message each, and there is no room for another handle.
func TestMemory(t *testing.T) {
	s := listen(t, "unixpacket")
	d := device(t, backend.Source{Path: s.path})
	memory := pnp.NewMemory(leastMemory + 3000)
	r := acceptance.ReadWrite
	r.Memory = memory
	h, err := d.Open(r)
	require.NoError(t, err)
	c := &client{t, h}
	other := s.next(t)
	message := string(make([]byte, 3000))
	for range 10 {
		send(t, other, message)
	}
	c.await(3 * 3000) // the last one did not fit
	require.EqualValues(t, 2*3000, memory.Taken())
	_, err = d.Open(r)
	require.Equal(t, pnp.ERROR_NO_SYSTEM_RESOURCES, pnp.HRESULTOf(err))
	for range 9 {
		require.Equal(t, 3000, c.read(4000).n)
	}
	require.Equal(t, 3000, c.read(4000).n)
	require.EqualValues(t, leastMemory, memory.Taken())
	send(t, other, message, message)
	c.await(2 * 3000)
	released := make(chan struct{})
	h.Close(func() { close(released) })
	<-released
	require.Zero(t, memory.Taken())
}

// TestTooLong: a message that would take too much memory ends the connection.
func TestTooLong(t *testing.T) {
	s := listen(t, "unixpacket")
	c := open(t, device(t, backend.Source{Path: s.path}))
	other := s.next(t)
	raw, err := other.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4*maxMessage)
	}))
	if err != nil {
		t.Skip("NOT TESTED: only root may send messages that long: ", err)
	}
	_, err = other.Write(make([]byte, maxMessage))
	require.NoError(t, err)
	require.Equal(t, maxMessage, c.read(2*maxMessage).n)
	_, err = other.Write(make([]byte, maxMessage+1))
	require.NoError(t, err)
	require.Equal(t, result{hr: pnp.ERROR_NO_SYSTEM_RESOURCES}, c.read(100))

	// And one that the socket can never take fails at once.
	require.Equal(t, result{hr: pnp.ERROR_NOT_ENOUGH_QUOTA}, c.write(string(make([]byte, 64<<20))))
}

// TestDescriptorsAreDropped: what the other end passes along with a message does not
// stay in this process.
func TestDescriptorsAreDropped(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		s := listen(t, network)
		c := open(t, device(t, backend.Source{Path: s.path}))
		other := s.next(t)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		_, _, err = other.WriteMsgUnix([]byte("take it"), unix.UnixRights(int(w.Fd())), nil)
		require.NoError(t, err)
		require.Equal(t, "take it", c.read(100).out)
		w.Close()
		_, err = r.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err, "somebody has the descriptor")
		r.Close()
	}
}

// TestServe: the function gets what was written as a stream, its writes are messages,
// and both ends can close.
func TestServe(t *testing.T) {
	var requests []pnp.OpenRequest
	ended := make(chan error, 1)
	d := Serve(pnp.Description{Name: "echo"}, nil, func(c io.ReadWriteCloser, r pnp.OpenRequest) {
		requests = append(requests, r)
		p := make([]byte, 3)
		for {
			if _, err := io.ReadFull(c, p); err != nil {
				ended <- err
				return
			}
			if string(p) == "bye" {
				c.Write([]byte("last words"))
				ended <- nil
				return
			}
			c.Write(p)
		}
	})
	c := open(t, d)
	require.Equal(t, result{pnp.S_OK, 3, "abc"}, c.transceive("abcde", 10))
	require.Equal(t, result{pnp.S_OK, 3, "def"}, c.transceive("f", 10))
	require.Equal(t, pnp.S_OK, c.write("bye").hr)
	require.NoError(t, <-ended)
	require.Equal(t, result{pnp.S_OK, 10, "last words"}, c.read(10))
	require.Equal(t, result{hr: pnp.ERROR_BROKEN_PIPE}, c.read(10))
	require.Equal(t, result{hr: pnp.ERROR_NO_DATA}, c.write("x"))
	require.Equal(t, acceptance.ReadWrite.Access, requests[0].Access)

	h, err := d.Open(acceptance.ReadWrite)
	require.NoError(t, err)
	released := make(chan struct{})
	h.Close(func() { close(released) })
	require.Equal(t, io.EOF, <-ended)
	<-released

	// A panic closes the pipe.
	c = open(t, Serve(pnp.Description{Name: "panics"}, nil, func(io.ReadWriteCloser, pnp.OpenRequest) { panic("serving") }))
	require.Equal(t, result{hr: pnp.ERROR_BROKEN_PIPE}, c.read(10))
}

// TestServeBounds: what the function does not read waits with the writer, and what nobody
// reads from the handle waits with the function.
func TestServeBounds(t *testing.T) {
	var wrote atomic.Int64
	proceed := make(chan struct{})
	c := open(t, Serve(pnp.Description{Name: "slow"}, nil, func(c io.ReadWriteCloser, _ pnp.OpenRequest) {
		for range 3 * maxMessages {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			wrote.Add(1)
		}
		<-proceed
		io.Copy(io.Discard, c)
	}))
	c.await(maxMessages)
	require.LessOrEqual(t, wrote.Load(), int64(2*maxMessages+1))
	for range 3 * maxMessages {
		require.Equal(t, "x", c.read(10).out)
	}

	for range maxMessages {
		require.Equal(t, pnp.S_OK, c.write("y").hr)
	}
	waiting := &pnp.Request{Op: pnp.OpWrite, In: []byte("y")}
	done := c.start(waiting)
	require.False(t, waiting.Completed())
	close(proceed)
	require.Equal(t, pnp.S_OK, c.end(done).hr)
}
