// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestLook checks that a node and its path belong together while a link on the way is
// switched all the time.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	ids := make(map[string]ID)
	for _, name := range []string{"a", "b"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Symlink(name, path+"-link"))
		id, err := Identify(path)
		require.NoError(t, err)
		ids[path] = id
	}
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("a", link))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			// Exchanging keeps the link there.
			_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "a-link"), unix.AT_FDCWD, filepath.Join(dir, "b-link"), unix.RENAME_EXCHANGE)
		}
	}()
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink("a-link", link))
	seen := make(map[string]int)
	for len(seen) < 2 || seen[filepath.Join(dir, "a")]+seen[filepath.Join(dir, "b")] < 2000 {
		place, err := Look(link)
		require.NoError(t, err)
		require.Equal(t, ids[place.Real], place.ID)
		seen[place.Real]++
	}
	close(stop)
	<-stopped

	_, err := Look(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, unix.ENOENT)
}
