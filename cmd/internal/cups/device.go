// SPDX-License-Identifier: Apache-2.0

package cups

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present/folder"
)

// Everything here runs as the user.

// maxInfo bounds info.json.
const maxInfo = 1 << 20

// device is a redirected printer of a session.
type device struct {
	dir  string
	info folder.Info
}

// deviceFolders returns the folders with devices of a user's sessions: docs/agent.md says
// how they are called.
func deviceFolders(sessions string, u user) []string {
	dir := filepath.Join(sessions, strconv.Itoa(u.uid))
	if !u.ownsFolder(dir) {
		return nil
	}
	others, _ := filepath.Glob(filepath.Join(dir, "pnpdr-*")) // the pattern is right
	return append([]string{filepath.Join(dir, "pnpdr")}, others...)
}

var errAbsent = errors.New("it is not there")

// find returns the printer in the folder of this name. The error is one of waitFor if the
// printer may come.
func find(sessions string, u user, name string) (device, error) {
	err := errAbsent
	for _, dir := range deviceFolders(sessions, u) {
		p, e := look(filepath.Join(dir, name))
		if e == nil {
			return p, nil
		}
		if !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}
	return device{}, err
}

// errNoPrinter is for a device of another kind. It is not to be written to: it may be a
// disk.
var errNoPrinter = errors.New("it is not a printer")

func look(dir string) (device, error) {
	p := device{dir: dir}
	// It might be a pipe.
	f, err := os.OpenFile(filepath.Join(dir, "info.json"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return p, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxInfo)).Decode(&p.info); err != nil {
		return p, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if p.info.Kind != "printer" {
		return p, fmt.Errorf("%w, but of the kind %s", errNoPrinter, clean(p.info.Kind, 40))
	}
	return p, nil
}

// open opens the printer, and waits until its client has. It returns a descriptor rather
// than an os.File: Go's would not wait in writes.
func (p device) open() (int, error) {
	return unix.Open(filepath.Join(p.dir, "data"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
}

// The errors of a printer that is not there, or not any more.
var gone = []error{unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.ENOTCONN, unix.ECONNABORTED, unix.ESHUTDOWN}

// The errors of one that can take a job later: somebody else prints, all handles of the
// session are in use, or the client does not answer.
var later = []error{unix.EBUSY, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS, unix.EAGAIN, unix.EINTR, unix.ETIMEDOUT, unix.ENOMEDIUM}

func isOne(err error, of []error) bool {
	for _, e := range of {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// clean makes a text of a client's fit for a line of CUPS.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, s)
	return s[:min(len(s), most)]
}
