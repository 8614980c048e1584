// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// wires is a driver with modem lines, counters and an output queue, which no pseudo
// terminal has.
type wires struct {
	mu      sync.Mutex
	bits    int
	counts  counters
	queue   int
	broken  bool
	moved   int    // times that lines were set
	fails   error  // of setLines and sendBreak
	asked   int    // for the lines
	looked  int    // at the queue
	full    bool   // the chip is not empty
	kernel  rs485  // the driver drives RTS, if it can
	can     uint32 // the flags of kernel that it takes
	emptied int    // times that it was asked whether it is
	// moving, if any, is called before lines are set.
	moving func(bits int, on bool)
	// hold, if not nil, blocks calls that ask for the lines until it is closed.
	hold chan struct{}
}

func (w *wires) lines() (int, error) {
	w.mu.Lock()
	w.asked++
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bits, nil
}

func (w *wires) setLines(bits int, on bool) error {
	w.mu.Lock()
	fails, moving := w.fails, w.moving
	w.mu.Unlock()
	if fails != nil {
		return fails
	}
	if moving != nil {
		moving(bits, on)
	}
	w.change(func() {
		w.moved++
		w.bits &^= bits
		if on {
			w.bits |= bits
		}
	})
	return nil
}

func (w *wires) counters() (counters, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts, nil
}

func (w *wires) unsent() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked++
	return w.queue
}

func (w *wires) sendBreak(on bool) error {
	if w.fails != nil {
		return w.fails
	}
	w.change(func() { w.broken = on })
	return nil
}

func (w *wires) empty() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.emptied++
	return !w.full, nil
}

func (w *wires) rs485() (rs485, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.can == 0 {
		return rs485{}, unix.ENOTTY
	}
	return w.kernel, nil
}

func (w *wires) setRS485(s rs485) (rs485, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kernel = s
	w.kernel.Flags &= w.can
	return w.kernel, nil
}

func (w *wires) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *wires) timesAsked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

func (w *wires) timesLooked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looked
}

// openWithWires opens a port whose lines the test moves.
func openWithWires(t *testing.T) (*opened, *wires) {
	t.Helper()
	o := openBench(t)
	w := &wires{bits: unix.TIOCM_DTR | unix.TIOCM_RTS}
	o.h.port.driver, o.h.port.hasLines, o.h.port.hasCounters = w, true, true
	return o, w
}

func TestLinesWhenOpened(t *testing.T) {
	o, w := openWithWires(t)
	w.change(func() { w.bits = 0 })
	o.h.raiseLines()
	require.EqualValues(t, SERIAL_DTR_STATE|SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
}

func TestLinesOfADriver(t *testing.T) {
	o, w := openWithWires(t)
	require.EqualValues(t, SERIAL_DTR_STATE|SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
	o.set(IOCTL_SERIAL_CLR_DTR)
	require.EqualValues(t, SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
	o.set(IOCTL_SERIAL_SET_DTR)
	o.set(IOCTL_SERIAL_CLR_RTS)
	require.EqualValues(t, SERIAL_DTR_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
	o.handflow(0, SERIAL_RTS_CONTROL)
	require.Zero(t, o.word(IOCTL_SERIAL_GET_DTRRTS), "the mode of RTS is the same")
	o.handflow(SERIAL_DTR_CONTROL, 0)
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_RTS_CONTROL)
	require.EqualValues(t, SERIAL_DTR_STATE|SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
	require.Zero(t, o.word(IOCTL_SERIAL_GET_MODEMSTATUS))
	w.change(func() { w.bits |= unix.TIOCM_CTS | unix.TIOCM_RNG })
	require.EqualValues(t, SERIAL_MSR_CTS|SERIAL_MSR_RI, o.word(IOCTL_SERIAL_GET_MODEMSTATUS))

	c := o.control(IOCTL_SERIAL_GET_PROPERTIES, nil, sizeCommProp)
	c.wait()
	const all = SERIAL_PCF_DTRDSR | SERIAL_PCF_RTSCTS | SERIAL_PCF_CD
	require.EqualValues(t, all, get[commProp](c.r.Out).ProvCapabilities&all)

	// CTS stops output if the handshake is on.
	w.change(func() { w.bits = 0 })
	require.Zero(t, o.status().HoldReasons)
	o.handflow(SERIAL_CTS_HANDSHAKE, SERIAL_RTS_HANDSHAKE)
	require.EqualValues(t, SERIAL_TX_WAITING_FOR_CTS, o.status().HoldReasons)
	w.change(func() { w.bits = unix.TIOCM_CTS })
	require.Zero(t, o.status().HoldReasons)
	w.change(func() { w.queue = 7 })
	require.EqualValues(t, 7, o.status().AmountInOutQueue)
	w.change(func() { w.queue = 0 })
}

// TestLinesThatADriverRefuses are remembered, so that what sets up a port succeeds.
func TestLinesThatADriverRefuses(t *testing.T) {
	for _, err := range []error{unix.EPIPE, unix.EOPNOTSUPP, unix.ENOTTY, unix.EINVAL} {
		t.Run(err.Error(), func(t *testing.T) {
			o, w := openWithWires(t)
			w.fails = err
			o.set(IOCTL_SERIAL_CLR_DTR)
			require.EqualValues(t, SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
			o.set(IOCTL_SERIAL_CLR_RTS)
			require.Zero(t, o.word(IOCTL_SERIAL_GET_DTRRTS))
			o.set(IOCTL_SERIAL_SET_DTR)
			o.handflow(0, SERIAL_RTS_CONTROL)
			o.handflow(SERIAL_DTR_CONTROL, 0)
			require.EqualValues(t, SERIAL_DTR_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
			o.set(IOCTL_SERIAL_SET_BREAK_ON)
			require.Zero(t, o.status().HoldReasons)
			o.set(IOCTL_SERIAL_SET_BREAK_OFF)
			// A driver that takes them again is asked again.
			w.fails = nil
			o.set(IOCTL_SERIAL_CLR_DTR)
			require.EqualValues(t, unix.TIOCM_RTS, w.bits)
		})
	}
	o, w := openWithWires(t)
	w.fails = unix.ENOMEM
	o.control(IOCTL_SERIAL_CLR_DTR, nil, 0).ends(pnp.ERROR_NOT_ENOUGH_MEMORY, "")
}

// TestUnchangedFlowControl moves no line: SetCommState sets it each time, and moving
// DTR resets many a board.
func TestUnchangedFlowControl(t *testing.T) {
	o, w := openWithWires(t)
	o.set(IOCTL_SERIAL_CLR_DTR)
	for range 3 {
		o.handflow(SERIAL_DTR_CONTROL, SERIAL_RTS_CONTROL)
	}
	require.Equal(t, 1, w.moved)
	require.EqualValues(t, SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
}

// TestHandshakeThatADriverRefuses: a port without CTS is used without the handshake.
func TestHandshakeThatADriverRefuses(t *testing.T) {
	o, w := openWithWires(t)
	o.handflow(SERIAL_CTS_HANDSHAKE, SERIAL_RTS_HANDSHAKE)
	require.EqualValues(t, SERIAL_TX_WAITING_FOR_CTS, o.status().HoldReasons)
	// No driver of a pseudo terminal refuses it, so this is what one leaves.
	o.h.q.Lock()
	o.h.set.rtscts = false
	o.h.q.Unlock()
	asked := w.timesAsked()
	require.Zero(t, o.status().HoldReasons)
	require.Equal(t, asked, w.timesAsked())
}

func TestErrorsOfADriver(t *testing.T) {
	o, w := openWithWires(t)
	w.change(func() { w.counts = counters{Frame: 1, Overrun: 2, Buffers: 3, Parity: 4} })
	require.EqualValues(t, SERIAL_ERROR_FRAMING|SERIAL_ERROR_OVERRUN|SERIAL_ERROR_QUEUEOVERRUN|SERIAL_ERROR_PARITY, o.status().Errors)
	require.Zero(t, o.status().Errors)
	stats := func() perfStats {
		c := o.control(IOCTL_SERIAL_GET_STATS, nil, sizePerfStats)
		c.wait()
		return get[perfStats](c.r.Out)
	}
	require.Equal(t, perfStats{FrameErrorCount: 1, SerialOverrunErrorCount: 2, BufferOverrunErrorCount: 3, ParityErrorCount: 4}, stats())
	o.set(IOCTL_SERIAL_CLEAR_STATS)
	require.Zero(t, stats())
	w.change(func() { w.counts.Parity++ })
	require.Equal(t, perfStats{ParityErrorCount: 1}, stats())
}

// TestWaitForLines changes them while an application waits, and between two waits.
func TestWaitForLines(t *testing.T) {
	o, w := openWithWires(t)
	w.change(func() { w.bits |= unix.TIOCM_DSR })
	o.mask(SERIAL_EV_CTS | SERIAL_EV_DSR | SERIAL_EV_RLSD | SERIAL_EV_RING | SERIAL_EV_RXCHAR)
	o.h.q.Lock()
	o.h.events.history = 0 // forget the change of DSR above
	o.h.q.Unlock()
	c := o.waitOnMask()
	c.pending()
	w.change(func() { w.bits |= unix.TIOCM_CTS })
	c.happened(SERIAL_EV_CTS)
	// There and back between two looks.
	w.change(func() { w.counts.DCD += 2 })
	o.waitOnMask().happened(SERIAL_EV_RLSD)
	c = o.waitOnMask()
	o.feed([]byte("x"))
	c.happened(SERIAL_EV_RXCHAR)
	// An event outside the mask is none.
	o.mask(SERIAL_EV_DSR)
	c = o.waitOnMask()
	w.change(func() { w.bits &^= unix.TIOCM_CTS })
	asked := w.timesAsked()
	require.Eventually(t, func() bool { return w.timesAsked() > asked+1 }, patience, tick)
	c.pending()
	w.change(func() { w.bits &^= unix.TIOCM_DSR })
	c.happened(SERIAL_EV_DSR)
}

// goroutine reports whether there is a goroutine whose stack has all of what.
func goroutine(what ...string) bool {
	stacks := make([]byte, 1<<20)
	return slices.ContainsFunc(strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n"), func(stack string) bool {
		return !slices.ContainsFunc(what, func(w string) bool { return !strings.Contains(stack, w) })
	})
}

// TestNobodyAsksForTheLinesInVain: the watcher ends with the wait.
func TestNobodyAsksForTheLinesInVain(t *testing.T) {
	o, w := openWithWires(t)
	o.mask(SERIAL_EV_CTS)
	asked := w.timesAsked()
	c := o.waitOnMask()
	require.Eventually(t, func() bool { return w.timesAsked() > asked+1 }, patience, tick)
	o.cancel(c)
	c.ends(pnp.ERROR_OPERATION_ABORTED, "")
	gone := func() bool { return !goroutine("queue.(*Lane)") }
	require.Eventually(t, gone, patience, tick)
	asked = w.timesAsked()
	require.Zero(t, o.status().HoldReasons)
	require.Equal(t, asked, w.timesAsked())
	// Nor does the watcher of events that only the reader sees stay.
	o.mask(SERIAL_EV_RXCHAR)
	c = o.waitOnMask()
	require.Eventually(t, func() bool { return goroutine("[select", "awaitLook") }, patience, tick)
	o.cancel(c)
	require.Eventually(t, gone, patience, tick)
	require.Equal(t, asked, w.timesAsked())
}

// TestADriverThatHangs: neither Cancel nor Close waits for the driver.
func TestADriverThatHangs(t *testing.T) {
	o, w := openWithWires(t)
	o.mask(SERIAL_EV_CTS)
	hold := make(chan struct{})
	w.change(func() { w.hold = hold })
	asked := w.timesAsked()
	wait := o.waitOnMask()
	require.Eventually(t, func() bool { return w.timesAsked() > asked }, patience, tick)
	status := o.control(IOCTL_SERIAL_GET_MODEMSTATUS, nil, 4)
	o.atDriver(status)
	mask := o.control(IOCTL_SERIAL_SET_WAIT_MASK, ulongs(0), 0)
	timeouts := o.control(IOCTL_SERIAL_GET_TIMEOUTS, nil, sizeTimeouts)
	// A read and a write beside it are done.
	write, read := o.write([]byte("x")), o.read(1)
	o.feed([]byte("y"))
	read.ends(pnp.S_OK, "y")
	write.wrote(pnp.S_OK, 1)
	for _, c := range []*call{wait, status, mask} {
		c.pending()
		o.cancel(c)
		c.ends(pnp.ERROR_OPERATION_ABORTED, "")
	}
	timeouts.pending()
	o.beginClose()
	timeouts.ends(pnp.ERROR_OPERATION_ABORTED, "")
	require.False(t, o.isReleased(), "the terminal was restored while somebody was using it")
	close(hold)
	o.awaitRelease()
}

// TestReadBesideAnIOControl reads while an IOControl is in the driver and the reader
// waits for data.
func TestReadBesideAnIOControl(t *testing.T) {
	o, w := openWithWires(t)
	waiting := o.read(1)
	require.Eventually(t, func() bool {
		o.h.q.Lock()
		defer o.h.q.Unlock()
		return o.h.rx.turn.probed
	}, patience, tick)
	// The reader finds nothing either, and waits. If it has not got there yet, the
	// test passes but tests less.
	time.Sleep(2 * time.Millisecond)
	o.timeouts(maxULONG, 0, 0)
	o.cancel(waiting)
	hold := make(chan struct{})
	w.change(func() { w.hold = hold })
	c := o.control(IOCTL_SERIAL_GET_MODEMSTATUS, nil, 4)
	o.atDriver(c)
	r := o.read(10)
	close(hold)
	c.ends(pnp.S_OK, string(ulongs(0)))
	r.ends(pnp.S_OK, "")
}

// TestCloseWaitsForTheOutput: Close keeps the settings until everything is sent, and
// ends a break.
func TestCloseWaitsForTheOutput(t *testing.T) {
	o, w := openWithWires(t)
	o.set(IOCTL_SERIAL_SET_BREAK_ON)
	require.EqualValues(t, SERIAL_TX_WAITING_ON_BREAK, o.status().HoldReasons)
	w.change(func() { w.queue = 10 })
	before := o.termios()
	o.beginClose()
	second := opening(t, o.dev)
	// Close polls the output queue.
	looked := w.timesLooked()
	require.Eventually(t, func() bool { return w.timesLooked() > looked+1 }, patience, tick)
	require.Equal(t, before, o.termios())
	require.Empty(t, second)
	require.False(t, o.isReleased())
	w.change(func() { w.queue = 0 })
	h := <-second
	w.change(func() { require.False(t, w.broken) })
	o.awaitRelease()
	closed(h)
}
