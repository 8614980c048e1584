package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"freerdp-pnpdr/pnp/watch"
)

// obstacle says why a device that has a path cannot be redirected now, and what
// to do; nil if it can.
func (d *namedDevice) obstacle() error {
	info, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("it is not there; it will be redirected when it appears")
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory; name a file or a device node")
	case !watch.Present(d.path):
		return fmt.Errorf("permission denied (%s); %s", info.Mode(), permissionAdvice(info))
	}
	isChar := info.Mode()&fs.ModeCharDevice != 0
	switch {
	case isChar && d.backend == backendFile:
		return fmt.Errorf("it is a character device; name it as char:%s", d.path)
	case !isChar && d.backend != backendFile:
		return fmt.Errorf("it is no character device; if it is a file or block device, name it as file:%s", d.path)
	case d.backend == backendFile && !info.Mode().IsRegular() && info.Mode()&fs.ModeDevice == 0:
		return errors.New("it is neither a regular file nor a block device")
	}
	return nil
}

func permissionAdvice(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&0o060 == 0 {
		return "give your user access to it; it will be redirected then"
	}
	group := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("make your user a member of the group %s and log in again", group)
}

// realPath is the path without symbolic links, as far as it exists.
func realPath(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	return path
}
