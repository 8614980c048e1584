// SPDX-License-Identifier: Apache-2.0

//go:build !ppc && !ppc64 && !ppc64le

package cuse

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/presenttest"
)

// kernel takes the place of the kernel at the other end of /dev/cuse, which is not on
// every machine: it asks as the kernel does, with the memory of programs. TestCUSE in
// plugin/vmtest has the real one.
type kernel struct {
	t     *testing.T
	f     *os.File
	conn  *conn
	v     *driver
	waits sync.WaitGroup

	mu       sync.Mutex
	last     uint64
	replies  map[uint64]chan reply
	notified chan uint64
}

type reply struct {
	err  unix.Errno
	body []byte
}

func newKernel(t *testing.T, d *present.Device) *kernel {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	for _, fd := range fds {
		require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20))
	}
	k := &kernel{
		t: t, f: os.NewFile(uintptr(fds[0]), "kernel"), v: newDriver(d, 1000),
		replies: make(map[uint64]chan reply), notified: make(chan uint64, 1000),
	}
	k.waits.Add(1)
	go k.listen()
	init := k.send(opInit, 0, make([]byte, 16))
	k.conn, err = connect(os.NewFile(uintptr(fds[1]), "cuse"), "pnpdr-1000-0", k.v, presenttest.Log(t))
	require.NoError(t, err)
	k.v.notify = k.conn.notify
	made := <-init
	require.Zero(t, made.err)
	out, name, err := split[initOut](made.body)
	require.NoError(t, err)
	require.Equal(t, uint32(major), out.Major)
	require.Equal(t, uint32(unrestrictedIoctl), out.Flags)
	require.Equal(t, "DEVNAME=pnpdr-1000-0\x00", string(name))
	t.Cleanup(k.close)
	return k
}

// close removes the device, as the presentation does.
func (k *kernel) close() {
	k.v.close()
	k.conn.Close()
	k.waits.Wait()
	k.f.Close()
}

func (k *kernel) listen() {
	defer k.waits.Done()
	for b := make([]byte, 1<<20); ; {
		n, err := k.f.Read(b)
		if err != nil || n == 0 {
			return
		}
		h, body, err := split[outHeader](b[:n])
		if err != nil || int(h.Len) != n {
			k.t.Errorf("a reply of %d bytes: %v", n, h)
			return
		}
		body = append([]byte(nil), body...)
		if h.Unique == 0 {
			kh, _, _ := split[uint64](body)
			k.notified <- kh
			continue
		}
		k.mu.Lock()
		to := k.replies[h.Unique]
		delete(k.replies, h.Unique)
		k.mu.Unlock()
		if to == nil {
			k.t.Errorf("a reply to nothing: %v", h)
			return
		}
		to <- reply{unix.Errno(-h.Error), body}
	}
}

// send sends a request and returns where its reply comes.
func (k *kernel) send(op, uid uint32, body []byte) <-chan reply {
	_, c := k.sendAs(op, uid, body)
	return c
}

func (k *kernel) sendAs(op, uid uint32, body []byte) (unique uint64, c chan reply) {
	c = make(chan reply, 1)
	k.mu.Lock()
	k.last += 2
	unique = k.last
	k.replies[unique] = c
	k.mu.Unlock()
	k.write(op, uid, unique, body)
	return unique, c
}

func (k *kernel) write(op, uid uint32, unique uint64, body []byte) {
	b := appendTo(nil, inHeader{Len: uint32(40 + len(body)), Opcode: op, Unique: unique, UID: uid, PID: 1})
	_, err := k.f.Write(append(b, body...))
	require.NoError(k.t, err)
}

// call sends a request and waits for its reply. If ctx ends, the program is interrupted.
func (k *kernel) call(ctx context.Context, op uint32, body []byte) reply {
	unique, c := k.sendAs(op, 1000, body)
	select {
	case r := <-c:
		return r
	case <-ctx.Done():
		k.write(opInterrupt, 0, unique+1, appendTo(nil, interruptIn{unique}))
		return <-c
	}
}

var bg = context.Background()

// terminal is an open file.
type opened struct {
	k  *kernel
	fh uint64
}

func (k *kernel) open(ctx context.Context) (opened, unix.Errno) {
	r := k.call(ctx, opOpen, appendTo(nil, openIn{Flags: unix.O_RDWR}))
	if r.err != 0 {
		return opened{}, r.err
	}
	out, _, err := split[openOut](r.body)
	require.NoError(k.t, err)
	return opened{k, out.FH}, 0
}

func (k *kernel) mustOpen() opened {
	k.t.Helper()
	o, errno := k.open(bg)
	require.Zero(k.t, errno)
	return o
}

func (o opened) close() {
	<-o.k.send(opRelease, 0, appendTo(nil, releaseIn{FH: o.fh}))
}

func (o opened) read(ctx context.Context, size int, flags uint32) ([]byte, unix.Errno) {
	r := o.k.call(ctx, opRead, appendTo(nil, transferIn{FH: o.fh, Size: uint32(size), Flags: flags}))
	return r.body, r.err
}

func (o opened) write(ctx context.Context, data []byte, flags uint32) (int, unix.Errno) {
	r := o.k.call(ctx, opWrite, append(appendTo(nil, transferIn{FH: o.fh, Size: uint32(len(data)), Flags: flags}), data...))
	if r.err != 0 {
		return 0, r.err
	}
	out, _, err := split[writeOut](r.body)
	require.NoError(o.k.t, err)
	return int(out.Size), 0
}

// writeAll writes everything, as a program does that blocks.
func (o opened) writeAll(data []byte) {
	for len(data) > 0 {
		n, errno := o.write(bg, data[:min(len(data), maxTransfer)], 0)
		if errno != 0 {
			o.k.t.Errorf("write: %v", errno)
			return
		}
		data = data[n:]
	}
}

// readAll reads n bytes.
func (o opened) readAll(n int) (got []byte) {
	for len(got) < n {
		b, errno := o.read(bg, n-len(got), 0)
		if errno != 0 || len(b) == 0 {
			o.k.t.Errorf("read: %d of %d bytes, %v", len(got), n, errno)
			return got
		}
		got = append(got, b...)
	}
	return got
}

// ioctl passes memory as the kernel does: once the driver has said how much. in and the
// result are the memory that arg points to.
func (o opened) ioctl(ctx context.Context, cmd uint32, arg uint64, in []byte) ([]byte, unix.Errno) {
	h := ioctlIn{FH: o.fh, Cmd: cmd, Arg: arg}
	r := o.k.call(ctx, opIoctl, appendTo(nil, h))
	if r.err != 0 {
		return nil, r.err
	}
	out, rest, err := split[ioctlOut](r.body)
	require.NoError(o.k.t, err)
	if out.Flags&ioctlRetry == 0 {
		return rest, 0
	}
	for range out.InIovs {
		var v iovec
		v, rest, err = split[iovec](rest)
		require.NoError(o.k.t, err)
		require.Equal(o.k.t, arg, v.Base)
		h.InSize = uint32(v.Len)
	}
	for range out.OutIovs {
		var v iovec
		v, rest, err = split[iovec](rest)
		require.NoError(o.k.t, err)
		require.Equal(o.k.t, arg, v.Base)
		h.OutSize = uint32(v.Len)
	}
	in = append(append([]byte(nil), in...), make([]byte, h.InSize)...)[:h.InSize]
	r = o.k.call(ctx, opIoctl, append(appendTo(nil, h), in...))
	if r.err != 0 {
		return nil, r.err
	}
	_, rest, err = split[ioctlOut](r.body)
	require.NoError(o.k.t, err)
	require.Len(o.k.t, rest, int(h.OutSize))
	return rest, 0
}

func (o opened) number(cmd uint32) int {
	b, errno := o.ioctl(bg, cmd, 0x1000, nil)
	require.Zero(o.k.t, errno)
	return int(order.Uint32(b))
}

func (o opened) termios() unix.Termios {
	b, errno := o.ioctl(bg, unix.TCGETS2, 0x1000, nil)
	require.Zero(o.k.t, errno)
	t, _, err := split[unix.Termios](b)
	require.NoError(o.k.t, err)
	return t
}

func (o opened) change(cmd uint32, edit func(*unix.Termios)) {
	t := o.termios()
	edit(&t)
	_, errno := o.ioctl(bg, cmd, 0x1000, appendTo(nil, t))
	require.Zero(o.k.t, errno)
}

func (o opened) poll(kh uint64) uint32 {
	r := o.k.call(bg, opPoll, appendTo(nil, pollIn{FH: o.fh, KH: kh, Flags: scheduleNotify}))
	require.Zero(o.k.t, r.err)
	out, _, err := split[pollOut](r.body)
	require.NoError(o.k.t, err)
	return out.Events
}
