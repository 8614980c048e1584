// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest/gadgettest"
)

// openACM opens the port once udev has done with its node.
func openACM(t *testing.T, d *Device) *opened {
	t.Helper()
	var h pnp.Handle
	require.Eventually(t, func() bool {
		var err error
		h, err = d.Open(acceptance.ReadWrite)
		return err == nil
	}, patience, tick, "udev may still be changing the node")
	return &opened{bench: &bench{t: t, dev: d}, h: h.(*handle), released: make(chan struct{})}
}

// TestACMUnplug: with the kernel's driver of USB modems, whatever is pending when the
// device goes, or comes just afterwards, says so.
func TestACMUnplug(t *testing.T) {
	const node = "/dev/ttyACM0"
	g := gadgettest.New(t, "acm", nil, "cdc_acm")
	d, err := New(backend.Source{Path: node})
	require.NoError(t, err)
	for range 15 {
		g.Plug(node)
		o := openACM(t, d)
		o.mask(SERIAL_EV_CTS | SERIAL_EV_DSR | SERIAL_EV_RXCHAR)
		pending := []*call{o.read(64), o.waitOnMask()}
		write := o.write(make([]byte, 1<<18))
		opens := make(chan error, 32)
		go func() {
			defer close(opens)
			for range cap(opens) {
				h, err := d.Open(acceptance.ReadWrite) // in use, and then gone
				if err == nil {
					done := make(chan struct{})
					h.Close(func() { close(done) })
					<-done
				}
				opens <- err
			}
		}()
		g.Unplug()
		for _, c := range pending {
			c.wait()
			require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), c.hr.Name(), "%v 0x%08X: % x", c.r.Op, c.r.Code, c.r.Out[:min(c.n, len(c.r.Out))])
		}
		// Until the driver notices, it takes what fails at once.
		write.wait()
		require.Contains(t, []pnp.HRESULT{pnp.S_OK, pnp.ERROR_DEVICE_NOT_CONNECTED}, write.hr)
		for _, c := range []*call{
			o.read(1), o.write([]byte{1}),
			o.control(IOCTL_SERIAL_SET_BAUD_RATE, ulongs(300), 0), o.control(IOCTL_SERIAL_CLR_DTR, nil, 0),
			o.control(IOCTL_SERIAL_GET_MODEMSTATUS, nil, 4), o.control(IOCTL_SERIAL_SET_BREAK_ON, nil, 0),
		} {
			c.wait()
			require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), c.hr.Name(), "0x%08X", c.r.Code)
		}
		for err := range opens {
			hr := pnp.HRESULTOf(err)
			require.Contains(t, []pnp.HRESULT{pnp.ERROR_ACCESS_DENIED, pnp.ERROR_DEVICE_NOT_CONNECTED}, hr, "%v", err)
		}
		_, err = d.Open(acceptance.ReadWrite)
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name())
		o.close()
	}
}

// TestACMUnplugWhileOpening: an open that is under way when the device goes says so.
func TestACMUnplugWhileOpening(t *testing.T) {
	const node = "/dev/ttyACM0"
	g := gadgettest.New(t, "acm", nil, "cdc_acm")
	d, err := New(backend.Source{Path: node})
	require.NoError(t, err)
	for range 10 {
		g.Plug(node)
		openACM(t, d).close()
		opened, failed := make(chan struct{}, 1), make(chan error, 1)
		go func() {
			for {
				h, err := d.Open(acceptance.ReadWrite)
				if err != nil {
					failed <- err
					return
				}
				done := make(chan struct{})
				h.Close(func() { close(done) })
				<-done
				select {
				case opened <- struct{}{}:
				default:
				}
			}
		}()
		<-opened
		g.Unplug()
		err := <-failed
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name(), "%v", err)
	}
}

// TestACMTakesNothing: a device that takes nothing makes writes with a time-out short,
// although the kernel would take them.
func TestACMTakesNothing(t *testing.T) {
	const node = "/dev/ttyACM0"
	g := gadgettest.New(t, "acm", nil, "cdc_acm")
	g.Plug(node)
	d, err := New(backend.Source{Path: node})
	require.NoError(t, err)
	o := openACM(t, d)
	o.set(IOCTL_SERIAL_SET_TIMEOUTS, 0, 0, 0, 0, 300)
	data := acceptance.Pattern(2048)
	for n := len(data); n == len(data); {
		c := o.write(data)
		c.wait()
		require.Equal(t, pnp.S_OK.Name(), c.hr.Name())
		n = c.n
	}
	c := o.write(data)
	c.wrote(pnp.S_OK, 0)
	g.Unplug() // or else the kernel waits for the device when the port is closed, 30 s
	o.close()
}
