// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/internal/fusetest"
)

// opened is an open of a node that no other test uses.
func opened(t *testing.T, read, write bool) *Node {
	n := &Node{Read: read, Write: write}
	n.Stat.Mode = unix.S_IFREG
	n.Stat.Ino = uint64(len(t.Name()))
	t.Cleanup(func() { require.Empty(t, nodes.open, "a node that nobody has open still has state") })
	return n
}

// TestShareAgainstTheRule goes through all 256 pairs of opens.
func TestShareAgainstTheRule(t *testing.T) {
	for i := range 256 {
		r1, w1, s1 := i&1 != 0, i&2 != 0, uint32(i>>2&3)
		r2, w2, s2 := i&16 != 0, i&32 != 0, uint32(i>>6&3)
		first, err := opened(t, r1, w1).Share(s1)
		require.NoError(t, err)

		want := !(r1 || w1) || !(r2 || w2) || // attributes only: never a conflict
			(!r2 || s1&pnp.FILE_SHARE_READ != 0) && (!w2 || s1&pnp.FILE_SHARE_WRITE != 0) &&
				(!r1 || s2&pnp.FILE_SHARE_READ != 0) && (!w1 || s2&pnp.FILE_SHARE_WRITE != 0)
		name := fmt.Sprintf("r%v w%v share %d, then r%v w%v share %d", r1, w1, s1, r2, w2, s2)
		second, err := opened(t, r2, w2).Share(s2)
		if want {
			require.NoError(t, err, name)
			second.Release()
			second.Release()
		} else {
			require.ErrorIs(t, err, pnp.ERROR_SHARING_VIOLATION, name)
		}
		first.Release()
		alone, err := opened(t, true, true).Share(0)
		require.NoError(t, err, name)
		alone.Release()
	}
}

func TestShareChecksEveryOpen(t *testing.T) {
	all := uint32(pnp.FILE_SHARE_READ | pnp.FILE_SHARE_WRITE)
	first, err := opened(t, true, true).Share(all)
	require.NoError(t, err)
	picky, err := opened(t, true, false).Share(all)
	require.NoError(t, err)
	picky.share = pnp.FILE_SHARE_READ
	_, err = opened(t, true, true).Share(all)
	require.ErrorIs(t, err, pnp.ERROR_SHARING_VIOLATION, "the second of two opens shares reading only")
	picky.Release()
	third, err := opened(t, true, true).Share(all)
	require.NoError(t, err)
	first.Release()
	third.Release()
}

// TestShareOfParts: opens of different parts of a node do not conflict, and an open of the
// whole is one of each part.
func TestShareOfParts(t *testing.T) {
	part := func(n int) (*Grant, error) {
		node := opened(t, true, true)
		node.Part = n
		return node.Share(0)
	}
	first, err := part(1)
	require.NoError(t, err)
	second, err := part(2)
	require.NoError(t, err)
	for n := range 3 {
		_, err = part(n)
		require.ErrorIs(t, err, pnp.ERROR_SHARING_VIOLATION, "part %d", n)
	}
	first.Release()
	_, err = part(0)
	require.ErrorIs(t, err, pnp.ERROR_SHARING_VIOLATION)
	second.Release()
	whole, err := part(0)
	require.NoError(t, err)
	_, err = part(1)
	require.ErrorIs(t, err, pnp.ERROR_SHARING_VIOLATION)
	whole.Release()
}

// TestShareByPathOrNode: share modes hold for two paths that lead to one node.
func TestShareByPathOrNode(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/file", nil, 0o600))
	require.NoError(t, os.Symlink("file", dir+"/link"))
	require.NoError(t, os.WriteFile(dir+"/other", nil, 0o600))
	var grants []*Grant
	open := func(path string) error {
		n, err := OpenNode(path, pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE}, false, nil)
		require.NoError(t, err)
		defer unix.Close(n.FD)
		g, err := n.Share(0)
		if err == nil {
			grants = append(grants, g)
		}
		return err
	}
	require.NoError(t, open(dir+"/file"))
	require.ErrorIs(t, open(dir+"/link"), pnp.ERROR_SHARING_VIOLATION)
	require.NoError(t, open(dir+"/other"))
	for _, g := range grants {
		g.Release()
	}
	require.Empty(t, nodes.open)
}

// asNobody runs f without root's privilege to ignore permission bits. The kernel
// drops the file capabilities with the thread's file system uid.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _ = unix.SetfsuidRetUid(65534)
	defer unix.SetfsuidRetUid(0)
	f()
}

func TestOpenNodeGrantsWhatItCan(t *testing.T) {
	dir, err := os.MkdirTemp("", "share")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	const rd, wr = pnp.GENERIC_READ, pnp.GENERIC_WRITE
	for i, c := range []struct {
		mode        os.FileMode
		readOnly    bool
		access      uint32
		read, write bool
		err         error
	}{
		{0o666, false, rd | wr, true, true, nil},
		{0o666, false, pnp.GENERIC_ALL, true, true, nil},
		{0o666, false, pnp.MAXIMUM_ALLOWED, true, true, nil},
		{0o666, false, pnp.FILE_READ_DATA, true, false, nil},
		{0o666, false, pnp.FILE_APPEND, false, true, nil},
		{0o666, false, 0x00120080, false, false, nil},
		{0o666, true, rd | wr, true, false, nil},
		{0o666, true, wr, false, false, pnp.ERROR_ACCESS_DENIED},
		{0o444, false, rd | wr, true, false, nil},
		{0o444, false, wr, false, false, pnp.ERROR_ACCESS_DENIED},
		{0o222, false, rd | wr, false, true, nil},
		{0o222, false, rd, false, false, pnp.ERROR_ACCESS_DENIED},
		{0o000, false, rd | wr, false, false, pnp.ERROR_ACCESS_DENIED},
		{0o000, false, 0, false, false, nil},
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
		require.NoError(t, os.Chmod(path, c.mode))
		var n Node
		asNobody(t, func() { n, err = OpenNode(path, pnp.OpenRequest{Access: c.access}, c.readOnly, nil) })
		if c.err != nil {
			require.ErrorIs(t, err, c.err, "%+v", c)
			continue
		}
		require.NoError(t, err, "%+v", c)
		require.Equal(t, c.read, n.Read, "%+v", c)
		require.Equal(t, c.write, n.Write, "%+v", c)
		require.EqualValues(t, unix.S_IFREG, n.Stat.Mode&unix.S_IFMT)
		unix.Close(n.FD)
	}
}

func TestOpenNodeDoesNotCreateOrHang(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	for d := range uint32(7) {
		_, err := OpenNode(missing, pnp.OpenRequest{Access: pnp.GENERIC_ALL, Disposition: d}, false, nil)
		require.Equal(t, pnp.ERROR_DEVICE_NOT_CONNECTED, pnp.HRESULTOf(err))
		require.Contains(t, err.Error(), missing)
	}
	_, err := os.Stat(missing)
	require.True(t, errors.Is(err, os.ErrNotExist))

	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	n, err := OpenNode(fifo, pnp.OpenRequest{Access: pnp.GENERIC_READ}, false, nil)
	require.NoError(t, err)
	require.EqualValues(t, unix.S_IFIFO, n.Stat.Mode&unix.S_IFMT)
	unix.Close(n.FD)
}

// TestCancelledOpen: an open that nobody wants any more does not reach the driver.
func TestCancelledOpen(t *testing.T) {
	var opens atomic.Int32
	fs := fusetest.Mount(t, func(r *fusetest.Request) {
		if r.Op == fusetest.Open {
			opens.Add(1)
			r.Opened(0)
		}
	})
	r := pnp.OpenRequest{Access: pnp.GENERIC_READ | pnp.GENERIC_WRITE, Cancelled: make(chan struct{})}
	n, err := OpenNode(fs.Path, r, false, nil)
	require.NoError(t, err)
	unix.Close(n.FD)
	require.EqualValues(t, 1, opens.Load())

	cancelled := make(chan struct{})
	close(cancelled)
	r.Cancelled = cancelled
	_, err = OpenNode(fs.Path, r, false, nil)
	require.ErrorIs(t, err, pnp.ERROR_OPERATION_ABORTED)
	require.EqualValues(t, 1, opens.Load())
}
