// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// TestIOControls calls all IOControls and checks their bytes; what it sets it then
// gets.
func TestIOControls(t *testing.T) {
	const invalid, unsupported = pnp.ERROR_INVALID_PARAMETER, pnp.ERROR_NOT_SUPPORTED
	o := openBench(t)
	rest := string(make([]byte, 60))
	for i, c := range []struct {
		code uint32
		in   string
		room int
		hr   pnp.HRESULT
		out  string
	}{
		{IOCTL_SERIAL_GET_BAUD_RATE, "", 4, pnp.S_OK, "\x00\x96\x00\x00"}, // 38400, a new terminal's
		{IOCTL_SERIAL_SET_BAUD_RATE, "\x80\x25\x00\x00", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_BAUD_RATE, "", 4, pnp.S_OK, "\x80\x25\x00\x00"},
		{IOCTL_SERIAL_SET_BAUD_RATE, "\x90\xd0\x03\x00", 0, pnp.S_OK, ""}, // 250000: no constant
		{IOCTL_SERIAL_GET_BAUD_RATE, "", 4, pnp.S_OK, "\x90\xd0\x03\x00"},
		{IOCTL_SERIAL_SET_BAUD_RATE, "\x00\x00\x00\x00", 0, invalid, ""},
		{IOCTL_SERIAL_GET_BAUD_RATE, "", 4, pnp.S_OK, "\x90\xd0\x03\x00"},

		{IOCTL_SERIAL_GET_LINE_CONTROL, "", 3, pnp.S_OK, "\x00\x00\x08"},
		{IOCTL_SERIAL_SET_LINE_CONTROL, "\x02\x02\x07", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_LINE_CONTROL, "", 3, pnp.S_OK, "\x02\x02\x07"},
		{IOCTL_SERIAL_SET_LINE_CONTROL, "\x02\x02\x05", 0, invalid, ""},
		{IOCTL_SERIAL_SET_LINE_CONTROL, "\x00\x05\x08", 0, invalid, ""},
		{IOCTL_SERIAL_SET_LINE_CONTROL, "\x00\x00\x09", 0, invalid, ""},
		{IOCTL_SERIAL_GET_LINE_CONTROL, "", 8, pnp.S_OK, "\x02\x02\x07"},

		{IOCTL_SERIAL_GET_TIMEOUTS, "", 20, pnp.S_OK, rest[:20]},
		{IOCTL_SERIAL_SET_TIMEOUTS, "\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_SET_TIMEOUTS, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x04\x00\x00\x00\x05\x00\x00\x00", 0, invalid, ""},
		{IOCTL_SERIAL_GET_TIMEOUTS, "", 20, pnp.S_OK, "\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\x00\x00\x00"},

		{IOCTL_SERIAL_GET_CHARS, "", 6, pnp.S_OK, "\x00\x00\x00\x00\x11\x13"},
		{IOCTL_SERIAL_SET_CHARS, "\x1a?B!\x01\x02", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_CHARS, "", 6, pnp.S_OK, "\x1a?B!\x01\x02"},

		{IOCTL_SERIAL_GET_HANDFLOW, "", 16, pnp.S_OK, "\x01\x00\x00\x00\x40\x00\x00\x00\x00\x08\x00\x00\x00\x02\x00\x00"},
		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x03\x00\x00\x00"},
		{IOCTL_SERIAL_SET_HANDFLOW, "\x08\x00\x00\x00\x83\x00\x00\x00\x10\x00\x00\x00\x20\x00\x00\x00", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_HANDFLOW, "", 16, pnp.S_OK, "\x08\x00\x00\x00\x83\x00\x00\x00\x10\x00\x00\x00\x20\x00\x00\x00"},
		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x02\x00\x00\x00"},
		{IOCTL_SERIAL_SET_RTS, "", 0, invalid, ""}, // the handshake drives it
		{IOCTL_SERIAL_CLR_RTS, "", 0, invalid, ""},
		{IOCTL_SERIAL_SET_HANDFLOW, "\x04" + rest[:15], 0, invalid, ""},
		{IOCTL_SERIAL_SET_HANDFLOW, "\x03" + rest[:15], 0, invalid, ""},
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:4] + "\x20" + rest[:11], 0, invalid, ""},
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:8] + "\xff\xff\xff\xff" + rest[:4], 0, invalid, ""},
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:12] + "\x01\x10\x00\x00", 0, invalid, ""}, // above the queue
		{IOCTL_SERIAL_GET_HANDFLOW, "", 16, pnp.S_OK, "\x08\x00\x00\x00\x83\x00\x00\x00\x10\x00\x00\x00\x20\x00\x00\x00"},

		// A port without lines remembers handshakes by lines.
		{IOCTL_SERIAL_SET_HANDFLOW, "\x72\x00\x00\x00\xc0" + rest[:11], 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_HANDFLOW, "", 16, pnp.S_OK, "\x72\x00\x00\x00\xc0" + rest[:11]},
		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x01\x00\x00\x00"},
		{IOCTL_SERIAL_GET_COMMSTATUS, "", 20, pnp.S_OK, rest[:20]},
		{IOCTL_SERIAL_SET_DTR, "", 0, invalid, ""}, // the handshake drives it
		{IOCTL_SERIAL_CLR_DTR, "", 0, invalid, ""},
		{IOCTL_SERIAL_SET_RTS, "", 0, invalid, ""},
		{IOCTL_SERIAL_CLR_RTS, "", 0, invalid, ""},
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:4] + "\x80" + rest[:11], 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x02\x00\x00\x00"},
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:16], 0, pnp.S_OK, ""},

		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x00\x00\x00\x00"},
		{IOCTL_SERIAL_SET_DTR, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x01\x00\x00\x00"},
		{IOCTL_SERIAL_SET_RTS, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_CLR_DTR, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x02\x00\x00\x00"},
		{IOCTL_SERIAL_CLR_RTS, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_DTRRTS, "", 4, pnp.S_OK, "\x00\x00\x00\x00"},
		{IOCTL_SERIAL_GET_MODEMSTATUS, "", 4, pnp.S_OK, "\xb0\x00\x00\x00"},

		{IOCTL_SERIAL_GET_WAIT_MASK, "", 4, pnp.S_OK, rest[:4]},
		{IOCTL_SERIAL_SET_WAIT_MASK, "\xff\x1f\x00\x00", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_WAIT_MASK, "", 4, pnp.S_OK, "\xff\x1f\x00\x00"},

		{IOCTL_SERIAL_GET_PROPERTIES, "", 64, pnp.S_OK, "\x40\x00\x02\x00\x01\x00\x00\x00" + rest[:8] + "\x00\x00\x10\x00" +
			"\x00\x00\x00\x10" + rest[:4] + "\xf8\x00\x00\x00\x7f\x00\x00\x00\xff\xff\x07\x10\x0f\x00\x07\x1f" +
			rest[:4] + "\x00\x10\x00\x00" + rest[:12]},
		{IOCTL_SERIAL_SET_QUEUE_SIZE, "\x00\x00\x02\x00\x00\x00\x02\x00", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_SET_QUEUE_SIZE, "\x01\x00\x00\x00\x01\x00\x00\x00", 0, pnp.S_OK, ""}, // it does not shrink
		{IOCTL_SERIAL_SET_QUEUE_SIZE, "\x00\x00\x00\x02\x00\x00\x00\x02", 0, pnp.S_OK, ""}, // 32 MiB
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:12] + "\x00\x00\x00\x01", 0, pnp.S_OK, ""},       // limits below that
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:12] + "\x01\x00\x00\x02", 0, invalid, ""},
		{IOCTL_SERIAL_SET_HANDFLOW, rest[:12] + "\x00\x00\x02\x00", 0, pnp.S_OK, ""},

		{IOCTL_SERIAL_GET_COMMSTATUS, "", 20, pnp.S_OK, rest[:20]},
		{IOCTL_SERIAL_SET_XOFF, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_COMMSTATUS, "", 20, pnp.S_OK, "\x00\x00\x00\x00\x08" + rest[:15]},
		{IOCTL_SERIAL_SET_XON, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_COMMSTATUS, "", 20, pnp.S_OK, rest[:20]},

		{IOCTL_SERIAL_PURGE, "\x00\x00\x00\x00", 0, invalid, ""},
		{IOCTL_SERIAL_PURGE, "\x10\x00\x00\x00", 0, invalid, ""},
		{IOCTL_SERIAL_PURGE, "\x0f\x00\x00\x00", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_IMMEDIATE_CHAR, "!", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_STATS, "", 24, pnp.S_OK, rest[:4] + "\x01" + rest[:19]},
		{IOCTL_SERIAL_CLEAR_STATS, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_GET_STATS, "", 24, pnp.S_OK, rest[:24]},
		{IOCTL_SERIAL_CONFIG_SIZE, "", 4, pnp.S_OK, rest[:4]},
		{IOCTL_SERIAL_RESET_DEVICE, "", 0, pnp.S_OK, ""},
		{IOCTL_SERIAL_XOFF_COUNTER, rest[:12], 0, unsupported, ""},
		{IOCTL_SERIAL_LSRMST_INSERT, "\x01", 0, unsupported, ""},
		{0x001B0000, rest, 60, pnp.ERROR_INVALID_FUNCTION, ""},
		{0x001B0094, rest, 60, pnp.ERROR_INVALID_FUNCTION, ""}, // IOCTL_SERIAL_GET_MODEM_CONTROL
	} {
		call := o.control(c.code, []byte(c.in), c.room)
		call.wait()
		require.Equal(t, c.hr.Name(), call.hr.Name(), "%d: 0x%08X", i, c.code)
		require.Equal(t, c.out, string(call.r.Out[:call.n]), "%d: 0x%08X", i, c.code)
	}
}

// TestShortBuffers calls each IOControl with input and output one byte too short, then
// longer than needed.
func TestShortBuffers(t *testing.T) {
	o := openBench(t)
	for code, c := range controls {
		if c.in > 0 {
			o.control(code, make([]byte, c.in-1), c.out).ends(pnp.ERROR_INSUFFICIENT_BUFFER, "")
			o.control(code, nil, c.out).ends(pnp.ERROR_INSUFFICIENT_BUFFER, "")
		}
		if c.out > 0 {
			o.control(code, make([]byte, c.in), c.out-1).ends(pnp.ERROR_INSUFFICIENT_BUFFER, "")
			call := o.control(code, make([]byte, c.in), c.out+5)
			call.wait()
			if !call.hr.Failed() {
				require.Equal(t, c.out, call.n, "0x%08X", code)
			}
		}
	}
}

// TestLineControls tries all line controls, on a terminal with frames: those that
// serial.sys accepts are accepted.
func TestLineControls(t *testing.T) {
	for word, size := range map[uint8]uint32{4: 0, 5: unix.CS5, 6: unix.CS6, 7: unix.CS7, 8: unix.CS8, 9: 0} {
		for parity, bits := range []uint32{0, unix.PARENB | unix.PARODD, unix.PARENB,
			unix.PARENB | unix.PARODD | unix.CMSPAR, unix.PARENB | unix.CMSPAR} {
			for stop, want := range map[uint8]uint32{STOP_BIT_1: 0, STOP_BITS_1_5: unix.CSTOPB, STOP_BITS_2: unix.CSTOPB} {
				ok := word >= 5 && word <= 8 && (stop == STOP_BIT_1 || (stop == STOP_BITS_1_5) == (word == 5))
				before := unix.Termios{Cflag: unix.CREAD | unix.CS7 | unix.CSTOPB | unix.PARENB}
				got, taken := withLine(before, lineControl{stop, uint8(parity), word})
				require.Equal(t, ok, taken, "%d %d %d", word, parity, stop)
				if ok {
					require.Equal(t, uint32(unix.CREAD)|size|bits|want, got.Cflag, "%d %d %d", word, parity, stop)
				}
			}
		}
	}
}

// TestWhatTheDriverRefuses: settings that the driver did not take fail, and leave
// nothing behind. A pseudo terminal refuses frames other than 8N1.
func TestWhatTheDriverRefuses(t *testing.T) {
	o := openBench(t)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 19200)
	before := o.termios()
	o.h.port.pseudo = false
	o.control(IOCTL_SERIAL_SET_LINE_CONTROL, []byte{STOP_BITS_2, EVEN_PARITY, 7}, 0).ends(pnp.ERROR_INVALID_PARAMETER, "")
	require.Equal(t, before, o.termios())
	o.control(IOCTL_SERIAL_GET_LINE_CONTROL, nil, 3).ends(pnp.S_OK, "\x00\x00\x08")
	o.control(IOCTL_SERIAL_SET_LINE_CONTROL, []byte{STOP_BITS_2, NO_PARITY, 8}, 0).ends(pnp.S_OK, "")
	require.NotZero(t, o.termios().Cflag&unix.CSTOPB)

	require.True(t, isRate(unix.Termios{Ospeed: 115200}, 115200))
	require.True(t, isRate(unix.Termios{Ospeed: 117000}, 115200))
	require.True(t, isRate(unix.Termios{Ospeed: 112000}, 115200))
	require.False(t, isRate(unix.Termios{Ospeed: 9600}, 115200))
	require.False(t, isRate(unix.Termios{Ospeed: 230400}, 115200))
}

// TestTermios checks the terminal's settings at the other end.
func TestTermios(t *testing.T) {
	o := openBench(t)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 9600)
	require.EqualValues(t, unix.B9600, o.termios().Cflag&unix.CBAUD)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 74880)
	require.EqualValues(t, unix.BOTHER, o.termios().Cflag&unix.CBAUD)
	require.EqualValues(t, 74880, o.termios().Ospeed)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 115200)
	require.EqualValues(t, unix.B115200, o.termios().Cflag&unix.CBAUD)

	const flow = unix.IXON | unix.IXOFF | unix.PARMRK | unix.INPCK
	for _, c := range []struct {
		control, replace uint32
		iflag            uint32
		rtscts           bool
	}{
		{SERIAL_CTS_HANDSHAKE, SERIAL_RTS_HANDSHAKE, 0, true},
		{SERIAL_CTS_HANDSHAKE, SERIAL_RTS_CONTROL, 0, true},
		{0, SERIAL_AUTO_TRANSMIT, unix.IXON, false},
		{0, SERIAL_AUTO_RECEIVE | SERIAL_XOFF_CONTINUE, unix.IXOFF, false},
		{0, SERIAL_AUTO_TRANSMIT | SERIAL_AUTO_RECEIVE | SERIAL_ERROR_CHAR, flow, false},
		{0, SERIAL_BREAK_CHAR, unix.PARMRK | unix.INPCK, false},
		{SERIAL_ERROR_ABORT, 0, unix.PARMRK | unix.INPCK, false},
		{SERIAL_DTR_CONTROL, SERIAL_RTS_CONTROL | SERIAL_NULL_STRIPPING, 0, false},
	} {
		o.handflow(c.control, c.replace)
		got := o.termios()
		require.EqualValues(t, c.iflag, got.Iflag&flow, "%+v", c)
		require.Equal(t, c.rtscts, got.Cflag&unix.CRTSCTS != 0, "%+v", c)
	}
	o.control(IOCTL_SERIAL_SET_CHARS, []byte{0, 0, 0, 0, 'S', 'Q'}, 0).ends(pnp.S_OK, "")
	require.EqualValues(t, 'S', o.termios().Cc[unix.VSTART])
	require.EqualValues(t, 'Q', o.termios().Cc[unix.VSTOP])
}

func TestBreakWhereThereIsNone(t *testing.T) {
	o := openBench(t)
	o.set(IOCTL_SERIAL_SET_BREAK_ON)
	o.set(IOCTL_SERIAL_SET_BREAK_OFF)
	require.Zero(t, o.status().HoldReasons)
}

func TestModemStatusBits(t *testing.T) {
	require.Zero(t, modemStatus(unix.TIOCM_DTR|unix.TIOCM_RTS))
	require.EqualValues(t, SERIAL_MSR_CTS, modemStatus(unix.TIOCM_CTS))
	require.EqualValues(t, SERIAL_MSR_DSR, modemStatus(unix.TIOCM_DSR))
	require.EqualValues(t, SERIAL_MSR_RI, modemStatus(unix.TIOCM_RNG))
	require.EqualValues(t, SERIAL_MSR_DCD, modemStatus(unix.TIOCM_CAR))
}

func TestQueuesOfTheStatus(t *testing.T) {
	o := openBench(t)
	o.feed([]byte("abcde"))
	o.arrived(5)
	require.EqualValues(t, 5, o.status().AmountInInQueue)
	o.read(2).ends(pnp.S_OK, "ab")
	require.EqualValues(t, 3, o.status().AmountInInQueue)
	r := o.read(10)
	o.buffered(3)
	require.Zero(t, o.status().AmountInInQueue, "the read has it")
	o.cancel(r)
	require.EqualValues(t, 3, o.status().AmountInInQueue)

	o.set(IOCTL_SERIAL_SET_XOFF)
	w := o.write(make([]byte, 100))
	i := o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{1}, 0)
	w.pending()
	i.pending()
	s := o.status()
	require.EqualValues(t, 101, s.AmountInOutQueue)
	require.EqualValues(t, 1, s.WaitForImmediate)
	o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{2}, 0).ends(pnp.ERROR_INVALID_PARAMETER, "")
	o.cancel(i)
	i.ends(pnp.ERROR_OPERATION_ABORTED, "")
	require.EqualValues(t, 100, o.status().AmountInOutQueue)
	i = o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{3}, 0)
	o.set(IOCTL_SERIAL_SET_XON)
	i.ends(pnp.S_OK, "")
	w.wrote(pnp.S_OK, 100)
	require.Equal(t, append([]byte{3}, make([]byte, 100)...), o.sink(101), "it goes first")
}

func TestPurge(t *testing.T) {
	o := openBench(t)
	reads := []*call{o.read(10), o.read(10)}
	o.feed([]byte("abc"))
	o.buffered(3)
	o.set(IOCTL_SERIAL_SET_XOFF)
	writes := []*call{o.write([]byte("x")), o.write([]byte("y"))}
	immediate := o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{1}, 0)

	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXABORT)
	for _, c := range reads {
		c.ends(pnp.ERROR_OPERATION_ABORTED, "")
	}
	writes[0].pending()
	// The data for the aborted read is still there.
	o.read(2).ends(pnp.S_OK, "ab")

	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_TXABORT)
	for _, c := range writes {
		c.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	}
	immediate.ends(pnp.ERROR_OPERATION_ABORTED, "")
	o.set(IOCTL_SERIAL_SET_XON)

	// In the port's buffer and in the kernel's.
	o.feed([]byte("def"))
	o.arrived(3)
	require.EqualValues(t, 4, o.status().AmountInInQueue)
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXCLEAR)
	require.Zero(t, o.status().AmountInInQueue)
	o.feed([]byte("ghi"))
	o.read(3).ends(pnp.S_OK, "ghi")

	// A read that waits keeps its data.
	r := o.read(4)
	o.feed([]byte("jk"))
	o.buffered(2)
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXCLEAR)
	r.pending()
	o.feed([]byte("lm"))
	r.ends(pnp.S_OK, "jklm")

	// A purge does not abort a write that comes after it.
	full := o.write(make([]byte, 1<<18))
	purge := o.control(IOCTL_SERIAL_PURGE, ulongs(SERIAL_PURGE_TXABORT|SERIAL_PURGE_TXCLEAR), 0)
	next := o.write([]byte("next"))
	full.wait()
	require.Equal(t, pnp.ERROR_OPERATION_ABORTED.Name(), full.hr.Name())
	purge.ends(pnp.S_OK, "")
	rest := o.sink(4)
	for string(rest[len(rest)-4:]) != "next" {
		rest = append(rest, o.sink(1)...)
	}
	next.wrote(pnp.S_OK, 4)
}

// TestStats counts bytes.
func TestStats(t *testing.T) {
	o := openBench(t)
	o.write([]byte("12345")).wrote(pnp.S_OK, 5)
	o.feed([]byte("abc"))
	o.read(3).ends(pnp.S_OK, "abc")
	c := o.control(IOCTL_SERIAL_GET_STATS, nil, sizePerfStats)
	c.wait()
	require.Equal(t, perfStats{ReceivedCount: 3, TransmittedCount: 5}, get[perfStats](c.r.Out))
}

// TestCancelOfAnIOControl cancels one in the driver, which goes on, and one behind it.
func TestCancelOfAnIOControl(t *testing.T) {
	o := openBench(t)
	// A change of the marks waits for whoever is reading.
	o.h.rx.device.Lock()
	first := o.control(IOCTL_SERIAL_SET_HANDFLOW, ulongs(0, SERIAL_ERROR_CHAR, 0, 0), 0)
	second := o.control(IOCTL_SERIAL_SET_BAUD_RATE, ulongs(1200), 0)
	third := o.control(IOCTL_SERIAL_GET_BAUD_RATE, nil, 4)
	o.atDriver(first)
	first.pending()
	third.pending()
	o.cancel(second)
	second.ends(pnp.ERROR_OPERATION_ABORTED, "")
	o.cancel(first)
	first.ends(pnp.ERROR_OPERATION_ABORTED, "")
	third.pending()
	// Reads and writes go on afterwards.
	w := o.write([]byte("x"))
	o.h.rx.device.Unlock()
	third.ends(pnp.S_OK, "\x00\x96\x00\x00")
	w.wrote(pnp.S_OK, 1)
	// Close does not wait for one either.
	o.h.rx.device.Lock()
	fourth := o.control(IOCTL_SERIAL_SET_HANDFLOW, ulongs(0, 0, 0, 0), 0)
	o.atDriver(fourth)
	o.beginClose()
	fourth.ends(pnp.ERROR_OPERATION_ABORTED, "")
	require.False(t, o.isReleased(), "the terminal was restored during an IOControl")
	o.h.rx.device.Unlock()
	o.awaitRelease()
}

// TestChangeOfTheSettings waits for whoever reads or writes: the kernel would hold
// up who does so beside it.
func TestChangeOfTheSettings(t *testing.T) {
	o := openBench(t)
	for code, in := range map[uint32][]byte{
		IOCTL_SERIAL_SET_BAUD_RATE:    ulongs(1200),
		IOCTL_SERIAL_SET_LINE_CONTROL: {STOP_BITS_2, NO_PARITY, 8},
		IOCTL_SERIAL_SET_CHARS:        {0, 0, 0, 0, 1, 2},
		IOCTL_SERIAL_SET_HANDFLOW:     ulongs(0, SERIAL_AUTO_TRANSMIT, 0, 0),
	} {
		for _, device := range []*sync.Mutex{&o.h.rx.device, &o.h.tx.device} {
			before := o.termios()
			device.Lock()
			c := o.control(code, in, 0)
			o.atDriver(c)
			c.pending()
			require.Equal(t, before, o.termios())
			device.Unlock()
			c.ends(pnp.S_OK, "")
		}
	}
}

// atDriver waits until an IOControl is being carried out.
func (o *opened) atDriver(c *call) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		o.h.q.Lock()
		defer o.h.q.Unlock()
		it := o.h.controls.First()
		return o.h.driving && it != nil && it.R == c.r
	}, patience, tick)
}

// TestIOControlsOfAHungUpPort: all IOControls fail.
func TestIOControlsOfAHungUpPort(t *testing.T) {
	for code, c := range controls {
		if c.park != nil {
			continue
		}
		o := openBench(t)
		o.hangUp()
		for range 2 {
			o.control(code, make([]byte, c.in), c.out).ends(pnp.ERROR_DEVICE_NOT_CONNECTED, "")
		}
		o.close()
	}
}
