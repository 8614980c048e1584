// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/serial"
	"freerdp-pnpdr/pnp/devtest"
)

func u32s(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// TestSerial uses a port as a Windows application does: settings, timeouts, an
// echo, a wait for input, exclusive use. In the end the settings of the
// terminal are restored.
func TestSerial(t *testing.T) {
	eachClient(t, func(t *testing.T, f *fixture) {
		master, slave := devtest.OpenPTY(t)
		settings := func() unix.Termios {
			t.Helper()
			tio, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
			require.NoError(t, err)
			require.NoError(t, unix.SetNonblock(int(master.Fd()), true))
			return *tio
		}
		before := settings()
		c, r := f.connect("serial:" + slave + ",name:port")
		h := r.open("port")
		control := func(code uint32, in []byte, room int) []byte {
			t.Helper()
			out := make([]byte, room)
			n, err := h.IOControl(r.ctx, code, in, out)
			require.NoError(t, err, "IoCode 0x%X", code)
			return out[:n]
		}

		_, err := r.device("port").Open(r.ctx, server.OpenOptions{})
		hresult(t, pnp.ERROR_ACCESS_DENIED, err)

		control(serial.IOCTL_SERIAL_SET_BAUD_RATE, u32s(38400), 0)
		require.Equal(t, u32s(38400), control(serial.IOCTL_SERIAL_GET_BAUD_RATE, nil, 4))
		control(serial.IOCTL_SERIAL_SET_LINE_CONTROL, []byte{serial.STOP_BITS_2, serial.EVEN_PARITY, 7}, 0)
		require.Equal(t, []byte{serial.STOP_BITS_2, serial.EVEN_PARITY, 7}, control(serial.IOCTL_SERIAL_GET_LINE_CONTROL, nil, 3))
		control(serial.IOCTL_SERIAL_SET_LINE_CONTROL, []byte{serial.STOP_BIT_1, serial.NO_PARITY, 8}, 0)
		_, err = h.IOControl(r.ctx, 0x001B1234, nil, nil)
		hresult(t, pnp.ERROR_INVALID_FUNCTION, err)

		// A read returns available input at once, or the next input as soon as
		// it arrives: ReadIntervalTimeout and ReadTotalTimeoutMultiplier are
		// MAXDWORD.
		const maxDWORD = 0xFFFFFFFF
		control(serial.IOCTL_SERIAL_SET_TIMEOUTS, u32s(maxDWORD, maxDWORD, maxDWORD-1, 0, 0), 0)
		const evRxChar = 1
		control(serial.IOCTL_SERIAL_SET_WAIT_MASK, u32s(evRxChar), 0)
		came := make(chan []byte, 1)
		go func() {
			out := make([]byte, 4)
			n, err := h.IOControl(r.ctx, serial.IOCTL_SERIAL_WAIT_ON_MASK, nil, out)
			if err != nil {
				n = 0
			}
			came <- out[:n]
		}()
		_, err = h.WriteAt(r.ctx, []byte("ping\r\n\x00\xff"), 0)
		require.NoError(t, err)
		p := make([]byte, 100)
		n, err := master.Read(p)
		require.NoError(t, err)
		require.Equal(t, "ping\r\n\x00\xff", string(p[:n]), "the line is not 8-bit clean")
		_, err = master.Write([]byte("pong\x03\x04"))
		require.NoError(t, err)
		require.Equal(t, u32s(evRxChar), <-came)
		got := ""
		for len(got) < 6 {
			n, err := h.ReadAt(r.ctx, p, 0)
			require.NoError(t, err)
			got += string(p[:n])
		}
		require.Equal(t, "pong\x03\x04", got)

		require.NoError(t, h.Close())
		r.finish(c)
		require.Equal(t, before, settings(), "the terminal's settings are not restored")
	})
}
