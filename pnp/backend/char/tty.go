// SPDX-License-Identifier: Apache-2.0

package char

import (
	"sync"

	"golang.org/x/sys/unix"
)

// rawMode keeps a device's terminal raw while anybody has it open.
type rawMode struct {
	mu sync.Mutex
	// current is what the handles of the terminal that is behind the path
	// now share.
	current *tty
}

// tty is one terminal, with the settings it had before the first open.
type tty struct {
	saved unix.Termios
	users int
}

// enter makes fd raw and returns what leave needs; nil if fd is no terminal.
func (m *rawMode) enter(fd int) (*tty, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		if err == unix.EIO {
			return nil, err // a terminal that was hung up
		}
		return nil, nil
	}
	want := makeRaw(*now)
	t := m.current
	if t == nil || *now != want {
		// A terminal that is not raw although somebody has the path open
		// is another one: it was unplugged and came back.
		t = &tty{saved: *now}
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, &want); err != nil {
			return nil, err
		}
	}
	t.users++
	m.current = t
	return t, nil
}

// leave ends what enter began. The last one restores the settings, as far as
// the terminal is still there.
func (m *rawMode) leave(fd int, t *tty) {
	if t == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t.users--
	if t.users > 0 {
		return
	}
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, &t.saved)
	if m.current == t {
		m.current = nil
	}
}

// makeRaw is cfmakeraw(3) without flow control characters in either direction,
// and with reads that wait for one byte. Speed and modem control stay.
func makeRaw(t unix.Termios) unix.Termios {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR |
		unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF | unix.IXANY
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8 | unix.CREAD
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return t
}
