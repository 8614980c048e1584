// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fsType is what the mount table calls the file system.
const fsType = "pnpdr"

// Type is the type of file systems of this package in the table of mounts.
const Type = "fuse." + fsType

// unmountPatience is how long fusermount may take.
const unmountPatience = 10 * time.Second

// mount mounts a FUSE file system at dir and returns its /dev/fuse. Root mounts by itself,
// anyone else with the help of fusermount. unmount detaches the mount at once, even if
// files are open. It reports no error if there is nothing mounted any more.
func mount(dir string) (dev *os.File, unmount func() error, err error) {
	clearStale(dir)
	fd, err := mountDirectly(dir)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		var helper string
		if helper, err = findFusermount(); err == nil {
			fd, err = mountByHelper(helper, dir)
		}
		unmount = func() error { return unmountByHelper(helper, dir) }
	} else {
		unmount = func() error { return unmountDirectly(dir) }
	}
	if err != nil {
		return nil, nil, fmt.Errorf("mounting %s: %w", dir, err)
	}
	dev, err = pollable(fd)
	if err != nil {
		unix.Close(fd)
		return nil, nil, errors.Join(fmt.Errorf("mounting %s: %w", dir, err), unmount())
	}
	return dev, unmount, nil
}

// pollable makes reads of fd wait in the runtime's poller. So closing it wakes a reader,
// whether or not the file system could be unmounted. It works with a mounted fd only.
func pollable(fd int) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "/dev/fuse")
	// This fails if the poller has not taken the file.
	return f, f.SetReadDeadline(time.Time{})
}

func mountDirectly(dir string) (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,max_read=%d", fd, os.Geteuid(), os.Getegid(), maxTransfer)
	if err := unix.Mount(fsType, dir, Type, unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func unmountDirectly(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == unix.EINVAL || err == unix.ENOENT { // not mounted any more
		return nil
	}
	return err
}

func findFusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("only root can do without fusermount3; install the package fuse3")
}

// fuseConf is where the administrator says what fusermount does for users. Tests have others.
var fuseConf = "/etc/fuse.conf"

// rootMayEnter reports whether fusermount lets others than the user into a file system: root,
// to make a loop device.
func rootMayEnter() bool {
	conf, err := os.ReadFile(fuseConf)
	if err != nil {
		return false
	}
	for _, line := range strings.Split(string(conf), "\n") {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// mountByHelper has fusermount mount, which hands back its /dev/fuse.
func mountByHelper(helper, dir string) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "fusermount")
	defer theirs.Close()
	options := fmt.Sprintf("nosuid,nodev,fsname=%s,subtype=%s,max_read=%d", fsType, fsType, maxTransfer)
	if rootMayEnter() {
		// The kernel then checks permissions, which are the user's alone.
		options += ",allow_other,default_permissions"
	}
	cmd := exec.Command(helper, "-o", options, "--", dir)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	cmd.ExtraFiles = []*os.File{theirs}
	if out, err := cmd.CombinedOutput(); err != nil {
		return -1, fmt.Errorf("%s: %w: %s", helper, err, strings.TrimSpace(string(out)))
	}
	theirs.Close() // or else there would be no end if nothing was handed over
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return -1, err
	}
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, fmt.Errorf("%s did not hand over /dev/fuse", helper)
}

func unmountByHelper(helper, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), unmountPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, helper, "-u", "-z", "--", dir).CombinedOutput()
	if err != nil && mounted(dir) {
		return fmt.Errorf("%s: %w: %s", helper, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// mounted reports whether one of our file systems is mounted at dir.
func mounted(dir string) bool {
	table, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(table), " "+escaped.Replace(dir)+" "+Type+" ")
}

// escaped is how a path is written in the table of mounts.
var escaped = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)

// clearStale removes the mount of a program that was killed.
func clearStale(dir string) {
	var st unix.Stat_t
	err := unix.Stat(dir, &st)
	if err != unix.ENOTCONN && err != unix.ECONNABORTED {
		return
	}
	if unmountDirectly(dir) == nil {
		return
	}
	if helper, err := findFusermount(); err == nil {
		_ = unmountByHelper(helper, dir) // mounting tells if it failed
	}
}
