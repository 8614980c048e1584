// SPDX-License-Identifier: Apache-2.0

package hid

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/hidreport"
)

// node is an open hidraw node. Its reports have the layout of hidraw.h: read returns
// them with an id only if the device uses ids; write, get and set always take the id
// first. The methods may be called from any goroutine, but not after close.
type node interface {
	// wait calls f until it returns true: at first, and whenever there may be
	// something to read or the device may have gone. It fails after interrupt.
	wait(f func() bool) error
	// read reads one input report, cut to the length of b, or fails with
	// EAGAIN.
	read(b []byte) (int, error)
	// write sends an output report. It may block.
	write(b []byte) (int, error)
	// get asks the device for the report with id b[0]; set sends the report b.
	// Both may block.
	get(k hidreport.Kind, b []byte) (int, error)
	set(k hidreport.Kind, b []byte) (int, error)
	// gone reports whether the device was unplugged, after waiting for
	// that up to the time given.
	gone(within time.Duration) bool
	// interrupt ends wait, and every later one.
	interrupt()
	// close closes the node. It may block.
	close() error
}

// opened is a node with what is known about it.
type opened struct {
	node       node
	at         devnode.Node // with the access that was granted
	descriptor []byte
	facts      facts
}

// opener opens a device's node. Its error wraps an errno or an HRESULT and names the
// path. Tests use openers other than openHidraw.
type opener func(d *Device, r pnp.OpenRequest) (opened, error)

// openHidraw opens hidraw nodes.
func openHidraw(d *Device, r pnp.OpenRequest) (opened, error) {
	return openNode(d, unix.S_IFCHR, r)
}

// openNode opens a file that answers as a hidraw node does and has the type kind
// (S_IFMT of stat): the nodes of the tests' own driver are regular files.
func openNode(d *Device, kind uint32, r pnp.OpenRequest) (opened, error) {
	asked := r
	if !r.WantsRead() && !r.WantsWrite() {
		// For IOControls, which do not work on an O_PATH descriptor.
		asked.Access = pnp.GENERIC_READ | pnp.GENERIC_WRITE
	}
	n, err := d.src.OpenNode(asked)
	if err != nil {
		return opened{}, err
	}
	refuse := func(why string, err error) (opened, error) {
		unix.Close(n.FD)
		return opened{}, fmt.Errorf("open %s: %s: %w", d.path, why, err)
	}
	if n.Stat.Mode&unix.S_IFMT != kind {
		return refuse("not a character device", pnp.ERROR_NOT_SUPPORTED)
	}
	known := ofHidraw(n, d.sysfs) // first: sysfs forgets a node that is unplugged
	descriptor, err := rawDescriptor(n.FD)
	if err != nil {
		if pnp.HRESULTOf(err) != pnp.ERROR_DEVICE_NOT_CONNECTED {
			err = fmt.Errorf("%v: %w", err, pnp.ERROR_NOT_SUPPORTED)
		}
		return refuse("not a hidraw node", err)
	}
	f, err := readFacts(n, d.sysfs)
	if err != nil {
		return refuse("identifying it", err)
	}
	if !known {
		// Another driver, or a program (CUSE), may block where hidraw does not:
		// in read, in poll, and even in epoll_ctl.
		return refuse("not a hidraw node according to sysfs", pnp.ERROR_NOT_SUPPORTED)
	}
	raw, err := newRawNode(n.FD, d.path)
	if err != nil {
		return opened{}, fmt.Errorf("open %s: %w", d.path, err)
	}
	n.Read, n.Write = n.Read && r.WantsRead(), n.Write && r.WantsWrite()
	return opened{node: raw, at: n, descriptor: descriptor, facts: f}, nil
}

// rawNode is a hidraw node.
type rawNode struct {
	fd   int      // for system calls that do not use the poller
	file *os.File // owns fd
	conn syscall.RawConn
}

// newRawNode makes a node of a non-blocking descriptor. It takes over the descriptor,
// even if it fails.
func newRawNode(fd int, path string) (*rawNode, error) {
	n := &rawNode{fd: fd, file: os.NewFile(uintptr(fd), path)} // registers it with the poller
	err := n.file.SetDeadline(time.Time{})
	if err == nil {
		n.conn, err = n.file.SyscallConn()
	}
	if err != nil {
		n.file.Close()
		return nil, fmt.Errorf("%v: %w", err, pnp.ERROR_NOT_SUPPORTED) // epoll refused it
	}
	return n, nil
}

func (n *rawNode) wait(f func() bool) error {
	return n.conn.Read(func(uintptr) bool { return f() })
}

func (n *rawNode) read(b []byte) (int, error)  { return call(unix.Read, n.fd, b) }
func (n *rawNode) write(b []byte) (int, error) { return call(unix.Write, n.fd, b) }

func call(f func(int, []byte) (int, error), fd int, b []byte) (int, error) {
	for {
		n, err := f(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// The ioctls of hidraw.h that take reports, and the longest report whose length
// fits in an ioctl code on every architecture.
const (
	hidiocSFeature = 0x06
	hidiocGFeature = 0x07
	hidiocGInput   = 0x0A
	hidiocSOutput  = 0x0B
	hidiocGOutput  = 0x0C

	maxIoctlReport = 1<<13 - 1
)

func (n *rawNode) get(k hidreport.Kind, b []byte) (int, error) {
	nr := [hidreport.Kinds]uintptr{hidreport.Input: hidiocGInput, hidreport.Output: hidiocGOutput, hidreport.Feature: hidiocGFeature}[k]
	got, err := n.reportIoctl(nr, b)
	if err == unix.ENOTTY {
		err = pnp.ERROR_NOT_SUPPORTED // Linux before 5.11 can only get features
	}
	return got, err
}

func (n *rawNode) set(k hidreport.Kind, b []byte) (int, error) {
	if k == hidreport.Feature {
		return n.reportIoctl(hidiocSFeature, b)
	}
	sent, err := n.reportIoctl(hidiocSOutput, b)
	if err == unix.ENOTTY { // Linux before 5.11; a write does the same
		return n.write(b)
	}
	return sent, err
}

// reportIoctl calls the ioctl with number nr on b, which is not empty.
func (n *rawNode) reportIoctl(nr uintptr, b []byte) (int, error) {
	if len(b) > maxIoctlReport {
		return 0, fmt.Errorf("report of %d bytes: %w", len(b), pnp.ERROR_NOT_SUPPORTED)
	}
	// _IOC(_IOC_WRITE|_IOC_READ, 'H', nr, len): both directions are the same
	// two bits on every architecture.
	code := 0xC0000000 | uintptr(len(b))<<16 | 'H'<<8 | nr
	for {
		got, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.fd), code, uintptr(unsafe.Pointer(&b[0])))
		switch errno {
		case 0:
			return min(int(got), len(b)), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// gone asks poll. EIO does not tell: a read of an unplugged device fails with it, but
// so does a request that the device refused.
func (n *rawNode) gone(within time.Duration) bool {
	p := []unix.PollFd{{Fd: int32(n.fd)}} // no events but a hangup
	for {
		_, err := unix.Poll(p, int(within.Milliseconds()))
		if err != unix.EINTR {
			return err == nil && p[0].Revents&unix.POLLHUP != 0
		}
	}
}

// interrupt ends wait by a deadline in the past.
func (n *rawNode) interrupt() { _ = n.file.SetDeadline(time.Unix(1, 0)) }

func (n *rawNode) close() error { return n.file.Close() }

// rawDescriptor reads the report descriptor.
func rawDescriptor(fd int) ([]byte, error) {
	size, err := unix.IoctlGetUint32(fd, unix.HIDIOCGRDESCSIZE) // an int
	if err != nil {
		return nil, err
	}
	if size > hidreport.MaxDescriptor {
		return nil, fmt.Errorf("report descriptor of %d bytes: %w", size, pnp.ERROR_NOT_SUPPORTED)
	}
	d := unix.HIDRawReportDescriptor{Size: size}
	if err := unix.IoctlHIDGetDesc(fd, &d); err != nil {
		return nil, err
	}
	return bytes.Clone(d.Value[:size]), nil
}

const (
	// leaving is how long to wait for the kernel to remove a device after a transfer has
	// failed in a way that unplugging can cause.
	leaving = 100 * time.Millisecond
	// leavingUSB is leaving for errors of USB, which few devices cause in another way: the
	// kernel asks a hub four times a second, and may have other things to do.
	leavingUSB = time.Second
)

// result is the result of a request for which the node returned err. If err may mean
// that the device is being unplugged, result waits up to patience for the kernel to
// say so, because transfers fail a little before the kernel removes the node. A read
// fails with EIO only after that, so it needs no patience.
func result(n node, err error, patience time.Duration) pnp.HRESULT {
	if err == nil {
		return pnp.S_OK
	}
	switch {
	case errors.Is(err, unix.EIO):
	case errors.Is(err, unix.EPROTO), errors.Is(err, unix.EILSEQ), errors.Is(err, unix.ETIME):
		if patience > 0 {
			patience = leavingUSB
		}
	default:
		patience = 0
	}
	switch {
	case n.gone(patience):
		return pnp.ERROR_DEVICE_NOT_CONNECTED
	case errors.Is(err, unix.EPIPE):
		// The device refused (a USB stall). Windows says STATUS_UNSUCCESSFUL:
		// "a device attached to the system is not functioning".
		return pnp.ERROR_GEN_FAILURE
	}
	return pnp.HRESULTOf(err)
}
