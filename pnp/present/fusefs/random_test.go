// SPDX-License-Identifier: Apache-2.0

package fusefs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPrograms: programs that know nothing of redirection.
func TestPrograms(t *testing.T) {
	content := pattern(3<<20 + 123)
	local, data := disk(t, content)
	out := filepath.Join(t.TempDir(), "copy")

	assert.Equal(t, run(t, "sha256sum", "--", local)[:64], run(t, "sha256sum", "--", data)[:64])
	run(t, "cmp", local, data)
	run(t, "cp", data, out)
	run(t, "cmp", local, out)
	assert.Equal(t, "3145851\n", run(t, "stat", "-c", "%s", data))
	assert.Equal(t, string(content), run(t, "cat", data))
	assert.Equal(t, string(content[len(content)-10:]), run(t, "tail", "-c", "10", data))
	run(t, "dd", "if="+data, "of="+out, "bs=64k", "iflag=direct")
	run(t, "cmp", local, out)

	run(t, "dd", "if=/dev/zero", "of="+data, "bs=4096", "count=10", "seek=7", "conv=notrunc,fsync")
	want := append([]byte(nil), content...)
	clear(want[7*4096 : 17*4096])
	got, err := os.ReadFile(local)
	require.NoError(t, err)
	require.Equal(t, want, got)
	run(t, "cmp", local, data)
}
