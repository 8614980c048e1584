// SPDX-License-Identifier: Apache-2.0

package char

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest/gadgettest"
)

// usbPrinter is a USB printer that this kernel provides. It is paused unless the test
// reads from its end of the cable.
type usbPrinter struct {
	*gadgettest.Gadget
	t *testing.T
}

// The nodes of the kernel's two drivers.
const (
	usblpNode   = "/dev/usb/lp0"
	printerNode = "/dev/g_printer0"
)

func newUSBPrinter(t *testing.T) *usbPrinter {
	t.Helper()
	p := &usbPrinter{gadgettest.New(t, "printer", map[string]string{"q_len": "1"}, "usblp"), t}
	p.Plug(usblpNode, printerNode)
	return p
}

// print takes n bytes, as a printer that is not paused any more.
func (p *usbPrinter) print(n int) []byte {
	p.t.Helper()
	far, err := os.OpenFile(printerNode, os.O_RDWR, 0)
	require.NoError(p.t, err)
	defer far.Close()
	require.NoError(p.t, far.SetDeadline(time.Now().Add(patience)))
	got := make([]byte, n)
	_, err = io.ReadFull(far, got)
	require.NoError(p.t, err)
	return got
}

func openUSBLP(t *testing.T) (pnp.Handle, error) {
	t.Helper()
	d, err := New(backend.Source{Path: usblpNode})
	require.NoError(t, err)
	return d.Open(acceptance.ReadWrite)
}

func await(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(patience):
		t.Fatal("never completed")
		panic("unreachable")
	}
}

// TestUSBLPLosesNothing: a paused printer gets everything that was written, also if the
// handle is closed meanwhile, and the next job can begin at once.
func TestUSBLPLosesNothing(t *testing.T) {
	p := newUSBPrinter(t)
	h, err := openUSBLP(t)
	require.NoError(t, err)
	data := acceptance.Pattern(20000)
	done := submit(h, &pnp.Request{Op: pnp.OpWrite, In: data})
	time.Sleep(100 * time.Millisecond) // to test more; it passes without
	require.Empty(t, done)
	require.Equal(t, data, p.print(len(data)))
	require.Equal(t, result{pnp.S_OK, len(data)}, await(t, done))

	for i := range 20 {
		// A multiple of 512 bytes has no short packet at its end, which the gadget waits for.
		page := acceptance.Pattern(504)[:400+i]
		done = submit(h, &pnp.Request{Op: pnp.OpWrite, In: page})
		require.Eventually(t, func() bool {
			h.(*handle).q.Lock()
			defer h.(*handle).q.Unlock()
			return h.(*handle).inDriver || len(done) > 0
		}, patience, time.Millisecond)
		released := make(chan struct{})
		h.Close(func() { close(released) })
		next := make(chan pnp.Handle, 1)
		go func() {
			h, err := openUSBLP(t)
			if err != nil {
				t.Error(err)
			}
			next <- h
		}()
		require.Equal(t, page, p.print(len(page)))
		<-released
		if h = <-next; h == nil {
			return
		}
	}
	closed(h)
}

// TestUSBLPUnplug: whatever is pending or comes just afterwards says so.
func TestUSBLPUnplug(t *testing.T) {
	p := newUSBPrinter(t)
	for range 10 {
		h, err := openUSBLP(t)
		require.NoError(t, err)
		read := submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 64)})
		write := submit(h, &pnp.Request{Op: pnp.OpWrite, In: make([]byte, 20000)})
		time.Sleep(10 * time.Millisecond)
		opens := make(chan error, 64)
		go func() {
			defer close(opens)
			for range cap(opens) {
				h, err := openUSBLP(t) // busy, and then gone
				if err == nil {
					closed(h)
				}
				opens <- err
			}
		}()
		p.Unplug()
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, read).hr.Name())
		// The driver may call the last transfer complete before it knows better.
		require.Contains(t, []string{pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.S_OK.Name()}, await(t, write).hr.Name())
		for op, r := range map[string]*pnp.Request{
			"read":  {Op: pnp.OpRead, Out: make([]byte, 64)},
			"write": {Op: pnp.OpWrite, In: make([]byte, 64)},
		} {
			require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, submit(h, r)).hr.Name(), op)
		}
		for err := range opens {
			hr := pnp.HRESULTOf(err)
			require.Contains(t, []pnp.HRESULT{pnp.ERROR_BUSY, pnp.ERROR_DEVICE_NOT_CONNECTED}, hr, "%v", err)
		}
		_, err = openUSBLP(t)
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name())
		closed(h)
		p.Plug(usblpNode, printerNode)
	}
}

// TestUSBLPUnplugWhileOpening: an open that is under way when the device goes says so.
func TestUSBLPUnplugWhileOpening(t *testing.T) {
	p := newUSBPrinter(t)
	for range 10 {
		opened, failed := make(chan struct{}, 1), make(chan error, 1)
		go func() {
			for {
				h, err := openUSBLP(t)
				if err != nil {
					failed <- err
					return
				}
				closed(h)
				select {
				case opened <- struct{}{}:
				default:
				}
			}
		}()
		<-opened
		p.Unplug()
		err := <-failed
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name(), "%v", err)
		p.Plug(usblpNode, printerNode)
	}
}
