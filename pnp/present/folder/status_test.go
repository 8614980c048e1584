// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublish(t *testing.T) {
	f := newFolder(t, Config{})
	var got string
	require.ErrorIs(t, Query(f.Dir(), &got), ErrNotServed)
	require.NoError(t, f.Publish(func() any { return "first" }))
	require.NoError(t, Query(f.Dir(), &got))
	require.Equal(t, "first", got)
	// One who does not read, and one who reads.
	idle, err := connect("unix", filepath.Join(f.Dir(), statusName))
	require.NoError(t, err)
	defer idle.Close()
	_, err = idle.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, Query(f.Dir(), &got))
	require.Equal(t, "first", got)
	f.Close()
	require.NoFileExists(t, filepath.Join(f.Dir(), statusName))
	require.ErrorIs(t, Query(f.Dir(), &got), ErrNotServed)
	require.Error(t, f.Publish(func() any { return nil }))
}
