// SPDX-License-Identifier: Apache-2.0

package char

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/internal/fusetest"
)

// patience is a watchdog.
const patience = 20 * time.Second

// printer is a driver that behaves as usblp does for a descriptor with O_NONBLOCK: a
// write only queues a transfer of at most transferSize bytes, the node is writable again
// when the printer has the data, and closing the node drops the transfer. One handle at
// a time can be open.
type printer struct {
	t   *testing.T
	fs  *fusetest.FS
	log devtest.Output

	mu      sync.Mutex
	handle  uint64 // 0: not open
	queued  []byte
	paper   []byte
	dropped int
	gone    bool
	reads   [][]byte // transfers from the printer
	fails   unix.Errno
	opened  int
	fast    int // how many transfers the printer takes at once
}

const transferSize = 8192

func newPrinter(t *testing.T) *printer {
	p := &printer{t: t}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fs = fusetest.Mount(t, p.serve)
	return p
}

func (p *printer) serve(r *fusetest.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.Op {
	case fusetest.Open:
		if p.handle != 0 {
			r.Fail(unix.EBUSY)
			return
		}
		p.handle = r.Handle
		p.opened++
		p.tell() // first, or the kernel takes it for a file that is always ready
		r.Opened(fusetest.DirectIO | fusetest.Stream)
	case fusetest.Release:
		p.handle = 0
		p.dropped += len(p.queued)
		p.queued = nil
	case fusetest.Poll:
		r.Polled(p.events())
	case fusetest.Ioctl:
		r.Fail(unix.ENOTTY)
	case fusetest.Write:
		switch {
		case p.fails != 0:
			r.Fail(p.fails)
		case len(p.queued) > 0:
			r.Fail(unix.EAGAIN)
		default:
			n := min(len(r.Data), transferSize)
			if p.fast > 0 {
				p.fast--
				p.paper = append(p.paper, r.Data[:n]...)
			} else {
				p.queued = bytes.Clone(r.Data[:n])
			}
			p.tell()
			r.Wrote(n)
		}
	case fusetest.Read:
		switch {
		case p.fails != 0:
			r.Fail(p.fails)
		case len(p.reads) == 0:
			r.Fail(unix.EAGAIN)
		default:
			r.Gives(p.reads[0])
			p.reads = p.reads[1:]
			p.tell()
		}
	}
}

func (p *printer) events() (events uint32) {
	if len(p.queued) == 0 {
		events |= unix.POLLOUT
	}
	if len(p.reads) > 0 || p.fails != 0 {
		events |= unix.POLLIN
	}
	if p.gone {
		events |= unix.POLLHUP
	}
	return events
}

func (p *printer) tell() { p.fs.Events(p.handle, p.events()) }

// has waits until the driver has queued n bytes.
func (p *printer) has(n int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.queued) == n
	}, patience, time.Millisecond)
}

// take has the printer take the transfer that is queued.
func (p *printer) take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paper = append(p.paper, p.queued...)
	p.queued = nil
	p.tell()
}

// change changes the driver's state.
func (p *printer) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.tell()
}

// open opens the printer. Closing the handle waits for a transfer for ever.
func (p *printer) open() pnp.Handle { return p.openFor(time.Hour) }

func (p *printer) openFor(closeLimit time.Duration) pnp.Handle {
	p.t.Helper()
	d, err := New(backend.Source{Path: p.fs.Path, Log: p.log.Logger(slog.LevelWarn)})
	require.NoError(p.t, err)
	d.closeLimit = closeLimit
	return open(p.t, fromUserSpace{d, threads})
}

// result is the end of a request.
type result struct {
	hr pnp.HRESULT
	n  int
}

func submit(h pnp.Handle, r *pnp.Request) <-chan result {
	done := make(chan result, 1)
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) { done <- result{hr, n} })
	h.Submit(r)
	return done
}

func (p *printer) wait(done <-chan result) result {
	p.t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		p.t.Fatal("never completed")
		panic("unreachable")
	}
}

// TestAWriteIsCompleteWhenTheDeviceHasIt: a driver that queues a write may still drop
// it. A cancelled write counts what the printer has.
func TestAWriteIsCompleteWhenTheDeviceHasIt(t *testing.T) {
	p := newPrinter(t)
	h := p.open()
	data := acceptance.Pattern(2*transferSize + 104)
	done := submit(h, &pnp.Request{Op: pnp.OpWrite, In: data})
	for _, n := range []int{transferSize, transferSize, 104} {
		p.has(n)
		require.Empty(t, done)
		p.take()
	}
	require.Equal(t, result{pnp.S_OK, len(data)}, p.wait(done))
	p.change(func() { require.Equal(t, data, p.paper) })

	r := &pnp.Request{Op: pnp.OpWrite, In: data}
	p.change(func() { p.fast = 1 })
	done = submit(h, r)
	p.has(transferSize)
	require.Eventually(t, func() bool { // the handle knows what the driver has
		h.(*handle).q.Lock()
		defer h.(*handle).q.Unlock()
		return h.(*handle).queued == 2*transferSize
	}, patience, time.Millisecond)
	h.Cancel(r)
	require.Equal(t, result{pnp.ERROR_OPERATION_ABORTED, transferSize}, p.wait(done))
	closed(h)
}

// TestCloseLetsATransferEnd: a printer that is paused or slow gets the data of a handle
// that is closed, and an open meanwhile waits for that.
func TestCloseLetsATransferEnd(t *testing.T) {
	p := newPrinter(t)
	h := p.open()
	done := submit(h, &pnp.Request{Op: pnp.OpWrite, In: []byte("page")})
	p.has(4)
	released := make(chan struct{})
	h.Close(func() { close(released) })
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED, p.wait(done).hr)
	again := make(chan pnp.Handle, 1)
	go func() { again <- p.open() }()
	p.has(4)
	select {
	case <-released:
		t.Error("the node was closed")
	case <-time.After(50 * time.Millisecond): // to test more; it passes without
	}
	require.Empty(t, again)
	p.take()
	<-released
	closed(<-again)
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Equal(t, "page", string(p.paper))
	require.Zero(t, p.dropped)
	require.Empty(t, p.log.String())
}

// TestCloseDoesNotWaitInVain for a transfer that nobody wants or that can never end.
func TestCloseDoesNotWaitInVain(t *testing.T) {
	p := newPrinter(t)
	h := p.open()
	r := &pnp.Request{Op: pnp.OpWrite, In: []byte("page")}
	done := submit(h, r)
	p.has(4)
	h.Cancel(r)
	p.wait(done)
	closed(h)
	require.Empty(t, p.log.String())

	h = p.open()
	submit(h, &pnp.Request{Op: pnp.OpWrite, In: []byte("page")})
	p.has(4)
	p.change(func() { p.gone = true })
	closed(h)
}

// TestCloseGivesUp: a printer that is paused for ever does not keep a handle for ever,
// and the log says that data may be lost.
func TestCloseGivesUp(t *testing.T) {
	p := newPrinter(t)
	h := p.openFor(time.Millisecond)
	submit(h, &pnp.Request{Op: pnp.OpWrite, In: []byte("page")})
	p.has(4)
	closed(h)
	require.Contains(t, p.log.String(), "data may be lost")
}

// TestEmptyTransfer: it is not the end of file.
func TestEmptyTransfer(t *testing.T) {
	p := newPrinter(t)
	h := p.open()
	done := submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 16)})
	p.change(func() { p.reads = [][]byte{nil, []byte("ready")} })
	require.Equal(t, result{pnp.S_OK, 0}, p.wait(done))
	require.Equal(t, result{pnp.S_OK, 5}, p.wait(submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 16)})))
	closed(h)
}

// TestFailingTransfer: when a device is unplugged, its transfers fail before the kernel
// notices that it has gone.
func TestFailingTransfer(t *testing.T) {
	for name, c := range map[string]struct {
		unplug bool
		want   pnp.HRESULT
	}{
		"unplugged": {true, pnp.ERROR_DEVICE_NOT_CONNECTED},
		"broken":    {false, pnp.ERROR_IO_DEVICE},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPrinter(t)
			h := p.open()
			read := submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 16)})
			p.change(func() { p.fails = unix.EIO })
			write := submit(h, &pnp.Request{Op: pnp.OpWrite, In: []byte("page")})
			if c.unplug {
				time.Sleep(20 * time.Millisecond) // both have failed, or will
				p.change(func() { p.gone = true })
			}
			require.Equal(t, result{c.want, 0}, p.wait(read))
			require.Equal(t, result{c.want, 0}, p.wait(write))
			closed(h)
		})
	}
}
