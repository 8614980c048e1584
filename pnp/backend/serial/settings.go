// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// The initial settings of serial.sys.
const (
	defaultXon   = 0x11
	defaultXoff  = 0x13
	defaultQueue = 4096
	// maxQueue is the largest queue, in bytes. IOCTL_SERIAL_SET_QUEUE_SIZE takes
	// any size.
	maxQueue = 1 << 20
)

// settings are what an application has set. The first fields are used by IOControls
// only, of which one runs at a time; the keeper changes the lines, too, so the keeper's
// mutex guards these. The fields below the empty line are written by IOControls with the
// queue locked, and read by others with the queue locked.
type settings struct {
	line lineControl
	// dtr and rts are the states that were set, for a port without lines; refused
	// are the TIOCM bits of those that the driver refuses to set.
	dtr, rts bool
	refused  int
	asked    int64  // the size of the queue that was asked for
	rs485    *rs485 // the driver's settings before it was told to drive RTS

	termios  unix.Termios
	timeouts timeouts
	chars    chars
	handflow handflow
	hand     handshake // what the port does itself for that
	rtscts   bool      // the driver does the handshake by CTS
	queue    int       // how many bytes are buffered that no read has asked for yet
	marks    bool      // the kernel marks errors and breaks in the data (PARMRK)
	breaking bool      // a break is being sent
	stopped  bool      // IOCTL_SERIAL_SET_XOFF stopped sending
}

func defaultSettings(t unix.Termios) settings {
	return settings{
		termios: t,
		line:    lineControl{StopBits: STOP_BIT_1, Parity: NO_PARITY, WordLength: 8},
		dtr:     true,
		rts:     true,
		chars:   chars{XonChar: defaultXon, XoffChar: defaultXoff},
		handflow: handflow{
			ControlHandShake: SERIAL_DTR_CONTROL,
			FlowReplace:      SERIAL_RTS_CONTROL,
			XonLimit:         defaultQueue / 2,
			XoffLimit:        defaultQueue / 8,
		},
		queue: defaultQueue,
		asked: defaultQueue,
	}
}

// standardRates are the rates that termios has constants for. Old drivers have no
// others.
var standardRates = map[uint32]uint32{
	50: unix.B50, 75: unix.B75, 110: unix.B110, 134: unix.B134, 150: unix.B150, 200: unix.B200,
	300: unix.B300, 600: unix.B600, 1200: unix.B1200, 1800: unix.B1800, 2400: unix.B2400,
	4800: unix.B4800, 9600: unix.B9600, 19200: unix.B19200, 38400: unix.B38400,
	57600: unix.B57600, 115200: unix.B115200, 230400: unix.B230400, 460800: unix.B460800,
	500000: unix.B500000, 576000: unix.B576000, 921600: unix.B921600, 1000000: unix.B1000000,
}

// withRate returns t with a rate in bits per second, the same in both directions.
func withRate(t unix.Termios, rate uint32) unix.Termios {
	code, ok := standardRates[rate]
	if !ok {
		code = unix.BOTHER
	}
	t.Cflag &^= unix.CBAUD | unix.CBAUD<<unix.IBSHIFT
	// Without an input rate, that is the output rate.
	t.Cflag |= code
	t.Ispeed, t.Ospeed = rate, rate
	return t
}

// isRate reports whether t has a rate that is near enough for a receiver: 3 % are a
// third of a bit over a frame of ten bits.
func isRate(t unix.Termios, rate uint32) bool {
	const percent = 3
	off := int64(t.Ospeed) - int64(rate)
	return max(off, -off)*100 <= int64(rate)*percent
}

const frameMask = unix.CSIZE | unix.PARENB | unix.PARODD | unix.CMSPAR | unix.CSTOPB

// withLine returns t with the frames of l; false if l is not valid. As in serial.sys,
// 5 data bits go with one or one and a half stop bits, and others with one or two.
func withLine(t unix.Termios, l lineControl) (unix.Termios, bool) {
	t.Cflag &^= frameMask
	switch l.WordLength {
	case 5:
		t.Cflag |= unix.CS5
	case 6:
		t.Cflag |= unix.CS6
	case 7:
		t.Cflag |= unix.CS7
	case 8:
		t.Cflag |= unix.CS8
	default:
		return t, false
	}
	switch l.Parity {
	case NO_PARITY:
	case ODD_PARITY:
		t.Cflag |= unix.PARENB | unix.PARODD
	case EVEN_PARITY:
		t.Cflag |= unix.PARENB
	case MARK_PARITY:
		t.Cflag |= unix.PARENB | unix.CMSPAR | unix.PARODD
	case SPACE_PARITY:
		t.Cflag |= unix.PARENB | unix.CMSPAR
	default:
		return t, false
	}
	switch {
	case l.StopBits == STOP_BIT_1:
	case l.StopBits == STOP_BITS_1_5 && l.WordLength == 5,
		l.StopBits == STOP_BITS_2 && l.WordLength != 5:
		t.Cflag |= unix.CSTOPB
	default:
		return t, false
	}
	return t, true
}

// valid reports whether serial.sys accepts f on a port with that queue.
func (f handflow) valid(queue int64) bool {
	limit := func(n int32) bool { return n >= 0 && int64(n) <= queue }
	return f.ControlHandShake&SERIAL_CONTROL_INVALID == 0 && f.FlowReplace&SERIAL_FLOW_INVALID == 0 &&
		f.ControlHandShake&SERIAL_DTR_MASK != SERIAL_DTR_MASK && limit(f.XonLimit) && limit(f.XoffLimit)
}

// toggles reports whether RTS follows the transmitter.
func (f handflow) toggles() bool { return f.FlowReplace&SERIAL_RTS_MASK == SERIAL_TRANSMIT_TOGGLE }

func (f handflow) rtsHandshake() bool { return f.FlowReplace&SERIAL_RTS_MASK == SERIAL_RTS_HANDSHAKE }

func (f handflow) ctsHandshake() bool { return f.ControlHandShake&SERIAL_CTS_HANDSHAKE != 0 }

// autoRTS reports whether the application does not drive RTS.
func (f handflow) autoRTS() bool { return f.FlowReplace&SERIAL_RTS_HANDSHAKE != 0 }

// autoDTR reports whether the application does not drive DTR.
func (f handflow) autoDTR() bool { return f.ControlHandShake&SERIAL_DTR_HANDSHAKE != 0 }

// marks reports whether f takes the positions of errors and breaks in the data.
func (f handflow) marks() bool {
	return f.FlowReplace&(SERIAL_ERROR_CHAR|SERIAL_BREAK_CHAR) != 0 || f.ControlHandShake&SERIAL_ERROR_ABORT != 0
}

// withFlow returns t with the flow control of f and the characters of c.
func withFlow(t unix.Termios, f handflow, c chars) unix.Termios {
	set := func(flags *uint32, bits uint32, on bool) {
		*flags &^= bits
		if on {
			*flags |= bits
		}
	}
	set(&t.Cflag, unix.CRTSCTS, f.ctsHandshake())
	set(&t.Iflag, unix.IXON, f.FlowReplace&SERIAL_AUTO_TRANSMIT != 0)
	set(&t.Iflag, unix.IXOFF, f.FlowReplace&SERIAL_AUTO_RECEIVE != 0)
	set(&t.Iflag, unix.PARMRK|unix.INPCK, f.marks())
	t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = c.XonChar, c.XoffChar
	return t
}

// apply sets t. If accept does not accept the settings that the driver then has, the
// old ones are set again and the result is refused. Unchanged settings are not set:
// some drivers move lines even then.
func (h *handle) apply(t unix.Termios, accept func(unix.Termios) bool, refused pnp.HRESULT) pnp.HRESULT {
	if t == h.set.termios {
		return pnp.S_OK
	}
	got, err := h.port.setTermios(t)
	if err != nil {
		return h.failure(err)
	}
	if !accept(got) {
		if got, err = h.port.setTermios(h.set.termios); err == nil {
			h.nowSet(got)
		}
		return refused
	}
	h.nowSet(got)
	return pnp.S_OK
}

func (h *handle) nowSet(t unix.Termios) {
	h.q.Lock()
	defer h.q.Unlock()
	h.set.termios = t
}
