// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/devnode"
	"freerdp-pnpdr/pnp/internal/sysfs"
)

// lowest returns the block devices at the bottom of a block device or partition:
// usually only itself. An encrypted disk, a logical volume, a RAID or a loop
// device gives access to what lies below, so rules for that apply to it.
func (s *scan) lowest(dir string) ([]string, error) {
	var lowest []string
	seen := map[string]bool{dir: true}
	for queue := []string{dir}; len(queue) > 0; queue = queue[1:] {
		below, err := s.madeOf(queue[0])
		if err != nil {
			return nil, err
		}
		if len(below) == 0 {
			lowest = append(lowest, queue[0])
		}
		for _, b := range below {
			if !seen[b] {
				seen[b] = true
				queue = append(queue, b)
			}
		}
	}
	if len(lowest) == 0 {
		return nil, fmt.Errorf("%s is made of itself", path.Base(dir))
	}
	slices.Sort(lowest)
	return lowest, nil
}

// madeOf returns the block devices that dir is made of directly.
func (s *scan) madeOf(dir string) (below []string, err error) {
	disk := dir
	if s.fs.Text(dir, "partition") != "" {
		disk = path.Dir(dir)
	}
	for _, name := range s.fs.List(disk, "slaves") { // device mapper, md, bcache
		slave, ok := s.fs.Resolve(path.Join(disk, "slaves", name))
		if !ok {
			return nil, fmt.Errorf("a device that %s is made of is going away", path.Base(disk))
		}
		below = append(below, slave)
	}
	loop, err := s.behindLoop(disk)
	if loop != "" {
		below = append(below, loop)
	}
	return below, err
}

// behindLoop returns the block device behind a loop device: "" for a plain file,
// which no rule can match, and if disk is not a loop device in use.
func (s *scan) behindLoop(disk string) (string, error) {
	if len(s.fs.List(disk, "loop")) == 0 {
		return "", nil
	}
	n, err := s.askLoop(disk)
	if err != nil {
		// The user may lack the permission. The name is only how the path
		// looked to whoever set the loop device up, and a plain file could
		// have any name. So it is trusted only if it leads to a block device.
		name := s.fs.Line(disk, "loop", "backing_file")
		if id, _ := devnode.Identify(name); id.Mode == unix.S_IFBLK {
			n = sysfs.BlockNumber(id.Rdev)
		} else {
			return "", fmt.Errorf("finding what is behind %s (%s): %w", path.Base(disk), strconv.Quote(name), err)
		}
	}
	if n.Kind == "" {
		return "", nil
	}
	dir, err := s.fs.ByNumber(n)
	if err == nil && dir == "" {
		err = fmt.Errorf("the device behind %s is going away", path.Base(disk))
	}
	return dir, err
}

// askLoop asks the kernel for the block device behind a loop device. The number
// is zero if that is a plain file.
func (s *scan) askLoop(disk string) (sysfs.Number, error) {
	node := s.nodePath(s.fs.Uevent(disk))
	n, err := devnode.OpenNode(node, pnp.OpenRequest{Access: pnp.GENERIC_READ}, true, nil)
	if err != nil {
		return sysfs.Number{}, err
	}
	defer unix.Close(n.FD)
	//nolint:unconvert // the types differ between architectures
	if sysfs.BlockNumber(uint64(n.Stat.Rdev)).String() != s.fs.Text(disk, "dev") {
		return sysfs.Number{}, fmt.Errorf("%s is another device", node)
	}
	info, err := unix.IoctlLoopGetStatus64(n.FD)
	switch {
	case err == unix.ENXIO: // no longer in use
		return sysfs.Number{}, nil
	case err != nil:
		return sysfs.Number{}, err
	case info.Rdevice == 0:
		return sysfs.Number{}, nil
	}
	return sysfs.BlockNumber(info.Rdevice), nil
}
