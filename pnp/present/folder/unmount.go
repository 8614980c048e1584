// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present/fusefs"
)

// unmountBelow unmounts our file systems that are mounted below dir, and returns where
// others are. What is still in use goes with its last user: nothing waits for a program
// that is stuck.
func unmountBelow(dir string) (foreign []string, err error) {
	ours, foreign, err := mountsBelow(dir)
	if err != nil {
		return nil, err
	}
	// Later ones may be on top of earlier ones.
	for i := len(ours) - 1; i >= 0; i-- {
		if slices.Contains(foreign, ours[i]) {
			continue // somebody else's may be on top
		}
		if err := unmount(ours[i]); err != nil {
			return nil, fmt.Errorf("unmounting %s: %w", ours[i], err)
		}
	}
	return foreign, nil
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
// mounted: those of file systems of ours, and the others. See proc_pid_mountinfo(5).
func mountsBelow(dir string) (ours, foreign []string, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		end := slices.Index(fields, "-") // of the optional fields; the type follows
		if end < 5 || end+1 == len(fields) {
			continue
		}
		switch path := unescape.Replace(fields[4]); {
		case !strings.HasPrefix(path, dir+"/"):
		case fields[end+1] == fusefs.Type:
			ours = append(ours, path)
		default:
			foreign = append(foreign, path)
		}
	}
	return ours, foreign, lines.Err()
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
