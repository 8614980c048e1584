// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Mounted is a file system of go-fuse's that is mounted.
type Mounted struct {
	conn    *conn
	unmount func() error
	once    sync.Once
	err     error
}

// MountRaw mounts a file system of go-fuse's at a folder, which must exist. It is for
// presenters whose files are others than those of FS.
func MountRaw(dir string, raw fuse.RawFileSystem, log *slog.Logger) (*Mounted, error) {
	dev, unmount, err := mount(dir)
	if err != nil {
		return nil, err
	}
	m := &Mounted{conn: newConn(dev, raw, log), unmount: unmount}
	m.conn.poll = func(_, _ uint64, _ bool, events uint32) (uint32, unix.Errno) {
		return events & (unix.POLLIN | unix.POLLOUT), 0
	}
	m.conn.start()
	return m, nil
}

// Close unmounts the file system, at once even if it is in use. It waits for the requests
// that are being handled: the caller sees to it that these end.
func (m *Mounted) Close() error {
	m.once.Do(func() {
		m.conn.end()
		err := m.unmount()
		m.conn.close()
		m.err = errors.Join(err)
	})
	return m.err
}
