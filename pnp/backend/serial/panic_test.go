// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
)

// bomb is a driver with a bug.
type bomb struct{ *wires }

func (bomb) counters() (counters, error) { panic("a bug in the driver") }

// TestPanicInAnIOControl fails the IOControl, and nothing else.
func TestPanicInAnIOControl(t *testing.T) {
	o, w := openWithWires(t)
	o.h.port.driver = bomb{w}
	o.control(IOCTL_SERIAL_GET_STATS, nil, sizePerfStats).ends(pnp.E_UNEXPECTED, "")
	o.h.port.driver = w
	o.control(IOCTL_SERIAL_GET_STATS, nil, sizePerfStats).wait()
	o.write([]byte("x")).wrote(pnp.S_OK, 1)
}

// TestPanicInACompletion leaves the other requests and the port alone.
func TestPanicInACompletion(t *testing.T) {
	o := openBench(t)
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 4)}
	r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) { panic("a bug in the channel") })
	require.True(t, o.h.Try(r))
	second := o.read(4)
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXABORT)
	second.ends(pnp.ERROR_OPERATION_ABORTED, "")
	require.True(t, r.Completed())
	third := o.read(4)
	o.feed([]byte("abcd"))
	third.ends(pnp.S_OK, "abcd")
}

// TestPanicInTheWatcher fails what is pending, and the port can be closed.
func TestPanicInTheWatcher(t *testing.T) {
	o, w := openWithWires(t)
	o.mask(SERIAL_EV_CTS)
	o.h.mu.Lock()
	o.h.port.driver = bomb{w}
	o.h.mu.Unlock()
	r := o.read(4)
	o.waitOnMask().ends(pnp.E_UNEXPECTED, "")
	r.ends(pnp.E_UNEXPECTED, "")
	o.read(4).ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
	o.close()
}

// TestPanicOfATimer fails what is pending, and the port can be closed.
func TestPanicOfATimer(t *testing.T) {
	o := openBench(t)
	r := o.read(4)
	o.h.after(0, func() {
		o.h.mu.Lock()
		defer o.h.unlock()
		panic("a bug in a timer")
	})
	r.ends(pnp.E_UNEXPECTED, "")
	o.close()
}

// mute is a driver that cannot even be closed.
type mute struct{ *wires }

func (mute) unsent() int { panic("a bug in the driver") }

// TestPanicWhileClosing lets the next open go on.
func TestPanicWhileClosing(t *testing.T) {
	o, w := openWithWires(t)
	o.h.port.driver = mute{w}
	o.close()
	o.bench.open().write([]byte("x")).wrote(pnp.S_OK, 1)
}
