// SPDX-License-Identifier: Apache-2.0

package pipe

import (
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReceivesWhatIsThere: what the other end wrote at once is received at once, also if
// it comes just when nothing was there.
func TestReceivesWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	s, err := dial(path)
	require.NoError(t, err)
	defer s.close()
	c, err := l.Accept()
	require.NoError(t, err)
	go func() {
		defer c.Close()
		for range 300_000 {
			if _, err := c.Write([]byte("ab")); err != nil {
				return
			}
		}
	}()
	for {
		p, err := s.receive()
		if err == io.EOF {
			return
		}
		require.NoError(t, err)
		require.Zero(t, len(p)%2, "a part of what was written")
	}
}
