// SPDX-License-Identifier: Apache-2.0

// Package sysfs reads /sys, or in tests a directory like it. The tree changes while
// it is read, and devices control some of its contents: reads are bounded, never
// block, and follow no link where a file should be.
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

// Tree is a sysfs tree. What cannot be read counts as empty. Names are relative to
// the root; several parts are joined. A Tree is for one goroutine.
type Tree struct {
	root string
	buf  []byte // what was read last
	err  error
}

// Open returns the tree at root, usually "/sys". It fails if there is none.
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

// Err returns the first error that was not about something absent. After one,
// devices may be missing from what was found.
func (t *Tree) Err() error { return t.err }

// absent are the errors for what does not exist, has gone, or is not what it should
// be.
var absent = []syscall.Errno{
	unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.EINVAL, unix.ENAMETOOLONG,
}

// Failed reports whether err is not nil. It keeps the error for Err unless it means
// that something is absent.
func (t *Tree) Failed(err error) bool {
	var number syscall.Errno // filepath's error for a loop of links has none
	if t.err == nil && errors.As(err, &number) && !slices.Contains(absent, number) {
		t.err = err
	}
	return err != nil
}

// Limits on what is read, above anything in a real sysfs.
const (
	maxAttribute = 4096  // sysfs gives a page at most
	maxEntries   = 10000 // of a directory
)

// Number identifies a device node.
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

// Resolve follows symbolic links and returns the real path of a directory, which is
// below devices.
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

// ByNumber returns the directory of the device that has this number; "" if no device
// has it.
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
		return "", nil // it has just gone
	} else if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(t.root, abs)
	if err == nil && !strings.HasPrefix(rel, "devices/") {
		err = fmt.Errorf("%s leads to %s", link, abs)
	}
	return rel, err
}

// IsBus reports whether a device's subsystem is a bus rather than a class.
func (t *Tree) IsBus(dir string) bool {
	return path.Base(path.Dir(t.Target(dir, "subsystem"))) == "bus"
}

// Read returns at most limit bytes of a regular file. The next call of any method
// overwrites them.
func (t *Tree) Read(limit int, name ...string) []byte {
	b, err := t.ReadFile(filepath.Join(t.root, path.Join(name...)), limit)
	if t.Failed(err) {
		return nil
	}
	return b
}

// ReadFile is Read for a path outside of the tree. It does not follow a symbolic link
// at the end of the path, and does not block.
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

// Line returns an attribute unchanged, without its final newline.
func (t *Tree) Line(name ...string) string {
	return strings.TrimSuffix(string(t.Read(maxAttribute, name...)), "\n")
}

// Text returns an attribute, cleaned. A line break, which a serial number can have in
// it, becomes a space.
func (t *Tree) Text(name ...string) string { return Clean(t.Line(name...)) }

// Hex returns an attribute that is a hexadecimal number without a prefix. ok is
// false if it is not one of at most 16 bits.
func (t *Tree) Hex(name ...string) (n uint16, ok bool) {
	wide, err := strconv.ParseUint(t.Text(name...), 16, 16)
	if err != nil {
		return 0, false
	}
	return uint16(wide), true
}

// Target returns the target of a symbolic link, unchanged; "" if there is no link.
func (t *Tree) Target(name ...string) string {
	target, err := os.Readlink(filepath.Join(t.root, path.Join(name...)))
	if t.Failed(err) {
		return ""
	}
	return target
}

// Link returns the last name in the target of a symbolic link, cleaned; "" if there
// is no link.
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
	names, err := d.Readdirnames(maxEntries) // may return names with an error
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

// Inode returns the inode number of a directory, which differs from that of any
// later directory of the same name: sysfs does not reuse numbers.
func (t *Tree) Inode(dir string) (uint64, bool) {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(t.root, dir), &st)
	t.Failed(err)
	return st.Ino, err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}
