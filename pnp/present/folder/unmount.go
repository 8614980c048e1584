// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// unmountBelow unmounts what is mounted below dir. What is still in use goes with its
// last user: nothing waits for a program that is stuck.
func unmountBelow(dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	// Later ones may be on top of earlier ones.
	for i := len(mounts) - 1; i >= 0; i-- {
		if err := unmount(mounts[i]); err != nil {
			return fmt.Errorf("unmounting %s: %w", mounts[i], err)
		}
	}
	return nil
}

// unmountPatience is how long FUSE's helper may take.
const unmountPatience = 10 * time.Second

func unmount(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != unix.EPERM {
		return err
	}
	// A user's own FUSE mounts are unmounted by FUSE's helper, which is setuid.
	for _, helper := range []string{"fusermount3", "fusermount"} {
		ctx, cancel := context.WithTimeout(context.Background(), unmountPatience)
		out, failed := exec.CommandContext(ctx, helper, "-u", "-z", "--", path).CombinedOutput()
		cancel()
		if failed == nil {
			return nil
		}
		if len(out) > 0 {
			err = fmt.Errorf("%s: %s", helper, strings.TrimSpace(string(out)))
		}
	}
	return err
}

// mountsBelow returns the mount points below dir in the order in which they were
// mounted. See proc_pid_mountinfo(5).
func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if path := unescape.Replace(fields[4]); strings.HasPrefix(path, dir+"/") {
			list = append(list, path)
		}
	}
	return list, lines.Err()
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
