// SPDX-License-Identifier: Apache-2.0

// Package xrdpserver runs xrdp as distributions ship it, for tests: the unpacked packages
// of one release of Debian are a root of their own, in which the server and its sessions
// run with their own libraries. Only tests import it. It takes root, and mounts and
// processes that are the test program's own.
package xrdpserver

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Root is the root of the server: the unpacked packages, and all changes in memory.
const Root = "/mnt/root"

// Mount makes Root from the folder with the packages, and does for it what their
// installation would have done. /mnt becomes a file system in memory.
func Mount(packages string) error {
	packages, err := filepath.Abs(packages)
	if err != nil {
		return err
	}
	if err := mount("tmpfs", "/mnt", "tmpfs", ""); err != nil {
		return err
	}
	if err := Overlay(packages, Root); err != nil {
		return err
	}
	for _, m := range [][4]string{
		{"proc", "/proc", "proc", ""},
		{"tmpfs", "/dev", "tmpfs", "mode=755"},
		{"devpts", "/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=620,gid=5"},
		{"tmpfs", "/dev/shm", "tmpfs", "mode=1777"},
	} {
		if err := mount(m[0], Root+m[1], m[2], m[3]); err != nil {
			return err
		}
	}
	return furnish()
}

// Overlay mounts a copy-on-write view of a folder. Its changes are in /mnt, which Mount has
// made.
func Overlay(lower, target string) error {
	changes := filepath.Join("/mnt/changes", target)
	upper, work := changes+"/upper", changes+"/work"
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", target, "overlay", "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
}

func mount(source, target, kind, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, 0, data); err != nil {
		return fmt.Errorf("mounting %s: %w", target, err)
	}
	return nil
}
