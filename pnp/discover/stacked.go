package discover

import (
	"fmt"
	"path"
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
	// The first line is the whole of it: the kernel escapes others.
	file, _, _ := strings.Cut(string(s.fs.read(unix.PathMax, disk, "loop", "backing_file")), "\n")
	if file == "" {
		return below, nil
	}
	n, plain, err := nodeNumber(file)
	switch {
	case err != nil:
		return nil, err
	case plain:
		return below, nil // no rule speaks of files
	case n.kind != "block":
		// It was deleted or renamed, or lies where only others see it.
		return nil, fmt.Errorf("what lies behind %s cannot be seen: %s", path.Base(disk), strconv.Quote(file))
	}
	slave, err := s.fs.byNumber(n)
	if err == nil && slave == "" {
		err = fmt.Errorf("what lies behind %s is going", path.Base(disk))
	}
	if err != nil {
		return nil, err
	}
	return append(below, slave), nil
}
