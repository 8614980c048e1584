// SPDX-License-Identifier: Apache-2.0

// Package file redirects a regular file or a block device: random access at
// 64-bit offsets.
package file

import (
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// Device is one file or block device.
type Device struct {
	path string
	src  backend.Source
	log  *slog.Logger
}

var _ pnp.Device = (*Device)(nil)

// New makes the device. It does not look at the path, which need not exist
// until the device is opened.
func New(src backend.Source) (*Device, error) {
	log, err := src.Logger()
	if err != nil {
		return nil, err
	}
	return &Device{path: src.Path, src: src, log: log}, nil
}

// Description implements pnp.Device.
func (d *Device) Description() *pnp.Description { return &d.src.Description }

// Open implements pnp.Device. It never creates a file: if the path is missing, it
// fails with ERROR_DEVICE_NOT_CONNECTED for every disposition. It never grants NoBlock,
// since looking up a path may wait for a disk or a network.
func (d *Device) Open(r pnp.OpenRequest) (pnp.Handle, error) {
	n, err := d.src.OpenNode(r)
	if err != nil {
		return nil, err
	}
	h, err := d.handle(n, r)
	if err != nil {
		unix.Close(n.FD)
		return nil, fmt.Errorf("open %s: %w", d.path, err)
	}
	return h, nil
}

// handle makes the handle of an opened node. If it fails, the caller keeps the
// descriptor.
func (d *Device) handle(n devnode.Node, r pnp.OpenRequest) (*handle, error) {
	kind := n.Stat.Mode & unix.S_IFMT
	if kind != unix.S_IFREG && kind != unix.S_IFBLK {
		return nil, fmt.Errorf("neither a regular file nor a block device: %w", pnp.ERROR_NOT_SUPPORTED)
	}
	truncate := r.Disposition == pnp.CREATE_ALWAYS || r.Disposition == pnp.TRUNCATE_EXISTING
	if truncate && !n.Write {
		return nil, pnp.ERROR_ACCESS_DENIED
	}
	if n.Read || n.Write {
		// O_NONBLOCK is meant for the open only, but some file systems (FUSE)
		// honour it for reads as well.
		if err := unix.SetNonblock(n.FD, false); err != nil {
			return nil, err
		}
	}
	grant, err := n.Share(r.Share)
	if err != nil {
		return nil, err
	}
	// Not earlier: an open that the share modes refuse must not lose data.
	if truncate && kind == unix.S_IFREG {
		if err := unix.Ftruncate(n.FD, 0); err != nil {
			grant.Release()
			return nil, err
		}
	}
	return newHandle(d, n, grant, r.Workers), nil
}

// inMemory reports whether reads and writes of the node only access memory. The node
// of a block device is in a memory file system, too, but its data is not.
func inMemory(n devnode.Node) bool {
	if n.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(n.FD, &fs); err != nil {
		return false
	}
	// Type is a signed 32-bit field on some architectures.
	return uint32(fs.Type) == unix.TMPFS_MAGIC || uint32(fs.Type) == unix.RAMFS_MAGIC
}
