// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/internal/sysfs"
)

// maxDatabase is longer than any record of udev.
const maxDatabase = 1 << 16

// udevData reads udev's record of a device, whose name is the number of the node.
// ok is false if there is none, because udev has not seen the device yet.
func (s *scan) udevData(uevent map[string]string) (p map[string]string, ok bool) {
	major, minor := uevent["MAJOR"], uevent["MINOR"]
	for _, n := range []string{major, minor} {
		if _, err := strconv.ParseUint(n, 10, 32); err != nil {
			return nil, false
		}
	}
	b, err := s.fs.ReadFile(filepath.Join(s.cfg.UdevRoot, "data", "c"+major+":"+minor), maxDatabase)
	if errors.Is(err, unix.EACCES) || s.fs.Failed(err) { // a sandbox may hide udev
		return nil, false
	}
	p = make(map[string]string)
	for key, value := range sysfs.Properties(string(b), "\n") {
		if key, ok := strings.CutPrefix(key, "E:"); ok {
			p[key] = sysfs.Clean(value)
		}
	}
	return p, true
}
