// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"io"
	"log/slog"
	"sync"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// Serve makes a pipe in message mode whose other end is in this process: serve is
// called for each handle, with the request that opened it, on a goroutine of its own.
// conn is a stream of what was written to the handle, whatever the messages were, and
// each Write to it is a message; at most 64 KiB wait in either direction. Its methods may
// be called from any goroutine.
//
// When the handle is closed, conn.Read returns io.EOF and conn.Write fails; serve must
// return then. When serve returns, the other end closes.
func Serve(d pnp.Description, log *slog.Logger, serve func(conn io.ReadWriteCloser, r pnp.OpenRequest)) *Device {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	dev := &Device{description: &d, log: log}
	dev.connect = func(r pnp.OpenRequest) (end, error) {
		if err := r.CheckCancelled(); err != nil {
			return nil, err
		}
		p := &served{done: make(chan struct{})}
		p.changed = sync.NewCond(&p.mu)
		go func() {
			defer close(p.done)
			defer p.Close()
			defer pnp.Guard(log, "serving "+d.Name, nil)
			serve(p, r)
		}()
		return p, nil
	}
	return dev
}

// served is a connection within the process: the end that the handle uses, and the
// one that serve uses.
type served struct {
	done chan struct{} // closed when serve has returned

	mu      sync.Mutex
	changed *sync.Cond
	// in is what was written to the handle, out what it is to read.
	in, out                 [][]byte
	inBytes, outBytes       int
	handleClosed, ourClosed bool
}

// roomFor reports whether a message can be added to those that wait.
func roomFor(bytes, messages int) bool { return bytes < maxUnread && messages < maxMessages }

func (p *served) messages() bool { return true }

func (p *served) receive() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.out) == 0 {
		if p.ourClosed || p.handleClosed {
			return nil, io.EOF
		}
		p.changed.Wait()
	}
	msg := p.out[0]
	p.out[0] = nil
	p.out = p.out[1:]
	p.outBytes -= len(msg)
	p.changed.Broadcast()
	return msg, nil
}

func (p *served) send(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ourClosed || p.handleClosed:
		return 0, unix.EPIPE
	case !roomFor(p.inBytes, len(p.in)):
		return 0, unix.EAGAIN
	}
	if len(b) > 0 { // of an empty message a stream has nothing
		p.in = append(p.in, append([]byte(nil), b...))
		p.inBytes += len(b)
		p.changed.Broadcast()
	}
	return len(b), nil
}

func (p *served) await() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.handleClosed && !p.ourClosed && !roomFor(p.inBytes, len(p.in)) {
		p.changed.Wait()
	}
	if p.handleClosed {
		return io.ErrClosedPipe
	}
	return nil
}

func (p *served) shutdown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handleClosed = true
	p.changed.Broadcast()
}

func (p *served) close() { <-p.done }

// Read implements io.Reader.
func (p *served) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.in) == 0 {
		switch {
		case p.ourClosed:
			return 0, io.ErrClosedPipe
		case p.handleClosed:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
	n := copy(b, p.in[0])
	p.inBytes -= n
	if p.in[0] = p.in[0][n:]; len(p.in[0]) == 0 {
		p.in = p.in[1:]
	}
	p.changed.Broadcast()
	return n, nil
}

// Write implements io.Writer. It waits until there is room.
func (p *served) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.ourClosed:
			return 0, io.ErrClosedPipe
		case p.handleClosed:
			return 0, io.ErrClosedPipe
		case roomFor(p.outBytes, len(p.out)):
			p.out = append(p.out, append([]byte(nil), b...))
			p.outBytes += len(b)
			p.changed.Broadcast()
			return len(b), nil
		}
		p.changed.Wait()
	}
}

// Close implements io.Closer. The handle can still read what was written.
func (p *served) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ourClosed = true
	p.changed.Broadcast()
	return nil
}
