// SPDX-License-Identifier: Apache-2.0

// Package folder keeps a folder with a folder in it for each device that a client
// redirects: a description, a socket for control codes, the files of
// pnp/present/fusefs, and what the presenter of the device's kind makes.
//
// docs/agent.md describes the folders for those who use them.
package folder

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/fusefs"
)

// maxDevices is how many devices may be presented at a time.
const maxDevices = 256

// Limits are the limits of a server.Session whose devices are presented: they are fewer
// than those of a program that only lists them.
var Limits = server.Limits{Devices: maxDevices, DescriptionBytes: 1 << 20}

// CancelWait is the Config.CancelWait of a server.Session whose devices are presented. While
// it lasts, a program that was stopped by a signal cannot end.
const CancelWait = 2 * time.Second

// Config configures a Folder.
type Config struct {
	// Session names the session in reports.
	Session string
	// Table has the kinds of presenters.
	Table present.Table
	// As returns the kind that the user wants a device to be of; nil for the one that
	// serves it. As may be nil.
	As func(*pnp.Description) *present.Kind
	// Wanted reports whether to present a device. If it is nil, all are.
	Wanted func(*pnp.Description) bool
	// Options is what the user wishes of presenters.
	Options present.Options
	// Log takes a line for each device that comes, goes, is opened or fails; nil
	// discards it.
	Log *slog.Logger
}

// Folder presents the devices of one user's session. Its methods may be called from any
// goroutine.
//
// A goroutine runs for each device that is there, and some for each program that is
// connected to its control socket.
type Folder struct {
	cfg  Config
	lock *Lock
	// files is nil where there is no FUSE, and noFiles says why.
	files   *fusefs.FS
	noFiles error
	// slots has a value for each device.
	slots chan struct{}

	// ctx ends when Close begins.
	ctx    context.Context
	cancel context.CancelFunc
	// active counts the entries. It grows only while closed is false.
	active sync.WaitGroup

	closing sync.Mutex
	mu      sync.Mutex
	closed  bool
	names   names
	entries map[*known]*entry
	arrived uint64
}

// New makes the folder dir, see Claim.
func New(dir string, cfg Config) (*Folder, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	lock, err := Claim(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{cfg: cfg, lock: lock, slots: make(chan struct{}, maxDevices), entries: make(map[*known]*entry)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.names.init()
	// Without it, there are still terminals and control sockets.
	if f.files, err = fusefs.Mount(filepath.Join(f.Dir(), filesName), cfg.Log); err != nil {
		cfg.Log.Warn("devices have no files data and events", "err", err)
		f.noFiles = fmt.Errorf("no files data and events: %w", err)
	}
	return f, nil
}

// filesName is where the file system with the devices' files is mounted.
const filesName = ".files"

// Dir returns the folder's path, without symbolic links.
func (f *Folder) Dir() string { return f.lock.Dir() }

// Close removes everything but the folder itself, and lets others claim it. It returns
// when no goroutine, file or descriptor is left, and does not wait for the client.
// Further calls wait, too.
func (f *Folder) Close() { f.end(f.lock.Release) }

// Remove is Close, and removes the folder, unless others may have claimed it by now.
func (f *Folder) Remove() {
	f.end(func() {
		if err := f.lock.Remove(); err != nil {
			f.cfg.Log.Warn("something is left of a folder", "err", err)
		}
	})
}

// end closes f, and calls release in the end if it is the first to do so.
func (f *Folder) end(release func()) {
	f.closing.Lock()
	defer f.closing.Unlock()
	f.mu.Lock()
	first := !f.closed
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.active.Wait()
	if !first {
		return
	}
	if f.files != nil {
		if err := f.files.Close(); err != nil {
			f.cfg.Log.Warn("something is left of the devices' files", "err", err)
		}
	}
	release()
}

// OnDevice presents a device that has come, until it goes. It is for
// server.Config.OnDevice: sessions may follow each other, and a device that returns has
// the same folder again. While there is no room for another device, OnDevice waits.
func (f *Folder) OnDevice(ev server.DeviceEvent) {
	if ev.Removed {
		return // its entry sees that by itself
	}
	desc := ev.Device.Description()
	if f.cfg.Wanted != nil && !f.cfg.Wanted(desc) {
		f.cfg.Log.Info("device is left out: a rule says so", "device", Clean(desc.Name))
		return
	}
	select {
	case f.slots <- struct{}{}:
	case <-ev.Device.Gone():
		return
	case <-f.ctx.Done():
		return
	}
	e := f.enter(ev.Device)
	if e == nil {
		<-f.slots
		return
	}
	go func() {
		e.run(f.ctx)
		f.leave(e)
		<-f.slots
	}()
}

// kind returns the kind that a device is presented as.
func (f *Folder) kind(d *pnp.Description) *present.Kind {
	if f.cfg.As != nil {
		if k := f.cfg.As(d); k != nil {
			return k
		}
	}
	return f.cfg.Table.Serving(d)
}

// enter makes the entry of a device; nil if the folder is closed, or nothing serves the
// device.
func (f *Folder) enter(d *server.Device) *entry {
	kind := f.kind(d.Description())
	if kind == nil {
		return nil
	}
	id, base := identify(d.Description()), Clean(d.Description().Name)
	f.await(d, id)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.arrived++
	e := f.newEntry(d, kind, f.names.take(id, base))
	e.number = f.arrived
	f.entries[e.known] = e
	f.active.Add(1)
	return e
}

// await waits while an entry with this identity is being removed, so that the device
// finds its name free when it returns at once.
func (f *Folder) await(d *server.Device, id identity) {
	for {
		e := f.leaving(id)
		if e == nil {
			return
		}
		select {
		case <-e.done:
		case <-d.Gone():
			return
		case <-f.ctx.Done():
			return
		}
	}
}

func (f *Folder) leaving(id identity) *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.names.byID[id] {
		if e := f.entries[k]; e != nil && e.gone() {
			return e
		}
	}
	return nil
}

func (e *entry) gone() bool {
	select {
	case <-e.dev.Gone():
		return true
	default:
		return false
	}
}

// leave gives back what enter took.
func (f *Folder) leave(e *entry) {
	f.mu.Lock()
	delete(f.entries, e.known)
	f.names.release(e.known)
	f.mu.Unlock()
	close(e.done)
	f.active.Done()
}

// Status is a device that is presented.
type Status struct {
	// Folder is the name of the device's folder, and Files what is in it for programs
	// to use.
	Folder string   `json:"folder"`
	Files  []string `json:"files"`
	// Problem says what is missing, and why; "" if nothing is.
	Problem string `json:"problem,omitempty"`
	Info
	present.Stats
}

// Devices returns the devices in the order in which they came.
func (f *Folder) Devices() []Status {
	f.mu.Lock()
	entries := make([]*entry, 0, len(f.entries))
	for _, e := range f.entries {
		if !e.gone() {
			entries = append(entries, e)
		}
	}
	f.mu.Unlock()
	slices.SortFunc(entries, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	list := []Status{}
	for _, e := range entries {
		list = append(list, e.status())
	}
	return list
}
