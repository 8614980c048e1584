// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present/ptp"
)

// listed is for how long a list is taken for granted, unless the device reports a change.
const listed = 5 * time.Second

// root has a folder for each memory.
type root struct {
	fs.Inode
	device *device
	asking turn // for list

	mu       sync.Mutex
	storages map[string]ptp.Storage
	order    []string
	when     time.Time
	state    state
}

func (r *root) list(ctx context.Context) syscall.Errno {
	ctx, cancel := r.device.patiently(ctx)
	defer cancel()
	if err := r.asking.take(ctx); err != nil {
		return r.device.errno(err)
	}
	defer r.asking.give()
	// Nobody else changes what is known now.
	if now := r.device.now(); r.storages == nil || r.state != now || time.Since(r.when) > listed {
		var all []ptp.Storage
		errno := r.device.use(ctx, func(ctx context.Context, s *ptp.Session) (err error) {
			now = r.device.now() // opening the session is news
			all, err = s.Storages(ctx)
			return err
		})
		if errno != 0 {
			return errno
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.storages, r.order, r.when, r.state = make(map[string]ptp.Storage), nil, time.Now(), now
		var names namer
		for _, st := range all {
			name := st.Description
			if name == "" {
				name = st.Label
			}
			name = names.name(fileName(name, "Storage"))
			r.storages[name] = st
			r.order = append(r.order, name)
		}
	}
	return 0
}

func (r *root) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	if errno := r.list(ctx); errno != 0 {
		return nil, errno
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var entries []fuse.DirEntry
	for _, name := range r.order {
		entries = append(entries, fuse.DirEntry{Name: name, Mode: unix.S_IFDIR, Ino: storageNode(r.storages[name].ID)})
	}
	return fs.NewListDirStream(entries), 0
}

func storageNode(id uint32) uint64 { return 1<<40 | uint64(id) }
func objectNode(id uint32) uint64  { return 1<<41 | uint64(id) }

func (r *root) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := r.list(ctx); errno != 0 {
		return nil, errno
	}
	r.mu.Lock()
	st, ok := r.storages[name]
	r.mu.Unlock()
	if !ok {
		return nil, unix.ENOENT
	}
	out.Mode = unix.S_IFDIR | 0o700
	n := newDirectory(r.device, st.ID, 0)
	return r.NewInode(ctx, n, fs.StableAttr{Mode: unix.S_IFDIR, Ino: storageNode(st.ID)}), 0
}

// Statfs tells the capacity of all memories together.
func (r *root) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	const block = 4096
	if errno := r.list(ctx); errno != 0 {
		return errno
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out.Bsize, out.Frsize, out.NameLen = block, block, 255
	for _, st := range r.storages {
		out.Blocks += st.Capacity / block
		out.Bfree += st.Free / block
		out.Bavail += st.Free / block
	}
	return 0
}

// directory is a folder of the device: a storage, or an object.
type directory struct {
	fs.Inode
	device  *device
	storage uint32
	handle  uint32 // 0 for the storage itself
	asking  turn   // for list

	was *contents // nil if it is not known. Who has the turn may change it.
}

// contents is what was in a folder. It does not change.
type contents struct {
	objects map[string]*ptp.Object
	known   map[uint32]*ptp.Object
	order   []string
	when    time.Time
	state   state
}

func newDirectory(d *device, storage, handle uint32) *directory {
	return &directory{device: d, storage: storage, handle: handle, asking: newTurn()}
}

// list asks for the objects, unless it was asked a moment ago. Only those that are new are
// asked about.
func (d *directory) list(ctx context.Context) (*contents, syscall.Errno) {
	ctx, cancel := d.device.patiently(ctx)
	defer cancel()
	if err := d.asking.take(ctx); err != nil {
		return nil, d.device.errno(err)
	}
	defer d.asking.give()
	now := d.device.now()
	was := d.was
	switch {
	case was == nil:
		was = new(contents)
	case was.state == now && time.Since(was.when) <= listed:
		return was, 0
	}
	is := &contents{objects: make(map[string]*ptp.Object), known: make(map[uint32]*ptp.Object)}
	errno := d.device.use(ctx, func(ctx context.Context, s *ptp.Session) error {
		now = d.device.now() // opening the session is news
		var names namer
		handles, err := s.Children(ctx, d.storage, d.handle)
		if err != nil {
			return err
		}
		for _, h := range handles {
			o := was.known[h]
			if o == nil || was.state.objects != now.objects {
				if o, err = s.Object(ctx, h); err != nil {
					return err
				}
			}
			name := names.name(fileName(o.Name, fmt.Sprintf("%08X", h)))
			is.objects[name], is.known[h] = o, o
			is.order = append(is.order, name)
		}
		return nil
	})
	if errno != 0 {
		return nil, errno
	}
	is.when, is.state = time.Now(), now
	d.was = is
	d.device.names.keep(d, len(is.order))
	return is, 0
}

// find returns the object with a name.
func (d *directory) find(ctx context.Context, name string) (*ptp.Object, syscall.Errno) {
	is, errno := d.list(ctx)
	if errno != 0 {
		return nil, errno
	}
	if o := is.objects[name]; o != nil {
		return o, 0
	}
	return nil, unix.ENOENT
}

func (d *directory) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	is, errno := d.list(ctx)
	if errno != 0 {
		return nil, errno
	}
	var entries []fuse.DirEntry
	for _, name := range is.order {
		o := is.objects[name]
		entries = append(entries, fuse.DirEntry{Name: name, Mode: mode(o), Ino: objectNode(o.Handle)})
	}
	return fs.NewListDirStream(entries), 0
}

func mode(o *ptp.Object) uint32 {
	if o.Folder {
		return unix.S_IFDIR
	}
	return unix.S_IFREG
}

func (d *directory) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	o, errno := d.find(ctx, name)
	if errno != 0 {
		return nil, errno
	}
	if n := d.GetChild(name); n != nil {
		if f, ok := n.Operations().(*file); ok {
			f.update(o)
		}
	}
	return d.inode(ctx, o, &out.Attr), 0
}

// inode returns the node of an object.
func (d *directory) inode(ctx context.Context, o *ptp.Object, a *fuse.Attr) *fs.Inode {
	stable := fs.StableAttr{Mode: mode(o), Ino: objectNode(o.Handle)}
	if o.Folder {
		a.Mode = unix.S_IFDIR | 0o700
		return d.NewInode(ctx, newDirectory(d.device, d.storage, o.Handle), stable)
	}
	f := &file{device: d.device, parent: d, object: o}
	f.attributes(a)
	return d.NewInode(ctx, f, stable)
}

func (d *directory) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = unix.S_IFDIR | 0o700
	return 0
}

func (d *directory) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if len(name) > ptp.MaxName {
		return nil, unix.ENAMETOOLONG
	}
	o := &ptp.Object{Name: name, Folder: true}
	errno := d.device.use(ctx, func(ctx context.Context, s *ptp.Session) (err error) {
		o.Handle, err = s.MakeFolder(ctx, d.storage, d.handle, name)
		return err
	})
	if errno != 0 {
		return nil, errno
	}
	d.device.touch()
	return d.inode(ctx, o, &out.Attr), 0
}

// Rename refuses as between two disks: then mv copies, and deletes what it has copied.
func (d *directory) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return unix.EXDEV
}

func (d *directory) Unlink(ctx context.Context, name string) syscall.Errno {
	return d.remove(ctx, name, false)
}

func (d *directory) Rmdir(ctx context.Context, name string) syscall.Errno {
	return d.remove(ctx, name, true)
}

// remove deletes an object. A device deletes a folder with all that is in it, so that one
// must be empty.
func (d *directory) remove(ctx context.Context, name string, folder bool) syscall.Errno {
	o, errno := d.find(ctx, name)
	if errno != 0 {
		return errno
	}
	errno = d.device.use(ctx, func(ctx context.Context, s *ptp.Session) error {
		if folder {
			inside, err := s.Children(ctx, d.storage, o.Handle)
			if err != nil {
				return err
			}
			if len(inside) > 0 {
				return unix.ENOTEMPTY
			}
		}
		return s.Delete(ctx, o.Handle)
	})
	d.device.touch()
	return errno
}
