// SPDX-License-Identifier: Apache-2.0

// Package fusetest lets tests act as the driver behind a file. It mounts a file system
// in user space with one file; the test answers its opens, reads, writes, ioctls and
// polls, or leaves them without an answer. System calls, epoll and descriptors are the
// kernel's own.
//
// The file is a regular one, since a device node on FUSE leads to the kernel's driver.
// The code of an ioctl determines how many bytes are copied in and out.
package fusetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Handler receives the requests, one at a time, in the order of their arrival. It must
// not wait. It answers a request by one of its methods, now, later or never. Release and
// Interrupt take no answer.
type Handler func(r *Request)

// Request is a request of the kernel for a process that uses the file.
type Request struct {
	Op     Op
	Handle uint64 // the open file; for Open, the one to be opened
	Flags  uint32 // Open: O_RDWR and so on
	Size   int    // Read: bytes wanted. Ioctl: bytes of output
	Data   []byte // Write: the data. Ioctl: the input
	Code   uint32 // Ioctl: its code
	// ID identifies the request. For Interrupt, it is the ID of the request
	// whose caller received a signal; that request may be answered with EINTR,
	// but need not be.
	ID uint64

	fs *FS
}

// FS is a mounted file system.
type FS struct {
	// Path is the file's path.
	Path string

	t      testing.TB
	dir    string
	handle Handler
	conn   int // socket to the relay
	next   uint64

	sending sync.Mutex
	over    bool // conn is closed
}

// watchdog is how long to wait before a test fails.
const watchdog = 20 * time.Second

// Unavailable returns why no file system can be mounted here, or nil.
var Unavailable = sync.OnceValue(func() error {
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("no FUSE: /dev/fuse: %w", err)
	}
	defer unix.Close(fuse)
	dir, err := os.MkdirTemp("", "fusetest")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := mount(fuse, dir); err != nil {
		return fmt.Errorf("mounting FUSE needs root: %w", err)
	}
	return unix.Unmount(dir, unix.MNT_FORCE|unix.MNT_DETACH)
})

func mount(fuse int, dir string) error {
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fuse, os.Getuid(), os.Getgid())
	return unix.Mount("pnptest", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options)
}

// Mount mounts a file system for the duration of the test. It skips the test if that is
// not possible. When the test ends, the file must be closed, and must not be opened
// again.
func Mount(t testing.TB, h Handler) *FS {
	t.Helper()
	if err := Unavailable(); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	fs := &FS{Path: filepath.Join(dir, "file"), t: t, dir: dir, handle: h}
	relayed := fs.start()
	served := make(chan struct{})
	go func() {
		defer close(served)
		fs.serve()
	}()
	t.Cleanup(func() {
		fs.unmount()
		unix.Shutdown(fs.conn, unix.SHUT_RDWR)
		<-served
		<-relayed
		fs.sending.Lock()
		defer fs.sending.Unlock()
		unix.Close(fs.conn)
		fs.over = true
	})
	return fs
}

// start mounts the file system and starts its relay. The channel is closed when the
// relay has ended.
func (fs *FS) start() <-chan struct{} {
	// Not by os.OpenFile: the runtime's poller does not work with a descriptor
	// of /dev/fuse that is not yet mounted.
	fuse, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fs.t.Fatal(err)
	}
	kernel := os.NewFile(uintptr(fuse), "/dev/fuse")
	defer kernel.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fs.t.Fatal(err)
	}
	fs.conn = pair[0]
	test := os.NewFile(uintptr(pair[1]), "relay")
	defer test.Close()
	if err := mount(fuse, fs.dir); err != nil {
		fs.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), relayEnv+"="+fs.dir)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{relayKernel - 3: kernel, relayTest - 3: test}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		// Pdeathsig is sent when this thread ends, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		fs.t.Fatal(err)
	}
	return ended
}

// unmount fails all unanswered requests and waits until nobody has the file open.
func (fs *FS) unmount() {
	var err error
	for end := time.Now().Add(watchdog); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err = unix.Unmount(fs.dir, unix.MNT_FORCE); err != unix.EBUSY {
			break
		}
	}
	if err != nil {
		fs.t.Errorf("the file is still open: unmount: %v", err)
		_ = unix.Unmount(fs.dir, unix.MNT_FORCE|unix.MNT_DETACH)
	}
}

// serve handles requests until the relay ends.
func (fs *FS) serve() {
	b := make([]byte, maxMessage)
	for {
		n, err := unix.Read(fs.conn, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n < inHeader {
			return
		}
		fs.request(b[:n])
	}
}

// request decodes a request and passes it to the handler.
func (fs *FS) request(b []byte) {
	body := b[inHeader:]
	r := &Request{Op: Op(order.Uint32(b[4:])), ID: order.Uint64(b[8:]), fs: fs}
	switch r.Op {
	case Interrupt:
		r.ID = order.Uint64(body)
	case Open:
		fs.next++
		r.Handle, r.Flags = fs.next, order.Uint32(body)
	case Read: // struct fuse_read_in
		r.Size = int(order.Uint32(body[16:]))
	case Write: // struct fuse_write_in
		r.Data = append(r.Data, body[40:]...)
	case Ioctl: // struct fuse_ioctl_in
		r.Code, r.Size = order.Uint32(body[12:]), int(order.Uint32(body[28:]))
		r.Data = append(r.Data, body[32:]...)
	}
	if r.Op != Open && r.Op != Interrupt {
		r.Handle = order.Uint64(body)
	}
	fs.handle(r)
	if r.Op == Release {
		r.reply(nil)
	}
}

func (r *Request) reply(body []byte) { r.fs.send(message(r.ID, 0, body)) }

// send sends a message to the relay. It may fail once the relay has ended, when nobody
// waits for an answer.
func (fs *FS) send(b []byte) {
	fs.sending.Lock()
	defer fs.sending.Unlock()
	if !fs.over {
		_, _ = unix.Write(fs.conn, b)
	}
}

// Fail answers any request with an error.
func (r *Request) Fail(errno unix.Errno) { r.fs.send(message(r.ID, -int32(errno), nil)) }

// Opened answers Open.
func (r *Request) Opened(how uint32) {
	b := order.AppendUint32(order.AppendUint64(nil, r.Handle), how)
	r.reply(append(b, 0, 0, 0, 0))
}

// Gives answers Read with as much of data as fits.
func (r *Request) Gives(data []byte) { r.reply(data[:min(len(data), r.Size)]) }

// Wrote answers Write.
func (r *Request) Wrote(n int) {
	r.reply(append(order.AppendUint32(nil, uint32(n)), 0, 0, 0, 0))
}

// Returns answers Ioctl with its result, which must not be negative, and the first bytes
// of its output.
func (r *Request) Returns(result int, out []byte) {
	b := append(order.AppendUint32(nil, uint32(result)), make([]byte, 12)...)
	r.reply(append(b, out[:min(len(out), r.Size)]...))
}

// Polled answers Poll.
func (r *Request) Polled(events uint32) {
	r.reply(append(order.AppendUint32(nil, events), 0, 0, 0, 0))
}

// Events sets the poll events of an open file: POLLIN and so on. Until the first call
// the file is ready for everything, as regular files are. The handler receives Poll only
// for files for which Events was called, and only if POLLIN is not asked for.
func (fs *FS) Events(handle uint64, events uint32) {
	b := order.AppendUint32(order.AppendUint64(nil, handle), events)
	fs.send(message(0, notifyPoll, b))
}
