// SPDX-License-Identifier: Apache-2.0

package cuse

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// termios2Size is the size of the kernel's structure that has speeds as numbers.
const termios2Size = int(unsafe.Sizeof(unix.Termios{}))

// rates are the speeds that c_cflag has a code for.
var rates = map[uint32]uint32{
	unix.B0: 0, unix.B50: 50, unix.B75: 75, unix.B110: 110, unix.B134: 134, unix.B150: 150, unix.B200: 200,
	unix.B300: 300, unix.B600: 600, unix.B1200: 1200, unix.B1800: 1800, unix.B2400: 2400,
	unix.B4800: 4800, unix.B9600: 9600, unix.B19200: 19200, unix.B38400: 38400, unix.B57600: 57600,
	unix.B115200: 115200, unix.B230400: 230400, unix.B460800: 460800, unix.B500000: 500000,
	unix.B576000: 576000, unix.B921600: 921600, unix.B1000000: 1000000, unix.B1152000: 1152000,
	unix.B1500000: 1500000, unix.B2000000: 2000000, unix.B2500000: 2500000, unix.B3000000: 3000000,
	unix.B3500000: 3500000, unix.B4000000: 4000000,
}

const codeMask = unix.CBAUD | unix.CBAUD<<unix.IBSHIFT

// setSpeed sets both speeds, in bits per second.
func setSpeed(t *unix.Termios, baud uint32) {
	code := uint32(unix.BOTHER)
	for c, rate := range rates {
		if rate == baud {
			code = c
		}
	}
	t.Cflag = t.Cflag&^codeMask | code
	t.Ispeed, t.Ospeed = baud, baud
}

// parseTermios reads a structure with or without speeds as numbers. Without a code, the
// speed of the latter is that of before.
func parseTermios(b []byte, before *unix.Termios) (unix.Termios, error) {
	old := len(b) < termios2Size
	if old {
		b = append(append([]byte(nil), b...), make([]byte, termios2Size-len(b))...)
	}
	t, _, err := split[unix.Termios](b)
	if err != nil {
		return t, err
	}
	if old {
		t.Ospeed = before.Ospeed
	}
	baud := t.Ospeed
	if rate, ok := rates[t.Cflag&unix.CBAUD]; ok {
		baud = rate
	}
	setSpeed(&t, baud)
	return t, nil
}
