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
