// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// TestRTSFollowsTheOutput: it rises before the first byte, and falls after the last bit.
func TestRTSFollowsTheOutput(t *testing.T) {
	const rts = unix.TIOCM_RTS
	o, w := openWithWires(t)
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_TRANSMIT_TOGGLE)
	require.Equal(t, unix.TIOCM_DTR, w.bits)
	o.control(IOCTL_SERIAL_SET_RTS, nil, 0).ends(pnp.ERROR_INVALID_PARAMETER, "")
	o.idle(w)
	for range 3 {
		w.change(func() {
			w.queue = 5
			w.moving = func(bits int, on bool) {
				assert.Equal(t, rts, bits)
				assert.True(t, on)
				assert.Zero(t, o.came())
			}
		})
		o.write([]byte("hello")).wrote(pnp.S_OK, 5)
		require.Equal(t, "hello", string(o.sink(5)))
		w.change(func() { w.moving = nil })
		looked := w.timesLooked()
		require.Eventually(t, func() bool { return w.timesLooked() > looked+2 }, patience, tick)
		w.has(t, rts, 0)
		w.change(func() { w.queue, w.full, w.emptied = 0, true, 0 })
		require.Eventually(t, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.emptied > 2
		}, patience, tick)
		w.has(t, rts, 0)
		w.change(func() { w.full = false })
		w.has(t, 0, rts)
	}
	o.idle(w)
	// Time counts, too: a chip that does not tell that it is full has it all.
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, slowest)
	o.write(make([]byte, 1000)).wrote(pnp.S_OK, 1000)
	time.Sleep(2 * watchInterval) // one that falls has probably done so by then
	w.has(t, rts, 0)
	o.set(IOCTL_SERIAL_SET_BREAK_ON)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 4000000)
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_TXCLEAR)
	time.Sleep(2 * watchInterval)
	w.has(t, rts, 0)
	o.set(IOCTL_SERIAL_SET_BREAK_OFF)
	w.has(t, 0, rts)
	o.set(IOCTL_SERIAL_SET_BREAK_ON)
	require.EqualValues(t, SERIAL_DTR_STATE|SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
	o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_DTR_HANDSHAKE, SERIAL_TRANSMIT_TOGGLE, 0, defaultQueue-1)
	o.feed([]byte("x"))
	w.has(t, rts, unix.TIOCM_DTR)
	o.read(1).wait()
	w.has(t, rts|unix.TIOCM_DTR, 0)
	o.set(IOCTL_SERIAL_SET_BREAK_OFF)
	w.has(t, 0, rts)
	// It is down while a line holds the output up.
	o.handflow(SERIAL_DSR_HANDSHAKE, SERIAL_TRANSMIT_TOGGLE)
	write := o.write([]byte("x"))
	w.looks(t)
	require.Zero(t, w.bits&rts)
	w.raise(unix.TIOCM_DSR)
	write.wrote(pnp.S_OK, 1)
	// When the port is closed it falls after the last bit, too.
	w.change(func() { w.full = true })
	o.write([]byte("y")).wrote(pnp.S_OK, 1)
	w.has(t, rts, 0)
	o.beginClose()
	time.Sleep(watchInterval)
	require.False(t, o.isReleased())
	w.change(func() { w.full = false })
	o.awaitRelease()
	require.Zero(t, w.bits&rts)
}

// TestRTSAfterALongWrite: RTS falls after a write that the kernel took in pieces, and after
// one that was purged.
func TestRTSAfterALongWrite(t *testing.T) {
	const long = 1 << 18
	o, w := openWithWires(t)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 4000000)
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_TRANSMIT_TOGGLE)
	write := o.write(make([]byte, long))
	w.has(t, unix.TIOCM_RTS, 0)
	o.sink(long)
	write.wrote(pnp.S_OK, long)
	w.has(t, 0, unix.TIOCM_RTS)
	write = o.write(make([]byte, long)) // nobody takes it
	w.has(t, unix.TIOCM_RTS, 0)
	require.Eventually(t, func() bool { return goroutine("writeLoop", "[IO wait") }, patience, tick)
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_TXABORT)
	write.wait()
	w.has(t, 0, unix.TIOCM_RTS)
}

// TestRTSWithoutADriverThatTells: there are drivers that never say that the chip is empty.
func TestRTSWithoutADriverThatTells(t *testing.T) {
	o, w := openWithWires(t)
	w.full = true
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_TRANSMIT_TOGGLE)
	o.write([]byte("x")).wrote(pnp.S_OK, 1)
	w.has(t, 0, unix.TIOCM_RTS)
}

// TestRTSOfADriver: a driver that drives RTS itself (RS-485) does so, and gets its
// settings back.
func TestRTSOfADriver(t *testing.T) {
	old := rs485{Flags: rs485RTSAfterSend, DelayRTSBeforeSend: 3}
	for i, end := range []func(o *opened){
		func(o *opened) { o.handflow(SERIAL_DTR_CONTROL, SERIAL_RTS_CONTROL) },
		func(o *opened) { o.close() },
	} {
		o, w := openWithWires(t)
		w.kernel, w.can = old, 0xFF
		o.handflow(SERIAL_DTR_CONTROL, SERIAL_TRANSMIT_TOGGLE)
		require.Equal(t, rs485{Flags: rs485Enabled | rs485RTSOnSend | rs485RXDuringTX, DelayRTSBeforeSend: 3}, w.kernel)
		o.handflow(SERIAL_DTR_CONTROL|SERIAL_CTS_HANDSHAKE, SERIAL_TRANSMIT_TOGGLE)
		o.write([]byte("x")).wrote(pnp.S_OK, 1)
		require.Zero(t, w.moved)
		o.control(IOCTL_SERIAL_CLR_RTS, nil, 0).ends(pnp.ERROR_INVALID_PARAMETER, "")
		end(o)
		require.Equal(t, old, w.kernel, "%d", i)
	}
	// One that does it another way.
	o, w := openWithWires(t)
	w.kernel, w.can = old, rs485Enabled|rs485RTSAfterSend
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_TRANSMIT_TOGGLE)
	require.Equal(t, old, w.kernel)
	w.has(t, 0, unix.TIOCM_RTS)
	// One that the administrator has set up.
	o, w = openWithWires(t)
	own := rs485{Flags: rs485Enabled | rs485RTSAfterSend}
	w.kernel, w.can = own, 0xFF
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_TRANSMIT_TOGGLE)
	require.Equal(t, own, w.kernel)
	require.Zero(t, w.moved)
	o.close()
	require.Equal(t, own, w.kernel)
}
