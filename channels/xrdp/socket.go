// SPDX-License-Identifier: Apache-2.0

package xrdp

import (
	"io"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a connection to chansrv that the runtime's poller does not know: whoever
// reads waits in the kernel, and takes a thread. What the client sends comes in pieces of
// 1600 bytes, and the poller would wake a thread up for each, whether or not anybody
// waits for it.
type socket struct{ fd int }

// newSocket takes over conn, whatever it returns.
func newSocket(conn *net.UnixConn) (*socket, error) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var failed error
	if err := raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if failed != nil {
		return nil, failed
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &socket{fd}, nil
}

// Read implements io.Reader. It waits until there is something to read, or shutdown is
// called.
func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// send sends msg and the ancillary data. Without unix.MSG_DONTWAIT in flags, it waits
// until there is room, or shutdown is called.
func (s *socket) send(msg, ancillary []byte, flags int) error {
	for {
		n, err := unix.SendmsgN(s.fd, msg, ancillary, nil, flags|unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
		case err == nil && n < len(msg):
			s.shutdown() // nothing can follow
			return io.ErrShortWrite
		default:
			return err
		}
	}
}

// taken reports whether chansrv has taken all that was sent. Of several messages that wait,
// xrdp 0.9.21 loses some, even if each comes out of the socket alone.
func (s *socket) taken() bool {
	waiting, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
	// The last 1 goes when the recv that has taken the rest is about to return. If it has
	// not, the barrier keeps the next message out of it. An error is one of send, too.
	return err != nil || waiting <= 1
}

// shutdown ends the connection. Nobody waits any longer.
func (s *socket) shutdown() { _ = unix.Shutdown(s.fd, unix.SHUT_RDWR) }

// close must be called last.
func (s *socket) close() { _ = unix.Close(s.fd) }

// pause has the thread sleep, without the runtime's knowledge: of a system call that
// takes its time, the runtime's monitor would want to know every 20 µs how it is getting
// on, which takes more processor time than all else that the agent does. d is short:
// meanwhile the thread serves nobody, and the garbage collector waits.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
