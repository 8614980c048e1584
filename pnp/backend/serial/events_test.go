// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

func (o *opened) mask(events uint32) {
	o.t.Helper()
	o.set(IOCTL_SERIAL_SET_WAIT_MASK, events)
}

func (o *opened) waitOnMask() *call { return o.control(IOCTL_SERIAL_WAIT_ON_MASK, nil, sizeULONG) }

// TestWaitForACharacter feeds single bytes, each of which is one event.
func TestWaitForACharacter(t *testing.T) {
	o := openBench(t)
	o.mask(SERIAL_EV_RXCHAR | SERIAL_EV_CTS)
	require.EqualValues(t, SERIAL_EV_RXCHAR|SERIAL_EV_CTS, o.word(IOCTL_SERIAL_GET_WAIT_MASK))
	c := o.waitOnMask()
	c.pending()
	o.feed([]byte("a"))
	c.happened(SERIAL_EV_RXCHAR)
	// The byte was reported, and is still there.
	c = o.waitOnMask()
	require.EqualValues(t, 1, o.status().AmountInInQueue)
	c.pending()
	o.feed([]byte("b"))
	c.happened(SERIAL_EV_RXCHAR)
	o.read(2).ends(pnp.S_OK, "ab")
	// Data that was read while nobody waited ends the next wait.
	o.feed([]byte("c"))
	o.read(1).ends(pnp.S_OK, "c")
	c = o.waitOnMask()
	require.True(t, c.r.Completed())
	c.happened(SERIAL_EV_RXCHAR)
	// So does data that was not read.
	o.feed([]byte("d"))
	o.arrived(1)
	o.waitOnMask().happened(SERIAL_EV_RXCHAR)
	// A read that waits gets its data, too.
	c = o.waitOnMask()
	r := o.read(2)
	o.feed([]byte("e"))
	r.ends(pnp.S_OK, "de")
	c.happened(SERIAL_EV_RXCHAR)
}

func TestWaitForTheEventCharacter(t *testing.T) {
	o := openBench(t)
	o.control(IOCTL_SERIAL_SET_CHARS, []byte{0, 0, 0, '!', 0x11, 0x13}, 0).ends(pnp.S_OK, "")
	o.mask(SERIAL_EV_RXFLAG)
	c := o.waitOnMask()
	o.feed([]byte("a"))
	o.buffered(1)
	c.pending()
	o.feed([]byte("!"))
	c.happened(SERIAL_EV_RXFLAG)
	o.read(2).ends(pnp.S_OK, "a!")
}

// TestEventsComeTogether: a wait returns all events that happened before it.
func TestEventsComeTogether(t *testing.T) {
	o := openBench(t)
	o.mask(SERIAL_EV_RXFLAG | SERIAL_EV_RXCHAR | SERIAL_EV_BREAK | SERIAL_EV_ERR)
	o.handflow(0, SERIAL_ERROR_CHAR)
	o.come("a\xff\x00b\x00\xff\x00\x00")
	o.waitOnMask().happened(SERIAL_EV_RXCHAR | SERIAL_EV_RXFLAG | SERIAL_EV_BREAK | SERIAL_EV_ERR)
	c := o.waitOnMask()
	c.pending()
	// A new mask keeps the events that the old one has, too.
	o.mask(SERIAL_EV_ERR | SERIAL_EV_BREAK)
	c.happened(0)
	o.come("\xff\x00b\xff\x00\x00")
	o.mask(SERIAL_EV_BREAK)
	o.waitOnMask().happened(SERIAL_EV_BREAK)
	o.come("\xff\x00b")
	c = o.waitOnMask()
	c.pending()
	o.mask(0)
	c.happened(0)
}

func TestWaitForAFullQueue(t *testing.T) {
	o := openBench(t)
	o.mask(SERIAL_EV_RX80FULL)
	c := o.waitOnMask()
	const full = defaultQueue * 8 / 10
	o.feed(make([]byte, full-1))
	o.buffered(full - 1)
	c.pending()
	o.feed([]byte{0})
	c.happened(SERIAL_EV_RX80FULL)
	// The port reads no more than fits; the rest stays in the kernel.
	c = o.waitOnMask()
	go o.feed(make([]byte, 2*defaultQueue))
	o.buffered(defaultQueue)
	c.pending()
	o.read(full + 1 + 2*defaultQueue - 1).wait()
	o.cancel(c)
	c.ends(pnp.ERROR_OPERATION_ABORTED, "")
}

func TestWaitForEverythingSent(t *testing.T) {
	o := openBench(t)
	o.write([]byte("before")).wrote(pnp.S_OK, 6)
	o.mask(SERIAL_EV_TXEMPTY)
	require.False(t, o.h.tx.dirty, "that was before")
	c := o.waitOnMask()
	c.pending()
	o.write([]byte("x")).wrote(pnp.S_OK, 1)
	c.happened(SERIAL_EV_TXEMPTY)
	o.write([]byte("y")).wrote(pnp.S_OK, 1)
	o.waitOnMask().happened(SERIAL_EV_TXEMPTY)
	// Not while a write waits.
	o.set(IOCTL_SERIAL_SET_XOFF)
	w := o.write([]byte("z"))
	c = o.waitOnMask()
	c.pending()
	w.pending()
	o.set(IOCTL_SERIAL_SET_XON)
	w.wrote(pnp.S_OK, 1)
	c.happened(SERIAL_EV_TXEMPTY)
	require.Equal(t, "beforexyz", string(o.sink(9)))
}

func TestWaitRefuses(t *testing.T) {
	o := openBench(t)
	c := o.waitOnMask()
	c.ends(pnp.ERROR_INVALID_PARAMETER, "") // the mask is zero
	o.control(IOCTL_SERIAL_SET_WAIT_MASK, ulongs(0x2000), 0).ends(pnp.ERROR_INVALID_PARAMETER, "")
	o.mask(0x1FFF)
	first, second := o.waitOnMask(), o.waitOnMask()
	second.ends(pnp.ERROR_INVALID_PARAMETER, "")
	first.pending()
	o.mask(SERIAL_EV_RXCHAR)
	first.happened(0)
	third := o.waitOnMask()
	o.cancel(third)
	third.ends(pnp.ERROR_OPERATION_ABORTED, "")
	fourth := o.waitOnMask()
	o.feed([]byte("x"))
	fourth.happened(SERIAL_EV_RXCHAR)
	fifth := o.waitOnMask()
	o.close()
	fifth.ends(pnp.ERROR_OPERATION_ABORTED, "")
}

// TestWaitThroughAnUnplug: a wait with any kind of mask ends when the port goes.
func TestWaitThroughAnUnplug(t *testing.T) {
	for _, mask := range []uint32{SERIAL_EV_RXCHAR, SERIAL_EV_TXEMPTY, SERIAL_EV_CTS, SERIAL_EV_RXFLAG | SERIAL_EV_RING, 0x1FF} {
		o := openBench(t)
		o.mask(mask)
		c := o.waitOnMask()
		o.hangUp()
		c.ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
		o.close()
	}
}

// TestUnplugBehindAFullQueue: a wait ends when the port goes even if the queue is full
// and nothing reads.
func TestUnplugBehindAFullQueue(t *testing.T) {
	o := openBench(t)
	o.control(IOCTL_SERIAL_SET_CHARS, []byte{0, 0, 0, '!', 0x11, 0x13}, 0).ends(pnp.S_OK, "")
	o.mask(SERIAL_EV_RXFLAG)
	c := o.waitOnMask()
	o.feed(make([]byte, defaultQueue))
	o.buffered(defaultQueue)
	c.pending()
	o.hangUp()
	c.ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
}

// look gives the port a sample.
func (o *opened) look(s sample) {
	o.h.events.lines.Lock()
	defer o.h.events.lines.Unlock()
	o.h.q.Lock()
	defer o.h.q.Unlock()
	o.h.look(s)
}

// TestLineEvents changes the lines one by one, on drivers that count changes and on
// others.
func TestLineEvents(t *testing.T) {
	o := openBench(t)
	o.mask(0x1FFF)
	now := sample{}
	for _, c := range []struct {
		change func()
		want   uint32
	}{
		{func() { now.lines |= unix.TIOCM_CTS }, SERIAL_EV_CTS},
		{func() { now.lines &^= unix.TIOCM_CTS }, SERIAL_EV_CTS},
		{func() { now.lines |= unix.TIOCM_DSR }, SERIAL_EV_DSR},
		{func() { now.lines |= unix.TIOCM_CAR }, SERIAL_EV_RLSD},
		{func() { now.lines |= unix.TIOCM_RNG; now.counters.CTS++ }, SERIAL_EV_CTS}, // a ring tells its end
		{func() { now.lines &^= unix.TIOCM_RNG }, SERIAL_EV_RING},
		{func() { now.counters.CTS += 2 }, SERIAL_EV_CTS}, // there and back
		{func() { now.counters.DSR++ }, SERIAL_EV_DSR},
		{func() { now.counters.DCD++ }, SERIAL_EV_RLSD},
		{func() { now.counters.RNG++ }, SERIAL_EV_RING},
		{func() { now.counters.Brk++ }, SERIAL_EV_BREAK},
		{func() { now.counters.Frame++ }, SERIAL_EV_ERR},
		{func() { now.counters.Parity++ }, SERIAL_EV_ERR},
		{func() { now.counters.Overrun++ }, SERIAL_EV_ERR},
		{func() { now.counters.Buffers++ }, SERIAL_EV_ERR},
		{func() { now.lines ^= unix.TIOCM_DTR | unix.TIOCM_RTS; now.lines ^= unix.TIOCM_DSR }, SERIAL_EV_DSR},
	} {
		w := o.waitOnMask()
		w.pending()
		o.look(now)
		w.pending()
		c.change()
		o.look(now)
		w.happened(c.want)
	}
	// With marks in the data the counters do not report the same errors again.
	o.handflow(0, SERIAL_ERROR_CHAR)
	w := o.waitOnMask()
	now.counters.Brk++
	now.counters.Frame++
	now.counters.Parity++
	o.look(now)
	w.pending()
	o.cancel(w)
}

// TestRings: Windows counts the end of a ring. Drivers count that, both edges or nothing;
// a USB modem reports a ring once.
func TestRings(t *testing.T) {
	const on = unix.TIOCM_RNG
	s := func(lines int, count int32) sample { return sample{lines, counters{RNG: count}} }
	for _, c := range []struct {
		then, now   sample
		port, modem bool
	}{
		{s(0, 0), s(0, 0), false, false},
		{s(0, 0), s(on, 0), false, false},
		{s(0, 0), s(on, 1), false, true}, // both edges are counted
		{s(on, 1), s(on, 1), false, false},
		{s(on, 1), s(0, 2), true, true},
		{s(on, 0), s(0, 0), true, false}, // nothing is counted
		{s(on, 0), s(0, 1), true, true},  // the trailing edge is counted
		{s(0, 0), s(0, 1), true, true},   // between two looks
		{s(on, 0), s(on, 1), true, true},
	} {
		require.Equal(t, c.port, port{}.rang(c.then, c.now), "%+v", c)
		require.Equal(t, c.modem, port{modem: true}.rang(c.then, c.now), "modem: %+v", c)
	}
}

// TestErrorsOfTheCounters: each error is reported once.
func TestErrorsOfTheCounters(t *testing.T) {
	o := openBench(t)
	for _, c := range []struct {
		now  counters
		want uint32
	}{
		{counters{}, 0},
		{counters{Brk: 1}, SERIAL_ERROR_BREAK},
		{counters{Brk: 1, Frame: 1}, SERIAL_ERROR_FRAMING},
		{counters{Brk: 1, Frame: 1, Parity: 7}, SERIAL_ERROR_PARITY},
		{counters{Brk: 1, Frame: 1, Parity: 7, Overrun: 1}, SERIAL_ERROR_OVERRUN},
		{counters{Brk: 2, Frame: 1, Parity: 7, Overrun: 1, Buffers: 1}, SERIAL_ERROR_QUEUEOVERRUN | SERIAL_ERROR_BREAK},
		{counters{CTS: 1, Brk: 2, Frame: 1, Parity: 7, Overrun: 1, Buffers: 1}, 0},
	} {
		o.h.q.Lock()
		o.h.countErrors(c.now)
		o.h.q.Unlock()
		require.Equal(t, c.want, o.status().Errors, "%+v", c.now)
	}
}

func TestEverythingAtOnce(t *testing.T) {
	o := openBench(t)
	var all sync.WaitGroup
	all.Add(3)
	const rounds = 300
	go func() { // data there and back
		defer all.Done()
		for range rounds {
			o.feed([]byte("ping"))
			o.sink(4)
		}
	}()
	go func() {
		defer all.Done()
		for range rounds {
			r := o.read(4)
			<-r.done
			w := o.write(r.r.Out)
			<-w.done
			if r.hr.Failed() || w.hr.Failed() {
				t.Errorf("read %v, write %v", r.hr, w.hr)
			}
		}
	}()
	go func() {
		defer all.Done()
		for i := range rounds {
			m := o.control(IOCTL_SERIAL_SET_WAIT_MASK, ulongs(0x1FF), 0)
			w := o.waitOnMask()
			b := o.control(IOCTL_SERIAL_SET_BAUD_RATE, ulongs(uint32(9600+i)), 0)
			f := o.control(IOCTL_SERIAL_SET_HANDFLOW, ulongs(0, uint32(i%2*SERIAL_ERROR_CHAR), 0, 0), 0)
			s := o.control(IOCTL_SERIAL_GET_COMMSTATUS, nil, sizeStatus)
			z := o.control(IOCTL_SERIAL_SET_WAIT_MASK, ulongs(0), 0)
			for _, c := range []*call{m, w, b, f, s, z} {
				<-c.done
				if c.hr.Failed() {
					t.Errorf("0x%08X: %v", c.r.Code, c.hr)
				}
			}
		}
	}()
	all.Wait()
}
