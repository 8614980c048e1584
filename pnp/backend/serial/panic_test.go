// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// bomb is a driver that panics.
type bomb struct{ *wires }

func (bomb) counters() (counters, error) { panic("a bug in the driver") }

// TestPanicInAnIOControl: only the IOControl fails.
func TestPanicInAnIOControl(t *testing.T) {
	o, w := openWithWires(t)
	o.h.port.driver = bomb{w}
	o.control(IOCTL_SERIAL_GET_STATS, nil, sizePerfStats).ends(pnp.E_UNEXPECTED, "")
	o.h.port.driver = w
	o.control(IOCTL_SERIAL_GET_STATS, nil, sizePerfStats).wait()
	o.write([]byte("x")).wrote(pnp.S_OK, 1)
}

// TestPanicInACompletion: other requests and the port go on.
func TestPanicInACompletion(t *testing.T) {
	o := openBench(t)
	r := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 4)}
	r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) { panic("a bug in the channel") })
	o.h.Submit(r)
	second := o.read(4)
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXABORT)
	second.ends(pnp.ERROR_OPERATION_ABORTED, "")
	require.True(t, r.Completed())
	third := o.read(4)
	o.feed([]byte("abcd"))
	third.ends(pnp.S_OK, "abcd")
}

// TestPanicInTheWatcher: only the wait fails.
func TestPanicInTheWatcher(t *testing.T) {
	o, w := openWithWires(t)
	o.mask(SERIAL_EV_CTS)
	o.h.port.driver = bomb{w}
	r := o.read(4)
	o.waitOnMask().ends(pnp.E_UNEXPECTED, "")
	o.feed([]byte("abcd"))
	r.ends(pnp.S_OK, "abcd")
	o.close()
}

// TestPanicOfATimer: pending requests fail, and the port can be closed.
func TestPanicOfATimer(t *testing.T) {
	o := openBench(t)
	r := o.read(4)
	o.h.after(0, func() {
		o.h.q.Lock()
		defer o.h.q.Unlock()
		panic("a bug in a timer")
	})
	r.ends(pnp.E_UNEXPECTED, "")
	o.read(4).ends(pnp.E_UNEXPECTED, "")
	o.close()
}

// mute is a driver that cannot even be closed.
type mute struct{ *wires }

func (mute) unsent() int { panic("a bug in the driver") }

// TestPanicWhileClosing: the port is restored, and the next open works.
func TestPanicWhileClosing(t *testing.T) {
	o, w := openWithWires(t)
	o.h.port.driver = mute{w}
	o.close()
	require.NotZero(t, o.termios().Lflag&unix.ICANON)
	o.bench.open().write([]byte("x")).wrote(pnp.S_OK, 1)
}
