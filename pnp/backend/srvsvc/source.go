// SPDX-License-Identifier: Apache-2.0

package srvsvc

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/srvs"
)

// source tells the Server Service of a session.
type source struct {
	session backend.Session
	fixed   []srvs.Share // drives, printers and folders, which stay

	mu      sync.Mutex
	mounts  *mounts // nil if FreeRDP does not look for drives
	last    uint32  // the number that was given out last
	devices []pnp.SessionDevice
	pipes   map[uint32]bool // which of the devices are this pipe
	shares  map[origin]srvs.Share
	list    []srvs.Share // all of them, by number; another one when they change
}

// origin is what a share comes from that may go: a device or a mount.
type origin struct {
	device uint32
	mount  string
}

var _ srvs.Source = (*source)(nil)

// newSource makes a source; session may be nil.
func newSource(session *backend.Session) *source {
	s := &source{shares: make(map[origin]srvs.Share)}
	if session != nil {
		s.session = *session
	} else {
		s.session.Since = time.Now()
	}
	for _, d := range s.session.Host.Drives {
		if path, ok := folder(d.Path); ok && d.Name != "" {
			s.add(srvs.Share{Name: driveName(d.Name), Type: srvs.TypeDisk, Remark: "drive", Dir: path})
		}
	}
	for _, d := range s.session.Shares {
		s.add(srvs.Share{Name: d.Name, Type: srvs.TypeDisk, Remark: "folder", Dir: d.Path})
	}
	for _, p := range s.session.Host.Printers {
		s.add(srvs.Share{Name: p.Name, Type: srvs.TypePrinter, Remark: strings.TrimSpace("printer " + p.Driver)})
	}
	s.mounts = newMounts(&s.session.Host, "/proc/self/mounts") // FreeRDP's are the same
	return s
}

// folder returns where a drive of FreeRDP's leads to. Some stand for drives that FreeRDP
// looks for.
func folder(path string) (string, bool) {
	switch path {
	case "", pathAll, pathLater:
		return "", false
	case pathHome:
		home, err := os.UserHomeDir()
		return home, err == nil
	}
	return path, true
}

// add adds a share that stays.
func (s *source) add(share srvs.Share) {
	share.Since = s.session.Since
	s.fixed = append(s.fixed, s.number(share))
}

// number gives a share its number and its name.
func (s *source) number(share srvs.Share) srvs.Share {
	s.last++
	share.ID = s.last
	share.Name = srvs.ShareName(share.Name, s.taken)
	return share
}

// taken reports whether a share has a name, whatever its case.
func (s *source) taken(name string) bool {
	for _, share := range s.fixed {
		if strings.EqualFold(share.Name, name) {
			return true
		}
	}
	for _, share := range s.shares {
		if strings.EqualFold(share.Name, name) {
			return true
		}
	}
	return false
}

// Snapshot implements srvs.Source.
func (s *source) Snapshot() srvs.Snapshot {
	s.mu.Lock() // of two, the later one has the later state
	defer s.mu.Unlock()
	var state pnp.SessionState
	if s.session.Session != nil {
		state = s.session.State()
	}
	active := state.Active
	if active.IsZero() {
		active = s.session.Since
	}
	s.update(state.Devices)
	snap := srvs.Snapshot{
		Session:    srvs.Session{Client: s.session.Host.Server, User: s.session.Host.User, Since: s.session.Since, Active: active},
		Shares:     s.list,
		Statistics: srvs.Statistics{Opens: state.Opens, BytesRead: state.Read, BytesWritten: state.Written},
	}
	for _, h := range state.Handles {
		f := srvs.File{ID: h.ID, Name: s.shares[origin{device: h.Device}].Name, Access: h.Access}
		if s.pipes[h.Device] {
			f.Name, f.Pipe = srvs.PipeName, true
		}
		snap.Files = append(snap.Files, f)
	}
	return snap
}

func byNumber(a, b srvs.Share) int { return cmp.Compare(a.ID, b.ID) }

// update brings the shares up to date that come and go: one that is still there keeps its
// number and its name. mu is held.
func (s *source) update(devices []pnp.SessionDevice) {
	same := func(a, b pnp.SessionDevice) bool { return a.ID == b.ID && a.Kind == b.Kind }
	if s.mounts == nil && s.list != nil && slices.EqualFunc(s.devices, devices, same) {
		return
	}
	s.devices, s.pipes = slices.Clone(devices), make(map[uint32]bool)
	type share struct {
		origin
		srvs.Share
	}
	var now []share
	if s.mounts != nil {
		for _, d := range s.mounts.find() {
			now = append(now, share{origin{mount: d.Path}, srvs.Share{Name: d.Name, Type: srvs.TypeDisk, Remark: "drive", Since: time.Now(), Dir: d.Path}})
		}
	}
	for _, d := range devices {
		if s.pipes[d.ID] = d.Kind == srvs.PipeName; !s.pipes[d.ID] { // that one belongs to IPC$
			now = append(now, share{origin{device: d.ID}, srvs.Share{Name: d.Description.Name, Type: srvs.TypeDevice | srvs.TypeTemporary, Remark: remark(&d), Since: d.Since}})
		}
	}
	last, before := s.last, len(s.shares)
	there := make(map[origin]bool)
	for _, x := range now {
		there[x.origin] = true
	}
	maps.DeleteFunc(s.shares, func(o origin, _ srvs.Share) bool { return !there[o] })
	for _, x := range now {
		if _, known := s.shares[x.origin]; !known {
			s.shares[x.origin] = s.number(x.Share)
		}
	}
	if s.list == nil || s.last != last || len(s.shares) != before {
		s.list = slices.Concat(s.fixed, slices.SortedFunc(maps.Values(s.shares), byNumber))
	}
}

// remark is the kind of a device and its first hardware id.
func remark(d *pnp.SessionDevice) string {
	kind := d.Kind
	if kind == "" {
		kind = "device"
	}
	if ids := d.Description.HardwareIDs; len(ids) > 0 {
		return kind + " " + ids[0]
	}
	return kind
}

// CloseFile implements srvs.Source.
func (s *source) CloseFile(id uint32) error {
	if s.session.Session == nil || !s.session.EndHandle(id) {
		return srvs.ErrFileNotFound
	}
	return nil
}
