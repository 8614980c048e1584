// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// Drivers report an unplugged device with many errors, some of which have other
// causes, too, and some before the kernel knows that the device has gone: a transfer
// fails first. The functions below tell these apart for all backends.

// goneDelay is how long after a failed transfer the kernel may take to notice that
// the device has gone.
const goneDelay = time.Second

// HungUp reports whether the device behind a descriptor has gone. A read of such a
// terminal returns end of file, but in canonical mode that has other reasons, too.
func HungUp(fd int) bool { return poll(fd, 0, 0)&broken != 0 }

// HungUpWithin is HungUp, and waits for that up to limit.
func HungUpWithin(fd int, limit time.Duration) bool { return poll(fd, 0, limit)&broken != 0 }

// Readable reports whether there is something to read, which may be an error.
func Readable(fd int) bool { return poll(fd, unix.POLLIN, 0)&unix.POLLIN != 0 }

// broken are the events of a device that has gone.
const broken = unix.POLLHUP | unix.POLLERR | unix.POLLNVAL

// poll waits for the events or a hangup, for at most limit, and returns what happened.
func poll(fd int, events int16, limit time.Duration) int16 {
	for end := time.Now().Add(limit); ; {
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		_, err := unix.Poll(p, int(max(time.Until(end), 0).Milliseconds()))
		switch err {
		case nil:
			return p[0].Revents
		case unix.EINTR:
		default:
			return 0
		}
	}
}

// MayBeGone reports whether err is one that drivers return for a device that has just
// been unplugged.
func MayBeGone(err error) bool {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.EIO, unix.EPROTO, unix.EPIPE, unix.EILSEQ, unix.ETIME, unix.ETIMEDOUT, unix.ECOMM, unix.EREMOTEIO,
		unix.ENODEV, unix.ENXIO, unix.ESHUTDOWN, unix.ENOENT, unix.ENOTDIR:
		return true
	}
	return false
}

// Failure returns err, the error of an operation on an open node, or
// ERROR_DEVICE_NOT_CONNECTED with err if the device has gone. It may wait for
// goneDelay: no lock is held meanwhile.
func Failure(fd int, err error) error {
	if err == nil || !MayBeGone(err) {
		return err
	}
	if Gone(fd) {
		return notConnected(err)
	}
	return err
}

func notConnected(err error) error { return fmt.Errorf("%w (%w)", pnp.ERROR_DEVICE_NOT_CONNECTED, err) }

// Gone reports whether the device of a node has gone, or goes within goneDelay, for which it
// may wait.
func Gone(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return poll(fd, 0, goneDelay)&broken != 0
	}
	// A block device does not hang up, but sysfs forgets it.
	tree, err := sysfs.Open("/sys")
	if err != nil {
		return false
	}
	number := sysfs.BlockNumber(uint64(st.Rdev)) //nolint:unconvert // 32 bits on MIPS
	return within(goneDelay, func() bool { return tree.Target("dev/block", number.String()) == "" })
}

// within waits until f returns true, for at most limit, and returns its last result.
func within(limit time.Duration, f func() bool) bool {
	const interval = 20 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(interval) {
		if f() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// openFailure is Failure for an open of path. The path of a device that is redirected
// led to its node a moment ago: if it does not now, the device has gone.
func openFailure(path string, err error) error {
	missing := func() bool {
		_, err := Identify(path)
		return err != nil && MayBeGone(err)
	}
	switch {
	case !MayBeGone(err), pnp.HRESULTOf(err) == pnp.ERROR_DEVICE_NOT_CONNECTED:
		return err
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), within(goneDelay, missing):
		return notConnected(err)
	}
	return err
}

// AwaitWritable waits until the device takes data, for at most limit. It returns false
// if it does not, or has gone.
func AwaitWritable(fd int, limit time.Duration) bool {
	return poll(fd, unix.POLLOUT, limit)&(unix.POLLOUT|broken) == unix.POLLOUT
}
