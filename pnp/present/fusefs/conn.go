// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The parts of the protocol that go-fuse does not export (include/uapi/linux/fuse.h).
const (
	opLookup      = 1
	opForget      = 2
	opGetattr     = 3
	opSetattr     = 4
	opSymlink     = 6
	opMknod       = 8
	opMkdir       = 9
	opUnlink      = 10
	opRmdir       = 11
	opRename      = 12
	opLink        = 13
	opOpen        = 14
	opRead        = 15
	opWrite       = 16
	opStatfs      = 17
	opRelease     = 18
	opFsync       = 20
	opFlush       = 25
	opInit        = 26
	opOpendir     = 27
	opReaddir     = 28
	opReleasedir  = 29
	opCreate      = 35
	opInterrupt   = 36
	opDestroy     = 38
	opIoctl       = 39
	opPoll        = 40
	opBatchForget = 42
	opRename2     = 45

	notifyPoll = 1 // FUSE_NOTIFY_POLL, in place of a reply's error

	inHeader  = 40 // struct fuse_in_header
	outHeader = 16 // struct fuse_out_header
	writeBody = 40 // struct fuse_write_in
	pollBody  = 24 // struct fuse_poll_in: fh, kh, flags, events
)

// replySizes has the operations that go-fuse decodes for us, and the size of what follows
// the header in a reply, without data.
var replySizes = map[uint32]uintptr{
	opLookup: unsafe.Sizeof(fuse.EntryOut{}), opForget: 0, opBatchForget: 0,
	opGetattr: unsafe.Sizeof(fuse.AttrOut{}), opSetattr: unsafe.Sizeof(fuse.AttrOut{}),
	opOpen: unsafe.Sizeof(fuse.OpenOut{}), opRelease: 0,
	opRead: 0, opWrite: unsafe.Sizeof(fuse.WriteOut{}), opFlush: 0, opFsync: 0,
	opIoctl:   unsafe.Sizeof(fuse.IoctlOut{}),
	opOpendir: unsafe.Sizeof(fuse.OpenOut{}), opReaddir: 0, opReleasedir: 0,
	opStatfs: unsafe.Sizeof(fuse.StatfsOut{}),
	opInit:   unsafe.Sizeof(fuse.InitOut{}), opInterrupt: 0, opDestroy: 0,
	opCreate: unsafe.Sizeof(fuse.CreateOut{}), opMknod: unsafe.Sizeof(fuse.EntryOut{}),
	opMkdir: unsafe.Sizeof(fuse.EntryOut{}), opUnlink: 0, opRmdir: 0,
	opSymlink: unsafe.Sizeof(fuse.EntryOut{}), opLink: unsafe.Sizeof(fuse.EntryOut{}), opRename: 0, opRename2: 0,
}

// changes has the operations that change which files there are.
var changes = map[uint32]bool{
	opSymlink: true, opMknod: true, opMkdir: true, opUnlink: true, opRmdir: true,
	opRename: true, opRename2: true, opLink: true, opCreate: true,
}

// maxReply is enough for each reply without its data.
const maxReply = 512

const (
	// maxTransfer is the most that one read or write of the kernel carries.
	maxTransfer = 1 << 20

	// requestRoom is enough for each request.
	requestRoom = maxTransfer + 4096

	// smallRequest is the size up to which a request is copied, so that one that
	// waits does not keep a large buffer.
	smallRequest = 4096

	// idleReaders is how many goroutines wait for requests at most. They do it one at a
	// time, so another one would be woken up for each request.
	idleReaders = 1
)

// order is the byte order of the protocol: this machine's.
var order = binary.NativeEndian

// conn is the connection with the kernel. Each request that may wait is handled on a
// goroutine of its own. The kernel bounds how many there are: one for each thread that
// uses the file system, and those it makes itself.
type conn struct {
	dev  *os.File
	srv  *fuse.ProtocolServer
	poll func(fh, kh uint64, notify bool, events uint32) (uint32, unix.Errno)
	// quick has the files that are read without waiting; nil if there are none.
	quick quickFiles
	log   *slog.Logger
	// fixed is set if nobody may change which files there are.
	fixed bool

	closing atomic.Bool
	readers readers
	running sync.WaitGroup // goroutines that serve, and reads in asked
	mu      sync.Mutex
	asked   map[uint64]*quickRead // by the number of the request
	large   sync.Pool             // of *[]byte, for requests
	// replies has buffers for replies by the binary logarithm of the data that fits:
	// one that waits for a while does not keep more than it needs.
	replies [21]sync.Pool // of *[]byte
}

func newConn(dev *os.File, raw fuse.RawFileSystem, log *slog.Logger) *conn {
	c := &conn{dev: dev, log: log, asked: make(map[uint64]*quickRead)}
	c.large.New = func() any { b := make([]byte, requestRoom); return &b }
	for i := range c.replies {
		c.replies[i].New = func() any { b := make([]byte, maxReply+1<<i); return &b }
	}
	c.srv = fuse.NewProtocolServer(raw, &fuse.MountOptions{
		MaxWrite:             maxTransfer,
		MaxBackground:        64,
		DisableXAttrs:        true,
		DisableReadDirPlus:   true,
		DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		Logger:               slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		PanicHandler: func(reason any) fuse.Status {
			logPanic(log, reason)
			return fuse.EIO
		},
	})
	return c
}

// start begins to serve.
func (c *conn) start() {
	c.readers.idle()
	c.running.Add(1)
	go c.serve()
}

// end says that the connection is about to end.
func (c *conn) end() { c.closing.Store(true) }

// close ends the connection: what programs wait for fails. It returns when all requests
// have been handled, which the caller has seen to.
func (c *conn) close() {
	_ = c.dev.Close()
	c.running.Wait()
}

// serve reads and handles requests. The caller has counted it as idle.
func (c *conn) serve() {
	defer c.running.Done()
	for {
		msg, buf, ok := c.read()
		if ok && buf == nil && c.tryRead(msg) {
			continue
		}
		if !ok {
			return
		}
		if c.readers.busy() {
			c.running.Add(1)
			go c.serve()
		}
		c.handle(msg)
		if buf != nil {
			c.large.Put(buf)
		}
		if !c.readers.idle() {
			return
		}
	}
}

// readers counts the goroutines that wait for requests. As long as the connection lasts,
// there is one at any time, or about to be.
type readers struct{ n atomic.Int32 }

// busy is for a goroutine that has got a request. It reports whether another one must
// wait in its place, which is counted already.
func (r *readers) busy() bool {
	if r.n.Add(-1) > 0 {
		return false
	}
	r.n.Add(1)
	return true
}

// idle is for a goroutine that has handled its request. It reports whether to wait for
// another one: n must not be above idleReaders even for a moment, in which a goroutine
// that gets a request would rely on one that is about to end.
func (r *readers) idle() bool {
	for {
		n := r.n.Load()
		if n >= idleReaders {
			return false
		}
		if r.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// read waits for a request. buf, if not nil, is the buffer that has it. It returns false
// when the connection has ended.
func (c *conn) read() (msg []byte, buf *[]byte, ok bool) {
	buf = c.large.Get().(*[]byte)
	for {
		n, err := c.dev.Read(*buf)
		switch {
		case err == nil && n <= smallRequest:
			msg = append(msg, (*buf)[:n]...)
			c.large.Put(buf)
			return msg, nil, true
		case err == nil:
			return (*buf)[:n], buf, true
		// ENOENT: the request was withdrawn before it was read.
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		}
		// When the file system was unmounted, the kernel says ENODEV, and its poll
		// reports an error, which the runtime makes something else of.
		if !c.closing.Load() {
			c.log.Error("the files of devices are gone: somebody has unmounted them", "err", err)
		}
		c.large.Put(buf)
		return nil, nil, false
	}
}

// handle carries out a request and answers it.
func (c *conn) handle(msg []byte) {
	if len(msg) < inHeader {
		return
	}
	op, unique := order.Uint32(msg[4:]), order.Uint64(msg[8:])
	switch {
	case op == opPoll:
		c.handlePoll(unique, msg[inHeader:])
		return
	case op == opInterrupt && len(msg) >= inHeader+8: // struct fuse_interrupt_in
		c.interrupted(order.Uint64(msg[inHeader:]))
	}
	size, ok := replySizes[op]
	switch {
	case c.fixed && changes[op]:
		c.reply(message(unique, -int32(unix.EACCES)))
		return
	case !ok:
		c.reply(message(unique, -int32(unix.ENOSYS)))
		return
	}
	data := payload(op, msg)
	pool := &c.replies[bits.Len(uint(max(data, 1)-1))]
	buf := pool.Get().(*[]byte)
	defer pool.Put(buf)
	// go-fuse wants both in pieces, as virtio-fs has them: the header, what follows for
	// the operation, and the data. Then it does not copy what is written.
	in := [][]byte{msg}
	if op == opWrite && len(msg) >= inHeader+writeBody {
		in = [][]byte{msg[:inHeader], msg[inHeader:][:writeBody], msg[inHeader+writeBody:]}
	}
	room := (*buf)[:outHeader+int(size)+data]
	clear(room[:outHeader+int(size)])
	out := [][]byte{room[:outHeader]}
	if size > 0 {
		out = append(out, room[outHeader:][:size])
	}
	if data > 0 {
		out = append(out, room[outHeader+int(size):])
	}
	n, status := c.srv.HandleRequest(in, out)
	switch {
	case n > 0:
		// Requests that take no reply leave the header empty.
		if order.Uint32(room) != 0 {
			c.reply(room[:n])
		}
	case status != fuse.OK:
		c.reply(message(unique, -int32(status)))
	}
}

// payload returns how much data a reply may carry.
func payload(op uint32, msg []byte) int {
	body, at := msg[inHeader:], -1
	switch op {
	case opRead, opReaddir: // struct fuse_read_in
		at = 16
	case opIoctl: // struct fuse_ioctl_in
		at = 28
	}
	if at < 0 || len(body) < at+4 {
		return 0
	}
	return int(min(order.Uint32(body[at:]), maxTransfer))
}

func (c *conn) handlePoll(unique uint64, body []byte) {
	if len(body) < pollBody {
		c.reply(message(unique, -int32(unix.EIO)))
		return
	}
	defer func() {
		if reason := recover(); reason != nil {
			logPanic(c.log, reason)
			c.reply(message(unique, -int32(unix.EIO)))
		}
	}()
	const scheduleNotify = 1 // FUSE_POLL_SCHEDULE_NOTIFY
	flags, events := order.Uint32(body[16:]), order.Uint32(body[20:])
	ready, errno := c.poll(order.Uint64(body), order.Uint64(body[8:]), flags&scheduleNotify != 0, events)
	if errno != 0 {
		c.reply(message(unique, -int32(errno)))
		return
	}
	c.reply(message(unique, 0, ready, 0))
}

// wake tells the kernel that a file is ready for something that it was polled for.
func (c *conn) wake(kh uint64) {
	b := message(0, notifyPoll, 0, 0)
	order.PutUint64(b[outHeader:], kh)
	c.reply(b)
}

// message returns a struct fuse_out_header, followed by numbers.
func message(unique uint64, code int32, body ...uint32) []byte {
	size := outHeader + 4*len(body)
	b := order.AppendUint32(make([]byte, 0, size), uint32(size))
	b = order.AppendUint32(b, uint32(code))
	b = order.AppendUint64(b, unique)
	for _, v := range body {
		b = order.AppendUint32(b, v)
	}
	return b
}

// reply sends a message. The kernel may no longer be interested: the program was killed,
// or the file system unmounted.
func (c *conn) reply(b []byte) {
	_, err := c.dev.Write(b)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, os.ErrClosed) {
		c.log.Debug("the kernel did not take a reply", "err", err)
	}
}
