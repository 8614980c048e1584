// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"fmt"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// selectable is how many descriptors select(2) can wait for (FD_SETSIZE), which
// FreeRDP uses, whatever the limit of open files is.
const selectable = 1024

// room checks that the process, in which the devices are guests, has descriptors
// enough for another node. A quarter of what it can use is left to it.
//
// Nothing is counted, so nothing can be counted wrongly: a new descriptor, as fd
// is, has the lowest number that is free. So its number tells how many there are,
// whoever opened them and in whichever session.
func room(fd int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	usable := int(min(limit.Cur, selectable))
	ours := usable - usable/4
	if fd < ours {
		return nil
	}
	return fmt.Errorf("%d descriptors are open in this process, and the last %d of the %d that it can use are left to it: %w",
		ours, usable/4, usable, pnp.ERROR_TOO_MANY_OPEN_FILES)
}

// reserve is room for the descriptor that a node which is held will get when it is
// opened.
func reserve(h *Held) error {
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return room(fd)
}
