// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
	"freerdp-pnpdr/pnp/devtest"
)

// raise and lower move lines of the other end.
func (w *wires) raise(bits int) { w.change(func() { w.bits |= bits }) }
func (w *wires) lower(bits int) { w.change(func() { w.bits &^= bits }) }

// has waits until the port has its own lines so.
func (w *wires) has(t *testing.T, up, down int) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.bits&up == up && w.bits&down == 0
	}, patience, tick)
}

// looks waits until the port has looked at the lines a few times more.
func (w *wires) looks(t *testing.T) {
	t.Helper()
	asked := w.timesAsked()
	require.Eventually(t, func() bool { return w.timesAsked() > asked+2 }, patience, tick)
}

// idle checks that nobody looks at the lines any more.
func (o *opened) idle(w *wires) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		o.h.q.Lock()
		defer o.h.q.Unlock()
		return !o.h.keep.busy && o.h.keep.timer == nil
	}, patience, tick)
	asked := w.timesAsked()
	time.Sleep(2 * watchInterval) // a port that looks has probably done so by then
	require.Equal(o.t, asked, w.timesAsked())
}

// came returns how many bytes the kernel has for the other end.
func (o *opened) came() (n int) {
	o.t.Helper()
	conn, err := o.master.SyscallConn()
	require.NoError(o.t, err)
	require.NoError(o.t, conn.Control(func(fd uintptr) { n = count(int(fd), unix.TIOCINQ) }))
	return n
}

const slowest = 50 // baud: no test takes as long as a piece of output does then

// TestOutputWaitsForALine: DSR, DCD or both.
func TestOutputWaitsForALine(t *testing.T) {
	const dsr, dcd = SERIAL_DSR_HANDSHAKE, SERIAL_DCD_HANDSHAKE
	for _, c := range []struct {
		flags, held uint32
		lines       []int
	}{
		{dsr, SERIAL_TX_WAITING_FOR_DSR, []int{unix.TIOCM_DSR}},
		{dcd, SERIAL_TX_WAITING_FOR_DCD, []int{unix.TIOCM_CAR}},
		{dsr | dcd, SERIAL_TX_WAITING_FOR_DSR | SERIAL_TX_WAITING_FOR_DCD, []int{unix.TIOCM_DSR, unix.TIOCM_CAR}},
	} {
		o, w := openWithWires(t)
		o.handflow(SERIAL_DTR_CONTROL|c.flags, SERIAL_RTS_CONTROL)
		require.Equal(t, c.held, o.status().HoldReasons)
		o.idle(w) // there is no output
		write := o.write([]byte("hello"))
		immediate := o.control(IOCTL_SERIAL_IMMEDIATE_CHAR, []byte{'!'}, 0)
		for _, line := range c.lines {
			w.looks(t)
			write.pending()
			immediate.pending()
			require.Zero(t, o.came())
			s := o.status()
			require.EqualValues(t, 6, s.AmountInOutQueue)
			require.EqualValues(t, 1, s.WaitForImmediate)
			w.raise(line)
		}
		write.wrote(pnp.S_OK, 5)
		immediate.ends(pnp.S_OK, "")
		require.Equal(t, "!hello", string(o.sink(6)))
		require.Zero(t, o.status().HoldReasons)
		o.idle(w)
		// The line falls while nothing is sent.
		w.lower(c.lines[0])
		write = o.write([]byte("x"))
		w.looks(t)
		write.pending()
		// Without the handshake nothing waits.
		o.handflow(SERIAL_DTR_CONTROL, SERIAL_RTS_CONTROL)
		write.wrote(pnp.S_OK, 1)
		require.Zero(t, o.status().HoldReasons)
		o.idle(w)
		o.close()
	}
}

// TestALineStopsOutput: what is sent after DSR has fallen is what was on its way.
func TestALineStopsOutput(t *testing.T) {
	o, w := openWithWires(t)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, slowest)
	w.raise(unix.TIOCM_DSR)
	o.handflow(SERIAL_DSR_HANDSHAKE, 0)
	write := o.write(make([]byte, 1000))
	o.sink(16)
	for range 10 {
		w.looks(t)
	}
	require.Less(t, o.came(), 100, "the line has not carried that yet")
	w.lower(unix.TIOCM_DSR)
	w.looks(t)
	write.pending()
	came := o.came()
	for range 20 { // the line carries another character meanwhile
		w.looks(t)
	}
	require.Equal(t, came, o.came())
	require.EqualValues(t, SERIAL_TX_WAITING_FOR_DSR, o.status().HoldReasons)
	o.cancel(write)
	write.wrote(pnp.ERROR_OPERATION_ABORTED, 16+came)
	o.idle(w)

	for baud, want := range map[uint32]int{50: 16, 9600: 16, 115200: 57, 921600: 460, 4000000: 2000, 0: 4096} {
		require.Equal(t, want, piece(&unix.Termios{Cflag: unix.CS8, Ospeed: baud}), "%d baud", baud)
	}
}

// TestOutputThatStopsAndGoes: nothing is lost or sent twice.
func TestOutputThatStopsAndGoes(t *testing.T) {
	o, w := openWithWires(t)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 4000000)
	o.handflow(SERIAL_DSR_HANDSHAKE, SERIAL_TRANSMIT_TOGGLE)
	data := acceptance.Pattern(100000)
	write := o.write(data)
	got := make(chan []byte, 1)
	go func() { got <- o.sink(len(data)) }()
	for end := false; !end; {
		w.raise(unix.TIOCM_DSR)
		time.Sleep(2 * time.Millisecond)
		w.lower(unix.TIOCM_DSR)
		time.Sleep(time.Millisecond)
		end = write.r.Completed()
	}
	write.wrote(pnp.S_OK, len(data))
	require.True(t, bytes.Equal(data, <-got))
}

// TestEndOfOutputThatWaits: a write that a line holds up can time out, be cancelled, purged,
// and closed, and ends with the device.
func TestEndOfOutputThatWaits(t *testing.T) {
	o, w := openWithWires(t)
	o.handflow(SERIAL_DSR_HANDSHAKE, 0)
	o.writeTimeout(10)
	o.write([]byte("late")).wrote(pnp.S_OK, 0)
	o.writeTimeout(0)
	first, second := o.write([]byte("first")), o.write([]byte("second"))
	o.cancel(first)
	first.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	w.looks(t)
	second.pending()
	o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_TXABORT|SERIAL_PURGE_TXCLEAR)
	second.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	o.idle(w)
	first = o.write([]byte("first"))
	w.looks(t)
	o.close()
	first.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	asked := w.timesAsked()
	time.Sleep(2 * watchInterval)
	require.Equal(t, asked, w.timesAsked())

	o, w = openWithWires(t)
	o.handflow(SERIAL_DSR_HANDSHAKE, 0)
	first = o.write([]byte("first"))
	w.looks(t)
	o.hangUp()
	first.wrote(pnp.ERROR_DEVICE_NOT_CONNECTED, 0)
}

// TestADriverThatHangsInAHandshake: neither Cancel nor Close waits for it.
func TestADriverThatHangsInAHandshake(t *testing.T) {
	o, w := openWithWires(t)
	o.handflow(SERIAL_DSR_HANDSHAKE|SERIAL_DSR_SENSITIVITY, 0)
	hold := make(chan struct{})
	w.change(func() { w.hold = hold })
	asked := w.timesAsked()
	write, read := o.write([]byte("x")), o.read(1)
	o.feed([]byte("y"))
	require.Eventually(t, func() bool { return w.timesAsked() > asked }, patience, tick)
	o.control(IOCTL_SERIAL_GET_TIMEOUTS, nil, sizeTimeouts).wait()
	o.cancel(write)
	write.wrote(pnp.ERROR_OPERATION_ABORTED, 0)
	read.pending()
	o.beginClose()
	read.ends(pnp.ERROR_OPERATION_ABORTED, "")
	require.False(t, o.isReleased())
	close(hold)
	o.awaitRelease()
}

func TestPanicInAHandshake(t *testing.T) {
	o, w := openWithWires(t)
	o.handflow(SERIAL_DSR_HANDSHAKE, 0)
	o.h.port.driver = bomb{w}
	o.write([]byte("x")).wrote(pnp.E_UNEXPECTED, 0)
	o.close()
}

// TestLinesFallWhenTheQueueIsFull: DTR, RTS or both, which the application cannot move
// then.
func TestLinesFallWhenTheQueueIsFull(t *testing.T) {
	const dtr, rts = unix.TIOCM_DTR, unix.TIOCM_RTS
	for _, c := range []struct {
		control, replace uint32
		lines, others    int
	}{
		{SERIAL_DTR_HANDSHAKE, SERIAL_RTS_CONTROL, dtr, rts},
		{SERIAL_DTR_CONTROL, SERIAL_RTS_HANDSHAKE, rts, dtr},
		{SERIAL_DTR_HANDSHAKE, SERIAL_RTS_HANDSHAKE, dtr | rts, 0},
	} {
		o, w := openWithWires(t)
		o.set(IOCTL_SERIAL_SET_HANDFLOW, c.control, c.replace, 100, defaultQueue-1000)
		w.has(t, dtr|rts, 0)
		for line, codes := range map[int][]uint32{
			dtr: {IOCTL_SERIAL_SET_DTR, IOCTL_SERIAL_CLR_DTR}, rts: {IOCTL_SERIAL_SET_RTS, IOCTL_SERIAL_CLR_RTS},
		} {
			if c.lines&line != 0 {
				o.control(codes[0], nil, 0).ends(pnp.ERROR_INVALID_PARAMETER, "")
				o.control(codes[1], nil, 0).ends(pnp.ERROR_INVALID_PARAMETER, "")
			}
		}
		o.feed(make([]byte, 999)) // nobody asks for it
		o.buffered(999)
		o.idle(w)
		w.has(t, dtr|rts, 0)
		o.feed([]byte{0})
		w.has(t, c.others, c.lines)
		o.feed(make([]byte, 200)) // the sender is late
		o.buffered(1200)
		o.read(1099).wait()
		o.idle(w)
		w.has(t, c.others, c.lines)
		o.read(1).wait()
		w.has(t, dtr|rts, 0)
		// What a read waits for is not in the queue.
		read := o.read(3000)
		o.feed(make([]byte, 2000))
		o.buffered(2100)
		o.idle(w)
		w.has(t, dtr|rts, 0)
		o.cancel(read)
		read.ends(pnp.ERROR_OPERATION_ABORTED, "")
		w.has(t, c.others, c.lines)
		o.set(IOCTL_SERIAL_PURGE, SERIAL_PURGE_RXCLEAR)
		w.has(t, dtr|rts, 0)
		// Limits that change apply at once, and so does the mode that ends.
		o.feed(make([]byte, 500))
		o.buffered(500)
		o.set(IOCTL_SERIAL_SET_HANDFLOW, c.control, c.replace, 100, defaultQueue-500)
		w.has(t, c.others, c.lines)
		o.handflow(SERIAL_DTR_CONTROL, SERIAL_RTS_CONTROL)
		w.has(t, dtr|rts, 0)
		o.handflow(0, 0)
		w.has(t, 0, dtr|rts)
		// It begins with a queue that is full.
		o.set(IOCTL_SERIAL_SET_HANDFLOW, c.control, c.replace, 100, defaultQueue-500)
		require.Zero(t, w.bits&c.lines)
		o.close()
	}
}

// TestLinesFallWithoutMemory: there is no more of it than the queue has asked for.
func TestLinesFallWithoutMemory(t *testing.T) {
	r := acceptance.ReadWrite
	r.Memory = pnp.NewMemory(100)
	o := newBench(t).openAs(r)
	w := &wires{bits: unix.TIOCM_DTR | unix.TIOCM_RTS}
	o.h.port.driver, o.h.port.hasLines = w, true
	o.set(IOCTL_SERIAL_SET_QUEUE_SIZE, 1<<16, 0)
	o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_DTR_HANDSHAKE, SERIAL_RTS_CONTROL, 1000, 1000)
	go o.feed(make([]byte, 2*defaultQueue))
	w.has(t, 0, unix.TIOCM_DTR)
	o.read(2 * defaultQueue).wait()
	w.has(t, unix.TIOCM_DTR, 0)
}

// TestEverythingAtOnceWithHandshakes changes the handshakes while data goes both ways.
func TestEverythingAtOnceWithHandshakes(t *testing.T) {
	o, w := openWithWires(t)
	w.raise(unix.TIOCM_DSR | unix.TIOCM_CAR)
	o.set(IOCTL_SERIAL_SET_BAUD_RATE, 4000000)
	const size, pieces = 20000, 100
	data := acceptance.Pattern(size)
	got, ended := make(chan []byte, 1), make(chan struct{})
	go func() { got <- o.sink(size) }()
	go func() {
		defer close(ended)
		for at := 0; at < size; at += size / pieces {
			r, write := o.read(size/pieces), o.write(data[at:at+size/pieces])
			o.feed(data[at : at+size/pieces])
			<-r.done
			<-write.done
			if r.hr.Failed() || write.hr.Failed() || !bytes.Equal(r.r.Out, data[at:at+size/pieces]) {
				t.Errorf("read %v, write %v", r.hr, write.hr)
			}
		}
	}()
	for i, end := uint32(0), false; !end; i++ {
		control := i * 0x35 & (SERIAL_DTR_HANDSHAKE | SERIAL_DSR_HANDSHAKE | SERIAL_DCD_HANDSHAKE | SERIAL_DSR_SENSITIVITY)
		o.set(IOCTL_SERIAL_SET_HANDFLOW, control, i*SERIAL_RTS_CONTROL&SERIAL_RTS_MASK, 10, defaultQueue-50)
		o.status()
		select {
		case <-ended:
			end = true
		default:
		}
	}
	require.True(t, bytes.Equal(data, <-got))
}

// openLogged opens a port with a log.
func openLogged(t *testing.T, level slog.Level) (*opened, *devtest.Output) {
	log := new(devtest.Output)
	b := newBench(t)
	var err error
	b.dev, err = New(backend.Source{Path: b.path, Log: log.Logger(level)})
	require.NoError(t, err)
	return b.openAs(acceptance.ReadWrite), log
}

// TestOutputThatWaitsIsLogged once each time that it begins.
func TestOutputThatWaitsIsLogged(t *testing.T) {
	o, log := openLogged(t, slog.LevelDebug)
	w := &wires{}
	o.h.port.driver, o.h.port.hasLines = w, true
	o.handflow(SERIAL_DSR_HANDSHAKE, 0)
	for i := range 2 {
		write := o.write([]byte("x"))
		w.looks(t)
		require.Equal(t, i+1, bytes.Count([]byte(log.String()), []byte("output waits for a line")), log.String())
		w.raise(unix.TIOCM_DSR)
		write.wrote(pnp.S_OK, 1)
		w.lower(unix.TIOCM_DSR)
	}
}

// TestHandshakeThatIsRemembered: ports without lines, and USB modems.
func TestHandshakeThatIsRemembered(t *testing.T) {
	const control = SERIAL_DTR_HANDSHAKE | SERIAL_DSR_HANDSHAKE | SERIAL_DCD_HANDSHAKE | SERIAL_DSR_SENSITIVITY
	for _, modem := range []bool{false, true} {
		o, log := openLogged(t, slog.LevelInfo)
		w := &wires{bits: unix.TIOCM_DTR}
		if modem {
			o.h.port.driver, o.h.port.hasLines, o.h.port.modem = w, true, true
		}
		for range 3 {
			o.handflow(control, SERIAL_RTS_HANDSHAKE)
		}
		c := o.control(IOCTL_SERIAL_GET_HANDFLOW, nil, sizeHandflow)
		c.ends(pnp.S_OK, string(ulongs(control, SERIAL_RTS_HANDSHAKE, 0, 0)))
		o.write([]byte("out")).wrote(pnp.S_OK, 3)
		o.feed([]byte("in"))
		o.read(2).ends(pnp.S_OK, "in")
		require.Zero(t, o.status().HoldReasons)
		require.EqualValues(t, SERIAL_DTR_STATE|SERIAL_RTS_STATE, o.word(IOCTL_SERIAL_GET_DTRRTS))
		require.Equal(t, 1, bytes.Count([]byte(log.String()), []byte("it is remembered")), log.String())
	}
}

// TestHandshakeLinesThatADriverRefuses: data goes on.
func TestHandshakeLinesThatADriverRefuses(t *testing.T) {
	o, w := openWithWires(t)
	w.fails = unix.EPIPE
	o.set(IOCTL_SERIAL_SET_HANDFLOW, SERIAL_DTR_HANDSHAKE, SERIAL_TRANSMIT_TOGGLE, 0, defaultQueue-1)
	for range 2 {
		o.write([]byte("x")).wrote(pnp.S_OK, 1)
		o.feed([]byte("y"))
		require.Eventually(t, func() bool { return o.word(IOCTL_SERIAL_GET_DTRRTS)&SERIAL_DTR_STATE == 0 }, patience, tick)
		o.read(1).ends(pnp.S_OK, "y")
		require.Eventually(t, func() bool { return o.word(IOCTL_SERIAL_GET_DTRRTS)&SERIAL_DTR_STATE != 0 }, patience, tick)
	}
	w.change(func() { w.fails = unix.ENOMEM })
	o.write([]byte("x")).wrote(pnp.S_OK, 1)
}
