// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// node is the state of a path.
type node struct {
	present  bool
	replaced bool   // it is not the one of the last look
	path     string // without symbolic links
	dev, ino uint64
	rdev     uint64
	ctime    unix.Timespec
}

// Present reports whether there is something other than a directory at path
// that the process may open for reading or writing.
func Present(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && openable(path, &st)
}

func openable(path string, st *unix.Stat_t) bool {
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false
	}
	for _, mode := range []uint32{unix.R_OK, unix.W_OK} {
		if unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS) == nil {
			return true
		}
	}
	return false
}

// look looks at all paths and updates the watches. If a directory cannot be watched
// it does the rest and returns an error.
func (w *Watcher) look() error {
	l := looker{w: w, dirs: make(map[string]bool), names: make(map[string]bool)}
	nodes := make(map[string]node, len(w.paths))
	for _, p := range w.paths {
		n := l.walk(w.abs[p])
		if before := w.nodes[p]; before.present && n.present {
			n.replaced = w.replaced(before, n)
		}
		nodes[p] = n
	}
	for d := range w.dirs {
		if !l.dirs[d] {
			// It fails if the directory is gone, and its watch with it.
			_ = w.fs.Remove(d)
		}
	}
	w.nodes, w.dirs, w.names = nodes, l.dirs, l.names
	clear(w.removed)
	w.lost = false
	return l.err
}

// replaced reports whether two looks at a path found different nodes. Their inode
// numbers can be equal: file systems reuse one at once, and devpts gives a terminal
// the same one always. So if a node of this name was removed in between, the time
// of the last change decides. That time alone is not enough, as it changes with the
// permissions.
func (w *Watcher) replaced(before, now node) bool {
	if before.dev != now.dev || before.ino != now.ino || before.rdev != now.rdev {
		return true
	}
	return (w.lost || w.removed[now.path] || before.path != now.path) && before.ctime != now.ctime
}

// looker is one look.
type looker struct {
	w           *Watcher
	dirs, names map[string]bool
	err         error
}

// maxLinks is how many symbolic links the kernel follows in one path.
const maxLinks = 40

// walk follows path as the kernel does. It watches each directory before it looks
// for the next name in it, so later changes are reported. Where it stops, it has
// watched the directory in which the missing name would appear.
func (l *looker) walk(path string) node {
	at, links := "/", 0
	rest := strings.Split(path, "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at) // at has no links in it
			continue
		}
		l.watch(at)
		l.names[name] = true
		next := filepath.Join(at, name)
		var st unix.Stat_t
		if unix.Lstat(next, &st) != nil {
			return node{}
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			at = next
		case unix.S_IFLNK:
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return node{}
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		default:
			if len(rest) > 0 || !openable(next, &st) {
				return node{}
			}
			return node{
				present: true, path: next,
				dev: uint64(st.Dev), ino: st.Ino, rdev: uint64(st.Rdev), ctime: st.Ctim,
			}
		}
	}
	return node{} // a directory
}

// watch watches a directory, even if it is watched already: there may be another one
// of the same name.
func (l *looker) watch(dir string) {
	if l.dirs[dir] {
		return
	}
	l.dirs[dir] = true
	err := l.w.fs.Add(dir)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		// If it vanished just now, the directory above reports that.
	case errors.Is(err, unix.EACCES):
		// The process may not read it, but may look up names in it.
		l.w.log.Debug("directory cannot be watched", "dir", dir, "err", err)
	default:
		l.err = fmt.Errorf("watch %s: %w", dir, err)
	}
}
