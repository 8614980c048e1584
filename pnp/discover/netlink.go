// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Multicast groups of NETLINK_KOBJECT_UEVENT.
const (
	groupKernel = 1
	groupUdev   = 2
)

const (
	// receiveBuffer is how many bytes the kernel may queue while notify runs.
	// Without privileges it queues fewer.
	receiveBuffer = 8 << 20
	// maxUevent is longer than any message from the kernel or udev.
	maxUevent = 1 << 16
	// maxBatch is how many messages Receive returns at most.
	maxBatch = 256
)

// Listen subscribes to messages from the kernel and udev in this network
// namespace. One socket receives both, so they arrive in the order in which they
// were sent.
func Listen() (Source, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("discover: netlink: %w", err)
	}
	n, err := newNetlink(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("discover: netlink: %w", err)
	}
	return n, nil
}

func newNetlink(fd int) (*netlink, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return nil, err
	}
	// The second needs privileges, the first has a limit. Both may fail: after
	// a loss the monitor looks at everything again.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groupKernel | groupUdev}); err != nil {
		return nil, err
	}
	n := &netlink{file: os.NewFile(uintptr(fd), "netlink"), data: make([]byte, maxUevent), oob: make([]byte, 256)}
	var err error
	n.conn, err = n.file.SyscallConn()
	return n, err
}

// netlink is the Source for a real machine.
type netlink struct {
	file   *os.File
	conn   syscall.RawConn
	closed atomic.Bool
	// Used by Receive alone.
	data, oob []byte
}

func (n *netlink) Close() error {
	if n.closed.Swap(true) {
		return nil
	}
	return n.file.Close()
}

func (n *netlink) Receive(wait time.Duration) ([]Uevent, error) {
	deadline := time.Time{}
	if wait > 0 {
		deadline = time.Now().Add(wait)
	}
	if err := n.file.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	var (
		list []Uevent
		fail error
	)
	err := n.conn.Read(func(fd uintptr) bool {
		for len(list) < maxBatch {
			e, ok, err := n.one(int(fd))
			switch {
			case err == unix.EAGAIN:
				return len(list) > 0 || wait == 0
			case err == unix.EINTR:
				continue
			case err == unix.ENOBUFS || err == unix.ENOMEM:
				fail = ErrLost
				return true
			case err != nil:
				fail = fmt.Errorf("discover: netlink: %w", err)
				return true
			case ok:
				list = append(list, e)
			}
		}
		return true
	})
	switch {
	case fail != nil:
		return list, fail
	case errors.Is(err, os.ErrDeadlineExceeded):
		return list, nil
	case n.closed.Load():
		return nil, os.ErrClosed
	}
	return list, err
}

// one receives a message. ok is false if it does not matter or is forged.
func (n *netlink) one(fd int) (e Uevent, ok bool, err error) {
	size, oobSize, flags, from, err := unix.Recvmsg(fd, n.data, n.oob, 0)
	if err != nil {
		return Uevent{}, false, err
	}
	sender, _ := from.(*unix.SockaddrNetlink)
	if sender == nil || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || !isRoot(n.oob[:oobSize]) {
		return Uevent{}, false, nil
	}
	if e, ok = parseUevent(n.data[:size]); !ok {
		return Uevent{}, false, nil
	}
	if e.Udev {
		return e, sender.Groups == groupUdev, nil
	}
	// Only the kernel has port number 0.
	return e, sender.Groups == groupKernel && sender.Pid == 0, nil
}

// isRoot reports whether the kernel's credentials say that root or the kernel
// itself sent the message.
func isRoot(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for i := range messages {
		if c, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			return c.Uid == 0
		}
	}
	return false
}
