// SPDX-License-Identifier: Apache-2.0

// Package pipebridge gives a pipe that a client redirects to local programs, as a Unix
// socket or as a TCP port on the loopback.
//
// Each connection opens a handle of its own, once the client has announced the device,
// and bytes go both ways until either end closes. A named pipe cannot be closed for one
// direction alone, so the client does not learn that a program has only shut down its
// sending half: one at a Unix socket gets what still comes, until the pipe ends or is quiet.
// What a program writes at once is one
// write, and so one message of a pipe in message mode, up to 64 KiB and to what the
// transport can carry. Several reads are always pending, so that an answer of many messages
// does not take a round trip for each. A message may be of any length: ERROR_MORE_DATA says
// that it goes on. That is what DCE/RPC needs, where each fragment says how long it is. A
// bridge that knows that its pipe speaks DCE/RPC transceives calls.
package pipebridge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"freerdp-pnpdr/channels"
	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
)

const (
	// maxConnections is how many programs are served at a time; others wait to be
	// accepted.
	maxConnections = 64
	// chunk is the most that is written at once, in bytes.
	chunk = 64 << 10
	// pending is how many reads of a handle are under way, of readSize bytes each.
	pending  = 8
	readSize = 16 << 10
	// lingerTime is how long a client may take for what a program has written that has
	// closed the connection.
	lingerTime = 5 * time.Second
	// answerTime is how long the answer may take to what a program has sent that sends
	// nothing more, and quietTime how long after that nothing may come.
	answerTime = 30 * time.Second
	quietTime  = 5 * time.Second
	// lookTime is the time between two looks whether such a program is still there.
	lookTime = 200 * time.Millisecond
)

// Handle is what the bridge needs of a handle. *server.Handle is one.
type Handle interface {
	Start(r server.Request) (cancel func(), err error)
	WriteAt(ctx context.Context, p []byte, off uint64) (int, error)
	Close() error
}

// Opener opens a handle of a device. See server.Device.Open.
type Opener func(ctx context.Context) (Handle, error)

// Bridge is one pipe. Its methods may be called from any goroutine.
type Bridge struct {
	// Wrap, if any, is called with each handle that is opened; set it before anything is
	// added.
	Wrap func(Handle) Handle
	// RPC says that the pipe speaks DCE/RPC: then a call costs one round trip, with one
	// message each way. Set it before anything is added.
	RPC bool

	answerTime, quietTime time.Duration

	log      *slog.Logger
	listener net.Listener
	cleanup  func()
	serve    func(ctx context.Context, c net.Conn)
	slots    chan struct{} // one for each connection
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	devices []*device     // those that are there, in the order in which they came
	changed chan struct{} // closed when a device comes
}

// device is a device that is there.
type device struct {
	open Opener
	gone <-chan struct{}
}

// Listen makes a bridge whose connections wait until there is a device. log may be nil.
func Listen(a Address, log *slog.Logger) (*Bridge, error) { return listen(a, log, nil) }

// Serve makes a bridge that leads to a function of this process instead of a device. serve
// is called for each connection, which is closed when it returns, and when the bridge is.
func Serve(a Address, log *slog.Logger, serve func(ctx context.Context, c net.Conn)) (*Bridge, error) {
	return listen(a, log, serve)
}

func listen(a Address, log *slog.Logger, serve func(ctx context.Context, c net.Conn)) (*Bridge, error) {
	l, cleanup, err := a.listen()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	b := &Bridge{
		answerTime: answerTime, quietTime: quietTime,
		log: log.With("pipe", a.String()), listener: l, cleanup: cleanup, serve: serve,
		slots: make(chan struct{}, maxConnections), changed: make(chan struct{}),
	}
	if b.serve == nil {
		b.serve = b.relay
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.running.Add(1)
	go b.accept()
	return b, nil
}

// Addr returns where programs connect to: with a port, if any was to be chosen.
func (b *Bridge) Addr() net.Addr { return b.listener.Addr() }

// Close ends all connections, and returns when nothing of the bridge is left. Further
// calls do nothing.
func (b *Bridge) Close() {
	b.mu.Lock()
	closed := b.closed
	b.closed = true
	b.mu.Unlock()
	if !closed {
		b.cancel()
		_ = b.listener.Close()
		b.cleanup()
	}
	b.running.Wait()
}

// Add lets new connections open a device, until gone is closed or the bridge is. Of
// several devices the one is used that came first.
func (b *Bridge) Add(open Opener, gone <-chan struct{}) {
	d := &device{open, gone}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.devices = append(b.devices, d)
	close(b.changed)
	b.changed = make(chan struct{})
	b.running.Add(1)
	go func() {
		defer b.running.Done()
		select {
		case <-gone:
		case <-b.ctx.Done():
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.devices = slices.DeleteFunc(b.devices, func(o *device) bool { return o == d })
	}()
}

// Follow adds the devices of a session that match, now and later, until ctx or the
// session ends. It returns at once. match is called from another goroutine.
func (b *Bridge) Follow(ctx context.Context, s *server.Session, match func(*server.Device) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.running.Add(1)
	go func() {
		defer b.running.Done()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(b.ctx, cancel)()
		known := make(map[*server.Device]bool)
		for {
			d, err := s.WaitDevice(ctx, func(d *server.Device) bool { return !known[d] && match(d) })
			if err != nil {
				return
			}
			maps.DeleteFunc(known, func(d *server.Device, _ bool) bool { return isClosed(d.Gone()) })
			known[d] = true
			b.Add(func(ctx context.Context) (Handle, error) {
				h, err := d.Open(ctx, server.OpenOptions{})
				if err != nil {
					return nil, err // not an interface that holds a nil pointer
				}
				return h, nil
			}, d.Gone())
		}
	}()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// first returns the device that connections open, waiting for it.
func (b *Bridge) first(ctx context.Context) (*device, error) {
	for {
		b.mu.Lock()
		if len(b.devices) > 0 {
			defer b.mu.Unlock()
			return b.devices[0], nil
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// open opens the device as soon as there is one that is not busy. One that has gone may
// take a moment to be known as gone.
func (b *Bridge) open(ctx context.Context) (h Handle, gone <-chan struct{}, err error) {
	for {
		d, err := b.first(ctx)
		if err != nil {
			return nil, nil, err
		}
		h, err := d.open(ctx)
		later := errors.Is(err, pnp.ERROR_PIPE_BUSY) || errors.Is(err, pnp.ERROR_DEVICE_NOT_CONNECTED) || errors.Is(err, channels.ErrClosed)
		if err == nil && b.Wrap != nil {
			h = b.Wrap(h)
		}
		if !later || !pause(ctx) {
			return h, d.gone, err
		}
	}
}

// accept serves connections until the bridge is closed.
func (b *Bridge) accept() {
	defer b.running.Done()
	for {
		select {
		case b.slots <- struct{}{}:
		case <-b.ctx.Done():
			return
		}
		c, err := b.listener.Accept()
		switch {
		case b.ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return
		case err != nil:
			<-b.slots
			b.log.Warn("a connection was not accepted", "err", err)
			if !pause(b.ctx) {
				return
			}
			continue
		}
		b.running.Add(1)
		go func() {
			defer b.running.Done()
			defer func() { <-b.slots }()
			defer pnp.Guard(b.log, "serving a connection", nil)
			defer c.Close()
			ctx, cancel := context.WithCancel(b.ctx)
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			defer cancel()
			b.serve(ctx, c)
		}()
	}
}

// relay opens a handle for a connection and moves bytes until either ends.
func (b *Bridge) relay(ctx context.Context, c net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { _ = c.Close() })() // ends receive
	opening, stop := context.WithCancel(ctx)
	var moving sync.WaitGroup
	defer moving.Wait()
	defer cancel() // before the wait
	written, taken := make(chan []byte), make(chan struct{})
	out := newAnswers(c)
	moving.Add(1)
	go func() {
		defer moving.Done()
		defer cancel()
		receive(ctx, c, out, written)
		close(written)
		b.sentAll(ctx, c, out, taken)
		stop()
		linger := time.NewTimer(lingerTime)
		defer linger.Stop()
		select {
		case <-taken:
		case <-linger.C:
		case <-ctx.Done():
		}
	}()

	h, gone, err := b.open(opening)
	if err != nil {
		if opening.Err() == nil {
			b.log.Warn("the device cannot be opened; the connection is closed", "err", err)
		}
		return
	}
	b.log.Debug("a program is connected")
	// Its end completes whatever is outstanding.
	defer context.AfterFunc(ctx, func() { _ = h.Close() })()
	defer h.Close()
	if b.RPC {
		defer close(taken)
		err := (&calls{h: h, gone: gone, to: out}).relay(ctx, written)
		if err != nil && !ended(err) && ctx.Err() == nil {
			b.log.Warn("a call failed; the connection is closed", "err", err)
		}
		b.log.Debug("a program is disconnected")
		return
	}
	moving.Add(1)
	go func() {
		defer moving.Done()
		defer close(taken)
		if err := write(ctx, h, written); err != nil && !ended(err) {
			if ctx.Err() == nil {
				b.log.Warn("writing failed; the connection is closed", "err", err)
			}
			cancel()
		}
	}()
	switch err := read(h, out); {
	case err == nil: // the program takes nothing any more
		<-ctx.Done()
	case !ended(err) && ctx.Err() == nil:
		b.log.Warn("reading failed; the connection is closed", "err", err)
	}
	b.log.Debug("a program is disconnected")
}

// receive passes on what the program writes, until it sends nothing more.
func receive(ctx context.Context, c net.Conn, out *answers, to chan<- []byte) {
	p := make([]byte, chunk)
	for {
		n, err := c.Read(p)
		if n > 0 {
			out.awaited.Store(true)
			select {
			case to <- slices.Clone(p[:n]):
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// write passes on to the handle what the program has written, until from is closed.
func write(ctx context.Context, h Handle, from <-chan []byte) error {
	for {
		select {
		case p, ok := <-from:
			if !ok {
				return nil
			}
			for len(p) > 0 {
				n, err := h.WriteAt(ctx, p, 0)
				if err != nil {
					return err
				}
				if n == 0 {
					return io.ErrShortWrite
				}
				p = p[n:]
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// read passes on what the handle reads, until it or the program ends; the error is nil for
// the program. The reads that are pending then end with the handle.
func read(h Handle, to io.Writer) error {
	type result struct {
		n   int
		err error
	}
	type slot struct {
		p    []byte
		done chan result
	}
	var slots [pending]slot
	start := func(s *slot) error {
		_, err := h.Start(server.Request{Op: pnp.OpRead, Out: s.p, Done: func(n int, err error) { s.done <- result{n, err} }})
		return err
	}
	for i := range slots {
		slots[i] = slot{make([]byte, readSize), make(chan result, 1)}
		if err := start(&slots[i]); err != nil {
			return err
		}
	}
	// The client serves them in the order in which they were sent.
	for i := 0; ; i = (i + 1) % pending {
		s := &slots[i]
		r := <-s.done
		if r.n > 0 {
			if _, err := to.Write(s.p[:r.n]); err != nil {
				return nil // the program has closed
			}
		}
		if r.err != nil && !errors.Is(r.err, pnp.ERROR_MORE_DATA) {
			return r.err
		}
		if err := start(s); err != nil {
			return err
		}
	}
}

// ended reports whether err is a usual end of a pipe, after which there may be something
// left to read.
func ended(err error) bool {
	for _, end := range []error{
		pnp.ERROR_BROKEN_PIPE, pnp.ERROR_NO_DATA, pnp.ERROR_PIPE_NOT_CONNECTED, pnp.ERROR_HANDLE_EOF,
		pnp.ERROR_DEVICE_NOT_CONNECTED, channels.ErrClosed, os.ErrClosed, io.EOF, io.ErrClosedPipe,
	} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
