// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// TestReadPlans checks the rules of SERIAL_TIMEOUTS, for reads of 10 bytes.
func TestReadPlans(t *testing.T) {
	const ms, m = time.Millisecond, uint32(maxULONG)
	for _, c := range []struct {
		interval, multiplier, constant uint32
		want                           readPlan
	}{
		{0, 0, 0, readPlan{}},
		{0, 0, 7, readPlan{total: 7 * ms, bounded: true}},
		{0, 3, 0, readPlan{total: 30 * ms, bounded: true}},
		{0, 3, 7, readPlan{total: 37 * ms, bounded: true}},
		{5, 0, 0, readPlan{interval: 5 * ms}},
		{5, 3, 7, readPlan{interval: 5 * ms, total: 37 * ms, bounded: true}},
		{5, m, m, readPlan{interval: 5 * ms, total: 11 * time.Duration(m) * ms, bounded: true}},
		{m - 1, 0, 0, readPlan{interval: time.Duration(m-1) * ms}},
		{m, 0, 0, readPlan{immediate: true}},
		{m, 0, 7, readPlan{present: true, total: 7 * ms, bounded: true}},
		{m, 3, 0, readPlan{present: true, total: 30 * ms, bounded: true}},
		{m, 3, 7, readPlan{present: true, total: 37 * ms, bounded: true}},
		{m, m, 7, readPlan{first: true, total: 7 * ms, bounded: true}},
		{m, m, 0, readPlan{first: true, bounded: true}},
		{m, m, m - 1, readPlan{first: true, total: time.Duration(m-1) * ms, bounded: true}},
		{m, 0, m, readPlan{}},
		{m, 3, m, readPlan{}},
	} {
		x := timeouts{c.interval, c.multiplier, c.constant, 0, 0}
		require.True(t, x.valid())
		require.Equal(t, c.want, x.read(10), "%+v", c)
	}
	require.False(t, timeouts{m, m, m, 0, 0}.valid())
}

func TestTotalTimeoutDoesNotOverflow(t *testing.T) {
	require.Equal(t, time.Duration(math.MaxInt64), total(maxULONG, maxULONG, math.MaxInt))
	require.Equal(t, time.Duration(maxULONG)*3*time.Millisecond, total(maxULONG, maxULONG, 2))
}

func TestWriteLimits(t *testing.T) {
	limit, bounded := timeouts{}.write(10)
	require.Zero(t, limit)
	require.False(t, bounded)
	limit, bounded = timeouts{WriteTotalTimeoutMultiplier: 3, WriteTotalTimeoutConstant: 7}.write(10)
	require.Equal(t, 37*time.Millisecond, limit)
	require.True(t, bounded)
	_, bounded = timeouts{WriteTotalTimeoutConstant: 1}.write(10)
	require.True(t, bounded)
}

func (o *opened) timeouts(interval, multiplier, constant uint32) {
	o.t.Helper()
	o.set(IOCTL_SERIAL_SET_TIMEOUTS, interval, multiplier, constant, 0, 0)
}

// buffered waits until n bytes have arrived for a read that waits for more.
func (o *opened) buffered(n int) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		o.h.q.Lock()
		defer o.h.q.Unlock()
		return len(o.h.rx.buffer) == n
	}, patience, tick)
}

func TestReadWaitsForAllAtFirst(t *testing.T) {
	o := openBench(t)
	first, second := o.read(6), o.read(2)
	o.feed([]byte("abcde"))
	o.buffered(5)
	first.pending()
	o.feed([]byte("fgh"))
	first.ends(pnp.S_OK, "abcdef")
	second.ends(pnp.S_OK, "gh")
}

func TestReadOfMoreThanTheQueue(t *testing.T) {
	o := openBench(t)
	const size = 3*defaultQueue + 17
	all := make([]byte, size)
	for i := range all {
		all[i] = byte(i % 251)
	}
	c := o.read(size)
	o.feed(all)
	c.ends(pnp.S_OK, string(all))
}

// TestReadReturnsWithWhatIsThere uses the plan that never waits.
func TestReadReturnsWithWhatIsThere(t *testing.T) {
	o := openBench(t)
	o.timeouts(maxULONG, 0, 0)
	o.read(10).ends(pnp.S_OK, "")
	o.feed([]byte("abc"))
	o.arrived(3)
	o.read(2).ends(pnp.S_OK, "ab")
	o.read(10).ends(pnp.S_OK, "c")
	o.read(10).ends(pnp.S_OK, "")
}

// TestReadReturnsWithTheFirstBytes uses a timeout of 49 days, which never ends a read.
func TestReadReturnsWithTheFirstBytes(t *testing.T) {
	o := openBench(t)
	o.timeouts(maxULONG, maxULONG, maxULONG-1)
	c := o.read(10)
	c.pending()
	o.feed([]byte("a"))
	c.ends(pnp.S_OK, "a")
	o.feed([]byte("bc"))
	o.arrived(2)
	o.read(10).ends(pnp.S_OK, "bc")
}

// TestReadReturnsWithWhatIsPresentOrWaitsForAll uses a timeout that never ends a read.
func TestReadReturnsWithWhatIsPresentOrWaitsForAll(t *testing.T) {
	o := openBench(t)
	o.timeouts(maxULONG, 0, maxULONG-1)
	o.feed([]byte("abc"))
	o.arrived(3)
	o.read(10).ends(pnp.S_OK, "abc")
	c := o.read(4)
	o.feed([]byte("de"))
	o.buffered(2)
	c.pending()
	o.feed([]byte("fg"))
	c.ends(pnp.S_OK, "defg")
}

func TestTotalTimeoutReturnsWhatCame(t *testing.T) {
	for _, x := range [][3]uint32{{0, 0, 1}, {0, 1, 0}, {maxULONG, 0, 1}, {maxULONG, maxULONG, 1}, {maxULONG, maxULONG, 0}} {
		o := openBench(t)
		o.timeouts(x[0], x[1], x[2])
		o.read(10).ends(pnp.S_OK, "")
		o.feed([]byte("abc"))
		o.arrived(3)
		o.read(10).ends(pnp.S_OK, "abc")
		o.close()
	}
}

func TestIntervalTimeoutReturnsWhatCame(t *testing.T) {
	o := openBench(t)
	o.timeouts(1, 0, 0)
	c := o.read(10) // no byte yet, so no interval
	o.feed([]byte("a"))
	c.wait()
	require.Equal(t, pnp.S_OK, c.hr)
	require.Equal(t, "a", string(c.r.Out[:c.n]))
	// A read that has a byte at once.
	o.feed([]byte("bc"))
	o.arrived(2)
	o.read(10).ends(pnp.S_OK, "bc")
	// Bytes within the interval are read together.
	o.timeouts(maxULONG-1, 0, 0)
	c = o.read(4)
	o.feed([]byte("de"))
	o.buffered(2)
	c.pending()
	o.feed([]byte("fg"))
	c.ends(pnp.S_OK, "defg")
}

// TestTheTimeOfAReadBeginsWithItsTurn: a read behind one without timeouts has the
// timeouts that are set when its turn comes.
func TestTheTimeOfAReadBeginsWithItsTurn(t *testing.T) {
	o := openBench(t)
	first, second := o.read(2), o.read(10)
	o.timeouts(0, 0, 1)
	o.feed([]byte("abc"))
	first.ends(pnp.S_OK, "ab")
	second.ends(pnp.S_OK, "c")
}

func TestCancelledReadLosesNothing(t *testing.T) {
	o := openBench(t)
	first, second, third := o.read(5), o.read(5), o.read(4)
	o.feed([]byte("abc"))
	o.buffered(3)
	o.cancel(second)
	second.ends(pnp.ERROR_OPERATION_ABORTED, "")
	o.cancel(first)
	first.ends(pnp.ERROR_OPERATION_ABORTED, "")
	third.pending()
	o.feed([]byte("d"))
	third.ends(pnp.S_OK, "abcd")
	// The cancel serves the next read if there is enough data.
	first, second = o.read(5), o.read(2)
	o.feed([]byte("ef"))
	o.buffered(2)
	o.cancel(first)
	first.ends(pnp.ERROR_OPERATION_ABORTED, "")
	second.ends(pnp.S_OK, "ef")
}

func TestWriteTimeoutReturnsWhatWasTaken(t *testing.T) {
	o := openBench(t)
	o.set(IOCTL_SERIAL_SET_TIMEOUTS, 0, 0, 0, 0, 1)
	const much = 1 << 18
	c, next := o.write(make([]byte, much)), o.write([]byte("x"))
	c.wait()
	require.Equal(t, pnp.S_OK.Name(), c.hr.Name())
	require.Positive(t, c.n)
	require.Less(t, c.n, much)
	next.wait() // its own time runs out, too
	require.Equal(t, pnp.S_OK.Name(), next.hr.Name())
	o.sink(c.n)
	if next.n > 0 {
		require.Equal(t, "x", string(o.sink(1)))
	}
}

// TestTheTimeOfAWriteBeginsWithItsTurn: a write waits behind one without timeouts,
// which is cancelled.
func TestTheTimeOfAWriteBeginsWithItsTurn(t *testing.T) {
	o := openBench(t)
	o.set(IOCTL_SERIAL_SET_XOFF)
	first, second := o.write([]byte("x")), o.write([]byte("y"))
	o.set(IOCTL_SERIAL_SET_TIMEOUTS, 0, 0, 0, 0, 1)
	o.cancel(first)
	first.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	second.wrote(pnp.S_OK, 0)
}

// TestAnIntervalThatBeganAgain: the timer fires just when a byte arrives.
func TestAnIntervalThatBeganAgain(t *testing.T) {
	o := openBench(t)
	o.timeouts(maxULONG-1, 0, 0)
	c := o.read(2)
	o.h.q.Lock()
	op := o.h.rx.turn
	o.h.q.Unlock()
	o.h.readTimeout(op, true)
	c.pending()
	o.feed([]byte("a"))
	o.buffered(1)
	o.h.readTimeout(op, true)
	c.pending()
	o.h.readTimeout(op, false)
	c.ends(pnp.S_OK, "a")
	o.h.readTimeout(op, false) // late
	o.read(0).ends(pnp.S_OK, "")
}

// TestAReadIsNotToldOfTheTimeBeforeIt: the reader finds nothing; before it says so, a
// byte arrives, and then a read that takes what there is.
func TestAReadIsNotToldOfTheTimeBeforeIt(t *testing.T) {
	o := openBench(t)
	o.timeouts(maxULONG, 0, 0)
	o.read(1).ends(pnp.S_OK, "")
	o.h.rx.device.Lock() // the reader's
	o.h.q.Lock()
	before := o.h.rx.now()
	o.h.q.Unlock()
	o.feed([]byte("a"))
	o.arrived(1)
	c := o.read(10)
	o.h.q.Lock()
	dry := o.h.received(0, unix.EAGAIN, before)
	o.h.rx.device.Unlock()
	o.h.q.Unlock()
	require.False(t, dry)
	c.ends(pnp.S_OK, "a")
}

// TestPurgeOfWhatIsJustComing: a purge drops data that is being read.
func TestPurgeOfWhatIsJustComing(t *testing.T) {
	o := openBench(t)
	o.h.rx.device.Lock() // the reader's
	o.h.q.Lock()
	before := o.h.rx.now()
	o.h.q.Unlock()
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXCLEAR)
	o.h.q.Lock()
	require.False(t, o.h.received(1, nil, before))
	require.Empty(t, o.h.rx.buffer)
	o.h.rx.device.Unlock()
	o.h.q.Unlock()
}
