// SPDX-License-Identifier: Apache-2.0

package srvsvc

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/srvs"
)

// session is one whose state a test sets.
type session struct {
	pnp.SessionState
	ended []uint32
}

func (s *session) State() pnp.SessionState { return s.SessionState }

func (s *session) EndHandle(id uint32) bool {
	s.ended = append(s.ended, id)
	return id == 7
}

func device(id uint32, kind, name string, ids ...string) pnp.SessionDevice {
	return pnp.SessionDevice{ID: id, Kind: kind, Description: &pnp.Description{Name: name, HardwareIDs: ids}, Since: time.Unix(int64(id), 0)}
}

func names(snap srvs.Snapshot) (all []string) {
	for _, share := range snap.Shares {
		all = append(all, share.Name)
	}
	return all
}

// TestShares: drives, folders, printers and devices, with names that are valid and unique,
// and numbers that stay.
func TestShares(t *testing.T) {
	since := time.Unix(1000, 0)
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	live := &session{}
	s := newSource(&backend.Session{
		Session: live, Since: since,
		Host: backend.Host{
			Drives:   []backend.Share{{Name: "docs", Path: "/docs"}, {Name: "home", Path: "%"}, {Name: "hotplug", Path: "*"}},
			Printers: []backend.Printer{{Name: "laser", Driver: "PS"}, {Name: "Docs"}},
		},
		Shares: []backend.Share{{Name: "a/b", Path: "/ab"}},
	})
	fixed := []srvs.Share{
		{ID: 1, Name: "docs", Type: srvs.TypeDisk, Remark: "drive", Since: since, Dir: "/docs"},
		{ID: 2, Name: "home", Type: srvs.TypeDisk, Remark: "drive", Since: since, Dir: home},
		{ID: 3, Name: "a_b", Type: srvs.TypeDisk, Remark: "folder", Since: since, Dir: "/ab"},
		{ID: 4, Name: "laser", Type: srvs.TypePrinter, Remark: "printer PS", Since: since},
		{ID: 5, Name: "Docs (2)", Type: srvs.TypePrinter, Remark: "printer", Since: since},
	}
	require.Equal(t, fixed, s.Snapshot().Shares)

	live.Devices = []pnp.SessionDevice{device(1, "serial", "Scale", `USB\VID_1`, "X"), device(2, "srvsvc", "srvsvc"), device(4, "", "scale")}
	snap := s.Snapshot()
	require.Equal(t, append(fixed,
		srvs.Share{ID: 6, Name: "Scale", Type: srvs.TypeDevice | srvs.TypeTemporary, Remark: `serial USB\VID_1`, Since: time.Unix(1, 0)},
		srvs.Share{ID: 7, Name: "scale (2)", Type: srvs.TypeDevice | srvs.TypeTemporary, Remark: "device", Since: time.Unix(4, 0)},
	), snap.Shares)

	// A device keeps its name when another one goes; the next may have the one that is free.
	live.Devices = []pnp.SessionDevice{device(4, "", "scale"), device(5, "", "scale")}
	require.Equal(t, []string{"scale (2)", "scale"}, names(s.Snapshot())[len(fixed):])
}

// TestFiles: each open handle, those of the pipe too.
func TestFiles(t *testing.T) {
	live := &session{pnp.SessionState{
		Devices: []pnp.SessionDevice{device(1, "serial", "Scale"), device(2, "srvsvc", "srvsvc")},
		Handles: []pnp.SessionHandle{{ID: 3, Device: 1, Access: 0xC0000000}, {ID: 7, Device: 2, Access: 0x80000000}},
		Opens:   9, Read: 10, Written: 11, Active: time.Unix(50, 0),
	}, nil}
	s := newSource(&backend.Session{Session: live, Since: time.Unix(40, 0), Host: backend.Host{User: "me", Server: "there"}})
	snap := s.Snapshot()
	require.Equal(t, []srvs.File{{ID: 3, Name: "Scale", Access: 0xC0000000}, {ID: 7, Name: "srvsvc", Pipe: true, Access: 0x80000000}}, snap.Files)
	require.Equal(t, srvs.Statistics{Opens: 9, BytesRead: 10, BytesWritten: 11}, snap.Statistics)
	require.Equal(t, srvs.Session{Client: "there", User: "me", Since: time.Unix(40, 0), Active: time.Unix(50, 0)}, snap.Session)

	require.NoError(t, s.CloseFile(7))
	require.ErrorIs(t, s.CloseFile(3), srvs.ErrFileNotFound)
	require.Equal(t, []uint32{7, 3}, live.ended)
}

// TestWithoutSession: there is nothing to tell.
func TestWithoutSession(t *testing.T) {
	s := newSource(nil)
	snap := s.Snapshot()
	require.Empty(t, snap.Shares)
	require.Empty(t, snap.Files)
	require.ErrorIs(t, s.CloseFile(1), srvs.ErrFileNotFound)
	require.NotEmpty(t, s.client())
	s.session.Host.Client = "here"
	require.Equal(t, "here", s.client())
}
