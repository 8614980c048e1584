// SPDX-License-Identifier: Apache-2.0

package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present/ptp"
)

const (
	// firstPart and longestPart are how much of a file is fetched at a time: more and
	// more while it is read in order.
	firstPart, longestPart = 128 << 10, 4 << 20

	// maxOpen is how many files may be open, since each has a part in memory or a
	// temporary file.
	maxOpen = 64
)

// file is an object that is not a folder.
type file struct {
	fs.Inode
	device *device
	parent *directory

	mu      sync.Mutex
	object  *ptp.Object
	writers map[*writer]struct{} // that are open
}

func (f *file) get() *ptp.Object {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.object
}

// update takes over what the device says now. What a program writes counts more.
func (f *file) update(o *ptp.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.object.Handle == o.Handle && len(f.writers) == 0 {
		f.object = o
	}
}

func (f *file) attributes(a *fuse.Attr) {
	o := f.get()
	a.Mode, a.Size = unix.S_IFREG|0o600, o.Size
	a.Blocks = (a.Size + 511) / 512
	if !o.Modified.IsZero() {
		a.SetTimes(&o.Modified, &o.Modified, &o.Modified)
	}
}

func (f *file) Getattr(_ context.Context, h fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.attributes(&out.Attr)
	if w, ok := h.(*writer); ok {
		w.attributes(&out.Attr)
	}
	return 0
}

// Setattr empties a file that is being written. Times and permissions are not kept.
func (f *file) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if errno := f.truncate(ctx, h, size); errno != 0 {
			return errno
		}
	}
	return f.Getattr(ctx, h, out)
}

func (f *file) truncate(ctx context.Context, h fs.FileHandle, size uint64) syscall.Errno {
	if w, ok := h.(*writer); ok {
		return fs.ToErrno(w.truncate(int64(size)))
	}
	if size == f.get().Size {
		return 0
	}
	if size != 0 {
		return unix.EOPNOTSUPP
	}
	// The kernel does not say by which open file it empties one that is opened with
	// O_TRUNC.
	f.mu.Lock()
	var writers []*writer
	for w := range f.writers {
		writers = append(writers, w)
	}
	f.mu.Unlock()
	emptied := false
	for _, w := range writers {
		switch err := w.truncate(0); {
		case errors.Is(err, os.ErrClosed): // it was released meanwhile
		case err != nil:
			return fs.ToErrno(err)
		default:
			emptied = true
		}
	}
	if emptied {
		return 0
	}
	if errno := f.device.enterFile(); errno != 0 {
		return errno
	}
	w, err := newWriter(f)
	if err != nil {
		f.device.leaveFile()
		return fs.ToErrno(err)
	}
	defer w.Release(ctx)
	w.dirty = true
	return w.Flush(ctx)
}

func (f *file) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if err := f.device.enterFile(); err != 0 {
		return nil, 0, err
	}
	if flags&unix.O_ACCMODE == unix.O_RDONLY {
		return &reader{file: f}, 0, 0
	}
	// A device takes whole files only.
	w, err := newWriter(f)
	if err != nil {
		f.device.leaveFile()
		return nil, 0, fs.ToErrno(err)
	}
	if flags&unix.O_TRUNC == 0 && f.get().Size > 0 {
		w.whole = true
	}
	return w, fuse.FOPEN_DIRECT_IO, 0
}

func (d *directory) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if len(name) > ptp.MaxName {
		return nil, nil, 0, unix.ENAMETOOLONG
	}
	if errno := d.device.enterFile(); errno != 0 {
		return nil, nil, 0, errno
	}
	f := &file{device: d.device, parent: d, object: &ptp.Object{Name: name, Storage: d.storage, Modified: time.Now()}}
	w, err := newWriter(f)
	if err != nil {
		d.device.leaveFile()
		return nil, nil, 0, fs.ToErrno(err)
	}
	w.dirty = true // an empty file is one, too
	f.attributes(&out.Attr)
	return d.NewInode(ctx, f, fs.StableAttr{Mode: unix.S_IFREG}), w, fuse.FOPEN_DIRECT_IO, 0
}

// reader is a file that is open for reading.
type reader struct {
	file *file

	mu     sync.Mutex
	part   []byte // of the file, from at
	at     uint64
	next   int      // how much is fetched next
	copied *os.File // the whole file, where the device does not give parts
}

func (r *reader) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, at := 0, uint64(off)
	size := r.file.get().Size
	for n < len(dest) && at < size {
		if at < r.at || at >= r.at+uint64(len(r.part)) {
			if errno := r.fetch(ctx, at, size); errno != 0 {
				return nil, errno
			}
			if len(r.part) == 0 {
				break
			}
		}
		m := copy(dest[n:], r.part[at-r.at:])
		n += m
		at += uint64(m)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// fetch gets the part of the file from at on.
func (r *reader) fetch(ctx context.Context, at, size uint64) syscall.Errno {
	if r.next == 0 || at != r.at+uint64(len(r.part)) {
		r.next = firstPart
	}
	p := make([]byte, min(uint64(r.next), size-at))
	n := 0
	errno := r.file.device.use(ctx, func(ctx context.Context, s *ptp.Session) (err error) {
		if r.copied == nil {
			n, err = s.ReadAt(ctx, r.file.get().Handle, p, at)
			if !errors.Is(err, ptp.ErrWhole) {
				return err
			}
			if r.copied, err = fetchWhole(ctx, s, r.file.get().Handle, size); err != nil {
				return err
			}
		}
		n, err = r.copied.ReadAt(p, int64(at))
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	})
	if errno != 0 {
		return errno
	}
	r.part, r.at = p[:n], at
	r.next = min(2*r.next, longestPart)
	return 0
}

func fetchWhole(ctx context.Context, s *ptp.Session, handle uint32, size uint64) (*os.File, error) {
	f, err := temporary()
	if err == nil {
		err = s.Get(ctx, handle, size, f)
	}
	if err != nil && f != nil {
		f.Close()
		f = nil
	}
	return f, err
}

func (r *reader) Release(context.Context) syscall.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.copied != nil {
		r.copied.Close()
	}
	r.part = nil
	r.file.device.leaveFile()
	return 0
}

// temporary makes a file without a name.
func temporary() (*os.File, error) {
	f, err := os.CreateTemp("", "pnpdr-*")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	return f, os.Remove(f.Name())
}

// writer is a file that is open for writing. It is sent when it is closed.
type writer struct {
	file *file

	mu      sync.Mutex
	tmp     *os.File
	dirty   bool
	whole   bool   // the device's file is not empty, and nothing was said of emptying it
	deleted uint32 // the object whose place it takes, once that is deleted
}

func newWriter(f *file) (*writer, error) {
	tmp, err := temporary()
	if err != nil {
		return nil, err
	}
	w := &writer{file: f, tmp: tmp}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writers == nil {
		f.writers = make(map[*writer]struct{})
	}
	f.writers[w] = struct{}{}
	return w, nil
}

func (w *writer) attributes(a *fuse.Attr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if st, err := w.tmp.Stat(); err == nil && !w.whole {
		a.Size = uint64(st.Size())
		a.Blocks = (a.Size + 511) / 512
	}
}

func (w *writer) truncate(size int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if size != 0 && w.whole {
		return unix.EOPNOTSUPP
	}
	w.whole, w.dirty = false, true
	return w.tmp.Truncate(size)
}

func (w *writer) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole {
		return nil, unix.EOPNOTSUPP
	}
	n, err := w.tmp.ReadAt(dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (w *writer) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole { // a part of a file cannot be replaced
		return 0, unix.EOPNOTSUPP
	}
	n, err := w.tmp.WriteAt(data, off)
	w.dirty = true
	return uint32(n), fs.ToErrno(err)
}

// Flush is called when a program closes the file: it learns whether the device has it.
func (w *writer) Flush(ctx context.Context) syscall.Errno {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.dirty {
		return 0
	}
	st, err := w.tmp.Stat()
	if err != nil {
		return fs.ToErrno(err)
	}
	old, d := w.file.get(), w.file.parent
	sent := &ptp.Object{Name: old.Name, Storage: d.storage, Size: uint64(st.Size()), Modified: time.Now()}
	errno := w.file.device.use(ctx, func(ctx context.Context, s *ptp.Session) error {
		return w.send(ctx, s, old.Handle, sent)
	})
	d.device.touch()
	if errno == 0 {
		w.dirty = false
		w.file.mu.Lock()
		w.file.object = sent
		w.file.mu.Unlock()
	}
	return errno
}

// Fsync says that all is well: what is not closed is not at the device.
func (w *writer) Fsync(ctx context.Context, _ uint32) syscall.Errno { return w.Flush(ctx) }

func (w *writer) Release(context.Context) syscall.Errno {
	w.file.mu.Lock()
	delete(w.file.writers, w)
	w.file.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tmp.Close()
	w.file.device.leaveFile()
	return 0
}

// enterFile counts an open file.
func (d *device) enterFile() syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files >= maxOpen {
		return unix.ENFILE
	}
	d.files++
	return 0
}

func (d *device) leaveFile() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files--
}
