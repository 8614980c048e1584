// SPDX-License-Identifier: Apache-2.0

package file

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"freerdp-pnpdr/pnp"
	"freerdp-pnpdr/pnp/backend/internal/acceptance"
)

// TestPanicInACompletion: the handle stays usable.
func TestPanicInACompletion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("abcd"), 0o600))
	h, err := device(t, path, false).Open(acceptance.ReadWrite)
	require.NoError(t, err)
	defer h.Close(func() {})
	for range 2 * depth {
		r := &pnp.Request{Op: pnp.OpWrite, In: []byte("efgh")}
		done := make(chan struct{})
		r.OnComplete(func(*pnp.Request, pnp.HRESULT, int) {
			close(done)
			panic("a bug in the channel")
		})
		h.Submit(r)
		<-done
	}
}
