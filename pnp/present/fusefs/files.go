// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present"
)

// failed returns what a program is told of err. A device that has gone says so, whatever
// ended the call.
func (t *tree) failed(c *folder, err error) fuse.Status {
	errno := present.Errno(err)
	if c.ctx.Err() != nil {
		errno = unix.ENODEV
	}
	return fuse.Status(errno)
}

// Open implements fuse.RawFileSystem.
func (t *tree) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, _ := t.node(in.NodeId).(*file)
	if n == nil {
		return fuse.ENODEV
	}
	var inner openFile
	var how uint32
	err := n.wait(cancel, in.Pid, func(ctx context.Context) (err error) {
		// Opening ends with the device, too.
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(n.folder.ctx, stop)()
		inner, how, err = n.content.open(ctx, in.Flags)
		return err
	})
	if err != nil {
		return t.failed(n.folder, err)
	}
	o := &opened{openFile: inner, file: n, folder: n.folder}
	errno := n.folder.enter(o)
	if errno == 0 {
		t.fs.mu.Lock()
		if t.fs.opens == nil {
			errno = unix.ENODEV
		} else {
			out.Fh, out.OpenFlags = t.fs.number(), how
			t.fs.opens[out.Fh] = o
		}
		t.fs.mu.Unlock()
	}
	if errno != 0 {
		inner.fail()
		o.release()
	}
	return fuse.Status(errno)
}

// Read implements fuse.RawFileSystem.
func (t *tree) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	o := t.opened(in.Fh)
	if o == nil {
		return nil, fuse.EBADF
	}
	buf = buf[:min(len(buf), int(in.Size))]
	var n int
	err := o.file.wait(cancel, in.Pid, func(ctx context.Context) (err error) {
		n, err = o.read(ctx, buf, in.Offset, in.Flags)
		return err
	})
	if err != nil && n == 0 && !present.IsEOF(err) {
		return nil, t.failed(o.folder, err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (t *tree) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	o := t.opened(in.Fh)
	if o == nil {
		return 0, fuse.EBADF
	}
	var n int
	err := o.file.wait(cancel, in.Pid, func(ctx context.Context) (err error) {
		n, err = o.write(ctx, data, in.Offset, in.Flags)
		return err
	})
	if n == 0 && err != nil {
		return 0, t.failed(o.folder, err)
	}
	return uint32(n), fuse.OK
}

// Flush implements fuse.RawFileSystem.
func (t *tree) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	return t.with(in.Fh, func(o *opened) error { return o.file.wait(cancel, in.Pid, o.flush) })
}

// Fsync implements fuse.RawFileSystem.
func (t *tree) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return t.with(in.Fh, func(o *opened) error { return o.file.wait(cancel, in.Pid, o.fsync) })
}

// with calls do with an open file.
func (t *tree) with(fh uint64, do func(*opened) error) fuse.Status {
	o := t.opened(fh)
	if o == nil {
		return fuse.EBADF
	}
	if err := do(o); err != nil {
		return t.failed(o.folder, err)
	}
	return fuse.OK
}

// Release implements fuse.RawFileSystem. No program waits for it.
func (t *tree) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	t.fs.mu.Lock()
	o, _ := t.fs.opens[in.Fh].(*opened)
	delete(t.fs.opens, in.Fh)
	t.fs.mu.Unlock()
	if o != nil {
		o.release()
	}
}

// poll answers FUSE_POLL.
func (f *FS) poll(fh, kh uint64, notify bool, events uint32) (uint32, unix.Errno) {
	f.mu.Lock()
	o, _ := f.opens[fh].(*opened)
	f.mu.Unlock()
	if o == nil {
		return 0, unix.EBADF
	}
	var wake func()
	if notify {
		wake = func() { f.conn.wake(kh) }
	}
	return o.poll(events, wake), 0
}
