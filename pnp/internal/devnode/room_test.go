// SPDX-License-Identifier: Apache-2.0

package devnode

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"freerdp-pnpdr/pnp"
)

// TestRoom opens nodes until there is no room: a quarter of the descriptors that
// the process can use is left to it.
func TestRoom(t *testing.T) {
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))

	for _, c := range []struct{ limit, ours uint64 }{{400, 300}, {min(before.Max, 2048), 768}} {
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: c.limit, Max: before.Max}))
		var open []int
		var err error
		for len(open) < 1000 {
			var n Node
			if n, err = OpenNode(path, pnp.OpenRequest{Access: pnp.GENERIC_READ}, false, nil); err != nil {
				break
			}
			open = append(open, n.FD)
		}
		require.Equal(t, pnp.ERROR_TOO_MANY_OPEN_FILES, pnp.HRESULTOf(err))
		require.ErrorContains(t, err, "are left to it")
		require.Less(t, uint64(open[len(open)-1]), c.ours)
		require.Greater(t, len(open), 200)
		for i := range open {
			require.NoError(t, unix.Close(open[i]))
		}
		n, err := OpenNode(path, pnp.OpenRequest{Access: pnp.GENERIC_READ}, false, nil)
		require.NoError(t, err)
		require.NoError(t, unix.Close(n.FD))
	}
}
