// SPDX-License-Identifier: Apache-2.0

package fusetest

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The relay is a process between the kernel and the test. Some requests block a thread
// of the test that Go's scheduler takes to be running: FUSE_POLL when Go's poller calls
// epoll, and FUSE_FLUSH when a child that is about to exec closes the file. A garbage
// collection then waits for that thread, so the test's own process could wait for ever
// to answer. The relay answers these requests.
//
// The relay also unmounts the file system if the test dies. A thread that waits for an
// answer in the kernel cannot be killed, and keeps the test's descriptors open.

// relayEnv makes a process of the test's binary the relay of the file system that is
// mounted at its value.
const relayEnv = "PNPDR_FUSETEST_RELAY"

// The descriptors that the relay inherits.
const (
	relayKernel = 3 + iota // /dev/fuse
	relayTest              // a SOCK_SEQPACKET socket
)

// An init function runs before the tests in every test binary that imports the package.
func init() {
	if dir := os.Getenv(relayEnv); dir != "" {
		relay(dir)
	}
}

// polled is an open file that can be polled.
type polled struct {
	events uint32 // that are set now
	kernel uint64 // the kernel's handle for notifications
	asked  bool   // kernel is known
}

type relayState struct {
	mu    sync.Mutex
	files map[uint64]*polled // by handle
}

// relay serves until the test has ended, and unmounts the file system if the test has not.
func relay(dir string) {
	s := &relayState{files: map[uint64]*polled{}}
	dead := make(chan os.Signal, 1)
	signal.Notify(dead, unix.SIGTERM, unix.SIGINT)
	gone := make(chan struct{})
	go s.fromKernel()
	go func() { s.fromTest(); close(gone) }()
	select {
	case <-dead:
	case <-gone:
	}
	// This fails if the test has unmounted it.
	_ = unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH)
	syscall.Exit(0) // with os.Exit, the race detector waits a second
}

// fromKernel handles the kernel's requests until the file system is unmounted.
func (s *relayState) fromKernel() {
	b := make([]byte, maxMessage)
	for {
		n, err := unix.Read(relayKernel, b)
		if err == unix.EINTR || err == unix.ENOENT { // ENOENT: the request was withdrawn
			continue
		}
		if err != nil || n < inHeader {
			return
		}
		if s.answer(b[:n]) {
			continue
		}
		if _, err := unix.Write(relayTest, b[:n]); err != nil {
			return
		}
	}
}

// answer answers requests that do not concern the test. It returns false for the others.
func (s *relayState) answer(b []byte) bool {
	code, reply := int32(0), []byte(nil)
	switch Op(order.Uint32(b[4:])) {
	case Open, Read, Write, Ioctl, Release, Interrupt:
		return false
	case Poll:
		return s.poll(b)
	case opForget, opForgets:
		return true // these take no answer
	case opInit:
		reply = initReply()
	case opLookup: // struct fuse_entry_out
		reply = append(order.AppendUint64(nil, fileNode), make([]byte, 32)...)
		reply = attributes(reply, fileNode)
	case opGetattr: // struct fuse_attr_out
		reply = attributes(make([]byte, 16), order.Uint64(b[16:]))
	default:
		code = -int32(unix.ENOSYS) // the kernel can do without
	}
	_, _ = unix.Write(relayKernel, message(order.Uint64(b[8:]), code, reply))
	return true
}

// poll answers FUSE_POLL, except for one that does not ask for POLLIN. That one comes
// from poll(2), which Go's scheduler knows to block, so it is left to the test.
func (s *relayState) poll(b []byte) bool {
	body := b[inHeader:] // struct fuse_poll_in: fh, kh, flags, events
	s.mu.Lock()
	f := s.files[order.Uint64(body)]
	code, reply := -int32(unix.ENOSYS), []byte(nil)
	if f != nil {
		f.kernel, f.asked = order.Uint64(body[8:]), true
		code, reply = 0, order.AppendUint32(nil, f.events)
		reply = append(reply, 0, 0, 0, 0)
	}
	s.mu.Unlock()
	if f != nil && order.Uint32(body[20:])&unix.POLLIN == 0 {
		return false
	}
	_, _ = unix.Write(relayKernel, message(order.Uint64(b[8:]), code, reply))
	return true
}

// fromTest passes on the test's replies, and its notices that a file's events have
// changed.
func (s *relayState) fromTest() {
	b := make([]byte, maxMessage)
	for {
		n, err := unix.Read(relayTest, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n < outHeader {
			return
		}
		m := b[:n]
		if order.Uint64(m[8:]) == 0 {
			if m = s.notice(m[outHeader:]); m == nil {
				continue
			}
		}
		// This fails if the request was withdrawn or the file was closed; then
		// nobody waits for it.
		_, _ = unix.Write(relayKernel, m)
	}
}

// notice remembers the events of a file. It returns the notification for the kernel, or
// nil if the kernel has not asked about the file.
func (s *relayState) notice(body []byte) []byte {
	handle := order.Uint64(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[handle]
	if f == nil {
		f = &polled{}
		s.files[handle] = f
	}
	f.events = order.Uint32(body[8:])
	if !f.asked {
		return nil
	}
	return message(0, notifyPoll, order.AppendUint64(nil, f.kernel))
}
