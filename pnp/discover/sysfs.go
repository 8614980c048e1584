// SPDX-License-Identifier: Apache-2.0

package discover

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
	"unicode"

	"golang.org/x/sys/unix"
)

// sysfs reads a tree that changes meanwhile and that may hold anything. What
// cannot be read is as if it was empty. Paths are relative to root.
type sysfs struct {
	root string
	buf  []byte // what was read last
	// err is why something that may well be there could not be read: the
	// first such error. What was found is then not all there is.
	err error
}

// absent are the errors of what is not there, no more, or not what it should be.
var absent = []syscall.Errno{
	unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.ENOTDIR, unix.EISDIR, unix.ELOOP, unix.EINVAL, unix.ENAMETOOLONG,
}

// failed reports whether err is an error, and keeps it if it does not mean that
// something is absent.
func (s *sysfs) failed(err error) bool {
	var number syscall.Errno // none in filepath's error for a loop of links
	if s.err == nil && errors.As(err, &number) && !slices.Contains(absent, number) {
		s.err = err
	}
	return err != nil
}

// Limits on what is read; more than the kernel ever has there.
const (
	maxAttribute = 4096 // sysfs gives a page at most
	maxDatabase  = 1 << 16
	maxEntries   = 10000 // of a directory
)

// resolve follows symbolic links and returns the path of a directory below
// devices, where sysfs keeps all that is real.
func (s *sysfs) resolve(name string) (string, bool) {
	abs, err := filepath.EvalSymlinks(filepath.Join(s.root, name))
	if s.failed(err) {
		return "", false
	}
	rel, err := filepath.Rel(s.root, abs)
	if err != nil || !strings.HasPrefix(rel, "devices/") {
		return "", false
	}
	return rel, true
}

// byNumber returns the directory of the device that a node's number is given
// to: "" if there is none.
func (s *sysfs) byNumber(n number) (string, error) {
	all := filepath.Join(s.root, "dev", n.kind)
	if _, err := os.Stat(all); err != nil {
		return "", err
	}
	link := filepath.Join(all, fmt.Sprintf("%d:%d", n.major, n.minor))
	if _, err := os.Lstat(link); errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	abs, err := filepath.EvalSymlinks(link)
	if errors.Is(err, unix.ENOENT) {
		return "", nil // it went just now
	} else if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(s.root, abs)
	if err == nil && !strings.HasPrefix(rel, "devices/") {
		err = fmt.Errorf("%s leads to %s", link, abs)
	}
	return rel, err
}

// isBus reports whether the subsystem of a device is a bus rather than a class.
func (s *sysfs) isBus(dir string) bool {
	target, err := os.Readlink(filepath.Join(s.root, dir, "subsystem"))
	return !s.failed(err) && path.Base(path.Dir(target)) == "bus"
}

// read returns at most limit bytes of a plain file, until the next call.
func (s *sysfs) read(limit int, name ...string) []byte {
	b, err := s.file(filepath.Join(s.root, path.Join(name...)), limit)
	if s.failed(err) {
		return nil
	}
	return b
}

// file reads the beginning of a plain file. It neither follows a symbolic link
// at the end of the path nor waits for anything.
func (s *sysfs) file(name string, limit int) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if s.buf == nil {
		s.buf = make([]byte, maxDatabase)
	}
	size := 0
	for limit = min(limit, len(s.buf)); size < limit; {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, s.buf[size:limit]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		size += n
	}
	return s.buf[:size], nil
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// text returns the first line of an attribute.
func (s *sysfs) text(name ...string) string {
	line, _, _ := strings.Cut(string(s.read(maxAttribute, name...)), "\n")
	return clean(line)
}

// link returns the last name in the target of a symbolic link.
func (s *sysfs) link(name ...string) string {
	target, err := os.Readlink(filepath.Join(s.root, path.Join(name...)))
	if s.failed(err) {
		return ""
	}
	return clean(path.Base(target))
}

// list returns the names in a directory, sorted.
func (s *sysfs) list(name ...string) []string {
	d, err := os.Open(filepath.Join(s.root, path.Join(name...)))
	if s.failed(err) {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(maxEntries) // as far as they can be read
	if err != io.EOF {
		s.failed(err)
	}
	slices.Sort(names)
	return names
}

// uevent returns the properties in a device's uevent file.
func (s *sysfs) uevent(dir string) map[string]string {
	return properties(string(s.read(maxAttribute, dir, "uevent")), "\n")
}

// inode tells a directory from its successor of the same name: sysfs does not
// use a number twice.
func (s *sysfs) inode(dir string) (uint64, bool) {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(s.root, dir), &st)
	s.failed(err)
	return st.Ino, err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

// properties splits KEY=value lines. The first of a name counts.
func properties(text, separator string) map[string]string {
	p := make(map[string]string)
	for _, line := range strings.Split(text, separator) {
		key, value, ok := strings.Cut(line, "=")
		if _, twice := p[key]; ok && !twice {
			p[key] = value
		}
	}
	return p
}

// maxText is the length of the longest USB string in UTF-8: 126 characters of
// up to 3 bytes.
const maxText = 378

// clean makes a string of a device fit for logs, terminals and the wire:
// printable, without spaces around it and of bounded length.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// udevData reads udev's record of a device, which is named by the number of its
// node. ok is false if udev has none: it has not seen the device yet.
func (s *sysfs) udevData(root string, uevent map[string]string) (p map[string]string, ok bool) {
	major, minor := uevent["MAJOR"], uevent["MINOR"]
	for _, n := range []string{major, minor} {
		if _, err := strconv.ParseUint(n, 10, 32); err != nil {
			return nil, false
		}
	}
	b, err := s.file(filepath.Join(root, "data", "c"+major+":"+minor), maxDatabase)
	if errors.Is(err, unix.EACCES) || s.failed(err) { // a sandbox may hide udev
		return nil, false
	}
	p = make(map[string]string)
	for key, value := range properties(string(b), "\n") {
		if key, ok := strings.CutPrefix(key, "E:"); ok {
			p[key] = clean(value)
		}
	}
	return p, true
}
