// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned by Claim if another program has claimed the folder.
var ErrInUse = errors.New("another program serves devices there")

// lockName is the file that is locked while the folder is in use. It stays, and says
// that the folder may be cleaned, so that no other program makes one of that name.
const lockName = ".pnpdr-lock"

// Lock is a folder that nobody else may claim.
type Lock struct {
	dir  string
	file *os.File
}

// Claim makes dir, which only the user may look into, or takes one that is empty or was
// claimed before. It removes what a program left there that was killed: mounts, too.
// The folder is claimed until Release, or until the process ends.
func Claim(dir string) (*Lock, error) {
	l, err := claim(dir)
	if err != nil {
		return nil, fmt.Errorf("claiming %s: %w", dir, err)
	}
	return l, nil
}

func claim(dir string) (*Lock, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for range maxClaims {
		l, err := tryClaim(dir)
		if !errors.Is(err, errRemoved) {
			return l, err
		}
	}
	return nil, ErrInUse
}

// maxClaims is how often Claim begins anew because another program removes the folder.
const maxClaims = 100

var errRemoved = errors.New("another program has just removed the folder")

func tryClaim(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		if _, notLink := os.Readlink(dir); notLink != nil && errors.Is(err, fs.ErrExist) {
			return nil, errRemoved // when it was looked at
		}
		return nil, err
	}
	// Mount points are known by their real paths.
	dir, err := filepath.EvalSymlinks(dir)
	if err == nil {
		err = check(dir)
	}
	var file *os.File
	if err == nil {
		file, err = os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errRemoved
	}
	if err != nil {
		return nil, err
	}
	l := &Lock{dir, file}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == unix.EWOULDBLOCK:
		err = ErrInUse
	case err == nil && !l.isThere():
		err = errRemoved
	case err == nil:
		err = clean(dir)
	}
	if err != nil {
		l.Release()
		return nil, err
	}
	return l, nil
}

// isThere reports whether the file that is locked is the one that others find.
func (l *Lock) isThere() bool {
	ours, err := l.file.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Lstat(l.file.Name())
	return err == nil && os.SameFile(ours, theirs)
}

// Dir returns the folder's path, without symbolic links.
func (l *Lock) Dir() string { return l.dir }

// Release lets others claim the folder.
func (l *Lock) Release() { _ = l.file.Close() }

// Remove removes the folder, which is empty but for the lock, and lets others claim it. If
// there is anything else, it stays, and so does the lock: it can be claimed again.
func (l *Lock) Remove() error {
	defer l.Release() // last: nobody else has the folder before
	if entries, err := os.ReadDir(l.dir); err == nil && len(entries) > 1 {
		return l.stays(unix.ENOTEMPTY)
	}
	err := os.Remove(l.file.Name())
	// It may be another program's by now, which has removed it, too.
	if e := unix.Rmdir(l.dir); e == unix.ENOTEMPTY {
		lock, again := os.OpenFile(l.file.Name(), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if again == nil {
			again = lock.Close()
		}
		err = errors.Join(err, l.stays(e), again)
	} else if e != nil && e != unix.ENOENT {
		err = errors.Join(err, l.stays(e))
	}
	return err
}

func (l *Lock) stays(err error) error { return &fs.PathError{Op: "rmdir", Path: l.dir, Err: err} }

// check refuses a folder that others may look into, or that has files of the user's.
func check(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	switch {
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d", st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("others may look into it (mode %03o): name a new folder, or chmod 700 it", st.Mode&0o777)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	claimed := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == lockName })
	if len(entries) > 0 && !claimed {
		return errors.New("it has files of yours: name a new or an empty folder")
	}
	return nil
}

// clean removes what is in a folder that is claimed, but for the lock.
func clean(dir string) error {
	foreign, err := unmountBelow(dir)
	if err != nil {
		return err
	}
	return removeOurs(dir, true, foreign)
}

// removeOurs removes what a program of ours makes: folders, links, sockets, and files
// whose names are ours. If there is anything else, it stays, and so do the folders that
// it is in. What somebody else has mounted, at one of foreign, is not looked at.
func removeOurs(dir string, keepLock bool, foreign []string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.Name() == lockName || slices.Contains(foreign, path) {
			continue
		}
		if e.IsDir() {
			if err := removeOurs(path, false, foreign); err != nil {
				return err
			}
		} else if !isOurs(e) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	if keepLock {
		return nil
	}
	// A folder that stays can be claimed again.
	left, err := os.ReadDir(dir)
	if err == nil && len(left) == 1 && left[0].Name() == lockName && left[0].Type().IsRegular() {
		err = os.Remove(filepath.Join(dir, lockName))
	}
	return err
}

func isOurs(e fs.DirEntry) bool {
	switch e.Name() {
	case infoName, infoName + ".new":
		return e.Type().IsRegular()
	}
	return e.Type()&(fs.ModeSymlink|fs.ModeSocket) != 0
}
