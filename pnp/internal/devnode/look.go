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
	n, err := Hold(path)
	if err != nil {
		return Place{}, err
	}
	defer n.Close()
	real, err := os.Readlink(n.Path())
	if err != nil {
		return Place{}, err
	}
	return Place{n.ID, real}, nil
}

// Held is a node that was found at a path, and is not opened.
type Held struct {
	ID
	fd int
}

// Hold follows path once. The caller closes the result.
func Hold(path string) (Held, error) {
	fd, err := open(path, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return Held{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return Held{}, err
	}
	return Held{identity(&st), fd}, nil
}

// Path is a path that leads to the node until Close, whatever becomes of the one that it
// was found at.
func (h *Held) Path() string { return fmt.Sprintf("/proc/self/fd/%d", h.fd) }

// Close lets go of the node.
func (h *Held) Close() { unix.Close(h.fd) }
