// SPDX-License-Identifier: Apache-2.0

// Package watch reports when device nodes appear and vanish. It does not poll: after
// every event of inotify that can matter it looks at all paths again, so its
// reports do not depend on the order or number of events.
//
// A path is present when there is something other than a directory behind it
// that the process may open for reading or writing. udev sets permissions after
// the node was made, so a node can exist for a while without being present.
//
// Some changes are noticed only when something else happens near the path, because
// inotify does not report them: file systems mounted or unmounted on the way,
// directories that the process may not read, /proc and /sys, and changes by another
// machine in a network file system.
package watch

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"

	"freerdp-pnpdr/pnp"
)

// Watcher watches a set of paths until it is closed.
type Watcher struct {
	notify func(path string, present bool)
	log    *slog.Logger
	fs     *fsnotify.Watcher
	paths  []string // as given, without repetitions
	abs    map[string]string

	closing sync.Once
	running sync.WaitGroup
	failed  chan struct{} // events may have been lost; holds one

	// The rest belongs to run.

	nodes map[string]node // the last state of each path
	// dirs are the watched directories: all that exist on the way to a path.
	// names are the entries in them that matter.
	dirs, names map[string]bool
	// removed are the nodes that have vanished since the last look, even if
	// there is one of that name again. lost is set if there may be more.
	removed map[string]bool
	lost    bool
}

// New watches paths. Neither they nor the directories on the way need exist. A path
// may be a symbolic link or lead through some.
//
// notify is called with the state of each path, in the order of paths, before New
// returns, and then with each change: with false and then true if a node was
// replaced by another. It is called from one goroutine and may block; the next
// state that it gets is then the newest. It must not call Close.
//
// log receives later errors; they are dropped if it is nil. New fails if the
// system's limits on inotify instances or watches are reached.
func New(paths []string, notify func(path string, present bool), log *slog.Logger) (*Watcher, error) {
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	w := &Watcher{
		notify: notify, log: log, abs: make(map[string]string), failed: make(chan struct{}, 1),
		nodes: make(map[string]node), dirs: make(map[string]bool), removed: make(map[string]bool),
	}
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", p, err)
		}
		if _, twice := w.abs[p]; !twice {
			w.abs[p] = abs
			w.paths = append(w.paths, p)
		}
	}
	var err error
	// With a buffer, one look at the paths covers many events.
	if w.fs, err = fsnotify.NewBufferedWatcher(256); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	started := make(chan error, 1)
	w.running.Add(2)
	go func() {
		defer w.running.Done()
		defer pnp.Guard(w.log, "watching", func() {
			select {
			case started <- errors.New("watch: panic; see the log"):
			default: // it started long ago
			}
		})
		w.run(started)
	}()
	go func() {
		defer w.running.Done()
		defer pnp.Guard(w.log, "taking the errors of inotify", nil)
		w.takeErrors()
	}()
	if err := <-started; err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the watcher and waits for a call of notify that is under way. Further
// calls do nothing.
func (w *Watcher) Close() {
	w.closing.Do(func() {
		// It closes the channels that the goroutines read.
		if err := w.fs.Close(); err != nil {
			w.log.Warn("cannot close inotify", "err", err)
		}
	})
	w.running.Wait()
}

func (w *Watcher) run(started chan<- error) {
	err := w.look()
	if err == nil {
		for _, p := range w.paths {
			w.tell(p, w.nodes[p].present)
		}
	}
	started <- err
	if err != nil {
		return
	}
	for w.await() {
		w.update()
	}
}

// update looks at the paths again and reports changes.
func (w *Watcher) update() {
	defer pnp.Guard(w.log, "looking at the watched paths", nil)
	before := w.nodes
	if err := w.look(); err != nil {
		w.log.Error("some paths are not watched", "err", err)
	}
	for _, p := range w.paths {
		w.change(p, before[p], w.nodes[p])
	}
}

func (w *Watcher) tell(path string, present bool) {
	w.log.Debug("watched path", "path", path, "present", present)
	defer pnp.Guard(w.log, "reporting "+path, nil)
	w.notify(path, present)
}

// change reports the difference between two looks at a path.
func (w *Watcher) change(path string, before, now node) {
	if before.present && now.present && !now.replaced {
		return
	}
	if before.present {
		w.tell(path, false)
	}
	if now.present {
		w.tell(path, true)
	}
}

// await waits for an event that can matter and takes in all that have come by then.
// It returns false when the watcher is closed.
func (w *Watcher) await() bool {
	matters := false
	for !matters || len(w.fs.Events) > 0 {
		select {
		case e, ok := <-w.fs.Events:
			if !ok {
				return false
			}
			matters = w.takeIn(e) || matters
		case <-w.failed:
			w.lost, matters = true, true
		}
	}
	return true
}

// takeIn reports whether an event can matter.
func (w *Watcher) takeIn(e fsnotify.Event) bool {
	if e.Op == fsnotify.Write {
		return false // kernels before 6.14 report each write to a device
	}
	if !w.names[filepath.Base(e.Name)] && !w.dirs[e.Name] {
		return false
	}
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		w.removed[filepath.Clean(e.Name)] = true
	}
	return true
}

// takeErrors passes on that events were lost. It needs a goroutine of its own:
// fsnotify can hold the lock that adding a watch takes while it waits for an error
// to be received.
func (w *Watcher) takeErrors() {
	for err := range w.fs.Errors {
		if !errors.Is(err, fsnotify.ErrEventOverflow) {
			w.log.Debug("inotify", "err", err)
		}
		select {
		case w.failed <- struct{}{}:
		default: // one is enough
		}
	}
}
