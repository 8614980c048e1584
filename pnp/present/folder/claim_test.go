// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp/present/fusefs"
)

func TestClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b", "pnpdr")
	l, err := Claim(dir)
	require.NoError(t, err)
	require.Equal(t, dir, l.Dir())
	_, err = Claim(dir)
	require.ErrorIs(t, err, ErrInUse)
	l.Release()

	// What a program that was killed has left.
	device := filepath.Join(dir, "Scale")
	require.NoError(t, os.Mkdir(device, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(device, infoName), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(device, infoName+".new"), nil, 0o600))
	require.NoError(t, os.Symlink("/nowhere", filepath.Join(device, "tty")))
	ln, err := listen("unixpacket", filepath.Join(device, controlName))
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	session, err := Claim(filepath.Join(dir, "1"))
	require.NoError(t, err)
	session.Release()
	foreign := filepath.Join(dir, "Printer")
	require.NoError(t, os.Mkdir(foreign, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "mine"), nil, 0o600))
	require.NoError(t, os.Symlink("/nowhere", filepath.Join(foreign, "tty")))

	l, err = Claim(dir)
	require.NoError(t, err)
	defer l.Release()
	require.NoDirExists(t, device)
	require.NoDirExists(t, session.Dir())
	require.FileExists(t, filepath.Join(foreign, "mine"))
	require.NoFileExists(t, filepath.Join(foreign, "tty"))
}

// TestRemoveWithFiles: a folder with something of the user's stays, and can be claimed again.
func TestRemoveWithFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pnpdr")
	mine := filepath.Join(dir, "Scale", "mine")
	for range 2 {
		l, err := Claim(dir)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(mine), 0o700))
		require.NoError(t, os.WriteFile(mine, nil, 0o600))
		require.ErrorIs(t, l.Remove(), unix.ENOTEMPTY)
		require.FileExists(t, mine)
	}
	require.NoError(t, os.RemoveAll(filepath.Dir(mine)))
	l, err := Claim(dir)
	require.NoError(t, err)
	require.NoError(t, l.Remove())
	require.NoDirExists(t, dir)
}

// TestKilledWithFiles: so it is with the folder of a session in that of a program that was
// killed.
func TestKilledWithFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "devices")
	mine := filepath.Join(dir, "1", "mine")
	for range 2 {
		l, err := Claim(dir)
		require.NoError(t, err)
		session, err := Claim(filepath.Dir(mine))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(mine, nil, 0o600))
		session.Release()
		l.Release()
	}
	l, err := Claim(dir)
	require.NoError(t, err)
	defer l.Release()
	require.FileExists(t, mine)
}

// TestClaimOfOthersFolders: what may be somebody's is refused, and left as it is.
func TestClaimOfOthersFolders(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o750))
	_, err := Claim(dir)
	require.ErrorContains(t, err, "chmod 700")
	require.NoError(t, os.Chmod(dir, 0o700))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("/nowhere", link))
	_, err = Claim(dir)
	require.ErrorContains(t, err, "files of yours")
	_, err = os.Lstat(link)
	require.NoError(t, err)
	_, err = Claim("/dev/null")
	require.ErrorIs(t, err, unix.ENOTDIR)
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, 1, 1))
		_, err = Claim(dir)
		require.ErrorContains(t, err, "belongs to user 1")
	}
}

// mountOurs mounts a file system of ours that nobody serves, as one of a program that was
// killed.
func mountOurs(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("NOT TESTED: there is no FUSE here: ", err)
	}
	defer unix.Close(fd)
	err = unix.Mount("pnpdr", path, fusefs.Type, 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	if err != nil {
		t.Skip("NOT TESTED: mounting needs root: ", err)
	}
}

// TestStaleMounts: what is mounted of ours below the folder is unmounted, although it is in
// use. What somebody else has mounted there stays, with what is in it.
func TestStaleMounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b\\c")
	l, err := Claim(dir)
	require.NoError(t, err)
	l.Release()
	mount := filepath.Join(dir, ".files")
	foreign := filepath.Join(dir, "Scale", "mine")
	require.NoError(t, os.Mkdir(mount, 0o700))
	require.NoError(t, os.MkdirAll(foreign, 0o700))
	for range 2 { // one over the other
		mountOurs(t, mount)
		fd, err := unix.Open(mount, unix.O_PATH|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
	}
	require.NoError(t, unix.Mount("none", foreign, "tmpfs", 0, ""))
	t.Cleanup(func() { _ = unix.Unmount(foreign, unix.MNT_DETACH) })
	link := filepath.Join(foreign, "link")
	require.NoError(t, os.Symlink("/nowhere", link))
	beside := t.TempDir() + "x"
	require.NoError(t, os.Mkdir(beside, 0o700))

	ours, others, err := mountsBelow(dir)
	require.NoError(t, err)
	require.Equal(t, []string{mount, mount}, ours)
	require.Equal(t, []string{foreign}, others)
	l, err = Claim(dir)
	require.NoError(t, err)
	defer l.Release()
	ours, others, err = mountsBelow(dir)
	require.NoError(t, err)
	require.Empty(t, ours)
	require.Equal(t, []string{foreign}, others)
	require.NoDirExists(t, mount)
	_, err = os.Lstat(link)
	require.NoError(t, err)
}

// TestClaimOfAnyLock: a folder with a lock of another program's is not ours to clean.
func TestClaimOfAnyLock(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".lock"), nil, 0o600))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("/nowhere", link))
	_, err := Claim(dir)
	require.ErrorContains(t, err, "files of yours")
	_, err = os.Lstat(link)
	require.NoError(t, err)
}

// TestClaimWhileRemoved: who claims a folder that another one removes has it alone, and has
// a folder.
func TestClaimWhileRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pnpdr")
	var holders, claimed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 500 {
				l, err := Claim(dir)
				if errors.Is(err, ErrInUse) {
					continue
				}
				if !assert.NoError(t, err) {
					return
				}
				claimed.Add(1)
				assert.Equal(t, int64(1), holders.Add(1), "who have the folder")
				assert.FileExists(t, filepath.Join(l.Dir(), lockName))
				holders.Add(-1)
				if err := l.Remove(); !errors.Is(err, unix.ENOTEMPTY) { // the next one was fast
					assert.NoError(t, err)
				}
			}
		}()
	}
	wg.Wait()
	assert.NotZero(t, claimed.Load())
}
