// SPDX-License-Identifier: Apache-2.0

package serial

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
)

// port is a terminal. Its methods are single calls to the driver. Some of them talk to
// hardware and take as long as that takes: no lock is held meanwhile.
type port struct {
	driver
	fd int
	// pseudo is set for a pseudo terminal, which has no line.
	pseudo bool
	// modem is set for a USB modem (CDC ACM), which reports a ring once and not when
	// it begins and ends.
	modem bool
	// usb is set for a USB device, whose chip knows later what the driver knows.
	usb bool
	// hasLines is set if the driver has modem lines, and hasCounters if it counts
	// errors and changes of the lines.
	hasLines, hasCounters bool
}

// newPort finds out what fd can do. It fails if fd is not a terminal.
func newPort(fd int, rdev uint64) (port, error) {
	p := port{driver: tty(fd), fd: fd}
	if _, err := p.termios(); err != nil {
		return p, err
	}
	// The major numbers are those of Linux' devices.txt.
	major := unix.Major(rdev)
	p.pseudo = major >= 136 && major <= 143 || major == 3
	p.modem = major == 166
	p.usb = p.modem || major == 188
	_, err := p.lines()
	p.hasLines = err == nil
	_, err = p.counters()
	p.hasCounters = err == nil
	return p, nil
}

func (p port) termios() (unix.Termios, error) { return devnode.GetTermios(p.fd) }

// setTermios sets t and returns the settings that the driver then has.
func (p port) setTermios(t unix.Termios) (unix.Termios, error) {
	if err := devnode.SetTermios(p.fd, t); err != nil {
		return unix.Termios{}, err
	}
	return p.termios()
}

// driver is the part of a port that a pseudo terminal lacks. The tests have their own.
type driver interface {
	// lines returns the TIOCM bits.
	lines() (int, error)
	// setLines raises or lowers the lines of the TIOCM bits.
	setLines(bits int, on bool) error
	counters() (counters, error)
	// unsent returns how many bytes the kernel still has to send.
	unsent() int
	// empty reports whether the last bit has left the chip.
	empty() (bool, error)
	// sendBreak begins or ends a break.
	sendBreak(on bool) error
	// rs485 returns the settings by which the driver drives RTS, and setRS485 changes
	// them and returns those that the driver then has.
	rs485() (rs485, error)
	setRS485(rs485) (rs485, error)
}

// refused reports whether a driver has refused what it cannot do, by an error that it
// or the device returned. Devices without lines stall the request, which is EPIPE.
func refused(err error) bool {
	switch {
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY),
		errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return true
	}
	return false
}

// tty is the driver of a terminal's descriptor.
type tty int

func (d tty) lines() (int, error) { return unix.IoctlGetInt(int(d), unix.TIOCMGET) }

func (d tty) setLines(bits int, on bool) error {
	if on {
		return unix.IoctlSetPointerInt(int(d), unix.TIOCMBIS, bits)
	}
	return unix.IoctlSetPointerInt(int(d), unix.TIOCMBIC, bits)
}

// counters is struct serial_icounter_struct (linux/serial.h).
type counters struct {
	CTS, DSR, RNG, DCD                   int32
	RX, TX                               int32
	Frame, Overrun, Parity, Brk, Buffers int32
	_                                    [9]int32
}

func (d tty) counters() (counters, error) {
	var c counters
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d), unix.TIOCGICOUNT, uintptr(unsafe.Pointer(&c)))
	if errno != 0 {
		return counters{}, errno
	}
	return c, nil
}

func (d tty) unsent() int { return count(int(d), unix.TIOCOUTQ) }

func (d tty) sendBreak(on bool) error {
	if on {
		return unix.IoctlSetInt(int(d), unix.TIOCSBRK, 0)
	}
	return unix.IoctlSetInt(int(d), unix.TIOCCBRK, 0)
}

func (d tty) empty() (bool, error) {
	status, err := unix.IoctlGetInt(int(d), unix.TIOCSERGETLSR)
	return status&unix.TIOCSER_TEMT != 0, err
}

// rs485 is struct serial_rs485 (linux/serial.h).
type rs485 struct {
	Flags                                 uint32
	DelayRTSBeforeSend, DelayRTSAfterSend uint32
	_                                     [5]uint32
}

// The flags of rs485: SER_RS485_ENABLED and so on.
const (
	rs485Enabled      = 0x01
	rs485RTSOnSend    = 0x02
	rs485RTSAfterSend = 0x04
	rs485RXDuringTX   = 0x10
)

func (d tty) rs485() (rs485, error) { return d.ioctlRS485(unix.TIOCGRS485, rs485{}) }

func (d tty) setRS485(s rs485) (rs485, error) { return d.ioctlRS485(unix.TIOCSRS485, s) }

func (d tty) ioctlRS485(request uintptr, s rs485) (rs485, error) {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d), request, uintptr(unsafe.Pointer(&s))); errno != 0 {
		return rs485{}, errno
	}
	return s, nil
}

// unread returns how many bytes the kernel has received that were not read yet.
func (p port) unread() int { return count(p.fd, unix.TIOCINQ) }

// count asks for a number of bytes; 0 if the driver does not know.
func count(fd int, request uint) int {
	n, err := unix.IoctlGetInt(fd, request)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// flush discards a queue: unix.TCIFLUSH or unix.TCOFLUSH.
func (p port) flush(queue int) error { return unix.IoctlSetInt(p.fd, unix.TCFLSH, queue) }

// flow stops or resumes sending.
func (p port) flow(on bool) error {
	if on {
		return unix.IoctlSetInt(p.fd, unix.TCXONC, unix.TCOON)
	}
	return unix.IoctlSetInt(p.fd, unix.TCXONC, unix.TCOOFF)
}

// exclusive sets or clears TIOCEXCL, except on a pseudo terminal: see the package's
// documentation.
func (p port) exclusive(on bool) error {
	switch {
	case p.pseudo:
		return nil
	case on:
		return unix.IoctlSetInt(p.fd, unix.TIOCEXCL, 0)
	}
	return unix.IoctlSetInt(p.fd, unix.TIOCNXCL, 0)
}

// hungUp reports whether the device has gone.
func (p port) hungUp() bool { return devnode.HungUp(p.fd) }

// read and write do not wait: they return EAGAIN instead.
func (p port) read(b []byte) (int, error)  { return retry(unix.Read, p.fd, b) }
func (p port) write(b []byte) (int, error) { return retry(unix.Write, p.fd, b) }

func retry(call func(int, []byte) (int, error), fd int, b []byte) (int, error) {
	for {
		n, err := call(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// drain waits until everything is sent, at most for limit and the time that it takes, and
// discards the rest. It returns how many bytes those are.
func (p port) drain(t *unix.Termios, limit time.Duration) (lost int) {
	const interval = 5 * time.Millisecond
	limit = min(limit+lineTime(p.unsent(), t), longestDrain)
	for end := time.Now().Add(limit); ; time.Sleep(interval) {
		lost = p.unsent()
		if lost == 0 || time.Now().After(end) {
			break
		}
	}
	if lost > 0 {
		_ = p.flush(unix.TCOFLUSH)
	}
	return lost
}

// lineTime returns how long n characters take with the settings given; 0 if they have no
// speed.
func lineTime(n int, t *unix.Termios) time.Duration {
	if t.Ospeed == 0 {
		return 0
	}
	bits := 1 + 5 + int(t.Cflag&unix.CSIZE)/int(unix.CS6) + 1 // start, data, stop
	if t.Cflag&unix.PARENB != 0 {
		bits++
	}
	if t.Cflag&unix.CSTOPB != 0 {
		bits++
	}
	return time.Duration(n) * time.Duration(bits) * time.Second / time.Duration(t.Ospeed)
}

// raw returns t with the settings of a port that was just opened, as the package's
// documentation says. With CLOCAL a carrier that drops is an event and not a hangup.
func raw(t unix.Termios) unix.Termios {
	t = devnode.Raw(t)
	t.Cflag &^= unix.PARODD | unix.CMSPAR | unix.CSTOPB | unix.CRTSCTS
	t.Cflag |= unix.CLOCAL
	t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = defaultXon, defaultXoff
	return t
}
