// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFilesOfTheUser: what a user has put into the folder of a session stays, and is in the
// way of no other session.
func TestFilesOfTheUser(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "devices")
	m, err := openMounts(&options{mount: dir}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	require.NoError(t, err)
	defer m.close()
	mine := filepath.Join(dir, "1", "mine")
	for range 2 {
		f, remove, err := m.session("a client")
		require.NoError(t, err)
		require.Equal(t, filepath.Dir(mine), f.Dir())
		require.NoError(t, os.WriteFile(mine, []byte("mine"), 0o600))
		other, removeOther, err := m.session("another one")
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, "2"), other.Dir())
		removeOther()
		remove()
		require.FileExists(t, mine)
		require.NoDirExists(t, other.Dir())
	}
}
