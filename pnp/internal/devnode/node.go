// SPDX-License-Identifier: Apache-2.0

// Package devnode opens nodes of the file system as Windows opens devices: it grants
// as much of the requested access as it can, and checks the share modes of the
// opens that this process has already. It also keeps the settings that a terminal
// had before it was made raw, and exclusive claims to nodes.
package devnode

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// Node is an opened node of the file system.
type Node struct {
	// FD is the descriptor, with O_NONBLOCK and O_CLOEXEC set. It belongs to
	// the caller. With neither Read nor Write it is an O_PATH descriptor.
	FD int
	// Read and Write are the access that was granted.
	Read, Write bool
	// Stat describes the node that FD refers to.
	Stat unix.Stat_t
	// Part is the part of the node that the open is for; 0, as OpenNode leaves it, for the
	// whole. See Share.
	Part int
}

// OpenNode opens the node at path with as much of the access that r asks for as is
// allowed: if r asks for reading and writing and only one of them is allowed, that
// one is granted (C-38). With readOnly, writing never is. OpenNode creates nothing
// and truncates nothing.
//
// The open does not wait for a FIFO's writer or a line's carrier, and never makes a
// terminal the controlling one. It may still wait for a slow file system or driver.
//
// verify, if it is not nil, is asked before the node is opened, which some devices
// notice, and has the last word afterwards: the number of a device that has gone may be
// given to another one meanwhile. The path is followed once: what is opened is what verify
// was asked about.
//
// It fails with ERROR_TOO_MANY_OPEN_FILES, without the driver being asked, before
// the process has so many descriptors that it lacks them itself. If r is cancelled, it
// fails with ERROR_OPERATION_ABORTED and opens nothing.
//
// If the device has gone, it fails with ERROR_DEVICE_NOT_CONNECTED. It may wait for a
// second to find that out, after an error that has other reasons, too.
//
// An error is an errno or an HRESULT, with the path.
func OpenNode(path string, r pnp.OpenRequest, readOnly bool, verify func(ID) error) (Node, error) {
	held, err := Hold(path)
	if err != nil {
		return Node{}, fmt.Errorf("open %s: %w", path, openFailure(path, err))
	}
	defer held.Close()
	if verify == nil {
		verify = func(ID) error { return nil }
	}
	if err := verify(held.ID); err != nil {
		return Node{}, fmt.Errorf("open %s: %w", path, err)
	}
	var n Node
	if err = reserve(&held); err == nil {
		n, err = openNode(held.Path(), r, readOnly)
	}
	if err != nil {
		return Node{}, fmt.Errorf("open %s: %w", path, openFailure(path, err))
	}
	if err := unix.Fstat(n.FD, &n.Stat); err != nil {
		unix.Close(n.FD)
		return Node{}, fmt.Errorf("stat %s: %w", path, err)
	}
	if err := verify(identity(&n.Stat)); err != nil {
		unix.Close(n.FD)
		return Node{}, fmt.Errorf("open %s: %w", path, err)
	}
	return n, nil
}

// ID identifies a node, whatever path leads to it. It holds those fields of stat(2)
// that do not change while the node is used.
type ID struct {
	Mode           uint32 // the type alone
	Dev, Ino, Rdev uint64
}

func identity(st *unix.Stat_t) ID {
	//nolint:unconvert // the types differ between architectures
	return ID{Mode: uint32(st.Mode) & unix.S_IFMT, Dev: uint64(st.Dev), Ino: uint64(st.Ino), Rdev: uint64(st.Rdev)}
}

// Identify returns the ID of the node that path leads to now.
func Identify(path string) (ID, error) {
	for {
		var st unix.Stat_t
		switch err := unix.Stat(path, &st); err {
		case nil:
			return identity(&st), nil
		case unix.EINTR: // of a file system in user space
		default:
			return ID{}, err
		}
	}
}

func openNode(path string, r pnp.OpenRequest, readOnly bool) (Node, error) {
	read, write := r.WantsRead(), r.WantsWrite()
	type mode struct {
		read, write bool
		flags       int
	}
	rdwr := mode{true, true, unix.O_RDWR}
	rdonly := mode{true, false, unix.O_RDONLY}
	wronly := mode{false, true, unix.O_WRONLY}
	var modes []mode // in order of preference
	switch {
	case read && write && readOnly:
		modes = []mode{rdonly}
	case read && write:
		modes = []mode{rdwr, rdonly, wronly}
	case read:
		modes = []mode{rdonly}
	case write && readOnly:
		return Node{}, pnp.ERROR_ACCESS_DENIED
	case write:
		modes = []mode{wronly}
	default:
		modes = []mode{{false, false, unix.O_PATH}}
	}
	for _, m := range modes {
		if err := r.CheckCancelled(); err != nil {
			return Node{}, err
		}
		fd, err := open(path, m.flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_LARGEFILE)
		if err == nil {
			return Node{FD: fd, Read: m.read, Write: m.write}, nil
		}
		if !denied(err) {
			return Node{}, err
		}
	}
	return Node{}, pnp.ERROR_ACCESS_DENIED
}

// denied reports whether err says that this access is not allowed, while another may
// be. A read-only file system is one reason.
func denied(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}

func open(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}
