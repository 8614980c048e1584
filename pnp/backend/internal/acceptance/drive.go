// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"freerdp-pnpdr/pnp"
)

// watchdog ends a test that hangs. It is far longer than a slow machine needs.
const watchdog = 20 * time.Second

// driver is the channel's side of one handle.
type driver struct {
	t *testing.T
	h pnp.Handle

	order    sync.Mutex // Submit is called from one goroutine at a time
	closed   bool
	released chan struct{}
	stuck    bool // released only after Unstick
}

// open opens the device; the handle is closed when the test ends, at the latest.
func open(t *testing.T, s *suite, d pnp.Device, r pnp.OpenRequest) *driver {
	t.Helper()
	h, err := d.Open(r)
	require.NoError(t, err)
	require.NotNil(t, h)
	x := s.driver(t, h)
	t.Cleanup(func() {
		if s.Unstick != nil {
			s.Unstick()
		}
		x.end()
		x.awaitRelease()
	})
	return x
}

func (s *suite) driver(t *testing.T, h pnp.Handle) *driver {
	return &driver{t: t, h: h, released: make(chan struct{}), stuck: s.Unstick != nil}
}

// call is one request on its way.
type call struct {
	t    *testing.T
	r    *pnp.Request
	hr   pnp.HRESULT
	n    int
	done chan struct{}
	free chan struct{} // closed when nobody uses the buffers any more
	// then runs inside Complete, before done is closed.
	then func()
}

// prepare makes the request without starting it.
func (d *driver) prepare(m Template) *call {
	c := &call{t: d.t, done: make(chan struct{}), free: make(chan struct{})}
	c.r = &pnp.Request{Op: m.Op, Code: m.Code, Offset: m.Offset}
	switch m.Op {
	case pnp.OpWrite:
		c.r.In = Pattern(m.Len)
	case pnp.OpIOControl:
		c.r.In, c.r.Out = append([]byte(nil), m.In...), make([]byte, m.Len)
	default:
		c.r.Out = make([]byte, m.Len)
	}
	c.r.OnComplete(func(_ *pnp.Request, hr pnp.HRESULT, n int) {
		c.hr, c.n = hr, n
		if c.then != nil {
			c.then()
		}
		close(c.done)
	})
	c.r.OnFree(func(*pnp.Request) { close(c.free) })
	return c
}

// submit passes the request to the handle as the channel does.
func (d *driver) submit(c *call) {
	d.order.Lock()
	defer d.order.Unlock()
	if d.closed {
		c.r.Complete(pnp.ERROR_OPERATION_ABORTED, 0)
		return
	}
	d.h.Submit(c.r)
}

func (d *driver) cancel(c *call) { d.h.Cancel(c.r) }

func (d *driver) start(m Template) *call {
	c := d.prepare(m)
	d.submit(c)
	return c
}

func (d *driver) read(offset uint64, n int) *call {
	return d.start(Template{Op: pnp.OpRead, Offset: offset, Len: n})
}

func (d *driver) write(offset uint64, data []byte) *call {
	c := d.prepare(Template{Op: pnp.OpWrite, Offset: offset})
	c.r.In = append([]byte(nil), data...)
	d.submit(c)
	return c
}

// end closes the handle, once.
func (d *driver) end() {
	d.order.Lock()
	closed := d.closed
	d.closed = true
	d.order.Unlock()
	if !closed {
		d.h.Close(func() { close(d.released) })
	}
}

// close closes the handle and checks that it is released, unless the driver hangs.
func (d *driver) close() {
	d.end()
	if !d.stuck {
		d.awaitRelease()
	}
}

func (d *driver) awaitRelease() {
	within(d.t, "the handle is released", func() { <-d.released })
}

// wait waits for the call to complete and checks that a second Complete changes
// nothing.
func (c *call) wait() (pnp.HRESULT, int) {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(watchdog):
		stacks := make([]byte, 1<<16)
		c.t.Fatalf("%v of %d bytes never completed\n%s", c.r.Op, max(len(c.r.In), len(c.r.Out)),
			stacks[:runtime.Stack(stacks, true)])
	}
	require.True(c.t, c.r.Completed())
	hr, n := c.hr, c.n
	require.False(c.t, c.r.Complete(pnp.E_UNEXPECTED, 0), "a second Complete counts")
	require.Equal(c.t, hr, c.hr)
	return hr, n
}

// gives waits for the result of a read or an IOControl.
func (c *call) gives(hr pnp.HRESULT, data []byte) {
	c.t.Helper()
	got, n := c.wait()
	require.Equal(c.t, hr.Name(), got.Name())
	require.Equal(c.t, len(data), n)
	require.True(c.t, string(data) == string(c.r.Out[:n]), "%v at %d: the data differs", c.r.Op, c.r.Offset)
}

// ends waits for a result and a count.
func (c *call) ends(hr pnp.HRESULT, n int) {
	c.t.Helper()
	gotHR, gotN := c.wait()
	require.Equal(c.t, hr.Name(), gotHR.Name())
	require.Equal(c.t, n, gotN)
}

// aborted waits for a cancelled call. A cancelled read has no data: the next read gets
// it. A write may have a count.
func (c *call) aborted() {
	c.t.Helper()
	hr, n := c.wait()
	require.Equal(c.t, pnp.ERROR_OPERATION_ABORTED.Name(), hr.Name())
	if c.r.Op != pnp.OpWrite {
		require.Zero(c.t, n)
	}
}

// pending checks that the call has not completed.
func (c *call) pending() {
	c.t.Helper()
	if c.r.Completed() {
		<-c.done
		c.t.Fatalf("%v completed with %v, %d bytes", c.r.Op, c.hr, c.n)
	}
}

// settle gives other goroutines time to block. The test passes even if they do not,
// but tests less.
func settle() { time.Sleep(2 * time.Millisecond) }

// within fails the test if f does not return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(watchdog):
		stacks := make([]byte, 1<<16)
		t.Errorf("never happened: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
	}
}

// checkLeaks compares goroutines and descriptors at the end of the test, after
// every other cleanup, with what is there now.
func checkLeaks(t *testing.T) {
	// The runtime's poller opens its own descriptors with the first pipe.
	r, w, err := os.Pipe()
	require.NoError(t, err)
	r.Close()
	w.Close()
	before := descriptors(t)
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() {
			return // a failed test may leave something behind
		}
		goleak.VerifyNone(t, ignore)
		now := descriptors(t)
		require.LessOrEqual(t, len(now), len(before), "descriptors leaked: %v before, now %v", before, now)
	})
}

// descriptors returns the open descriptors of the process.
func descriptors(t *testing.T) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	var targets []string
	for _, fd := range fds {
		// The one of the directory itself is closed by now.
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}
