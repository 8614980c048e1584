// SPDX-License-Identifier: Apache-2.0

package srvsvc

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"freerdp-pnpdr/pnp/backend"
)

// The paths of drives that stand for others in FreeRDP's settings.
const (
	pathAll   = "*"             // mounts
	pathLater = "DynamicDrives" // mounts, but not yet when a session begins
	pathHome  = "%"
)

const (
	// maxMounts is how many mounts FreeRDP looks at (MAX_USB_DEVICES).
	maxMounts = 100
	// maxLine is how much it reads of a line of the table: the buffer of getmntent.
	maxLine = 4095
	// maxFirst is how much of the first table is kept.
	maxFirst = 1 << 20
)

// mounts are the drives that FreeRDP finds by itself. Its rule is in
// channels/rdpdr/client/rdpdr_main.c and channels/drive/client/drive_main.c, and is the same
// from 2.10 to 3.30. But from 2.11 to 3.6 FreeRDP does not tell the server of what it finds
// later than at the start, only of what has gone (its pull request 10374).
type mounts struct {
	known chan struct{} // closed once bases are known
	bases []string      // where they are mounted
	given []string      // folders that it redirects anyhow, as comparedPath has them
	table string        // path of the mount table

	fixed bool            // there will be no more
	first []byte          // the table at the start, until somebody asks
	kept  []backend.Share // those of the start that are still there
}

// newMounts returns nil if FreeRDP does not look for drives.
func newMounts(host *backend.Host, table string) *mounts {
	all := slices.IndexFunc(host.Drives, func(d backend.Share) bool { return d.Path == pathAll })
	later := slices.ContainsFunc(host.Drives, func(d backend.Share) bool { return d.Path == pathLater })
	fixed := host.Major == 2 || host.Major == 3 && host.Minor < 7
	if all < 0 && (!later || fixed) {
		return nil
	}
	m := &mounts{known: make(chan struct{}), table: table, fixed: fixed}
	account := host.Account
	go func() { // ends when the user's name is known, which may take a directory service
		m.bases = bases(account, os.Getuid())
		close(m.known)
	}()
	before := host.Drives
	if all >= 0 { // what comes behind it is redirected although it was found
		before = before[:all]
	}
	for _, d := range before {
		if path, ok := folder(d.Path); ok {
			m.given = append(m.given, comparedPath(path))
		}
	}
	if fixed {
		if f, err := os.Open(table); err == nil {
			m.first, _ = io.ReadAll(io.LimitReader(f, maxFirst))
			f.Close()
		}
	}
	return m
}

// bases are the folders in which desktops mount what is plugged in. FreeRDP finds nothing
// if it does not know the user's name.
func bases(account func() string, uid int) []string {
	if account == nil {
		return nil
	}
	name := account()
	if name == "" {
		return nil
	}
	return []string{fmt.Sprintf("/run/user/%d/gvfs", uid), "/run/media/" + name, "/media/" + name, "/media", "/mnt"}
}

// find returns the drives of this moment, in the order of the table; none before the user's
// name is known. It asks no file system for anything.
func (m *mounts) find() []backend.Share {
	select {
	case <-m.known:
	default:
		return nil
	}
	f, err := os.Open(m.table)
	if err != nil {
		return nil
	}
	defer f.Close()
	drives := m.read(f)
	if !m.fixed {
		return drives
	}
	if m.first != nil {
		m.kept, m.first = m.read(bytes.NewReader(m.first)), nil
	}
	m.kept = slices.DeleteFunc(m.kept, func(d backend.Share) bool { return !slices.Contains(drives, d) })
	return m.kept
}

// read returns the drives of a mount table.
func (m *mounts) read(table io.Reader) (drives []backend.Share) {
	known, looked := slices.Clone(m.given), 0
	for lines := bufio.NewReaderSize(table, maxLine); looked < maxMounts; {
		line, err := lines.ReadSlice('\n')
		path := mountPoint(string(line))
		for err == bufio.ErrBufferFull {
			_, err = lines.ReadSlice('\n')
		}
		if m.redirects(path) {
			looked++
			name, compared := driveName(path[strings.LastIndexByte(path, '/')+1:]), comparedPath(path)
			if name != "" && !slices.Contains(known, compared) {
				known = append(known, compared)
				drives = append(drives, backend.Share{Name: name, Path: path})
			}
		}
		if err != nil {
			break
		}
	}
	return drives
}

// redirects tells whether path is one of the bases, or a folder in one.
func (m *mounts) redirects(path string) bool {
	return slices.ContainsFunc(m.bases, func(base string) bool {
		rest, in := strings.CutPrefix(path, base)
		return in && (rest == "" || rest[0] == '/' && !strings.Contains(strings.TrimSuffix(rest[1:], "/"), "/"))
	})
}

// mountPoint returns the second field of a line as getmntent of glibc does, or "".
func mountPoint(line string) string {
	fields := strings.FieldsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) < 2 || fields[0][0] == '#' {
		return ""
	}
	if len(fields) > 3 && fields[2] == "autofs" && slices.Contains(strings.Split(fields[3], ","), "ignore") {
		return ""
	}
	return unescape.Replace(fields[1])
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\\`, `\`)

// driveName is the name that FreeRDP gives a drive for the server.
func driveName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`:<>"/\| `, r) {
			return '_'
		}
		return r
	}, name)
}

// comparedPath is the path of a folder as FreeRDP compares it, in UTF-16.
func comparedPath(path string) string {
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return string([]rune(path))
}
