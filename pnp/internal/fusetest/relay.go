// SPDX-License-Identifier: Apache-2.0

package fusetest

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The relay is a process between the kernel and the test. It answers what the
// kernel may ask on a thread that Go's scheduler does not know to be waiting, so
// that the garbage collector waits for it, and an answer from the same process
// could wait for that one for ever: FUSE_POLL, when Go's poller calls epoll, and
// FUSE_FLUSH, when a child that is about to exec closes the file.
//
// It also is what ends a file system whose test has died: a thread that the
// kernel has waiting for an answer cannot be killed, and keeps the test's
// descriptors open.

// relayEnv makes a process of the test's binary the relay of the file system
// that is mounted there.
const relayEnv = "PNPDR_FUSETEST_RELAY"

// What the relay inherits.
const (
	relayKernel = 3 + iota // /dev/fuse
	relayTest              // a socket of packets
)

// An init, because the test's binary has no other place that comes before its
// tests, whatever package it is of.
func init() {
	if dir := os.Getenv(relayEnv); dir != "" {
		relay(dir)
	}
}

// polled is what is known of a file that can be waited for.
type polled struct {
	events uint32 // that are true of it
	kernel uint64 // the kernel's name for it
	asked  bool   // the kernel has given it
}

type relayState struct {
	mu    sync.Mutex
	files map[uint64]*polled // by handle
}

// relay serves until the test has gone, and unmounts what it has left.
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
	// It fails where the test has done that.
	_ = unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH)
	syscall.Exit(0) // with os.Exit, the race detector waits a second
}

// fromKernel takes the kernel's requests until the file system is unmounted.
func (s *relayState) fromKernel() {
	b := make([]byte, maxMessage)
	for {
		n, err := unix.Read(relayKernel, b)
		if err == unix.EINTR || err == unix.ENOENT { // the request was taken back
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

// answer does what has nothing to do with the file's content, and reports whether
// it was that.
func (s *relayState) answer(b []byte) bool {
	code, reply := int32(0), []byte(nil)
	switch Op(order.Uint32(b[4:])) {
	case Open, Read, Write, Ioctl, Release, Interrupt:
		return false
	case Poll:
		return s.poll(b)
	case opForget, opForgets:
		return true // no answer is due
	case opInit:
		reply = initReply()
	case opLookup: // struct fuse_entry_out
		reply = append(order.AppendUint64(nil, fileNode), make([]byte, 32)...)
		reply = attributes(reply, fileNode)
	case opGetattr: // struct fuse_attr_out
		reply = attributes(make([]byte, 16), order.Uint64(b[16:]))
	default:
		code = -int32(unix.ENOSYS) // the kernel does without
	}
	_, _ = unix.Write(relayKernel, message(order.Uint64(b[8:]), code, reply))
	return true
}

// poll answers FUSE_POLL. One that does not ask for data is left to the test:
// it comes from poll(2), which Go's scheduler knows to be waiting.
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

// fromTest takes the test's replies, and the notices that a file's events have
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
		// It fails for a request that was taken back, and for a file that
		// was closed; nobody waits then.
		_, _ = unix.Write(relayKernel, m)
	}
}

// notice takes the events of a file and returns what is to be told to the kernel.
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
