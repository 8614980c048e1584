// SPDX-License-Identifier: Apache-2.0

// Package fusefs presents devices as files, in a FUSE file system with a folder for each
// device: data, which reads, writes and controls it, and events, which tells what it
// reports. What these files do is described for users in docs/agent.md.
//
// go-fuse decodes the protocol. Reading /dev/fuse, mounting and polling are here, since
// go-fuse answers each poll with "always ready", and waits at the end until nobody uses
// the file system any more.
//
// The process that serves a file system should not use it: a system call that waits for
// an answer can take up the thread that would give it. The runtime's poller is the worst
// of them (os.Open); os.Stat and the functions of package unix do less harm.
package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/ahead"
)

// ErrUnavailable is part of the error of Mount where FUSE cannot be used at all.
var ErrUnavailable = errors.New("no FUSE here")

// sessionBudget is how much memory all files of a file system together may use for
// read-ahead and write-behind.
const sessionBudget = 32 << 20

// Shape says which files a device has and what they are like.
type Shape struct {
	// Data is what the file data is like.
	Data present.Data
	// Events, if not nil, is called when a program opens the file events. It returns
	// the lines that come from then on, each with its line feed; they are not
	// changed any more. The channel is closed when there can be no more. cancel is
	// called once, when the file is closed. It must not wait for the client.
	Events func() (lines <-chan []byte, cancel func())
}

// FS is a mounted file system. Its methods may be called from any goroutine.
type FS struct {
	path    string
	log     *slog.Logger
	conn    *conn
	budget  *ahead.Budget
	unmount func() error
	made    bool // the mount point is ours to remove
	began   time.Time
	tasks   sync.WaitGroup // goroutines of ours, beside those of conn

	closing sync.Once
	mu      sync.Mutex
	closed  bool
	last    uint64 // the last number that was given to a node or an open file
	root    *dir
	nodes   map[uint64]node
	opens   map[uint64]any // *dirList or *opened
	folders map[*folder]struct{}
}

// Mount mounts a file system without devices at path, a folder that it makes if there is
// none. What a process that was killed left mounted there is removed first.
func Mount(path string, log *slog.Logger) (*FS, error) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	clearStale(path)
	err := os.Mkdir(path, 0o700)
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f := &FS{
		path: path, log: log, made: made, began: time.Now(),
		budget:  ahead.NewBudget(sessionBudget),
		nodes:   make(map[uint64]node),
		opens:   make(map[uint64]any),
		folders: make(map[*folder]struct{}),
	}
	f.root = &dir{id: rootNode, children: make(map[string]node)}
	f.last = rootNode
	f.nodes[rootNode] = f.root
	dev, unmount, err := mount(path)
	if err != nil {
		if made {
			_ = os.Remove(path)
		}
		return nil, err
	}
	f.unmount = unmount
	t := &tree{RawFileSystem: noOperations, fs: f}
	f.conn = newConn(dev, t, log)
	f.conn.poll, f.conn.quick, f.conn.fixed = f.poll, t, true
	f.conn.start()
	return f, nil
}

// Path returns where the file system is mounted.
func (f *FS) Path() string { return f.path }

// Add makes the folder of a device, named d.Name. remove takes it away again, as does the
// end of the device: programs that have its files open get ENODEV, also those that wait.
// remove does not wait for the client, and may be called more than once.
func (f *FS) Add(d *present.Device, shape Shape) (remove func()) {
	c := &folder{fs: f, dev: d, dir: &dir{children: make(map[string]node)}, opens: make(map[*opened]struct{})}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		c.cancel()
		return func() {}
	}
	c.dir.id = f.number()
	f.nodes[c.dir.id] = c.dir
	f.addFile(c, "data", c.data(shape.Data))
	if shape.Events != nil {
		f.addFile(c, "events", &events{lines: shape.Events})
	}
	f.folders[c] = struct{}{}
	f.root.children[d.Name] = c.dir
	f.tasks.Add(1)
	go func() {
		defer f.tasks.Done()
		select {
		case <-d.Gone():
			c.remove()
		case <-c.ctx.Done():
		}
	}()
	return c.remove
}

// number returns a number that no node or open file has had. f.mu is held.
func (f *FS) number() uint64 {
	f.last++
	return f.last
}

// addFile adds a file to a folder. f.mu is held.
func (f *FS) addFile(c *folder, name string, content content) {
	n := &file{id: f.number(), folder: c, content: content}
	f.nodes[n.id] = n
	c.dir.children[name] = n
}

// Close removes all devices and unmounts the file system, at once even if it is in use:
// then programs have files that fail. It returns when nothing of it is left.
func (f *FS) Close() error {
	var err error
	f.closing.Do(func() {
		f.mu.Lock()
		f.closed = true
		folders := make([]*folder, 0, len(f.folders))
		for c := range f.folders {
			folders = append(folders, c)
		}
		f.mu.Unlock()
		for _, c := range folders {
			c.remove()
		}
		f.conn.end()
		if err = f.unmount(); err != nil {
			err = fmt.Errorf("unmounting %s: %w", f.path, err)
		}
		f.conn.close()
		// The kernel did not release these any more.
		f.mu.Lock()
		opens := f.opens
		f.opens = nil
		f.mu.Unlock()
		for _, o := range opens {
			if o, ok := o.(*opened); ok {
				o.release()
			}
		}
		f.tasks.Wait()
		if f.made {
			err = errors.Join(err, os.Remove(f.path))
		}
	})
	return err
}

// folder is a device.
type folder struct {
	fs  *FS
	dev *present.Device
	dir *dir

	// ctx ends when the device is removed.
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	gone  bool
	opens map[*opened]struct{}
}

// data returns the content of the file data.
func (c *folder) data(kind present.Data) content {
	if kind == present.RandomAccess {
		return newRandom(c)
	}
	return &device{folder: c}
}

// remove takes away the folder, and fails what is open.
func (c *folder) remove() {
	f := c.fs
	f.mu.Lock()
	delete(f.folders, c)
	delete(f.nodes, c.dir.id)
	for _, n := range c.dir.children {
		delete(f.nodes, n.number())
	}
	if name := c.dev.Name; f.root.children[name] == c.dir {
		delete(f.root.children, name)
	}
	f.mu.Unlock()

	c.mu.Lock()
	c.gone = true
	opens := make([]*opened, 0, len(c.opens))
	for o := range c.opens {
		opens = append(opens, o)
	}
	c.mu.Unlock()
	c.cancel()
	for _, o := range opens {
		o.fail()
	}
	for _, n := range c.dir.children {
		if n, ok := n.(*file); ok {
			n.content.remove()
		}
	}
}

// open opens a handle that is closed when the device is removed, so that nobody waits for
// an answer on it any longer.
func (c *folder) open(ctx context.Context, opt server.OpenOptions) (*handle, error) {
	h, err := c.dev.Open(ctx, opt)
	if err != nil {
		return nil, err
	}
	return &handle{h, context.AfterFunc(c.ctx, func() { h.Close() })}, nil
}

// handle is a handle opened by folder.open.
type handle struct {
	*present.Handle
	forget func() bool
}

// Close closes the handle. It does not wait for the client, and may be called again.
func (h *handle) Close() {
	h.forget()
	h.Handle.Close()
}

// enter adds o to the open files of a device that is there. Otherwise it fails with
// ENODEV.
func (c *folder) enter(o *opened) unix.Errno {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return unix.ENODEV
	}
	c.opens[o] = struct{}{}
	return 0
}

func (c *folder) leave(o *opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.opens, o)
}

func logPanic(log *slog.Logger, reason any) {
	log.Error("a bug: panic", "reason", reason, "stack", string(debug.Stack()))
}
