// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend"
	"freerdp-pnpdr/pnp/internal/devnode"
)

// TestDial: the socket that was looked at is the one that is connected to.
func TestDial(t *testing.T) {
	dir := t.TempDir()
	listen := func(name, network string) (string, *net.UnixListener) {
		path := filepath.Join(dir, name)
		l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		return path, l
	}
	path, l := listen("stream", "unix")
	want, err := devnode.Identify(path)
	require.NoError(t, err)

	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("stream", link))
	src := backend.Source{Path: link, Verify: func(id devnode.ID) error {
		require.Equal(t, want, id)
		other, _ := listen("other", "unix")
		require.NoError(t, os.Rename(other, link), "the link is switched meanwhile")
		return nil
	}}
	c, err := src.Dial(context.Background(), "unix")
	require.NoError(t, err)
	defer c.Close()
	s, err := l.AcceptUnix()
	require.NoError(t, err, "it leads to the first one all the same")
	defer s.Close()

	cred, err := backend.Peer(c)
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), int(cred.Pid))
	require.Equal(t, os.Getuid(), int(cred.Uid))

	src = backend.Source{Path: path, Verify: func(devnode.ID) error { return pnp.ERROR_ACCESS_DENIED }}
	_, err = src.Dial(context.Background(), "unix")
	require.Equal(t, pnp.ERROR_ACCESS_DENIED, err)

	packets, _ := listen("packets", "unixpacket")
	src = backend.Source{Path: packets}
	p, err := src.Dial(context.Background(), "unixpacket")
	require.NoError(t, err)
	p.Close()
	_, err = src.Dial(context.Background(), "unix")
	require.ErrorIs(t, err, unix.EPROTOTYPE)

	src = backend.Source{Path: filepath.Join(dir, "nothing")}
	_, err = src.Dial(context.Background(), "unix")
	require.ErrorIs(t, err, unix.ENOENT)
}
