// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Place is where a path led when it was looked at.
type Place struct {
	ID
	// Real is the path without symbolic links.
	Real string
}

// Look follows path once. ID and Real are about the same node, even if a link on the
// way is switched meanwhile. Nothing is opened: no driver notices.
func Look(path string) (Place, error) {
	fd, err := open(path, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return Place{}, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Place{}, err
	}
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return Place{}, err
	}
	return Place{identity(&st), real}, nil
}
