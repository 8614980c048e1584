// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// openUART opens a 16550 with the kernel's driver, in its loopback mode: it receives what
// it sends, and sees its own DTR as DSR and its own RTS as CTS.
func openUART(t *testing.T) *opened {
	t.Helper()
	const node, loop = "/dev/ttyS1", 0x8000 // TIOCM_LOOP
	if os.Getenv("PNPDR_VM") == "" {
		t.Skip("NOT TESTED: the kernel's driver of a UART, which scripts/vm/tests uses in a virtual machine")
	}
	out, err := exec.Command("udevadm", "settle", "-t", "60").CombinedOutput()
	require.NoError(t, err, string(out))
	d, err := New(backend.Source{Path: node})
	require.NoError(t, err)
	o := (&bench{t: t, dev: d}).open()
	require.True(t, o.h.port.hasLines)
	require.NoError(t, o.h.port.setLines(loop, true))
	t.Cleanup(func() { _ = tty(o.h.port.fd).setLines(loop, false) }) // before the close
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 115200)
	return o
}

// lines waits until the port has lines so, of the modem status.
func (o *opened) lines(up, down uint32) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		s := o.word(IOCTL_SERIAL_GET_MODEMSTATUS)
		return s&up == up && s&down == 0
	}, patience, tick)
}

// TestUARTOutputWaitsForDSR: with the kernel's driver, DTR stops and starts output.
func TestUARTOutputWaitsForDSR(t *testing.T) {
	o := openUART(t)
	o.set(IOCTL_SERIAL_CLR_DTR)
	o.handflow(SERIAL_DTR_CONTROL|SERIAL_DSR_HANDSHAKE, SERIAL_RTS_CONTROL)
	require.EqualValues(t, SERIAL_TX_WAITING_FOR_DSR, o.status().HoldReasons)
	o.writeTimeout(100)
	o.write([]byte("late")).wrote(pnp.S_OK, 0)
	o.writeTimeout(0)
	write := o.write([]byte("held"))
	require.EqualValues(t, 4, o.status().AmountInOutQueue)
	write.pending()
	o.set(IOCTL_SERIAL_SET_DTR)
	write.wrote(pnp.S_OK, 4)
	o.read(4).ends(pnp.S_OK, "held")
	require.Zero(t, o.status().HoldReasons)

	// It stops in the middle: no more than a piece and what the chip's queue has comes.
	const all = 1 << 20
	write = o.write(make([]byte, all))
	o.read(500).wait()
	o.set(IOCTL_SERIAL_CLR_DTR)
	require.EqualValues(t, SERIAL_TX_WAITING_FOR_DSR, o.status().HoldReasons)
	write.pending()
	o.cancel(write)
	write.wait()
	require.Greater(t, write.n, 500)
	require.Less(t, write.n, all)
	o.read(write.n-500).ends(pnp.S_OK, string(make([]byte, write.n-500)))
}

// TestUARTHandshake: with DTR and DSR of the same port, a sender that is faster than the
// reader loses nothing, however little the queue holds.
func TestUARTHandshake(t *testing.T) {
	o := openUART(t)
	o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_DTR_HANDSHAKE|SERIAL_DSR_HANDSHAKE, SERIAL_RTS_CONTROL, 100, defaultQueue-200)
	data := acceptance.Pattern(4000)
	write := o.write(data)
	o.lines(0, SERIAL_MSR_DSR)
	write.pending()
	at := 0
	for ; at < len(data)/2; at += 100 {
		part := o.read(100)
		part.wait()
		require.True(t, bytes.Equal(data[at:at+100], part.r.Out), at)
	}
	rest := o.read(len(data) - at)
	rest.wait()
	require.True(t, bytes.Equal(data[at:], rest.r.Out))
	write.wrote(pnp.S_OK, len(data))
	o.lines(SERIAL_MSR_DSR, 0)
}

// TestUARTToggle: the driver tells when the chip is empty.
func TestUARTToggle(t *testing.T) {
	o := openUART(t)
	_, err := o.h.port.empty()
	require.NoError(t, err)
	o.handflow(SERIAL_DTR_CONTROL, SERIAL_TRANSMIT_TOGGLE)
	require.Nil(t, o.h.set.rs485, "this driver cannot drive RTS")
	o.lines(SERIAL_MSR_DSR, SERIAL_MSR_CTS)
	const size = 1000 // a second
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 9600)
	write := o.write(make([]byte, size))
	o.lines(SERIAL_MSR_CTS, 0)
	write.wrote(pnp.S_OK, size)
	o.read(size).ends(pnp.S_OK, string(make([]byte, size)))
	o.lines(0, SERIAL_MSR_CTS)
	o.set(IOCTL_SERIAL_SET_BREAK_ON)
	o.lines(SERIAL_MSR_CTS, 0)
	o.set(IOCTL_SERIAL_SET_BREAK_OFF)
	o.lines(0, SERIAL_MSR_CTS)
}

// TestUARTSensitivity: DTR decides what is heard.
func TestUARTSensitivity(t *testing.T) {
	o := openUART(t)
	o.handflow(SERIAL_DTR_CONTROL|SERIAL_DSR_SENSITIVITY, SERIAL_RTS_CONTROL)
	o.write([]byte("heard")).wrote(pnp.S_OK, 5)
	o.read(5).ends(pnp.S_OK, "heard")
	o.set(IOCTL_SERIAL_CLR_DTR)
	require.EqualValues(t, SERIAL_RX_WAITING_FOR_DSR, o.status().HoldReasons)
	before := o.count()
	o.write([]byte("not")).wrote(pnp.S_OK, 3)
	require.Eventually(t, func() bool { return o.count() == before+3 }, patience, tick)
	o.set(IOCTL_SERIAL_SET_DTR)
	o.write([]byte("again")).wrote(pnp.S_OK, 5)
	o.read(5).ends(pnp.S_OK, "again")
}
