// SPDX-License-Identifier: Apache-2.0

package srvsvc

import (
	"os"
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

	mu    sync.Mutex
	names map[uint32]string // of the devices that are there, by their number
}

var _ srvs.Source = (*source)(nil)

// newSource makes a source; session may be nil.
func newSource(session *backend.Session) *source {
	s := &source{names: make(map[uint32]string)}
	if session != nil {
		s.session = *session
	} else {
		s.session.Since = time.Now()
	}
	for _, d := range s.session.Host.Drives {
		if path, ok := folder(d.Path); ok {
			s.add(srvs.Share{Name: d.Name, Type: srvs.TypeDisk, Remark: "drive", Dir: path})
		}
	}
	for _, d := range s.session.Shares {
		s.add(srvs.Share{Name: d.Name, Type: srvs.TypeDisk, Remark: "folder", Dir: d.Path})
	}
	for _, p := range s.session.Host.Printers {
		s.add(srvs.Share{Name: p.Name, Type: srvs.TypePrinter, Remark: strings.TrimSpace("printer " + p.Driver)})
	}
	return s
}

// folder returns where a drive of FreeRDP's leads to. Some stand for drives that FreeRDP
// looks for.
func folder(path string) (string, bool) {
	switch path {
	case "", "*", "DynamicDrives":
		return "", false
	case "%":
		home, err := os.UserHomeDir()
		return home, err == nil
	}
	return path, true
}

// add adds a share that stays.
func (s *source) add(share srvs.Share) {
	share.ID = uint32(len(s.fixed) + 1)
	share.Name = srvs.ShareName(share.Name, s.taken)
	share.Since = s.session.Since
	s.fixed = append(s.fixed, share)
}

// taken reports whether a share has a name, whatever its case.
func (s *source) taken(name string) bool {
	for _, share := range s.fixed {
		if strings.EqualFold(share.Name, name) {
			return true
		}
	}
	for _, other := range s.names {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// Snapshot implements srvs.Source.
func (s *source) Snapshot() srvs.Snapshot {
	var state pnp.SessionState
	if s.session.Session != nil {
		state = s.session.State()
	}
	active := state.Active
	if active.IsZero() {
		active = s.session.Since
	}
	snap := srvs.Snapshot{
		Session:    srvs.Session{Client: s.session.Host.Server, User: s.session.Host.User, Since: s.session.Since, Active: active},
		Shares:     append([]srvs.Share(nil), s.fixed...),
		Statistics: srvs.Statistics{Opens: state.Opens, BytesRead: state.Read, BytesWritten: state.Written},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(state.Devices)
	pipes := make(map[uint32]bool)
	for _, d := range state.Devices {
		if pipes[d.ID] = d.Kind == srvs.PipeName; pipes[d.ID] {
			continue // it belongs to IPC$
		}
		if s.names[d.ID] == "" {
			s.names[d.ID] = srvs.ShareName(d.Description.Name, s.taken)
		}
		snap.Shares = append(snap.Shares, srvs.Share{
			ID: uint32(len(s.fixed)) + d.ID, Name: s.names[d.ID], Type: srvs.TypeDevice | srvs.TypeTemporary,
			Remark: remark(&d), Since: d.Since,
		})
	}
	for _, h := range state.Handles {
		f := srvs.File{ID: h.ID, Name: s.names[h.Device], Access: h.Access}
		if pipes[h.Device] {
			f.Name, f.Pipe = srvs.PipeName, true
		}
		snap.Files = append(snap.Files, f)
	}
	return snap
}

// forget gives up the names of devices that have gone. mu is held.
func (s *source) forget(devices []pnp.SessionDevice) {
	there := make(map[uint32]bool)
	for _, d := range devices {
		there[d.ID] = true
	}
	for id := range s.names {
		if !there[id] {
			delete(s.names, id)
		}
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
