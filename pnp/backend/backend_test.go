// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/discover"
	"freerdp-pnpdr/pnp/internal/devnode"
)

func TestTypeOf(t *testing.T) {
	dir := t.TempDir()
	regular, fifo, socket := filepath.Join(dir, "regular"), filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	require.NoError(t, os.WriteFile(regular, nil, 0o600))
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	for path, want := range map[string]backend.Nodes{
		regular: backend.RegularFile, "/dev/null": backend.CharDevice, fifo: 0, socket: backend.Socket, dir: 0,
	} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, backend.TypeOf(info.Mode()), path)
	}
	require.Equal(t, backend.BlockDevice, backend.TypeOf(os.ModeDevice|0o600))
	require.Equal(t, "a block device or a regular file", (backend.BlockDevice | backend.RegularFile).String())
}

func TestTable(t *testing.T) {
	serves := func(subsystem string) func(*discover.Device) bool {
		return func(d *discover.Device) bool { return d.Subsystem == subsystem }
	}
	first := &backend.Kind{Name: "first", Rules: backend.Named, Nodes: backend.CharDevice, Serves: serves("a")}
	second := &backend.Kind{Name: "second", Rules: backend.Chosen, Nodes: backend.CharDevice, Serves: serves("a")}
	third := &backend.Kind{Name: "third", Argument: "PATH", Nodes: backend.RegularFile}
	table := backend.Table{first, second, third}

	require.Equal(t, second, table.Named("second"))
	require.Nil(t, table.Named("fourth"))
	require.Equal(t, first, table.Serving(&discover.Device{Subsystem: "a"}))
	require.Nil(t, table.Serving(&discover.Device{Subsystem: "b"}))
	require.Equal(t, second, table.Plain(backend.CharDevice), "the first is for certain devices")
	require.Equal(t, third, table.Plain(backend.RegularFile))
	require.Nil(t, table.Plain(backend.BlockDevice))
	require.Equal(t, []string{"first", "second"}, table.Choices())
	require.Equal(t, "first", first.Usage())
	require.Equal(t, "third:PATH", third.Usage())
}

func TestDescribe(t *testing.T) {
	k := backend.Kind{Description: pnp.Description{HardwareIDs: []string{"X"}}}
	require.Equal(t, pnp.Description{Name: "x0", HardwareIDs: []string{"X"}}, k.Describe("/dev/x0"))
	k.Description.Name = "X"
	require.Equal(t, "X", k.Describe("/dev/x0").Name)
}

// TestVerify: a node that Verify refuses is not opened, which its device would notice;
// one that it refuses when it is open is closed at once.
func TestVerify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	want, err := devnode.Identify(path)
	require.NoError(t, err)
	refused := errors.New("refused")
	for before := range 2 { // how often it is allowed
		var got []devnode.ID
		src := backend.Source{Path: path, Verify: func(id devnode.ID) error {
			if got = append(got, id); len(got) > before {
				return refused
			}
			return nil
		}}
		watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		require.NoError(t, err)
		defer unix.Close(watch)
		_, err = unix.InotifyAddWatch(watch, path, unix.IN_OPEN)
		require.NoError(t, err)
		open, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		_, err = src.OpenNode(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: pnp.OPEN_EXISTING})
		require.ErrorIs(t, err, refused)
		after, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		require.Len(t, after, len(open), "the node is closed")
		for _, id := range got {
			require.Equal(t, want, id)
		}
		require.Len(t, got, before+1)
		_, err = unix.Read(watch, make([]byte, 4096))
		require.Equal(t, before == 0, err == unix.EAGAIN, "opened: %v", err)
	}
}

// TestPathIsFollowedOnce: the node that was judged is opened, even if the path leads to
// another one by then.
func TestPathIsFollowedOnce(t *testing.T) {
	dir := t.TempDir()
	link, judged := filepath.Join(dir, "link"), filepath.Join(dir, "judged")
	require.NoError(t, os.WriteFile(judged, nil, 0o600))
	require.NoError(t, os.Symlink(judged, link))
	want, err := devnode.Identify(judged)
	require.NoError(t, err)
	src := backend.Source{Path: link, Verify: func(id devnode.ID) error {
		require.Equal(t, want, id)
		require.NoError(t, os.RemoveAll(link))
		return os.Symlink("/dev/null", link)
	}}
	n, err := src.OpenNode(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: pnp.OPEN_EXISTING})
	require.NoError(t, err)
	unix.Close(n.FD)
}

// TestOpenNode: what the node cannot do anything about is the same for all.
func TestOpenNode(t *testing.T) {
	src := backend.Source{Path: "/dev/null"}
	for disposition, want := range map[uint32]pnp.HRESULT{
		0: pnp.ERROR_INVALID_PARAMETER, pnp.CREATE_NEW: pnp.ERROR_FILE_EXISTS, pnp.TRUNCATE_EXISTING + 1: pnp.ERROR_INVALID_PARAMETER,
	} {
		_, err := src.OpenNode(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: disposition})
		require.Equal(t, want, pnp.HRESULTOf(err))
	}
	_, err := src.OpenNode(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: pnp.OPEN_EXISTING, NoBlock: true})
	require.ErrorIs(t, err, pnp.ErrWouldBlock)
	src.Path = "/dev/missing"
	_, err = src.OpenNode(pnp.OpenRequest{Access: pnp.GENERIC_READ, Disposition: pnp.CREATE_NEW})
	require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(err), "a path that is missing is a device that is gone")
}
