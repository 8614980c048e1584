// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/channels/server"
	"freerdp-pnpdr/pnp/present"
	"freerdp-pnpdr/pnp/present/fusefs"
)

// entry is the folder of one device while the device is there.
type entry struct {
	known   *known
	number  uint64 // counts the devices of the Folder
	dev     *present.Device
	files   *fusefs.FS // nil where there is no FUSE, and noFiles says why
	noFiles error
	done    chan struct{} // closed when nothing is left

	problem atomic.Value // a string

	undo []func() // takes away what was made, the last first
}

func (f *Folder) newEntry(d *server.Device, kind *present.Kind, k *known) *entry {
	log := f.cfg.Log.With("device", k.name)
	return &entry{
		known:   k,
		dev:     present.NewDevice(d, kind, k.name, filepath.Join(f.Dir(), k.name), log, f.cfg.Options),
		files:   f.files,
		noFiles: f.noFiles,
		done:    make(chan struct{}),
	}
}

// run makes the folder and removes it once the device has gone or ctx has ended.
func (e *entry) run(ctx context.Context) {
	defer e.remove()
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-e.dev.Gone():
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel()
		<-watched
	}()
	log := e.dev.Log
	if err := e.make(); err != nil {
		log.Error("device cannot be presented", "err", err)
		return
	}
	log.Info("device has come", "kind", e.dev.Kind.Name, "folder", e.dev.Dir)
	if err := e.present(ctx); err != nil && ctx.Err() == nil {
		e.lacks(err)
	}
	<-ctx.Done()
	log.Info("device has gone")
}

// make makes what every device has. If a part of it cannot be made, the rest is there: a
// file of the user's may be in the way.
func (e *entry) make() error {
	// It is there already if the user has put a file into it.
	if err := os.Mkdir(e.dev.Dir, 0o700); err != nil && !isDir(e.dev.Dir) {
		return err
	}
	e.later(func() error { return unix.Rmdir(e.dev.Dir) }) // never a file
	if c, err := newControl(e.dev); err != nil {
		e.lacks(err)
	} else {
		e.undo = append(e.undo, c.close)
	}
	if e.files != nil {
		e.addFiles()
	} else {
		e.complain(e.noFiles) // which is logged
	}
	if err := writeInfo(e.dev); err != nil {
		return err
	}
	e.later(func() error { return os.Remove(filepath.Join(e.dev.Dir, infoName)) })
	return nil
}

// isDir reports whether there is a folder, and no link to one.
func isDir(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.IsDir()
}

// addFiles makes the device's files, and links to them.
func (e *entry) addFiles() {
	e.undo = append(e.undo, e.files.Add(e.dev, fusefs.Shape{Data: e.dev.Kind.Data, Events: eventLines(e.dev)}))
	for _, name := range []string{"data", "events"} {
		link := filepath.Join(e.dev.Dir, name)
		if err := os.Symlink(filepath.Join("..", filesName, e.dev.Name, name), link); err != nil {
			e.lacks(err)
			continue
		}
		e.later(func() error { return os.Remove(link) })
	}
}

// lacks logs that something is missing, and why.
func (e *entry) lacks(err error) {
	e.dev.Log.Warn("device is presented in part only", "err", err)
	e.complain(err)
}

// complain adds to what the status says is missing.
func (e *entry) complain(err error) {
	text := err.Error()
	if before, _ := e.problem.Load().(string); before != "" {
		text = before + "; " + text
	}
	e.problem.Store(text)
}

// present has the presenter of the device's kind do its work.
func (e *entry) present(ctx context.Context) error {
	if e.dev.Kind.Present == nil {
		return nil
	}
	p, err := callPresenter(ctx, e.dev)
	if err != nil {
		return err
	}
	e.undo = append(e.undo, p.Close)
	return nil
}

// callPresenter stops a panic of the presenter's, which what the client sends may have
// caused.
func callPresenter(ctx context.Context, d *present.Device) (p present.Presentation, err error) {
	defer func() {
		if r := recover(); r != nil {
			d.Log.Debug("panic in a presenter", "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in the presenter of %s: %v", d.Kind.Name, r)
		}
	}()
	return d.Kind.Present(ctx, d)
}

// later has remove call f. A file that has gone already is not worth a line in the
// log, and neither is a folder in which the user has put something.
func (e *entry) later(f func() error) {
	e.undo = append(e.undo, func() {
		if err := f(); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			e.dev.Log.Warn("something is left in the folder of a device that has gone", "err", err)
		}
	})
}

func (e *entry) remove() {
	for i := len(e.undo) - 1; i >= 0; i-- {
		e.undo[i]()
	}
}

func (e *entry) status() Status {
	s := Status{Folder: e.known.name, Files: []string{}, Info: infoOf(e.dev), Stats: e.dev.Stats()}
	s.Problem, _ = e.problem.Load().(string)
	entries, _ := os.ReadDir(e.dev.Dir) // none if it is going
	for _, f := range entries {
		if name := f.Name(); name != infoName && name != infoName+".new" {
			s.Files = append(s.Files, name)
		}
	}
	return s
}
