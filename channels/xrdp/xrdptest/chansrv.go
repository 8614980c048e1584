// SPDX-License-Identifier: Apache-2.0

// Package xrdptest is a FAKE of xrdp-chansrv with a client behind it, for tests. It
// was written after the source of xrdp 0.9.21 and 0.10 and what was seen of them: it
// makes a message of whatever one recv returns, cuts and joins what the client sends,
// and tells nobody when the client closes a channel or goes. It is not xrdp, which
// plugin/xrdptest runs.
package xrdptest

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/memory"
)

const (
	recvSize = 32 << 10 // what one recv takes
	maxConns = 22       // as many as fit into chansrv's arrays, beside its own
	backlog  = 2        // of chansrv's socket
	number   = "10"     // of the display
)

// Chansrv is the fake. Its methods may be called from any goroutine.
type Chansrv struct {
	t   testing.TB
	dir string
	ln  *net.UnixListener
	// clients is where xrdp's process for a client connects.
	clients *net.UnixListener

	active sync.WaitGroup
	busy   sync.Mutex // held while nobody is accepted

	mu     sync.Mutex
	client memory.Acceptor // nil: no client is connected
	link   [2]net.Conn     // the client's connection to clients, and its other end
	silent bool            // the client does not answer
	conns  map[*conn]struct{}
}

// New starts a fake whose client is c, and ends it with the test.
func New(t testing.TB, c memory.Acceptor) *Chansrv {
	t.Helper()
	// Not t.TempDir, which has the test's name in it: the path of a socket must be short.
	dir, err := os.MkdirTemp("", "xrdp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &Chansrv{t: t, dir: dir, client: c, conns: make(map[*conn]struct{})}
	f.ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(f.dir, "xrdpapi_"+number), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := setBacklog(f.ln); err != nil {
		t.Fatal(err)
	}
	if f.clients, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(f.dir, "xrdp_chansrv_socket_"+number), Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	f.connectLink()
	f.active.Add(1)
	go f.listen()
	t.Cleanup(f.Close)
	return f
}

// setBacklog has the kernel keep as few who wait for ln as for chansrv.
func setBacklog(ln *net.UnixListener) error {
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), backlog) })
	return errors.Join(err, failed)
}

// Env is the environment of a program in the session.
func (f *Chansrv) Env(key string) string {
	return map[string]string{"XRDP_SESSION": "1", "XRDP_SOCKET_PATH": f.dir, "DISPLAY": ":" + number + ".0"}[key]
}

// Connect replaces the client; nil means that there is none. The channels of the
// previous one end on its side, and stay as they are on this one.
func (f *Chansrv) Connect(c memory.Acceptor) {
	f.mu.Lock()
	f.client = c
	f.connectLink()
	var list []*conn
	for c := range f.conns {
		list = append(list, c)
	}
	f.mu.Unlock()
	for _, c := range list {
		c.endClient()
	}
}

// connectLink connects the client's process of xrdp, if there is a client.
func (f *Chansrv) connectLink() {
	for _, end := range f.link {
		if end != nil {
			_ = end.Close()
		}
	}
	f.link = [2]net.Conn{}
	if f.client == nil {
		return
	}
	var err error
	if f.link[0], err = net.Dial("unix", f.clients.Addr().String()); err == nil {
		f.link[1], err = f.clients.Accept()
	}
	if err != nil {
		f.t.Error("connecting xrdp's process for the client:", err)
	}
}

// Silence has everything that is sent to the client vanish, opens too.
func (f *Chansrv) Silence() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = true
}

// Busy has chansrv accept nobody until done is called, and returns when its backlog is
// full.
func (f *Chansrv) Busy() (done func()) {
	f.busy.Lock()
	var waiting []net.Conn
	const full = backlog + 1
	for len(waiting) < full+1 { // one is being accepted
		c, err := net.Dial("unix", f.ln.Addr().String())
		switch {
		case err == nil:
			waiting = append(waiting, c)
		case errors.Is(err, unix.EAGAIN):
			time.Sleep(time.Millisecond)
		default:
			f.t.Fatal("filling the backlog:", err)
		}
	}
	return func() {
		for _, c := range waiting {
			_ = c.Close()
		}
		f.busy.Unlock()
	}
}

// Conns returns how many sockets are open.
func (f *Chansrv) Conns() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// Inject sends bytes on every open channel named name as if the client had.
func (f *Chansrv) Inject(name string, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		if c.name == name {
			_ = c.Send(b)
		}
	}
}

// Close ends the fake, and returns when the client's ends of all channels have
// ended.
func (f *Chansrv) Close() {
	_ = f.ln.Close()
	f.mu.Lock()
	f.client = nil
	f.connectLink()
	_ = f.clients.Close()
	for c := range f.conns {
		_ = c.sock.Close()
	}
	f.mu.Unlock()
	f.active.Wait()
}

func (f *Chansrv) listen() {
	defer f.active.Done()
	for {
		sock, err := f.accept()
		if err != nil {
			return
		}
		c := &conn{f: f, sock: sock}
		c.filled.L = &c.mu
		f.mu.Lock()
		f.conns[c] = struct{}{}
		open := 0
		for c := range f.conns {
			if !c.hungUp() {
				open++
			}
		}
		if open > maxConns {
			f.t.Errorf("%d connections: chansrv would write past the end of its arrays", open)
		}
		f.mu.Unlock()
		f.active.Add(1)
		go c.serve()
	}
}

// accept returns the next who has connected, unless the fake is busy.
func (f *Chansrv) accept() (*net.UnixConn, error) {
	sock, err := f.ln.AcceptUnix()
	f.busy.Lock()
	defer f.busy.Unlock()
	return sock, err
}

// conn is one socket, and the client's end of its channel.
type conn struct {
	f    *Chansrv
	sock *net.UnixConn
	name string

	mu       sync.Mutex
	filled   sync.Cond
	out      []byte // from the client
	over     bool
	gone     bool // the client's end has ended, and nobody was told
	receiver channels.Receiver
}

// hungUp reports whether the program has closed the socket. chansrv, which has one thread,
// lets go of all such sockets before it accepts another.
func (c *conn) hungUp() bool {
	raw, err := c.sock.SyscallConn()
	if err != nil {
		return true
	}
	p := []unix.PollFd{{}}
	err = raw.Control(func(fd uintptr) {
		p[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP}
		_, _ = unix.Poll(p, 0)
	})
	return err != nil || p[0].Revents != 0
}

func (c *conn) serve() {
	defer c.f.active.Done()
	defer c.finish()
	client, silent, err := c.hello()
	if err != nil {
		c.f.t.Errorf("hello: %v", err)
		return
	}
	if client == nil {
		return
	}
	if !silent && !c.open(client) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.write()
	}()
	c.read()
	c.stop()
	<-done
}

// hello reads the request for a channel.
func (c *conn) hello() (client memory.Acceptor, silent bool, err error) {
	le := binary.LittleEndian
	var head [8]byte
	if _, err := io.ReadFull(c.sock, head[:]); err != nil {
		return nil, false, nil // given up
	}
	rest := make([]byte, int(le.Uint32(head[:]))-len(head))
	if _, err := io.ReadFull(c.sock, rest); err != nil {
		return nil, false, err
	}
	n := int(le.Uint32(rest))
	if le.Uint32(head[4:]) != 0 || len(rest) != 4+n+4 || le.Uint32(rest[4+n:]) == 0 {
		return nil, false, errors.New("not one for a dynamic channel")
	}
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.name = string(rest[4 : 4+n])
	return c.f.client, c.f.silent, nil
}

// open has the client accept the channel.
func (c *conn) open(client memory.Acceptor) bool {
	r, err := client.Accept(c.name, c)
	status := []byte{0, 0, 0, 0}
	if err != nil {
		status = []byte{1, 0, 0, 0xC0}
	} else {
		c.mu.Lock()
		c.receiver = r
		c.mu.Unlock()
	}
	_, _ = c.sock.Write(status)
	return err == nil
}

// read makes a message of each recv. It is slow enough for messages to meet in the
// socket.
func (c *conn) read() {
	buf := make([]byte, recvSize)
	for {
		if rand.IntN(3) == 0 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
		n, err := c.sock.Read(buf)
		if err != nil {
			return
		}
		c.f.mu.Lock()
		client, silent := c.f.client, c.f.silent
		c.f.mu.Unlock()
		if client == nil {
			return // chansrv drops whoever writes while there is no client
		}
		c.mu.Lock()
		r, gone := c.receiver, c.gone
		c.mu.Unlock()
		if r == nil || gone || silent {
			continue
		}
		if err := r.Receive(buf[:n]); err != nil {
			c.endClient()
		}
	}
}

// write cuts and joins what the client has sent.
func (c *conn) write() {
	for {
		c.mu.Lock()
		for len(c.out) == 0 && !c.over {
			c.filled.Wait()
		}
		out := c.out
		c.out = nil
		over := c.over
		c.mu.Unlock()
		if over {
			return
		}
		for len(out) > 0 {
			n := min(len(out), 1+rand.IntN(1<<rand.IntN(17)))
			if _, err := c.sock.Write(out[:n]); err != nil {
				return
			}
			out = out[n:]
		}
	}
}

// Send implements channels.Sender.
func (c *conn) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.gone {
		return channels.ErrClosed
	}
	c.out = append(c.out, msg...)
	c.filled.Signal()
	return nil
}

// Sent implements channels.Conn.
func (c *conn) Sent() (uint64, error) { return 0, channels.ErrNotCounted }

// endClient ends the client's end.
func (c *conn) endClient() {
	c.mu.Lock()
	r := c.receiver
	first := !c.gone && r != nil
	c.gone = c.gone || first
	c.mu.Unlock()
	if first {
		r.Closed()
	}
}

func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.filled.Signal()
}

func (c *conn) finish() {
	_ = c.sock.Close()
	c.endClient()
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	delete(c.f.conns, c)
}
