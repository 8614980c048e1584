// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Terminal is a terminal whose settings this process changes. All opens of the node
// share it: the first EnterTerminal saves the settings, and the last Leave restores
// them.
type Terminal struct {
	key key

	// settings is held while they are being changed or restored, so that an open
	// waits until an earlier one has restored them. It guards saved and known.
	settings sync.Mutex
	saved    unix.Termios
	known    bool // saved is valid

	users []int // descriptors; guarded by nodes.mu
}

// EnterTerminal makes n a user of its terminal and calls change with the present
// settings. It may wait for the driver, or until an earlier open has restored the
// settings.
//
// Without an error Leave must follow.
func EnterTerminal(n *Node, change func(now unix.Termios) error) (*Terminal, error) {
	t := enter(n)
	t.settings.Lock()
	defer t.settings.Unlock()
	now, err := GetTermios(n.FD)
	if err == nil {
		if !t.known {
			t.saved, t.known = now, true
		}
		err = change(now)
	}
	if err != nil {
		t.drop(n.FD)
		return nil, err
	}
	return t, nil
}

// enter finds the node's terminal or makes it.
func enter(n *Node) *Terminal {
	k := n.key()
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	s := nodes.of(k)
	// If an open of the node has hung up, the device was unplugged. The one that
	// is there now has its own settings.
	if s.terminal == nil || slices.ContainsFunc(s.terminal.users, HungUp) {
		s.terminal = &Terminal{key: k}
	}
	s.terminal.users = append(s.terminal.users, n.FD)
	return s.terminal
}

// Leave ends a use of the terminal. If fd is the last user, Leave calls restore with
// the settings that the terminal had before the first. Otherwise it calls stay with
// them, unless stay is nil: a user that has changed more than the others need undoes
// that there.
func (t *Terminal) Leave(fd int, restore, stay func(saved unix.Termios) error) error {
	t.settings.Lock()
	defer t.settings.Unlock()
	defer t.drop(fd)
	switch {
	case !t.known:
		return nil
	case !t.others():
		t.known = false
		return restore(t.saved)
	case stay != nil:
		return stay(t.saved)
	}
	return nil
}

// others reports whether there is more than one user.
func (t *Terminal) others() bool {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	return len(t.users) > 1
}

// drop removes fd from the users.
func (t *Terminal) drop(fd int) {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	if i := slices.Index(t.users, fd); i >= 0 {
		t.users = slices.Delete(t.users, i, i+1)
	}
	if s := nodes.open[t.key]; len(t.users) == 0 && s != nil && s.terminal == t {
		s.terminal = nil
		nodes.tidy(t.key)
	}
}

// Raw returns t with the settings of an 8-bit clean stream: those of cfmakeraw(3),
// no flow control by characters, and reads that wait for one byte. Speed and modem
// control stay as they are.
func Raw(t unix.Termios) unix.Termios {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.IGNPAR | unix.PARMRK | unix.INPCK | unix.ISTRIP |
		unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF | unix.IXANY
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8 | unix.CREAD
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return t
}

// GetTermios returns the settings of a terminal, whatever its speed.
func GetTermios(fd int) (unix.Termios, error) {
	t, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return unix.Termios{}, err
	}
	return *t, nil
}

// SetTermios changes the settings of a terminal at once.
func SetTermios(fd int, t unix.Termios) error { return unix.IoctlSetTermios(fd, setTermios, &t) }
