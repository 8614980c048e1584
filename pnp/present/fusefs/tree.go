// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"os"
	"sort"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// rootNode is the number of the mount point.
const rootNode = fuse.FUSE_ROOT_ID

// node is a file or a folder. A number is never given to another, so that one that the
// kernel still knows after its device has gone leads nowhere.
type node interface {
	number() uint64
	mode() uint32
}

type dir struct {
	id       uint64
	children map[string]node // guarded by FS.mu
}

func (d *dir) number() uint64 { return d.id }
func (d *dir) mode() uint32   { return unix.S_IFDIR | 0o500 }

type file struct {
	id      uint64
	folder  *folder
	content content
}

func (f *file) number() uint64 { return f.id }
func (f *file) mode() uint32   { return unix.S_IFREG | f.content.permissions() }

// wait calls do for a thread of a program, until it is done or interrupted.
func (f *file) wait(cancel <-chan struct{}, thread uint32, do func(context.Context) error) error {
	if _, random := f.content.(*random); random {
		return patiently(cancel, thread, do)
	}
	return do(interrupt(cancel))
}

// content is what a file is about. Its methods may wait for the client; then they give up
// when ctx ends.
type content interface {
	permissions() uint32
	// size returns how long the file is, and for how long that is true.
	size(ctx context.Context) (uint64, time.Duration)
	// open returns an open file, and the FOPEN_ flags of it.
	open(ctx context.Context, flags uint32) (openFile, uint32, error)
	truncate(ctx context.Context, size uint64) error
	// remove is called when the device has gone, after fail for each open file. It
	// does not wait for the client.
	remove()
}

// openFile is what programs use. Errors become errnos by present.Errno. The methods give
// up when ctx ends, and when fail is called.
type openFile interface {
	read(ctx context.Context, p []byte, off uint64, flags uint32) (int, error)
	write(ctx context.Context, p []byte, off uint64, flags uint32) (int, error)
	// flush is called for each close, fsync for each fsync.
	flush(ctx context.Context) error
	fsync(ctx context.Context) error
	ioctl(ctx context.Context, code uint32, in, out []byte) (int, error)
	// poll returns which of the events have come about. If one comes later, it calls
	// wake, unless that is nil.
	poll(events uint32, wake func()) uint32
	// fail is called when the device has gone, and does not wait.
	fail()
	// release is called once, when nobody has the file open any more.
	release()
}

// opened is an open file as the kernel knows it.
type opened struct {
	openFile
	file   *file
	folder *folder
}

func (o *opened) release() {
	o.folder.leave(o)
	o.openFile.release()
}

// dirList is a folder that is open, as it was then.
type dirList []fuse.DirEntry

// noOperations answers what tree does not.
var noOperations = fuse.NewDefaultRawFileSystem()

// tree is the file system as go-fuse calls it.
type tree struct {
	fuse.RawFileSystem
	fs *FS
}

func (t *tree) String() string { return fsType }

// interrupt is a context that ends when the kernel interrupts a request.
type interrupt <-chan struct{}

func (c interrupt) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c interrupt) Done() <-chan struct{}       { return c }
func (c interrupt) Value(any) any               { return nil }
func (c interrupt) Err() error {
	select {
	case <-c:
		return context.Canceled
	default:
		return nil
	}
}

// node returns the node with this number; nil if its device has gone.
func (t *tree) node(id uint64) node {
	t.fs.mu.Lock()
	defer t.fs.mu.Unlock()
	return t.fs.nodes[id]
}

// opened returns the open file with this number. There is one until the kernel releases it.
func (t *tree) opened(fh uint64) *opened {
	t.fs.mu.Lock()
	defer t.fs.mu.Unlock()
	o, _ := t.fs.opens[fh].(*opened)
	return o
}

// Lookup implements fuse.RawFileSystem. Names are looked up again each time they are used,
// since they come and go.
func (t *tree) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	t.fs.mu.Lock()
	parent, _ := t.fs.nodes[header.NodeId].(*dir)
	var n node
	if parent != nil {
		n = parent.children[name]
	}
	t.fs.mu.Unlock()
	if n == nil {
		return fuse.ENOENT
	}
	out.NodeId = n.number()
	out.SetAttrTimeout(t.attributes(cancel, header.Pid, n, &out.Attr))
	return fuse.OK
}

// attributes sets what stat tells a thread of n, and returns for how long it is true.
func (t *tree) attributes(cancel <-chan struct{}, thread uint32, n node, a *fuse.Attr) (valid time.Duration) {
	a.Ino, a.Mode, a.Nlink, a.Blksize = n.number(), n.mode(), 1, 4096
	a.Uid, a.Gid = uint32(os.Geteuid()), uint32(os.Getegid())
	a.SetTimes(&t.fs.began, &t.fs.began, &t.fs.began)
	if n, ok := n.(*file); ok {
		// Interrupted, it tells the last size that is known, since there is no error.
		_ = n.wait(cancel, thread, func(ctx context.Context) error {
			a.Size, valid = n.content.size(ctx)
			return ctx.Err()
		})
		a.Blocks = (a.Size + 511) / 512
	}
	return valid
}

// GetAttr implements fuse.RawFileSystem.
func (t *tree) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := t.node(in.NodeId)
	if n == nil {
		return fuse.ENODEV
	}
	out.SetTimeout(t.attributes(cancel, in.Pid, n, &out.Attr))
	return fuse.OK
}

// SetAttr implements fuse.RawFileSystem. Times and permissions are not kept: programs that
// set them after copying go on.
func (t *tree) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := t.node(in.NodeId)
	if n == nil {
		return fuse.ENODEV
	}
	if size, ok := in.GetSize(); ok {
		n, ok := n.(*file)
		if !ok {
			return fuse.Status(unix.EISDIR)
		}
		err := n.wait(cancel, in.Pid, func(ctx context.Context) error { return n.content.truncate(ctx, size) })
		if err != nil {
			return t.failed(n.folder, err)
		}
	}
	out.SetTimeout(t.attributes(cancel, in.Pid, n, &out.Attr))
	return fuse.OK
}

// StatFs implements fuse.RawFileSystem.
func (t *tree) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	return fuse.OK
}

// OpenDir implements fuse.RawFileSystem.
func (t *tree) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	t.fs.mu.Lock()
	defer t.fs.mu.Unlock()
	d, _ := t.fs.nodes[in.NodeId].(*dir)
	if d == nil || t.fs.opens == nil {
		return fuse.ENODEV
	}
	list := dirList{{Name: ".", Ino: d.id, Mode: d.mode()}, {Name: "..", Ino: rootNode, Mode: d.mode()}}
	for name, n := range d.children {
		list = append(list, fuse.DirEntry{Name: name, Ino: n.number(), Mode: n.mode()})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	out.Fh = t.fs.number()
	t.fs.opens[out.Fh] = list
	return fuse.OK
}

// ReadDir implements fuse.RawFileSystem.
func (t *tree) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	t.fs.mu.Lock()
	list, _ := t.fs.opens[in.Fh].(dirList)
	t.fs.mu.Unlock()
	for i := in.Offset; i < uint64(len(list)); i++ {
		e := list[i]
		e.Off = i + 1
		if !out.AddDirEntry(e) {
			break
		}
	}
	return fuse.OK
}

// ReleaseDir implements fuse.RawFileSystem.
func (t *tree) ReleaseDir(in *fuse.ReleaseIn) {
	t.fs.mu.Lock()
	defer t.fs.mu.Unlock()
	delete(t.fs.opens, in.Fh)
}
