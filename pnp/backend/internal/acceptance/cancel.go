// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// anyRequest is a request that every device accepts.
func (s *suite) anyRequest() Template {
	if len(s.Blocking) > 0 {
		return s.Blocking[0]
	}
	return Template{Op: pnp.OpRead, Len: 512}
}

// testCancelAtOnce cancels a request as soon as the handle has it: it completes once
// and soon, and does not block the next one.
func testCancelAtOnce(t *testing.T, s *suite) {
	for i, m := range append([]Template{{Op: pnp.OpRead, Len: 512}}, s.Blocking...) {
		if i > 0 {
			// A read of the last turn may still be in the kernel, where it
			// cannot be interrupted, and would take the data of this turn.
			s = &suite{Fixture: s.Fixture, Instance: s.New(t)}
		}
		d := open(t, s, s.Device, ReadWrite)
		c := d.start(m)
		d.cancel(c)
		if i > 0 || s.Stream && s.Feed != nil {
			c.aborted()
		} else {
			c.wait()
		}
		switch {
		case m.Op == pnp.OpRead && canFeed(s):
			s.Feed([]byte("next"))
			c = d.read(0, 4)
			hr, n := c.wait()
			require.Equal(t, pnp.S_OK, hr)
			require.Equal(t, "next"[:n], string(c.r.Out[:n]))
			for n < 4 {
				_, k := d.read(0, 4).wait()
				n += k
			}
		case m.Op == pnp.OpWrite && hasSink(s):
			// Of the cancelled one anything may have been written.
			next := d.write(0, []byte("\xff\xffnext"))
			within(t, "the next write arrives", func() {
				for last := ""; last != "\xff\xffnext"; {
					last += string(s.Sink(1))
					last = last[max(len(last)-6, 0):]
				}
			})
			next.ends(pnp.S_OK, 6)
		}
		d.close()
	}
}

func testCancelPending(t *testing.T, s *suite) {
	for _, m := range s.Blocking {
		for _, wait := range []bool{false, true} {
			d := open(t, s, s.Device, ReadWrite)
			c := d.start(m)
			if wait {
				settle()
			}
			c.pending()
			d.cancel(c)
			c.aborted()
			d.cancel(c)
			d.close()
		}
	}
}

// testCancelBetweenOthers cancels some of many that wait for the same thing.
func testCancelBetweenOthers(t *testing.T, s *suite) {
	for _, m := range s.Blocking {
		d := open(t, s, s.Device, ReadWrite)
		var cs []*call
		for range outstanding {
			cs = append(cs, d.start(m))
		}
		settle()
		for i, c := range slices.Backward(cs) {
			if i%3 != 0 {
				d.cancel(c)
				c.aborted()
			}
		}
		var left []*call
		for i, c := range cs {
			if i%3 == 0 {
				c.pending()
				left = append(left, c)
			}
		}
		if m.Op == pnp.OpRead && s.Stream && s.Feed != nil {
			// Those that stayed are served in their order.
			data := Pattern(len(left))
			for i, c := range left {
				s.Feed(data[i : i+1])
				c.gives(pnp.S_OK, data[i:i+1])
			}
		}
		for _, c := range left {
			d.cancel(c)
			c.wait()
		}
		d.close()
	}
}

func testCancelAfterCompletion(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	c := d.start(Template{Op: pnp.OpIOControl, Code: UnknownControl})
	c.ends(pnp.ERROR_INVALID_FUNCTION, 0)
	d.cancel(c)
	c.ends(pnp.ERROR_INVALID_FUNCTION, 0)
	if s.Content != nil {
		c = d.read(0, 64)
		c.gives(pnp.S_OK, s.Content[:64])
		d.cancel(c)
		c.gives(pnp.S_OK, s.Content[:64])
	}
}

// testCancelRace cancels at any moment; the request completes once, with its
// data or as cancelled.
func testCancelRace(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	m := s.anyRequest()
	for i := range 300 {
		c := d.start(m)
		for range i % 7 {
			runtime.Gosched()
		}
		d.cancel(c)
		hr, _ := c.wait()
		// The end is where a device has nothing to read.
		require.Contains(t, []pnp.HRESULT{pnp.S_OK, pnp.ERROR_OPERATION_ABORTED, pnp.ERROR_HANDLE_EOF}, hr)
	}
}

// testCancelFromCompletion calls the handle from Complete, which deadlocks if the
// handle holds a lock there.
func testCancelFromCompletion(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	m := s.anyRequest()
	first, second := d.prepare(m), d.prepare(m)
	first.then = func() {
		d.cancel(first)
		d.cancel(second)
	}
	d.submit(first)
	d.submit(second)
	within(t, "Cancel inside Complete", func() { d.cancel(first) })
	first.wait()
	d.cancel(second)
	second.wait()
}

func testClosePending(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	var cs []*call
	for range outstanding {
		for _, m := range s.Blocking {
			cs = append(cs, d.start(m))
		}
	}
	settle()
	within(t, "Close returns", d.close)
	for _, c := range cs {
		c.aborted()
	}
}

// testCloseRace closes while requests are being made and cancelled.
func testCloseRace(t *testing.T, s *suite) {
	m := s.anyRequest()
	for range 20 {
		d := open(t, s, s.Device, ReadWrite)
		var cs []*call
		for range outstanding {
			cs = append(cs, d.start(m))
		}
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, c := range cs {
				d.cancel(c)
			}
		}()
		d.close()
		wg.Wait()
		for _, c := range cs {
			c.wait()
		}
	}
}

func testCloseFromCompletion(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	m := s.anyRequest()
	first := d.prepare(m)
	d.submit(first)
	second := d.start(m)
	third := d.prepare(m)
	third.then = func() { d.h.Close(func() { close(d.released) }) }
	d.submit(third)
	within(t, "Close inside Complete", func() { d.cancel(third) })
	third.wait()
	d.order.Lock()
	d.closed = true
	d.order.Unlock()
	d.close()
	first.wait()
	second.wait()
}

// testBuffersReturned checks that nothing uses a request's buffers after they were
// freed: the race detector finds any use, and without it a late write shows. They are
// freed when the handle is released, at the latest.
func testBuffersReturned(t *testing.T, s *suite) {
	d := open(t, s, s.Device, ReadWrite)
	scribble := func(c *call) {
		for _, b := range [][]byte{c.r.In, c.r.Out} {
			for i := range b {
				b[i] = 0xA5
			}
		}
	}
	var early, late []*call
	for _, m := range s.Blocking {
		c := d.start(m)
		settle()
		d.cancel(c)
		c.aborted()
		select {
		case <-c.free:
			scribble(c)
			early = append(early, c)
		default:
			late = append(late, c)
		}
	}
	if s.Feed != nil && s.Stream {
		s.Feed([]byte{1, 2, 3, 4})
		hr, n := d.read(0, 4).wait()
		require.Equal(t, pnp.S_OK, hr)
		require.NotZero(t, n)
	}
	d.close()
	if s.Unstick != nil {
		s.Unstick()
	}
	for _, c := range late {
		within(t, "the buffers of a cancelled request are given back", func() { <-c.free })
		scribble(c)
	}
	for _, c := range append(early, late...) {
		for _, b := range append(c.r.Out[:len(c.r.Out):len(c.r.Out)], c.r.In...) {
			require.EqualValues(t, 0xA5, b, "a buffer was used after it was freed")
		}
	}
}
