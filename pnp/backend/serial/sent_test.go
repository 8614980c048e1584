// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
)

// writeTimeout sets the constant time-out of writes, in milliseconds.
func (o *opened) writeTimeout(constant uint32) {
	o.t.Helper()
	o.set(IOCTL_SERIAL_SET_TIMEOUTS, 0, 0, 0, 0, constant)
}

// sending waits until the kernel has a write that the port has not sent.
func (o *opened) sending(c *call) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		o.h.q.Lock()
		defer o.h.q.Unlock()
		return o.h.tx.sending != nil && o.h.tx.sending.R == c.r
	}, patience, tick)
	c.pending()
}

// TestWriteTimeoutSeesTheDevice: a write with a time-out counts what the port has sent,
// not what the kernel has.
func TestWriteTimeoutSeesTheDevice(t *testing.T) {
	o, w := openWithWires(t)
	w.change(func() { w.queue = 3 })
	o.write([]byte("hello")).wrote(pnp.S_OK, 5) // it has none
	o.writeTimeout(20)
	o.write([]byte("hello")).wrote(pnp.S_OK, 2)
	w.change(func() { w.queue = 5 })
	o.write([]byte("hello")).wrote(pnp.S_OK, 0)
	// The queue holds more than this write: what was written before was told to be
	// complete.
	w.change(func() { w.queue = 6 })
	o.write([]byte("hello")).wrote(pnp.S_OK, 5)
	w.change(func() { w.queue = 0 })
}

// TestWriteWithTimeoutIsSent: such a write is complete when it is sent, and the next one
// is not begun before.
func TestWriteWithTimeoutIsSent(t *testing.T) {
	o, w := openWithWires(t)
	o.writeTimeout(maxULONG - 1)
	for range 3 {
		w.change(func() { w.queue = 5 })
		first := o.write([]byte("first"))
		o.sending(first)
		second, third := o.write([]byte("second")), o.write([]byte("third"))
		require.Equal(t, "first", string(o.sink(5)))
		looked := w.timesLooked()
		require.Eventually(t, func() bool { return w.timesLooked() > looked+1 }, patience, tick)
		first.pending()
		require.EqualValues(t, 5+6+5, o.status().AmountInOutQueue)
		w.change(func() { w.queue = 0 })
		first.wrote(pnp.S_OK, 5)
		second.wrote(pnp.S_OK, 6)
		third.wrote(pnp.S_OK, 5)
		require.Equal(t, "secondthird", string(o.sink(11)))
	}
}

// TestEndOfAWriteThatIsBeingSent cancels, purges, closes and unplugs.
func TestEndOfAWriteThatIsBeingSent(t *testing.T) {
	o, w := openWithWires(t)
	o.writeTimeout(maxULONG - 1)
	w.change(func() { w.queue = 5 })
	begin := func() (first, second *call) {
		first = o.write([]byte("first"))
		o.sending(first)
		return first, o.write([]byte("second"))
	}
	first, second := begin()
	o.cancel(first)
	first.wrote(pnp.ERROR_OPERATION_ABORTED, 5)
	o.sending(second)
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_TXABORT)
	second.wrote(pnp.ERROR_OPERATION_ABORTED, 6)

	first, second = begin()
	o.hangUp()
	first.wrote(pnp.ERROR_DEVICE_NOT_CONNECTED, 5)
	second.wrote(pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
	w.change(func() { w.queue = 0 })

	o, w = openWithWires(t)
	o.writeTimeout(maxULONG - 1)
	w.change(func() { w.queue = 5 })
	first, second = begin()
	o.beginClose()
	first.wrote(pnp.ERROR_OPERATION_ABORTED, 5)
	second.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	w.change(func() { w.queue = 0 })
}

// openImpatient opens a port whose closing waits for a millisecond beyond what its line
// takes. The log has its warnings.
func openImpatient(t *testing.T, queue int) (o *opened, w *wires, log *devtest.Output) {
	log = new(devtest.Output)
	b := newBench(t)
	var err error
	b.dev, err = New(backend.Source{Path: b.path, Log: log.Logger(slog.LevelWarn)})
	require.NoError(t, err)
	b.dev.drainLimit = time.Millisecond
	o, w = b.openAs(acceptance.ReadWrite), &wires{queue: queue}
	o.h.port.driver = w
	return o, w, log
}

// TestCloseGivesUp: a port that sends nothing is not waited for without end, and the log
// says what was lost.
func TestCloseGivesUp(t *testing.T) {
	o, w, log := openImpatient(t, 7)
	o.close()
	require.Contains(t, log.String(), "data is lost: the port did not send it before it was closed")
	require.Contains(t, log.String(), "bytes=7")
	require.Greater(t, w.timesLooked(), 1)
}

// TestCloseWaitsForASlowLine: closing waits for as long as a slow line takes.
func TestCloseWaitsForASlowLine(t *testing.T) {
	o, w, log := openImpatient(t, 1000)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 50)
	o.beginClose()
	require.Eventually(t, func() bool { return w.timesLooked() > 10 }, patience, tick)
	require.False(t, o.isReleased())
	w.change(func() { w.queue = 0 })
	o.awaitRelease()
	require.Empty(t, log.String())
}

// TestLineTime: a character is as many bits long as the settings say.
func TestLineTime(t *testing.T) {
	for _, c := range []struct {
		n     int
		cflag uint32
		speed uint32
		want  time.Duration
	}{
		{4096, unix.CS8, 300, 4096 * 10 * time.Second / 300},
		{1, unix.CS8 | unix.PARENB | unix.CSTOPB, 12, time.Second},
		{10, unix.CS5, 70, time.Second},
		{10, unix.CS7 | unix.PARENB, 100, time.Second},
		{0, unix.CS8, 9600, 0},
		{10, unix.CS8, 0, 0},
	} {
		require.Equal(t, c.want, lineTime(c.n, &unix.Termios{Cflag: c.cflag, Ospeed: c.speed}))
	}
}
