// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
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
	if s.fs.text(dir, "partition") != "" {
		disk = path.Dir(dir)
	}
	for _, name := range s.fs.list(disk, "slaves") { // device mapper, md, bcache
		slave, ok := s.fs.resolve(path.Join(disk, "slaves", name))
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
	if len(s.fs.list(disk, "loop")) == 0 {
		return "", nil
	}
	n, err := s.askLoop(disk)
	if err != nil {
		// It may not be ours to open. The name is one that whoever opened it
		// saw, and plain files can be made to look like any.
		name := strings.TrimSuffix(string(s.fs.read(unix.PathMax, disk, "loop", "backing_file")), "\n")
		if n, _, _ = nodeNumber(name); n.kind != "block" {
			return "", fmt.Errorf("what lies behind %s cannot be seen: %w: %s", path.Base(disk), err, strconv.Quote(name))
		}
	}
	if n.kind == "" {
		return "", nil
	}
	dir, err := s.fs.byNumber(n)
	if err == nil && dir == "" {
		err = fmt.Errorf("what lies behind %s is going", path.Base(disk))
	}
	return dir, err
}

// askLoop asks the kernel what a loop device is made of; a number without a kind
// is that of a plain file.
func (s *scan) askLoop(disk string) (number, error) {
	node := filepath.Join(s.cfg.DevRoot, s.fs.uevent(disk)["DEVNAME"])
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(node, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return number{}, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return number{}, err
	}
	if dev := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))); dev != s.fs.text(disk, "dev") {
		return number{}, fmt.Errorf("%s is another device", node)
	}
	info, err := unix.IoctlLoopGetStatus64(fd)
	switch {
	case err == unix.ENXIO: // not in use any more
		return number{}, nil
	case err != nil:
		return number{}, err
	case info.Rdevice == 0:
		return number{}, nil
	}
	return number{"block", unix.Major(info.Rdevice), unix.Minor(info.Rdevice)}, nil
}
