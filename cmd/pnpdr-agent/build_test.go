// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBuilds32: the agent is one static file for processors with 32 bits, too.
func TestBuilds32(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(t.TempDir(), "pnpdr-agent"), ".")
	cmd.Env = append(os.Environ(), "GOARCH=arm", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
