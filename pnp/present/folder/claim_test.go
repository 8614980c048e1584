// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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

// TestStaleMounts: what is mounted below the folder is unmounted, although it is in use.
func TestStaleMounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b\\c")
	l, err := Claim(dir)
	require.NoError(t, err)
	l.Release()
	mount := filepath.Join(dir, ".files")
	require.NoError(t, os.Mkdir(mount, 0o700))
	for range 2 { // one over the other
		if err := unix.Mount("none", mount, "tmpfs", 0, ""); err != nil {
			t.Skip("mounting needs root: ", err)
		}
	}
	file, err := os.Create(filepath.Join(mount, "in use"))
	require.NoError(t, err)
	defer file.Close()
	beside := t.TempDir() + "x"
	require.NoError(t, os.Mkdir(beside, 0o700))

	mounts, err := mountsBelow(dir)
	require.NoError(t, err)
	require.Equal(t, []string{mount, mount}, mounts)
	l, err = Claim(dir)
	require.NoError(t, err)
	defer l.Release()
	mounts, err = mountsBelow(dir)
	require.NoError(t, err)
	require.Empty(t, mounts)
	require.NoDirExists(t, mount)
}
