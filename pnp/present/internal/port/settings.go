// SPDX-License-Identifier: Apache-2.0

package port

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/backend/serial"
)

// Settings is what termios says about a line, in the terms of ntddser.h.
type Settings struct {
	// Baud is the speed in bits per second; 0 hangs up.
	Baud  uint32
	Frame Frame
	// Xon and Xoff are the characters for flow control.
	Xon, Xoff byte
	// Lines is flow control by RTS and CTS. StopOutput obeys Xoff when sending, and
	// StopInput sends it.
	Lines, StopOutput, StopInput bool
	// Toggle is an RTS that is up only while there is output (RS-485), which termios
	// does not know.
	Toggle bool
}

// InitialTermios returns the settings of a port that no program has used yet: raw, 8N1,
// 9600 bit/s.
func InitialTermios() unix.Termios {
	t := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.HUPCL | unix.B9600, Ispeed: 9600, Ospeed: 9600}
	// The other characters are those of every terminal (ttydefaults.h).
	for i, c := range map[int]byte{
		unix.VINTR: 3, unix.VQUIT: 28, unix.VERASE: 127, unix.VKILL: 21, unix.VEOF: 4, unix.VMIN: 1,
		unix.VSTART: 17, unix.VSTOP: 19, unix.VSUSP: 26, unix.VREPRINT: 18, unix.VDISCARD: 15,
		unix.VWERASE: 23, unix.VLNEXT: 22,
	} {
		t.Cc[i] = c
	}
	return t
}

// Frame is how a character goes over the line: SERIAL_LINE_CONTROL.
type Frame struct {
	StopBits, Parity, WordLength uint8
}

// SettingsOf returns the settings that t asks for. If its two speeds differ, that of the
// output counts, since ntddser.h has only one.
func SettingsOf(t *unix.Termios) Settings {
	return Settings{
		Baud:       t.Ospeed,
		Frame:      frameOf(t.Cflag),
		Xon:        t.Cc[unix.VSTART],
		Xoff:       t.Cc[unix.VSTOP],
		Lines:      t.Cflag&unix.CRTSCTS != 0,
		StopOutput: t.Iflag&unix.IXON != 0,
		StopInput:  t.Iflag&unix.IXOFF != 0,
	}
}

func frameOf(cflag uint32) Frame {
	f := Frame{WordLength: 8}
	switch cflag & unix.CSIZE {
	case unix.CS5:
		f.WordLength = 5
	case unix.CS6:
		f.WordLength = 6
	case unix.CS7:
		f.WordLength = 7
	}
	if cflag&unix.PARENB != 0 {
		switch cflag & (unix.PARODD | unix.CMSPAR) {
		case 0:
			f.Parity = serial.EVEN_PARITY
		case unix.PARODD:
			f.Parity = serial.ODD_PARITY
		case unix.CMSPAR:
			f.Parity = serial.SPACE_PARITY
		default:
			f.Parity = serial.MARK_PARITY
		}
	}
	return f.withStopBits(cflag&unix.CSTOPB != 0)
}

// withStopBits sets the number of stop bits: one, or the more that go with the word's
// length, as in termios.
func (f Frame) withStopBits(more bool) Frame {
	switch {
	case !more:
		f.StopBits = serial.STOP_BIT_1
	case f.WordLength == 5:
		f.StopBits = serial.STOP_BITS_1_5
	default:
		f.StopBits = serial.STOP_BITS_2
	}
	return f
}

// parities are the letters for the values of Frame.Parity.
const parities = "NOEMS"

// ParseFrame reads a frame as people write it: data bits, parity (N, O, E, M, S), stop
// bits, as in 8N1 and 7E2.
func ParseFrame(s string) (Frame, error) {
	bad := fmt.Errorf("%q is not data bits, parity and stop bits, such as 7E1", s)
	if len(s) != 3 || s[0] < '5' || s[0] > '8' || s[2] != '1' && s[2] != '2' {
		return Frame{}, bad
	}
	f := Frame{WordLength: s[0] - '0'}
	for i := range parities {
		if s[1]&^0x20 == parities[i] {
			f.Parity = uint8(i)
			return f.withStopBits(s[2] == '2'), nil
		}
	}
	return Frame{}, bad
}

// String returns the frame as people write it.
func (f Frame) String() string {
	parity := byte('?')
	if int(f.Parity) < len(parities) {
		parity = parities[f.Parity]
	}
	stop := map[uint8]string{serial.STOP_BIT_1: "1", serial.STOP_BITS_1_5: "1.5", serial.STOP_BITS_2: "2"}[f.StopBits]
	return fmt.Sprintf("%d%c%s", f.WordLength, parity, stop)
}

// The initial limits of serial.sys for its flow control, in bytes. They fit its smallest
// queue.
const (
	xonLimit  = 2048
	xoffLimit = 512
)

// line is SERIAL_LINE_CONTROL.
func (s *Settings) line() []byte {
	return []byte{s.Frame.StopBits, s.Frame.Parity, s.Frame.WordLength}
}

// chars is SERIAL_CHARS.
func (s *Settings) chars() []byte { return []byte{0, 0, 0, 0, s.Xon, s.Xoff} }

// handflow is SERIAL_HANDFLOW.
func (s *Settings) handflow() []byte {
	control, replace := uint32(serial.SERIAL_DTR_CONTROL), uint32(serial.SERIAL_RTS_CONTROL)
	if s.Lines {
		control |= serial.SERIAL_CTS_HANDSHAKE
		replace = serial.SERIAL_RTS_HANDSHAKE
	}
	if s.Toggle {
		replace = serial.SERIAL_TRANSMIT_TOGGLE
	}
	if s.StopOutput {
		replace |= serial.SERIAL_AUTO_TRANSMIT
	}
	if s.StopInput {
		replace |= serial.SERIAL_AUTO_RECEIVE
	}
	return u32s(control, replace, xonLimit, xoffLimit)
}

func u32s(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}
