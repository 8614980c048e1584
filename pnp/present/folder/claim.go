// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrInUse is returned by Claim if another program has claimed the folder.
var ErrInUse = errors.New("another program serves devices there")

// lockName is the file that is locked while the folder is in use. It stays, and says
// that the folder may be cleaned.
const lockName = ".lock"

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
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Mount points are known by their real paths.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	if err := check(dir); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Lock{dir, file}
	if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = clean(dir)
	} else if err == unix.EWOULDBLOCK {
		err = ErrInUse
	}
	if err != nil {
		l.Release()
		return nil, err
	}
	return l, nil
}

// Dir returns the folder's path, without symbolic links.
func (l *Lock) Dir() string { return l.dir }

// Release lets others claim the folder.
func (l *Lock) Release() { _ = l.file.Close() }

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
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Lstat(filepath.Join(dir, lockName)); errors.Is(err, fs.ErrNotExist) {
		return errors.New("it has files of yours: name a new or an empty folder")
	}
	return nil
}

// clean removes what is in a folder that is claimed, but for the lock.
func clean(dir string) error {
	if err := unmountBelow(dir); err != nil {
		return err
	}
	return removeOurs(dir, true)
}

// removeOurs removes what a program of ours makes: folders, links, sockets, and files
// whose names are ours. If there is anything else, it stays, and so do the folders that
// it is in.
func removeOurs(dir string, keepLock bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			if err := removeOurs(path, false); err != nil {
				return err
			}
		} else if !isOurs(e) || keepLock && e.Name() == lockName {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

func isOurs(e fs.DirEntry) bool {
	switch e.Name() {
	case infoName, infoName + ".new", lockName:
		return e.Type().IsRegular()
	}
	return e.Type()&(fs.ModeSymlink|fs.ModeSocket) != 0
}
