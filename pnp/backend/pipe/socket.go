// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// socket is a connection to a Unix socket.
type socket struct {
	fd      int
	file    *os.File // owns fd
	conn    syscall.RawConn
	packets bool // SOCK_SEQPACKET

	h    *handle
	room *sync.Cond // the handle has room for more, or is closed
}

// errTooLong ends a connection whose other end sends more in one message than is
// received.
var errTooLong = fmt.Errorf("a message is longer than %d bytes: %w", maxMessage, pnp.ERROR_NO_SYSTEM_RESOURCES)

// dial connects to the socket at path, of whichever type it is. It does not wait.
func dial(path string) (*socket, error) {
	s, err := dialType(path, unix.SOCK_STREAM)
	if errors.Is(err, unix.EPROTOTYPE) {
		s, err = dialType(path, unix.SOCK_SEQPACKET)
	}
	switch {
	case errors.Is(err, unix.EPROTOTYPE): // it takes datagrams
		return nil, fmt.Errorf("%w: %w", pnp.ERROR_NOT_SUPPORTED, err)
	case errors.Is(err, unix.ECONNREFUSED): // nobody listens
		return nil, fmt.Errorf("%w: %w", pnp.ERROR_FILE_NOT_FOUND, err)
	case errors.Is(err, unix.EAGAIN): // nobody accepts
		return nil, fmt.Errorf("%w: %w", pnp.ERROR_PIPE_BUSY, err)
	}
	return s, err
}

func dialType(path string, kind int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &socket{fd: fd, packets: kind == unix.SOCK_SEQPACKET}
	if s.packets {
		// Credentials come with each message, even with an empty one, but not with
		// the end.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.file = os.NewFile(uintptr(fd), path)
	if s.conn, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) messages() bool { return s.packets }

// start begins to receive, on a goroutine that ends with the other end or the handle and
// keeps the handle from being released.
func (s *socket) start(h *handle) {
	s.h, s.room = h, sync.NewCond(h.q)
	h.q.Enter()
	go s.run()
}

func (s *socket) run() {
	defer s.h.q.Leave()
	defer pnp.Guard(s.h.dev.log, "receiving from "+s.h.dev.description.Name, func() { s.ends(pnp.E_UNEXPECTED) })
	for {
		p, err := s.receive()
		if err != nil {
			s.ends(readFailure(err))
			return
		}
		if !s.take(p) {
			return
		}
	}
}

// take gives what was received to the reads that wait, or keeps it, and waits until
// there is room for more. It returns false once the handle is closed.
func (s *socket) take(p []byte) bool {
	h := s.h
	h.q.Lock()
	defer h.q.Unlock()
	if h.q.Ended() == pnp.S_OK {
		h.keep(p)
		h.reads.Kick()
	}
	for h.q.Ended() == pnp.S_OK && h.full() {
		s.room.Wait()
	}
	return h.q.Ended() == pnp.S_OK
}

// ends notes that nothing more comes, and why.
func (s *socket) ends(why pnp.HRESULT) {
	s.h.q.Lock()
	defer s.h.q.Unlock()
	s.h.over = why
	s.h.reads.Kick()
}

func (s *socket) drained() { s.room.Signal() }

func (s *socket) submitted() {}

// receive waits for the next message, or in byte mode for some bytes. The error is io.EOF
// if the other end has closed the pipe.
func (s *socket) receive() (p []byte, err error) {
	failed := s.conn.Read(func(uintptr) bool {
		p, err = s.tryReceive()
		return !errors.Is(err, unix.EAGAIN)
	})
	if failed != nil {
		return nil, failed
	}
	return p, err
}

func (s *socket) tryReceive() ([]byte, error) {
	size, err := s.next()
	switch {
	case err != nil:
		return nil, err
	case size > maxMessage:
		return nil, errTooLong
	}
	p := make([]byte, max(size, 1))
	var oob []byte
	if s.packets {
		// Room for the credentials alone: the kernel drops descriptors that come
		// along.
		oob = make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	}
	for {
		n, noob, _, _, err := unix.Recvmsg(s.fd, p, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0 && noob == 0:
			return nil, io.EOF
		}
		return p[:n], nil
	}
}

// next returns the length of the next message, or how many bytes to receive.
func (s *socket) next() (int, error) {
	if !s.packets {
		// Not more memory than there is data.
		if n, err := unix.IoctlGetInt(s.fd, unix.SIOCINQ); n > 0 || err != nil {
			return min(n, maxUnread), err
		}
	}
	n, err := s.peek()
	switch {
	case err != nil || s.packets:
		return n, err
	case n == 0:
		return 0, io.EOF
	}
	return s.next() // it has come just now
}

// peek returns the length of the next message, or whether there is a byte.
func (s *socket) peek() (int, error) {
	for {
		var none [1]byte
		n, _, err := unix.Recvfrom(s.fd, none[:], unix.MSG_PEEK|unix.MSG_TRUNC|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (s *socket) send(p []byte) (int, error) {
	for {
		n, err := unix.SendmsgN(s.fd, p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// await waits until send seems to have room.
func (s *socket) await() error {
	return s.conn.Write(func(uintptr) bool {
		p := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(p, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// shutdown ends the waits of receive and await.
func (s *socket) shutdown() { _ = s.file.SetDeadline(time.Unix(1, 0)) }

func (s *socket) close() { _ = s.file.Close() }
