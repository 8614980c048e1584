// SPDX-License-Identifier: Apache-2.0

package char

import (
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest/gadgettest"
)

// openInstrument opens the instrument with a driver that waits for an answer until the
// device is unplugged, instead of five seconds.
func openInstrument(t *testing.T) pnp.Handle {
	t.Helper()
	d, err := New(backend.Source{Path: gadgettest.InstrumentNode})
	require.NoError(t, err)
	h := open(t, d)
	require.NoError(t, gadgettest.WaitForAnswers(h.(*handle).fd))
	return h
}

func ask(t *testing.T, h pnp.Handle, question string) {
	t.Helper()
	require.Equal(t, result{pnp.S_OK, len(question)}, await(t, submit(h, &pnp.Request{Op: pnp.OpWrite, In: []byte(question)})))
}

func TestUSBTMCAnswers(t *testing.T) {
	i := gadgettest.NewInstrument(t)
	i.Plug(gadgettest.InstrumentNode)
	h := openInstrument(t)
	for range 3 {
		ask(t, h, "*IDN?\n")
		require.Equal(t, "*IDN?\n", <-i.Asked)
		hr, b, _ := read(h, 256)
		require.Equal(t, pnp.S_OK, hr)
		require.Equal(t, gadgettest.InstrumentName+"\n", string(b))
	}
	// A shorter read gets the beginning.
	ask(t, h, "*IDN?\n")
	hr, b, _ := read(h, 5)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, gadgettest.InstrumentName[:5], string(b))
	closed(h)
}

// TestUSBTMCNeverAnswers: while the driver waits for an answer, with a lock that opening
// and polling the node take too, another device works, also one that waits in the
// runtime's poller. A cancel is answered at once, and unplugging ends what is left.
func TestUSBTMCNeverAnswers(t *testing.T) {
	i := gadgettest.NewInstrument(t)
	i.Plug(gadgettest.InstrumentNode)
	p := newPTY(t)
	terminal := open(t, device(t, p.path, false))
	terminalWorks := func() {
		t.Helper()
		done := submit(terminal, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 8)})
		p.feed([]byte("x"))
		require.Equal(t, result{pnp.S_OK, 1}, await(t, done))
	}

	h := openInstrument(t)
	ask(t, h, "MEAS?\n")
	stuck := &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 64)}
	first := submit(h, stuck)
	i.Reading()
	terminalWorks()
	i.RequestService() // wakes up whoever polls the node
	terminalWorks()
	second := make(chan error, 1)
	go func() {
		d, err := New(backend.Source{Path: gadgettest.InstrumentNode})
		if err == nil {
			var h pnp.Handle
			if h, err = d.Open(acceptance.ReadWrite); err == nil {
				closed(h)
			}
		}
		second <- err
	}()
	for range 20 {
		terminalWorks()
	}
	require.Empty(t, first)
	require.Empty(t, second, "the driver does not wait, so this tests nothing")
	h.Cancel(stuck)
	require.Equal(t, result{pnp.ERROR_OPERATION_ABORTED, 0}, await(t, first))
	next := submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 64)})
	terminalWorks()
	i.Unplug()
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, next).hr.Name())
	if err := <-second; err != nil {
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name(), "%v", err)
	}
	closed(h)
	terminalWorks()
	closed(terminal)
}

// TestUSBTMCUnplug: whatever is pending or comes just afterwards says so.
func TestUSBTMCUnplug(t *testing.T) {
	i := gadgettest.NewInstrument(t)
	for range 10 {
		i.Plug(gadgettest.InstrumentNode)
		h := openInstrument(t)
		ask(t, h, "MEAS?\n")
		read := submit(h, &pnp.Request{Op: pnp.OpRead, Out: make([]byte, 64)})
		i.Reading()
		write := submit(h, &pnp.Request{Op: pnp.OpWrite, In: []byte("MEAS?\n")}) // waits for the read
		i.Unplug()
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, read).hr.Name())
		// The read ends first. Then the driver writes, which the device may still take.
		require.Contains(t, []string{pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.S_OK.Name()}, await(t, write).hr.Name())
		for op, r := range map[string]*pnp.Request{
			"read":  {Op: pnp.OpRead, Out: make([]byte, 64)},
			"write": {Op: pnp.OpWrite, In: make([]byte, 64)},
		} {
			require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), await(t, submit(h, r)).hr.Name(), op)
		}
		closed(h)
		d, err := New(backend.Source{Path: gadgettest.InstrumentNode})
		require.NoError(t, err)
		_, err = d.Open(acceptance.ReadWrite)
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED.Name(), pnp.HRESULTOf(err).Name())
	}
}

// TestUSBTMCTimesOut: the driver gives up after the time that it was told, five seconds
// at first.
func TestUSBTMCTimesOut(t *testing.T) {
	i := gadgettest.NewInstrument(t)
	i.Plug(gadgettest.InstrumentNode)
	h := openInstrument(t)
	require.NoError(t, gadgettest.SetAnswerTimeout(h.(*handle).fd, 100))
	hr, b, _ := read(h, 64)
	require.Equal(t, pnp.ERROR_SEM_TIMEOUT.Name(), hr.Name())
	require.Empty(t, b)
	ask(t, h, "*IDN?\n")
	hr, b, _ = read(h, 64)
	require.Equal(t, pnp.S_OK, hr)
	require.Equal(t, gadgettest.InstrumentName+"\n", string(b))
	closed(h)
}
