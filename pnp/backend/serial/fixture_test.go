// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// patience is a watchdog.
const patience = 20 * time.Second

// tick is how often a test checks a condition that it waits for.
const tick = 100 * time.Microsecond

// bench is a port made of a pseudo terminal, with the other end of its line.
type bench struct {
	t      *testing.T
	path   string
	master *os.File
	dev    *Device
}

func newBench(t *testing.T) *bench {
	t.Helper()
	master, path := devtest.OpenPTY(t)
	return &bench{t: t, path: path, master: master, dev: device(t, path, false)}
}

func device(t *testing.T, path string, readOnly bool) *Device {
	t.Helper()
	d, err := New(backend.Source{Path: path, Description: pnp.Description{Name: "test"}, ReadOnly: readOnly})
	require.NoError(t, err)
	return d
}

// hangUp unplugs the port.
func (b *bench) hangUp() { b.master.Close() }

// feed sends data from the other end. It uses package unix like the handle, so that the
// race detector knows that data is written before it is read.
func (b *bench) feed(data []byte) {
	conn, err := b.master.SyscallConn()
	if err == nil && len(data) > 0 {
		var failed error
		err = conn.Write(func(fd uintptr) bool {
			for len(data) > 0 {
				n, err := retry(unix.Write, int(fd), data)
				if err != nil {
					failed = err
					return err != unix.EAGAIN
				}
				data = data[n:]
			}
			failed = nil
			return true
		})
		err = errors.Join(err, failed)
	}
	if err != nil {
		b.t.Errorf("write to the master: %v", err)
	}
}

// sink returns the next n bytes that came to the other end.
func (b *bench) sink(n int) []byte {
	data := make([]byte, n)
	conn, err := b.master.SyscallConn()
	if err == nil && n > 0 {
		at := 0
		var failed error
		err = conn.Read(func(fd uintptr) bool {
			for at < n {
				k, err := retry(unix.Read, int(fd), data[at:])
				if err != nil {
					failed = err
					return err != unix.EAGAIN
				}
				at += k
			}
			failed = nil
			return true
		})
		err = errors.Join(err, failed)
	}
	if err != nil {
		b.t.Errorf("read from the master: %v", err)
		return nil
	}
	return data
}

// termios are the settings of the port, as its other end sees them.
func (b *bench) termios() unix.Termios {
	b.t.Helper()
	conn, err := b.master.SyscallConn()
	require.NoError(b.t, err)
	var t unix.Termios
	require.NoError(b.t, conn.Control(func(fd uintptr) { t, err = devnode.GetTermios(int(fd)) }))
	require.NoError(b.t, err)
	return t
}

// opened is an open port.
type opened struct {
	*bench
	h        *handle
	closed   bool
	released chan struct{}
}

func (b *bench) open() *opened { return b.openAs(acceptance.ReadWrite) }

func (b *bench) openAs(r pnp.OpenRequest) *opened {
	b.t.Helper()
	h, err := b.dev.Open(r)
	require.NoError(b.t, err)
	o := &opened{bench: b, h: h.(*handle), released: make(chan struct{})}
	b.t.Cleanup(o.close)
	return o
}

func openBench(t *testing.T) *opened { return newBench(t).open() }

// beginClose closes the handle and does not wait.
func (o *opened) beginClose() {
	if !o.closed {
		o.closed = true
		o.h.Close(func() { close(o.released) })
	}
}

// close closes the handle and waits until it is released.
func (o *opened) close() {
	o.beginClose()
	o.awaitRelease()
}

func (o *opened) awaitRelease() {
	o.t.Helper()
	select {
	case <-o.released:
	case <-time.After(patience):
		o.t.Fatal("the handle was never released")
	}
}

func (o *opened) isReleased() bool {
	select {
	case <-o.released:
		return true
	default:
		return false
	}
}

// arrived waits until the kernel has n bytes for the port, since it passes them on in
// a work queue.
func (o *opened) arrived(n int) {
	o.t.Helper()
	require.Eventually(o.t, func() bool { return o.h.port.unread() >= n }, patience, tick)
}

// call is a request under way.
type call struct {
	t    *testing.T
	r    *pnp.Request
	hr   pnp.HRESULT
	n    int
	done chan struct{}
}

func (o *opened) start(r *pnp.Request) *call {
	c := &call{t: o.t, r: r, done: make(chan struct{})}
	r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) {
		c.hr, c.n = hr, n
		close(c.done)
	})
	o.h.Submit(r)
	return c
}

func (o *opened) read(n int) *call {
	return o.start(&pnp.Request{Op: pnp.OpRead, Out: make([]byte, n)})
}

func (o *opened) write(data []byte) *call {
	return o.start(&pnp.Request{Op: pnp.OpWrite, In: append([]byte(nil), data...)})
}

func (o *opened) control(code uint32, in []byte, room int) *call {
	return o.start(&pnp.Request{Op: pnp.OpIOControl, Code: code, In: append([]byte(nil), in...), Out: make([]byte, room)})
}

// set carries out an IOControl that takes words and returns nothing.
func (o *opened) set(code uint32, words ...uint32) {
	o.t.Helper()
	o.control(code, ulongs(words...), 0).ends(pnp.S_OK, "")
}

// word carries out an IOControl that returns one word.
func (o *opened) word(code uint32) uint32 {
	o.t.Helper()
	c := o.control(code, nil, sizeULONG)
	c.wait()
	require.Equal(o.t, pnp.S_OK.Name(), c.hr.Name())
	require.Equal(o.t, sizeULONG, c.n)
	return binary.LittleEndian.Uint32(c.r.Out)
}

func (o *opened) status() status {
	o.t.Helper()
	c := o.control(IOCTL_SERIAL_GET_COMMSTATUS, nil, sizeStatus)
	c.wait()
	require.Equal(o.t, pnp.S_OK.Name(), c.hr.Name())
	require.Equal(o.t, sizeStatus, c.n)
	return get[status](c.r.Out)
}

func (o *opened) cancel(c *call) { o.h.Cancel(c.r) }

func (c *call) wait() {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatalf("%v 0x%08X never completed", c.r.Op, c.r.Code)
	}
}

// ends waits for the result and the data that came with it.
func (c *call) ends(hr pnp.HRESULT, data string) {
	c.t.Helper()
	c.wait()
	require.Equal(c.t, hr.Name(), c.hr.Name())
	require.Equal(c.t, data, string(c.r.Out[:c.n]))
}

// wrote waits for the result of a write.
func (c *call) wrote(hr pnp.HRESULT, n int) {
	c.t.Helper()
	c.wait()
	require.Equal(c.t, hr.Name(), c.hr.Name())
	require.Equal(c.t, n, c.n)
}

// happened waits for the events that end an IOCTL_SERIAL_WAIT_ON_MASK.
func (c *call) happened(events uint32) {
	c.t.Helper()
	c.ends(pnp.S_OK, string(ulongs(events)))
}

func (c *call) pending() {
	c.t.Helper()
	if c.r.Completed() {
		<-c.done
		c.t.Fatalf("completed with %v, %d bytes", c.hr, c.n)
	}
}

func ulongs(words ...uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}
