// SPDX-License-Identifier: Apache-2.0

// Package sysfs reads the tree in which the kernel tells of devices. The tree
// changes while it is read, and what is in it may come from a device: reads are
// bounded, follow no link where a file should be, and never wait. The root can be
// another directory, for tests.
package sysfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Tree is the tree of sysfs. What cannot be read is as if it was empty. Names are
// relative to the root; those in several parts are joined. It is for one
// goroutine.
type Tree struct {
	root string
	buf  []byte // what was read last
	err  error
}

// Open returns the tree at root, usually "/sys". The error says that there is
// none.
func Open(root string) (*Tree, error) {
	root, err := filepath.EvalSymlinks(root)
	if err == nil {
		_, err = os.Stat(filepath.Join(root, "devices"))
	}
	if err != nil {
		return nil, err
	}
	return &Tree{root: root}, nil
}

// Err is why something that may well be there could not be read: the first such
// error. What was found is then not all there is.
func (t *Tree) Err() error { return t.err }

// absent are the errors of what is not there, no more, or not what it should be.
var absent = []syscall.Errno{
	unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.EINVAL, unix.ENAMETOOLONG,
}

// Failed reports whether err is an error, and keeps it for Err if it does not
// mean that something is absent.
func (t *Tree) Failed(err error) bool {
	var number syscall.Errno // none in filepath's error for a loop of links
	if t.err == nil && errors.As(err, &number) && !slices.Contains(absent, number) {
		t.err = err
	}
	return err != nil
}

// Limits on what is read; more than the kernel ever has there.
const (
	maxAttribute = 4096  // sysfs gives a page at most
	maxEntries   = 10000 // of a directory
)

// Number is what tells device nodes apart.
type Number struct {
	Kind         string // "char" or "block"
	Major, Minor uint32
}

// CharNumber is the number of a character device node, from its st_rdev.
func CharNumber(rdev uint64) Number { return Number{"char", unix.Major(rdev), unix.Minor(rdev)} }

// BlockNumber is the number of a block device node, from its st_rdev.
func BlockNumber(rdev uint64) Number { return Number{"block", unix.Major(rdev), unix.Minor(rdev)} }

// String returns the number as sysfs has it: "major:minor".
func (n Number) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

// Resolve follows symbolic links and returns the path of a directory below
// devices, where sysfs keeps all that is real.
func (t *Tree) Resolve(name string) (string, bool) {
	abs, err := filepath.EvalSymlinks(filepath.Join(t.root, name))
	if t.Failed(err) {
		return "", false
	}
	rel, err := filepath.Rel(t.root, abs)
	if err != nil || !strings.HasPrefix(rel, "devices/") {
		return "", false
	}
	return rel, true
}

// ByNumber returns the directory of the device that a node's number is given
// to: "" if there is none.
func (t *Tree) ByNumber(n Number) (string, error) {
	all := filepath.Join(t.root, "dev", n.Kind)
	if _, err := os.Stat(all); err != nil {
		return "", err
	}
	link := filepath.Join(all, n.String())
	if _, err := os.Lstat(link); errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	abs, err := filepath.EvalSymlinks(link)
	if errors.Is(err, unix.ENOENT) {
		return "", nil // it went just now
	} else if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(t.root, abs)
	if err == nil && !strings.HasPrefix(rel, "devices/") {
		err = fmt.Errorf("%s leads to %s", link, abs)
	}
	return rel, err
}

// IsBus reports whether the subsystem of a device is a bus rather than a class.
func (t *Tree) IsBus(dir string) bool {
	return path.Base(path.Dir(t.Target(dir, "subsystem"))) == "bus"
}

// Read returns at most limit bytes of a plain file. They are overwritten by the
// next call of any method.
func (t *Tree) Read(limit int, name ...string) []byte {
	b, err := t.ReadFile(filepath.Join(t.root, path.Join(name...)), limit)
	if t.Failed(err) {
		return nil
	}
	return b
}

// ReadFile is Read for a path that need not be in the tree. It neither follows a
// symbolic link at the end of the path nor waits for anything.
func (t *Tree) ReadFile(name string, limit int) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if len(t.buf) < limit {
		t.buf = make([]byte, limit)
	}
	size := 0
	for size < limit {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, t.buf[size:limit]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		size += n
	}
	return t.buf[:size], nil
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Line returns an attribute as it is, without the end of its line.
func (t *Tree) Line(name ...string) string {
	return strings.TrimSuffix(string(t.Read(maxAttribute, name...)), "\n")
}

// Text returns the first line of an attribute, cleaned.
func (t *Tree) Text(name ...string) string {
	line, _, _ := strings.Cut(t.Line(name...), "\n")
	return Clean(line)
}

// Hex returns an attribute that is a hexadecimal number without a prefix. ok is
// false if it is none, or does not fit.
func (t *Tree) Hex(name ...string) (n uint16, ok bool) {
	wide, err := strconv.ParseUint(t.Text(name...), 16, 16)
	if err != nil {
		return 0, false
	}
	return uint16(wide), true
}

// Target returns the target of a symbolic link, as it is; "" if there is none.
func (t *Tree) Target(name ...string) string {
	target, err := os.Readlink(filepath.Join(t.root, path.Join(name...)))
	if t.Failed(err) {
		return ""
	}
	return target
}

// Link returns the last name in the target of a symbolic link, cleaned; "" if
// there is none.
func (t *Tree) Link(name ...string) string {
	target := t.Target(name...)
	if target == "" {
		return ""
	}
	return Clean(path.Base(target))
}

// List returns the names in a directory, sorted.
func (t *Tree) List(name ...string) []string {
	d, err := os.Open(filepath.Join(t.root, path.Join(name...)))
	if t.Failed(err) {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(maxEntries) // as far as they can be read
	if err != io.EOF {
		t.Failed(err)
	}
	slices.Sort(names)
	return names
}

// Uevent returns the properties in a device's uevent file.
func (t *Tree) Uevent(dir string) map[string]string {
	return Properties(string(t.Read(maxAttribute, dir, "uevent")), "\n")
}

// Inode tells a directory from its successor of the same name: sysfs does not
// use a number twice.
func (t *Tree) Inode(dir string) (uint64, bool) {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(t.root, dir), &st)
	t.Failed(err)
	return st.Ino, err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}
