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

// lowest returns the block devices that a block device or a partition is made
// of, down to those that are made of no other: itself as a rule. An encrypted
// disk, a volume, a RAID or a loop device lets out what lies below it, so what is
// said of that holds for it.
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
			return nil, fmt.Errorf("what %s is made of is going", path.Base(disk))
		}
		below = append(below, slave)
	}
	loop, err := s.behindLoop(disk)
	if loop != "" {
		below = append(below, loop)
	}
	return below, err
}

// behindLoop returns the block device that a loop device is made of, "" for a
// plain file, of which no rule speaks, and for what is no loop device in use.
func (s *scan) behindLoop(disk string) (string, error) {
	if len(s.fs.List(disk, "loop")) == 0 {
		return "", nil
	}
	n, err := s.askLoop(disk)
	if err != nil {
		// It may not be ours to open. The name is one that whoever opened it
		// saw, and plain files can be made to look like any.
		name := s.fs.Line(disk, "loop", "backing_file")
		if n, _, _ = nodeNumber(name); n.Kind != "block" {
			return "", fmt.Errorf("what lies behind %s cannot be seen: %w: %s", path.Base(disk), err, strconv.Quote(name))
		}
	}
	if n.Kind == "" {
		return "", nil
	}
	dir, err := s.fs.ByNumber(n)
	if err == nil && dir == "" {
		err = fmt.Errorf("what lies behind %s is going", path.Base(disk))
	}
	return dir, err
}

// askLoop asks the kernel what a loop device is made of; the number of a plain
// file is zero.
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
	case err == unix.ENXIO: // not in use any more
		return sysfs.Number{}, nil
	case err != nil:
		return sysfs.Number{}, err
	case info.Rdevice == 0:
		return sysfs.Number{}, nil
	}
	return sysfs.BlockNumber(info.Rdevice), nil
}
