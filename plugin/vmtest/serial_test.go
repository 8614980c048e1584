// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/binary"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/backend/serial"
)

func u32s(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// whatIsThere makes reads return the available input, or the next input as soon
// as it arrives.
func (r *remote) whatIsThere(h *server.Handle) {
	r.t.Helper()
	const maxDWORD = 0xFFFFFFFF
	r.control(h, serial.IOCTL_SERIAL_SET_TIMEOUTS, u32s(maxDWORD, maxDWORD, maxDWORD-1, 0, 0), 0)
}

// echo sends text to the device, whose end of the line is far, and back.
func (r *remote) echo(h *server.Handle, far *os.File, text string) {
	r.t.Helper()
	_, err := h.WriteAt(r.ctx, []byte(text), 0)
	require.NoError(r.t, err)
	require.Equal(r.t, text, readText(r.t, far, len(text)))
	_, err = far.WriteString(text)
	require.NoError(r.t, err)
	got, p := "", make([]byte, len(text))
	for len(got) < len(text) {
		n, err := h.ReadAt(r.ctx, p, 0)
		require.NoError(r.t, err)
		got += string(p[:n])
	}
	require.Equal(r.t, text, got)
}

// receive keeps data coming from the device until a read fails. It returns when
// that many bytes have arrived.
func (r *remote) receive(h *server.Handle, far *os.File, enough int64) (ended <-chan error) {
	r.t.Helper()
	var come atomic.Int64
	p, block := make([]byte, 256), make([]byte, 256)
	ended = pending(func() (int, error) {
		for {
			_, _ = far.Write(block) // the device may be unplugged
			for got := 0; got < len(block); {
				n, err := h.ReadAt(r.ctx, p, 0)
				if err != nil {
					return 0, err
				}
				got += n
				come.Add(int64(n))
			}
		}
	})
	waitFor(r.t, "data", func() bool { return come.Load() >= enough })
	return ended
}

// send keeps zeros going to the device until a write fails. It returns when
// that many have arrived. From then on halt stops taking them off the line.
func (r *remote) send(h *server.Handle, far *os.File, enough int64) (ended <-chan error, halt func()) {
	r.t.Helper()
	var arrived atomic.Int64
	reader := pending(func() (int, error) {
		for p := make([]byte, 4096); ; {
			n, err := far.Read(p)
			if err != nil {
				return 0, err
			}
			arrived.Add(int64(n))
		}
	})
	ended = pending(func() (int, error) {
		for sent := int64(0); ; sent += 256 {
			// QEMU hangs when its line is full.
			for sent-arrived.Load() > 4096 && !isClosed(h.Device().Gone()) {
				time.Sleep(tick)
			}
			if _, err := h.WriteAt(r.ctx, make([]byte, 256), 0); err != nil {
				return 0, err
			}
		}
	})
	waitFor(r.t, "data", func() bool { return arrived.Load() >= enough })
	return ended, func() {
		require.NoError(r.t, far.SetReadDeadline(time.Now()))
		<-reader
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// testModem uses a USB modem as a Windows application uses a serial port, and
// checks on the wire what the device is told.
func testModem(t *testing.T, f *fixture) {
	g := newGadget(t)
	far := g.openFar()
	g.plug()
	r := f.connect(t, "serial:/dev/ttyACM0,loopback")
	var d *server.Device
	for d == nil || len(r.Devices()) < 2 {
		if e := r.event(); e.Device.Description().Name == gadgetName {
			d = e.Device
		}
	}
	require.Equal(t, []string{`USB\VID_1209&PID_0001&REV_0123`, `USB\VID_1209&PID_0001`},
		trimFunction(d.Description().HardwareIDs))
	before := nodeTermios(t, "/dev/ttyACM0")

	// CDC PSTN 6.3: SET_LINE_CODING is 0x20, SET_CONTROL_LINE_STATE 0x22 with
	// DTR and RTS in its two lowest bits.
	w := newWire(t)
	h := r.open(d)
	r.whatIsThere(h)
	for _, c := range []struct {
		baud   uint32
		line   []byte
		coding string
	}{
		{2400, []byte{serial.STOP_BITS_2, serial.EVEN_PARITY, 7}, "\x60\x09\x00\x00\x02\x02\x07"},
		{115200, []byte{serial.STOP_BIT_1, serial.ODD_PARITY, 8}, "\x00\xC2\x01\x00\x00\x01\x08"},
		{250000, []byte{serial.STOP_BIT_1, serial.NO_PARITY, 8}, "\x90\xD0\x03\x00\x00\x00\x08"},
	} {
		r.control(h, serial.IOCTL_SERIAL_SET_BAUD_RATE, u32s(c.baud), 0)
		r.control(h, serial.IOCTL_SERIAL_SET_LINE_CONTROL, c.line, 0)
		w.wait(0x21, 0x20, 0, 0, c.coding)
		require.Equal(t, u32s(c.baud), r.control(h, serial.IOCTL_SERIAL_GET_BAUD_RATE, nil, 4))
		r.echo(h, far, "at this speed\r\n\x00\x11\x13\x7f")
	}
	r.control(h, serial.IOCTL_SERIAL_SET_DTR, nil, 0)
	r.control(h, serial.IOCTL_SERIAL_CLR_RTS, nil, 0)
	w.wait(0x21, 0x22, 1, 0, "")
	r.control(h, serial.IOCTL_SERIAL_SET_RTS, nil, 0)
	w.wait(0x21, 0x22, 3, 0, "")
	r.control(h, serial.IOCTL_SERIAL_CLR_DTR, nil, 0)
	w.wait(0x21, 0x22, 2, 0, "")
	require.Equal(t, u32s(serial.SERIAL_RTS_STATE), r.control(h, serial.IOCTL_SERIAL_GET_DTRRTS, nil, 4))

	// The device drops its carrier, and raises it again.
	carrier := func() uint32 {
		t.Helper()
		return binary.LittleEndian.Uint32(r.control(h, serial.IOCTL_SERIAL_GET_MODEMSTATUS, nil, 4)) &
			(serial.SERIAL_MSR_DCD | serial.SERIAL_MSR_DSR)
	}
	require.EqualValues(t, serial.SERIAL_MSR_DCD|serial.SERIAL_MSR_DSR, carrier())
	r.control(h, serial.IOCTL_SERIAL_SET_WAIT_MASK, u32s(serial.SERIAL_EV_RLSD), 0)
	wait := func() <-chan error {
		return pending(func() (int, error) {
			return h.IOControl(r.ctx, serial.IOCTL_SERIAL_WAIT_ON_MASK, nil, make([]byte, 4))
		})
	}
	waits := wait()
	require.NoError(t, far.Close())
	require.NoError(t, <-waits)
	require.Zero(t, carrier())
	waits = wait()
	far = g.openFar()
	require.NoError(t, <-waits)
	require.EqualValues(t, serial.SERIAL_MSR_DCD|serial.SERIAL_MSR_DSR, carrier())
	r.echo(h, far, strings.Repeat("0123456789abcdef", 1024))

	// Closing it restores its settings.
	require.NoError(t, h.Close())
	waitFor(t, "restoring the settings", func() bool { return nodeTermios(t, "/dev/ttyACM0") == before })

	// It is unplugged in the middle of everything.
	h = r.open(d)
	r.whatIsThere(h)
	r.control(h, serial.IOCTL_SERIAL_SET_WAIT_MASK, u32s(serial.SERIAL_EV_RLSD|serial.SERIAL_EV_ERR), 0)
	waits = wait()
	reads := r.receive(h, far, 64<<10)
	// Nobody reads at the other end, so the line cannot take all of this.
	writes := pending(func() (int, error) { return h.WriteAt(r.ctx, make([]byte, 1<<20), 0) })
	waitFor(t, "the write's beginning", func() bool {
		return binary.LittleEndian.Uint32(r.control(h, serial.IOCTL_SERIAL_GET_COMMSTATUS, nil, 20)[12:]) > 0
	})
	g.unplug()
	r.requireGone(reads)
	r.requireGone(waits)
	r.requireGone(writes)
	r.removed(d)
	_, err := h.WriteAt(r.ctx, []byte("x"), 0)
	r.notConnected(err)
	r.stillThere(fakeDevice)
	r.finish()
}

// nodeTermios returns the settings of a terminal that others may have open.
func nodeTermios(t testing.TB, node string) unix.Termios {
	t.Helper()
	f, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer f.Close()
	return termios(t, f)
}

// trimFunction removes the part of an id that names a function of the device.
func trimFunction(ids []string) (trimmed []string) {
	for _, id := range ids {
		id, _, _ = strings.Cut(id, "&MI_")
		trimmed = append(trimmed, id)
	}
	return trimmed
}
