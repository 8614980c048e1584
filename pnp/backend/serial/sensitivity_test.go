// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// TestDSRSensitivity: what comes while DSR is off is dropped.
func TestDSRSensitivity(t *testing.T) {
	for _, replace := range []uint32{SERIAL_RTS_CONTROL, SERIAL_RTS_CONTROL | SERIAL_ERROR_CHAR} {
		o, w := openWithWires(t)
		w.raise(unix.TIOCM_DSR)
		o.feed([]byte("before "))
		o.arrived(7)
		w.lower(unix.TIOCM_DSR)
		o.handflow(SERIAL_DTR_CONTROL|SERIAL_DSR_SENSITIVITY, replace)
		require.EqualValues(t, SERIAL_RX_WAITING_FOR_DSR, o.status().HoldReasons)
		o.idle(w)
		o.mask(SERIAL_EV_RXCHAR)
		wait := o.waitOnMask()
		o.dropped(8, "dropped\xff")
		w.raise(unix.TIOCM_DSR)
		wait.pending()
		require.Zero(t, o.status().HoldReasons)
		o.feed([]byte("and after"))
		wait.happened(SERIAL_EV_RXCHAR)
		o.read(16).ends(pnp.S_OK, "before and after")
		read := o.read(2)
		w.lower(unix.TIOCM_DSR)
		o.dropped(2, "no")
		read.pending()
		// Reads without data end in time.
		o.cancel(read)
		o.timeouts(maxULONG, 0, 0)
		o.read(5).ends(pnp.S_OK, "")
		o.timeouts(0, 0, 10)
		o.read(5).ends(pnp.S_OK, "")
		// Nor does what came then come when the mode ends.
		o.timeouts(0, 0, 0)
		o.feed([]byte("late"))
		o.handflow(SERIAL_DTR_CONTROL, replace)
		o.feed([]byte("again"))
		r := o.read(5)
		r.wait()
		require.Contains(t, []string{"again", "latea"}, string(r.r.Out), "the kernel may bring it late")
		o.close()
	}
}

// TestEndOfDSRSensitivity: DSR decides about what has come until then.
func TestEndOfDSRSensitivity(t *testing.T) {
	o, w := openWithWires(t)
	w.raise(unix.TIOCM_DSR)
	o.handflow(SERIAL_DTR_CONTROL|SERIAL_DSR_SENSITIVITY, SERIAL_RTS_CONTROL)
	o.feed(make([]byte, defaultQueue)) // it is full: the rest is in the kernel
	o.buffered(defaultQueue)
	o.feed([]byte("abc"))
	o.arrived(3)
	o.look(sample{}) // DSR was off when it last looked
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_RTS_CONTROL)
	o.read(defaultQueue+3).ends(pnp.S_OK, string(make([]byte, defaultQueue))+"abc")
}

// TestMarksOfWhatIsDropped: a mark may be split.
func TestMarksOfWhatIsDropped(t *testing.T) {
	o, _ := openWithWires(t)
	o.handflow(SERIAL_DTR_CONTROL|SERIAL_DSR_SENSITIVITY, SERIAL_ERROR_CHAR)
	o.come("x\xff")
	o.look(sample{lines: unix.TIOCM_DSR})
	o.come("\x00\x00b")
	o.read(2).ends(pnp.S_OK, "\x00b")
}

// dropped feeds bytes and waits until the port has taken and not kept them.
func (o *opened) dropped(n uint32, data string) {
	o.t.Helper()
	before := o.count()
	o.feed([]byte(data))
	require.Eventually(o.t, func() bool { return o.count() >= before+n }, patience, tick)
}

// count returns how many bytes the port has received.
func (o *opened) count() uint32 {
	o.h.q.Lock()
	defer o.h.q.Unlock()
	return o.h.rx.count
}

// TestDSRSensitivityOfAHungUpPort: nothing waits for data.
func TestDSRSensitivityOfAHungUpPort(t *testing.T) {
	o, _ := openWithWires(t)
	o.handflow(SERIAL_DSR_SENSITIVITY, 0)
	r := o.read(1)
	o.hangUp()
	r.ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
}
