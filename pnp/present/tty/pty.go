// SPDX-License-Identifier: Apache-2.0

package tty

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/devnode"
)

// extproc is EXTPROC: the kernel tells the master of each change of the settings, and
// leaves the processing of input to it. The slave has it while its settings ask for no
// processing.
const extproc = 0x10000

// pty is a pseudo terminal whose slave programs open. Its master is in packet mode
// (TIOCPKT, ioctl_tty(2)).
//
// That the slave is opened is told by inotify alone, and that it was closed for the last
// time by POLLHUP at the master. Inotify may join several events to one, so it does not
// say how often the slave is open.
type pty struct {
	master  *os.File
	conn    syscall.RawConn
	path    string // of the slave
	inotify *os.File
	// opened gets a value after each open of the slave. The reader of inotify ends
	// with done.
	opened chan struct{}
	done   chan struct{}

	// settling is held while the settings are changed from here, since that takes
	// two steps. (A program that changes them between the two loses its change.)
	settling sync.Mutex
}

// newPTY makes a pseudo terminal with these settings.
func newPTY(t unix.Termios) (*pty, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	p := &pty{master: master, opened: make(chan struct{}, 1), done: make(chan struct{})}
	if err := p.begin(t); err != nil {
		master.Close()
		return nil, fmt.Errorf("making a pseudo terminal: %w", err)
	}
	go p.listen()
	return p, nil
}

func (p *pty) begin(t unix.Termios) error {
	var err error
	if p.conn, err = p.master.SyscallConn(); err != nil {
		return err
	}
	number := 0
	err = p.control(func(fd int) (err error) {
		if number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
		}
		return err
	})
	if err != nil {
		return err
	}
	p.path = fmt.Sprintf("/dev/pts/%d", number)
	// The system may give group tty access, for messages to users.
	if err := os.Chmod(p.path, 0o600); err != nil {
		return err
	}
	// Opened and closed once, it hangs up until somebody opens it.
	slave, err := p.openSlave()
	if err != nil {
		return err
	}
	err = devnode.SetTermios(slave, t)
	unix.Close(slave)
	if err == nil {
		// From here on, what happens is a program's doing.
		err = p.control(func(fd int) error { return unix.IoctlSetPointerInt(fd, unix.TIOCPKT, 1) })
	}
	if err != nil {
		return err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify (fs.inotify.max_user_instances may be too low): %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, p.path, unix.IN_OPEN); err != nil {
		unix.Close(fd)
		return fmt.Errorf("watching %s: %w", p.path, err)
	}
	p.inotify = os.NewFile(uintptr(fd), "inotify")
	return nil
}

// Close hangs up: programs that have the slave open read the end of the file and fail to
// write. Nobody else may use p any more.
func (p *pty) Close() {
	p.master.Close()
	p.inotify.Close()
	<-p.done
}

// listen reads the events. What they say does not matter.
func (p *pty) listen() {
	defer close(p.done)
	for b := make([]byte, 4096); ; {
		if _, err := p.inotify.Read(b); err != nil {
			return
		}
		select {
		case p.opened <- struct{}{}:
		default:
		}
	}
}

// control calls f with the master's descriptor.
func (p *pty) control(f func(fd int) error) error {
	var failed error
	err := p.conn.Control(func(fd uintptr) { failed = f(int(fd)) })
	return errors.Join(err, failed)
}

// openSlave opens the slave, whatever has become of its path.
func (p *pty) openSlave() (slave int, err error) {
	err = p.control(func(fd int) error {
		const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_NONBLOCK | unix.O_CLOEXEC
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, flags)
		if errno != 0 {
			return errno
		}
		slave = int(n)
		return nil
	})
	return slave, err
}

// state is what poll(2) says of the master.
func (p *pty) state() (events int16) {
	_ = p.control(func(fd int) error {
		events = poll(fd)
		return nil
	})
	return events
}

func poll(fd int) int16 {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLPRI}}
	for {
		if _, err := unix.Poll(fds, 0); err != unix.EINTR {
			return fds[0].Revents
		}
	}
}

// isOpen reports whether a program has the slave open.
func (p *pty) isOpen() bool { return p.state()&unix.POLLHUP == 0 }

// isUsed reports whether a program has the slave open, or had it and has left something.
func (p *pty) isUsed() bool { s := p.state(); return s&unix.POLLHUP == 0 || s&unix.POLLIN != 0 }

// reset discards what nobody has read after the last close, and ends TIOCEXCL, which
// would outlive the program that has set it. It fails if the terminal is exclusive and
// this process may not open it, too.
func (p *pty) reset() error {
	open := p.isOpen()
	slave, err := p.openSlave()
	if err != nil {
		if open {
			return nil // another program has it already
		}
		return err
	}
	defer unix.Close(slave)
	if !open {
		_ = unix.IoctlSetInt(slave, unix.TIOCNXCL, 0)
	}
	err = unix.IoctlSetInt(slave, unix.TCFLSH, unix.TCIFLUSH)
	// That was not a program's flush. A program that has opened the slave meanwhile
	// may lose the news of its changes, but they are looked at when it is served.
	var status [1]byte
	_ = p.control(func(fd int) error {
		if poll(fd)&unix.POLLPRI != 0 {
			_, err := unix.Read(fd, status[:])
			return err
		}
		return nil
	})
	return err
}

// termios returns the slave's settings.
func (p *pty) termios() (t unix.Termios, err error) {
	err = p.control(func(fd int) error {
		t, err = devnode.GetTermios(fd)
		return err
	})
	return t, err
}

// processes reports whether t asks the kernel to process input before programs read it.
func processes(t *unix.Termios) bool {
	const input = unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IUCLC | unix.PARMRK
	const local = unix.ICANON | unix.ISIG | unix.ECHO
	return t.Iflag&input != 0 || t.Lflag&local != 0
}

// settled reports whether EXTPROC is as t needs it.
func settled(t *unix.Termios) bool { return processes(t) != (t.Lflag&extproc != 0) }

// settle sets or clears EXTPROC as the settings need it.
func (p *pty) settle() error {
	p.settling.Lock()
	defer p.settling.Unlock()
	return p.control(func(fd int) error {
		t, err := devnode.GetTermios(fd)
		if err != nil || settled(&t) {
			return err
		}
		t.Lflag ^= extproc
		return devnode.SetTermios(fd, t)
	})
}
